# SPDX-License-Identifier: Apache-2.0
"""What happened, in EventBridge's envelope (spec §7.7), and who wants to hear of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from patchwright.core.errors import PatchwrightError
from patchwright.server.accounts import Scope

_COMPACT = json.JSONEncoder(separators=(",", ":"))
_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
MOST_RESOURCES = 100  # named in one event
SOURCE = "aws.ssm"

COMMAND = "EC2 Command Status-change Notification"
COMMAND_INVOCATION = "EC2 Command Invocation Status-change Notification"
COMPLIANCE = "Configuration Compliance State Change"
PARAMETER = "Parameter Store Change"
PARAMETER_POLICY = "Parameter Store Policy Action"
WINDOW = "Maintenance Window State-change Notification"
WINDOW_TARGET = "Maintenance Window Target Registration Notification"
WINDOW_TASK = "Maintenance Window Task Registration Notification"
WINDOW_EXECUTION = "Maintenance Window Execution State-change Notification"
WINDOW_TASK_EXECUTION = "Maintenance Window Task Execution State-change Notification"
WINDOW_TASK_INVOCATION = "Maintenance Window Task Target Invocation State-change Notification"
DETAIL_TYPES = (
    COMMAND,
    COMMAND_INVOCATION,
    COMPLIANCE,
    PARAMETER,
    PARAMETER_POLICY,
    WINDOW,
    WINDOW_TARGET,
    WINDOW_TASK,
    WINDOW_EXECUTION,
    WINDOW_TASK_EXECUTION,
    WINDOW_TASK_INVOCATION,
)

EVENT = "Event"
NOTIFICATION = "Notification"
CALL = "Call"

PENDING = "Pending"
DELIVERED = "Delivered"
DEAD = "Dead"


class InvalidSubscription(PatchwrightError):
    """A subscription that cannot be: its pattern is none, or its address is not to be reached."""


class InvalidTopic(PatchwrightError):
    """The ARN of a topic that is none, or of which there is no subscription."""


class UnknownSubscription(PatchwrightError):
    """There is no subscription with this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no subscription {name[:128]!r}.")


class UnknownEvent(PatchwrightError):
    """There is no such event any more, or it was never to be delivered there."""


class TooManySubscriptions(PatchwrightError):
    """One subscription more than there may be."""


@dataclass(frozen=True)
class Event:
    """
    Something that happened. *subject* is what it is about, as a bare id; *at* is in epoch seconds.

    *sequence* counts the events of an account and region, in the order in which they are told; 0: not known yet.
    """

    scope: Scope
    id: str
    detail_type: str
    resources: tuple[str, ...]
    detail: Mapping[str, Any]
    at: float
    subject: str = ""
    sequence: int = 0

    @cached_property
    def envelope(self) -> dict[str, Any]:
        """The event as its readers get it."""
        return {
            "version": "0",
            "id": self.id,
            "detail-type": self.detail_type,
            "source": SOURCE,
            "account": self.scope.account,
            "time": iso_second(self.at),
            "region": self.scope.region,
            "resources": list(self.resources),
            "detail": dict(self.detail),
        }

    @property
    def text(self) -> str:
        """The envelope as one line of JSON, ASCII."""
        return compact(self.envelope)


@dataclass(frozen=True)
class Subscription:
    """
    Where events are sent. *pattern* is the JSON of an event pattern; empty: no event, only what is addressed to the name.

    *position* is the sequence of the last event that was looked at. The secret does not show in the repr.
    """

    scope: Scope
    name: str
    url: str
    secret: bytes = field(repr=False)
    pattern: str = ""
    description: str = ""
    enabled: bool = True
    position: int = 0
    created_at: float = 0.0
    modified_at: float = 0.0


@dataclass(frozen=True)
class Delivery:
    """
    Something that is to be sent to a subscription, or was. *id* is that of the event or message, the same each time.

    *body* is empty for an event that is read when it is sent. *code* is the status of the last answer, 0: there was none.
    """

    scope: Scope
    subscription: str
    id: str
    kind: str
    body: str
    state: str
    attempts: int
    created_at: float
    due_at: float
    until: float
    code: int = 0
    reason: str = ""
    ended_at: float | None = None


def derived_id(*parts: object) -> str:
    """
    The id of an event that follows from what it tells of: the same again for the same *parts*, in the form of a UUID.

    For units of work, which may run twice.
    """
    digits = hashlib.sha256("\0".join(map(str, parts)).encode("utf-8", "surrogatepass")).hexdigest()
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-8{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:32]}"


def ids_in_time(now: float, *parts: object) -> Callable[[str], str]:
    """
    Ids of events of one moment that are told of many: of each name the same again for the same moment and *parts*.

    In the form of a UUID (version 7), which sorts by the time: what is written at once is stored at one place (docs/adr/0041).
    """
    milliseconds = f"{int(now * 1000) & 0xFFFFFFFFFFFF:012x}"
    begun = hashlib.sha256("\0".join(map(str, parts)).encode("utf-8", "surrogatepass") + b"\0")

    def named(name: str) -> str:
        digest = begun.copy()
        digest.update(name.encode("utf-8", "surrogatepass"))
        digits = digest.hexdigest()
        variant = _VARIANT[digits[3]]
        return f"{milliseconds[:8]}-{milliseconds[8:]}-7{digits[:3]}-{variant}{digits[4:7]}-{digits[7:19]}"

    return named


def node_arn(scope: Scope, instance_id: str) -> str:
    """The ARN by which events name a node."""
    if instance_id.startswith("i-"):
        return f"arn:aws:ec2:{scope.region}:{scope.account}:instance/{instance_id}"
    return managed_arn(scope, instance_id)


def managed_arn(scope: Scope, instance_id: str) -> str:
    """The ARN by which events of compliance name a node, whatever kind it is of."""
    return f"arn:aws:ssm:{scope.region}:{scope.account}:managed-instance/{instance_id}"


def window_arn(scope: Scope, window_id: str) -> str:
    """The ARN of a maintenance window."""
    return f"arn:aws:ssm:{scope.region}:{scope.account}:maintenancewindow/{window_id}"


def subject_of(resources: Sequence[str]) -> str:
    """What an event with these resources is about: the first one's bare id."""
    return resources[0].rpartition("/")[2] if resources else ""


def iso_second(moment: float) -> str:
    """*moment* as events tell it, to the second: `2026-11-20T04:00:00Z`."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def iso_millis(moment: float) -> str:
    """*moment* as the details of events tell it: `2026-11-20T04:00:00.123Z`."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def compact(value: Any) -> str:
    """*value* as JSON on one line, ASCII."""
    return _COMPACT.encode(value)


def quoted(value: str) -> str:
    """A text as JSON, ASCII; `compact` of many of them."""
    return json.encoder.encode_basestring_ascii(value)
