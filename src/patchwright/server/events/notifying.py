# SPDX-License-Identifier: Apache-2.0
"""What is addressed to one subscription by its name, whatever its pattern: notifications and calls. Units of work."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from patchwright.server.accounts import Scope
from patchwright.server.events import delivery_store as store
from patchwright.server.events.model import (
    CALL,
    DEAD,
    NOTIFICATION,
    PENDING,
    Delivery,
    InvalidTopic,
    UnknownSubscription,
    compact,
)
from patchwright.server.infra import UnitOfWork

KEPT_TRYING_SECONDS = 24 * 3600.0

_TOPIC = re.compile(r"arn:aws[a-z-]*:sns:([a-z0-9-]+):([0-9]{12}):([A-Za-z0-9_-]{1,256}(?:\.fifo)?)\Z")


def topic_of(scope: Scope, arn: str) -> str:
    """
    The subscription that a topic's ARN names: `arn:aws:sns:REGION:ACCOUNT:NAME`, of the same account and region.

    Raises InvalidTopic.
    """
    found = _TOPIC.match(arn)
    if found is None or (found[2], found[1]) != scope:
        msg = f"{arn[:256]!r} is no topic of account {scope.account} in {scope.region}."
        raise InvalidTopic(msg)
    return found[3]


def require_topic(scope: Scope, arn: str) -> UnitOfWork[str]:
    """As `topic_of`, and there is such a subscription. Raises InvalidTopic."""
    name = topic_of(scope, arn)
    if (yield from store.find(scope, name)) is None:
        msg = f"There is no topic {arn[:256]!r}: make a subscription called {name!r}."
        raise InvalidTopic(msg)
    return name


def notify(
    scope: Scope,
    name: str,
    body: Mapping[str, Any],
    *,
    now: float,
    id: str,  # noqa: A002 - as `emit` calls it
) -> UnitOfWork[bool]:
    """
    Send *body* to the subscription called *name*, once this transaction is kept; false, and nothing, if there is none.

    *id* is a fresh UUID, by which the receiver knows it when it comes a second time.
    """
    if (yield from store.find(scope, name)) is None:
        return False
    until = now + KEPT_TRYING_SECONDS
    yield from store.add([Delivery(scope, name, id, NOTIFICATION, compact(body), PENDING, 0, now, now, until)])
    return True


def call(
    scope: Scope,
    name: str,
    body: Mapping[str, Any],
    *,
    now: float,
    until: float,
    id: str,  # noqa: A002 - as `emit` calls it
) -> UnitOfWork[None]:
    """Send *body* as `notify` does, no later than *until*; `outcome` tells how it ended. Raises UnknownSubscription."""
    if (yield from store.find(scope, name)) is None:
        raise UnknownSubscription(name)
    yield from store.add([Delivery(scope, name, id, CALL, compact(body), PENDING, 0, now, now, until)])


def withdraw(scope: Scope, name: str, message_id: str, *, reason: str, now: float) -> UnitOfWork[None]:
    """Send a message no more that waits; *reason* is why. One that has ended stays as it is."""
    found = yield from store.find_delivery(scope, name, message_id)
    if found is not None:
        yield from store.settle(replace(found, state=DEAD, reason=reason, ended_at=now))


def outcome(scope: Scope, name: str, message_id: str) -> UnitOfWork[Delivery | None]:
    """How a message stands that was addressed to *name*; None: it went with its subscription."""
    return (yield from store.find_delivery(scope, name, message_id))
