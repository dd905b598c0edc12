# SPDX-License-Identifier: Apache-2.0
"""The order of versions: against the package managers' own answers, against a plain comparator, and as an order."""

from __future__ import annotations

import gzip
import json
import os
import random
import subprocess
from collections.abc import Callable
from functools import cmp_to_key, partial
from itertools import zip_longest
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patchwright.core.errors import MalformedVersion, PatchwrightError
from patchwright.core.version import MAX_LENGTH, Scheme, compare, key

VECTORS = Path(__file__).with_name("vectors")
FULL = os.environ.get("PATCHWRIGHT_FULL", "") not in ("", "0")
SEED = int(os.environ.get("PATCHWRIGHT_SEED", "20261120"))
SYSTEM_PYTHON = "/usr/bin/python3"  # the interpreter that has the distribution's bindings

# ------------------------------------------------------------------------ the plain comparators, character by character

DIGITS = frozenset(b"0123456789")
LETTERS = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


def sign(difference: int) -> int:
    """-1, 0 or 1."""
    return (difference > 0) - (difference < 0)


def run(text: bytes, start: int, kind: frozenset[int]) -> int:
    """Where the characters of *kind* that begin at *start* end."""
    while start < len(text) and text[start] in kind:
        start += 1
    return start


def dpkg_weight(text: bytes, at: int) -> int:
    """What a character counts in a stretch without digits; the end and a digit count nothing, a tilde less."""
    if at >= len(text) or text[at] in DIGITS:
        return 0
    if text[at] == ord("~"):
        return -1
    if text[at] in LETTERS:
        return text[at]
    return text[at] if text[at] >= 128 else text[at] + 256


def dpkg_part(a: bytes, b: bytes) -> int:
    """Epoch with epoch, upstream with upstream, revision with revision."""
    if not a or not b:  # the empty part is older than all but what begins with a tilde
        return sign(len(a) - len(b)) * (-1 if (a or b).startswith(b"~") else 1)
    i = j = 0
    while i < len(a) or j < len(b):
        while (i < len(a) and a[i] not in DIGITS) or (j < len(b) and b[j] not in DIGITS):
            if dpkg_weight(a, i) != dpkg_weight(b, j):
                return sign(dpkg_weight(a, i) - dpkg_weight(b, j))
            i, j = i + 1, j + 1
        i_end, j_end = run(a, i, DIGITS), run(b, j, DIGITS)
        left, right = int(a[i:i_end] or b"0"), int(b[j:j_end] or b"0")
        if left != right:
            return sign(left - right)
        i, j = i_end, j_end
    return 0


def dpkg_split(version: bytes) -> tuple[bytes, bytes, bytes]:
    """Epoch, upstream version, revision."""
    epoch = b""
    if b":" in version[1:] and not version.startswith(b":"):
        epoch, version = version.split(b":", 1)
        while epoch.startswith(b"0"):
            epoch = epoch[1:]
    if b"-" not in version:
        return epoch, version, b"0"
    upstream, revision = version.rsplit(b"-", 1)
    return epoch, upstream, revision


def rpm_part(a: bytes, b: bytes) -> int:
    """Version with version, release with release."""
    known = DIGITS | LETTERS | frozenset(b"~^")
    separators = frozenset(range(256)) - known
    i = j = 0
    while True:
        i, j = run(a, i, separators), run(b, j, separators)
        heads = a[i : i + 1], b[j : j + 1]
        for mark, when_other_ends in ((b"~", -1), (b"^", 1)):
            if mark in heads:
                if heads == (mark, mark):
                    break
                other = heads[0] if heads[1] == mark else heads[1]
                marked_is = when_other_ends if not other else -1
                return marked_is if heads[0] == mark else -marked_is
        else:
            if not heads[0] or not heads[1]:
                return len(heads[0]) - len(heads[1])
            kinds = [DIGITS if head[0] in DIGITS else LETTERS for head in heads]
            if kinds[0] is not kinds[1]:
                return 1 if kinds[0] is DIGITS else -1
            i_end, j_end = run(a, i, kinds[0]), run(b, j, kinds[0])
            left, right = a[i:i_end], b[j:j_end]
            i, j = i_end, j_end
            if kinds[0] is DIGITS and int(left) != int(right):
                return sign(int(left) - int(right))
            if kinds[0] is LETTERS and left != right:
                return 1 if left > right else -1
            continue
        i, j = i + 1, j + 1


def rpm_split(version: bytes) -> tuple[int, bytes, bytes | None]:
    """Epoch, version, release or None."""
    end = run(version, 0, DIGITS)
    epoch = 0
    if version[end : end + 1] == b":":
        epoch, version = int(version[:end] or b"0"), version[end + 1 :]
    if b"-" not in version:
        return epoch, version, None
    number, release = version.rsplit(b"-", 1)
    return epoch, number, release


