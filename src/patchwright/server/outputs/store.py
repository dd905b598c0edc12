# SPDX-License-Identifier: Apache-2.0
"""SQL of outputs and their pieces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from patchwright.server.accounts import Scope
from patchwright.server.infra import Row, UnitOfWork, placeholders, sql, sql_each
from patchwright.server.outputs.model import Output, Place, Stream

_OUTPUT = (
    "account, region, command_id, instance_id, step, stream, size, ended, cut, began_at, heard_at, bucket, bucket_region,"
    " key, write_at, attempts, written_at, reason"
)
_KEY = "account = $1 AND region = $2 AND command_id = $3 AND instance_id = $4 AND step = $5 AND stream = $6"


class Piece(NamedTuple):
    """Bytes of a stream: *body*, or where that is empty the blob *digest*."""

    position: int
    size: int
    body: bytes
    digest: str


def find(scope: Scope, stream: Stream) -> UnitOfWork[Output | None]:
    """The output, or None."""
    rows = yield sql(f"SELECT {_OUTPUT} FROM output WHERE {_KEY}", *scope, *stream)
    return _output(rows[0]) if rows else None


def of_nodes(scope: Scope, command_id: str, instance_ids: Sequence[str]) -> UnitOfWork[list[Output]]:
    """The outputs of a command on these nodes, in order of node, step and stream."""
    if not instance_ids:
        return []
    rows = yield sql(
        f"SELECT {_OUTPUT} FROM output WHERE account = $1 AND region = $2 AND command_id = $3"
        f" AND instance_id IN ({placeholders(4, len(instance_ids))}) ORDER BY instance_id, began_at, step, stream DESC",
        *scope,
        command_id,
        *instance_ids,
    )
    return [_output(row) for row in rows]


def written_as(account: str, bucket: str, key: str) -> UnitOfWork[Output | None]:
    """The output of an account that is an object of this key, or None."""
    rows = yield sql(
        f"SELECT {_OUTPUT} FROM output WHERE account = $1 AND bucket = $2 AND key = $3 AND key != '' LIMIT 1",
        account,
        bucket,
        key,
    )
    return _output(rows[0]) if rows else None


def begin(output: Output) -> UnitOfWork[None]:
    """Store a stream of which nothing is kept yet; one that is there is left as it is."""
    place = output.place
    yield sql(
        f"INSERT INTO output ({_OUTPUT}) VALUES ({placeholders(1, 18)}) ON CONFLICT DO NOTHING",
        *output.scope,
        *output.stream,
        output.size,
        int(output.ended),
        int(output.cut),
        output.began_at,
        output.heard_at,
        place.bucket,
        place.region,
        place.key,
        output.write_at,
        output.attempts,
        output.written_at,
        output.reason,
    )


def append(before: Output, after: Output, piece: Piece | None) -> UnitOfWork[bool]:
    """Add a piece to a stream that stands as *before*; false, and nothing is stored, where it has gone on meanwhile."""
    rows = yield sql(
        "UPDATE output SET size = $8, ended = $9, cut = $10, heard_at = $11, write_at = $12"
        f" WHERE {_KEY} AND size = $7 AND ended = 0 RETURNING size",
        *before.scope,
        *before.stream,
        before.size,
        after.size,
        int(after.ended),
        int(after.cut),
        after.heard_at,
        after.write_at,
    )
    if rows and piece is not None:
        yield sql(
            "INSERT INTO output_piece (account, region, command_id, instance_id, step, stream, position, size, body, digest)"
            f" VALUES ({placeholders(1, 10)})",
            *before.scope,
            *before.stream,
            *piece,
        )
    return bool(rows)


def pieces(scope: Scope, stream: Stream, *, start: int, limit: int) -> UnitOfWork[list[Piece]]:
    """Up to *limit* pieces in order, the first of them with the byte at *start*."""
    rows = yield sql(
        f"SELECT position, size, body, digest FROM output_piece WHERE {_KEY} AND position + size > $7"
        " ORDER BY position LIMIT $8",
        *scope,
        *stream,
        start,
        limit,
    )
    return [Piece(*row) for row in rows]


def any_due(*, now: float) -> UnitOfWork[bool]:
    """Whether any output is to be written to its bucket."""
    return bool((yield sql("SELECT 1 FROM output WHERE write_at <= $1 LIMIT 1", now)))


def take_due(*, now: float, until: float, limit: int) -> UnitOfWork[list[Output]]:
    """Up to *limit* outputs of any account that are to be written; nobody else gets them before *until*."""
    rows = yield sql(
        f"SELECT {_OUTPUT} FROM output WHERE write_at <= $1 ORDER BY write_at LIMIT $2 /* skip locked */", now, limit
    )
    found = [_output(row) for row in rows]
    yield sql_each(f"UPDATE output SET write_at = $7 WHERE {_KEY}", [(*one.scope, *one.stream, until) for one in found])
    return found


def settle(output: Output) -> UnitOfWork[None]:
    """Store what came of writing it."""
    yield sql(
        f"UPDATE output SET write_at = $7, attempts = $8, written_at = $9, reason = $10 WHERE {_KEY}",
        *output.scope,
        *output.stream,
        output.write_at,
        output.attempts,
        output.written_at,
        output.reason,
    )


def silent(*, before: float, limit: int) -> UnitOfWork[list[Output]]:
    """Up to *limit* outputs of any account that have not ended, and of which nothing was heard since *before*."""
    rows = yield sql(
        f"SELECT {_OUTPUT} FROM output WHERE ended = 0 AND heard_at < $1 ORDER BY heard_at LIMIT $2", before, limit
    )
    return [_output(row) for row in rows]


def forget(*, before: float, limit: int) -> UnitOfWork[int]:
    """Delete up to *limit* outputs that began before that moment, with their pieces; returns how many those were."""
    rows = yield sql(
        "SELECT account, region, command_id, instance_id, step, stream FROM output WHERE began_at < $1"
        " ORDER BY began_at LIMIT $2 /* skip locked */",
        before,
        limit,
    )
    keys = [tuple(row) for row in rows]
    yield sql_each(f"DELETE FROM output_piece WHERE {_KEY}", keys)
    yield sql_each(f"DELETE FROM output WHERE {_KEY}", keys)
    return len(keys)


def named(digests: Sequence[str]) -> UnitOfWork[set[str]]:
    """Those of some blobs that are pieces of anybody's output."""
    if not digests:
        return set()
    rows = yield sql(
        f"SELECT DISTINCT digest FROM output_piece WHERE digest != '' AND digest IN ({placeholders(1, len(digests))})",
        *digests,
    )
    return {row[0] for row in rows}


def _output(row: Row) -> Output:
    return Output(
        scope=Scope(*row[:2]),
        stream=Stream(*row[2:6]),
        size=row[6],
        ended=bool(row[7]),
        cut=bool(row[8]),
        began_at=row[9],
        heard_at=row[10],
        place=Place(*row[11:14]),
        write_at=row[14],
        attempts=row[15],
        written_at=row[16],
        reason=row[17],
    )
