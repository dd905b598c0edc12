# SPDX-License-Identifier: Apache-2.0
"""Use cases of those who want to hear of events: subscriptions, what was sent to them, what happened so far."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from patchwright.server.accounts import MasterKey, Scope
from patchwright.server.config import Quotas
from patchwright.server.events import delivery_store, signature, store
from patchwright.server.events.model import (
    EVENT,
    PENDING,
    Delivery,
    Event,
    Subscription,
    TooManySubscriptions,
    UnknownEvent,
    UnknownSubscription,
)
from patchwright.server.events.notifying import KEPT_TRYING_SECONDS
from patchwright.server.events.pattern import compiled
from patchwright.server.events.sending import Postman
from patchwright.server.infra import Clock, Database, UnitOfWork

LOOKED_AT = 1000  # events that a page of a listing looks at, at most
LAST = 2**62  # above every number of an event
_REVIVED_TOGETHER = 500


@dataclass(frozen=True)
class Wish:
    """What a subscription is to be. *secret* empty: the one it has, or a new one."""

    name: str
    url: str
    pattern: str = ""
    description: str = ""
    enabled: bool = True
    secret: str = field(default="", repr=False)


@dataclass(frozen=True)
class Search:
    """Which events are asked for. Empty texts do not narrow; *since* and *until* in epoch seconds, the second not included."""

    subject: str = ""
    detail_type: str = ""
    pattern: str = ""
    since: float = 0.0
    until: float = 9e15

    def fits(self, event: Event) -> bool:
        """Whether *event* is asked for."""
        return (
            self.detail_type in {"", event.detail_type}
            and self.since <= event.at < self.until
            and (not self.pattern or compiled(self.pattern).matches(event.envelope))
        )


class Subscriptions:
    """Subscriptions of every account."""

    def __init__(
        self, database: Database, clock: Clock, quotas: Quotas, *, master: MasterKey, postman: Postman
    ) -> None:
        self._database = database
        self._clock = clock
        self._quotas = quotas
        self._master = master
        self._postman = postman

    async def put(self, scope: Scope, wish: Wish) -> tuple[Subscription, str]:
        """
        Make a subscription, or give it another form; returns it, and the secret if one was made, else an empty text.

        A new one hears of what happens from now on, as does one that is enabled again. Errors: InvalidSubscription,
        InvalidPattern, TooManySubscriptions.
        """
        self._postman.check(wish.url)
        if wish.pattern:
            compiled(wish.pattern)
        if wish.secret:
            signature.check_secret(wish.secret)
        fresh = wish.secret or signature.new_secret()
        now = self._clock.now()
        made = Subscription(
            scope,
            wish.name,
            wish.url,
            self._master.seal(fresh, label=seal_label(scope, wish.name)),
            pattern=wish.pattern,
            description=wish.description,
            enabled=wish.enabled,
            created_at=now,
            modified_at=now,
        )
        keep = not wish.secret
        stored, kept = await self._database.write(_put, made, keep=keep, limit=self._quotas.event_subscriptions)
        return stored, "" if kept or wish.secret else fresh

    async def get(self, scope: Scope, name: str) -> tuple[Subscription, dict[str, int]]:
        """A subscription, and how many deliveries to it there are in each state. Errors: UnknownSubscription."""
        return await self._database.read(_with_counts, scope, name)

    async def page(self, scope: Scope, *, after: str, limit: int) -> list[Subscription]:
        """Up to *limit* subscriptions whose name comes after *after*, in order of name."""
        return await self._database.read(delivery_store.page, scope, after=after, limit=limit)

    async def delete(self, scope: Scope, name: str) -> None:
        """Remove a subscription; what was to be sent to it is not sent any more. Errors: UnknownSubscription."""
        if not await self._database.write(delivery_store.remove, scope, name):
            raise UnknownSubscription(name)

    async def deliveries(
        self, scope: Scope, name: str, *, state: str, before: tuple[float, str] | None, limit: int
    ) -> list[Delivery]:
        """
        Up to *limit* deliveries to a subscription, newest first; of one *state* unless it is empty.

        *before*: when the last one seen was made, and its id. Errors: UnknownSubscription.
        """
        return await self._database.read(
            _deliveries, scope, name, state=state, before=before or (9e15, ""), limit=limit
        )

    async def redeliver(self, scope: Scope, name: str, event_id: str) -> int:
        """
        Send an event or a message again, or everything that was given up (*event_id* empty); returns how many it is.

        An event that was not for this subscription is sent as well. Errors: UnknownSubscription, UnknownEvent.
        """
        now = self._clock.now()
        if event_id:
            return await self._database.write(_redeliver, scope, name, event_id, now=now)
        count = 0
        while True:
            revived = await self._database.write(_revive_dead, scope, name, now=now)
            count += revived
            if revived < _REVIVED_TOGETHER:
                return count

    async def events(
        self, scope: Scope, search: Search, *, before: int | None, limit: int
    ) -> tuple[list[Event], int | None]:
        """
        Up to *limit* events that are asked for, newest first, and the number before which the next page begins.

        A page looks at no more than `LOOKED_AT` events, so it may be shorter. None: there are no more. Errors: InvalidPattern.
        """
        if search.pattern:
            compiled(search.pattern)
        found: list[Event] = []
        looked, position = 0, LAST if before is None else before
        while looked < LOOKED_AT:
            most = min(limit + 1, LOOKED_AT - looked)
            rows = await self._database.read(store.before, scope, position, most, subject=search.subject)
            for event in rows:
                if len(found) == limit:
                    return found, found[-1].sequence
                if search.fits(event):
                    found.append(event)
            if len(rows) < most:
                return found, None
            looked, position = looked + most, rows[-1].sequence
        return found, position


def seal_label(scope: Scope, name: str) -> str:
    """What the secret of a subscription is sealed for."""
    return f"subscription/{scope.account}/{scope.region}/{name}"


def _put(made: Subscription, *, keep: bool, limit: int) -> UnitOfWork[tuple[Subscription, bool]]:
    """Store *made*; *keep*: with the secret that it has. Returns it, and whether there was one."""
    scope = made.scope
    known = yield from delivery_store.find(scope, made.name)
    if known is None:
        if (yield from delivery_store.count(scope)) >= limit:
            msg = f"There are {limit} subscriptions in this account and region, which is all there may be."
            raise TooManySubscriptions(msg)
    else:
        made = replace(made, created_at=known.created_at, secret=known.secret if keep else made.secret)
    hears = made.enabled and made.pattern
    heard = known is not None and known.enabled and known.pattern
    position = known.position if known is not None and hears and heard else (yield from store.number_all(scope))
    made = replace(made, position=position)
    yield from delivery_store.put(made)
    return made, known is not None and keep


def _require(scope: Scope, name: str) -> UnitOfWork[Subscription]:
    found = yield from delivery_store.find(scope, name)
    if found is None:
        raise UnknownSubscription(name)
    return found


def _with_counts(scope: Scope, name: str) -> UnitOfWork[tuple[Subscription, dict[str, int]]]:
    found = yield from _require(scope, name)
    return found, (yield from delivery_store.counts(scope, name))


def _deliveries(
    scope: Scope, name: str, *, state: str, before: tuple[float, str], limit: int
) -> UnitOfWork[list[Delivery]]:
    yield from _require(scope, name)
    return (yield from delivery_store.deliveries(scope, name, state=state, before=before, limit=limit))


def _redeliver(scope: Scope, name: str, event_id: str, *, now: float) -> UnitOfWork[int]:
    yield from _require(scope, name)
    until = now + KEPT_TRYING_SECONDS
    if (yield from delivery_store.revive(scope, name, [event_id], now=now, until=until)):
        return 1
    if (yield from store.find(scope, event_id)) is None:
        msg = f"There is no event {event_id[:64]!r}, or it is no longer kept."
        raise UnknownEvent(msg)
    yield from delivery_store.add([Delivery(scope, name, event_id, EVENT, "", PENDING, 0, now, now, until)])
    return 1


def _revive_dead(scope: Scope, name: str, *, now: float) -> UnitOfWork[int]:
    yield from _require(scope, name)
    given_up = yield from delivery_store.dead(scope, name, _REVIVED_TOGETHER)
    if not given_up:
        return 0
    revived = yield from delivery_store.revive(scope, name, given_up, now=now, until=now + KEPT_TRYING_SECONDS)
    return len(revived)
