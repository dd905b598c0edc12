# SPDX-License-Identifier: Apache-2.0
"""Managed policies: an account's own, and those that come with the product. How large documents may be. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from patchwright.server.accounts import policy
from patchwright.server.accounts.identities import GROUP, ROLE, USER, too_many

MOST_VERSIONS = 5
MOST_ATTACHED = 20  # to one user, role or group
LARGEST = 6_144  # characters of a managed policy, without white space
LARGEST_TRUST = 4_096
LARGEST_INLINE: Mapping[str, int] = {USER: 2_048, ROLE: 10_240, GROUP: 5_120}  # of all inline policies together
READY_PREFIX = "arn:aws:iam::aws:policy/"
_READY_SINCE = 1_795_132_800.0  # 2026-11-20


@dataclass(frozen=True)
class ManagedPolicy:
    """A managed policy. Versions count from 1 and are never counted again."""

    account: str
    id: str
    arn: str
    name: str
    path: str
    description: str
    default_version: int
    last_version: int
    created_at: float
    modified_at: float


@dataclass(frozen=True)
class PolicyVersion:
    """One text of a managed policy."""

    number: int
    document: str
    created_at: float


def ready_document(arn: str) -> str | None:
    """The text of a policy that comes with the product, or None."""
    return policy.MANAGED.get(arn.removeprefix(READY_PREFIX)) if arn.startswith(READY_PREFIX) else None


def ready_policies() -> list[ManagedPolicy]:
    """What comes with the product, in order of name."""
    return [_ready(name) for name in sorted(policy.MANAGED)]


def ready(arn: str) -> ManagedPolicy | None:
    """The policy of the product with this ARN, or None."""
    return _ready(arn.removeprefix(READY_PREFIX)) if ready_document(arn) is not None else None


def ready_version(arn: str) -> PolicyVersion:
    """The one version there is of a policy of the product."""
    return PolicyVersion(1, ready_document(arn) or "", _READY_SINCE)


def _ready(name: str) -> ManagedPolicy:
    return ManagedPolicy(
        "aws", f"ANPA{name.upper()[:17]:A<17}", READY_PREFIX + name, name, "/", "", 1, 1, _READY_SINCE, _READY_SINCE
    )


def check(document: str, largest: int, what: str) -> None:
    """Raise unless *document* is a policy of an identity: MalformedPolicy, TooManyEntities where it is too large."""
    if policy.size(document) > largest:
        raise too_many(what, largest)
    policy.parse(document)
