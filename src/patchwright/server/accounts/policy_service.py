# SPDX-License-Identifier: Apache-2.0
"""Use cases of policies: managed ones with their versions, what they are attached to, and inline ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from patchwright.server.accounts import identity_store, managed, policy_store
from patchwright.server.accounts.identities import (
    EntityInUse,
    EntityTaken,
    InvalidEntity,
    TooManyEntities,
    UnknownEntity,
    check_tags,
    new_entity_id,
    too_many,
    unknown,
)
from patchwright.server.accounts.managed import ManagedPolicy, PolicyVersion
from patchwright.server.accounts.policy import size as policy_size
from patchwright.server.config import Quotas
from patchwright.server.infra import Clock, Database, UnitOfWork


class Policies:
    """Managed policies of every account; those of the product (`arn:aws:iam::aws:policy/…`) can be read by all."""

    def __init__(self, database: Database, clock: Clock, quotas: Quotas) -> None:
        self._database = database
        self._clock = clock
        self._most = quotas.policies

    async def create(
        self, account: str, name: str, document: str, *, path: str, description: str, tags: Mapping[str, str]
    ) -> ManagedPolicy:
        """Make a policy. Errors: EntityTaken, TooManyEntities, InvalidEntity, MalformedPolicy."""
        check_tags(tags)
        managed.check(document, managed.LARGEST, "PolicySize")
        now, arn = self._clock.now(), f"arn:aws:iam::{account}:policy{path}{name}"
        made = ManagedPolicy(account, new_entity_id("policy"), arn, name, path, description, 1, 1, now, now)
        await self._database.write(_create, made, PolicyVersion(1, document, now), dict(tags), most=self._most)
        return made

    async def get(self, account: str, arn: str) -> tuple[ManagedPolicy, int, dict[str, str]]:
        """A policy, to how many it is attached, and its tags. Errors: UnknownEntity."""
        return await self._database.read(_get, account, arn)

    async def page(self, account: str, *, prefix: str, after: str, limit: int) -> list[tuple[ManagedPolicy, int]]:
        """Up to *limit* of the account's own, in order of name in lower case, and to how many each is attached."""
        return await self._database.read(_page, account, prefix=prefix, after=after, limit=limit)

    async def ready(self, account: str) -> list[tuple[ManagedPolicy, int]]:
        """Those of the product, and to how many of the account each is attached."""
        found = managed.ready_policies()
        counts = await self._database.read(policy_store.attachments, account, [one.arn for one in found])
        return [(one, counts[one.arn]) for one in found]

    async def delete(self, account: str, arn: str) -> None:
        """Delete a policy that is attached to nothing and has one version. Errors: UnknownEntity, EntityInUse."""
        await self._database.write(_delete, account, arn)

    async def add_version(self, account: str, arn: str, document: str, *, default: bool) -> PolicyVersion:
        """Another text, the one that counts if *default*. Errors: UnknownEntity, TooManyEntities, MalformedPolicy."""
        managed.check(document, managed.LARGEST, "PolicySize")
        return await self._database.write(_add_version, account, arn, document, default=default, now=self._clock.now())

    async def versions(self, account: str, arn: str) -> tuple[ManagedPolicy, list[PolicyVersion]]:
        """A policy and its versions, the newest first. Errors: UnknownEntity."""
        return await self._database.read(_versions, account, arn)

    async def set_default(self, account: str, arn: str, number: int) -> None:
        """Let another version count. Errors: UnknownEntity."""
        await self._database.write(_set_default, account, arn, number, now=self._clock.now())

    async def delete_version(self, account: str, arn: str, number: int) -> None:
        """Delete a version that does not count. Errors: UnknownEntity, EntityInUse."""
        await self._database.write(_delete_version, account, arn, number)

    async def tag(self, account: str, arn: str, tags: Mapping[str, str]) -> None:
        """Set tags. Errors: UnknownEntity, InvalidEntity, TooManyEntities."""
        await self._database.write(_tag, account, arn, dict(tags))

    async def untag(self, account: str, arn: str, keys: Sequence[str]) -> None:
        """Remove tags. Errors: UnknownEntity."""
        await self._database.write(_untag, account, arn, list(keys))


