# SPDX-License-Identifier: Apache-2.0
"""Commands count as they go, are cancelled, and say where their output goes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016_commands"
down_revision = "0015_channels"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT: sa.Double[float] = sa.Double().with_variant(sa.REAL(), "sqlite")
OCTETS = sa.LargeBinary()

_FINAL = (  # in the order of the columns
    "Success",
    "Failed",
    "ExecutionTimedOut",
    "DeliveryTimedOut",
    "Cancelled",
    "Undeliverable",
    "Terminated",
    "InvalidPlatform",
    "AccessDenied",
)


def upgrade() -> None:
    """Bring the schema from `down_revision` to `revision`."""
    _command_tally()
    _command()
    _invocation()
    _reply()
    _fill_begin_by()
    _fill_command_tally()


def _snake(detail: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in detail).lstrip("_")


def _command_tally() -> None:
    op.create_table(
        "command_tally",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("command_id", TEXT, nullable=False),
        sa.Column("most_under_way", WHOLE, nullable=False),
        sa.Column("most_errors", WHOLE, nullable=False),
        sa.Column("waiting", WHOLE, nullable=False),
        sa.Column("under_way", WHOLE, nullable=False),
        sa.Column("begun", WHOLE, nullable=False),
        sa.Column("success", WHOLE, nullable=False),
        sa.Column("failed", WHOLE, nullable=False),
        sa.Column("execution_timed_out", WHOLE, nullable=False),
        sa.Column("delivery_timed_out", WHOLE, nullable=False),
        sa.Column("cancelled", WHOLE, nullable=False),
        sa.Column("undeliverable", WHOLE, nullable=False),
        sa.Column("terminated", WHOLE, nullable=False),
        sa.Column("invalid_platform", WHOLE, nullable=False),
        sa.Column("access_denied", WHOLE, nullable=False),
        sa.Column("cancelling", WHOLE, nullable=False),
        sa.Column("ending", TEXT, nullable=False),
        sa.Column("spread_after", TEXT, nullable=True),
        sa.Column("resume_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("account", "region", "command_id", name=op.f("pk_command_tally")),
        sqlite_strict=True,
    )
    op.create_index(
        "ix_command_tally_resume",
        "command_tally",
        ["resume_at"],
        unique=False,
        sqlite_where=sa.text("resume_at IS NOT NULL"),
        postgresql_where=sa.text("resume_at IS NOT NULL"),
    )


def _command() -> None:
    op.add_column("command", sa.Column("owner", TEXT, server_default="", nullable=False))
    op.add_column("command", sa.Column("execution_seconds", WHOLE, server_default="7200", nullable=False))
    op.add_column("command", sa.Column("options", TEXT, server_default="{}", nullable=False))
    op.add_column("command", sa.Column("resolved", TEXT, server_default="", nullable=False))
    op.create_index("ix_command_age", "command", ["requested_at"], unique=False)


def _invocation() -> None:
    op.add_column("invocation", sa.Column("begin_by", MOMENT, server_default="0", nullable=False))
    op.add_column("invocation", sa.Column("cancel_id", TEXT, server_default="", nullable=False))
    op.add_column("invocation", sa.Column("cancel_visible_at", MOMENT, nullable=True))
    op.create_index(
        "ix_invocation_cancel",
        "invocation",
        ["instance_id", "cancel_visible_at"],
        unique=False,
        sqlite_where=sa.text("cancel_visible_at IS NOT NULL AND ended_at IS NULL"),
        postgresql_where=sa.text("cancel_visible_at IS NOT NULL AND ended_at IS NULL"),
    )
    op.create_index(
        "ix_invocation_waiting",
        "invocation",
        ["account", "region", "command_id", "position"],
        unique=False,
        sqlite_where=sa.text("released = 0 AND ended_at IS NULL"),
        postgresql_where=sa.text("released = 0 AND ended_at IS NULL"),
    )


def _reply() -> None:
    op.create_index("ix_reply_age", "reply", ["recorded_at"], unique=False)


def _fill_begin_by() -> None:
    """Until when what was sent before may begin: the time out of every document was the same."""
    op.execute("UPDATE invocation SET begin_by = due_at - 7200")


def _fill_command_tally() -> None:
    """How the invocations stand of every command that is there."""
    counted = [f"SUM(CASE WHEN detail = '{detail}' THEN 1 ELSE 0 END)" for detail in _FINAL]
    rates = [
        f"CASE WHEN c.{rate} LIKE '%!%' ESCAPE '!'"
        f" THEN CAST(REPLACE(c.{rate}, '%', '') AS INTEGER) * c.target_count / 100 ELSE CAST(c.{rate} AS INTEGER) END"
        for rate in ("max_concurrency", "max_errors")
    ]
    op.execute(
        "INSERT INTO command_tally"
        " (account, region, command_id, most_under_way, most_errors, waiting, under_way, begun,"
        f" {', '.join(map(_snake, _FINAL))}, cancelling, ending, spread_after, resume_at)"
        " SELECT c.account, c.region, c.id,"
        f" CASE WHEN {rates[0]} < 1 THEN 1 ELSE {rates[0]} END, {rates[1]},"
        " COALESCE(t.waiting, 0), COALESCE(t.under_way, 0), COALESCE(t.begun, 0),"
        f" {', '.join(f'COALESCE(t.n{place}, 0)' for place in range(len(_FINAL)))}, 0, '', NULL, NULL"
        " FROM command c LEFT JOIN (SELECT account, region, command_id,"
        " SUM(CASE WHEN ended_at IS NULL AND released = 0 THEN 1 ELSE 0 END) AS waiting,"
        " SUM(CASE WHEN ended_at IS NULL AND released = 1 THEN 1 ELSE 0 END) AS under_way,"
        " SUM(CASE WHEN ended_at IS NULL AND detail <> 'Pending' THEN 1 ELSE 0 END) AS begun,"
        f" {', '.join(f'{one} AS n{place}' for place, one in enumerate(counted))}"
        " FROM invocation GROUP BY account, region, command_id) t"
        " ON t.account = c.account AND t.region = c.region AND t.command_id = c.id"
    )
