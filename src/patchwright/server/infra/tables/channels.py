# SPDX-License-Identifier: Apache-2.0
"""Control channels: which process holds a node's, so that one of several delivers to it (design D9)."""

from __future__ import annotations

from sqlalchemy import Column, Index, PrimaryKeyConstraint

from patchwright.server.infra.tables.columns import MOMENT, TEXT, WHOLE, owned

CHANNEL = owned(
    "channel",
    Column("instance_id", TEXT, nullable=False),
    Column("gateway", TEXT, nullable=False),  # the process that holds it; empty: it was closed
    Column("epoch", WHOLE, nullable=False),  # the later one wins
    Column("opened_at", MOMENT, nullable=False),
    PrimaryKeyConstraint("account", "region", "instance_id"),
)
Index("ix_channel_gateway", CHANNEL.c.gateway, CHANNEL.c.instance_id)
