# SPDX-License-Identifier: Apache-2.0
"""Commands whose nodes have their time from their turn on, not from the sending."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023_turns"
down_revision = "0022_facts_in_order"

MOMENT: sa.Double[float] = sa.Double().with_variant(sa.REAL(), "sqlite")


def upgrade() -> None:
    """Bring the schema from `down_revision` to `revision`."""
    op.add_column("command_tally", sa.Column("begin_within", MOMENT, nullable=True))
    op.add_column("command_tally", sa.Column("end_within", MOMENT, nullable=True))
