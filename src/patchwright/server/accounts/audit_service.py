# SPDX-License-Identifier: Apache-2.0
"""The audit trail: sealing it, asking it, and proving that it is as it was written (docs/adr/0023)."""

from __future__ import annotations

import contextlib
import hmac
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from patchwright.core.audit import (
    CUT,
    CUTTER,
    GENESIS,
    Chain,
    Entry,
    Finding,
    Foreign,
    Head,
    MalformedTrail,
    Marked,
    Seal,
    cut_of,
    line_of,
    sealed,
)
from patchwright.server.accounts import audit_store as store
from patchwright.server.accounts.audit import Trail, mark_of
from patchwright.server.accounts.audit_search import Question
from patchwright.server.infra import Clock, Database

SEAL_SECONDS = 1.0
SEALED_TOGETHER = 500
UNSEALED_SECONDS = 60.0  # after which an entry that no seal holds is a finding: nobody seals
LOOKED_AT = 1000  # entries a page of a listing looks at, at most
_PAGE_ENTRIES = 1000  # of a page of verification or export, from which it ends
_PAGE_SEALS = 200
_FORGED = "edited or added: the server did not write it"


@dataclass(frozen=True)
class Proof:
    """A page of verification: what is wrong, how much was looked at, and where the next page begins (None: at the end)."""

    findings: list[Finding]
    seals: int
    entries: int
    unsealed: int
    head: Head | None
    after: int | None


