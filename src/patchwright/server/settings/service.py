# SPDX-License-Identifier: Apache-2.0
"""Use cases of service settings and resource policies."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from patchwright.server.accounts import Scope
from patchwright.server.config import Quotas
from patchwright.server.infra import Clock, Database, UnitOfWork, new_uuid
from patchwright.server.settings import store
from patchwright.server.settings.model import (
    DEFINITIONS,
    InvalidPolicyParameter,
    PolicyConflict,
    PolicyLimit,
    Resource,
    ResourcePolicy,
    Setting,
    UnknownPolicy,
    bare_id,
    check_policy,
)

Require = Callable[[], UnitOfWork[Resource]]
"""A unit of work that raises unless a resource exists, and says what it is."""


class Service:
    """Settings and policies of every account."""

    def __init__(self, database: Database, clock: Clock, quotas: Quotas) -> None:
        self._database = database
        self._clock = clock
        self._quotas = quotas

    async def get(self, scope: Scope, setting_id: str) -> Setting:
        """The setting with this id or ARN. Errors: UnknownSetting."""
        return await self._database.read(_get, scope, bare_id(scope, setting_id))

    async def update(self, scope: Scope, setting_id: str, value: str, *, principal: str) -> None:
        """Set a setting for the account and region. Errors: UnknownSetting, UnsuitableValue."""
        bare = bare_id(scope, setting_id)
        DEFINITIONS[bare].check(bare, value)
        await self._database.write(store.put_setting, scope, Setting(bare, value, self._clock.now(), principal))

    async def reset(self, scope: Scope, setting_id: str) -> Setting:
        """Give a setting its default; returns it. Errors: UnknownSetting."""
        bare = bare_id(scope, setting_id)
        await self._database.write(store.remove_setting, scope, bare)
        return Setting(bare, DEFINITIONS[bare].default)

    async def put_policy(
        self, scope: Scope, arn: str, policy: str, *, require: Require, policy_id: str = "", policy_hash: str = ""
    ) -> ResourcePolicy:
        """
        Give a resource a new policy, or with *policy_id* and *policy_hash* a policy of it a new version.

        Args:
            scope: Whose resource it is.
            arn: The resource.
            policy: A policy document.
            require: Makes sure of the resource, in the same transaction.
            policy_id: The policy to be replaced; empty: a new one.
            policy_hash: The version to be replaced.

        Errors: MalformedPolicy, PolicyLimit, InvalidPolicyParameter, UnknownPolicy, PolicyConflict; those of *require*.
        """
        check_policy(policy)
        if bool(policy_id) != bool(policy_hash):
            msg = "PolicyId and PolicyHash go together: both to replace a policy, none to make one."
            raise InvalidPolicyParameter(msg, "PolicyHash" if policy_id else "PolicyId")
        fresh = ResourcePolicy(arn, new_uuid(), _hash(policy, new_uuid()), policy, self._clock.now(), self._clock.now())
        limit = self._quotas.policies_per_resource
        return await self._database.write(
            _put_policy, scope, fresh, require, policy_id=policy_id, policy_hash=policy_hash, limit=limit
        )

    async def policies(
        self, scope: Scope, arn: str, *, require: Require, after: str, limit: int
    ) -> list[ResourcePolicy]:
        """Up to *limit* policies of a resource whose id comes after *after*, in order of id. Errors: those of *require*."""
        return await self._database.read(_policies, scope, arn, require, after=after, limit=limit)

    async def delete_policy(
        self, scope: Scope, arn: str, *, require: Require, policy_id: str, policy_hash: str
    ) -> None:
        """Remove a policy, as the version *policy_hash*. Errors: UnknownPolicy, PolicyConflict; those of *require*."""
        await self._database.write(_delete_policy, scope, arn, require, policy_id=policy_id, policy_hash=policy_hash)


def value(scope: Scope, setting_id: str) -> UnitOfWork[str]:
    """What a setting is in this account and region; a unit of work. Errors: UnknownSetting."""
    return (yield from _get(scope, bare_id(scope, setting_id))).value


def forget(scope: Scope, arn: str) -> UnitOfWork[None]:
    """Remove every policy of a resource that is going away; a unit of work."""
    yield from store.remove_policies(scope, arn)


def _get(scope: Scope, setting_id: str) -> UnitOfWork[Setting]:
    found = yield from store.find_setting(scope, setting_id)
    return found or Setting(setting_id, DEFINITIONS[setting_id].default)


def _put_policy(
    scope: Scope, fresh: ResourcePolicy, require: Require, *, policy_id: str, policy_hash: str, limit: int
) -> UnitOfWork[ResourcePolicy]:
    kind = yield from require()
    arn = fresh.resource_arn
    if policy_id:
        stored = yield from _current(scope, arn, policy_id, policy_hash)
        fresh = ResourcePolicy(arn, stored.id, fresh.hash, fresh.policy, stored.created_at, fresh.modified_at)
    else:
        most = 1 if kind is Resource.OPS_ITEM_GROUP else limit
        if len((yield from store.policies(scope, arn, limit=most))) >= most:
            msg = f"{arn} can have at most {most} policies: replace one, with its PolicyId and PolicyHash."
            raise PolicyLimit(msg, limit=most, what="PoliciesPerResource")
    yield from store.put_policy(scope, fresh)
    return fresh


def _policies(scope: Scope, arn: str, require: Require, *, after: str, limit: int) -> UnitOfWork[list[ResourcePolicy]]:
    yield from require()
    return (yield from store.policies(scope, arn, after=after, limit=limit))


def _delete_policy(scope: Scope, arn: str, require: Require, *, policy_id: str, policy_hash: str) -> UnitOfWork[None]:
    yield from require()
    stored = yield from _current(scope, arn, policy_id, policy_hash)
    yield from store.remove_policies(scope, arn, stored.id)


def _current(scope: Scope, arn: str, policy_id: str, policy_hash: str) -> UnitOfWork[ResourcePolicy]:
    stored = yield from store.find_policy(scope, arn, policy_id)
    if stored is None:
        raise UnknownPolicy(policy_id)
    if stored.hash != policy_hash:
        msg = "The policy was changed meanwhile: read it again, and say its PolicyHash."
        raise PolicyConflict(msg)
    return stored


def _hash(policy: str, salt: str) -> str:
    """What names a version: two of the same text are told apart, so that who undid whose change cannot be mistaken."""
    return hashlib.sha256(f"{salt}\n{policy}".encode()).hexdigest()
