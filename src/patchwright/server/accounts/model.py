# SPDX-License-Identifier: Apache-2.0
"""Whose resources a request is about, and the keys that sign for them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from patchwright.core.errors import PatchwrightError


class KeyTaken(PatchwrightError):
    """An access key's id that is another account's already."""


class Scope(NamedTuple):
    """The account and region that every resource belongs to (design §5)."""

    account: str
    region: str


class Account(NamedTuple):
    """An account of the installation. *state* is Active or Disabled."""

    id: str
    name: str
    state: str
    created_at: float


class KeyRecord(NamedTuple):
    """An access key without its secret. *used_at* is None while nobody has signed with it."""

    id: str
    account: str
    owner: str
    state: str
    created_at: float
    used_at: float | None
    used_service: str
    used_region: str


@dataclass(frozen=True)
class AccessKey:
    """
    An access key whose secret was unsealed to check a signature. The secret does not show in its repr.

    *owner* is the id of the user it belongs to, empty for an account's root.
    """

    id: str
    account: str
    principal: str
    secret: str = field(repr=False)
    owner: str = ""


@dataclass(frozen=True)
class Session:
    """
    What a session token says: somebody who signs with a key that ends by itself.

    *owner* is the id of the role or user whose rights it has, empty for root; *name* is the session's of a role. *origin* is
    the access key that the first session of a chain was asked for with: no session outlives it. *policies* are documents and
    *policy_arns* managed policies that must allow what the session does, beside those of its owner. *transitive* names the
    tags that a session made from this one has as well.

    A node's has the node's id as *owner*, the key that the node signed with as *origin*, and a *region*: it is good there only.
    """

    key_id: str
    account: str
    owner: str
    origin: str
    issued_at: float
    expires_at: float
    name: str = ""
    source_identity: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    transitive: tuple[str, ...] = ()
    policies: tuple[str, ...] = ()
    policy_arns: tuple[str, ...] = ()
    region: str = ""

    @property
    def limited(self) -> bool:
        """Whether it may do less than its owner."""
        return bool(self.policies or self.policy_arns)


@dataclass(frozen=True)
class Principal:
    """
    Who acts. *kind* is root, user, role or node; *id* never becomes another's: of root the account, of users and roles
    `AIDA…` and `AROA…`, of nodes `mi-…`. *key_id* signed, or is empty where nobody signed just now.
    """

    account: str
    arn: str
    kind: str
    id: str
    key_id: str = ""
    session: Session | None = None

    @property
    def user_id(self) -> str:
        """What GetCallerIdentity calls UserId: that of a role's session names the session."""
        return f"{self.id}:{self.session.name}" if self.session is not None and self.session.name else self.id


def root_arn(account: str) -> str:
    """The ARN of an account's root user."""
    return f"arn:aws:iam::{account}:root"


def session_arn(account: str, role: str, session: str) -> str:
    """The ARN of a role's session: the role's path is not in it."""
    return f"arn:aws:sts::{account}:assumed-role/{role}/{session}"
