# SPDX-License-Identifier: Apache-2.0
"""Commands and invocations (spec §5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, NamedTuple

from patchwright.core.errors import PatchwrightError
from patchwright.core.invocation import Detail
from patchwright.server.accounts import Scope
from patchwright.server.infra import UnitOfWork

DEFAULT_TIMEOUT_SECONDS = 3600
HISTORY_SECONDS = 30 * 86_400.0  # how long what has ended is kept (spec §1.20)
HEARD = 64  # replies that are known again
TOGETHER = 1000  # invocations that one transaction makes, releases or ends


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


class UnsupportedPlatform(CommandsError):
    """None of the nodes that were named can run the document."""


class InvalidNotification(CommandsError):
    """Whoever is to be told cannot be told that way."""


class InvalidOutput(CommandsError):
    """Outputs cannot be written where they are wanted."""


class UnresolvedParameter(CommandsError):
    """A `{{ssm:…}}` that names no parameter of type String or StringList."""


class UnknownStep(CommandsError):
    """The document has no step of this name, or several of which none was named."""


class Target(NamedTuple):
    """One condition on targets: a key and the values of which one must match."""

    key: str
    values: tuple[str, ...]


class Notification(NamedTuple):
    """Who is told of a command, of which of its statuses, and whether of each invocation or of the whole (spec §5.8)."""

    arn: str
    events: tuple[str, ...] = ()
    type: str = "Command"


class LogGroup(NamedTuple):
    """Where an agent that knows CloudWatch writes outputs to."""

    name: str = ""
    enabled: bool = False


@dataclass(frozen=True)
class Request:
    """
    What a caller asks for with SendCommand. Rates are as given: a number or a percentage.

    *output_bucket* names where outputs are written, under *output_prefix*; empty: nowhere. *output_region* is kept, and
    means nothing.
    """

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
    output_bucket: str = ""
    output_prefix: str = ""
    output_region: str = ""
    service_role: str = ""
    notification: Notification | None = None
    log_group: LogGroup | None = None


@dataclass(frozen=True)
class Permitted:
    """
    What whoever sends a command may reach: *nodes* says to which of some it may be sent, *parameters* which of some names of
    parameters may be read. Both are units of work that only read.
    """

    nodes: Callable[[Scope, Sequence[str]], UnitOfWork[Set[str]]]
    parameters: Callable[[Scope, Sequence[str]], UnitOfWork[Set[str]]]


# What may be sent in somebody's name, who is kept as a text: None: everything.
Rights = Callable[[Scope, str, Request, float], UnitOfWork[Permitted | None]]


# How many seconds what is asked for takes on some nodes at most, as far as that is known.
Needs = Callable[[Scope, Request, Sequence[str]], UnitOfWork[Mapping[str, float]]]


@dataclass(frozen=True)
class Command:
    """
    A command as it stands. Times are epoch seconds.

    *content* is the document as it was sent; listings leave it empty. *resolved* are the parameters as nodes get them, where
    they are others than were given: `{{ssm:…}}` filled in. *owner* is in whose name it goes on; empty: root.
    """

    scope: Scope
    id: str
    request: Request
    content: Mapping[str, Any]
    principal: str
    requested_at: float
    expires_at: float
    detail: Detail
    target_count: int
    owner: str = ""
    execution_seconds: int = DEFAULT_TIMEOUT_SECONDS
    resolved: Mapping[str, Sequence[str]] | None = None
    completed_count: int = 0
    error_count: int = 0
    delivery_timed_out_count: int = 0

    @property
    def parameters(self) -> Mapping[str, Sequence[str]]:
        """The parameters as nodes get them."""
        return self.request.parameters if self.resolved is None else self.resolved


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
    """
    A command on one node. *steps* by name, as far as they were reported; *heard* is what `hear` makes of the replies.
    """

    scope: Scope
    command_id: str
    instance_id: str
    position: int
    detail: Detail
    released: bool
    requested_at: float
    due_at: float
    begin_by: float
    acknowledged_at: float | None
    deliveries: int
    response_code: int
    steps: Mapping[str, StepResult] = field(default_factory=dict)
    trace: str = ""
    ended_at: float | None = None
    cancel_id: str = ""
    heard: str = ""


@dataclass(frozen=True)
class Delivery:
    """
    A message on its way to a node: a command, or that one is cancelled (spec agent-protocol §6, §8.1, §8.2).

    *topic* says which; *message_id* is what the node acknowledges.
    """

    command_id: str
    instance_id: str
    requested_at: float
    payload: Mapping[str, Any]
    message_id: str
    topic: str


@dataclass(frozen=True)
class Reply:
    """A node's reply, read (spec agent-protocol §8.3)."""

    id: str
    command_id: str
    detail: Detail
    trace: str = ""
    steps: Mapping[str, StepResult] = field(default_factory=dict)


def hear(heard: str, reply_id: str) -> str:
    """
    What was *heard* of an invocation with this reply; the same text where it was heard before.

    As digests of the last `HEARD` of them: an older one that comes again finds that its steps are known.
    """
    digest = " " + blake2b(reply_id.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    return heard if digest in heard else (heard + digest)[-HEARD * len(digest) :]
