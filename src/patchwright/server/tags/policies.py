# SPDX-License-Identifier: Apache-2.0
"""
Resource policies (spec §1.15): what else hangs on a resource and goes with it.

Units of work, composed in the transaction that has made sure that the resource exists. Policies are kept and listed; who may
call what is decided elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from patchwright.core.errors import PatchwrightError
from patchwright.server.accounts import Scope
from patchwright.server.infra import UnitOfWork
from patchwright.server.tags import policy_store as store

POLICY_BYTES = 1024  # of one policy, UTF-8 (the model, at ResourcePolicyLimitExceededException)


class MalformedPolicy(PatchwrightError):
    """A policy that is no policy document."""


class InvalidPolicyParameter(PatchwrightError):
    """Parameters that do not go together, or name what carries no policy. *names* are those of the request."""

    def __init__(self, message: str, *names: str) -> None:
        super().__init__(message)
        self.names = names


class PolicyLimit(PatchwrightError):
    """A policy that is too large, or one too many. *limit* is how much there may be of *what*."""

    def __init__(self, message: str, *, limit: int, what: str) -> None:
        super().__init__(message)
        self.limit = limit
        self.what = what


class UnknownPolicy(PatchwrightError):
    """The resource has no policy with this id."""

    def __init__(self, policy_id: str) -> None:
        super().__init__(f"The resource has no policy {policy_id[:100]!r}.")


class PolicyConflict(PatchwrightError):
    """The policy is another version than the one that was named: somebody else changed it."""


@dataclass(frozen=True)
class ResourcePolicy:
    """One version of a policy of a resource. Times are epoch seconds."""

    id: str
    hash: str
    policy: str
    created_at: float
    modified_at: float


def policies(
    scope: Scope, resource_type: str, resource_id: str, *, after: str = "", limit: int
) -> UnitOfWork[list[ResourcePolicy]]:
    """Up to *limit* policies of a resource whose id comes after *after*, in order of id."""
    rows = yield from store.policies(scope, resource_type, resource_id, after=after, limit=limit)
    return [ResourcePolicy(*row) for row in rows]


def put_policy(
    scope: Scope, resource_type: str, resource_id: str, fresh: ResourcePolicy, *, replaces: tuple[str, str], limit: int
) -> UnitOfWork[ResourcePolicy]:
    """
    Give a resource a policy, or a policy of it a new version; returns it as it is stored.

    Args:
        scope: Whose resource it is.
        resource_type: Of a resource that exists.
        resource_id: The same.
        fresh: What `new_policy` made.
        replaces: Id and hash of the version that it replaces; both empty: none.
        limit: How many policies the resource may have.

    Errors: UnknownPolicy, PolicyConflict, InvalidPolicyParameter, PolicyLimit.
    """
    policy_id, policy_hash = replaces
    if bool(policy_id) != bool(policy_hash):
        msg = "PolicyId and PolicyHash go together: both to replace a policy, none to make one."
        raise InvalidPolicyParameter(msg, "PolicyHash" if policy_id else "PolicyId")
    if policy_id:
        stored = yield from _current(scope, resource_type, resource_id, policy_id, policy_hash)
        fresh = replace(fresh, id=stored.id, created_at=stored.created_at)
    elif len((yield from store.policies(scope, resource_type, resource_id, after="", limit=limit))) >= limit:
        msg = f"A {resource_type} can have at most {limit} policies: replace one, with its PolicyId and PolicyHash."
        raise PolicyLimit(msg, limit=limit, what="PoliciesPerResource")
    row = (fresh.id, fresh.hash, fresh.policy, fresh.created_at, fresh.modified_at)
    yield from store.put_policy(scope, resource_type, resource_id, row)
    return fresh


def remove_policy(
    scope: Scope, resource_type: str, resource_id: str, policy_id: str, policy_hash: str
) -> UnitOfWork[None]:
    """Remove a policy, as the version *policy_hash*. Errors: UnknownPolicy, PolicyConflict."""
    stored = yield from _current(scope, resource_type, resource_id, policy_id, policy_hash)
    yield from store.remove_policy(scope, resource_type, resource_id, stored.id)


def new_policy(text: str, *, fresh_id: str, salt: str, now: float) -> ResourcePolicy:
    """
    A policy that is about to be put; errors: MalformedPolicy, PolicyLimit.

    *salt* tells two versions of the same text apart, so that who undid whose change cannot be mistaken.
    """
    check_policy(text)
    return ResourcePolicy(fresh_id, hashlib.sha256(f"{salt}\n{text}".encode()).hexdigest(), text, now, now)


def check_policy(text: str) -> None:
    """
    Raise unless *text* can be a resource's policy: MalformedPolicy, PolicyLimit.

    A policy document is a JSON object with statements, each with Effect, Principal and Action.
    """
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > POLICY_BYTES:
        msg = f"A resource policy has at most {POLICY_BYTES} bytes; this one has {size}."
        raise PolicyLimit(msg, limit=POLICY_BYTES, what="PolicySize")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        msg = "The policy is no JSON."
        raise MalformedPolicy(msg) from None
    statements = document.get("Statement") if isinstance(document, dict) else None
    if isinstance(statements, dict):
        statements = [statements]
    if not isinstance(statements, list) or not statements:
        msg = "A policy is a JSON object with at least one Statement."
        raise MalformedPolicy(msg)
    for statement in statements:
        _check_statement(statement)


def _check_statement(statement: Any) -> None:
    if not isinstance(statement, dict):
        msg = "A statement of a policy is a JSON object."
        raise MalformedPolicy(msg)
    if statement.get("Effect") not in ("Allow", "Deny"):
        msg = "A statement's Effect is Allow or Deny."
        raise MalformedPolicy(msg)
    choices: Sequence[tuple[str, str]] = (("Principal", "NotPrincipal"), ("Action", "NotAction"))
    for one, other in choices:
        if not statement.get(one) and not statement.get(other):
            msg = f"A statement has a {one}."
            raise MalformedPolicy(msg)


def _current(
    scope: Scope, resource_type: str, resource_id: str, policy_id: str, policy_hash: str
) -> UnitOfWork[ResourcePolicy]:
    row = yield from store.find_policy(scope, resource_type, resource_id, policy_id)
    if row is None:
        raise UnknownPolicy(policy_id)
    stored = ResourcePolicy(*row)
    if stored.hash != policy_hash:
        msg = "The policy was changed meanwhile: read it again, and say its PolicyHash."
        raise PolicyConflict(msg)
    return stored
