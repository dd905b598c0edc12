# SPDX-License-Identifier: Apache-2.0
"""Lists of patches that are given for one Install (spec §3.6)."""

from __future__ import annotations

import pytest

from core.made import BASEOS, MAIN, SECURITY, debian, judged, notice, package, rule, view
from effort import cpu_seconds
from patchwright.core.advisory import Fixed
from patchwright.core.compliance import PatchState
from patchwright.core.errors import MalformedOverride
from patchwright.core.override import (
    ENTRIES_LIMIT,
    WILD_LIMIT,
    Listed,
    OverrideList,
    glob,
    intend_listed,
    with_failures,
)
from patchwright.core.package import Manager
from patchwright.core.plan import Intent, Wanted
from patchwright.core.system import Family, OperatingSystem


def listed(*entries: str) -> OverrideList:
    """A list whose entries are written as `id title`."""
    return OverrideList(tuple(Listed(*entry.split()) for entry in entries))


APT = [  # what is said, the list, and what is wanted as `key version`, or blocked as `!name`
    ("the bare name covers every version", ["a a.amd64"], ["a.amd64 3"]),
    ("name and architecture", ["a.amd64 a.amd64"], ["a.amd64 3"]),
    ("another architecture is another package", ["a.i386 a.i386"], []),
    ("the candidate named exactly", ["a.amd64 a.amd64:3"], ["a.amd64 3"]),
    ("a version below the candidate", ["a.amd64 a.amd64:2"], ["a.amd64 2"]),
    ("versions below the candidate: the highest", ["a.amd64 a.amd64:2*"], ["a.amd64 2.5"]),
    ("a wildcard in front", ["*.amd64 *b.amd64"], ["b.amd64 2", "libb.amd64 2"]),
    ("a wildcard in the middle", ["l*b lib*.amd64"], ["libb.amd64 2"]),
    ("several wildcards", ["*i* *i*b*"], ["libb.amd64 2"]),
    ("everything", ["* *"], ["a.amd64 3", "b.amd64 2", "libb.amd64 2"]),
    ("two entries for one package", ["a a.amd64:2", "a a.amd64:2.5"], ["a.amd64 2.5"]),
    ("the installed version stays, and newer ones are blocked", ["a a.amd64:1"], ["!a"]),
    ("a version that nobody offers", ["a a.amd64:9"], ["!a"]),
    ("what is not installed is not for patching", ["new new.amd64"], []),
    ("what has nothing newer", ["c c.amd64"], []),
    ("an epoch of zero may be written", ["b b.amd64:0:2"], ["b.amd64 2"]),
    ("what is not configured is finished", ["half half.amd64"], ["half.amd64 1"]),
    ("another's title names nothing", ["a b.amd64"], []),
]


@pytest.mark.parametrize(("said", "entries", "expected"), APT, ids=[case[0] for case in APT])
def test_on_apt_the_list_decides_what_is_wanted(said, entries, expected):
    """The candidate, or another version where the list names one; nothing that is not installed."""
    rows = ["a 1", "b 1", "c 1", "libb 1", package("half 1", "unpacked")]
    offers = ["a 2", "a 2.5", "a 3", "b 2", "libb 2", "new 1", "c 0.9"]
    found = intend_listed(listed(*entries), view(rows, (SECURITY, offers)))
    told = [f"{wish.key} {wish.version}" for wish in found.wanted] + [f"!{name}" for name in found.blocked]

    assert [one for one in told if one != "half.amd64 1"] == [one for one in expected if one != "half.amd64 1"]
    assert ("half.amd64 1" in told) == ("half.amd64 1" in expected or entries == ["* *"])


def test_a_list_that_names_no_version_heeds_the_pins_of_the_node():
    """apt's candidate is the administrator's word; a list that names another version is a later word."""
    seen = view(["a 1"], (MAIN, ["a 2"]), (SECURITY, ["a 3"]))
    pinned = view(["a 1"], (MAIN, ["a 2"]), (SECURITY, ["a 3"]), slices=())
    refs = tuple(ref.__class__(ref.digest, 1001 if at == 0 else 500) for at, ref in enumerate(seen.facts.slices))
    pinned = seen.__class__(seen.facts.__class__(**{**vars(pinned.facts), "slices": refs}), seen.packages, seen.slices)

    assert intend_listed(listed("a a.amd64"), pinned).wanted == (Wanted("a", "amd64", "1", "2"),)
    assert intend_listed(listed("a a.amd64:3"), pinned).wanted == (Wanted("a", "amd64", "1", "3"),)


RPM = [
    ("with the epoch", ["k.amd64 k.amd64:0:2-1"], ["k.amd64 2-1"]),
    ("without one", ["k.amd64 k.amd64:2-1"], ["k.amd64 2-1"]),
    ("without a version: the newest", ["k k.amd64"], ["k.amd64 3-1"]),
    ("an epoch is part of the version", ["e e.amd64:1:2-1"], ["e.amd64 1:2-1"]),
    ("a pinned package holds newer ones back", ["k k.amd64:1-1"], ["!k-2-1.amd64", "!k-3-1.amd64"]),
    ("a wildcard in the release", ["k k.amd64:0:2-*"], ["k.amd64 2-1"]),
]


