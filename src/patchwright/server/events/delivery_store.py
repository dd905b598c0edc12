# SPDX-License-Identifier: Apache-2.0
"""SQL of subscriptions and of what is sent to them."""

from __future__ import annotations

from collections.abc import Sequence

from patchwright.server.accounts import Scope
from patchwright.server.events.model import DEAD, PENDING, Delivery, Subscription
from patchwright.server.infra import Row, UnitOfWork, placeholders, sql, sql_each

_SUBSCRIPTION = "account, region, name, url, secret, pattern, description, enabled, position, created_at, modified_at"
_DELIVERY = (
    "account, region, subscription, id, kind, body, state, attempts, created_at, due_at, until, code, reason, ended_at"
)
_OF = "account = $1 AND region = $2 AND subscription = $3"


def put(subscription: Subscription) -> UnitOfWork[None]:
    """Store a subscription, or what it is now."""
    yield sql(
        f"INSERT INTO subscription ({_SUBSCRIPTION}) VALUES ({placeholders(1, 11)})"
        " ON CONFLICT (account, region, name) DO UPDATE SET url = excluded.url, secret = excluded.secret,"
        " pattern = excluded.pattern, description = excluded.description, enabled = excluded.enabled,"
        " position = excluded.position, modified_at = excluded.modified_at",
        *subscription.scope,
        subscription.name,
        subscription.url,
        subscription.secret,
        subscription.pattern,
        subscription.description,
        subscription.enabled,
        subscription.position,
        subscription.created_at,
        subscription.modified_at,
    )


def find(scope: Scope, name: str) -> UnitOfWork[Subscription | None]:
    """The subscription, or None."""
    rows = yield sql(
        f"SELECT {_SUBSCRIPTION} FROM subscription WHERE account = $1 AND region = $2 AND name = $3", *scope, name
    )
    return _subscription(rows[0]) if rows else None


def count(scope: Scope) -> UnitOfWork[int]:
    """How many subscriptions there are."""
    rows = yield sql("SELECT COUNT(*) FROM subscription WHERE account = $1 AND region = $2", *scope)
    return int(rows[0][0])


def page(scope: Scope, *, after: str, limit: int) -> UnitOfWork[list[Subscription]]:
    """Up to *limit* subscriptions whose name comes after *after*, in order of name."""
    rows = yield sql(
        f"SELECT {_SUBSCRIPTION} FROM subscription WHERE account = $1 AND region = $2 AND name > $3"
        " ORDER BY name LIMIT $4",
        *scope,
        after,
        limit,
    )
    return [_subscription(row) for row in rows]


def remove(scope: Scope, name: str) -> UnitOfWork[bool]:
    """Remove a subscription and everything that was to be sent to it; false if there is none."""
    rows = yield sql(
        "DELETE FROM subscription WHERE account = $1 AND region = $2 AND name = $3 RETURNING name", *scope, name
    )
    if rows:
        yield sql(f"DELETE FROM event_delivery WHERE {_OF}", *scope, name)
    return bool(rows)


def behind() -> UnitOfWork[list[Subscription]]:
    """Subscriptions of every account to events that they have not looked at, in order."""
    columns = ", ".join(f"s.{name}" for name in _SUBSCRIPTION.split(", "))
    rows = yield sql(
        f"SELECT {columns} FROM subscription s"
        " JOIN event_head h ON h.account = s.account AND h.region = s.region"
        " WHERE s.enabled = 1 AND s.pattern <> '' AND s.position < h.sequence ORDER BY s.account, s.region, s.name"
    )
    return [_subscription(row) for row in rows]


def move(subscription: Subscription, position: int) -> UnitOfWork[bool]:
    """Note that a subscription has looked at the events up to *position*; false if it changed meanwhile."""
    rows = yield sql(
        "UPDATE subscription SET position = $5 WHERE account = $1 AND region = $2 AND name = $3 AND position = $4"
        " AND pattern = $6 AND enabled = 1 RETURNING name",
        *subscription.scope,
        subscription.name,
        subscription.position,
        position,
        subscription.pattern,
    )
    return bool(rows)


def add(deliveries: Sequence[Delivery]) -> UnitOfWork[None]:
    """Store what is to be sent; what is there already stays as it is."""
    yield sql_each(
        f"INSERT INTO event_delivery ({_DELIVERY}) VALUES ({placeholders(1, 14)})"
        " ON CONFLICT (account, region, subscription, id) DO NOTHING",
        [_row(delivery) for delivery in deliveries],
    )


def waiting(*, now: float, latest: float) -> UnitOfWork[list[tuple[Scope, str]]]:
    """
    The subscriptions of every account for which something is due at *now*.

    What is due later than *latest* was put off by a clock that went wrong, and is due.
    """
    rows = yield sql(
        "SELECT s.account, s.region, s.name FROM subscription s WHERE s.enabled = 1 AND"
        " (EXISTS (SELECT 1 FROM event_delivery d WHERE d.account = s.account AND d.region = s.region"
        " AND d.subscription = s.name AND d.state = 'Pending' AND d.due_at <= $1)"
        " OR EXISTS (SELECT 1 FROM event_delivery d WHERE d.account = s.account AND d.region = s.region"
        " AND d.subscription = s.name AND d.state = 'Pending' AND d.due_at > $2))",
        now,
        latest,
    )
    return [(Scope(account, region), name) for account, region, name in rows]


