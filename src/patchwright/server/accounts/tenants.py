# SPDX-License-Identifier: Apache-2.0
"""Use cases of accounts: the installation's first makes and disables the others."""

from __future__ import annotations

import secrets

from patchwright.core.errors import PatchwrightError
from patchwright.server.accounts import store
from patchwright.server.accounts.identities import new_entity_id
from patchwright.server.accounts.key_service import new_secret
from patchwright.server.accounts.keys import MasterKey
from patchwright.server.accounts.model import AccessKey, Account, root_arn
from patchwright.server.infra import Clock, Database, UnitOfWork, note

ACTIVE, DISABLED = "Active", "Disabled"


class UnknownAccount(PatchwrightError):
    """The installation has no account with this id."""


class FirstAccount(PatchwrightError):
    """The installation's first account, which cannot be disabled: nobody could enable it again."""


class Tenants:
    """The accounts of an installation. *first* is the id of the one that it began with."""

    def __init__(self, database: Database, clock: Clock, master: MasterKey, *, first: str) -> None:
        self._database = database
        self._clock = clock
        self._master = master
        self.first = first

    async def create(self, name: str) -> tuple[Account, AccessKey]:
        """A new account, and its root's access key, whose secret is shown this once."""
        key_id, secret, now = new_entity_id("key"), new_secret(), self._clock.now()
        sealed = self._master.seal(secret, label=key_id)
        made = False
        while not made:
            account = Account(note(f"{secrets.randbelow(9 * 10**11) + 10**11}"), name, ACTIVE, now)
            made = await self._database.write(_create, account, key_id, sealed=sealed)
        return account, AccessKey(key_id, account.id, root_arn(account.id), secret)

    async def page(self, *, after: str, limit: int) -> list[Account]:
        """Up to *limit* accounts whose id comes after *after*, in order."""
        return await self._database.read(store.accounts, after=after, limit=limit)

    async def disable(self, account: str) -> Account:
        """
        Disable an account: within a second its keys, sessions and nodes are refused everywhere.

        Errors: UnknownAccount, FirstAccount.
        """
        if account == self.first:
            msg = f"The account {account} is the installation's first and cannot be disabled."
            raise FirstAccount(msg)
        return await self._set_state(account, DISABLED)

    async def enable(self, account: str) -> Account:
        """Let a disabled account be active again. Errors: UnknownAccount."""
        return await self._set_state(account, ACTIVE)

    async def _set_state(self, account: str, state: str) -> Account:
        found = await self._database.write(store.set_account_state, account, state)
        if found is None:
            msg = f"There is no account {account}."
            raise UnknownAccount(msg)
        return found

    async def active(self, account: str) -> bool:
        """Whether requests for an account are answered."""
        return await self._database.read(is_active, account)


def is_active(account: str) -> UnitOfWork[bool]:
    """Whether requests for an account are answered; a unit of work."""
    found = yield from store.find_account(account)
    return found is None or found.state == ACTIVE


def _create(account: Account, key_id: str, *, sealed: bytes) -> UnitOfWork[bool]:
    if (yield from store.has_keys(account.id)) or not (yield from store.put_account(account)):
        return False
    yield from store.put_key(account.id, key_id, principal=root_arn(account.id), sealed=sealed, now=account.created_at)
    return True