@pytest.mark.parametrize(("said", "entries", "expected"), RPM, ids=[case[0] for case in RPM])
def test_on_rpm_the_newest_allowed_version_is_wanted(said, entries, expected):
    """Titles may leave an epoch of zero out; of versions side by side the newest counts as installed."""
    seen = view(["k 0-1", "k 1-1", "e 1:1-1"], (BASEOS, ["k 2-1", "k 3-1", "e 1:2-1", "e 2-1"]), manager=Manager.DNF)
    found = intend_listed(listed(*entries), seen)

    assert [f"{wish.key} {wish.version}" for wish in found.wanted] + [f"!{one}" for one in found.blocked] == expected


def test_on_suse_a_list_names_patches_or_packages():
    """A patch by its own name brings what the node has below its version; a package is named like everywhere."""
    patch = notice("SUSE-2026-1", packages=(Fixed("k", "amd64", "2-1"), Fixed("x", "amd64", "2-1")))
    seen = view(
        ["k 1-1", "l 1-1"],
        (BASEOS, ["k 3-1", "l 2-1"]),
        manager=Manager.ZYPPER,
        notices=[patch],
        operating_system=OperatingSystem.SUSE,
    )
    by_patch = intend_listed(listed("SUSE-2026-* SUSE-2026-1"), seen)

    assert by_patch == Intent((Wanted("k", "amd64", "1-1", "2-1"),))
    assert intend_listed(listed("l l.amd64:1-1"), seen) == Intent((), blocked=("l-2-1.amd64.rpm",))


def test_what_was_listed_and_failed_is_failed_whatever_the_baseline_says():
    """In the version that was asked for, with the reason; everything else stays as it was judged."""
    baseline = debian(rule(("SECTION", "nothing")))
    seen = view(["a 1", "b 1"], (SECURITY, ["a 2", "b 2"]))
    before = judged(baseline, seen)
    wanted = [Wanted("a", "amd64", "1", "2"), Wanted("z", "amd64", "1", "2")]
    after = with_failures(before, wanted, {"a.amd64": "held", "z.amd64": "gone", "b.amd64": "?"}, Family.APT)
    states = {item.key: (item.state, item.version, item.reason) for item in after.items}

    assert {item.state for item in before.items} == {PatchState.INSTALLED_OTHER}
    assert states == {
        "a.amd64": (PatchState.FAILED, "2", "held"),
        "b.amd64": (PatchState.INSTALLED_OTHER, "1", ""),
        "z.amd64": (PatchState.FAILED, "2", "gone"),
    }


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (None, "no list called patches"),
        ([], "no list called patches"),
        ({"patches": {}}, "no list called patches"),
        ({"patches": []}, "are 0"),
        ({"patches": [{"id": "a", "title": "a"}] * (ENTRIES_LIMIT + 1)}, f"1 to {ENTRIES_LIMIT}"),
        ({"patches": [{"id": "a*", "title": "a"}] * (WILD_LIMIT + 1)}, "wildcard"),
        ({"patches": [{"id": "a", "title": "a"}, "a"]}, "entry 2 .* no mapping"),
        ({"patches": [{"id": "a"}]}, "entry 1 .* has no title"),
        ({"patches": [{"title": "a"}]}, "entry 1 .* has no id"),
        ({"patches": [{"id": " ", "title": "a"}]}, "entry 1 .* has no id"),
        ({"patches": [{"id": 4, "title": "a"}]}, "entry 1 .* has no id"),
        ({"patches": [{"id": "a\n b", "title": "a"}]}, "id of entry 1"),
        ({"patches": [{"id": "a", "title": "a" * 600}]}, "title of entry 1"),
    ],
)
def test_a_list_that_cannot_be_read_is_refused_by_the_entry(value, complaint):
    """The message says which entry it is."""
    with pytest.raises(MalformedOverride, match=complaint):
        OverrideList.read(value)


def test_a_list_is_read_with_members_it_does_not_need_and_written_back():
    """Severity and classification are somebody else's."""
    read = OverrideList.read({"patches": [{"id": "k", "title": "k*", "severity": "Low"}], "version": 1})

    assert read == listed("k k*")
    assert OverrideList.from_json(read.to_json()) == read


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("", "", True),
        ("*", "", True),
        ("a*", "a", True),
        ("*a*", "bab", True),
        ("a*a", "a", False),
        ("a*b*c", "a-b-c", True),
        ("a*b*c", "a-c-b", False),
        ("a*bc*c", "abc", False),
        ("**a**", "a", True),
        ("a?", "ab", False),
        ("[a]", "a", False),
    ],
)
def test_an_asterisk_is_the_only_wildcard(pattern, text, fits):
    """It stands for anything, nothing included."""
    assert glob(pattern, text) is fits


def test_a_hostile_pattern_takes_no_time_worth_speaking_of():
    """Five hundred wildcards over a long text: what takes backtracking an age is done at once."""
    assert not glob("*a" * 255 + "b", "a" * 500)
    assert cpu_seconds(lambda: glob("*a" * 255 + "b", "a" * 500), enough=1.0) < 1.0
