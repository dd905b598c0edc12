# SPDX-License-Identifier: Apache-2.0
"""Access keys that were looked up a moment ago."""

from __future__ import annotations

from collections.abc import Callable

from .sigv4 import Credential, Lookup, SessionLookup, no_sessions

LASTING_SECONDS = 0.5  # a key that is revoked is refused everywhere within a second
_KEPT = 8192


class KnownKeys:
    """
    Lookups that remember for `LASTING_SECONDS` what others found: clients ask many things in a row.

    What was not found is not remembered: a key that is made works at once. Nor are public keys, for a node uses another one as
    soon as it was told that it may, and asks for no more than a session with it. Times are of *monotonic*, in seconds.
    """

    def __init__(
        self, lookup: Lookup, monotonic: Callable[[], float], *, sessions: SessionLookup = no_sessions
    ) -> None:
        self._lookup = lookup
        self._sessions = sessions
        self._monotonic = monotonic
        self._known: dict[str | tuple[str, str], tuple[float, Credential]] = {}

    async def find(self, access_key_id: str) -> Credential | None:
        """The credential of a key, or None."""
        known = self._remembered(access_key_id)
        return known or self._keep(access_key_id, await self._lookup(access_key_id))

    async def find_session(self, access_key_id: str, token: str) -> Credential | None:
        """The credential of a session's key and its token, or None."""
        known = self._remembered((access_key_id, token))
        return known or self._keep((access_key_id, token), await self._sessions(access_key_id, token))

    def _remembered(self, key: str | tuple[str, str]) -> Credential | None:
        known = self._known.get(key)
        if known is not None and known[0] > self._monotonic():
            return known[1]
        self._known.pop(key, None)
        return None

    def _keep(self, key: str | tuple[str, str], found: Credential | None) -> Credential | None:
        if found is not None and not found.public_keys:
            self._known[key] = (self._monotonic() + LASTING_SECONDS, found)
            while len(self._known) > _KEPT:
                del self._known[next(iter(self._known))]
        return found
