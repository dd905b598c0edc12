# SPDX-License-Identifier: Apache-2.0
"""
Commands: commands, invocations, rate control.

The door. `Service` has the use cases that stand alone; the functions are units of work for the gateway.
"""

from __future__ import annotations

from patchwright.server.commands.asked import parameters_of_step, wanted
from patchwright.server.commands.channels import Held, forget_channel, held_with_work, hold, let_go, still_held
from patchwright.server.commands.delivering import (
    acknowledge,
    acknowledge_message,
    deliveries,
    deliveries_to_each,
    document_of,
    postpone,
    waiting,
)
from patchwright.server.commands.fetching import fetched_by
from patchwright.server.commands.invocation_store import any_overdue
from patchwright.server.commands.jobs import FORGET_SECONDS, TEND_SECONDS, forget, tend
from patchwright.server.commands.late import TurnedAway, turned_away
from patchwright.server.commands.model import (
    DEFAULT_TIMEOUT_SECONDS,
    Command,
    CommandsError,
    Delivery,
    DuplicateInstance,
    InvalidNotification,
    InvalidOutput,
    InvalidTargets,
    Invocation,
    LogGroup,
    Notification,
    Permitted,
    Reply,
    Request,
    Rights,
    StepResult,
    Target,
    UnknownCommand,
    UnknownInstances,
    UnknownInvocation,
    UnknownStep,
    UnresolvedParameter,
    UnservedDocument,
    UnsupportedPlatform,
)
from patchwright.server.commands.moving import abandon, expire, record
from patchwright.server.commands.rate_control import resolve as resolve_rate
from patchwright.server.commands.recording import Recorded, Said, record_all
from patchwright.server.commands.sending import send
from patchwright.server.commands.service import Service, fresh_ids, step_names, step_result
from patchwright.server.commands.steering import cancel, counts, detail, withdraw
from patchwright.server.commands.targets import matching, named_nodes
from patchwright.server.commands.targets import window as next_matching
from patchwright.server.commands.waking import Waking

__all__ = [
    "DEFAULT_TIMEOUT_SECONDS",
    "FORGET_SECONDS",
    "TEND_SECONDS",
    "Command",
    "CommandsError",
    "Delivery",
    "DuplicateInstance",
    "Held",
    "InvalidNotification",
    "InvalidOutput",
    "InvalidTargets",
    "Invocation",
    "LogGroup",
    "Notification",
    "Permitted",
    "Recorded",
    "Reply",
    "Request",
    "Rights",
    "Said",
    "Service",
    "StepResult",
    "Target",
    "TurnedAway",
    "UnknownCommand",
    "UnknownInstances",
    "UnknownInvocation",
    "UnknownStep",
    "UnresolvedParameter",
    "UnservedDocument",
    "UnsupportedPlatform",
    "Waking",
    "abandon",
    "acknowledge",
    "acknowledge_message",
    "any_overdue",
    "cancel",
    "counts",
    "deliveries",
    "deliveries_to_each",
    "detail",
    "document_of",
    "expire",
    "fetched_by",
    "forget",
    "forget_channel",
    "fresh_ids",
    "held_with_work",
    "hold",
    "let_go",
    "matching",
    "named_nodes",
    "next_matching",
    "parameters_of_step",
    "postpone",
    "record",
    "record_all",
    "resolve_rate",
    "send",
    "step_names",
    "step_result",
    "still_held",
    "tend",
    "turned_away",
    "waiting",
    "wanted",
    "withdraw",
]
