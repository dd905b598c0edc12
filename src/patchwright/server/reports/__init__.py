# SPDX-License-Identifier: Apache-2.0
"""
Reports: what is known of a fleet, for people and programs elsewhere.

The door.
"""

from __future__ import annotations

from patchwright.server.reports.patch_report import Cursor, Page, PatchReports

__all__ = ["Cursor", "Page", "PatchReports"]
