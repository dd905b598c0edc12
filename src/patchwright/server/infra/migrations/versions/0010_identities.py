# SPDX-License-Identifier: Apache-2.0
"""Accounts, users, roles, groups and their policies."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010_identities"
down_revision = "0009_documents"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT: sa.Double[float] = sa.Double().with_variant(sa.REAL(), "sqlite")
OCTETS = sa.LargeBinary()


def upgrade() -> None:
    """Bring the schema from `down_revision` to `revision`."""
    _account()
    _attached_policy()
    _group_member()
    _identity()
    _identity_tag()
    _inline_policy()
    _managed_policy()
    _policy_version()
    _access_key()


def _account() -> None:
    op.create_table(
        "account",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.CheckConstraint("state IN ('Active', 'Disabled')", name=op.f("ck_account_state")),
        sa.PrimaryKeyConstraint("account", name=op.f("pk_account")),
        sqlite_strict=True,
    )


def _attached_policy() -> None:
    op.create_table(
        "attached_policy",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("owner", TEXT, nullable=False),
        sa.Column("policy_arn", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("account", "owner", "policy_arn", name=op.f("pk_attached_policy")),
        sqlite_strict=True,
    )
    op.create_index("ix_attached_policy_arn", "attached_policy", ["account", "policy_arn", "owner"], unique=False)


def _group_member() -> None:
    op.create_table(
        "group_member",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("group_id", TEXT, nullable=False),
        sa.Column("user_id", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("account", "group_id", "user_id", name=op.f("pk_group_member")),
        sqlite_strict=True,
    )
    op.create_index("ix_group_member_user", "group_member", ["account", "user_id", "group_id"], unique=False)


def _identity() -> None:
    op.create_table(
        "identity",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("name_key", TEXT, nullable=False),
        sa.Column("path", TEXT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("description", TEXT, nullable=False),
        sa.Column("trust", TEXT, nullable=False),
        sa.Column("trust_pins", TEXT, nullable=False),
        sa.Column("session_seconds", WHOLE, nullable=False),
        sa.Column("boundary", TEXT, nullable=False),
        sa.CheckConstraint("kind IN ('user', 'role', 'group')", name=op.f("ck_identity_kind")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identity")),
        sa.UniqueConstraint("account", "kind", "name_key", name="uq_identity_name"),
        sqlite_strict=True,
    )


def _identity_tag() -> None:
    op.create_table(
        "identity_tag",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("owner", TEXT, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("value", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("account", "owner", "key", name=op.f("pk_identity_tag")),
        sqlite_strict=True,
    )


def _inline_policy() -> None:
    op.create_table(
        "inline_policy",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("owner", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("document", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("account", "owner", "name", name=op.f("pk_inline_policy")),
        sqlite_strict=True,
    )


def _managed_policy() -> None:
    op.create_table(
        "managed_policy",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("arn", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("name_key", TEXT, nullable=False),
        sa.Column("path", TEXT, nullable=False),
        sa.Column("description", TEXT, nullable=False),
        sa.Column("default_version", WHOLE, nullable=False),
        sa.Column("last_version", WHOLE, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("modified_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_managed_policy")),
        sa.UniqueConstraint("account", "name_key", name="uq_managed_policy_name"),
        sqlite_strict=True,
    )


def _policy_version() -> None:
    op.create_table(
        "policy_version",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("policy_id", TEXT, nullable=False),
        sa.Column("version", WHOLE, nullable=False),
        sa.Column("document", TEXT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("account", "policy_id", "version", name=op.f("pk_policy_version")),
        sqlite_strict=True,
    )


def _access_key() -> None:
    op.add_column("access_key", sa.Column("owner", TEXT, server_default="", nullable=False))
    op.add_column("access_key", sa.Column("used_at", MOMENT, nullable=True))
    op.add_column("access_key", sa.Column("used_service", TEXT, server_default="", nullable=False))
    op.add_column("access_key", sa.Column("used_region", TEXT, server_default="", nullable=False))
    op.create_index("ix_access_key_owner", "access_key", ["account", "owner", "id"], unique=False)
