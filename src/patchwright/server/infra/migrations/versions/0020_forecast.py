# SPDX-License-Identifier: Apache-2.0
"""How long work takes on each node is kept, and commands may have to end by some moment."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020_forecast"
down_revision = "0019_calendar_feeds"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT: sa.Double[float] = sa.Double().with_variant(sa.REAL(), "sqlite")
OCTETS = sa.LargeBinary()


def upgrade() -> None:
    """Bring the schema from `down_revision` to `revision`."""
    _command_tally()
    _invocation()
    _last_operation()
    _operation()
    _fill_operating_system()


def _command_tally() -> None:
    op.add_column("command_tally", sa.Column("end_by", MOMENT, nullable=True))


def _invocation() -> None:
    op.add_column("invocation", sa.Column("needs", MOMENT, nullable=True))


def _last_operation() -> None:
    op.add_column("last_operation", sa.Column("operating_system", TEXT, server_default="", nullable=False))
    op.add_column("last_operation", sa.Column("scans", TEXT, server_default="", nullable=False))
    op.add_column("last_operation", sa.Column("installs", TEXT, server_default="", nullable=False))
    op.add_column("last_operation", sa.Column("restarts", TEXT, server_default="", nullable=False))


def _operation() -> None:
    op.add_column("operation", sa.Column("looked_at", MOMENT, nullable=True))
    op.add_column("operation", sa.Column("acted_at", MOMENT, nullable=True))


def _fill_operating_system() -> None:
    """Of which system each node's last operation was; how long what was done before took is not known."""
    op.execute(
        "UPDATE last_operation SET operating_system = COALESCE((SELECT o.operating_system FROM operation o"
        " WHERE o.account = last_operation.account AND o.region = last_operation.region"
        " AND o.id = last_operation.operation_id), '')"
    )
