# SPDX-License-Identifier: Apache-2.0
"""Tables of the windows room: maintenance windows, their targets and tasks, and what was executed."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Index, PrimaryKeyConstraint, UniqueConstraint, text

from patchwright.server.infra.tables.columns import MOMENT, TEXT, WHOLE, owned

_STATES = "'PENDING', 'IN_PROGRESS', 'SUCCESS', 'FAILED', 'TIMED_OUT', 'CANCELLING', 'CANCELLED', 'SKIPPED_OVERLAPPING'"
_OPEN = "status IN ('PENDING', 'IN_PROGRESS', 'CANCELLING')"

MAINTENANCE_WINDOW = owned(
    "maintenance_window",
    Column("id", TEXT, nullable=False),
    Column("name", TEXT, nullable=False),
    Column("description", TEXT, nullable=False),
    Column("schedule", TEXT, nullable=False),
    Column("zone", TEXT, nullable=False),  # IANA, empty: UTC
    Column("schedule_offset", WHOLE, nullable=False),  # days, 0: none
    Column("start_date", TEXT, nullable=False),  # as given, empty: none
    Column("end_date", TEXT, nullable=False),
    Column("duration", WHOLE, nullable=False),  # hours
    Column("cutoff", WHOLE, nullable=False),  # hours before the end
    Column("allow_unassociated_targets", WHOLE, nullable=False),
    Column("enabled", WHOLE, nullable=False),
    Column("created_at", MOMENT, nullable=False),
    Column("modified_at", MOMENT, nullable=False),
    Column("scheduled_from", MOMENT, nullable=False),  # since when the schedule is as it is: a rate counts from there
    Column("next_at", MOMENT),  # the next firing; NULL: none any more
    PrimaryKeyConstraint("account", "region", "id"),
)
Index(
    "ix_maintenance_window_due",
    MAINTENANCE_WINDOW.c.next_at,
    sqlite_where=text("enabled = 1"),
    postgresql_where=text("enabled = 1"),
)

WINDOW_TARGET = owned(
    "window_target",
    Column("window_id", TEXT, nullable=False),
    Column("id", TEXT, nullable=False),
    Column("resource_type", TEXT, nullable=False),
    Column("targets", TEXT, nullable=False),  # JSON as given
    Column("owner_information", TEXT, nullable=False),
    Column("name", TEXT, nullable=False),
    Column("description", TEXT, nullable=False),
    Column("created_at", MOMENT, nullable=False),
    PrimaryKeyConstraint("account", "region", "window_id", "id"),
)

WINDOW_TASK = owned(
    "window_task",
    Column("window_id", TEXT, nullable=False),
    Column("id", TEXT, nullable=False),
    Column("type", TEXT, nullable=False),
    Column("priority", WHOLE, nullable=False),
    Column("content", TEXT, nullable=False),  # JSON of the other members
    Column("created_at", MOMENT, nullable=False),
    PrimaryKeyConstraint("account", "region", "window_id", "id"),
)

WINDOW_EXECUTION = owned(
    "window_execution",
    Column("id", TEXT, nullable=False),
    Column("window_id", TEXT, nullable=False),
    Column("scheduled_at", MOMENT, nullable=False),
    Column("cutoff_at", MOMENT, nullable=False),  # no task starts from here on
    Column("ends_at", MOMENT, nullable=False),
    Column("status", TEXT, nullable=False),
    Column("details", TEXT, nullable=False),
    Column("started_at", MOMENT, nullable=False),
    Column("ended_at", MOMENT),
    PrimaryKeyConstraint("account", "region", "id"),
    UniqueConstraint("account", "region", "window_id", "scheduled_at", name="uq_window_execution_once"),
    CheckConstraint(f"status IN ({_STATES})", name="status"),
    CheckConstraint(f"({_OPEN}) = (ended_at IS NULL)", name="ended"),
)
Index(
    "ix_window_execution_open",
    WINDOW_EXECUTION.c.started_at,
    sqlite_where=text("ended_at IS NULL"),
    postgresql_where=text("ended_at IS NULL"),
)
Index(
    "ix_window_execution_of",
    WINDOW_EXECUTION.c.account,
    WINDOW_EXECUTION.c.region,
    WINDOW_EXECUTION.c.window_id,
    WINDOW_EXECUTION.c.started_at,
)

WINDOW_TASK_EXECUTION = owned(  # a task as it was when the window opened, and how it went
    "window_task_execution",
    Column("execution_id", TEXT, nullable=False),
    Column("id", TEXT, nullable=False),
    Column("task_id", TEXT, nullable=False),
    Column("type", TEXT, nullable=False),
    Column("priority", WHOLE, nullable=False),
    Column("position", WHOLE, nullable=False),
    Column("content", TEXT, nullable=False),  # JSON, as in window_task
    Column("status", TEXT, nullable=False),
    Column("details", TEXT, nullable=False),
    Column("started_at", MOMENT),
    Column("ended_at", MOMENT),
    PrimaryKeyConstraint("account", "region", "execution_id", "id"),
    CheckConstraint(f"status IN ({_STATES})", name="status"),
)

WINDOW_INVOCATION = owned(  # one target registration of one task, carried out by one command
    "window_invocation",
    Column("execution_id", TEXT, nullable=False),
    Column("task_execution_id", TEXT, nullable=False),
    Column("id", TEXT, nullable=False),
    Column("position", WHOLE, nullable=False),
    Column("window_target_id", TEXT, nullable=False),  # empty: the task named the nodes itself
    Column("targets", TEXT, nullable=False),  # JSON
    Column("owner_information", TEXT, nullable=False),
    Column("command_id", TEXT, nullable=False),  # empty: not started
    Column("parameters", TEXT, nullable=False),  # JSON of what was sent
    Column("status", TEXT, nullable=False),
    Column("details", TEXT, nullable=False),
    Column("started_at", MOMENT),
    Column("ended_at", MOMENT),
    PrimaryKeyConstraint("account", "region", "execution_id", "task_execution_id", "id"),
    CheckConstraint(f"status IN ({_STATES})", name="status"),
)

CALENDAR_FEED = owned(  # a link that calendar programs read
    "calendar_feed",
    Column("id", TEXT, nullable=False),
    Column("name", TEXT, nullable=False),
    Column("window_id", TEXT, nullable=False),  # empty: every window
    Column("tags", TEXT, nullable=False),  # JSON: windows have all of these
    Column("days", WHOLE, nullable=False),
    Column("owner", TEXT, nullable=False),  # in whose name it is read; empty: root
    Column("digest", TEXT, nullable=False),  # SHA-256 of the secret in the link
    Column("created_at", MOMENT, nullable=False),
    PrimaryKeyConstraint("account", "region", "id"),
    UniqueConstraint("digest", name="uq_calendar_feed_digest"),
)