def plain_compare(scheme: Scheme, a: str, b: str) -> int:
    """The package manager's rules, read from their description and followed step by step."""
    left, right = a.encode("utf-8", "surrogateescape"), b.encode("utf-8", "surrogateescape")
    if scheme is Scheme.DPKG:
        answers = (dpkg_part(x, y) for x, y in zip_longest(dpkg_split(left), dpkg_split(right)))
        return next((answer for answer in answers if answer), 0)
    (epoch, number, release), (epoch2, number2, release2) = rpm_split(left), rpm_split(right)
    if epoch != epoch2:
        return sign(epoch - epoch2)
    if rpm_part(number, number2):
        return rpm_part(number, number2)
    if release is None or release2 is None:
        return (release is not None) - (release2 is not None)
    return rpm_part(release, release2)


# ---------------------------------------------------------------------------------------------------- generated versions

UNDECODABLE = "".join(map(chr, range(0xDC80, 0xDD00)))
PIECES = st.sampled_from(
    [*"019abZ~^+.-_: é\udcff", "00", "01", "10", "20240229", "rc", "~~", "..", "deb12u1", "el9_2", "+git"]
)
TIDY = st.builds(
    lambda epoch, upstream, revision: epoch + ".".join(upstream) + revision,
    st.sampled_from(["", "", "0:", "1:", "01:", "2:"]),
    st.lists(st.integers(0, 30).map(str), min_size=1, max_size=4),
    st.sampled_from(["", "-0", "-1", "-1+deb12u2", "-1~bpo12+1", "-4.el9", "-4.el9_2", "-", "-~1"]),
)
UNTIDY = st.lists(PIECES, min_size=1, max_size=7).map("".join)
WILD = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0") | st.sampled_from(UNDECODABLE), min_size=1
)
LONG = st.builds(
    lambda before, digit, count, after: before + digit * count + after,
    st.sampled_from(["", "1.", "a", "0"]),
    st.sampled_from("019"),
    st.integers(45, MAX_LENGTH - 4) | st.integers(46, 54),
    st.sampled_from(["", ".1", "a", "~"]),
)
VERSIONS = TIDY | UNTIDY | WILD.filter(lambda version: len(version) <= MAX_LENGTH) | LONG


@st.composite
def pairs(draw: st.DrawFn) -> tuple[str, str]:
    """Two versions, often differing in one place only."""
    version = draw(VERSIONS)
    if draw(st.booleans()):
        return version, draw(VERSIONS)
    at = draw(st.integers(0, len(version)))
    other = version[:at] + draw(PIECES) + version[at + draw(st.integers(0, 1)) :]
    return version, other[:MAX_LENGTH]


SCHEMES = st.sampled_from(Scheme)
THOROUGH = settings(max_examples=1000 if FULL else 300, deadline=None)


@THOROUGH
@given(SCHEMES, pairs())
def test_compare_and_keys_agree_with_the_plain_comparator(scheme: Scheme, pair: tuple[str, str]) -> None:
    """Whatever the strings, the keys say what the rules followed step by step say; equal keys exactly for equal ones."""
    a, b = pair
    expected = plain_compare(scheme, a, b)
    assert compare(scheme, a, b) == expected
    assert (key(scheme, a) == key(scheme, b)) == (expected == 0)
    assert (key(scheme, a) < key(scheme, b)) == (expected < 0)


@THOROUGH
@given(SCHEMES, st.tuples(UNTIDY | TIDY, UNTIDY | TIDY, UNTIDY | TIDY))
def test_the_order_is_total_and_transitive(scheme: Scheme, versions: tuple[str, str, str]) -> None:
    """Of any three versions one is first and one is last, whichever two are asked about, also by the rules themselves."""
    for order in (compare, plain_compare):
        low, middle, high = sorted(versions, key=cmp_to_key(lambda a, b, order=order: order(scheme, a, b)))
        assert order(scheme, low, middle) <= 0
        assert order(scheme, middle, high) <= 0
        assert order(scheme, low, high) <= 0
        assert order(scheme, low, high) == -order(scheme, high, low)
        assert (order(scheme, low, high) == 0) == (order(scheme, low, middle) == 0 == order(scheme, middle, high))


@THOROUGH
@given(SCHEMES, st.lists(VERSIONS, max_size=12))
def test_sorting_by_key_is_sorting_by_the_rules(scheme: Scheme, versions: list[str]) -> None:
    """An index over keys lists versions as the package manager would."""
    by_rules = sorted(versions, key=cmp_to_key(lambda a, b: plain_compare(scheme, a, b)))
    assert sorted(versions, key=lambda version: key(scheme, version)) == by_rules


