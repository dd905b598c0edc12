# SPDX-License-Identifier: Apache-2.0
"""
Commands: commands, invocations, rate control.

The door. `Service` has the use cases that stand alone; the functions are units of work for the gateway.
"""

from __future__ import annotations

from patchwright.server.commands.model import (
    DEFAULT_TIMEOUT_SECONDS,
    Command,
    CommandsError,
    Delivery,
    DuplicateInstance,
    InvalidTargets,
    Invocation,
    Permitted,
    Reply,
    Request,
    StepResult,
    Target,
    UnknownCommand,
    UnknownInstances,
    UnknownInvocation,
    UnknownStep,
    UnservedDocument,
)
from patchwright.server.commands.service import (
    Service,
    abandon,
    acknowledge,
    any_overdue,
    deliveries,
    document_of,
    expire,
    fresh_ids,
    parameters_of_step,
    record,
    send,
    step_result,
    waiting,
)
from patchwright.server.commands.steering import detail, withdraw
from patchwright.server.commands.targets import matching
from patchwright.server.commands.waking import Waking

__all__ = [
    "DEFAULT_TIMEOUT_SECONDS",
    "Command",
    "CommandsError",
    "Delivery",
    "DuplicateInstance",
    "InvalidTargets",
    "Invocation",
    "Permitted",
    "Reply",
    "Request",
    "Service",
    "StepResult",
    "Target",
    "UnknownCommand",
    "UnknownInstances",
    "UnknownInvocation",
    "UnknownStep",
    "UnservedDocument",
    "Waking",
    "abandon",
    "acknowledge",
    "any_overdue",
    "deliveries",
    "detail",
    "document_of",
    "expire",
    "fresh_ids",
    "matching",
    "parameters_of_step",
    "record",
    "send",
    "step_result",
    "waiting",
    "withdraw",
]