def claim(
    scope: Scope, name: str, *, now: float, latest: float, again_at: float, limit: int
) -> UnitOfWork[list[Delivery]]:
    """Up to *limit* deliveries that are due, for the caller alone until *again_at*, those that wait longest first."""
    rows = yield sql(
        f"SELECT {_DELIVERY} FROM event_delivery WHERE {_OF} AND state = 'Pending' AND (due_at <= $4 OR due_at > $5)"
        " ORDER BY due_at LIMIT $6 /* skip locked */",
        *scope,
        name,
        now,
        latest,
        limit,
    )
    yield sql_each(
        f"UPDATE event_delivery SET due_at = $5, attempts = attempts + 1 WHERE {_OF} AND id = $4",
        [(*scope, name, row[3], again_at) for row in rows],
    )
    return [_delivery(row) for row in rows]


def settle(delivery: Delivery) -> UnitOfWork[None]:
    """Store how an attempt ended, unless the delivery ended meanwhile."""
    yield sql(
        f"UPDATE event_delivery SET state = $5, due_at = $6, code = $7, reason = $8, ended_at = $9 WHERE {_OF}"
        " AND id = $4 AND state = 'Pending'",
        *delivery.scope,
        delivery.subscription,
        delivery.id,
        delivery.state,
        delivery.due_at,
        delivery.code,
        delivery.reason,
        delivery.ended_at,
    )


def find_delivery(scope: Scope, name: str, delivery_id: str) -> UnitOfWork[Delivery | None]:
    """The delivery, or None."""
    rows = yield sql(f"SELECT {_DELIVERY} FROM event_delivery WHERE {_OF} AND id = $4", *scope, name, delivery_id)
    return _delivery(rows[0]) if rows else None


def deliveries(
    scope: Scope, name: str, *, state: str, before: tuple[float, str], limit: int
) -> UnitOfWork[list[Delivery]]:
    """Up to *limit* deliveries from before *before* (made at, id), newest first; of one *state* unless it is empty."""
    rows = yield sql(
        f"SELECT {_DELIVERY} FROM event_delivery WHERE {_OF} AND (created_at < $4 OR (created_at = $4 AND id < $5))"
        " AND (CAST($6 AS TEXT) = '' OR state = $6) ORDER BY created_at DESC, id DESC LIMIT $7",
        *scope,
        name,
        *before,
        state,
        limit,
    )
    return [_delivery(row) for row in rows]


def counts(scope: Scope, name: str) -> UnitOfWork[dict[str, int]]:
    """How many deliveries there are in each state; states with none are left out."""
    rows = yield sql(f"SELECT state, COUNT(*) FROM event_delivery WHERE {_OF} GROUP BY state", *scope, name)
    return {state: int(number) for state, number in rows}


def revive(scope: Scope, name: str, delivery_ids: Sequence[str], *, now: float, until: float) -> UnitOfWork[list[str]]:
    """Send deliveries, one at least, again, as if for the first time; returns those that there are."""
    rows = yield sql(
        f"UPDATE event_delivery SET state = '{PENDING}', attempts = 0, due_at = $4, until = $5, ended_at = NULL,"
        f" code = 0, reason = '' WHERE {_OF} AND id IN ({placeholders(6, len(delivery_ids))}) RETURNING id",
        *scope,
        name,
        now,
        until,
        *delivery_ids,
    )
    return [delivery_id for (delivery_id,) in rows]


def dead(scope: Scope, name: str, limit: int) -> UnitOfWork[list[str]]:
    """Up to *limit* deliveries that were given up, oldest first."""
    rows = yield sql(
        f"SELECT id FROM event_delivery WHERE {_OF} AND state = '{DEAD}' ORDER BY created_at, id LIMIT $4",
        *scope,
        name,
        limit,
    )
    return [delivery_id for (delivery_id,) in rows]


def remove_older(moment: float, limit: int) -> UnitOfWork[int]:
    """Remove up to *limit* deliveries that were made before *moment*; returns how many."""
    rows = yield sql(
        "DELETE FROM event_delivery WHERE (account, region, subscription, id) IN (SELECT account, region, subscription,"
        " id FROM event_delivery WHERE created_at < $1 ORDER BY created_at LIMIT $2) RETURNING id",
        moment,
        limit,
    )
    return len(rows)


def _row(delivery: Delivery) -> Row:
    return (
        *delivery.scope,
        delivery.subscription,
        delivery.id,
        delivery.kind,
        delivery.body,
        delivery.state,
        delivery.attempts,
        delivery.created_at,
        delivery.due_at,
        delivery.until,
        delivery.code,
        delivery.reason,
        delivery.ended_at,
    )


def _delivery(row: Row) -> Delivery:
    return Delivery(Scope(*row[:2]), *row[2:])


def _subscription(row: Row) -> Subscription:
    account, region, name, url, secret, pattern, description, enabled, position, created_at, modified_at = row
    return Subscription(
        Scope(account, region),
        name,
        url,
        bytes(secret),
        pattern=pattern,
        description=description,
        enabled=bool(enabled),
        position=position,
        created_at=created_at,
        modified_at=modified_at,
    )