@given(SCHEMES, VERSIONS)
def test_a_version_equals_itself_and_its_key_stays_small(scheme: Scheme, version: str) -> None:
    """Equality with itself, and at most twice the version's bytes and ten more."""
    assert compare(scheme, version, version) == 0
    assert len(key(scheme, version)) <= 2 * len(version.encode("utf-8", "surrogateescape")) + 10


# ---------------------------------------------------------------------------------- what the package managers themselves say


def vectors(name: str) -> list[tuple[str, str, int]]:
    """Two versions and the sign of their comparison, as recorded."""
    lines = gzip.decompress((VECTORS / name).read_bytes()).decode("utf-8").splitlines()
    return [(a, b, int(answer)) for a, b, answer in (line.split("\t") for line in lines)]


@pytest.mark.parametrize(
    ("scheme", "name", "count"),
    [
        (Scheme.DPKG, "dpkg-compare.tsv.gz", 10_000),
        (Scheme.DPKG, "dpkg-odd.tsv.gz", 5_000),
        (Scheme.RPM, "rpm-vercmp.tsv.gz", 10_000),
        (Scheme.RPM, "rpm-evr.tsv.gz", 5_000),
    ],
)
def test_every_recorded_answer_of_libapt_and_librpm_is_met(scheme: Scheme, name: str, count: int) -> None:
    """None wrong: by compare in both directions, by keys, and by the plain comparator the properties rely on."""
    rows = vectors(name)
    assert len(rows) == count
    wrong = [
        (a, b, answer)
        for a, b, answer in rows
        if not (compare(scheme, a, b) == answer == -compare(scheme, b, a))
        or sign((key(scheme, a) > key(scheme, b)) - (key(scheme, a) < key(scheme, b))) != answer
        or (key(scheme, a) == key(scheme, b)) != (answer == 0)
        or plain_compare(scheme, a, b) != answer
    ]
    assert wrong == []


ASK_LIBAPT = """
import json, sys, apt_pkg
apt_pkg.init_system()
pairs = json.load(sys.stdin)
json.dump([(r > 0) - (r < 0) for r in (apt_pkg.version_compare(a, b) for a, b in pairs)], sys.stdout)
"""


def random_debian_version(source: random.Random) -> str:
    """A version of dpkg's alphabet that begins with a digit, sometimes with epoch or revision."""
    body = "".join(source.choice("0019az~+.") for _ in range(source.randint(0, 8)))
    epoch = source.choice(["", "", "0:", "1:", "001:", "17:"])
    return epoch + source.choice("019") + body + source.choice(["", "", "-0", "-1", "-~", "-0~1", "-a-1", "-01"])


# Asked natively in a process of its own: what does not answer with a list is not there.
ASK_LIBRPM = """
import ctypes, ctypes.util, json, sys
name = ctypes.util.find_library("rpm")
rpm = ctypes.CDLL(name) if name else sys.exit("no librpm")
rpm.rpmverParse.argtypes, rpm.rpmverParse.restype = [ctypes.c_char_p], ctypes.c_void_p
rpm.rpmverCmp.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
rpm.rpmverFree.argtypes, rpm.rpmverFree.restype = [ctypes.c_void_p], ctypes.c_void_p
answers = []
for pair in json.load(sys.stdin):
    a, b = [rpm.rpmverParse(text.encode()) for text in pair]
    answer = rpm.rpmverCmp(a, b)
    answers.append((answer > 0) - (answer < 0))
    rpm.rpmverFree(a)
    rpm.rpmverFree(b)
json.dump(answers, sys.stdout)
"""

PAIRS = 100_000 if FULL else 5_000


def random_rpm_version(source: random.Random) -> str:
    """A version as rpm allows it, sometimes with epoch, release, or separators side by side."""
    body = "".join(source.choice("0019aZz~^+._") for _ in range(source.randint(0, 8)))
    release = source.choice(["", "-1", "-1.el9", "-1.el9_2", "-01", "-~1", "-1^git2", "-a.1", "-10"])
    return source.choice(["", "", "0:", "1:", "001:", "17:"]) + source.choice("019a") + body + release


def random_pairs(make: Callable[[random.Random], str], letters: str, count: int) -> list[tuple[str, str]]:
    """Seeded pairs, half of them one edit apart."""
    source = random.Random(f"{SEED}/{make.__name__}")
    pairs = []
    for number in range(count):
        a = b = make(source)
        if number % 2:
            b = make(source)
        else:
            at = source.randint(a.find(":") + 2, len(a))
            b = a[:at] + source.choice(letters) + a[at:]
        pairs.append((a, b))
    return pairs


