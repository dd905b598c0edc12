# SPDX-License-Identifier: Apache-2.0
"""SQL of baselines, patch groups and snapshots."""

from __future__ import annotations

import datetime
import json
from functools import lru_cache

from patchwright.core.system import OperatingSystem
from patchwright.server.accounts import Scope
from patchwright.server.infra import Row, UnitOfWork, sql
from patchwright.server.patching.model import Definition, Listed, PatchBaseline, Snapshot

_BASELINE = "id, revision, content, created_at, modified_at"


def put(scope: Scope, baseline: PatchBaseline) -> UnitOfWork[None]:
    """Store a new baseline, or a new revision of one that is there."""
    definition = baseline.definition
    yield sql(
        "INSERT INTO baseline"
        " (account, region, id, revision, name, description, operating_system, content, created_at, modified_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (account, region, id) DO UPDATE SET"
        " revision = excluded.revision, name = excluded.name, description = excluded.description,"
        " content = excluded.content, modified_at = excluded.modified_at",
        *scope,
        baseline.id,
        baseline.revision,
        definition.name,
        definition.description,
        definition.baseline.operating_system.value,
        _dump(definition),
        baseline.created_at,
        baseline.modified_at,
    )


def find(scope: Scope, baseline_id: str) -> UnitOfWork[PatchBaseline | None]:
    """The account's own baseline with this id, or None."""
    rows = yield sql(
        f"SELECT {_BASELINE} FROM baseline WHERE account = $1 AND region = $2 AND id = $3", *scope, baseline_id
    )
    return _baseline(rows[0]) if rows else None


def own(scope: Scope) -> UnitOfWork[list[Listed]]:
    """The account's own baselines as a listing shows them, oldest first."""
    rows = yield sql(
        "SELECT id, name, description, operating_system FROM baseline WHERE account = $1 AND region = $2"
        " ORDER BY created_at, id",
        *scope,
    )
    return [Listed(*row) for row in rows]


def count(scope: Scope) -> UnitOfWork[int]:
    """How many baselines of its own the account has."""
    rows = yield sql("SELECT COUNT(*) FROM baseline WHERE account = $1 AND region = $2", *scope)
    return int(rows[0][0])


def groups(scope: Scope, baseline_id: str) -> UnitOfWork[tuple[str, ...]]:
    """The patch groups that a baseline is registered for, in order of name."""
    rows = yield sql(
        "SELECT DISTINCT name FROM patch_group WHERE account = $1 AND region = $2 AND baseline_id = $3 ORDER BY name",
        *scope,
        baseline_id,
    )
    return tuple(row[0] for row in rows)


def baseline_of_group(scope: Scope, group: str, operating_system: OperatingSystem) -> UnitOfWork[str | None]:
    """The id of the baseline that the group has for this operating system, or None."""
    rows = yield sql(
        "SELECT baseline_id FROM patch_group"
        " WHERE account = $1 AND region = $2 AND name = $3 AND operating_system = $4",
        *scope,
        group,
        operating_system.value,
    )
    return rows[0][0] if rows else None


def put_group(
    scope: Scope, group: str, operating_system: OperatingSystem, baseline_id: str, *, now: float
) -> UnitOfWork[bool]:
    """Register a baseline for a group; false if the group has one for this operating system."""
    rows = yield sql(
        "INSERT INTO patch_group (account, region, name, operating_system, baseline_id, registered_at)"
        " VALUES ($1, $2, $3, $4, $5, $6)"
        " ON CONFLICT (account, region, name, operating_system) DO NOTHING RETURNING name",
        *scope,
        group,
        operating_system.value,
        baseline_id,
        now,
    )
    return bool(rows)


def put_snapshot(
    scope: Scope, operating_system: OperatingSystem, snapshot: Snapshot, *, now: float
) -> UnitOfWork[None]:
    """Store a snapshot unless the run has one: the first asker's stays."""
    yield sql(
        "INSERT INTO snapshot"
        " (account, region, patch_group, operating_system, id, baseline_id, revision, content, day, created_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
        " ON CONFLICT (account, region, patch_group, operating_system, id) DO NOTHING",
        *scope,
        snapshot.patch_group,
        operating_system.value,
        snapshot.id,
        snapshot.baseline_id,
        snapshot.revision,
        _dump(snapshot.definition),
        snapshot.day.isoformat(),
        now,
    )


def find_snapshot(
    scope: Scope, operating_system: OperatingSystem, patch_group: str, snapshot_id: str
) -> UnitOfWork[Snapshot | None]:
    """The snapshot that the group's nodes of this operating system share under this id, or None."""
    rows = yield sql(
        "SELECT id, patch_group, baseline_id, revision, content, day FROM snapshot"
        " WHERE account = $1 AND region = $2 AND operating_system = $3 AND patch_group = $4 AND id = $5",
        *scope,
        operating_system.value,
        patch_group,
        snapshot_id,
    )
    if not rows:
        return None
    found_id, group, baseline_id, revision, content, day = rows[0]
    return Snapshot(found_id, group, baseline_id, revision, _definition(content), datetime.date.fromisoformat(day))


def _dump(definition: Definition) -> str:
    return json.dumps(definition.to_json(), sort_keys=True, separators=(",", ":"))


def _baseline(row: Row) -> PatchBaseline:
    return PatchBaseline(row[0], row[1], _definition(row[2]), row[3], row[4])


@lru_cache(maxsize=1024)
def _definition(content: str) -> Definition:
    return Definition.from_json(json.loads(content))
