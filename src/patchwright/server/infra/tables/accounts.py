# SPDX-License-Identifier: Apache-2.0
"""Tables of the accounts room. Region is empty everywhere: who may do what is global within an account."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Index, PrimaryKeyConstraint, UniqueConstraint

from patchwright.server.infra.tables.columns import MOMENT, OCTETS, TEXT, WHOLE, owned

ACCOUNT = owned(
    "account",
    Column("name", TEXT, nullable=False),
    Column("state", TEXT, nullable=False),
    Column("created_at", MOMENT, nullable=False),
    PrimaryKeyConstraint("account"),
    CheckConstraint("state IN ('Active', 'Disabled')", name="state"),
)

ACCESS_KEY = owned(
    "access_key",
    Column("id", TEXT, nullable=False),
    Column("principal", TEXT, nullable=False),
    Column("sealed_secret", OCTETS, nullable=False),
    Column("state", TEXT, nullable=False),
    Column("created_at", MOMENT, nullable=False),
    Column("owner", TEXT, nullable=False, server_default=""),  # the user's id; empty: root
    Column("used_at", MOMENT),
    Column("used_service", TEXT, nullable=False, server_default=""),
    Column("used_region", TEXT, nullable=False, server_default=""),
    PrimaryKeyConstraint("id"),
    CheckConstraint("state IN ('Active', 'Inactive')", name="state"),
)
Index("ix_access_key_owner", ACCESS_KEY.c.account, ACCESS_KEY.c.owner, ACCESS_KEY.c.id)

IDENTITY = owned(
    "identity",
    Column("id", TEXT, nullable=False),  # AIDA…, AROA…, AGPA…: never used again
    Column("kind", TEXT, nullable=False),
    Column("name", TEXT, nullable=False),
    Column("name_key", TEXT, nullable=False),  # in lower case: names differ in more than case
    Column("path", TEXT, nullable=False),
    Column("created_at", MOMENT, nullable=False),
    Column("description", TEXT, nullable=False),
    Column("trust", TEXT, nullable=False),  # a role's policy of who may assume it
    Column("trust_pins", TEXT, nullable=False),  # the ids of those it names, as JSON: a name may be given again
    Column("session_seconds", WHOLE, nullable=False),  # the longest session of a role
    Column("boundary", TEXT, nullable=False),  # the ARN of a policy, or empty
    PrimaryKeyConstraint("id"),
    UniqueConstraint("account", "kind", "name_key", name="uq_identity_name"),
    CheckConstraint("kind IN ('user', 'role', 'group')", name="kind"),
)

GROUP_MEMBER = owned(
    "group_member",
    Column("group_id", TEXT, nullable=False),
    Column("user_id", TEXT, nullable=False),
    PrimaryKeyConstraint("account", "group_id", "user_id"),
)
Index("ix_group_member_user", GROUP_MEMBER.c.account, GROUP_MEMBER.c.user_id, GROUP_MEMBER.c.group_id)

IDENTITY_TAG = owned(  # of policies, too
    "identity_tag",
    Column("owner", TEXT, nullable=False),
    Column("key", TEXT, nullable=False),
    Column("value", TEXT, nullable=False),
    PrimaryKeyConstraint("account", "owner", "key"),
)

INLINE_POLICY = owned(
    "inline_policy",
    Column("owner", TEXT, nullable=False),
    Column("name", TEXT, nullable=False),
    Column("document", TEXT, nullable=False),
    PrimaryKeyConstraint("account", "owner", "name"),
)

MANAGED_POLICY = owned(
    "managed_policy",
    Column("id", TEXT, nullable=False),  # ANPA…
    Column("arn", TEXT, nullable=False),
    Column("name", TEXT, nullable=False),
    Column("name_key", TEXT, nullable=False),
    Column("path", TEXT, nullable=False),
    Column("description", TEXT, nullable=False),
    Column("default_version", WHOLE, nullable=False),
    Column("last_version", WHOLE, nullable=False),  # numbers are never used again
    Column("created_at", MOMENT, nullable=False),
    Column("modified_at", MOMENT, nullable=False),
    PrimaryKeyConstraint("id"),
    UniqueConstraint("account", "name_key", name="uq_managed_policy_name"),
)

POLICY_VERSION = owned(
    "policy_version",
    Column("policy_id", TEXT, nullable=False),
    Column("version", WHOLE, nullable=False),
    Column("document", TEXT, nullable=False),
    Column("created_at", MOMENT, nullable=False),
    PrimaryKeyConstraint("account", "policy_id", "version"),
)

ATTACHED_POLICY = owned(
    "attached_policy",
    Column("owner", TEXT, nullable=False),
    Column("policy_arn", TEXT, nullable=False),
    PrimaryKeyConstraint("account", "owner", "policy_arn"),
)
Index("ix_attached_policy_arn", ATTACHED_POLICY.c.account, ATTACHED_POLICY.c.policy_arn, ATTACHED_POLICY.c.owner)
