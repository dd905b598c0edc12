# SPDX-License-Identifier: Apache-2.0
"""Use cases of the accounts room."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from patchwright.server.accounts import store
from patchwright.server.accounts.identities import new_entity_id
from patchwright.server.accounts.key_service import new_secret
from patchwright.server.accounts.keys import MasterKey
from patchwright.server.accounts.model import AccessKey, Account, KeyTaken, root_arn
from patchwright.server.infra import Clock, Database, UnitOfWork


class Service:
    """Access keys of an installation."""

    def __init__(self, database: Database, clock: Clock, master: MasterKey) -> None:
        self._database = database
        self._clock = clock
        self._master = master

    async def key(self, key_id: str) -> AccessKey | None:
        """The active access key *key_id* with its secret, or None."""
        found = await self._database.read(store.find_key, key_id)
        if found is None:
            return None
        account, principal, sealed, owner = found
        return AccessKey(key_id, account, principal, self._master.unseal(sealed, label=key_id), owner)

    async def check_master_key(self) -> None:
        """Raise UnreadableMasterKey if the secrets in the database were sealed under another master key."""
        found = await self._database.read(store.any_key)
        if found is not None:
            self._master.unseal(found[1], label=found[0])

    async def ensure_root(
        self, account: str, *, key_id: str = "", secret: str = "", keep: Callable[[AccessKey], None]
    ) -> AccessKey | None:
        """
        See to it that *account* is there and has a root access key.

        Args:
            account: 12 digits.
            key_id: Together with *secret*, the pair to store; empty: make one if the account's root has no key.
            secret: See *key_id*.
            keep: Writes the key down for the operator. A made key is written down first and stored then: a start that dies
                in between leaves nobody with a key that nobody knows.

        Returns:
            The key, if one was stored now; None if the account had one already.

        Raises:
            KeyTaken: The given pair belongs to another account.
        """
        given = bool(key_id)
        await self._database.write(_ensure_account, Account(account, "root", "Active", self._clock.now()))
        if not given:
            if await self._database.read(store.has_keys, account):
                return None
            key_id, secret = new_entity_id("key"), new_secret()
        key = AccessKey(key_id, account, root_arn(account), secret)
        if not given:
            keep(key)
        sealed = self._master.seal(secret, label=key_id)
        if not await self._database.write(
            store.put_key, account, key_id, principal=key.principal, sealed=sealed, now=self._clock.now()
        ):
            msg = f"the access key {key_id} belongs to another account than {account}: give it another id"
            raise KeyTaken(msg)
        if given:
            keep(key)
        return key


def _ensure_account(account: Account) -> UnitOfWork[None]:
    if (yield from store.find_account(account.id)) is None:
        yield from store.put_account(account)


def write_credentials(path: Path, key: AccessKey, *, region: str) -> None:
    """Write *key* as an AWS shared-credentials file (profile `default`), readable for its owner only."""
    text = f"[default]\naws_access_key_id = {key.id}\naws_secret_access_key = {key.secret}\nregion = {region}\n"
    temporary = path.with_name(path.name + ".new")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
