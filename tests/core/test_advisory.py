# SPDX-License-Identifier: Apache-2.0
"""Notices: severities, days, canonical form."""

from __future__ import annotations

import datetime
import hashlib
import json

import pytest

from patchwright.core.advisory import NOTICE_LIMIT_BYTES, SEVERITIES, Fixed, Notice, severity_rank, severity_word
from patchwright.core.errors import MalformedFacts

FULL = Notice(
    "RLSA-2026:1",
    classification="Security",
    severity="Important",
    title="openssl update «é»",
    issued="2026-11-01",
    updated="2026-11-13",
    cves=("CVE-2026-1", "CVE-2026-2"),
    bugzillas=("123",),
    reboot_suggested=True,
)


def body(**changed: object) -> bytes:
    """The canonical form of FULL with some members changed; a member that is Ellipsis is left out."""
    data = {**json.loads(FULL.canonical()), **changed}
    data = {name: value for name, value in data.items() if value is not ...}
    return json.dumps(data, sort_keys=True, separators=(",", ":")).encode()


def test_medium_is_moderate():
    """The one synonym between vendors, in any case and with blanks around it."""
    assert severity_word(" Medium ") == severity_word("MODERATE") == "moderate"
    assert severity_rank("medium") == severity_rank("Moderate") == 2


def test_severities_rank_from_critical_to_unknown():
    """Unknown words, the empty one too, come last."""
    ranks = [severity_rank(word) for word in (*SEVERITIES, "Grave", "")]

    assert ranks == [0, 1, 2, 3, 4, 5, 5]


@pytest.mark.parametrize(
    ("notice", "day"),
    [
        (Notice("a", issued="2026-11-01", updated="2026-11-13"), datetime.date(2026, 11, 13)),
        (Notice("a", issued="2026-11-01"), datetime.date(2026, 11, 1)),
        (Notice("a"), None),
    ],
)
def test_the_day_that_counts_is_updated_then_issued(notice, day):
    """Editing an advisory restarts its delay; without any day there is none."""
    assert notice.date == day


@pytest.mark.parametrize("notice", [FULL, Notice("ALAS-2026-1")])
def test_a_notice_is_read_back_from_its_canonical_form(notice):
    """The digest is the SHA-256 of that form."""
    assert Notice.parse(notice.canonical()) == notice
    assert notice.digest == "notice1:" + hashlib.sha256(notice.canonical()).hexdigest()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b"[" * 100_000,
        b'{"id":' + b"1" * 5_000 + b"}",
        b'{"id": "a"}',
        body(id=...),
        body(id=""),
        body(id="a,b"),
        body(id="a\x01"),
        body(id=5),
        body(unknown="x"),
        body(cves=5),
        body(cves="CVE"),
        body(cves=[1]),
        body(cves={"CVE": 1}),
        body(reboot_suggested=1),
        body(updated="20261113"),
        body(updated="2026-11-31"),
        body(issued="yesterday"),
        body(updated="2026-W46-5"),
        body(title="\x00"),
        body(title="\ud800"),
        FULL.canonical() + b"\n",
        b" " * (NOTICE_LIMIT_BYTES + 1),
    ],
    ids=range(27),
)
def test_a_body_that_is_no_notice_is_refused(data):
    """Bad JSON, nesting without end, missing, unknown or mistyped members, days that are none, another form, too large."""
    with pytest.raises(MalformedFacts):
        Notice.parse(data)


PATCH = Notice(
    "openSUSE-SLE-15.6-2026-7",
    classification="security",
    packages=(Fixed("zlib", "x86_64", "1.3-2"), Fixed("libz1", "x86_64", "1.3-2"), Fixed("zlib", "x86_64", "1.3-2")),
)


def test_a_notice_without_packages_is_written_as_before_there_were_any():
    """What is stored keeps its digest: the canonical form and the digest of FULL, as the first release wrote them."""
    assert b"packages" not in FULL.canonical()
    assert FULL.digest == "notice1:930959fe5c856025d55df7fd9279657996859138e2473fe444d436a298ae5e8a"


def test_the_packages_of_a_patch_are_sorted_once_each_and_come_back():
    """Every node that has the same patch sends the same bytes, in whatever order its package manager lists them."""
    assert PATCH.packages == (Fixed("libz1", "x86_64", "1.3-2"), Fixed("zlib", "x86_64", "1.3-2"))
    assert PATCH.packages[0].key == "libz1.x86_64"
    assert Notice.parse(PATCH.canonical()) == PATCH


@pytest.mark.parametrize(
    "packages",
    [
        [],
        {},
        "zlib",
        ["zlib"],
        [["zlib", "x86_64"]],
        [["zlib", "x86_64", 1]],
        [["zlib", "x86_64", ""]],
        [["zl\tib", "x86_64", "1"]],
        [["zlib", "x86_64", "\ud800"]],
        [["zlib", "x86_64", "1" * 513]],
        [["zlib", "x86_64", "2"], ["zlib", "x86_64", "1"]],
        [["zlib", "x86_64", "1"], ["zlib", "x86_64", "1"]],
    ],
)
def test_packages_that_no_patch_lists_are_malformed(packages):
    """An empty list, another type, a field that is empty, not printable or too long, another order, a row twice."""
    with pytest.raises(MalformedFacts):
        Notice.parse(body(packages=packages))
