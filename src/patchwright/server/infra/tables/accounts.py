# SPDX-License-Identifier: Apache-2.0
"""Tables of the accounts room."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, PrimaryKeyConstraint

from patchwright.server.infra.tables.columns import MOMENT, OCTETS, TEXT, owned

ACCESS_KEY = owned(  # region is empty: access keys are global within an account
    "access_key",
    Column("id", TEXT, nullable=False),
    Column("principal", TEXT, nullable=False),
    Column("sealed_secret", OCTETS, nullable=False),
    Column("state", TEXT, nullable=False),
    Column("created_at", MOMENT, nullable=False),
    PrimaryKeyConstraint("id"),
    CheckConstraint("state IN ('Active', 'Inactive')", name="state"),
)
