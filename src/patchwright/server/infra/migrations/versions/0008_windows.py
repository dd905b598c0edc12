# SPDX-License-Identifier: Apache-2.0
"""Maintenance windows, and what was executed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008_windows"
down_revision = "0007_parameters"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT: sa.Double[float] = sa.Double().with_variant(sa.REAL(), "sqlite")
OCTETS = sa.LargeBinary()


def upgrade() -> None:
    """Bring the schema from `down_revision` to `revision`."""
    _maintenance_window()
    _window_execution()
    _window_invocation()
    _window_target()
    _window_task()
    _window_task_execution()


def _maintenance_window() -> None:
    op.create_table(
        "maintenance_window",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("description", TEXT, nullable=False),
        sa.Column("schedule", TEXT, nullable=False),
        sa.Column("zone", TEXT, nullable=False),
        sa.Column("schedule_offset", WHOLE, nullable=False),
        sa.Column("start_date", TEXT, nullable=False),
        sa.Column("end_date", TEXT, nullable=False),
        sa.Column("duration", WHOLE, nullable=False),
        sa.Column("cutoff", WHOLE, nullable=False),
        sa.Column("allow_unassociated_targets", WHOLE, nullable=False),
        sa.Column("enabled", WHOLE, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("modified_at", MOMENT, nullable=False),
        sa.Column("scheduled_from", MOMENT, nullable=False),
        sa.Column("next_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("account", "region", "id", name=op.f("pk_maintenance_window")),
        sqlite_strict=True,
    )
    op.create_index(
        "ix_maintenance_window_due",
        "maintenance_window",
        ["next_at"],
        unique=False,
        sqlite_where=sa.text("enabled = 1"),
        postgresql_where=sa.text("enabled = 1"),
    )


def _window_execution() -> None:
    op.create_table(
        "window_execution",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("window_id", TEXT, nullable=False),
        sa.Column("scheduled_at", MOMENT, nullable=False),
        sa.Column("cutoff_at", MOMENT, nullable=False),
        sa.Column("ends_at", MOMENT, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("details", TEXT, nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.CheckConstraint(
            "(status IN ('PENDING', 'IN_PROGRESS', 'CANCELLING')) = (ended_at IS NULL)",
            name=op.f("ck_window_execution_ended"),
        ),
        sa.CheckConstraint(
            "status IN ('PENDING', 'IN_PROGRESS', 'SUCCESS', 'FAILED', 'TIMED_OUT', 'CANCELLING', 'CANCELLED', 'SKIPPED_OVERLAPPING')",
            name=op.f("ck_window_execution_status"),
        ),
        sa.PrimaryKeyConstraint("account", "region", "id", name=op.f("pk_window_execution")),
        sa.UniqueConstraint("account", "region", "window_id", "scheduled_at", name="uq_window_execution_once"),
        sqlite_strict=True,
    )
    op.create_index(
        "ix_window_execution_of", "window_execution", ["account", "region", "window_id", "started_at"], unique=False
    )
    op.create_index(
        "ix_window_execution_open",
        "window_execution",
        ["started_at"],
        unique=False,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )


def _window_invocation() -> None:
    op.create_table(
        "window_invocation",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("execution_id", TEXT, nullable=False),
        sa.Column("task_execution_id", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("position", WHOLE, nullable=False),
        sa.Column("window_target_id", TEXT, nullable=False),
        sa.Column("targets", TEXT, nullable=False),
        sa.Column("owner_information", TEXT, nullable=False),
        sa.Column("command_id", TEXT, nullable=False),
        sa.Column("parameters", TEXT, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("details", TEXT, nullable=False),
        sa.Column("started_at", MOMENT, nullable=True),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.CheckConstraint(
            "status IN ('PENDING', 'IN_PROGRESS', 'SUCCESS', 'FAILED', 'TIMED_OUT', 'CANCELLING', 'CANCELLED', 'SKIPPED_OVERLAPPING')",
            name=op.f("ck_window_invocation_status"),
        ),
        sa.PrimaryKeyConstraint(
            "account", "region", "execution_id", "task_execution_id", "id", name=op.f("pk_window_invocation")
        ),
        sqlite_strict=True,
    )


def _window_target() -> None:
    op.create_table(
        "window_target",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("window_id", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("resource_type", TEXT, nullable=False),
        sa.Column("targets", TEXT, nullable=False),
        sa.Column("owner_information", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("description", TEXT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("account", "region", "window_id", "id", name=op.f("pk_window_target")),
        sqlite_strict=True,
    )


def _window_task() -> None:
    op.create_table(
        "window_task",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("window_id", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("type", TEXT, nullable=False),
        sa.Column("priority", WHOLE, nullable=False),
        sa.Column("content", TEXT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("account", "region", "window_id", "id", name=op.f("pk_window_task")),
        sqlite_strict=True,
    )


def _window_task_execution() -> None:
    op.create_table(
        "window_task_execution",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("execution_id", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("task_id", TEXT, nullable=False),
        sa.Column("type", TEXT, nullable=False),
        sa.Column("priority", WHOLE, nullable=False),
        sa.Column("position", WHOLE, nullable=False),
        sa.Column("content", TEXT, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("details", TEXT, nullable=False),
        sa.Column("started_at", MOMENT, nullable=True),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.CheckConstraint(
            "status IN ('PENDING', 'IN_PROGRESS', 'SUCCESS', 'FAILED', 'TIMED_OUT', 'CANCELLING', 'CANCELLED', 'SKIPPED_OVERLAPPING')",
            name=op.f("ck_window_task_execution_status"),
        ),
        sa.PrimaryKeyConstraint("account", "region", "execution_id", "id", name=op.f("pk_window_task_execution")),
        sqlite_strict=True,
    )
