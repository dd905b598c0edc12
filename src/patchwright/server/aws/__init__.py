# SPDX-License-Identifier: Apache-2.0
"""
The AWS API, translated once (design D7): one function per operation, a file per group.

The door. `operations` and `ERRORS` are the tables for the wire's endpoint; `Warden` stands before what they serve, and what
else is served.
"""

from __future__ import annotations

from patchwright.server.aws.audited import CallWatch
from patchwright.server.aws.authority import Warden, rights_of_task, rights_of_windows
from patchwright.server.aws.calendar_feeds import CalendarDownloads
from patchwright.server.aws.errors import ERRORS
from patchwright.server.aws.event_stream import EventStream
from patchwright.server.aws.links import SnapshotLinks
from patchwright.server.aws.output_links import OutputDownloads, OutputLinks
from patchwright.server.aws.outputs import PARKED
from patchwright.server.aws.overrides import BaselineFiles
from patchwright.server.aws.s3 import RULES as BUCKET_RULES
from patchwright.server.aws.s3 import BucketFront, Objects, Uploads, owned
from patchwright.server.aws.services import Services
from patchwright.server.aws.snapshots import SnapshotDownloads
from patchwright.server.aws.table import operations

__all__ = [
    "BUCKET_RULES",
    "ERRORS",
    "PARKED",
    "BaselineFiles",
    "BucketFront",
    "CalendarDownloads",
    "CallWatch",
    "EventStream",
    "Objects",
    "OutputDownloads",
    "OutputLinks",
    "Services",
    "SnapshotDownloads",
    "SnapshotLinks",
    "Uploads",
    "Warden",
    "operations",
    "owned",
    "rights_of_task",
    "rights_of_windows",
]
