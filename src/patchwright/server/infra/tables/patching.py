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

DEFAULT_BASELINE = owned(  # what an operating system gets where nothing else is said; absent: the predefined one
    "default_baseline",
    Column("operating_system", TEXT, nullable=False),
    Column("baseline_id", TEXT, nullable=False),  # the bare id; the ARN of a predefined one
    Column("registered_at", MOMENT, nullable=False),
    PrimaryKeyConstraint("account", "region", "operating_system"),
)

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
    Column("association_id", TEXT, nullable=False, server_default=""),
    Column(
        "overrides", TEXT, nullable=False, server_default=""
    ),  # JSON by parameter: URL, digest of what the file says
    Column("looked_at", MOMENT),  # when it first knew what was to be done
    Column("acted_at", MOMENT),  # when it had acted on its plan, and before its restart
    Column("heard", WHOLE, nullable=False, server_default="0"),  # the number of the last facts
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

OVERRIDE_SNAPSHOT = (
    owned(  # a baseline that was given for one run and never stored, as frozen for those who download it
        "override_snapshot",
        Column("digest", TEXT, nullable=False),  # of the snapshot's id and the content
        Column("content", TEXT, nullable=False),
        Column("day", TEXT, nullable=False),  # UTC, YYYY-MM-DD
        Column("created_at", MOMENT, nullable=False),
        PrimaryKeyConstraint("account", "region", "digest"),
    )
)
Index("ix_override_snapshot_created", OVERRIDE_SNAPSHOT.c.created_at)

OVERRIDE_LIST = owned(  # lists of patches that were given for an Install, once for all operations that have the same
    "override_list",
    Column("digest", TEXT, nullable=False),
    Column("content", TEXT, nullable=False),
    Column("created_at", MOMENT, nullable=False),
    PrimaryKeyConstraint("account", "region", "digest"),
)

LAST_OPERATION = owned(  # each node's last finished operation, with its counters as numbers: groups are summed over it
    "last_operation",
    Column("instance_id", TEXT, nullable=False),
    Column("operation_id", TEXT, nullable=False),
    Column("ended_at", MOMENT, nullable=False),
    Column("no_reboot_install_at", MOMENT),  # when its last Install with NoReboot ended
    Column("installed", WHOLE, nullable=False),
    Column("installed_other", WHOLE, nullable=False),
    Column("installed_pending_reboot", WHOLE, nullable=False),
    Column("installed_rejected", WHOLE, nullable=False),
    Column("missing", WHOLE, nullable=False),
    Column("failed", WHOLE, nullable=False),
    Column("not_applicable", WHOLE, nullable=False),
    Column("available_security_update", WHOLE, nullable=False),
    Column("critical", WHOLE, nullable=False),
    Column("security", WHOLE, nullable=False),
    Column("other", WHOLE, nullable=False),
    Column("operating_system", TEXT, nullable=False, server_default=""),
    Column("scans", TEXT, nullable=False, server_default=""),  # how long the last ones took, newest first: durations.py
    Column("installs", TEXT, nullable=False, server_default=""),
    Column("restarts", TEXT, nullable=False, server_default=""),
    PrimaryKeyConstraint("account", "region", "instance_id"),
)

OFFERED = owned(  # what each node's repositories offered last: nodes that see the same have the same
    "offered",
    Column("instance_id", TEXT, nullable=False),
    Column(
        "offers", TEXT, nullable=False
    ),  # operating system, product and digest of slices and notices, joined by slashes
    Column("facts_id", TEXT, nullable=False),  # facts that name them
    PrimaryKeyConstraint("account", "region", "instance_id"),
)
Index("ix_offered_offers", OFFERED.c.account, OFFERED.c.region, OFFERED.c.offers)
