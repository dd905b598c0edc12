# SPDX-License-Identifier: Apache-2.0
"""Tables of the reports room: resource data syncs."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Index, PrimaryKeyConstraint

from patchwright.server.infra.tables.columns import MOMENT, TEXT, owned

RESOURCE_DATA_SYNC = owned(
    "resource_data_sync",
    Column("name", TEXT, nullable=False),
    Column("id", TEXT, nullable=False),  # another one for a sync that is made again under the same name
    Column("type", TEXT, nullable=False),
    Column("settings", TEXT, nullable=False),  # JSON of S3Destination or SyncSource
    Column("created_at", MOMENT, nullable=False),
    Column("modified_at", MOMENT, nullable=False),
    Column("state", TEXT, nullable=False),  # LastStatus; empty before the first run
    Column("message", TEXT, nullable=False),
    Column("synced_at", MOMENT),  # when a run began last
    Column("succeeded_at", MOMENT),
    Column("position", TEXT, nullable=False),  # JSON: how far what has changed is written; empty: nothing yet
    Column("due_at", MOMENT),  # none: nothing to run
    Column("lease_owner", TEXT, nullable=False),  # empty: nobody runs it
    Column("lease_until", MOMENT, nullable=False),
    PrimaryKeyConstraint("account", "region", "name"),
    CheckConstraint("type IN ('SyncToDestination', 'SyncFromSource')", name="type"),
    CheckConstraint("state IN ('', 'InProgress', 'Successful', 'Failed')", name="state"),
)
Index("ix_resource_data_sync_due", RESOURCE_DATA_SYNC.c.due_at)

RESOURCE_DATA_WRITTEN = owned(  # what a sync has written of a node
    "resource_data_written",
    Column("sync_id", TEXT, nullable=False),
    Column("instance_id", TEXT, nullable=False),
    Column("fingerprints", TEXT, nullable=False),  # JSON object: of the rows, by type
    PrimaryKeyConstraint("account", "region", "sync_id", "instance_id"),
)
