# SPDX-License-Identifier: Apache-2.0
"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001_initial"
down_revision = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT: sa.Double[float] = sa.Double().with_variant(sa.REAL(), "sqlite")
OCTETS = sa.LargeBinary()


def upgrade() -> None:
    """Bring the schema from `down_revision` to `revision`."""
    _access_key()
    _activation()
    _baseline()
    _body()
    _client_token()
    _command()
    _facts()
    _invocation()
    _invocation_event()
    _node()
    _operation()
    _package_change()
    _patch_group()
    _patch_states()
    _plan()
    _reply()
    _snapshot()
    _tag()


def _access_key() -> None:
    op.create_table(
        "access_key",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("principal", TEXT, nullable=False),
        sa.Column("sealed_secret", OCTETS, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.CheckConstraint("state IN ('Active', 'Inactive')", name=op.f("ck_access_key_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_key")),
        sqlite_strict=True,
    )


def _activation() -> None:
    op.create_table(
        "activation",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("code_hash", TEXT, nullable=False),
        sa.Column("role", TEXT, nullable=False),
        sa.Column("description", TEXT, nullable=False),
        sa.Column("default_name", TEXT, nullable=False),
        sa.Column("tags", TEXT, nullable=False),
        sa.Column("registration_limit", WHOLE, nullable=False),
        sa.Column("registrations", WHOLE, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.CheckConstraint("registrations BETWEEN 0 AND registration_limit", name=op.f("ck_activation_registrations")),
        sa.PrimaryKeyConstraint("account", "region", "id", name=op.f("pk_activation")),
        sa.UniqueConstraint("id", name=op.f("uq_activation_id")),
        sqlite_strict=True,
    )


def _baseline() -> None:
    op.create_table(
        "baseline",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("revision", WHOLE, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("description", TEXT, nullable=False),
        sa.Column("operating_system", TEXT, nullable=False),
        sa.Column("content", TEXT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("modified_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("account", "region", "id", name=op.f("pk_baseline")),
        sqlite_strict=True,
    )
    op.create_index("ix_baseline_created", "baseline", ["account", "region", "created_at", "id"], unique=False)


def _body() -> None:
    op.create_table(
        "body",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("digest", TEXT, nullable=False),
        sa.Column("size", WHOLE, nullable=False),
        sa.Column("content", OCTETS, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("account", "region", "digest", name=op.f("pk_body")),
        sqlite_strict=True,
    )


def _client_token() -> None:
    op.create_table(
        "client_token",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("operation", TEXT, nullable=False),
        sa.Column("token", TEXT, nullable=False),
        sa.Column("request_hash", TEXT, nullable=False),
        sa.Column("result", TEXT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("account", "region", "operation", "token", name=op.f("pk_client_token")),
        sqlite_strict=True,
    )


def _command() -> None:
    op.create_table(
        "command",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("document_name", TEXT, nullable=False),
        sa.Column("document_version", TEXT, nullable=False),
        sa.Column("content", TEXT, nullable=False),
        sa.Column("parameters", TEXT, nullable=False),
        sa.Column("targets", TEXT, nullable=False),
        sa.Column("instance_ids", TEXT, nullable=False),
        sa.Column("comment", TEXT, nullable=False),
        sa.Column("principal", TEXT, nullable=False),
        sa.Column("timeout_seconds", WHOLE, nullable=False),
        sa.Column("max_concurrency", TEXT, nullable=False),
        sa.Column("max_errors", TEXT, nullable=False),
        sa.Column("requested_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("detail", TEXT, nullable=False),
        sa.Column("target_count", WHOLE, nullable=False),
        sa.PrimaryKeyConstraint("account", "region", "id", name=op.f("pk_command")),
        sqlite_strict=True,
    )
    op.create_index("ix_command_requested", "command", ["account", "region", "requested_at", "id"], unique=False)


def _facts() -> None:
    op.create_table(
        "facts",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("instance_id", TEXT, nullable=False),
        sa.Column("digest", TEXT, nullable=False),
        sa.Column("package_set", TEXT, nullable=False),
        sa.Column("refreshed_at", MOMENT, nullable=False),
        sa.Column("observed_at", MOMENT, nullable=False),
        sa.Column("clock_offset", MOMENT, nullable=False),
        sa.Column("recorded_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("account", "region", "id", name=op.f("pk_facts")),
        sqlite_strict=True,
    )


def _invocation() -> None:
    op.create_table(
        "invocation",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("command_id", TEXT, nullable=False),
        sa.Column("instance_id", TEXT, nullable=False),
        sa.Column("position", WHOLE, nullable=False),
        sa.Column("detail", TEXT, nullable=False),
        sa.Column("released", WHOLE, nullable=False),
        sa.Column("requested_at", MOMENT, nullable=False),
        sa.Column("due_at", MOMENT, nullable=False),
        sa.Column("visible_at", MOMENT, nullable=False),
        sa.Column("acknowledged_at", MOMENT, nullable=True),
        sa.Column("deliveries", WHOLE, nullable=False),
        sa.Column("response_code", WHOLE, nullable=False),
        sa.Column("steps", TEXT, nullable=False),
        sa.Column("trace", TEXT, nullable=False),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("account", "region", "command_id", "instance_id", name=op.f("pk_invocation")),
        sqlite_strict=True,
    )
    op.create_index(
        "ix_invocation_deliverable",
        "invocation",
        ["instance_id", "visible_at"],
        unique=False,
        sqlite_where=sa.text("acknowledged_at IS NULL AND ended_at IS NULL AND released = 1"),
        postgresql_where=sa.text("acknowledged_at IS NULL AND ended_at IS NULL AND released = 1"),
    )
    op.create_index(
        "ix_invocation_due",
        "invocation",
        ["due_at"],
        unique=False,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index(
        "ix_invocation_of_node", "invocation", ["account", "region", "instance_id", "requested_at"], unique=False
    )


def _invocation_event() -> None:
    op.create_table(
        "invocation_event",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("command_id", TEXT, nullable=False),
        sa.Column("instance_id", TEXT, nullable=False),
        sa.Column("detail", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("recorded_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("account", "region", "id", name=op.f("pk_invocation_event")),
        sqlite_strict=True,
    )
    op.create_index("ix_invocation_event_of", "invocation_event", ["account", "region", "command_id"], unique=False)


def _node() -> None:
    op.create_table(
        "node",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("activation_id", TEXT, nullable=False),
        sa.Column("enrolment_hash", TEXT, nullable=False),
        sa.Column("generation", WHOLE, nullable=False),
        sa.Column("role", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("machine_id", TEXT, nullable=False),
        sa.Column("agent_name", TEXT, nullable=False),
        sa.Column("agent_version", TEXT, nullable=False),
        sa.Column("platform_type", TEXT, nullable=False),
        sa.Column("platform_name", TEXT, nullable=False),
        sa.Column("platform_version", TEXT, nullable=False),
        sa.Column("computer_name", TEXT, nullable=False),
        sa.Column("ip_address", TEXT, nullable=False),
        sa.Column("registered_at", MOMENT, nullable=False),
        sa.Column("last_ping_at", MOMENT, nullable=False),
        sa.Column("facts_id", TEXT, nullable=True),
        sa.Column("first_facts_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("account", "region", "id", name=op.f("pk_node")),
        sa.UniqueConstraint("activation_id", "enrolment_hash", name="uq_node_enrolment"),
        sa.UniqueConstraint("id", name=op.f("uq_node_id")),
        sqlite_strict=True,
    )


def _operation() -> None:
    op.create_table(
        "operation",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("instance_id", TEXT, nullable=False),
        sa.Column("command_id", TEXT, nullable=False),
        sa.Column("step", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("reboot_option", TEXT, nullable=False),
        sa.Column("patch_group", TEXT, nullable=False),
        sa.Column("operating_system", TEXT, nullable=False),
        sa.Column("snapshot_id", TEXT, nullable=False),
        sa.Column("baseline_id", TEXT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("attempt", WHOLE, nullable=False),
        sa.Column("drift", TEXT, nullable=False),
        sa.Column("intent", TEXT, nullable=False),
        sa.Column("plan_digest", TEXT, nullable=False),
        sa.Column("acted_boot_id", TEXT, nullable=False),
        sa.Column("failures", TEXT, nullable=False),
        sa.Column("before_facts", TEXT, nullable=True),
        sa.Column("after_facts", TEXT, nullable=True),
        sa.Column("states_digest", TEXT, nullable=False),
        sa.Column("counts", TEXT, nullable=False),
        sa.Column("report", TEXT, nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.CheckConstraint(
            "(state IN ('finished', 'failed')) = (ended_at IS NOT NULL)", name=op.f("ck_operation_ended")
        ),
        sa.CheckConstraint("kind IN ('Scan', 'Install')", name=op.f("ck_operation_kind")),
        sa.CheckConstraint(
            "state IN ('begun', 'intended', 'planned', 'rebooting', 'finished', 'failed')",
            name=op.f("ck_operation_state"),
        ),
        sa.PrimaryKeyConstraint("account", "region", "id", name=op.f("pk_operation")),
        sa.UniqueConstraint("account", "region", "command_id", "instance_id", "step", name="uq_operation_step"),
        sqlite_strict=True,
    )
    op.create_index("ix_operation_of_node", "operation", ["account", "region", "instance_id", "ended_at"], unique=False)


def _package_change() -> None:
    op.create_table(
        "package_change",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("instance_id", TEXT, nullable=False),
        sa.Column("recorded_at", MOMENT, nullable=False),
        sa.Column("package", TEXT, nullable=False),
        sa.Column("version", TEXT, nullable=False),
        sa.PrimaryKeyConstraint(
            "account", "region", "instance_id", "package", "recorded_at", "version", name=op.f("pk_package_change")
        ),
        sqlite_strict=True,
    )


def _patch_group() -> None:
    op.create_table(
        "patch_group",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("operating_system", TEXT, nullable=False),
        sa.Column("baseline_id", TEXT, nullable=False),
        sa.Column("registered_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("account", "region", "name", "operating_system", name=op.f("pk_patch_group")),
        sqlite_strict=True,
    )
    op.create_index("ix_patch_group_baseline", "patch_group", ["account", "region", "baseline_id"], unique=False)


def _patch_states() -> None:
    op.create_table(
        "patch_states",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("digest", TEXT, nullable=False),
        sa.Column("content", OCTETS, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("account", "region", "digest", name=op.f("pk_patch_states")),
        sqlite_strict=True,
    )


def _plan() -> None:
    op.create_table(
        "plan",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("digest", TEXT, nullable=False),
        sa.Column("content", TEXT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("account", "region", "digest", name=op.f("pk_plan")),
        sqlite_strict=True,
    )


def _reply() -> None:
    op.create_table(
        "reply",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("instance_id", TEXT, nullable=False),
        sa.Column("recorded_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("account", "region", "instance_id", "id", name=op.f("pk_reply")),
        sqlite_strict=True,
    )


def _snapshot() -> None:
    op.create_table(
        "snapshot",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("patch_group", TEXT, nullable=False),
        sa.Column("operating_system", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("baseline_id", TEXT, nullable=False),
        sa.Column("revision", WHOLE, nullable=False),
        sa.Column("content", TEXT, nullable=False),
        sa.Column("day", TEXT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("account", "region", "patch_group", "operating_system", "id", name=op.f("pk_snapshot")),
        sqlite_strict=True,
    )


def _tag() -> None:
    op.create_table(
        "tag",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("resource_type", TEXT, nullable=False),
        sa.Column("resource_id", TEXT, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("value", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("account", "region", "resource_type", "resource_id", "key", name=op.f("pk_tag")),
        sqlite_strict=True,
    )
    op.create_index("ix_tag_value", "tag", ["account", "region", "resource_type", "key", "value"], unique=False)
