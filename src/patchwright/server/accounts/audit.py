# SPDX-License-Identifier: Apache-2.0
"""
The audit trail: how entries come into it (docs/adr/0023).

    database = Audited(opened)                          rooms write through it, and know nothing of all this
    trail = Trail(opened, clock, key=master.audit)
    with trail.during(act):                             the first transaction inside that changes anything carries its entry
        answer = await handler(…)
    trail.refused(act, "AccessDeniedException")         kept in memory, and written by `flush`

A change and its entry are one transaction: there is neither without the other. What is refused changes nothing; it is
written beside, within a second, and refusals that are alike share an entry, so that a flood of them fills no disk.
"""

from __future__ import annotations

import contextlib
import hmac
import itertools
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, ParamSpec, TypeVar

from patchwright.core.audit import SUCCEEDED, Entry, Marked, entry_id
from patchwright.server.accounts import audit_store as store
from patchwright.server.accounts import signatures
from patchwright.server.accounts.model import Scope
from patchwright.server.accounts.signatures import Signed
from patchwright.server.infra import Clock, Counters, Database, Row, Statement, UnitOfWork, noting

P = ParamSpec("P")
T = TypeVar("T")

MOST_RESOURCES = 100  # named in one entry; of more the number is said
TOGETHER_SECONDS = 60.0  # refusals that are alike are counted for so long before they are written again
MOST_ALIKE = 60  # different refusals of one account in that time; what comes beyond shares one more
OTHERS = "*"  # stands for what differs among refusals that share an entry
_LONGEST = 2048  # characters of anything in an entry
_RANDOM_BYTES = 4
_WRITING = re.compile(r"\b(?:INSERT|UPDATE|DELETE)\b")


@dataclass(frozen=True)
class Act:
    """
    A call, as the edge saw it. *principal* is empty where nobody has proved who they are; *resources* are those the request
    names. With *makes* the ids that are made during the call, and that of what it gives back, are added to them.
    """

    account: str
    region: str
    principal: str
    key_id: str
    source_ip: str
    target: str
    request_id: str
    resources: tuple[str, ...] = ()
    makes: bool = False
    signed: Signed | None = None


@dataclass
class _Call:
    """An act that is under way. *signed*: what no other process may have accepted."""

    act: Act
    marked: Callable[..., Marked]
    made: list[str]
    signed: Signed | None = None
    recorded: bool = False


_CALL: ContextVar[_Call | None] = ContextVar("patchwright_call", default=None)


