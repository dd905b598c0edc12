# SPDX-License-Identifier: Apache-2.0
"""Operations know the last of the facts that they heard."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022_facts_in_order"
down_revision = "0021_event_order"

WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Bring the schema from `down_revision` to `revision`."""
    op.add_column("operation", sa.Column("heard", WHOLE, server_default="0", nullable=False))
