# SPDX-License-Identifier: Apache-2.0
"""
Patching: baselines, patch groups, snapshots, operations, plans, live verdicts.

The door. The classes are the room's services; `close` and `forget` are
units of work for the edges that end commands and let nodes go.
"""

from __future__ import annotations

from patchwright.server.patching.baselines import Baselines, Cursor, arn_of, require
from patchwright.server.patching.catalogue import Available, Catalogue, Effective
from patchwright.server.patching.checks import answer as check
from patchwright.server.patching.durations import History
from patchwright.server.patching.durations import read as read_durations
from patchwright.server.patching.groups import Groups
from patchwright.server.patching.model import (
    BaselineInUse,
    Bound,
    Definition,
    Finished,
    GivenBaseline,
    GroupMapping,
    GroupTaken,
    LastOperation,
    Listed,
    MalformedBaselineId,
    Operation,
    OperationRefused,
    OperationState,
    PatchBaseline,
    PatchingError,
    ReadOnlyBaseline,
    Selection,
    Snapshot,
    Source,
    TooManyBaselines,
    TooManyGroups,
    UnknownBaseline,
    UnknownOperation,
    UnsupportedSystem,
)
from patchwright.server.patching.operation_store import histories, histories_of_system, last_finished, last_of_each
from patchwright.server.patching.operations import Operations, close, forget, with_unfinished
from patchwright.server.patching.overrides import may_fetch
from patchwright.server.patching.snapshots import Deployable, Snapshots
from patchwright.server.patching.states import CRITICAL, OTHER, SECURITY, count, counters
from patchwright.server.patching.verdicts import PatchRow, Verdict, Verdicts, installed_times, items

__all__ = [
    "CRITICAL",
    "OTHER",
    "SECURITY",
    "Available",
    "BaselineInUse",
    "Baselines",
    "Bound",
    "Catalogue",
    "Cursor",
    "Definition",
    "Deployable",
    "Effective",
    "Finished",
    "GivenBaseline",
    "GroupMapping",
    "GroupTaken",
    "Groups",
    "History",
    "LastOperation",
    "Listed",
    "MalformedBaselineId",
    "Operation",
    "OperationRefused",
    "OperationState",
    "Operations",
    "PatchBaseline",
    "PatchRow",
    "PatchingError",
    "ReadOnlyBaseline",
    "Selection",
    "Snapshot",
    "Snapshots",
    "Source",
    "TooManyBaselines",
    "TooManyGroups",
    "UnknownBaseline",
    "UnknownOperation",
    "UnsupportedSystem",
    "Verdict",
    "Verdicts",
    "arn_of",
    "check",
    "close",
    "count",
    "counters",
    "forget",
    "histories",
    "histories_of_system",
    "installed_times",
    "items",
    "last_finished",
    "last_of_each",
    "may_fetch",
    "read_durations",
    "require",
    "with_unfinished",
]
