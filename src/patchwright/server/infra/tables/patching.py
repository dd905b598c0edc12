# SPDX-License-Identifier: Apache-2.0
"""Tables of the patching room: baselines, groups, snapshots, operations, plans."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Index, PrimaryKeyConstraint, UniqueConstraint

from patchwright.server.infra.tables.columns import MOMENT, OCTETS, TEXT, WHOLE, owned

BASELINE = owned(
    "baseline",
    Column("id", TEXT, nullable=False),
    Column("revision", WHOLE, nullable=False),
    Column("name", TEXT, nullable=False),
    Column("description", TEXT, nullable=False),
    Column("operating_system", TEXT, nullable=False),
    Column("content", TEXT, nullable=False),  # JSON of the API's members
    Column("created_at", MOMENT, nullable=False),
    Column("modified_at", MOMENT, nullable=False),
    PrimaryKeyConstraint("account", "region", "id"),
)
Index("ix_baseline_created", BASELINE.c.account, BASELINE.c.region, BASELINE.c.created_at, BASELINE.c.id)

PATCH_GROUP = owned(  # a group has at most one baseline per operating system
    "patch_group",
    Column("name", TEXT, nullable=False),
    Column("operating_system", TEXT, nullable=False),
    Column("baseline_id", TEXT, nullable=False),
    Column("registered_at", MOMENT, nullable=False),
    PrimaryKeyConstraint("account", "region", "name", "operating_system"),
)
Index("ix_patch_group_baseline", PATCH_GROUP.c.account, PATCH_GROUP.c.region, PATCH_GROUP.c.baseline_id)

SNAPSHOT = owned(  # the baseline as frozen for one run: written by the first asker, never regenerated
    "snapshot",
    Column("patch_group", TEXT, nullable=False),
    Column("operating_system", TEXT, nullable=False),
    Column("id", TEXT, nullable=False),
    Column("baseline_id", TEXT, nullable=False),
    Column("revision", WHOLE, nullable=False),
    Column("content", TEXT, nullable=False),
    Column("day", TEXT, nullable=False),  # UTC, YYYY-MM-DD
    Column("created_at", MOMENT, nullable=False),
    PrimaryKeyConstraint("account", "region", "patch_group", "operating_system", "id"),
)

OPERATION = owned(  # one Scan or Install on one node
    "operation",
    Column("id", TEXT, nullable=False),
    Column("instance_id", TEXT, nullable=False),
    Column("command_id", TEXT, nullable=False),
    Column("step", TEXT, nullable=False),
    Column("kind", TEXT, nullable=False),
    Column("reboot_option", TEXT, nullable=False),
    Column("patch_group", TEXT, nullable=False),
    Column("operating_system", TEXT, nullable=False),
    Column("snapshot_id", TEXT, nullable=False),
    Column("baseline_id", TEXT, nullable=False),
    Column("state", TEXT, nullable=False),
    Column("attempt", WHOLE, nullable=False),
    Column("drift", TEXT, nullable=False),  # JSON: what made a new plan necessary
    Column("intent", TEXT, nullable=False),  # JSON, empty before there is one
    Column("plan_digest", TEXT, nullable=False),
    Column("acted_boot_id", TEXT, nullable=False),
    Column("failures", TEXT, nullable=False),  # JSON: reason by name.arch
    Column("before_facts", TEXT),
    Column("after_facts", TEXT),
    Column("states_digest", TEXT, nullable=False),
    Column("counts", TEXT, nullable=False),  # JSON
    Column("report", TEXT, nullable=False),  # JSON of the report the node was given
    Column("started_at", MOMENT, nullable=False),
    Column("ended_at", MOMENT),
    PrimaryKeyConstraint("account", "region", "id"),
    UniqueConstraint("account", "region", "command_id", "instance_id", "step", name="uq_operation_step"),
    CheckConstraint("kind IN ('Scan', 'Install')", name="kind"),
    CheckConstraint("state IN ('begun', 'intended', 'planned', 'rebooting', 'finished', 'failed')", name="state"),
    CheckConstraint("(state IN ('finished', 'failed')) = (ended_at IS NOT NULL)", name="ended"),
)
Index("ix_operation_of_node", OPERATION.c.account, OPERATION.c.region, OPERATION.c.instance_id, OPERATION.c.ended_at)

PLAN = owned(
    "plan",
    Column("digest", TEXT, nullable=False),
    Column("content", TEXT, nullable=False),
    Column("created_at", MOMENT, nullable=False),
    PrimaryKeyConstraint("account", "region", "digest"),
)

PATCH_STATES = owned(  # the rows of a judgement, once for all nodes that have the same
    "patch_states",
    Column("digest", TEXT, nullable=False),
    Column("content", OCTETS, nullable=False),  # JSON, zlib
    Column("created_at", MOMENT, nullable=False),
    PrimaryKeyConstraint("account", "region", "digest"),
)
