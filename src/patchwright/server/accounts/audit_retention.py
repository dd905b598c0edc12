# SPDX-License-Identifier: Apache-2.0
"""
Letting go of what the audit trail has of long ago (docs/adr/0039).

A cut is announced first, by an entry that names the last seal that goes; what it names goes once that entry is under a seal itself.
So there is no moment at which something is missing and nothing says why, and whoever dies in between has begun what the next one
goes on with. In between lies a day, by the clock of the day after: one that is wrong for less than that, as of a machine that has
just been started, makes nothing go that was to be kept.
"""

from __future__ import annotations

from patchwright.core.audit import CUT, CUTTER, SUCCEEDED, Head, Seal
from patchwright.server.accounts import audit_store as store
from patchwright.server.accounts.audit import Act, Trail
from patchwright.server.accounts.audit_service import AuditService
from patchwright.server.infra import Clock, Database, new_uuid

RETENTION_SECONDS = 3_600.0
_CUT_SECONDS = 86_400.0  # between two cuts, and between what announces one and what it is about
_TOGETHER = 1_000  # entries that one transaction lets go


class Retention:
    """Keeps of the trail what *days* have sealed; 0: all of it."""

    def __init__(self, database: Database, clock: Clock, *, trail: Trail, service: AuditService, days: int) -> None:
        self._database = database
        self._clock = clock
        self._trail = trail
        self._service = service
        self._seconds = days * 86_400.0
        self._next = 0.0  # when this process announces again

    async def tend(self) -> int:
        """Let go of what was announced, and announce what comes next; returns how many seals are gone."""
        if not self._seconds:
            return 0
        found = await self._service.cut()
        now, gone = self._clock.now(), 0
        if found is not None and now >= found[1].at + _CUT_SECONDS and await self._is_old(found[0].number):
            while count := await self._database.write(store.let_go, found[0].number, entries=_TOGETHER):
                gone += count
        if now >= self._next and (found is None or now >= found[1].at + _CUT_SECONDS):
            await self._announce(0 if found is None else found[0].number)
            self._next = now + _CUT_SECONDS
        return gone

    async def _is_old(self, number: int) -> bool:
        """Whether a seal is there that is older than is kept: whoever announced that may have had another opinion of the time."""
        seal = await self._database.read(store.seal, number)
        return seal is not None and seal.sealed_at < self._clock.now() - self._seconds

    async def _announce(self, known: int) -> None:
        last = await self._newest_before(self._clock.now() - self._seconds)
        if last is None or last.number <= known:
            return
        act = Act(
            account=self._service.first,
            region="",
            principal=CUTTER,
            key_id="",
            source_ip="",
            target=CUT,
            request_id=new_uuid(),
            resources=(str(Head(last.number, last.hash)),),
        )
        await self._database.write(store.add, self._trail.marked(act, SUCCEEDED))

    async def _newest_before(self, moment: float) -> Seal | None:
        """The newest seal that was made before *moment*; seals are numbered in the order of their times."""
        found = await self._database.read(store.first_seal)
        last = await self._database.read(store.last_seal)
        if found is None or last is None or found.sealed_at >= moment:
            return None
        low, high = found.number, last.number
        while low < high:
            middle = (low + high + 1) // 2
            seal = await self._database.read(store.seal, middle)
            if seal is None:  # somebody took it away: nothing is let go of what cannot be proved
                return None
            if seal.sealed_at < moment:
                low, found = middle, seal
            else:
                high = middle - 1
        return found
