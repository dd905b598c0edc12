# SPDX-License-Identifier: Apache-2.0
"""Tables of the commands room."""

from __future__ import annotations

from sqlalchemy import Column, Index, PrimaryKeyConstraint, text

from patchwright.server.infra.tables.columns import MOMENT, TEXT, WHOLE, owned

COMMAND = owned(
    "command",
    Column("id", TEXT, nullable=False),
    Column("document_name", TEXT, nullable=False),
    Column("document_version", TEXT, nullable=False),
    Column("content", TEXT, nullable=False),  # JSON of the document as sent
    Column("parameters", TEXT, nullable=False),  # JSON as given
    Column("targets", TEXT, nullable=False),  # JSON as given
    Column("instance_ids", TEXT, nullable=False),  # JSON as given
    Column("comment", TEXT, nullable=False),
    Column("principal", TEXT, nullable=False),
    Column("timeout_seconds", WHOLE, nullable=False),
    Column("max_concurrency", TEXT, nullable=False),
    Column("max_errors", TEXT, nullable=False),
    Column("requested_at", MOMENT, nullable=False),
    Column("expires_at", MOMENT, nullable=False),
    Column("detail", TEXT, nullable=False),
    Column("target_count", WHOLE, nullable=False),
    PrimaryKeyConstraint("account", "region", "id"),
)
Index("ix_command_requested", COMMAND.c.account, COMMAND.c.region, COMMAND.c.requested_at, COMMAND.c.id)

INVOCATION = owned(
    "invocation",
    Column("command_id", TEXT, nullable=False),
    Column("instance_id", TEXT, nullable=False),
    Column("position", WHOLE, nullable=False),  # in the order of the targets
    Column("detail", TEXT, nullable=False),
    Column("released", WHOLE, nullable=False),  # 1: rate control lets it be delivered
    Column("requested_at", MOMENT, nullable=False),
    Column("due_at", MOMENT, nullable=False),  # delivery and execution time out here
    Column("visible_at", MOMENT, nullable=False),  # delivered, and not acknowledged before then: deliver again
    Column("acknowledged_at", MOMENT),
    Column("deliveries", WHOLE, nullable=False),
    Column("response_code", WHOLE, nullable=False),
    Column("steps", TEXT, nullable=False),  # JSON: what the node reported of each step
    Column("trace", TEXT, nullable=False),
    Column("ended_at", MOMENT),
    PrimaryKeyConstraint("account", "region", "command_id", "instance_id"),
)
Index(
    "ix_invocation_deliverable",
    INVOCATION.c.instance_id,
    INVOCATION.c.visible_at,
    sqlite_where=text("acknowledged_at IS NULL AND ended_at IS NULL AND released = 1"),
    postgresql_where=text("acknowledged_at IS NULL AND ended_at IS NULL AND released = 1"),
)
Index(
    "ix_invocation_due",
    INVOCATION.c.due_at,
    sqlite_where=text("ended_at IS NULL"),
    postgresql_where=text("ended_at IS NULL"),
)
Index(
    "ix_invocation_of_node",
    INVOCATION.c.account,
    INVOCATION.c.region,
    INVOCATION.c.instance_id,
    INVOCATION.c.requested_at,
)

INVOCATION_EVENT = owned(  # append-only: every change of an invocation's detail, written with it
    "invocation_event",
    Column("id", TEXT, nullable=False),
    Column("command_id", TEXT, nullable=False),
    Column("instance_id", TEXT, nullable=False),
    Column("detail", TEXT, nullable=False),
    Column("reason", TEXT, nullable=False),
    Column("recorded_at", MOMENT, nullable=False),
    PrimaryKeyConstraint("account", "region", "id"),
)
Index("ix_invocation_event_of", INVOCATION_EVENT.c.account, INVOCATION_EVENT.c.region, INVOCATION_EVENT.c.command_id)

REPLY = owned(  # replies that were taken: the same reply again changes nothing
    "reply",
    Column("id", TEXT, nullable=False),
    Column("instance_id", TEXT, nullable=False),
    Column("recorded_at", MOMENT, nullable=False),
    PrimaryKeyConstraint("account", "region", "instance_id", "id"),
)
