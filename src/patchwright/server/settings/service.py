# SPDX-License-Identifier: Apache-2.0
"""Use cases of service settings."""

from __future__ import annotations

from patchwright.server.accounts import Scope
from patchwright.server.infra import Clock, Database, UnitOfWork
from patchwright.server.settings import store
from patchwright.server.settings.model import DEFINITIONS, Setting, bare_id


class Service:
    """Settings of every account."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

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


def value(scope: Scope, setting_id: str) -> UnitOfWork[str]:
    """What a setting is in this account and region; a unit of work. Errors: UnknownSetting."""
    return (yield from _get(scope, bare_id(scope, setting_id))).value


def _get(scope: Scope, setting_id: str) -> UnitOfWork[Setting]:
    found = yield from store.find_setting(scope, setting_id)
    return found or Setting(setting_id, DEFINITIONS[setting_id].default)
