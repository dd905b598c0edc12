# SPDX-License-Identifier: Apache-2.0
"""
Patching: baselines, patch groups, snapshots, operations, plans, live verdicts.

The door. The classes are the room's services; `close` is a unit of work for the edge that ends commands.
"""

from __future__ import annotations

from patchwright.server.patching.baselines import Baselines, require
from patchwright.server.patching.model import (
    Definition,
    Finished,
    GroupTaken,
    Listed,
    MalformedBaselineId,
    Operation,
    OperationRefused,
    OperationState,
    PatchBaseline,
    PatchingError,
    ReadOnlyBaseline,
    Source,
    TooManyBaselines,
    TooManyGroups,
    UnknownBaseline,
    UnknownOperation,
)
from patchwright.server.patching.operation_store import last_finished
from patchwright.server.patching.operations import Operations, close
from patchwright.server.patching.states import CRITICAL, OTHER, SECURITY, count, counters
from patchwright.server.patching.verdicts import LastOperation, PatchRow, Verdict, Verdicts, installed_times, items

__all__ = [
    "CRITICAL",
    "OTHER",
    "SECURITY",
    "Baselines",
    "Definition",
    "Finished",
    "GroupTaken",
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
    "Source",
    "TooManyBaselines",
    "TooManyGroups",
    "UnknownBaseline",
    "UnknownOperation",
    "Verdict",
    "Verdicts",
    "close",
    "count",
    "counters",
    "installed_times",
    "items",
    "last_finished",
    "require",
]
