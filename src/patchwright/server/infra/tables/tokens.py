# SPDX-License-Identifier: Apache-2.0
"""The table of client tokens."""

from __future__ import annotations

from sqlalchemy import Column, PrimaryKeyConstraint

from patchwright.server.infra.tables.columns import MOMENT, TEXT, owned

CLIENT_TOKEN = owned(  # idempotent requests (spec §0.4)
    "client_token",
    Column("operation", TEXT, nullable=False),
    Column("token", TEXT, nullable=False),
    Column("request_hash", TEXT, nullable=False),
    Column("result", TEXT, nullable=False),
    Column("created_at", MOMENT, nullable=False),
    PrimaryKeyConstraint("account", "region", "operation", "token"),
)