class Anchor:
    """
    The newest seal as this process saw it, in a file beside the database: a trail that was cut off does not reach it.

    The file is replaced as a whole. It is not synced: after a power cut an older head is as true.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> Head | None:
        """The head that was kept last; None where there is none. Raises MalformedTrail."""
        try:
            return Head.parse(self._path.read_text(encoding="ascii", errors="replace").strip())
        except FileNotFoundError:
            return None

    def keep(self, head: Head) -> None:
        """Keep *head*."""
        temporary = self._path.with_name(self._path.name + ".new")
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(f"{head}\n")
        temporary.replace(self._path)


class AuditService:
    """
    Use cases of the audit trail. *key* marks seals and entries; *anchor* remembers the newest seal.

    *first* is the installation's first account: it may see what belongs to none.
    """

    def __init__(self, database: Database, clock: Clock, *, key: bytes, anchor: Anchor, first: str) -> None:
        self.first = first
        self._database = database
        self._clock = clock
        self._key = key
        self._anchor = anchor

    async def seal(self) -> Head | None:
        """Put every entry that waits under a seal; returns the newest seal. Safe in several processes at once."""
        last: Seal | None = None
        while True:
            last, waiting = await self._database.read(store.unsealed, SEALED_TOGETHER)
            if not waiting:
                break
            made = self._made(last, waiting)
            if not await self._database.write(store.put_seal, made, waiting):
                break  # another process is at it
            last = made
            if len(waiting) < SEALED_TOGETHER:
                break
        if last is None:
            return None
        head = Head(last.number, last.hash)
        await self._remember(head)
        return head

    def _made(self, last: Seal | None, waiting: list[Marked]) -> Seal:
        number, previous = (1, GENESIS) if last is None else (last.number + 1, last.hash)
        moment = self._clock.now() if last is None else max(self._clock.now(), last.sealed_at)
        found = sealed(number, moment, previous, waiting)
        return Seal(number, moment, len(waiting), previous, found, _seal_mark(self._key, found))

    async def _remember(self, head: Head) -> None:
        """Keep *head*, if it follows the one that is kept. If not, the trail was changed, and the proof of it must stay."""
        with contextlib.suppress(MalformedTrail):
            known = self._anchor.load()
            if known is None or (known.number < head.number and await self._has(known)):
                self._anchor.keep(head)

    async def _has(self, known: Head) -> bool:
        """Whether the trail has that seal, or has let go of it."""
        found = await self._database.read(store.seal, known.number)
        if found is not None:
            return found.hash == known.hash
        cut = await self.cut()
        return cut is not None and known.number <= cut[0].number

    async def cut(self) -> tuple[Head, Entry] | None:
        """The last seal that the trail has let go of, and the entry under a seal that says so."""
        question, before = Question(self.first, user=CUTTER, operation=CUT), ""
        while True:
            rows = await self._database.read(store.page, question, before=before, limit=LOOKED_AT)
            for one in rows:
                head = cut_of(one.entry)
                if head is not None and self._wrote(one):
                    return head, one.entry
            if len(rows) < LOOKED_AT:
                return None
            before = rows[-1].entry.id

    async def listed(self, question: Question, *, before: str, limit: int) -> tuple[list[Entry], str | None]:
        """
        Up to *limit* entries that are asked for, newest first; and the id before which the next page begins.

        A page looks at no more than `LOOKED_AT` entries, so it may be shorter. None: there are no more.
        """
        found: list[Entry] = []
        looked = 0
        while looked < LOOKED_AT:
            most = min(limit + 1, LOOKED_AT - looked)
            rows = await self._database.read(store.page, question, before=before, limit=most)
            for one in rows:
                if len(found) == limit:
                    return found, found[-1].id
                if question.fits(one.entry):
                    found.append(one.entry)
            if len(rows) < most:
                return found, None
            looked, before = looked + most, rows[-1].entry.id
        return found, before

    async def exported(self, account: str, region: str, *, after: int) -> tuple[list[str], int | None]:
        """
        Lines of an export (`core.audit.line_of`) from the seal after number *after* on, and the last seal's number.

        Of entries of other accounts, and of other regions unless *region* is empty, the hash alone. None: there are no more.
        """
        lines: list[str] = []
        seals = await self._database.read(store.seals, after, _PAGE_SEALS)
        for seal in seals:
            members = await self._database.read(store.members, seal.number)
            lines += [line_of(one if _shown_to(account, region, one.entry) else Foreign(one.hash)) for one in members]
            lines.append(line_of(seal))
            if len(lines) >= _PAGE_ENTRIES:
                return lines, seal.number
        return lines, seals[-1].number if len(seals) == _PAGE_SEALS else None

    async def verified(self, *, after: int, trusted: Sequence[Head] = ()) -> Proof:
        """
        A page of verification, from the seal after number *after* on: chain, marks, what entries are found by, the end.

        *trusted* are heads that somebody wrote down, beside the one that this process keeps.
        """
        before = await self._database.read(store.seal, after) if after else None
        anchored, unreadable = self._anchored()
        cut = await self.cut()
        chain = Chain(before, trusted=[*trusted, *anchored], cut=None if cut is None else cut[0])
        seals = await self._database.read(store.seals, after, _PAGE_SEALS)
        findings = [] if after else unreadable
        count = entries = 0
        for seal in seals:
            members = await self._database.read(store.members, seal.number)
            findings += chain.take(seal, members)
            findings += chain.begun()
            findings += self._unmarked(seal, members)
            findings += await self._unfound(seal, members)
            count, entries = count + 1, entries + len(members)
            if entries >= _PAGE_ENTRIES:
                return Proof(findings, count, entries, 0, None, seal.number)
        if len(seals) == _PAGE_SEALS:
            return Proof(findings, count, entries, 0, None, seals[-1].number)
        return await self._ended(chain, findings, count, entries)

    async def _ended(self, chain: Chain, findings: list[Finding], count: int, entries: int) -> Proof:
        """The last page: what waits for its seal, what is beyond the last one, whether the end was cut off."""
        last = chain.last
        number = 0 if last is None else last.number
        _, waiting = await self._database.read(store.unsealed, SEALED_TOGETHER)
        findings += chain.end()
        for stray_seal, stray in await self._database.read(store.strays, await self._newest(number)):
            findings.append(Finding(stray_seal, stray, "added or removed: there is no such seal"))
        findings += [Finding(0, one.entry.id, _FORGED) for one in waiting if not self._wrote(one)]
        late = self._clock.now() - UNSEALED_SECONDS
        findings += [
            Finding(0, one.entry.id, "unsealed: no worker seals the trail") for one in waiting if one.entry.at < late
        ]
        head = None if last is None else Head(last.number, last.hash)
        return Proof(findings, count, entries, len(waiting), head, None)

    async def _newest(self, at_least: int) -> int:
        last = await self._database.read(store.last_seal)
        return max(at_least, last.number if last else 0)

    def _anchored(self) -> tuple[list[Head], list[Finding]]:
        """The head that this process keeps; or that it cannot be read."""
        try:
            known = self._anchor.load()
        except MalformedTrail as error:
            return [], [Finding(0, "", f"edited: the file that keeps the newest seal: {error}")]
        return ([] if known is None else [known]), []

    def _unmarked(self, seal: Seal, members: list[Marked]) -> list[Finding]:
        """What the server has not written itself."""
        found = []
        if not hmac.compare_digest(seal.mark, _seal_mark(self._key, seal.hash)):
            found.append(Finding(seal.number, "", "edited: the server did not make this seal"))
        return found + [Finding(seal.number, one.entry.id, _FORGED) for one in members if not self._wrote(one)]

    def _wrote(self, one: Marked) -> bool:
        return hmac.compare_digest(one.mark, mark_of(self._key, one.entry))

    async def _unfound(self, seal: Seal, members: list[Marked]) -> list[Finding]:
        """Entries that a search does not find. One that it should not find is passed over by `listed`."""
        hidden = sorted(await self._database.read(store.hidden, members))
        return [Finding(seal.number, entry, "hidden: it is not found by what is in it") for entry in hidden]


def _shown_to(account: str, region: str, entry: Entry) -> bool:
    """Whether an export for *account*, of all regions or of one, has *entry*; what was let go, everybody's has to say."""
    return (entry.account == account and region in {"", entry.region}) or cut_of(entry) is not None


def _seal_mark(key: bytes, found: str) -> str:
    return hmac.digest(key, b"seal" + found.encode(), "sha256").hex()


async def tend(trail: Trail, service: AuditService) -> None:
    """What a process does every `SEAL_SECONDS`: write what was refused, and seal what waits."""
    await trail.flush()
    await service.seal()
