# SPDX-License-Identifier: Apache-2.0
"""SQL of the settings room."""

from __future__ import annotations

from patchwright.server.accounts import Scope
from patchwright.server.infra import UnitOfWork, sql
from patchwright.server.settings.model import Setting


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
