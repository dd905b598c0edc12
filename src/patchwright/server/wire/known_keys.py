# SPDX-License-Identifier: Apache-2.0
"""Access keys that were looked up a moment ago."""

from __future__ import annotations

from collections.abc import Callable

from .sigv4 import Credential, Lookup

LASTING_SECONDS = 0.5  # a key that is revoked is refused everywhere within a second
_KEPT = 8192


class KnownKeys:
    """
    A lookup that remembers for `LASTING_SECONDS` what another found: clients ask many things in a row.

    What was not found is not remembered: a key that is made works at once. Times are of *monotonic*, in seconds.
    """

    def __init__(self, lookup: Lookup, monotonic: Callable[[], float]) -> None:
        self._lookup = lookup
        self._monotonic = monotonic
        self._known: dict[str, tuple[float, Credential]] = {}

    async def find(self, access_key_id: str) -> Credential | None:
        """The credential of a key, or None."""
        now = self._monotonic()
        known = self._known.get(access_key_id)
        if known is not None and known[0] > now:
            return known[1]
        self._known.pop(access_key_id, None)
        found = await self._lookup(access_key_id)
        if found is not None:
            self._known[access_key_id] = (now + LASTING_SECONDS, found)
            while len(self._known) > _KEPT:
                del self._known[next(iter(self._known))]
        return found
