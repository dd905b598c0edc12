# SPDX-License-Identifier: Apache-2.0
"""
The audit trail as both sides read it: entries, the seals they are under, and what is wrong with a chain of them. Pure.

A seal holds the entries of a moment, in order of id, and the hash of the seal before it. Whoever knows the hash of one
seal can tell of every entry up to it whether it is as it was written:

    hash(entry) = SHA-256(text, newline, mark)
    hash(seal)  = SHA-256(number, moment, hash of the seal before, hash of each entry; a line each)

A trail may have let go of its first seals. An entry that is under a later one says so, and names the last of them
(`cut_of`); a trail that begins anywhere else was cut by somebody else.

A *mark* is keyed. Only the server, which has the key, can say whether it is right; here it is hashed like everything else.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

from patchwright.core.errors import PatchwrightError

SUCCEEDED = "Succeeded"
GENESIS = "0" * 64  # what the first seal has for the hash of the one before
CUT, CUTTER = "audit.Cut", "patchwright:audit"  # the operation and the principal of the entry that tells of a cut
TOLERANCE_SECONDS = 300.0
"""How much an entry may be older than the seal before its own: a transaction takes time, and clocks of processes differ."""

_TEXT = json.JSONEncoder(separators=(",", ":"), check_circular=False)
_ID_MICROSECONDS = 14  # hexadecimal digits of an id that are its moment


class MalformedTrail(PatchwrightError):
    """An export that cannot be read."""


@dataclass(frozen=True)
class Entry:
    """
    Who did what, from where, on what, and what came of it.

    *at* is when it was written (epoch seconds); *id* begins with that moment in microseconds, as 14 hexadecimal digits. *calls*
    is 1, or how many refusals that were alike it stands for, the first one at *since*. *result* is `Succeeded` or the code of
    an error.
    """

    id: str
    account: str
    region: str
    at: float
    since: float
    calls: int
    principal: str
    key_id: str
    source_ip: str
    target: str
    resources: Tuple[str, ...]
    request_id: str
    result: str

    def text(self) -> bytes:
        """Everything in it, in one form only."""
        parts = [
            self.id,
            self.account,
            self.region,
            f"{self.at:.6f}",
            f"{self.since:.6f}",
            self.calls,
            self.principal,
            self.key_id,
            self.source_ip,
            self.target,
            self.resources,
            self.request_id,
            self.result,
        ]
        return _TEXT.encode(parts).encode()


class Marked(NamedTuple):
    """An entry with its mark (hexadecimal)."""

    entry: Entry
    mark: str

    @property
    def hash(self) -> str:
        """What the seal has of it."""
        return hashlib.sha256(self.entry.text() + b"\n" + self.mark.encode()).hexdigest()


class Foreign(NamedTuple):
    """An entry of another account, of which an export has the hash alone."""

    hash: str


Member = Union[Marked, Foreign]


class Seal(NamedTuple):
    """One seal over *entries* entries; *previous* is the hash of the one before, *mark* keyed (hexadecimal)."""

    number: int
    sealed_at: float
    entries: int
    previous: str
    hash: str
    mark: str


class Head(NamedTuple):
    """The newest seal that somebody knows of."""

    number: int
    hash: str

    def __str__(self) -> str:
        return f"{self.number}:{self.hash}"

    @classmethod
    def parse(cls, text: str) -> Head:
        """The head that `str` shows as *text*. Raises MalformedTrail."""
        number, _, found = text.partition(":")
        if not (number.isascii() and number.isdigit() and len(number) <= 18) or len(found) != len(GENESIS):
            raise MalformedTrail(f"a head is NUMBER:HASH, not {text!r}")
        return cls(int(number), found)


def cut_of(entry: Entry) -> Optional[Head]:
    """The last seal that the trail had let go of when it wrote *entry*; None where that says something else."""
    if (entry.target, entry.principal, entry.result) != (CUT, CUTTER, SUCCEEDED) or not entry.resources:
        return None
    try:
        return Head.parse(entry.resources[0])
    except MalformedTrail:
        return None


class Finding(NamedTuple):
    """Something wrong: under which seal, with which entry (empty: the seal itself), and what."""

    seal: int
    entry: str
    problem: str


def entry_id(at: float, random: str) -> str:
    """The id of an entry of the moment *at*; *random*, hexadecimal digits, tells it from others of the same moment."""
    return f"{int(at * 1_000_000):0{_ID_MICROSECONDS}x}{random}"


def sealed(number: int, sealed_at: float, previous: str, members: Sequence[Member]) -> str:
    """The hash of a seal."""
    lines = [str(number), f"{sealed_at:.6f}", previous, *(member.hash for member in members)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


class Chain:
    """
    Follows seals, oldest first. *before* is the seal before the first one that comes, None where there is none any more.

    *trusted* are heads that somebody wrote down: the trail has to have them, if it has not let go of them. *cut* is the last seal
    that it is known to have let go of; None: the entries will say.
    """

    def __init__(
        self, before: Optional[Seal] = None, *, trusted: Sequence[Head] = (), cut: Optional[Head] = None
    ) -> None:
        self.last = before
        self._trusted = tuple(trusted)
        self._cut = cut
        self._first: Optional[Seal] = None  # where the trail begins, if not with number 1 and not yet explained

    def take(self, seal: Seal, members: Sequence[Member]) -> List[Finding]:
        """What is wrong with *seal* and its entries, which come in order of id."""
        last, self.last = self.last, seal
        if last is None and seal.number > 1:
            self._first = seal
        found = [Finding(seal.number, "", problem) for problem in self._of_seal(last, seal, members)]
        for member in members:
            if isinstance(member, Marked):
                found += [Finding(seal.number, member.entry.id, one) for one in _of_entry(last, seal, member.entry)]
                cut = cut_of(member.entry)
                if cut is not None and cut.number < seal.number and (self._cut is None or self._cut < cut):
                    self._cut = cut
        return found

    def begun(self) -> List[Finding]:
        """What is wrong with where the trail begins, as far as is known by now; said once."""
        first, self._first = self._first, None
        if first is None:
            return []
        kept_from = 1 if self._cut is None else self._cut.number + 1
        if first.number > kept_from:
            return [Finding(first.number, "", f"removed or reordered: seal {kept_from} should come here")]
        if self._cut is not None and first.number == kept_from and first.previous != self._cut.hash:
            return [Finding(first.number, "", "edited: it does not follow the seal before it")]
        return []

    def end(self) -> List[Finding]:
        """What is wrong with the whole, now that no seal follows."""
        number = 0 if self.last is None else self.last.number
        return self.begun() + [
            Finding(number, "", f"removed: the trail ends here, and is known to reach seal {head.number}")
            for head in self._trusted
            if head.number > number
        ]

    def _of_seal(self, last: Optional[Seal], seal: Seal, members: Sequence[Member]) -> Iterator[str]:
        expected = max(1, seal.number) if last is None else last.number + 1
        if seal.number != expected:
            yield f"removed or reordered: seal {expected} should come here"
        elif (last is not None or seal.number == 1) and seal.previous != (GENESIS if last is None else last.hash):
            yield "edited: it does not follow the seal before it"
        if len(members) < seal.entries:
            yield f"removed: {seal.entries - len(members)} of its {seal.entries} entries are gone"
        elif len(members) > seal.entries:
            yield f"added: it has {len(members)} entries, and was made over {seal.entries}"
        elif sealed(seal.number, seal.sealed_at, seal.previous, members) != seal.hash:
            yield "edited: its entries are not those it was made over"
        if last is not None and seal.sealed_at < last.sealed_at:
            yield "back-dated: it is older than the seal before it"
        if any(head.number == seal.number and head.hash != seal.hash for head in self._trusted):
            yield "edited: it is not the seal that was written down"


def _of_entry(last: Optional[Seal], seal: Seal, entry: Entry) -> Iterator[str]:
    if not entry.id.startswith(entry_id(entry.at, "")):
        yield "edited: its id is of another moment"
    if last is not None and entry.at < last.sealed_at - TOLERANCE_SECONDS:
        yield "back-dated: the seal before its own was made when it says it was not yet written"
    if entry.at > seal.sealed_at + TOLERANCE_SECONDS:
        yield "post-dated: it says it was written after it was sealed"


# -- export: a line of JSON for each entry, then one for the seal they are under


def line_of(part: Union[Member, Seal]) -> str:
    """The line of an export that says *part*."""
    if isinstance(part, Seal):
        return json.dumps({"kind": "seal", **part._asdict()})
    if isinstance(part, Foreign):
        return json.dumps({"kind": "entry", "hash": part.hash})
    return json.dumps({"kind": "entry", **vars(part.entry), "mark": part.mark})


def read_lines(lines: Iterator[str]) -> Iterator[Tuple[Seal, List[Member]]]:
    """The seals of an export with their entries. Raises MalformedTrail."""
    members: List[Member] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            said: Dict[str, Any] = json.loads(line)
            kind = said.pop("kind")
            if kind == "seal":
                seal = Seal(**said)
                _check_types(seal._asdict())
                yield seal, members
                members = []
            elif "hash" in said:
                members.append(Foreign(str(said["hash"])))
            else:
                members.append(_marked(said))
        except (ValueError, TypeError, KeyError, AttributeError) as cause:
            raise MalformedTrail(f"line {number} is no line of an audit trail: {cause}") from cause
    if members:
        raise MalformedTrail(f"the export ends within a seal: {len(members)} entries after the last one")


def _marked(said: Dict[str, Any]) -> Marked:
    mark = said.pop("mark")
    entry = Entry(**{**said, "resources": tuple(said["resources"])})
    _check_types({**vars(entry), "mark": mark})
    return Marked(entry, mark)


_WHOLE, _MOMENTS = frozenset({"calls", "number", "entries"}), frozenset({"at", "since", "sealed_at"})


def _check_types(values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if name == "resources":
            fits = all(isinstance(one, str) for one in value)
        elif name in _WHOLE:
            fits = type(value) is int
        else:
            fits = isinstance(value, float if name in _MOMENTS else str)
        if not fits:
            raise TypeError(f"{name} is {value!r}")