class Attachments:
    """What hangs on users, roles and groups: managed policies, and inline ones. Errors of all: UnknownEntity."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def attach(self, account: str, kind: str, name: str, arn: str) -> None:
        """Attach a managed policy; once is enough. Errors: TooManyEntities."""
        await self._database.write(_attach, account, kind, name, arn)

    async def detach(self, account: str, kind: str, name: str, arn: str) -> None:
        """Detach one."""
        await self._database.write(_detach, account, kind, name, arn)

    async def attached(self, account: str, kind: str, name: str) -> list[str]:
        """The ARNs of what is attached, in order."""
        return await self._database.read(_attached, account, kind, name)

    async def attached_to(self, account: str, arn: str, *, after: str, limit: int) -> list[tuple[str, str, str]]:
        """Id, kind and name of up to *limit* that have a policy, in order of id."""
        return await self._database.read(_attached_to, account, arn, after=after, limit=limit)

    async def put(self, account: str, kind: str, name: str, *, policy: str, document: str) -> None:
        """Store an inline policy, or another text of one. Errors: MalformedPolicy, TooManyEntities."""
        managed.check(document, managed.LARGEST_INLINE[kind], f"{kind.capitalize()}PolicySize")
        await self._database.write(_put, account, kind, name, policy=policy, document=document)

    async def inline(self, account: str, kind: str, name: str) -> dict[str, str]:
        """Inline documents by name, in order."""
        return await self._database.read(_inline, account, kind, name)

    async def remove(self, account: str, kind: str, name: str, policy: str) -> None:
        """Remove an inline policy."""
        await self._database.write(_remove, account, kind, name, policy)


def require_attachable(account: str, arn: str) -> UnitOfWork[None]:
    """Raise UnknownEntity unless *arn* is a policy of the product, or of the account."""
    if managed.ready(arn) is None and (yield from policy_store.find(account, arn)) is None:
        msg = f"Policy {arn} does not exist or is not attachable."
        raise UnknownEntity(msg)


# -- managed


def _own(account: str, arn: str) -> UnitOfWork[ManagedPolicy]:
    found = yield from policy_store.find(account, arn)
    if found is None:
        if managed.ready(arn) is not None:
            msg = f"Policy {arn} comes with the product and cannot be changed."
            raise InvalidEntity(msg)
        raise _unknown(arn)
    return found


def _any(account: str, arn: str) -> UnitOfWork[ManagedPolicy]:
    found = managed.ready(arn) or (yield from policy_store.find(account, arn))
    if found is None:
        raise _unknown(arn)
    return found


def _unknown(arn: str) -> UnknownEntity:
    return UnknownEntity(f"Policy {arn} was not found.")


def _unknown_version(number: int) -> UnknownEntity:
    return UnknownEntity(f"Policy version v{number} does not exist.")


def _create(made: ManagedPolicy, version: PolicyVersion, tags: Mapping[str, str], *, most: int) -> UnitOfWork[None]:
    if (yield from policy_store.count(made.account)) >= most:
        raise too_many("PoliciesPerAccount", most)
    if not (yield from policy_store.put(made)):
        msg = f"A policy called {made.name} already exists. Duplicate names are not allowed."
        raise EntityTaken(msg)
    yield from policy_store.put_version(made.account, made.id, version)
    yield from identity_store.put_tags(made.account, made.id, tags)


def _get(account: str, arn: str) -> UnitOfWork[tuple[ManagedPolicy, int, dict[str, str]]]:
    found = yield from _any(account, arn)
    counts = yield from policy_store.attachments(account, [found.arn])
    return found, counts[found.arn], (yield from identity_store.tags(account, found.id))


def _page(account: str, *, prefix: str, after: str, limit: int) -> UnitOfWork[list[tuple[ManagedPolicy, int]]]:
    found = yield from policy_store.page(account, prefix=prefix, after=after, limit=limit)
    counts = yield from policy_store.attachments(account, [one.arn for one in found])
    return [(one, counts[one.arn]) for one in found]


def _delete(account: str, arn: str) -> UnitOfWork[None]:
    found = yield from _own(account, arn)
    counts = yield from policy_store.attachments(account, [found.arn])
    if counts[found.arn] or (yield from identity_store.with_boundary(account, found.arn)):
        msg = "Cannot delete a policy attached to entities."
        raise EntityInUse(msg)
    if len((yield from policy_store.versions(account, found.id))) > 1:
        msg = (
            "This policy has more than one version. Before you delete a policy, you must delete the policy's versions."
            " The default version is deleted with the policy."
        )
        raise EntityInUse(msg)
    yield from policy_store.remove(account, found.id)


def _add_version(account: str, arn: str, document: str, *, default: bool, now: float) -> UnitOfWork[PolicyVersion]:
    found = yield from _own(account, arn)
    if len((yield from policy_store.versions(account, found.id))) >= managed.MOST_VERSIONS:
        msg = (
            f"A managed policy can have up to {managed.MOST_VERSIONS} versions. Before you create a new version, you must"
            " delete an existing version."
        )
        raise TooManyEntities(msg)
    made = PolicyVersion(found.last_version + 1, document, now)
    yield from policy_store.put_version(account, found.id, made)
    changed = dataclasses.replace(found, last_version=made.number, modified_at=now)
    yield from policy_store.change(dataclasses.replace(changed, default_version=made.number) if default else changed)
    return made


def _versions(account: str, arn: str) -> UnitOfWork[tuple[ManagedPolicy, list[PolicyVersion]]]:
    found = yield from _any(account, arn)
    if managed.ready(arn) is not None:
        return found, [managed.ready_version(arn)]
    return found, (yield from policy_store.versions(account, found.id))


def _set_default(account: str, arn: str, number: int, *, now: float) -> UnitOfWork[None]:
    found = yield from _own(account, arn)
    if number not in {one.number for one in (yield from policy_store.versions(account, found.id))}:
        raise _unknown_version(number)
    yield from policy_store.change(dataclasses.replace(found, default_version=number, modified_at=now))


def _delete_version(account: str, arn: str, number: int) -> UnitOfWork[None]:
    found = yield from _own(account, arn)
    if number not in {one.number for one in (yield from policy_store.versions(account, found.id))}:
        raise _unknown_version(number)
    if number == found.default_version:
        msg = "Cannot delete the default version of a policy."
        raise EntityInUse(msg)
    yield from policy_store.remove_version(account, found.id, number)


def _tag(account: str, arn: str, tags: Mapping[str, str]) -> UnitOfWork[None]:
    found = yield from _own(account, arn)
    check_tags({**(yield from identity_store.tags(account, found.id)), **tags})
    yield from identity_store.put_tags(account, found.id, tags)


def _untag(account: str, arn: str, keys: Sequence[str]) -> UnitOfWork[None]:
    found = yield from _own(account, arn)
    yield from identity_store.remove_tags(account, found.id, keys)


# -- what hangs on users, roles and groups


def _require(account: str, kind: str, name: str) -> UnitOfWork[str]:
    found = yield from identity_store.find(account, kind, name)
    if found is None:
        raise unknown(kind, name)
    return found.id


def _attach(account: str, kind: str, name: str, arn: str) -> UnitOfWork[None]:
    owner = yield from _require(account, kind, name)
    yield from require_attachable(account, arn)
    present = yield from policy_store.attached(account, owner)
    if arn not in present and len(present) >= managed.MOST_ATTACHED:
        raise too_many(f"PoliciesPer{kind.capitalize()}", managed.MOST_ATTACHED)
    yield from policy_store.attach(account, owner, arn)


def _detach(account: str, kind: str, name: str, arn: str) -> UnitOfWork[None]:
    owner = yield from _require(account, kind, name)
    if not (yield from policy_store.detach(account, owner, arn)):
        raise _unknown(arn)


def _attached(account: str, kind: str, name: str) -> UnitOfWork[list[str]]:
    owner = yield from _require(account, kind, name)
    return (yield from policy_store.attached(account, owner))


def _attached_to(account: str, arn: str, *, after: str, limit: int) -> UnitOfWork[list[tuple[str, str, str]]]:
    found = yield from _any(account, arn)
    return (yield from policy_store.attached_to(account, found.arn, after=after, limit=limit))


def _put(account: str, kind: str, name: str, *, policy: str, document: str) -> UnitOfWork[None]:
    owner = yield from _require(account, kind, name)
    documents = {**(yield from policy_store.inline(account, owner)), policy: document}
    largest = managed.LARGEST_INLINE[kind]
    if sum(map(policy_size, documents.values())) > largest:
        msg = f"Maximum policy size of {largest} bytes exceeded for {kind} {name}"
        raise TooManyEntities(msg)
    yield from policy_store.put_inline(account, owner, policy, document)


def _inline(account: str, kind: str, name: str) -> UnitOfWork[dict[str, str]]:
    owner = yield from _require(account, kind, name)
    return (yield from policy_store.inline(account, owner))


def _remove(account: str, kind: str, name: str, policy: str) -> UnitOfWork[None]:
    owner = yield from _require(account, kind, name)
    if not (yield from policy_store.remove_inline(account, owner, policy)):
        msg = f"The {kind} policy with name {policy} cannot be found."
        raise UnknownEntity(msg)
