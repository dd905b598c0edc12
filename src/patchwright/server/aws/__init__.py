# SPDX-License-Identifier: Apache-2.0
"""
The AWS API, translated once (design D7): one function per operation, a file per group.

The door. `operations` and `ERRORS` are the tables for the wire's endpoint.
"""

from __future__ import annotations

from patchwright.server.aws.audited import CallWatch
from patchwright.server.aws.errors import ERRORS
from patchwright.server.aws.links import SnapshotLinks
from patchwright.server.aws.services import Services
from patchwright.server.aws.snapshots import SnapshotDownloads
from patchwright.server.aws.table import operations

__all__ = ["ERRORS", "CallWatch", "Services", "SnapshotDownloads", "SnapshotLinks", "operations"]
