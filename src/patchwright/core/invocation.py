# SPDX-License-Identifier: Apache-2.0
"""
The life of a command on one node, and what the invocations of a command add up to (spec §5.2).

The detail is what is stored. `Status` and `StatusDetails` of the API are read from it.
"""

from __future__ import annotations

from collections import Counter
from enum import Enum
from typing import Iterable, Mapping

from patchwright.core.errors import ImpossibleTransition


class Detail(str, Enum):
    """StatusDetails of an invocation, of a step and of a command, spelt as on the wire."""

    PENDING = "Pending"
    DELAYED = "Delayed"
    IN_PROGRESS = "InProgress"
    CANCELLING = "Cancelling"
    SUCCESS = "Success"
    FAILED = "Failed"
    CANCELLED = "Cancelled"
    EXECUTION_TIMED_OUT = "ExecutionTimedOut"
    DELIVERY_TIMED_OUT = "DeliveryTimedOut"
    UNDELIVERABLE = "Undeliverable"
    TERMINATED = "Terminated"
    INVALID_PLATFORM = "InvalidPlatform"
    ACCESS_DENIED = "AccessDenied"
    INCOMPLETE = "Incomplete"
    NO_INSTANCES_IN_TAG = "NoInstancesInTag"
    LIMIT_EXCEEDED = "LimitExceeded"

    @property
    def status(self) -> str:
        """The Status that goes with it."""
        return _STATUS.get(self, self.value)

    @property
    def final(self) -> bool:
        """Whether nothing follows."""
        return self in FINAL


_STATUS = {
    Detail.EXECUTION_TIMED_OUT: "TimedOut",
    Detail.DELIVERY_TIMED_OUT: "TimedOut",
    Detail.UNDELIVERABLE: "Failed",
    Detail.TERMINATED: "Cancelled",
    Detail.INVALID_PLATFORM: "Failed",
    Detail.ACCESS_DENIED: "Failed",
    Detail.INCOMPLETE: "Failed",
    Detail.NO_INSTANCES_IN_TAG: "Success",
    Detail.LIMIT_EXCEEDED: "Failed",
}

_ENDS = frozenset({Detail.SUCCESS, Detail.FAILED, Detail.CANCELLED, Detail.EXECUTION_TIMED_OUT})

# What may follow what, for an invocation. A result that arrives before the start was reported skips InProgress.
TRANSITIONS: Mapping[Detail, frozenset[Detail]] = {
    Detail.PENDING: _ENDS
    | {
        Detail.DELAYED,
        Detail.IN_PROGRESS,
        Detail.CANCELLING,
        Detail.DELIVERY_TIMED_OUT,
        Detail.UNDELIVERABLE,
        Detail.TERMINATED,
        Detail.INVALID_PLATFORM,
        Detail.ACCESS_DENIED,
    },
    Detail.DELAYED: _ENDS
    | {Detail.IN_PROGRESS, Detail.CANCELLING, Detail.DELIVERY_TIMED_OUT, Detail.UNDELIVERABLE, Detail.TERMINATED},
    Detail.IN_PROGRESS: _ENDS | {Detail.CANCELLING, Detail.DELIVERY_TIMED_OUT, Detail.UNDELIVERABLE},
    Detail.CANCELLING: _ENDS | {Detail.DELIVERY_TIMED_OUT},
}

FINAL = frozenset(Detail) - TRANSITIONS.keys()
ERRORS = frozenset({Detail.FAILED, Detail.EXECUTION_TIMED_OUT})  # what counts to MaxErrors (spec §5.2)
UNREACHED = frozenset({Detail.UNDELIVERABLE, Detail.INVALID_PLATFORM, Detail.ACCESS_DENIED})


def advance(current: Detail, wanted: Detail) -> Detail:
    """
    The detail after *wanted* is reported while *current* is stored.

    A repeated report changes nothing. Anything else that may not follow raises ImpossibleTransition: a terminal state is final.
    """
    if wanted is current:
        return current
    if wanted not in TRANSITIONS.get(current, frozenset()):
        raise ImpossibleTransition(f"{wanted.value} cannot follow {current.value}")
    return wanted


def aggregate(details: Iterable[Detail], *, max_errors: int = 0, cancelling: bool = False) -> Detail:
    """The detail of a command, from those of its invocations, one a target; otherwise as `aggregate_counts`."""
    return aggregate_counts(Counter(details), max_errors=max_errors, cancelling=cancelling)


def aggregate_counts(counts: Mapping[Detail, int], *, max_errors: int = 0, cancelling: bool = False) -> Detail:
    """
    The detail of a command, from how many of its invocations stand how (spec §5.2).

    Args:
        counts: How many invocations have a detail; none at all means that the targets matched nothing.
        max_errors: How many errors are allowed, resolved to a number.
        cancelling: Whether the command was cancelled.
    """
    found = {detail for detail, number in counts.items() if number}
    if not found:
        return Detail.CANCELLED if cancelling else Detail.NO_INSTANCES_IN_TAG
    if not found <= FINAL:
        started = not found <= {Detail.PENDING, Detail.INVALID_PLATFORM, Detail.ACCESS_DENIED}  # which were never sent
        return Detail.CANCELLING if cancelling else Detail.IN_PROGRESS if started else Detail.PENDING
    if cancelling and Detail.CANCELLED in found:
        return Detail.CANCELLED
    if len(found) == 1 and found <= {Detail.DELIVERY_TIMED_OUT, Detail.ACCESS_DENIED}:
        return next(iter(found))
    reached = found - UNREACHED
    if not reached or sum(counts.get(detail, 0) for detail in ERRORS) > max_errors:
        return Detail.FAILED
    return Detail.SUCCESS if reached == {Detail.SUCCESS} else Detail.INCOMPLETE
