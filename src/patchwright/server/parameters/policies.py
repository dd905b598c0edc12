# SPDX-License-Identifier: Apache-2.0
"""Policies of a parameter: when it expires, and of what someone wants to be told."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from patchwright.server.parameters.errors import (
    IncompatiblePolicies,
    InvalidPolicies,
    InvalidPolicyAttribute,
    TooManyPolicies,
    UnknownPolicyType,
)

MOST = 10
EXPIRATION = "Expiration"

_NUMBER = re.compile(r"[1-9][0-9]{0,3}\Z")


def read(text: str, *, now: float) -> tuple[str, ...]:
    """
    The policies in *text*, a JSON array of objects, each as JSON without spaces; `[]` and `[{}]` are none.

    Errors: InvalidPolicies and the more precise ones below it.
    """
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, list) or not all(isinstance(policy, dict) for policy in given):
        msg = "Policies must be a JSON array of objects with Type, Version and Attributes."
        raise InvalidPolicies(msg)
    policies = [policy for policy in given if policy]
    if len(policies) > MOST:
        msg = f"A parameter can have at most {MOST} policies."
        raise TooManyPolicies(msg)
    for policy in policies:
        _check(policy, now)
    if sum(policy["Type"] == EXPIRATION for policy in policies) > 1:
        msg = "A parameter can have one Expiration policy."
        raise IncompatiblePolicies(msg)
    texts = tuple(json.dumps(policy, separators=(",", ":")) for policy in policies)
    if len(set(texts)) < len(texts):
        msg = "The same policy is given twice."
        raise IncompatiblePolicies(msg)
    return texts


def kind(policy: str) -> str:
    """The type of a policy that was read."""
    found: str = json.loads(policy)["Type"]
    return found


def expiry(policies: Sequence[str]) -> float | None:
    """When the parameter with these policies is deleted, in epoch seconds; None: never."""
    for policy in policies:
        read_back = json.loads(policy)
        if read_back["Type"] == EXPIRATION:
            return _moment(read_back["Attributes"]["Timestamp"])
    return None


def _check(policy: Mapping[str, Any], now: float) -> None:
    if not isinstance(policy.get("Type"), str) or policy["Type"] not in _ATTRIBUTES:
        msg = f"The policy type isn't supported; use {', '.join(_ATTRIBUTES)}."
        raise UnknownPolicyType(msg)
    wanted = _ATTRIBUTES[policy["Type"]]
    attributes = policy.get("Attributes")
    if set(policy) != {"Type", "Version", "Attributes"} or policy["Version"] != "1.0":
        msg = f"A policy of type {policy['Type']} has the members Type, Version (1.0) and Attributes."
        raise InvalidPolicyAttribute(msg)
    if not isinstance(attributes, dict) or set(attributes) != set(wanted):
        msg = f"A policy of type {policy['Type']} has the attributes {', '.join(wanted)}."
        raise InvalidPolicyAttribute(msg)
    for name, holds in wanted.items():
        if not isinstance(attributes[name], str) or not holds(attributes[name], now):
            msg = f"The attribute {name} of the policy {policy['Type']} isn't valid."
            raise InvalidPolicyAttribute(msg)


def _ahead(text: str, now: float) -> bool:
    moment = _moment(text)
    return moment is not None and moment > now


def _count(text: str, _now: float) -> bool:
    return _NUMBER.match(text) is not None


def _unit(text: str, _now: float) -> bool:
    return text in {"Days", "Hours"}


def _moment(text: str) -> float | None:
    """A moment with its offset from UTC, in epoch seconds; None where it is none."""
    try:
        moment = datetime.datetime.fromisoformat(text)
        return None if moment.tzinfo is None else moment.timestamp()
    except (ValueError, OverflowError):
        return None


_ATTRIBUTES: Mapping[str, Mapping[str, Callable[[str, float], bool]]] = {
    EXPIRATION: {"Timestamp": _ahead},
    "ExpirationNotification": {"Before": _count, "Unit": _unit},
    "NoChangeNotification": {"After": _count, "Unit": _unit},
}
