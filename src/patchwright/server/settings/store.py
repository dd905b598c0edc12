# SPDX-License-Identifier: Apache-2.0
"""SQL of the settings room."""

from __future__ import annotations

from patchwright.server.accounts import Scope
from patchwright.server.infra import UnitOfWork, sql
from patchwright.server.settings.model import ResourcePolicy, Setting

_POLICY = "resource_arn, id, hash, policy, created_at, modified_at"


def find_setting(scope: Scope, setting_id: str) -> UnitOfWork[Setting | None]:
    """The setting as it was changed, or None."""
    rows = yield sql(
        "SELECT id, value, modified_at, modified_by FROM service_setting"
        " WHERE account = $1 AND region = $2 AND id = $3",
        *scope,
        setting_id,
    )
    return Setting(*rows[0]) if rows else None


def put_setting(scope: Scope, setting: Setting) -> UnitOfWork[None]:
    """Store a setting, replacing what it was."""
    yield sql(
        "INSERT INTO service_setting (account, region, id, value, modified_at, modified_by)"
        " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (account, region, id) DO UPDATE SET"
        " value = excluded.value, modified_at = excluded.modified_at, modified_by = excluded.modified_by",
        *scope,
        setting.id,
        setting.value,
        setting.modified_at,
        setting.modified_by,
    )


def remove_setting(scope: Scope, setting_id: str) -> UnitOfWork[None]:
    """Forget that a setting was changed."""
    yield sql("DELETE FROM service_setting WHERE account = $1 AND region = $2 AND id = $3", *scope, setting_id)


def policies(scope: Scope, arn: str, *, after: str = "", limit: int) -> UnitOfWork[list[ResourcePolicy]]:
    """Up to *limit* policies of a resource whose id comes after *after*, in order of id."""
    rows = yield sql(
        f"SELECT {_POLICY} FROM resource_policy"
        " WHERE account = $1 AND region = $2 AND resource_arn = $3 AND id > $4 ORDER BY id LIMIT $5",
        *scope,
        arn,
        after,
        limit,
    )
    return [ResourcePolicy(*row) for row in rows]


def find_policy(scope: Scope, arn: str, policy_id: str) -> UnitOfWork[ResourcePolicy | None]:
    """A policy of a resource, or None."""
    rows = yield sql(
        f"SELECT {_POLICY} FROM resource_policy WHERE account = $1 AND region = $2 AND resource_arn = $3 AND id = $4",
        *scope,
        arn,
        policy_id,
    )
    return ResourcePolicy(*rows[0]) if rows else None


def put_policy(scope: Scope, one: ResourcePolicy) -> UnitOfWork[None]:
    """Store a new policy, or a new version of one that is there."""
    yield sql(
        f"INSERT INTO resource_policy (account, region, {_POLICY}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
        " ON CONFLICT (account, region, resource_arn, id) DO UPDATE SET"
        " hash = excluded.hash, policy = excluded.policy, modified_at = excluded.modified_at",
        *scope,
        one.resource_arn,
        one.id,
        one.hash,
        one.policy,
        one.created_at,
        one.modified_at,
    )


def remove_policies(scope: Scope, arn: str, policy_id: str = "") -> UnitOfWork[None]:
    """Remove one policy of a resource, or all of them."""
    yield sql(
        "DELETE FROM resource_policy WHERE account = $1 AND region = $2 AND resource_arn = $3"
        " AND (CAST($4 AS TEXT) = '' OR id = $4)",
        *scope,
        arn,
        policy_id,
    )
