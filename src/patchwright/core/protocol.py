# SPDX-License-Identifier: Apache-2.0
"""
The messages between agent and server.

Commands and replies have the shapes of amazon-ssm-agent (spec agent-protocol §6, §8). The patch exchange (design D4) is ours:

    agent                                   server
    BeginOperation  command, step, system → operation, snapshot, reboot option, sources | files to fetch
    PutOverrides    those files           → the same with sources
    PutFacts        before, facts         → missing digests | Next.RESOLVE intent | Next.REBOOT | Next.DONE report
    PutBodies       digest, body …        → (then PutFacts again)
    PutResolution   closure, reasons      → plan
    PutFacts        after, facts, reasons → missing digests | Next.REBOOT | Next.DONE report

Every message may be sent again: the server answers a repetition as it answered the first.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Dict, List, Mapping, Optional, Tuple, Type, TypeVar

from patchwright.core import source
from patchwright.core.errors import MalformedMessage
from patchwright.core.facts import NodeFacts
from patchwright.core.plan import Intent, Plan, Resolution, Wanted, actions_from_json, actions_to_json

# History of the agent protocol. Add a line, then raise the number; never edit a line.
#   1: 2026-11-20: enrolment, long poll, replies, patch exchange
#   2: 2026-11-20: BeginOperation answers the baseline's sources; facts say with which sources they were taken
#   3: 2026-11-20: BeginOperation answers Overrides, files to fetch; PutOverrides sends them and is answered like BeginOperation
#   4: 2026-11-20: PutOutput, pieces of what a step prints, answered with how far it is kept
#   5: 2026-11-20: BeginOperation takes a step's place in documents within documents, and answers whether it is wanted (still) and
#      until when; asked again before anything is changed. PutFacts carries a number, higher for facts that were taken later
PROTOCOL_VERSION = 5

MESSAGES_SERVICE = "ec2messages"
MESSAGES_PREFIX = "EC2WindowsMessageDeliveryService"
SSM_SERVICE = "ssm"
SSM_PREFIX = "AmazonSSM"
PATCHWRIGHT_SERVICE = "patchwright"
PATCHWRIGHT_PREFIX = "Patchwright"

SEND_COMMAND_TOPIC = "aws.ssm.sendCommand"
CANCEL_COMMAND_TOPIC = "aws.ssm.cancelCommand"
PATCH_ACTION = "patchwright:patch"  # the document action that runs a patch operation on our agent

LONG_POLL_SECONDS = 15  # spec agent-protocol §6: under the 20 s after which Amazon's agent gives a poll up
VISIBILITY_SECONDS = 10
MAX_REPLANS = 2  # design D4: drift makes a new plan at most twice
STDOUT_LIMIT = 24_000  # characters (spec §5.5)
STDERR_LIMIT = 8_000
TRUNCATED = "--output truncated--"
REASON_LIMIT = 2_000  # characters of one package's reason
REASONS_LIMIT = 20_000  # entries
OVERRIDE_LIMIT_BYTES = 256 * 1024  # of a file that is given for one operation


Kind = TypeVar("Kind")


class RebootOption(str, Enum):
    """When an Install restarts the node (spec §3.5)."""

    REBOOT_IF_NEEDED = "RebootIfNeeded"
    NO_REBOOT = "NoReboot"


class Phase(str, Enum):
    """Which facts a message carries: those an operation starts from, or those it ends with."""

    BEFORE = "before"
    AFTER = "after"


class Next(str, Enum):
    """What the node does next."""

    SEND_BODIES = "send-bodies"
    RESOLVE = "resolve"
    REBOOT = "reboot"
    DONE = "done"


@dataclass(frozen=True)
class Begun:
    """
    The answer to BeginOperation.

    *sources* stand in the place of the node's own repositories for this operation; without any its own are used. *files* are
    the URLs, by the parameter that names them, of what the node is to fetch and to send before anything else: with any, the
    sources are not known yet.

    *wanted* says whether the node is to go on: not, where the command is being cancelled. *not_after* is the server's time at which
    the command's own is up, 0 where nothing is known of it; nothing is begun after that.
    """

    operation_id: str
    operation: str
    snapshot_id: str
    reboot_option: RebootOption
    sources: source.Sources = ()
    files: Mapping[str, str] = field(default_factory=dict)
    wanted: bool = True
    not_after: float = 0.0

    def to_json(self) -> Dict[str, Any]:
        """The wire form."""
        return {
            "OperationId": self.operation_id,
            "Operation": self.operation,
            "SnapshotId": self.snapshot_id,
            "RebootOption": self.reboot_option.value,
            "Sources": source.to_json(self.sources),
            "Overrides": [{"Name": name, "Url": url} for name, url in sorted(self.files.items())],
            "Wanted": self.wanted,
            **({"NotAfter": self.not_after} if self.not_after else {}),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Begun:
        """Read the wire form; anything else raises MalformedMessage."""
        with _reading("the answer to BeginOperation"):
            return cls(
                _text(data, "OperationId"),
                _text(data, "Operation"),
                _text(data, "SnapshotId"),
                RebootOption(data["RebootOption"]),
                source.from_json(data.get("Sources", [])),
                {_text(row, "Name"): _text(row, "Url") for row in _typed(data.get("Overrides", []), list)},
                data.get("Wanted") is not False,
                _moment(data.get("NotAfter", 0.0)),
            )


@dataclass(frozen=True)
class FactsMessage:
    """
    PutFacts.

    *attempt* counts plans: 0 at first, one more each time drift made a new one necessary; *drift* says what had moved.
    *failures* by `name.arch`, after an Install: why the node could not do what the plan says. *acted_boot_id* is the boot
    during which it acted, empty if it did not. *number* counts the facts of an operation in the order they were taken in, 0 where
    the node does not count: what comes with a lower one than the server has heard has been held up on its way.
    """

    operation_id: str
    phase: Phase
    facts: NodeFacts
    attempt: int = 0
    drift: Tuple[str, ...] = ()
    failures: Mapping[str, str] = field(default_factory=dict)
    acted_boot_id: str = ""
    number: int = 0

    def to_json(self) -> Dict[str, Any]:
        """The wire form."""
        return {
            "OperationId": self.operation_id,
            "Phase": self.phase.value,
            "Facts": self.facts.to_json(),
            "Attempt": self.attempt,
            "Drift": list(self.drift),
            "Failures": dict(self.failures),
            "ActedBootId": self.acted_boot_id,
            "Number": self.number,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> FactsMessage:
        """Read the wire form; anything else raises MalformedMessage, unreadable facts MalformedFacts."""
        with _reading("PutFacts"):
            return cls(
                _text(data, "OperationId"),
                Phase(data["Phase"]),
                NodeFacts.from_json(data["Facts"]),
                _count(data.get("Attempt", 0)),
                tuple(text[:REASON_LIMIT] for text in _texts(data, "Drift")[:REASONS_LIMIT]),
                reasons(data.get("Failures", {})),
                _typed(data.get("ActedBootId", ""), str),
                _count(data.get("Number", 0)),
            )


@dataclass(frozen=True)
class Report:
    """How an operation ended, as the node's step reports it: the text is what a person reads in the command's output."""

    succeeded: bool
    text: str
    error: str = ""


@dataclass(frozen=True)
class Directive:
    """The answer to PutFacts. Only what belongs to *next* is set."""

    next: Next
    missing: Tuple[str, ...] = ()
    intent: Optional[Intent] = None
    report: Optional[Report] = None

    def to_json(self) -> Dict[str, Any]:
        """The wire form."""
        data: Dict[str, Any] = {"Next": self.next.value, "Missing": list(self.missing)}
        if self.intent is not None:
            data["Intent"] = intent_to_json(self.intent)
        if self.report is not None:
            data["Report"] = {
                "Succeeded": self.report.succeeded,
                "Text": self.report.text,
                "Error": self.report.error,
            }
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Directive:
        """Read the wire form; anything else raises MalformedMessage."""
        with _reading("the answer to PutFacts"):
            report, intent = data.get("Report"), data.get("Intent")
            return cls(
                Next(data["Next"]),
                _texts(data, "Missing"),
                intent_from_json(intent) if intent is not None else None,
                _report(report) if report is not None else None,
            )


def intent_to_json(intent: Intent) -> Dict[str, Any]:
    """The wire form of an intent."""
    return {
        "Wanted": [[item.name, item.arch, item.installed, item.version] for item in intent.wanted],
        "Blocked": list(intent.blocked),
        "DependencyOnly": list(intent.dependency_only),
    }


def intent_from_json(data: Mapping[str, Any]) -> Intent:
    """Read the wire form of an intent; anything else raises MalformedMessage."""
    with _reading("the intent"):
        wanted = tuple(Wanted(*_row(row, 4)) for row in _typed(data["Wanted"], list))
        return Intent(wanted, _texts(data, "Blocked"), _texts(data, "DependencyOnly"))


def resolution_to_json(resolution: Resolution) -> Dict[str, Any]:
    """The wire form of a resolution."""
    return {"Actions": actions_to_json(resolution.actions), "Unresolved": dict(resolution.unresolved)}


def resolution_from_json(data: Mapping[str, Any]) -> Resolution:
    """Read the wire form of a resolution; anything else raises MalformedMessage."""
    with _reading("the resolution"):
        return Resolution(actions_from_json(data["Actions"]), reasons(data.get("Unresolved", {})))


def plan_from_json(data: Mapping[str, Any]) -> Plan:
    """Read the answer to PutResolution; a plan that is not what its digest names raises MalformedMessage."""
    with _reading("the plan"):
        plan = Plan.from_json(data["Plan"])
        if plan.digest != data["PlanDigest"]:
            raise MalformedMessage("the plan is not the one its digest {} names".format(data["PlanDigest"]))
        return plan


def reasons(data: Any) -> Dict[str, str]:
    """A map of texts by `name.arch`, each cut to the limit; anything else raises MalformedMessage."""
    if not isinstance(data, dict) or len(data) > REASONS_LIMIT:
        raise MalformedMessage(f"the reasons are no object of at most {REASONS_LIMIT} entries")
    if not all(isinstance(text, str) for pair in data.items() for text in pair):
        raise MalformedMessage("the reasons are texts by name.arch")
    return {key[:REASON_LIMIT]: value[:REASON_LIMIT] for key, value in data.items()}


def message_id(command_id: str, instance_id: str) -> str:
    """The id of the message that delivers a command to a node (spec agent-protocol §6)."""
    return f"aws.ssm.{command_id}.{instance_id}"


def command_of(message: str) -> str:
    """The command id inside a message id; anything else raises MalformedMessage."""
    parts = message.split(".")
    if len(parts) != 4 or parts[:2] != ["aws", "ssm"] or not all(parts):
        raise MalformedMessage(f"{message[:120]!r} is no message id of a command")
    return parts[2]


def truncate(text: str, limit: int) -> str:
    """*text* cut to *limit* characters, the mark that says so included."""
    return text if len(text) <= limit else text[: limit - len(TRUNCATED)] + TRUNCATED


class _reading:  # noqa: N801 - reads as a verb where it stands
    """Turns what goes wrong while reading a message into one error that names the message."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if isinstance(error, (KeyError, TypeError, ValueError, IndexError, AttributeError)):
            raise MalformedMessage(f"{self.what} cannot be read: {error!r}") from None


def _text(data: Mapping[str, Any], name: str) -> str:
    value = data[name]
    if not isinstance(value, str) or not value:
        raise TypeError(f"{name} is no text")
    return value


def _texts(data: Mapping[str, Any], name: str) -> Tuple[str, ...]:
    value: List[Any] = _typed(data.get(name, []), list)
    return tuple(_typed(item, str) for item in value)


def _row(value: Any, length: int) -> Tuple[str, ...]:
    if len(_typed(value, list)) != length:
        raise ValueError(f"a row of {len(value)} texts where {length} belong")
    return tuple(_typed(item, str) for item in value)


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"a {type(value).__name__} where a count belongs")
    return value


def _moment(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e12:
        raise ValueError("what is no time in epoch seconds")
    return float(value)


def _report(data: Mapping[str, Any]) -> Report:
    return Report(_typed(data["Succeeded"], bool), _typed(data["Text"], str), _typed(data["Error"], str))


def _typed(value: Any, kind: Type[Kind]) -> Kind:
    if not isinstance(value, kind):
        raise TypeError(f"a {type(value).__name__} where a {kind.__name__} belongs")
    return value
