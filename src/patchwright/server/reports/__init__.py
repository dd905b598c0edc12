# SPDX-License-Identifier: Apache-2.0
"""
Reports: what is known of a fleet, for people and programs elsewhere.

The door. `PatchReports` and `Syncs` have the use cases; `Writer` does what resource data syncs are for, beside the API.
"""

from __future__ import annotations

from patchwright.server.reports.patch_report import Cursor, Page, PatchReports
from patchwright.server.reports.sync_jobs import STEP_SECONDS, Writer
from patchwright.server.reports.sync_model import (
    FROM_SOURCE,
    NO_ORGANIZATION,
    ORGANIZATIONS,
    TO_DESTINATION,
    InvalidSync,
    Sync,
    SyncError,
    SyncTaken,
    TooManySyncs,
    UnknownSync,
)
from patchwright.server.reports.syncs import Syncs

__all__ = [
    "FROM_SOURCE",
    "NO_ORGANIZATION",
    "ORGANIZATIONS",
    "STEP_SECONDS",
    "TO_DESTINATION",
    "Cursor",
    "InvalidSync",
    "Page",
    "PatchReports",
    "Sync",
    "SyncError",
    "SyncTaken",
    "Syncs",
    "TooManySyncs",
    "UnknownSync",
    "Writer",
]
