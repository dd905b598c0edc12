# SPDX-License-Identifier: Apache-2.0
"""Commands and invocations (spec §5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from patchwright.core.errors import PatchwrightError
from patchwright.core.invocation import Detail
from patchwright.server.accounts import Scope
from patchwright.server.infra import UnitOfWork

EXECUTION_TIMEOUT_SECONDS = 7200  # of the documents served here (spec §3.6)
DEFAULT_TIMEOUT_SECONDS = 3600


# Those of some nodes that a command may be sent to: who sends it may not reach every one.
Permitted = Callable[[Scope, Sequence[str]], UnitOfWork[Set[str]]]


class CommandsError(PatchwrightError):
    """The root of this room's errors."""


class UnservedDocument(CommandsError):
    """A document that there is, and that cannot be sent to nodes."""


class UnknownInstances(CommandsError):
    """Targets that are no managed nodes of this account and region."""


class DuplicateInstance(CommandsError):
    """A target that is named twice."""


class InvalidTargets(CommandsError):
    """Targets that cannot be resolved as they are written, or rates that are none."""


class UnknownCommand(CommandsError):
    """There is no command with this id in this account and region."""


class UnknownInvocation(CommandsError):
    """The command has no such target."""


class UnknownStep(CommandsError):
    """The document has no step of this name, or several of which none was named."""


class Target(NamedTuple):
    """One condition on targets: a key and the values of which one must match."""

    key: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Request:
    """What a caller asks for with SendCommand. Rates are as given: a number or a percentage."""

    document_name: str
    parameters: Mapping[str, Sequence[str]]
    instance_ids: tuple[str, ...] = ()
    targets: tuple[Target, ...] = ()
    document_version: str = "$DEFAULT"
    comment: str = ""
    timeout_seconds: int = DEFAULT_TIMEOUT_SECONDS
    max_concurrency: str = "50"
    max_errors: str = "0"
    document_hash: str = ""  # what the sender takes the document for; it is not kept
    document_hash_type: str = "Sha256"


@dataclass(frozen=True)
class Command:
    """A command as it stands. *content* is the document as it was sent. Times are epoch seconds."""

    scope: Scope
    id: str
    request: Request
    content: Mapping[str, Any]
    principal: str
    requested_at: float
    expires_at: float
    detail: Detail
    target_count: int
    completed_count: int = 0
    error_count: int = 0
    delivery_timed_out_count: int = 0


@dataclass(frozen=True)
class StepResult:
    """What a node reported of one step. Times are as the node wrote them (ISO 8601), empty before they are known."""

    status: str
    code: int = -1
    started: str = ""
    ended: str = ""
    stdout: str = ""
    stderr: str = ""


@dataclass(frozen=True)
class Invocation:
    """A command on one node. *steps* by name, as far as they were reported."""

    scope: Scope
    command_id: str
    instance_id: str
    position: int
    detail: Detail
    released: bool
    requested_at: float
    due_at: float
    acknowledged_at: float | None
    deliveries: int
    response_code: int
    steps: Mapping[str, StepResult] = field(default_factory=dict)
    trace: str = ""
    ended_at: float | None = None


@dataclass(frozen=True)
class Delivery:
    """A command on its way to a node: the payload of its message (spec agent-protocol §8.1)."""

    command_id: str
    instance_id: str
    requested_at: float
    payload: Mapping[str, Any]


@dataclass(frozen=True)
class Reply:
    """A node's reply, read (spec agent-protocol §8.3)."""

    id: str
    command_id: str
    detail: Detail
    trace: str = ""
    steps: Mapping[str, StepResult] = field(default_factory=dict)
