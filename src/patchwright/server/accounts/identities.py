# SPDX-License-Identifier: Apache-2.0
"""
Users, roles and groups: what they are called, and what can go wrong with them. Pure.

    PatchwrightError
    └── IdentityError
        ├── UnknownEntity       no user, role, group, policy or key of this name
        ├── EntityTaken         the name is another's; names differ in more than case
        ├── EntityInUse         something hangs on it, which has to go first
        ├── TooManyEntities     a quota is used up
        └── InvalidEntity       what was asked makes no sense: a reserved tag, a boundary that is no policy
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from patchwright.core.errors import PatchwrightError
from patchwright.server.infra import note

USER, ROLE, GROUP = "user", "role", "group"
MOST_TAGS = 50
USUAL_SESSION = 3600  # seconds

_PREFIXES: Mapping[str, str] = {USER: "AIDA", ROLE: "AROA", GROUP: "AGPA", "policy": "ANPA", "key": "AKIA"}
_ID_BYTES = 10  # 16 letters of base32


class IdentityError(PatchwrightError):
    """What was asked of users, roles, groups, policies or keys could not be done."""


class UnknownEntity(IdentityError):
    """There is nothing of this name."""


class EntityTaken(IdentityError):
    """The name is another's already."""


class EntityInUse(IdentityError):
    """Something hangs on it, which has to go first."""


class TooManyEntities(IdentityError):
    """A quota is used up."""


class InvalidEntity(IdentityError):
    """What was asked makes no sense."""


@dataclass(frozen=True)
class Identity:
    """
    A user, role or group. *path* begins and ends with a slash.

    Of roles alone: *trust*, the document that says who may assume it, *trust_pins*, the ids of the users and roles that it
    names by ARN, and *session_seconds*. *boundary* is the ARN of the policy that limits it, or empty.
    """

    account: str
    kind: str
    id: str
    name: str
    path: str
    created_at: float
    description: str = ""
    trust: str = ""
    trust_pins: str = "{}"
    session_seconds: int = USUAL_SESSION
    boundary: str = ""

    @property
    def arn(self) -> str:
        """Its ARN."""
        return f"arn:aws:iam::{self.account}:{self.kind}{self.path}{self.name}"


def new_entity_id(kind: str) -> str:
    """An id that was never given before: `AIDA…` for users, `AROA…` roles, `AGPA…` groups, `ANPA…` policies, `AKIA…` keys."""
    return note(_PREFIXES[kind] + base64.b32encode(secrets.token_bytes(_ID_BYTES)).decode())


def check_tags(tags: Mapping[str, str]) -> None:
    """Raise unless an entity could carry *tags*: InvalidEntity, TooManyEntities."""
    seen: set[str] = set()
    for key in tags:
        if key.lower().startswith("aws:"):
            msg = f"Tag keys that start with aws: are reserved; {key!r} cannot be set."
            raise InvalidEntity(msg)
        if key.lower() in seen:
            msg = "Duplicate tag keys found. Please note that Tag keys are case insensitive."
            raise InvalidEntity(msg)
        seen.add(key.lower())
    if len(tags) > MOST_TAGS:
        msg = f"The number of tags has reached the maximum limit: {MOST_TAGS}."
        raise TooManyEntities(msg)


def unknown(kind: str, name: str) -> UnknownEntity:
    """Nobody of this *kind* has this *name*."""
    return UnknownEntity(f"The {kind} with name {name} cannot be found.")


def taken(kind: str, name: str) -> EntityTaken:
    """Somebody of this *kind* has this *name*."""
    return EntityTaken(f"{kind.capitalize()} with name {name} already exists.")


def in_use(what: str) -> EntityInUse:
    """*what*, a sentence's end, has to happen before it can be deleted."""
    return EntityInUse(f"Cannot delete entity, must {what} first.")


def too_many(what: str, quota: int) -> TooManyEntities:
    """More of *what* than the *quota*."""
    return TooManyEntities(f"Cannot exceed quota for {what}: {quota}.")
