# SPDX-License-Identifier: Apache-2.0
"""Who gets through to the operations, and how often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from patchwright.server.infra import Clock

from .errors import ApiError, throttled
from .proxies import Proxies
from .rates import Rate, Rates
from .replays import Replays
from .sigv4 import WINDOW, Claim

# What an agent falls silent without is delayed, never refused (design D9): these, as long as a few wait at most.
DELAYED = frozenset({"AmazonSSM.UpdateInstanceInformation", "AmazonSSM.RequestManagedInstanceRoleToken"})
_WAITING = 4  # requests of one key
_LONGEST_SECONDS = 20.0


@dataclass(frozen=True)
class Bounds:
    """
    How much is asked of the server by whom, and how far the clocks of those who ask may be off.

    *users* and *nodes* are for each key. *strangers* is for each address: what is not signed, or not by a key that is known.
    *clock_skew* in seconds, to either side.
    """

    users: Rate = field(default_factory=lambda: Rate(1_000, 5_000))
    nodes: Rate = field(default_factory=lambda: Rate(50, 1_000))
    strangers: Rate = field(default_factory=lambda: Rate(500, 5_000))
    clock_skew: float = WINDOW
    proxies: Proxies = field(default_factory=Proxies)


class Gate:
    """Refuses what was asked before, and who asks too often."""

    def __init__(self, bounds: Bounds, clock: Clock, *, replays: Replays | None = None) -> None:
        self._clock = clock
        self._replays = Replays(window=bounds.clock_skew) if replays is None else replays
        self._users = Rates(bounds.users, clock.monotonic)
        self._nodes = Rates(bounds.nodes, clock.monotonic)
        self._strangers = Rates(bounds.strangers, clock.monotonic)
        self._waiting: Counter[str] = Counter()

    async def admit(self, claim: Claim, headers: Mapping[bytes, bytes], *, source: str, target: str) -> None:
        """
        Let a request pass whose signature is proved, later where that has to be.

        Raises ApiError: InvalidSignatureException (it was made before), ThrottlingException.
        """
        self._replays.admit(claim, headers, source=source, target=target, now=self._clock.now())
        key = claim.credential.access_key_id
        rates = self._nodes if claim.credential.kind == "node" else self._users
        wait = rates.take(key)
        if wait > 0:
            await self._later(rates, key, target, wait)

    def stranger(self, source: str) -> None:
        """Let a request pass that is not signed. Raises ApiError (ThrottlingException)."""
        wait = self._strangers.take(source)
        if wait > 0:
            raise throttled("Rate exceeded", seconds=wait)

    def failed(self, source: str) -> ApiError | None:
        """Note a request from *source* that proved nothing. After too many, all that it is told is that they are too many."""
        wait = self._strangers.take(source)
        return throttled("Rate exceeded", seconds=wait) if wait > 0 else None

    async def _later(self, rates: Rates, key: str, target: str, wait: float) -> None:
        if target not in DELAYED or self._waiting[key] >= _WAITING or wait > _LONGEST_SECONDS:
            raise throttled("Rate exceeded", seconds=wait)
        rates.charge(key)
        self._waiting[key] += 1
        try:
            await self._clock.sleep(wait)
        finally:
            self._waiting[key] -= 1
            if not self._waiting[key]:
                del self._waiting[key]
