# SPDX-License-Identifier: Apache-2.0
"""
A signature is good for one request.

Signatures tell whole seconds and nothing that differs from request to request, so an SDK that asks the same thing twice in a
second signs it the same. SDKs say beside it which call of theirs a request is (`amz-sdk-invocation-id`, `amz-sdk-request`);
some sign that, botocore does not. So a signature that was used is accepted again only for what an SDK would do: within
`GRACE_SECONDS`, as another call, and where the operation changes something from the same address. A request that is sent
again as it was is refused, whenever that is (ADR 0024). Older SDKs, as that of amazon-ssm-agent, do not say which call it is:
what they ask twice in a second is refused as too much, which they take as a reason to sign anew a little later.

What is remembered of a signature is its first 64 bits, for as long as its time would be accepted.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Mapping, Set
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from patchwright.core.signing import CALL_HEADER, SIGN_AGAIN

from .errors import ApiError, invalid_signature, throttled
from .sigv4 import WINDOW, Claim

GRACE_SECONDS = 2.0
KEPT = 4_000_000
_CALLS = 1024  # of one signature
_SMALLEST = 1024
_MAGIC = b"patchwright signatures 1\n"
_CALL = CALL_HEADER.lower().encode()
_NEAR_SECONDS = 30.0  # what clocks may be off by and nobody learns the difference
_MINUTE = 13  # characters of `YYYYMMDDTHHMM`
_READING = re.compile(r"\.(?:BatchGet|Describe|Get(?!Messages\Z|SessionToken\Z)|List|Search|Simulate)")
# Said again and again in the same words by agents, and true as often as it is said.
_HARMLESS = frozenset({
    "AmazonSSM.UpdateInstanceInformation",
    "AmazonSSM.RequestManagedInstanceRoleToken",
    "EC2WindowsMessageDeliveryService.AcknowledgeMessage",
    "s3.GetEncryptionConfiguration",
    "s3.HeadBucket",
})  # fmt: skip


class _Recent(NamedTuple):
    """A signature that was seen a moment ago: when and from where first, as which call of its signer first, and as which others."""

    since: float
    source: str
    call: bytes
    others: set[bytes] | None = None


class Numbers:
    """A set of numbers from 1 to 2⁶⁴-1, in eight bytes for each of its slots."""

    __slots__ = ("_slots", "_used")

    def __init__(self, expected: int = 0) -> None:
        size = _SMALLEST
        while size * 2 < expected * 3:
            size *= 2
        self._slots = array("Q", bytes(8 * size))
        self._used = 0

    def __len__(self) -> int:
        return self._used

    def __contains__(self, number: int) -> bool:
        return self._slots[self._place(number)] == number

    def add(self, number: int) -> bool:
        """Whether *number* is new here; it is not afterwards."""
        place = self._place(number)
        if self._slots[place]:
            return False
        self._slots[place] = number
        self._used += 1
        if self._used * 3 > len(self._slots) * 2:
            self._grow()
        return True

    def packed(self) -> bytes:
        """The numbers, eight bytes each in the order of the machine."""
        return array("Q", (number for number in self._slots if number)).tobytes()

    def _place(self, number: int) -> int:
        slots = self._slots
        most = len(slots) - 1
        place = number & most
        while slots[place] and slots[place] != number:
            place = (place + 1) & most
        return place

    def _grow(self) -> None:
        before = self._slots
        self._slots = array("Q", bytes(16 * len(before)))
        for number in before:
            if number:
                self._slots[self._place(number)] = number


class Replays:
    """
    The signatures that this process has accepted.

    Where there are more than *kept* in the time that signatures are good for (*window* seconds to either side), the oldest
    are forgotten, and nothing that was signed before the forgotten ones is accepted any more: under load the window shrinks,
    but no request is accepted twice. *since*: nothing that was signed before that moment (epoch seconds) is accepted,
    because what was accepted until then is not known.
    """

    def __init__(self, *, window: float = WINDOW, kept: int = KEPT, since: float | None = None) -> None:
        self._window = window
        self._kept = kept
        self._floor = "" if since is None else _basic(since)
        self.since = since or 0.0
        self._recent: dict[int, _Recent] = {}
        self._before: dict[int, _Recent] = {}  # what was recent when `_recent` was begun, at `_turned`
        self._turned = 0.0
        self._minutes: dict[str, Numbers] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def admit(self, claim: Claim, headers: Mapping[bytes, bytes], *, source: str, target: str, now: float) -> None:
        """
        Note that the signature of *claim*, which is proved, was used by a request from *source* for *target*.

        Raises ApiError where it was used before: InvalidSignatureException, ThrottlingException for what a signer whose
        SDK signs anew and tries again may have meant.
        """
        if claim.timestamp < self._floor:
            raise self._too_early(claim.timestamp, now)
        if not 0 <= now - self._turned <= GRACE_SECONDS:
            self._before, self._recent, self._turned = self._recent, {}, now
        number = claim.number
        call = sdk_call(headers)
        if self._remember(claim.timestamp[:_MINUTE], number, now):
            self._recent[number] = _Recent(now, source, call)
            return
        recent = self._recent.get(number) or self._before.get(number)
        if recent is None or not 0 <= now - recent.since <= GRACE_SECONDS:
            raise invalid_signature(SIGN_AGAIN)
        others = set() if recent.others is None else recent.others
        _check_repeated(recent, others, call, source=source, target=target)
        others.add(call)
        self._recent[number] = recent._replace(others=others)

    def packed(self) -> bytes:
        """What is remembered, as bytes that `unpacked` reads."""
        parts = [_MAGIC]
        for minute, numbers in self._minutes.items():
            parts += [minute.encode(), len(numbers).to_bytes(4, "big"), numbers.packed()]
        return b"".join([*parts, self._floor.encode()])

    def recall(self, packed: bytes) -> None:
        """Remember also what another process did. Raises ValueError for what is none of `packed`."""
        if not packed.startswith(_MAGIC):
            raise ValueError("not signatures")
        place, end = len(_MAGIC), len(packed)
        while place + _MINUTE + 4 <= end:
            minute, count = (
                packed[place : place + _MINUTE].decode("ascii"),
                packed[place + _MINUTE : place + _MINUTE + 4],
            )
            place += _MINUTE + 4
            size = 8 * int.from_bytes(count, "big")
            if place + size > end:
                raise ValueError("cut short")
            numbers = array("Q", packed[place : place + size])
            known = self._minutes.setdefault(minute, Numbers(len(numbers)))
            self._count += sum(1 for number in numbers if known.add(number))
            place += size
        self._floor = max(self._floor, packed[place:].decode("ascii"))

    def _too_early(self, timestamp: str, now: float) -> ApiError:
        if timestamp >= _basic(now - _NEAR_SECONDS):
            return throttled("The server started a moment ago. Sign the request again.", seconds=1.0)
        return invalid_signature(f"Signature expired: {timestamp} is now earlier than {self._floor}.")

    def _remember(self, minute: str, number: int, now: float) -> bool:
        numbers = self._minutes.get(minute)
        if numbers is None:
            self._forget(now)
            expected = max((len(one) for one in self._minutes.values()), default=0)
            numbers = self._minutes[minute] = Numbers(min(expected, self._kept // 16))
        if not numbers.add(number):
            return False
        self._count += 1
        if self._count > self._kept:
            self._shrink(now)
        return True

    def _forget(self, now: float) -> None:
        """The minutes whose signatures are out of time."""
        oldest = _basic(now - self._window)[:_MINUTE]
        for minute in [one for one in self._minutes if one < oldest]:
            self._drop(minute)

    def _shrink(self, now: float) -> None:
        """Forget the oldest minute, and accept nothing that was signed in it or before; the last minute always stays."""
        oldest = min(self._minutes)
        if oldest < _basic(now - 60)[:_MINUTE]:
            self._drop(oldest)
            self._floor = max(self._floor, f"{oldest}60Z")

    def _drop(self, minute: str) -> None:
        self._count -= len(self._minutes.pop(minute))


def recalled(path: Path, *, window: float, now: float) -> Replays:
    """
    What the server that used the file *path* before this one remembered, for this one to go on with.

    The file stays behind empty until `keep`. Where it is found so, or damaged, its server did not stop in order: nothing is
    accepted then that was signed before *now*, or in the same second, which signatures do not divide: whoever begins to answer
    waits until `since`.
    """
    try:
        packed = path.read_bytes()
    except FileNotFoundError:
        packed = None
    path.write_bytes(b"")
    replays = Replays(window=window)
    if packed is None:
        return replays
    try:
        replays.recall(packed)
    except ValueError:
        return Replays(window=window, since=float(int(now) + 1))
    return replays


def keep(path: Path, replays: Replays) -> None:
    """Keep in the file *path* what is remembered, when the server stops."""
    fresh = path.with_suffix(".new")
    fresh.write_bytes(replays.packed())
    fresh.replace(path)


def sdk_call(headers: Mapping[bytes, bytes]) -> bytes:
    """Which call of its signer's SDK a request says it is, and which attempt; empty where it says nothing."""
    return (headers.get(_CALL, b"") + b" " + headers.get(b"amz-sdk-request", b"")).strip()


def _check_repeated(recent: _Recent, others: Set[bytes], call: bytes, *, source: str, target: str) -> None:
    """Raise unless a signature that was seen just now may be another call of its signer's SDK."""
    if target in _HARMLESS and source == recent.source:
        return
    if not call and source == recent.source:
        raise throttled("The same request was made in this second. Sign the request again.", seconds=1.0)
    if call in (b"", recent.call) or call in others:
        raise invalid_signature(SIGN_AGAIN)
    if len(others) >= _CALLS or (source != recent.source and not _READING.search(target)):
        raise throttled("The same request was made elsewhere in this second. Sign the request again.", seconds=1.0)


def _basic(moment: float) -> str:
    return datetime.fromtimestamp(max(moment, 0.0), UTC).strftime("%Y%m%dT%H%M%SZ")
