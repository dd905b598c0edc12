# SPDX-License-Identifier: Apache-2.0
"""Use cases of access keys: of users, and of an account's root."""

from __future__ import annotations

import secrets
import string

from patchwright.server.accounts import identity_store, store
from patchwright.server.accounts.identities import USER, UnknownEntity, new_entity_id, too_many, unknown
from patchwright.server.accounts.keys import MasterKey
from patchwright.server.accounts.model import AccessKey, KeyRecord, root_arn
from patchwright.server.infra import Clock, Database, UnitOfWork

MOST_KEYS = 2  # of one user: one in use, one that replaces it
NOTE_SECONDS = 30.0  # how often uses are written down
_SECRET_ALPHABET = string.ascii_letters + string.digits + "+/"
_SECRET_LENGTH = 40
_MOST_NOTED = 10_000


def new_secret() -> str:
    """A secret access key of 40 characters, as AWS's."""
    return "".join(secrets.choice(_SECRET_ALPHABET) for _ in range(_SECRET_LENGTH))


class Keys:
    """
    Access keys. A key is a user's, by name, or (empty name) the root's of its account.

    What was used last is remembered and written down every `NOTE_SECONDS` by `write_uses`.
    """

    def __init__(self, database: Database, clock: Clock, master: MasterKey) -> None:
        self._database = database
        self._clock = clock
        self._master = master
        self._uses: dict[str, tuple[float, str, str]] = {}

    async def create(self, account: str, user: str) -> tuple[AccessKey, float]:
        """A new key with its secret, which is shown this once, and its time. Errors: UnknownEntity, TooManyEntities."""
        key_id, secret, now = new_entity_id("key"), new_secret(), self._clock.now()
        sealed = self._master.seal(secret, label=key_id)
        principal, owner = await self._database.write(_create, account, user, key_id, sealed=sealed, now=now)
        return AccessKey(key_id, account, principal, secret, owner), now

    async def list(self, account: str, user: str) -> list[KeyRecord]:
        """The keys of a user, in order of id. Errors: UnknownEntity."""
        return await self._database.read(_keys, account, user)

    async def set_state(self, account: str, user: str, key_id: str, state: str) -> None:
        """Make a key Active or Inactive: what it signs is refused everywhere within a second. Errors: UnknownEntity."""
        await self._database.write(_set_state, account, user, key_id, state)

    async def delete(self, account: str, user: str, key_id: str) -> None:
        """Delete a key: what it signs is refused everywhere within a second. Errors: UnknownEntity."""
        await self._database.write(_delete, account, user, key_id)

    async def last_used(self, account: str, key_id: str) -> tuple[KeyRecord, str]:
        """A key of the account and whose it is (empty: root's). Errors: UnknownEntity."""
        record, user = await self._database.read(_last_used, account, key_id)
        noted = self._uses.get(key_id)
        if noted is not None:
            used_at, service, region = noted
            record = record._replace(used_at=used_at, used_service=service, used_region=region)
        return record, user

    def note(self, key_id: str, service: str, region: str) -> None:
        """Remember that a key was used now."""
        if key_id in self._uses or len(self._uses) < _MOST_NOTED:
            self._uses[key_id] = (self._clock.now(), service, region)

    async def write_uses(self) -> None:
        """Write down what was noted."""
        uses, self._uses = self._uses, {}
        if uses:
            rows = [(key_id, *use) for key_id, use in sorted(uses.items())]
            await self._database.write(store.note_uses, rows)


def _owner(account: str, user: str) -> UnitOfWork[tuple[str, str]]:
    """The ARN and the id of who a key is for."""
    if not user:
        return root_arn(account), ""
    found = yield from identity_store.find(account, USER, user)
    if found is None:
        raise unknown(USER, user)
    return found.arn, found.id


def _create(account: str, user: str, key_id: str, *, sealed: bytes, now: float) -> UnitOfWork[tuple[str, str]]:
    principal, owner = yield from _owner(account, user)
    if len((yield from store.keys_of(account, owner))) >= MOST_KEYS:
        raise too_many("AccessKeysPerUser", MOST_KEYS)
    yield from store.put_key(account, key_id, principal=principal, sealed=sealed, now=now, owner=owner)
    return principal, owner


def _keys(account: str, user: str) -> UnitOfWork[list[KeyRecord]]:
    _, owner = yield from _owner(account, user)
    return (yield from store.keys_of(account, owner))


def _set_state(account: str, user: str, key_id: str, state: str) -> UnitOfWork[None]:
    _, owner = yield from _owner(account, user)
    if not (yield from store.set_key_state(account, owner, key_id, state)):
        raise _unknown(key_id)


def _delete(account: str, user: str, key_id: str) -> UnitOfWork[None]:
    _, owner = yield from _owner(account, user)
    if not (yield from store.remove_key(account, owner, key_id)):
        raise _unknown(key_id)


def _last_used(account: str, key_id: str) -> UnitOfWork[tuple[KeyRecord, str]]:
    record = yield from store.key_record(key_id)
    if record is None or record.account != account:
        raise _unknown(key_id)
    found = (yield from identity_store.by_id(account, record.owner)) if record.owner else None
    return record, found.name if found is not None else ""


def _unknown(key_id: str) -> UnknownEntity:
    return UnknownEntity(f"The Access Key with id {key_id} cannot be found.")
