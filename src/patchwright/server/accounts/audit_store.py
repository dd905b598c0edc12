# SPDX-License-Identifier: Apache-2.0
"""SQL of the audit trail. Entries and seals are added; of an entry nothing changes but the seal it comes under, once."""

from __future__ import annotations

import json
from collections.abc import Sequence

from patchwright.core.audit import Entry, Marked, Seal
from patchwright.server.accounts.audit_search import Question, words_of
from patchwright.server.infra import Row, UnitOfWork, placeholders, sql, sql_each

_ENTRY = (
    "id, account, region, at, since, calls, principal, key_id, source_ip, target, resources, request_id, result, mark"
)
_MEMBERS = tuple(_ENTRY.split(", "))
_OF_ENTRY = ", ".join(f"e.{name}" for name in _MEMBERS)
_BY_TIME = f"SELECT {_OF_ENTRY} FROM audit_entry e WHERE e.account = $1 AND e.id < $2 AND e.id >= $3"
_BY_WORD = (
    f"SELECT {_OF_ENTRY} FROM audit_word w JOIN audit_entry e ON e.account = w.account AND e.id = w.entry"
    " WHERE w.account = $1 AND w.word = $5 AND w.entry < $2 AND w.entry >= $3"
)
_BY_WORDS = (
    f"SELECT {_OF_ENTRY} FROM audit_word w JOIN audit_entry e ON e.account = w.account AND e.id = w.entry"
    " JOIN audit_word v ON v.account = w.account AND v.entry = w.entry"
    " WHERE w.account = $1 AND w.word = $5 AND v.word = $6 AND w.entry < $2 AND w.entry >= $3"
)
_PAGES = (
    f"{_BY_TIME} ORDER BY e.id DESC LIMIT $4",
    f"{_BY_WORD} ORDER BY w.entry DESC LIMIT $4",
    f"{_BY_WORDS} ORDER BY w.entry DESC LIMIT $4",
)
_AFTER_ALL = "~"  # ids are hexadecimal
_SEAL = "number, sealed_at, entries, previous, hash, mark"


def add(found: Marked) -> UnitOfWork[None]:
    """Store an entry, under no seal yet."""
    yield sql(
        f"INSERT INTO audit_entry ({_ENTRY}, seal) VALUES ({placeholders(1, 14)}, 0)",
        *_row(found),
    )


def add_all(found: Sequence[Marked]) -> UnitOfWork[None]:
    """Store entries, under no seal yet."""
    if found:
        yield sql_each(
            f"INSERT INTO audit_entry ({_ENTRY}, seal) VALUES ({placeholders(1, 14)}, 0)", [_row(one) for one in found]
        )


def page(question: Question, *, before: str, limit: int) -> UnitOfWork[list[Marked]]:
    """Up to *limit* entries of *question* whose id comes before *before* (empty: the newest), newest first."""
    until = min((bound for bound in (before, question.until) if bound), default=_AFTER_ALL)
    words = question.words
    rows = yield sql(_PAGES[len(words)], question.account, until, question.since, limit, *words)
    return [_entry(row) for row in rows]


def unsealed(limit: int) -> UnitOfWork[tuple[Seal | None, list[Marked]]]:
    """The newest seal, and up to *limit* entries that are under none, oldest first."""
    rows = yield sql(f"SELECT {_ENTRY} FROM audit_entry WHERE seal = 0 ORDER BY id, account LIMIT $1", limit)
    return (yield from last_seal()), [_entry(row) for row in rows]


def last_seal() -> UnitOfWork[Seal | None]:
    """The newest seal."""
    rows = yield sql(f"SELECT {_SEAL} FROM audit_seal ORDER BY number DESC LIMIT 1")
    return _seal(rows[0]) if rows else None


def first_seal() -> UnitOfWork[Seal | None]:
    """The oldest seal."""
    rows = yield sql(f"SELECT {_SEAL} FROM audit_seal ORDER BY number LIMIT 1")
    return _seal(rows[0]) if rows else None


def let_go(until: int, *, entries: int) -> UnitOfWork[int]:
    """
    Delete the oldest seals up to number *until*, with what is under them: one at least, and as long as those are not more than
    *entries*. Returns how many seals those were.
    """
    rows = yield sql(
        "SELECT number, entries FROM audit_seal WHERE number <= $1 ORDER BY number LIMIT $2", until, entries
    )
    if not rows:
        return 0
    count, total = 0, 0
    for _, held in rows:
        total += held
        if count and total > entries:
            break
        count += 1
    last = rows[count - 1][0]
    found = yield sql(f"SELECT {_ENTRY} FROM audit_entry WHERE seal > 0 AND seal <= $1", last)
    gone = [_entry(row).entry for row in found]
    yield sql_each(
        "DELETE FROM audit_word WHERE account = $1 AND word = $2 AND entry = $3",
        [(one.account, word, one.id) for one in gone for word in words_of(one)],
    )
    yield sql("DELETE FROM audit_entry WHERE seal > 0 AND seal <= $1", last)
    yield sql("DELETE FROM audit_seal WHERE number <= $1", last)
    return count


