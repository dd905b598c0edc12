# SPDX-License-Identifier: Apache-2.0
"""SQL of baselines, patch groups and snapshots."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from patchwright.core.system import OperatingSystem
from patchwright.server.accounts import Scope
from patchwright.server.infra import Row, UnitOfWork, placeholders, sql
from patchwright.server.patching.model import Definition, Listed, PatchBaseline, Selection, Snapshot

_PLAIN = re.compile(r"[%_!]")  # what LIKE would not take as it is
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
        dump(definition),
        baseline.created_at,
        baseline.modified_at,
    )


def find(scope: Scope, baseline_id: str) -> UnitOfWork[PatchBaseline | None]:
    """The account's own baseline with this id, or None."""
    rows = yield sql(
        f"SELECT {_BASELINE} FROM baseline WHERE account = $1 AND region = $2 AND id = $3", *scope, baseline_id
    )
    return _baseline(rows[0]) if rows else None


def own(
    scope: Scope, selection: Selection, *, after: tuple[float, str], limit: int
) -> UnitOfWork[list[tuple[Listed, float]]]:
    """Up to *limit* of the account's own baselines that come after (created_at, id), oldest first, each with its created_at."""
    rows = yield from _selected(
        "SELECT id, name, description, operating_system, created_at FROM baseline"
        " WHERE account = $1 AND region = $2 AND (created_at > $3 OR (created_at = $3 AND id > $4))",
        " ORDER BY created_at, id LIMIT $5",
        selection,
        (*scope, *after, limit),
    )
    return [(Listed(*row[:4]), row[4]) for row in rows]


def _selected(select: str, order: str, selection: Selection, params: Sequence[Any]) -> UnitOfWork[list[Row]]:
    """The rows of a statement with five *params* whose name and operating_system are those of *selection*."""
    conditions = ""
    start = 6
    more = list[str]()
    for prefixes in selection.prefixes:
        each = [f"name LIKE ${start + i} ESCAPE '!'" for i in range(len(prefixes))]
        conditions += f" AND ({' OR '.join(each)})" if prefixes else " AND 1 = 0"
        more += [_PLAIN.sub(r"!\g<0>", prefix) + "%" for prefix in prefixes]
        start += len(prefixes)
    for systems in selection.systems:
        conditions += f" AND operating_system IN ({placeholders(start, len(systems))})" if systems else " AND 1 = 0"
        more += systems
        start += len(systems)
    return (yield sql(f"{select}{conditions}{order}", *params, *more))


def delete(scope: Scope, baseline_id: str) -> UnitOfWork[None]:
    """Delete one of the account's own baselines."""
    yield sql("DELETE FROM baseline WHERE account = $1 AND region = $2 AND id = $3", *scope, baseline_id)


def defaults(scope: Scope) -> UnitOfWork[dict[str, str]]:
    """The ids of the defaults that the account registered, by operating system."""
    rows = yield sql(
        "SELECT operating_system, baseline_id FROM default_baseline WHERE account = $1 AND region = $2", *scope
    )
    return dict(rows)


def put_default(scope: Scope, operating_system: OperatingSystem, baseline_id: str, *, now: float) -> UnitOfWork[None]:
    """Make a baseline the default of its operating system."""
    yield sql(
        "INSERT INTO default_baseline (account, region, operating_system, baseline_id, registered_at)"
        " VALUES ($1, $2, $3, $4, $5) ON CONFLICT (account, region, operating_system) DO UPDATE SET"
        " baseline_id = excluded.baseline_id, registered_at = excluded.registered_at",
        *scope,
        operating_system.value,
        baseline_id,
        now,
    )


def mappings(
    scope: Scope, selection: Selection, *, after: tuple[str, str], limit: int
) -> UnitOfWork[list[tuple[str, str, str]]]:
    """Up to *limit* registrations (group, operating system, id of the baseline) that come after *after*, in order."""
    rows = yield from _selected(
        "SELECT name, operating_system, baseline_id FROM patch_group"
        " WHERE account = $1 AND region = $2 AND (name > $3 OR (name = $3 AND operating_system > $4))",
        " ORDER BY name, operating_system LIMIT $5",
        selection,
        (*scope, *after, limit),
    )
    return [(row[0], row[1], row[2]) for row in rows]


def listed(scope: Scope, ids: Sequence[str]) -> UnitOfWork[list[Listed]]:
    """The account's own baselines with these ids, as listings show them; others are passed over."""
    if not ids:
        return []
    rows = yield sql(
        "SELECT id, name, description, operating_system FROM baseline"
        f" WHERE account = $1 AND region = $2 AND id IN ({placeholders(3, len(ids))})",
        *scope,
        *ids,
    )
    return [Listed(*row) for row in rows]


def remove_group(scope: Scope, group: str, baseline_id: str) -> UnitOfWork[None]:
    """Let a group no longer have this baseline; one that it does not have is passed over."""
    yield sql(
        "DELETE FROM patch_group WHERE account = $1 AND region = $2 AND name = $3 AND baseline_id = $4",
        *scope,
        group,
        baseline_id,
    )


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
        dump(snapshot.definition),
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


def put_override(
    scope: Scope, digest: str, definition: Definition, day: datetime.date, *, now: float, until: float
) -> UnitOfWork[None]:
    """Store what was frozen of a baseline that is no resource, unless it is there; and forget those from before *until*."""
    yield sql("DELETE FROM override_snapshot WHERE created_at < $1", until)
    yield sql(
        "INSERT INTO override_snapshot (account, region, digest, content, day, created_at) VALUES ($1, $2, $3, $4, $5, $6)"
        " ON CONFLICT (account, region, digest) DO NOTHING",
        *scope,
        digest,
        dump(definition),
        day.isoformat(),
        now,
    )


def find_override(scope: Scope, digest: str) -> UnitOfWork[tuple[Definition, datetime.date] | None]:
    """What was frozen under this digest, and its day; or None."""
    rows = yield sql(
        "SELECT content, day FROM override_snapshot WHERE account = $1 AND region = $2 AND digest = $3", *scope, digest
    )
    return (_definition(rows[0][0]), datetime.date.fromisoformat(rows[0][1])) if rows else None


def dump(definition: Definition) -> str:
    """A definition as it is stored; equal ones are written alike."""
    return json.dumps(definition.to_json(), sort_keys=True, separators=(",", ":"))


def _baseline(row: Row) -> PatchBaseline:
    return PatchBaseline(row[0], row[1], _definition(row[2]), row[3], row[4])


@lru_cache(maxsize=1024)
def _definition(content: str) -> Definition:
    return Definition.from_json(json.loads(content))
