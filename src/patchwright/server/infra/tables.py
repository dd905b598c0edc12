# SPDX-License-Identifier: Apache-2.0
"""
Every table, in one place: the schema the migrations lead to. A test proves that they do, on both engines.

Not imported while the server runs (SQLAlchemy takes half a second); rooms write their own SQL. To add a table:

    NODE = owned(
        "node",
        Column("id", TEXT, nullable=False),
        Column("state", TEXT, nullable=False),
        Column("seen_at", MOMENT),
        PrimaryKeyConstraint("account", "region", "id"),
        CheckConstraint("state IN ('Active', 'Terminated')", name="state"),
    )
    Index("ix_node_seen_at", NODE.c.account, NODE.c.region, NODE.c.seen_at)

then `python -m patchwright.server.infra.migrations 0002_nodes` drafts the migration.

Constraints get their names from the convention below (`pk_node`, `uq_node_account_region_name`, `ck_node_state`,
`fk_node_account_region_role_id_role`): UniqueViolation.constraint carries them. PostgreSQL cuts names at 63 bytes, so a
key over many columns is named by hand: `UniqueConstraint("a", "b", "c", name="uq_operation_once")`.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    REAL,
    BigInteger,
    CheckConstraint,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.schema import SchemaItem

NAMES = {
    "pk": "pk_%(table_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
}

# The only column types. SQLite tables are STRICT, which knows INTEGER, REAL, TEXT and BLOB; PostgreSQL sorts text by its
# bytes (collation "C"), as SQLite does, so that paging by key means the same on both.
TEXT = Text().with_variant(Text(collation="C"), "postgresql")
WHOLE = BigInteger().with_variant(Integer(), "sqlite")
"""A whole number of 64 bit; 0 and 1 for no and yes."""
MOMENT: Double[float] = Double().with_variant(REAL(), "sqlite")
"""Seconds since 1970, UTC."""
OCTETS = LargeBinary()

metadata = MetaData(naming_convention=NAMES)


def owned(name: str, *parts: SchemaItem, metadata: MetaData = metadata, **options: Any) -> Table:
    """The table *name* of what belongs to an account and region: those two columns first, then *parts*."""
    return Table(
        name,
        metadata,
        Column("account", TEXT, nullable=False),
        Column("region", TEXT, nullable=False),
        *parts,
        sqlite_strict=True,
        **options,
    )


# --- accounts ---------------------------------------------------------------------------------------------------------

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

# --- tags -------------------------------------------------------------------------------------------------------------

TAG = owned(
    "tag",
    Column("resource_type", TEXT, nullable=False),
    Column("resource_id", TEXT, nullable=False),
    Column("key", TEXT, nullable=False),
    Column("value", TEXT, nullable=False),
    PrimaryKeyConstraint("account", "region", "resource_type", "resource_id", "key"),
)
Index("ix_tag_value", TAG.c.account, TAG.c.region, TAG.c.resource_type, TAG.c.key, TAG.c.value)

# --- nodes ------------------------------------------------------------------------------------------------------------

ACTIVATION = owned(
    "activation",
    Column("id", TEXT, nullable=False),
    Column("code_hash", TEXT, nullable=False),
    Column("role", TEXT, nullable=False),
    Column("description", TEXT, nullable=False),
    Column("default_name", TEXT, nullable=False),
    Column("tags", TEXT, nullable=False),  # JSON object, copied to each node that enrols
    Column("registration_limit", WHOLE, nullable=False),
    Column("registrations", WHOLE, nullable=False),
    Column("expires_at", MOMENT, nullable=False),
    Column("created_at", MOMENT, nullable=False),
    PrimaryKeyConstraint("account", "region", "id"),
    UniqueConstraint("id"),
    CheckConstraint("registrations BETWEEN 0 AND registration_limit", name="registrations"),
)

NODE = owned(
    "node",
    Column("id", TEXT, nullable=False),
    Column("activation_id", TEXT, nullable=False),
    Column("enrolment_hash", TEXT, nullable=False),  # of the token that the node made: the same token, the same node
    Column("generation", WHOLE, nullable=False),  # of its secret
    Column("role", TEXT, nullable=False),
    Column("name", TEXT, nullable=False),
    Column("machine_id", TEXT, nullable=False),
    Column("agent_name", TEXT, nullable=False),
    Column("agent_version", TEXT, nullable=False),
    Column("platform_type", TEXT, nullable=False),
    Column("platform_name", TEXT, nullable=False),
    Column("platform_version", TEXT, nullable=False),
    Column("computer_name", TEXT, nullable=False),
    Column("ip_address", TEXT, nullable=False),
    Column("registered_at", MOMENT, nullable=False),
    Column("last_ping_at", MOMENT, nullable=False),
    Column("facts_id", TEXT),  # the newest facts
    Column("first_facts_at", MOMENT),  # when the first were recorded
    PrimaryKeyConstraint("account", "region", "id"),
    UniqueConstraint("id"),
    UniqueConstraint("activation_id", "enrolment_hash", name="uq_node_enrolment"),
)

BODY = owned(
    "body",
    Column("digest", TEXT, nullable=False),
    Column("size", WHOLE, nullable=False),  # bytes of the canonical form
    Column("content", OCTETS, nullable=False),  # the canonical form, zlib
    Column("created_at", MOMENT, nullable=False),
    PrimaryKeyConstraint("account", "region", "digest"),
)

FACTS = owned(  # append-only: what a node looked like is never overwritten
    "facts",
    Column("id", TEXT, nullable=False),
    Column("instance_id", TEXT, nullable=False),
    Column("digest", TEXT, nullable=False),  # of a body: all of NodeFacts but the moments
    Column("package_set", TEXT, nullable=False),
    Column("refreshed_at", MOMENT, nullable=False),  # the node's clock
    Column("observed_at", MOMENT, nullable=False),  # the node's clock
    Column("clock_offset", MOMENT, nullable=False),  # server's time minus the node's, as the node measured it
    Column("recorded_at", MOMENT, nullable=False),  # ours
    Column("sources", TEXT, nullable=False, server_default=""),  # digest of those they were taken with; empty: none
    PrimaryKeyConstraint("account", "region", "id"),
)

FORMER_FACTS = owned(  # a node's last facts with each sources but those of its newest
    "former_facts",
    Column("instance_id", TEXT, nullable=False),
    Column("sources", TEXT, nullable=False),
    Column("facts_id", TEXT, nullable=False),
    PrimaryKeyConstraint("account", "region", "instance_id", "sources"),
)

PACKAGE_CHANGE = owned(  # what appeared or changed between two sets of one node; gives InstalledTime
    "package_change",
    Column("instance_id", TEXT, nullable=False),
    Column("recorded_at", MOMENT, nullable=False),
    Column("package", TEXT, nullable=False),  # name.arch
    Column("version", TEXT, nullable=False),  # empty: removed
    PrimaryKeyConstraint("account", "region", "instance_id", "package", "recorded_at", "version"),
)

# --- commands ---------------------------------------------------------------------------------------------------------

COMMAND = owned(
    "command",
    Column("id", TEXT, nullable=False),
    Column("document_name", TEXT, nullable=False),
    Column("document_version", TEXT, nullable=False),
    Column("content", TEXT, nullable=False),  # JSON of the document as sent
    Column("parameters", TEXT, nullable=False),  # JSON as given
    Column("targets", TEXT, nullable=False),  # JSON as given
    Column("instance_ids", TEXT, nullable=False),  # JSON as given
    Column("comment", TEXT, nullable=False),
    Column("principal", TEXT, nullable=False),
    Column("timeout_seconds", WHOLE, nullable=False),
    Column("max_concurrency", TEXT, nullable=False),
    Column("max_errors", TEXT, nullable=False),
    Column("requested_at", MOMENT, nullable=False),
    Column("expires_at", MOMENT, nullable=False),
    Column("detail", TEXT, nullable=False),
    Column("target_count", WHOLE, nullable=False),
    PrimaryKeyConstraint("account", "region", "id"),
)
Index("ix_command_requested", COMMAND.c.account, COMMAND.c.region, COMMAND.c.requested_at, COMMAND.c.id)

INVOCATION = owned(
    "invocation",
    Column("command_id", TEXT, nullable=False),
    Column("instance_id", TEXT, nullable=False),
    Column("position", WHOLE, nullable=False),  # in the order of the targets
    Column("detail", TEXT, nullable=False),
    Column("released", WHOLE, nullable=False),  # 1: rate control lets it be delivered
    Column("requested_at", MOMENT, nullable=False),
    Column("due_at", MOMENT, nullable=False),  # delivery and execution time out here
    Column("visible_at", MOMENT, nullable=False),  # delivered, and not acknowledged before then: deliver again
    Column("acknowledged_at", MOMENT),
    Column("deliveries", WHOLE, nullable=False),
    Column("response_code", WHOLE, nullable=False),
    Column("steps", TEXT, nullable=False),  # JSON: what the node reported of each step
    Column("trace", TEXT, nullable=False),
    Column("ended_at", MOMENT),
    PrimaryKeyConstraint("account", "region", "command_id", "instance_id"),
)
Index(
    "ix_invocation_deliverable",
    INVOCATION.c.instance_id,
    INVOCATION.c.visible_at,
    sqlite_where=text("acknowledged_at IS NULL AND ended_at IS NULL AND released = 1"),
    postgresql_where=text("acknowledged_at IS NULL AND ended_at IS NULL AND released = 1"),
)
Index(
    "ix_invocation_due",
    INVOCATION.c.due_at,
    sqlite_where=text("ended_at IS NULL"),
    postgresql_where=text("ended_at IS NULL"),
)
Index(
    "ix_invocation_of_node",
    INVOCATION.c.account,
    INVOCATION.c.region,
    INVOCATION.c.instance_id,
    INVOCATION.c.requested_at,
)

INVOCATION_EVENT = owned(  # append-only: every change of an invocation's detail, written with it
    "invocation_event",
    Column("id", TEXT, nullable=False),
    Column("command_id", TEXT, nullable=False),
    Column("instance_id", TEXT, nullable=False),
    Column("detail", TEXT, nullable=False),
    Column("reason", TEXT, nullable=False),
    Column("recorded_at", MOMENT, nullable=False),
    PrimaryKeyConstraint("account", "region", "id"),
)
Index("ix_invocation_event_of", INVOCATION_EVENT.c.account, INVOCATION_EVENT.c.region, INVOCATION_EVENT.c.command_id)

REPLY = owned(  # replies that were taken: the same reply again changes nothing
    "reply",
    Column("id", TEXT, nullable=False),
    Column("instance_id", TEXT, nullable=False),
    Column("recorded_at", MOMENT, nullable=False),
    PrimaryKeyConstraint("account", "region", "instance_id", "id"),
)

# --- patching ---------------------------------------------------------------------------------------------------------

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

CLIENT_TOKEN = owned(  # idempotent requests (spec §0.4)
    "client_token",
    Column("operation", TEXT, nullable=False),
    Column("token", TEXT, nullable=False),
    Column("request_hash", TEXT, nullable=False),
    Column("result", TEXT, nullable=False),
    Column("created_at", MOMENT, nullable=False),
    PrimaryKeyConstraint("account", "region", "operation", "token"),
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