def put_seal(seal: Seal, members: Sequence[Marked]) -> UnitOfWork[bool]:
    """Put *members* under *seal*; false, and nothing is done, where another process made this seal first."""
    made = yield sql(
        f"INSERT INTO audit_seal (account, region, {_SEAL}) VALUES ('', '', {placeholders(1, 6)})"
        " ON CONFLICT DO NOTHING RETURNING number",
        seal.number,
        seal.sealed_at,
        seal.entries,
        seal.previous,
        seal.hash,
        bytes.fromhex(seal.mark),
    )
    if not made:
        return False
    entries = [member.entry for member in members]
    yield sql(
        f"UPDATE audit_entry SET seal = $1 WHERE seal = 0 AND id IN ({placeholders(2, len(entries))})",
        seal.number,
        *(entry.id for entry in entries),
    )
    yield sql_each(
        "INSERT INTO audit_word (account, region, word, entry) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        [(one.account, one.region, word, one.id) for one in entries for word in words_of(one)],
    )
    return True


def seals(after: int, limit: int) -> UnitOfWork[list[Seal]]:
    """Up to *limit* seals whose number is above *after*, in order."""
    rows = yield sql(f"SELECT {_SEAL} FROM audit_seal WHERE number > $1 ORDER BY number LIMIT $2", after, limit)
    return [_seal(row) for row in rows]


def seal(number: int) -> UnitOfWork[Seal | None]:
    """The seal with this number."""
    rows = yield sql(f"SELECT {_SEAL} FROM audit_seal WHERE number = $1", number)
    return _seal(rows[0]) if rows else None


def members(number: int) -> UnitOfWork[list[Marked]]:
    """The entries under a seal, in order of id."""
    rows = yield sql(f"SELECT {_ENTRY} FROM audit_entry WHERE seal = $1 ORDER BY id, account", number)
    return [_entry(row) for row in rows]


def found_by(account: str, word: str, entries: Sequence[str]) -> UnitOfWork[set[str]]:
    """Those of *entries*, one at least, that a search for *word* finds."""
    rows = yield sql(
        f"SELECT entry FROM audit_word WHERE account = $1 AND word = $2 AND entry IN ({placeholders(3, len(entries))})",
        account,
        word,
        *entries,
    )
    return {entry for (entry,) in rows}


def hidden(members: Sequence[Marked]) -> UnitOfWork[set[str]]:
    """Which of *members*, sealed entries, a search does not find by everything that is in them."""
    wanted: dict[tuple[str, str], list[str]] = {}
    for member in members:
        for word in words_of(member.entry):
            wanted.setdefault((member.entry.account, word), []).append(member.entry.id)
    missed: set[str] = set()
    for (account, word), entries in wanted.items():
        missed.update(set(entries) - (yield from found_by(account, word, entries)))
    return missed


def strays(head: int) -> UnitOfWork[list[tuple[int, str]]]:
    """Seal and id of up to a hundred entries that claim to be under a seal there never was."""
    above = yield sql("SELECT seal, id FROM audit_entry WHERE seal > $1 ORDER BY seal, id LIMIT 100", head)
    below = yield sql("SELECT seal, id FROM audit_entry WHERE seal < 0 ORDER BY seal, id LIMIT 100")
    return [(number, found) for number, found in [*below, *above]]


def _row(found: Marked) -> Row:
    entry = found.entry
    return (
        entry.id,
        entry.account,
        entry.region,
        entry.at,
        entry.since,
        entry.calls,
        entry.principal,
        entry.key_id,
        entry.source_ip,
        entry.target,
        json.dumps(entry.resources),
        entry.request_id,
        entry.result,
        bytes.fromhex(found.mark),
    )


def _entry(row: Row) -> Marked:
    found = dict(zip(_MEMBERS, row, strict=True))
    mark, resources = bytes(found.pop("mark")).hex(), _read(found.pop("resources"))
    return Marked(Entry(**found, resources=resources), mark)


def _read(resources: str) -> tuple[str, ...]:
    try:
        return tuple(str(one) for one in json.loads(resources))
    except (ValueError, TypeError):  # somebody wrote something else there: the mark will say so
        return (resources,)


def _seal(row: Row) -> Seal:
    number, sealed_at, entries, previous, found, mark = row
    return Seal(number, sealed_at, entries, previous, found, bytes(mark).hex())
