# SPDX-License-Identifier: Apache-2.0
"""Use cases of users, roles and groups. Each is one transaction; names are found whatever their case."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from patchwright.server.accounts import identity_store, policy, policy_store, store, trust
from patchwright.server.accounts.identities import (
    GROUP,
    ROLE,
    USER,
    Identity,
    UnknownEntity,
    check_tags,
    in_use,
    new_entity_id,
    taken,
    too_many,
    unknown,
)
from patchwright.server.accounts.managed import LARGEST_TRUST
from patchwright.server.accounts.policy_service import require_attachable
from patchwright.server.config import Quotas
from patchwright.server.infra import Clock, Database, UnitOfWork

_MOST_GROUPS = 10  # of one user


class Identities:
    """Users, roles and groups of every account."""

    def __init__(self, database: Database, clock: Clock, quotas: Quotas) -> None:
        self._database = database
        self._clock = clock
        self._most = {USER: quotas.users, ROLE: quotas.roles, GROUP: quotas.user_groups}

    async def create(
        self,
        account: str,
        kind: str,
        name: str,
        *,
        path: str = "/",
        tags: Mapping[str, str] | None = None,
        **more: str | int,
    ) -> Identity:
        """
        Make a user, role or group.

        Args:
            account: Whose.
            kind: USER, ROLE or GROUP.
            name: Its name.
            path: Where it is, from slash to slash.
            tags: Its tags.
            more: Further fields of Identity: `description`, `trust`, `session_seconds`, `boundary`.

        Errors: EntityTaken, TooManyEntities, InvalidEntity, MalformedPolicy, UnknownEntity for a boundary that is no policy.
        """
        check_tags(tags or {})
        made = Identity(account, kind, new_entity_id(kind), name, path, self._clock.now(), **more)  # type: ignore[arg-type]
        await self._database.write(_create, made, dict(tags or {}), most=self._most[kind])
        return made

    async def get(self, account: str, kind: str, name: str) -> tuple[Identity, dict[str, str]]:
        """One, with its tags. Errors: UnknownEntity."""
        return await self._database.read(_with_tags, account, kind, name)

    async def page(self, account: str, kind: str, *, prefix: str, after: str, limit: int) -> list[Identity]:
        """Up to *limit* below a path, whose names in lower case come after *after*, in that order."""
        return await self._database.read(identity_store.page, account, kind, prefix=prefix, after=after, limit=limit)

    async def move(self, account: str, kind: str, name: str, *, new_name: str = "", new_path: str = "") -> None:
        """Give one another name or path; its keys and sessions go on. Errors: UnknownEntity, EntityTaken."""
        await self._database.write(_move, account, kind, name, new_name=new_name, new_path=new_path)

    async def describe(
        self, account: str, role: str, *, description: str | None = None, session_seconds: int | None = None
    ) -> Identity:
        """Change what is given of a role. Errors: UnknownEntity."""
        given = {"description": description, "session_seconds": session_seconds}
        fields = {field: value for field, value in given.items() if value is not None}
        return await self._database.write(_change, account, ROLE, role, fields)

    async def set_trust(self, account: str, role: str, document: str) -> None:
        """Say anew who may assume a role. Errors: UnknownEntity, MalformedPolicy, TooManyEntities where it is too long."""
        await self._database.write(_set_trust, account, role, document)

    async def set_boundary(self, account: str, kind: str, name: str, arn: str) -> None:
        """Limit a user or role by a managed policy; empty: no more. Errors: UnknownEntity."""
        await self._database.write(_set_boundary, account, kind, name, arn)

    async def delete(self, account: str, kind: str, name: str) -> None:
        """Delete one on which nothing hangs; sessions of a role end with it. Errors: UnknownEntity, EntityInUse."""
        await self._database.write(_delete, account, kind, name)

    async def tag(self, account: str, kind: str, name: str, tags: Mapping[str, str]) -> None:
        """Set tags. Errors: UnknownEntity, InvalidEntity, TooManyEntities."""
        await self._database.write(_tag, account, kind, name, dict(tags))

    async def untag(self, account: str, kind: str, name: str, keys: Sequence[str]) -> None:
        """Remove tags; keys that are not there are passed over. Errors: UnknownEntity."""
        await self._database.write(_untag, account, kind, name, list(keys))

    async def join(self, account: str, group: str, user: str) -> None:
        """Put a user into a group. Errors: UnknownEntity, TooManyEntities."""
        await self._database.write(_join, account, group, user)

    async def leave(self, account: str, group: str, user: str) -> None:
        """Take a user out of a group. Errors: UnknownEntity, also where it is not in it."""
        await self._database.write(_leave, account, group, user)

    async def members(self, account: str, group: str, *, after: str, limit: int) -> tuple[Identity, list[Identity]]:
        """A group, and up to *limit* of its users. Errors: UnknownEntity."""
        return await self._database.read(_members, account, group, after=after, limit=limit)

    async def groups_of(self, account: str, user: str, *, after: str, limit: int) -> list[Identity]:
        """Up to *limit* groups of a user. Errors: UnknownEntity."""
        return await self._database.read(_groups_of, account, user, after=after, limit=limit)


def require(account: str, kind: str, name: str) -> UnitOfWork[Identity]:
    """The one of this name; a unit of work. Errors: UnknownEntity."""
    found = yield from identity_store.find(account, kind, name)
    if found is None:
        raise unknown(kind, name)
    return found


def _create(made: Identity, tags: Mapping[str, str], *, most: int) -> UnitOfWork[None]:
    if (yield from identity_store.count(made.account, made.kind)) >= most:
        raise too_many(f"{made.kind.capitalize()}sPerAccount", most)
    if made.kind == ROLE:
        made = dataclasses.replace(made, trust_pins=(yield from _pins(made.trust)))
    if made.boundary:
        yield from require_attachable(made.account, made.boundary)
    if not (yield from identity_store.put(made)):
        raise taken(made.kind, made.name)
    yield from identity_store.put_tags(made.account, made.id, tags)


def _pins(document: str) -> UnitOfWork[str]:
    """The ids of the users and roles that a trust names by ARN, as JSON; each has to be there."""
    if policy.size(document) > LARGEST_TRUST:
        raise too_many("ACLSizePerRole", LARGEST_TRUST)
    pins: dict[str, str] = {}
    for arn in trust.named(document):
        place = trust.entity(arn)
        found = (yield from identity_store.find(*place)) if place else None
        if place and (found is None or found.arn != arn):
            raise trust.invalid_principal(arn)
        if found is not None:
            pins[arn] = found.id
    return trust.write_pins(pins)


def _with_tags(account: str, kind: str, name: str) -> UnitOfWork[tuple[Identity, dict[str, str]]]:
    found = yield from require(account, kind, name)
    return found, (yield from identity_store.tags(account, found.id))


def _change(account: str, kind: str, name: str, fields: Mapping[str, object]) -> UnitOfWork[Identity]:
    found = yield from require(account, kind, name)
    changed = dataclasses.replace(found, **fields)  # type: ignore[arg-type]
    yield from identity_store.change(changed)
    return changed


def _move(account: str, kind: str, name: str, *, new_name: str, new_path: str) -> UnitOfWork[None]:
    found = yield from require(account, kind, name)
    changed = dataclasses.replace(found, name=new_name or found.name, path=new_path or found.path)
    other = yield from identity_store.find(account, kind, changed.name)
    if other is not None and other.id != found.id:
        raise taken(kind, changed.name)
    yield from identity_store.change(changed)
    yield from store.rename_owner(account, found.id, changed.arn)


def _set_trust(account: str, role: str, document: str) -> UnitOfWork[None]:
    pins = yield from _pins(document)
    yield from _change(account, ROLE, role, {"trust": document, "trust_pins": pins})


def _set_boundary(account: str, kind: str, name: str, arn: str) -> UnitOfWork[None]:
    if arn:
        yield from require_attachable(account, arn)
    yield from _change(account, kind, name, {"boundary": arn})


def _delete(account: str, kind: str, name: str) -> UnitOfWork[None]:
    found = yield from require(account, kind, name)
    if (yield from policy_store.attached(account, found.id)):
        raise in_use("detach all policies")
    if (yield from policy_store.inline(account, found.id)):
        raise in_use("delete policies")
    if kind == USER:
        if (yield from store.keys_of(account, found.id)):
            raise in_use("delete access keys")
        if (yield from identity_store.groups_of(account, found.id, limit=1)):
            raise in_use("remove users from group")
    if kind == GROUP and (yield from identity_store.members(account, found.id, after="", limit=1)):
        raise in_use("remove users from group")
    yield from identity_store.remove(account, found.id)


def _tag(account: str, kind: str, name: str, tags: Mapping[str, str]) -> UnitOfWork[None]:
    found = yield from require(account, kind, name)
    check_tags({**(yield from identity_store.tags(account, found.id)), **tags})
    yield from identity_store.put_tags(account, found.id, tags)


def _untag(account: str, kind: str, name: str, keys: Sequence[str]) -> UnitOfWork[None]:
    found = yield from require(account, kind, name)
    yield from identity_store.remove_tags(account, found.id, keys)


def _join(account: str, group: str, user: str) -> UnitOfWork[None]:
    joined, member = (yield from require(account, GROUP, group)), (yield from require(account, USER, user))
    present = yield from identity_store.groups_of(account, member.id)
    if joined.id not in {one.id for one in present} and len(present) >= _MOST_GROUPS:
        raise too_many("GroupsPerUser", _MOST_GROUPS)
    yield from identity_store.join(account, joined.id, member.id)


def _leave(account: str, group: str, user: str) -> UnitOfWork[None]:
    left, member = (yield from require(account, GROUP, group)), (yield from require(account, USER, user))
    if not (yield from identity_store.leave(account, left.id, member.id)):
        msg = f"User {user} is not in group {group}."
        raise UnknownEntity(msg)


def _members(account: str, group: str, *, after: str, limit: int) -> UnitOfWork[tuple[Identity, list[Identity]]]:
    found = yield from require(account, GROUP, group)
    return found, (yield from identity_store.members(account, found.id, after=after, limit=limit))


def _groups_of(account: str, user: str, *, after: str, limit: int) -> UnitOfWork[list[Identity]]:
    found = yield from require(account, USER, user)
    return (yield from identity_store.groups_of(account, found.id, after=after, limit=limit))
