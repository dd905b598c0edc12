# SPDX-License-Identifier: Apache-2.0
"""
Brings events to those who subscribed: at least once each, with the same id each time, and no one waits for another.

Everything is rows (design D9): any process may go on where another ended. A delivery is claimed for a while, sent, and
settled; what was claimed by a process that ended is sent again by the next.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import structlog

from patchwright.server.accounts import MasterKey, Scope, UnreadableMasterKey
from patchwright.server.events import delivery_store, signature, store
from patchwright.server.events.emitting import number_waiting
from patchwright.server.events.model import DEAD, DELIVERED, EVENT, PENDING, Delivery, Event, Subscription
from patchwright.server.events.notifying import KEPT_TRYING_SECONDS
from patchwright.server.events.pattern import InvalidPattern, compiled
from patchwright.server.events.sending import SECONDS, Answer, Postman
from patchwright.server.events.subscriptions import seal_label
from patchwright.server.infra import Clock, Database, InfraError, UnitOfWork, backoff

STEP_SECONDS = 0.25
KEPT_SECONDS = 14 * 86400.0
TIDY_SECONDS = 600.0

_LOOKED_AT = 200  # events at a time, for each account and region
_TOGETHER = 4  # sent to one subscription at a time; to one that failed last, one
_AT_ONCE = 64  # subscriptions that are served at a time,
_OF_ACCOUNT = 16  # and those of one account among them
_ROUNDS = 50  # after which a subscription lets others have its turn
_CLAIMED_SECONDS = 6 * SECONDS
_FIRST_PAUSE, _LONGEST_PAUSE = 4.0, 3600.0
_GONE = 410
_TIDIED_TOGETHER = 500

_log = structlog.get_logger("patchwright.events")


class Courier:
    """Numbers what happened, finds whom it concerns, and sends it there. One for a process; several processes share the work."""

    def __init__(self, database: Database, clock: Clock, *, master: MasterKey, postman: Postman) -> None:
        self._database = database
        self._clock = clock
        self._master = master
        self._postman = postman
        self._served: dict[tuple[Scope, str], asyncio.Task[None]] = {}
        self._turns: dict[tuple[Scope, str], float] = {}  # when it was each one's turn
        self._failing: set[tuple[Scope, str]] = set()

    async def close(self) -> None:
        """Send nothing more. What was under way is sent again by whoever comes next."""
        tasks = list(self._served.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def step(self) -> None:
        """Number what waits, share it out, and begin to send what is due."""
        await number_waiting(self._database)
        await self.share_out()
        now = self._clock.now()
        waiting = await self._database.read(delivery_store.waiting, now=now, latest=now + KEPT_TRYING_SECONDS)
        self._turns = {key: turn for key, turn in self._turns.items() if key in waiting}
        accounts = Counter(scope.account for scope, _ in self._served)
        for key in sorted(waiting, key=lambda one: self._turns.get(one, 0.0)):
            account = key[0].account
            if key not in self._served and len(self._served) < _AT_ONCE and accounts[account] < _OF_ACCOUNT:
                accounts[account] += 1
                self._turns[key] = now
                task = self._served[key] = asyncio.create_task(self._serve(*key))
                task.add_done_callback(lambda _, key=key: self._served.pop(key, None))  # type: ignore[misc]

    async def settled(self) -> None:
        """Wait until nothing that was begun is under way."""
        while self._served:
            await asyncio.wait(list(self._served.values()))

    async def share_out(self) -> None:
        """Note for every subscription which events it is to get, as far as events have numbers."""
        while True:
            by_scope: dict[Scope, list[Subscription]] = {}
            for subscription in await self._database.read(delivery_store.behind):
                by_scope.setdefault(subscription.scope, []).append(subscription)
            full = False
            for scope, behind in by_scope.items():
                first = min(one.position for one in behind)
                found = await self._database.read(store.after, scope, first, _LOOKED_AT)
                full = full or len(found) == _LOOKED_AT
                # None are left where all of them were removed, being too old.
                last = found[-1].sequence if found else await self._database.read(store.head, scope)
                now = self._clock.now()
                shares = []
                for one in behind:
                    shares.append((one, _share(one, found, now=now)))
                    await self._clock.sleep(0)  # patterns are users', and many: let others have a turn
                await self._database.write(_share_out, shares, last=last)
            if not full:
                return

    async def _serve(self, scope: Scope, name: str) -> None:
        """Send one subscription what is due, until nothing is or something fails."""
        try:
            for _ in range(_ROUNDS):
                if not await self._round(scope, name):
                    return
        except (InfraError, UnreadableMasterKey) as error:  # what is claimed comes again
            _log.warning("deliveries", subscription=name, account=scope.account, error=str(error))

    async def _round(self, scope: Scope, name: str) -> bool:
        key, now = (scope, name), self._clock.now()
        claimed = await self._database.write(
            delivery_store.claim,
            scope,
            name,
            now=now,
            latest=now + KEPT_TRYING_SECONDS,
            again_at=now + _CLAIMED_SECONDS,
            limit=1 if key in self._failing else _TOGETHER,
        )
        subscription = await self._database.read(delivery_store.find, scope, name)
        if not claimed or subscription is None:
            return False
        well = await asyncio.gather(*(self._deliver(subscription, one) for one in claimed))
        if all(well):
            self._failing.discard(key)
        else:
            self._failing.add(key)
        return all(well)

    async def _deliver(self, subscription: Subscription, delivery: Delivery) -> bool:
        """Send something once; returns whether it arrived."""
        text = delivery.body
        if delivery.kind == EVENT:
            event = await self._database.read(store.find, delivery.scope, delivery.id)
            text = "" if event is None else event.text
        if text:
            answer = await self._send(subscription, delivery, text.encode())
            settled = after(delivery, answer, now=self._clock.now(), pause=_pause(delivery))
        else:
            gone = "The event is no longer kept."
            settled = replace(delivery, state=DEAD, reason=gone, ended_at=self._clock.now())
        await self._database.write(delivery_store.settle, settled)
        return settled.state == DELIVERED

    async def _send(self, subscription: Subscription, delivery: Delivery, body: bytes) -> Answer:
        secret = self._master.unseal(subscription.secret, label=seal_label(subscription.scope, subscription.name))
        return await self._postman.post(
            subscription.url,
            body,
            {
                **signature.headers(secret, delivery.id, body, now=self._clock.now()),
                "x-patchwright-kind": delivery.kind,
                "x-patchwright-subscription": subscription.name,
                "x-patchwright-attempt": str(delivery.attempts + 1),
            },
        )


def after(delivery: Delivery, answer: Answer, *, now: float, pause: float) -> Delivery:
    """
    What becomes of *delivery*, as it was before this attempt, by *answer*. Pure.

    Tried again after *pause* seconds, or when the receiver wants it, unless that is beyond the end of all attempts.
    """
    tried = replace(delivery, code=answer.code, reason=answer.reason)
    if not answer.reason:
        return replace(tried, state=DELIVERED, ended_at=now)
    due = now + max(pause, min(float(answer.retry_after), _LONGEST_PAUSE))
    if answer.code == _GONE or due >= delivery.until:
        return replace(tried, state=DEAD, ended_at=now)
    return replace(tried, state=PENDING, due_at=due)


def _pause(delivery: Delivery) -> float:
    return 1.0 + backoff(delivery.attempts + 1, first=_FIRST_PAUSE, most=_LONGEST_PAUSE)


async def tidy(database: Database, clock: Clock) -> None:
    """Remove events and deliveries that are older than `KEPT_SECONDS`."""
    moment = clock.now() - KEPT_SECONDS
    for remove in (delivery_store.remove_older, store.remove_older):
        removed = _TIDIED_TOGETHER
        while removed == _TIDIED_TOGETHER:
            removed = await database.write(remove, moment, _TIDIED_TOGETHER)


def _share(subscription: Subscription, found: Sequence[Event], *, now: float) -> list[Delivery]:
    """What a subscription is to get of *found*; nothing by a pattern of a version that knew more."""
    with contextlib.suppress(InvalidPattern):
        pattern = compiled(subscription.pattern)
        return [
            Delivery(subscription.scope, subscription.name, one.id, EVENT, "", PENDING, 0, now, now, _until(now))
            for one in found
            if one.sequence > subscription.position and pattern.matches(one.envelope)
        ]
    return []


def _share_out(shares: Sequence[tuple[Subscription, list[Delivery]]], *, last: int) -> UnitOfWork[None]:
    """Move subscriptions on to *last*, and note what each is to get, unless another process was quicker."""
    for subscription, wanted in shares:
        if subscription.position < last and (yield from delivery_store.move(subscription, last)) and wanted:
            yield from delivery_store.add(wanted)


def _until(now: float) -> float:
    return now + KEPT_TRYING_SECONDS
