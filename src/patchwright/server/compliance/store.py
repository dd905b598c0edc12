# SPDX-License-Identifier: Apache-2.0
"""SQL of the compliance room."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence

from patchwright.server.accounts import Scope
from patchwright.server.compliance.filters import Filter, clauses
from patchwright.server.compliance.model import CUSTOM, RESOURCE_TYPE, Execution, Record, Standing, Summary, Tally
from patchwright.server.infra import Row, UnitOfWork, placeholders, sql

_RECORD = (
    "instance_id, type, digest, status, severity, executed_at, execution_id, execution_type, content_hash, patch_group,"
    " baseline_id, document_name, document_version, operation_id, recorded_at"
)
_COLUMNS = _RECORD.split(", ")
_REPLACED = ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS[2:])
_PUT = (
    f"INSERT INTO compliance (account, region, {_RECORD}) VALUES ({placeholders(1, 2 + len(_COLUMNS))})"
    f" ON CONFLICT (account, region, instance_id, type) DO UPDATE SET {_REPLACED}"
)
_FIELDS = {
    "type": "type",
    "instance_id": "instance_id",
    "resource_type": f"CAST('{RESOURCE_TYPE}' AS TEXT)",
    "status": "status",
    "severity": "severity",
    "execution_id": "execution_id",
    "execution_type": "execution_type",
    "executed_at": "executed_at",
    "patch_group": "patch_group",
    "baseline_id": "baseline_id",
}
_SIGNS = {"=": "=", "<>": "<>", "<": "<", ">": ">", ">=": ">=", "begins": "LIKE"}
_ENDS = {**dict.fromkeys(_SIGNS, ""), "begins": " ESCAPE '!'"}
_DOLLARS = [f"${n}" for n in range(1, 5_000)]  # as many as fifty filters of twenty times can take
_AFTER_CUSTOM = CUSTOM[:-1] + chr(ord(CUSTOM[-1]) + 1)  # sorts behind every custom type


def find(scope: Scope, instance_id: str, type_name: str) -> UnitOfWork[Record | None]:
    """What is known of one node and type, or None."""
    rows = yield sql(
        f"SELECT {_RECORD} FROM compliance WHERE account = $1 AND region = $2 AND instance_id = $3 AND type = $4",
        *scope,
        instance_id,
        type_name,
    )
    return _record(rows[0]) if rows else None


def put(scope: Scope, record: Record) -> UnitOfWork[None]:
    """Store what is known of one node and type in the place of what was."""
    execution = record.execution
    yield sql(
        _PUT,
        *scope,
        record.instance_id,
        record.type,
        record.digest,
        record.status,
        record.severity,
        execution.at,
        execution.id,
        execution.type,
        record.content_hash,
        record.patch_group,
        record.baseline_id,
        record.document_name,
        record.document_version,
        record.operation_id,
        record.recorded_at,
    )


def remove(scope: Scope, instance_id: str, type_name: str) -> UnitOfWork[None]:
    """Forget one node and type."""
    yield sql(
        "DELETE FROM compliance WHERE account = $1 AND region = $2 AND instance_id = $3 AND type = $4",
        *scope,
        instance_id,
        type_name,
    )


def of_node(scope: Scope, instance_id: str) -> UnitOfWork[list[Record]]:
    """Everything that is known of one node, in order of type."""
    rows = yield sql(
        f"SELECT {_RECORD} FROM compliance WHERE account = $1 AND region = $2 AND instance_id = $3 ORDER BY type",
        *scope,
        instance_id,
    )
    return [_record(row) for row in rows]


def put_content(scope: Scope, digest: str, tally: Tally, body: bytes, *, now: float) -> UnitOfWork[None]:
    """Store items by their digest, or only how many there are where *body* is empty; what is there stays."""
    yield sql(
        "INSERT INTO compliance_content (account, region, digest, counts, content, created_at)"
        " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (account, region, digest) DO NOTHING",
        *scope,
        digest,
        json.dumps([tally.compliant, tally.non_compliant]),
        zlib.compress(body) if body else b"",
        now,
    )


def find_tally(scope: Scope, digest: str) -> UnitOfWork[Tally | None]:
    """How many items a content has, or None where it is not known."""
    rows = yield sql(
        "SELECT counts FROM compliance_content WHERE account = $1 AND region = $2 AND digest = $3", *scope, digest
    )
    return _tally(rows[0][0]) if rows else None


def find_content(scope: Scope, digest: str) -> UnitOfWork[bytes | None]:
    """The body of items that were put, or None where they are gone."""
    rows = yield sql(
        "SELECT content FROM compliance_content WHERE account = $1 AND region = $2 AND digest = $3", *scope, digest
    )
    return zlib.decompress(rows[0][0]) if rows else None


def drop_content(scope: Scope, digest: str) -> UnitOfWork[None]:
    """Forget a content that no node has any more."""
    yield sql(
        "DELETE FROM compliance_content WHERE account = $1 AND region = $2 AND digest = $3 AND NOT EXISTS"
        " (SELECT 1 FROM compliance WHERE account = $1 AND region = $2 AND digest = $3)",
        *scope,
        digest,
    )


def custom_types(scope: Scope, *, limit: int) -> UnitOfWork[list[str]]:
    """Up to *limit* custom types that some node has, in order: one index read for each, however many nodes there are."""
    found: list[str] = []
    while len(found) < limit:
        rows = yield sql(
            "SELECT MIN(type) FROM compliance WHERE account = $1 AND region = $2 AND type > $3 AND type < $4",
            *scope,
            found[-1] if found else CUSTOM,
            _AFTER_CUSTOM,
        )
        if rows[0][0] is None:
            break
        found.append(rows[0][0])
    return found


def standings(scope: Scope, filters: Sequence[Filter]) -> UnitOfWork[list[Standing]]:
    """How many nodes there are by type, status and severity, in that order."""
    rows = yield from _filtered(
        "SELECT type, status, severity, COUNT(*) FROM compliance WHERE account = $1 AND region = $2",
        " GROUP BY type, status, severity ORDER BY type, status, severity",
        params=scope,
        filters=filters,
    )
    return [Standing(*row) for row in rows]


def page(
    scope: Scope,
    filters: Sequence[Filter],
    *,
    after: tuple[str, str],
    itself: bool = False,
    ids: Sequence[str] = (),
    limit: int,
) -> UnitOfWork[list[Record]]:
    """
    Up to *limit* nodes and types that come after *after*, or are it where *itself* says so, in order of both.

    Of *ids* alone where any are named.
    """
    named = f" AND instance_id IN ({placeholders(6, len(ids))})" if ids else ""
    rows = yield from _filtered(
        f"SELECT {_RECORD} FROM compliance WHERE account = $1 AND region = $2"
        f" AND (instance_id, type) {'>=' if itself else '>'} ($3, $4){named}",
        " ORDER BY instance_id, type LIMIT $5",
        params=(*scope, *after, limit, *ids),
        filters=filters,
    )
    return [_record(row) for row in rows]


def _filtered(head: str, tail: str, *, params: Sequence[object], filters: Sequence[Filter]) -> UnitOfWork[list[Row]]:
    """The rows of a statement with *filters* between its head and its tail, which have *params*."""
    wanted = clauses(filters)
    tests = [test for clause in wanted for branch in clause for test in branch]
    places = {id(test): len(params) + n for n, test in enumerate(tests)}
    conditions = "".join(
        " AND ("
        + " OR ".join(
            "("
            + " AND ".join(
                f"{_FIELDS[test.field]} {_SIGNS[test.sign]} {_DOLLARS[places[id(test)]]}{_ENDS[test.sign]}"
                for test in branch
            )
            + ")"
            for branch in clause
        )
        + ")"
        for clause in wanted
    )
    return (yield sql(f"{head}{conditions}{tail}", *params, *(test.value for test in tests)))


def summaries(
    scope: Scope, filters: Sequence[Filter], *, after: tuple[str, str], limit: int
) -> UnitOfWork[list[Summary]]:
    """The same with their items counted; a content is read once, however many nodes have it."""
    return (yield from _counted(scope, (yield from page(scope, filters, after=after, limit=limit))))


def of_nodes(scope: Scope, type_name: str, ids: Sequence[str]) -> UnitOfWork[list[Summary]]:
    """What is known of these nodes and one type, with the items counted; nodes of which nothing is known are passed over."""
    if not ids:
        return []
    rows = yield sql(
        f"SELECT {_RECORD} FROM compliance WHERE account = $1 AND region = $2 AND type = $3"
        f" AND instance_id IN ({placeholders(4, len(ids))}) ORDER BY instance_id",
        *scope,
        type_name,
        *ids,
    )
    return (yield from _counted(scope, [_record(row) for row in rows]))


def of_each(scope: Scope, ids: Sequence[str]) -> UnitOfWork[list[Summary]]:
    """Everything that is known of these nodes, with the items counted, in order of node and type."""
    if not ids:
        return []
    rows = yield sql(
        f"SELECT {_RECORD} FROM compliance WHERE account = $1 AND region = $2 AND instance_id >= $3"
        f" AND instance_id <= $4 AND instance_id IN ({placeholders(5, len(ids))}) ORDER BY instance_id, type",
        *scope,
        min(ids),
        max(ids),
        *ids,
    )
    return (yield from _counted(scope, [_record(row) for row in rows]))


def _counted(scope: Scope, found: Sequence[Record]) -> UnitOfWork[list[Summary]]:
    digests = sorted({record.digest for record in found})
    if not digests:
        return []
    rows = yield sql(
        "SELECT digest, counts FROM compliance_content WHERE account = $1 AND region = $2"
        f" AND digest IN ({placeholders(3, len(digests))})",
        *scope,
        *digests,
    )
    tallies = {digest: _tally(counts) for digest, counts in rows}
    return [Summary(record, tallies[record.digest]) for record in found]


def _record(row: Row) -> Record:
    return Record(row[0], row[1], row[2], row[3], row[4], Execution(row[5], row[6], row[7]), *row[8:])


def _tally(counts: str) -> Tally:
    compliant, non_compliant = json.loads(counts)
    return Tally(tuple(compliant), tuple(non_compliant))