class Audited:
    """A Database through which the first transaction of a call that changes anything carries the call's entry."""

    def __init__(self, inner: Database) -> None:
        self._inner = inner

    @property
    def counters(self) -> Counters:
        """Those of the database itself."""
        return self._inner.counters

    async def write(self, work: Callable[P, UnitOfWork[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """As the database's; the entry is durable with the unit, or neither is."""
        call = _CALL.get()
        if call is None or call.recorded:
            return await self._inner.write(work, *args, **kwargs)
        result, call.recorded = await self._inner.write(_with_entry, call, partial(work, *args, **kwargs))
        return result

    async def read(self, work: Callable[P, UnitOfWork[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """As the database's."""
        return await self._inner.read(work, *args, **kwargs)

    async def close(self) -> None:
        """As the database's."""
        await self._inner.close()


def _with_entry(call: _Call, begin: Callable[[], UnitOfWork[T]]) -> UnitOfWork[tuple[T, bool]]:
    result, changed = yield from _watched(begin())
    if changed:
        entry = call.marked(_completed(call, result), SUCCEEDED)
        if call.signed is not None:
            yield from signatures.use(call.act.account, call.act.region, call.signed, now=entry.entry.at)
        yield from store.add(entry)
    return result, changed


def _watched(unit: UnitOfWork[T]) -> UnitOfWork[tuple[T, bool]]:
    """
    Run *unit*; returns its result, and whether it may have changed anything.

    Many units that find nothing to change say so to their caller, who refuses: that is no change, and needs no entry.
    """
    changed = False
    try:
        statement = next(unit)
        while True:
            try:
                rows = yield statement
            except BaseException as error:  # noqa: BLE001 - a statement that failed, or the end: given to the unit
                statement = unit.throw(error)
            else:
                changed = changed or _changes(statement, rows)
                statement = unit.send(rows)
    except StopIteration as end:
        return end.value, changed


def _changes(statement: Statement, rows: list[Row]) -> bool:
    """Whether *statement* wrote: what a RETURNING does not return was not touched."""
    writes, tells = _kind(statement.text)
    return writes and (bool(rows) or not tells)


@lru_cache(maxsize=4096)
def _kind(text: str) -> tuple[bool, bool]:
    return _WRITING.search(text) is not None, "RETURNING" in text


class Trail:
    """
    Writes entries into *database*, marked with *key*. One for each process; where there are others, they are *shared* with
    them, and so is which signatures have changed something.
    """

    def __init__(self, database: Database, clock: Clock, *, key: bytes, shared: bool = False) -> None:
        self._database = database
        self._shared = shared
        self._clock = clock
        self._key = key
        self._alike: dict[tuple[str, ...], _Alike] = {}
        # Entries of refusals within TOGETHER_SECONDS, by account and whether it was proved who asked: a stranger who knows the
        # id of a key does not crowd out what its owner is refused.
        self._numbers: dict[tuple[str, bool], int] = {}
        self._counting_until = 0.0
        self._order = itertools.count()  # of what one process writes in the same microsecond

    @contextlib.contextmanager
    def during(self, act: Act, *, quiet: bool = False) -> Iterator[None]:
        """What is written inside is the doing of *act*. Where it writes nothing, that is noted as well, unless *quiet*."""
        call = _Call(act, self.marked, [], act.signed if self._shared else None)
        token = _CALL.set(call)
        try:
            with noting(call.made) if act.makes else contextlib.nullcontext():
                yield
        finally:
            _CALL.reset(token)
        if not call.recorded and not quiet:
            self.refused(act, SUCCEEDED)

    def refused(self, act: Act, result: str) -> None:
        """Note that *act* ended with *result*; never waits, and keeps no more than `MOST_ALIKE` entries of an account."""
        now = self._clock.now()
        if now >= self._counting_until:
            self._counting_until = now + TOGETHER_SECONDS
            self._numbers.clear()
        key: tuple[str, ...] = (
            act.account, act.region, act.principal, act.key_id, act.source_ip, act.target, result,
        )  # fmt: skip
        if key not in self._alike:
            whose = (act.account, bool(act.principal))
            number = self._numbers.get(whose, 0)
            if number >= MOST_ALIKE:
                principal = OTHERS if act.principal else ""
                act = Act(act.account, OTHERS, principal, OTHERS, OTHERS, OTHERS, act.request_id)
                key, result = (act.account, OTHERS, principal), OTHERS
            else:
                self._numbers[whose] = number + 1
        alike = self._alike.get(key)
        if alike is None:
            self._alike[key] = _Alike(act, result, now)
        else:
            if not alike.calls:
                alike.act, alike.since = act, now
            alike.calls += 1

    async def flush(self, *, everything: bool = False) -> None:
        """
        Write what was refused: the first of its kind at once, those alike when their time is over, or with *everything*.

        Errors: Unavailable; then nothing is written, and it is tried again next time.
        """
        now = self._clock.now()
        due = [(key, one) for key, one in self._alike.items() if one.calls and (everything or one.due(now))]
        counted = [(one, one.calls) for _, one in due]
        await self._write([self.marked(one.act, one.result, one) for _, one in due])
        for one, calls in counted:
            one.calls -= calls  # those that came while this was written stay
            one.written_at = now
        for key, one in list(self._alike.items()):
            if not one.calls and now >= one.written_at + TOGETHER_SECONDS:
                del self._alike[key]

    async def _write(self, entries: Sequence[Marked]) -> None:
        if entries:
            await self._database.write(store.add_all, entries)

    def marked(self, act: Act, result: str, alike: _Alike | None = None) -> Marked:
        """The entry of *act*, written now, with its mark; of all those *alike*, where they are given."""
        at = self._clock.now()
        shown = [_plain(one) for one in act.resources[:MOST_RESOURCES]]
        if len(act.resources) > MOST_RESOURCES:
            shown.append(f"and {len(act.resources) - MOST_RESOURCES} more")
        entry = Entry(
            id=entry_id(at, f"{next(self._order) & 0xFFFF:04x}{secrets.token_hex(_RANDOM_BYTES)}"),
            account=act.account,
            region=_plain(act.region),
            at=at,
            since=at if alike is None else alike.since,
            calls=1 if alike is None else alike.calls,
            principal=_plain(act.principal),
            key_id=_plain(act.key_id),
            source_ip=_plain(act.source_ip),
            target=_plain(act.target),
            resources=tuple(shown),
            request_id=act.request_id,
            result=_plain(result),
        )
        return Marked(entry, mark_of(self._key, entry))


class _Alike:
    """Refusals that differ in nothing but their moment: *calls* of them since the last entry."""

    __slots__ = ("act", "calls", "result", "since", "written_at")

    def __init__(self, act: Act, result: str, now: float) -> None:
        self.act = act
        self.result = result
        self.calls = 1
        self.since = now
        self.written_at: float = 0.0

    def due(self, now: float) -> bool:
        return now >= self.written_at + TOGETHER_SECONDS


def mark_of(key: bytes, entry: Entry) -> str:
    """The mark (hexadecimal) of an entry under *key*."""
    return hmac.digest(key, b"entry" + entry.text(), "sha256").hex()


def _completed(call: _Call, result: Any) -> Act:
    """The act of *call* with what it made; and, of callers who have no account, in whose account that is."""
    act = call.act
    if not act.makes:
        return act
    one = result[0] if isinstance(result, tuple) and result else result
    own = getattr(one, "id", None) or getattr(one, "instance_id", None)
    made = [own] if isinstance(own, str) else call.made
    named = dict.fromkeys((*act.resources, *made))
    scope = getattr(one, "scope", None)
    if not act.account and isinstance(scope, Scope):
        act = replace(act, account=scope.account, region=scope.region)
    return replace(act, resources=tuple(named))


def _plain(text: str) -> str:
    """*text* as any database takes it, and no longer than may be."""
    text = text[:_LONGEST]
    if text.isascii() and "\0" not in text:
        return text
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
