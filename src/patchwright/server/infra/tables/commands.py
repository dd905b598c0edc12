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
    Column("owner", TEXT, nullable=False, server_default=""),  # in whose name it goes on; empty: root
    Column("execution_seconds", WHOLE, nullable=False, server_default="7200"),  # what the document may take on a node
    Column("options", TEXT, nullable=False, server_default="{}"),  # JSON: outputs, notifications, role, log group
    Column("resolved", TEXT, nullable=False, server_default=""),  # JSON of the values as sent, where others than given
    PrimaryKeyConstraint("account", "region", "id"),
)
Index("ix_command_requested", COMMAND.c.account, COMMAND.c.region, COMMAND.c.requested_at, COMMAND.c.id)
Index("ix_command_age", COMMAND.c.requested_at)

COMMAND_TALLY = owned(  # how a command's invocations stand: moved with each of them, so that nobody counts them
    "command_tally",
    Column("command_id", TEXT, nullable=False),
    Column("most_under_way", WHOLE, nullable=False),  # MaxConcurrency as a number; 0: the targets are not all known yet
    Column("most_errors", WHOLE, nullable=False),
    Column("waiting", WHOLE, nullable=False),  # not released, not ended
    Column("under_way", WHOLE, nullable=False),  # released, not ended
    Column("begun", WHOLE, nullable=False),  # not ended, and past Pending
    Column("success", WHOLE, nullable=False),
    Column("failed", WHOLE, nullable=False),
    Column("execution_timed_out", WHOLE, nullable=False),
    Column("delivery_timed_out", WHOLE, nullable=False),
    Column("cancelled", WHOLE, nullable=False),
    Column("undeliverable", WHOLE, nullable=False),
    Column("terminated", WHOLE, nullable=False),
    Column("invalid_platform", WHOLE, nullable=False),
    Column("access_denied", WHOLE, nullable=False),
    Column("cancelling", WHOLE, nullable=False),  # 1: the command as a whole was cancelled
    Column("ending", TEXT, nullable=False),  # what those that wait end in, batch by batch; empty: nothing
    Column("spread_after", TEXT),  # the last node that was looked at; NULL: the targets are all known
    Column("resume_at", MOMENT),  # when a job goes on with what is left; NULL: nothing is left
    Column("end_by", MOMENT),  # what would not have ended by then is not begun; NULL: everything is
    Column(
        "begin_within", MOMENT
    ),  # seconds that a node has from its turn on to begin; NULL: begin_by is set from the start
    Column("end_within", MOMENT),  # and to end; NULL: due_at is set from the start
    PrimaryKeyConstraint("account", "region", "command_id"),
)
Index(
    "ix_command_tally_resume",
    COMMAND_TALLY.c.resume_at,
    sqlite_where=text("resume_at IS NOT NULL"),
    postgresql_where=text("resume_at IS NOT NULL"),
)

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
    Column("begin_by", MOMENT, nullable=False, server_default="0"),  # what has not begun by then does not begin
    Column("cancel_id", TEXT, nullable=False, server_default=""),  # of the message that tells the node; empty: none
    Column("cancel_visible_at", MOMENT),  # when that is delivered next; NULL: it need not be
    Column("needs", MOMENT),  # seconds that it is expected to take at most; NULL: that is not known, or not asked
    Column(
        "heard", TEXT, nullable=False, server_default=""
    ),  # digests of the last replies: the same again changes nothing
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
    "ix_invocation_cancel",
    INVOCATION.c.instance_id,
    INVOCATION.c.cancel_visible_at,
    sqlite_where=text("cancel_visible_at IS NOT NULL AND ended_at IS NULL"),
    postgresql_where=text("cancel_visible_at IS NOT NULL AND ended_at IS NULL"),
)
Index(
    "ix_invocation_waiting",
    INVOCATION.c.account,
    INVOCATION.c.region,
    INVOCATION.c.command_id,
    INVOCATION.c.position,
    sqlite_where=text("released = 0 AND ended_at IS NULL"),
    postgresql_where=text("released = 0 AND ended_at IS NULL"),
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

INVOCATION_EVENT = owned(  # append-only: what an invocation became, each once, written with it
    "invocation_event",
    Column("command_id", TEXT, nullable=False),
    Column("instance_id", TEXT, nullable=False),
    Column("detail", TEXT, nullable=False),
    Column("reason", TEXT, nullable=False),
    Column("recorded_at", MOMENT, nullable=False),
    PrimaryKeyConstraint("account", "region", "command_id", "instance_id", "detail"),
    sqlite_with_rowid=False,
)
