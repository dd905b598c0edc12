# SPDX-License-Identifier: Apache-2.0
"""Tables of the events room: what happened, who wants to hear of it, and what was sent to them."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Index, PrimaryKeyConstraint, text

from patchwright.server.infra.tables.columns import MOMENT, OCTETS, TEXT, WHOLE, owned

EVENT = owned(  # append-only: written with the change that it tells of, and numbered once
    "event",
    Column("id", TEXT, nullable=False),  # where there are many, in the order of time: docs/adr/0041
    Column("sequence", WHOLE),  # in the account and region; NULL: not numbered yet
    Column("detail_type", TEXT, nullable=False),
    Column("subject", TEXT, nullable=False),  # what it is about: the node, the window, the command
    Column("resources", TEXT, nullable=False),  # a JSON list of ARNs
    Column("detail", TEXT, nullable=False),  # JSON
    Column("at", MOMENT, nullable=False),
    Column("place", WHOLE, nullable=False),  # among those of the same moment
    PrimaryKeyConstraint("account", "region", "id"),
)
# What is written with every change is the row, its id and that it has no number. The rest is known from the number on.
_NUMBERED, _UNNUMBERED = text("sequence IS NOT NULL"), text("sequence IS NULL")
Index(
    "uq_event_sequence",
    EVENT.c.account,
    EVENT.c.region,
    EVENT.c.sequence,
    unique=True,
    sqlite_where=_NUMBERED,
    postgresql_where=_NUMBERED,
)
Index("ix_event_unnumbered", EVENT.c.at, EVENT.c.place, sqlite_where=_UNNUMBERED, postgresql_where=_UNNUMBERED)
Index(
    "ix_event_subject",
    EVENT.c.account,
    EVENT.c.region,
    EVENT.c.subject,
    EVENT.c.sequence,
    sqlite_where=_NUMBERED,
    postgresql_where=_NUMBERED,
)

EVENT_HEAD = owned(  # the last number that was given: it is never given again, whatever retention removes
    "event_head",
    Column("sequence", WHOLE, nullable=False),
    PrimaryKeyConstraint("account", "region"),
)

SUBSCRIPTION = owned(
    "subscription",
    Column("name", TEXT, nullable=False),
    Column("description", TEXT, nullable=False),
    Column("pattern", TEXT, nullable=False),  # JSON; empty: of no event, only of what is addressed to it
    Column("url", TEXT, nullable=False),
    Column("secret", OCTETS, nullable=False),  # sealed
    Column("enabled", WHOLE, nullable=False),
    Column("position", WHOLE, nullable=False),  # the number of the last event that was looked at
    Column("created_at", MOMENT, nullable=False),
    Column("modified_at", MOMENT, nullable=False),
    PrimaryKeyConstraint("account", "region", "name"),
)

EVENT_DELIVERY = owned(  # what is to be sent to a subscription, once each
    "event_delivery",
    Column("subscription", TEXT, nullable=False),
    Column("id", TEXT, nullable=False),  # of the event, or of the message
    Column("kind", TEXT, nullable=False),
    Column("body", TEXT, nullable=False),  # empty: the event
    Column("state", TEXT, nullable=False),
    Column("attempts", WHOLE, nullable=False),
    Column("created_at", MOMENT, nullable=False),
    Column("due_at", MOMENT, nullable=False),  # sent again from here on
    Column("until", MOMENT, nullable=False),  # given up from here on
    Column("code", WHOLE, nullable=False),  # the status of the last answer; 0: none
    Column("reason", TEXT, nullable=False),  # why the last attempt failed
    Column("ended_at", MOMENT),
    PrimaryKeyConstraint("account", "region", "subscription", "id"),
    CheckConstraint("state IN ('Pending', 'Delivered', 'Dead')", name="state"),
    CheckConstraint("kind IN ('Event', 'Notification', 'Call')", name="kind"),
)
Index(
    "ix_event_delivery_due",
    EVENT_DELIVERY.c.account,
    EVENT_DELIVERY.c.region,
    EVENT_DELIVERY.c.subscription,
    EVENT_DELIVERY.c.due_at,
    sqlite_where=text("state = 'Pending'"),
    postgresql_where=text("state = 'Pending'"),
)
Index(
    "ix_event_delivery_of",
    EVENT_DELIVERY.c.account,
    EVENT_DELIVERY.c.region,
    EVENT_DELIVERY.c.subscription,
    EVENT_DELIVERY.c.created_at,
    EVENT_DELIVERY.c.id,
)
Index("ix_event_delivery_created", EVENT_DELIVERY.c.created_at)