@pytest.mark.parametrize(
    ("scheme", "asker", "pairs"),
    [
        (Scheme.DPKG, ASK_LIBAPT, partial(random_pairs, random_debian_version, "0019az~+.")),
        (Scheme.RPM, ASK_LIBRPM, partial(random_pairs, random_rpm_version, "0019aZz~^+._")),
    ],
    ids=["libapt", "librpm"],
)
def test_the_native_library_of_this_machine_gives_the_same_answers(scheme, asker, pairs) -> None:
    """5,000 random pairs, with PATCHWRIGHT_FULL 100,000, asked in one process: none is answered otherwise."""
    asked = pairs(PAIRS)
    try:
        answer = subprocess.run(
            [SYSTEM_PYTHON, "-c", asker],
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    except FileNotFoundError:
        pytest.skip(f"{SYSTEM_PYTHON} does not exist")
    if "ModuleNotFoundError" in answer.stderr or "no librpm" in answer.stderr:
        pytest.skip(f"{SYSTEM_PYTHON} has no bindings: {answer.stderr.splitlines()[-1]} (packages python3-apt and rpm)")
    assert answer.returncode == 0, answer.stderr
    said = json.loads(answer.stdout)
    assert len(said) == len(asked)
    assert [(a, b, w) for (a, b), w in zip(asked, said, strict=True) if compare(scheme, a, b) != w] == []


# -------------------------------------------------------------------------------------------------------- by example


@pytest.mark.parametrize(
    ("scheme", "ascending"),
    [
        (
            Scheme.DPKG,
            ["1.0~~", "1.0~rc1", "1.0", "1.0-0.1", "1.0-1~bpo12+1", "1.0-1", "1.0-1+b1", "1.0a", "1.0+git", "1.1"],
        ),
        (Scheme.DPKG, ["9999", "1:0", "1:0.1", "2:0~"]),
        (Scheme.DPKG, ["1." + "9" * 60, "1.1" + "0" * 60, "1.1" + "0" * 300, "1.2" + "0" * 300]),
        (Scheme.RPM, ["1.0", "1.0-~1", "1.0-", "1.0-^1", "1.0-a", "1.0-1", "1.0^git1-1", "1.0a-1", "1.0.1-1", "1.1-1"]),
        (Scheme.RPM, ["99-9", "1:0-1", "12:0~-1"]),
    ],
)
def test_typical_versions_ascend(scheme: Scheme, ascending: list[str]) -> None:
    """Pre-releases below, rebuilds above, epochs over everything; a missing release below any release."""
    keys = [key(scheme, version) for version in ascending]
    assert keys == sorted(set(keys))


@pytest.mark.parametrize(
    ("scheme", "a", "b"),
    [
        (Scheme.DPKG, "0:1.0", "1.0"),
        (Scheme.DPKG, "1.0-0", "1.0"),
        (Scheme.DPKG, "1.00-01", "1.0-1"),
        (Scheme.DPKG, "01:1", "1:1"),
        (Scheme.RPM, "0:1.0-1", "1.0-1"),
        (Scheme.RPM, ":1.0-1", "1.0-1"),
        (Scheme.RPM, "1.0-1", "1_00.-01"),
        (Scheme.RPM, "1.0é1", "1.0.1"),
        (Scheme.RPM, "1.0\udcff1", "1.0.1"),
    ],
)
def test_different_spellings_of_one_version_are_equal(scheme: Scheme, a: str, b: str) -> None:
    """Zero epochs, zero revisions, leading zeros and RPM's separators make no difference."""
    assert compare(scheme, a, b) == 0
    assert key(scheme, a) == key(scheme, b)


@pytest.mark.parametrize("scheme", Scheme)
@pytest.mark.parametrize("version", ["", "1" * (MAX_LENGTH + 1), "1.0\0", "1.0\ud800"])
def test_what_no_package_database_holds_is_malformed(scheme: Scheme, version: str) -> None:
    """Empty, too long, NUL, and a surrogate that stands for no byte are refused with a modelled error."""
    with pytest.raises(MalformedVersion) as caught:
        key(scheme, version)
    assert isinstance(caught.value, PatchwrightError)
    with pytest.raises(MalformedVersion):
        compare(scheme, "1", version)


@pytest.mark.parametrize("scheme", Scheme)
def test_the_longest_version_is_still_compared(scheme: Scheme) -> None:
    """The limit itself is allowed, and a longer number is the greater one."""
    assert compare(scheme, "1" * MAX_LENGTH, "9" * (MAX_LENGTH - 1)) == 1
