# SPDX-License-Identifier: Apache-2.0
"""
The order of package versions, as the package managers themselves order them.

A version is turned into a *byte key*; keys compare byte by byte exactly as the package manager compares the versions, so
a key may be kept in an index, and equal versions («1.0» and «1.00») have equal keys. `compare` is defined by the keys:
there is one truth.

Both managers split a version into runs and compare run by run. A key is the concatenation of those runs, each encoded so
that no run's code is the beginning of another's; wherever a version may end, the end has a byte of its own, because
«~» sorts below the end and everything else above it.

Sources: Debian Policy 5.6.12 and libapt-pkg for DPKG (which agree on every version dpkg accepts; on the others libapt-pkg
is followed, since it is what chooses a candidate, except where nothing stands before the last hyphen: there it reads
outside the string); librpm 4.18 (rpmvercmp, rpmverCmp) for RPM.
"""

from __future__ import annotations

import re
from enum import Enum
from functools import lru_cache

from patchwright.core.errors import MalformedVersion

MAX_LENGTH = 512  # characters; the longest of Debian 12's 63,666 versions has 52
_CACHED_KEYS = 16384  # per scheme; a modelled fleet of 100,000 nodes held 9,074 distinct package versions


class Scheme(Enum):
    """Whose rules order the versions."""

    DPKG = "dpkg"
    RPM = "rpm"


def compare(scheme: Scheme, a: str, b: str) -> int:
    """
    Compare two versions of one scheme.

    Returns:
        -1 when *a* is older than *b*, 0 when the package manager sees no difference, 1 when *a* is newer.

    Raises:
        MalformedVersion: see `key`.
    """
    left, right = key(scheme, a), key(scheme, b)
    return (left > right) - (left < right)


def key(scheme: Scheme, version: str) -> bytes:
    """
    The bytes that sort among other keys of *scheme* as *version* sorts among versions.

    DPKG takes `[epoch:]upstream[-revision]`; no epoch is epoch 0, no revision is revision 0. RPM takes
    `[epoch:]version[-release]`; no epoch is epoch 0, but no release is older than every release, the empty one included.
    Characters that the manager's policy forbids are ordered as its code orders them. Keys of different schemes must not
    be compared. A key has at most twice the version's bytes and ten more.

    Raises:
        MalformedVersion: *version* is empty, is longer than `MAX_LENGTH`, contains NUL, or has no form in bytes (a lone
            surrogate that does not stand for an undecodable byte).
    """
    return _dpkg_key(version) if scheme is Scheme.DPKG else _rpm_key(version)


def _bytes(version: str) -> bytes:
    """The version as the package database stores it."""
    if not 0 < len(version) <= MAX_LENGTH:
        raise MalformedVersion(f"a version has 1 to {MAX_LENGTH} characters, not {len(version)}")
    try:
        raw = version.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise MalformedVersion(f"the version {version!a} has no form in bytes") from None
    if b"\0" in raw:
        raise MalformedVersion(f"the version {version!a} contains NUL")
    return raw


# Numbers are longer than every shorter one and compare digit by digit with those of their length, once leading zeros are
# gone. So a number is its length, then its digits. All bytes here are below "A", so that they may also end an RPM word.
_SHORT_NUMBER = [bytes([5 + length]) for length in range(50)]
_LONG_NUMBER = b"\x3f"


def _number(digits: bytes) -> bytes:
    digits = digits.lstrip(b"0")
    length = len(digits)
    if length < len(_SHORT_NUMBER):
        return _SHORT_NUMBER[length] + digits
    return _LONG_NUMBER + length.to_bytes(2, "big") + digits


# ------------------------------------------------------------------------------------------------------------------ dpkg

_DPKG_RUNS = re.compile(rb"([^0-9]*)([0-9]*)")
_DPKG_END = b"\x02"
_DPKG_EMPTY = _DPKG_END + b"\x04"  # below every number


def _dpkg_ranks() -> bytes:
    """
    The order of the characters between digits: «~», the end, letters, non-ASCII bytes, the rest of ASCII.

    Non-ASCII bytes stand there because a C char is signed on amd64; no archive has such a version.
    """
    letters = [byte for byte in range(128) if chr(byte).isalpha()]
    others = [byte for byte in range(1, 128) if not chr(byte).isalnum() and byte != ord("~")]
    ranks = bytearray(256)  # digits and NUL never get here
    ranks[ord("~")] = 1
    for rank, byte in enumerate(letters + list(range(128, 256)) + others, start=_DPKG_END[0] + 1):
        ranks[byte] = rank
    return bytes(ranks)


_DPKG_RANKS = _dpkg_ranks()


@lru_cache(maxsize=_CACHED_KEYS)
def _dpkg_key(version: str) -> bytes:
    raw = _bytes(version)
    colon = raw.find(b":")
    epoch, rest = (raw[:colon].lstrip(b"0"), raw[colon + 1 :]) if colon > 0 else (b"", raw)
    hyphen = rest.rfind(b"-")
    upstream, revision = (rest[:hyphen], rest[hyphen + 1 :]) if hyphen >= 0 else (rest, b"0")
    return _dpkg_part(epoch) + _dpkg_part(upstream) + _dpkg_part(revision)


def _dpkg_part(part: bytes) -> bytes:
    """One of epoch, upstream version, revision. The empty pair that ends the runs ends the code, too."""
    if not part:
        return _DPKG_EMPTY
    runs = _DPKG_RUNS.findall(part)
    return b"".join([text.translate(_DPKG_RANKS) + _DPKG_END + _number(digits) for text, digits in runs])


# ------------------------------------------------------------------------------------------------------------------- rpm

_RPM_RUNS = re.compile(rb"[0-9]+|[A-Za-z]+|[~^]")  # everything else separates runs and counts for nothing
_RPM_NO_RELEASE = b"\x00"
_RPM_TILDE = b"\x01"
_RPM_END = b"\x02"
_RPM_CARET = b"\x03"
_RPM_WORD = b"\x04"  # then the letters; ended by the next run's first byte, which is below "A"


@lru_cache(maxsize=_CACHED_KEYS)
def _rpm_key(version: str) -> bytes:
    raw = _bytes(version)
    epoch, colon, rest = raw.partition(b":")
    if not colon or epoch.strip(b"0123456789"):
        epoch, rest = b"", raw
    number, hyphen, release = rest.rpartition(b"-")
    if not hyphen:
        return _number(epoch) + _rpm_part(rest) + _RPM_NO_RELEASE
    return _number(epoch) + _rpm_part(number) + _rpm_part(release)


def _rpm_part(part: bytes) -> bytes:
    """The version or the release."""
    return b"".join([_rpm_run(run) for run in _RPM_RUNS.findall(part)]) + _RPM_END


def _rpm_run(run: bytes) -> bytes:
    if run.isdigit():
        return _number(run)
    if run == b"~":
        return _RPM_TILDE
    if run == b"^":
        return _RPM_CARET
    return _RPM_WORD + run
