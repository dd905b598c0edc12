# SPDX-License-Identifier: Apache-2.0
"""What a node reports about itself, and what its package manager would choose."""

from __future__ import annotations

import json

import pytest

from core.made import MAIN, SECURITY, view
from patchwright.core.errors import MalformedFacts
from patchwright.core.facts import (
    LIST_LIMIT,
    MESSAGE_LIMIT,
    PIN_LIMIT,
    TEXT_LIMIT,
    NodeFacts,
    Pin,
    RepositoryProblem,
    SliceRef,
)
from patchwright.core.package import Manager, Package
from patchwright.core.system import OperatingSystem

FACTS = NodeFacts(
    Manager.APT,
    OperatingSystem.DEBIAN,
    "Debian12",
    "set1:aa",
    slices=(SliceRef("slice1:bb", 990, "http://deb.test/debian"), SliceRef("slice1:cc")),
    notices=("notice1:dd",),
    pins=(Pin("openssl", "3.0.15-1", -1),),
    boot_id="boot-1",
    kernel="6.1.0-1-amd64",
    architecture="amd64",
    held=("openssl.amd64",),
    modules=("perl:5.26",),
    stale_services=("ssh.service",),
    reboot_reasons=("linux-image",),
    problems=(RepositoryProblem("deb.test bookworm", "E: line one\nline two «é»"),),
    refreshed_at=1.5,
    observed_at=2.5,
    clock_offset=-0.25,
)
LEAST = {"manager": "apt", "operating_system": "DEBIAN", "product": "Debian12", "package_set": "set1:aa"}


def test_facts_are_read_back_through_json():
    """Every member survives the wire."""
    assert NodeFacts.from_json(json.loads(json.dumps(FACTS.to_json()))) == FACTS


def test_facts_refer_to_their_bodies_by_digest():
    """The set, then the slices, then the notices."""
    assert FACTS.digests == ("set1:aa", "slice1:bb", "slice1:cc", "notice1:dd")


def test_only_four_members_are_needed_and_unknown_ones_pass():
    """A later agent may say more."""
    read = NodeFacts.from_json({**LEAST, "mood": "good"})

    assert read == NodeFacts(Manager.APT, OperatingSystem.DEBIAN, "Debian12", "set1:aa")


def test_a_long_message_of_a_repository_is_cut():
    """A package manager may say much; that is no reason to refuse the facts."""
    read = NodeFacts.from_json({**LEAST, "problems": [{"repository": "r", "message": "x" * 5_000}]})

    assert read.problems == (RepositoryProblem("r", "x" * MESSAGE_LIMIT),)


@pytest.mark.parametrize("name", LEAST)
def test_facts_without_a_needed_member_are_refused(name):
    """Manager, operating system, product and package set."""
    with pytest.raises(MalformedFacts):
        NodeFacts.from_json({key: value for key, value in LEAST.items() if key != name})


@pytest.mark.parametrize("data", [None, [], "text", 5])
def test_facts_that_are_no_object_are_refused(data):
    """With the same error as any other."""
    with pytest.raises(MalformedFacts):
        NodeFacts.from_json(data)


@pytest.mark.parametrize(
    "changed",
    [
        {"manager": "pacman"},
        {"manager": []},
        {"operating_system": "PLAN9"},
        {"product": 12},
        {"package_set": "x" * (TEXT_LIMIT + 1)},
        {"boot_id": "\ud800"},
        {"kernel": "6\x001"},
        {"slices": {}},
        {"slices": ["slice1:aa"]},
        {"slices": [{"digest": "slice1:aa", "pin": 500}]},
        {"slices": [{"digest": 5, "pin": 500, "address": ""}]},
        {"slices": [{"digest": "slice1:aa", "pin": float("inf"), "address": ""}]},
        {"slices": [{"digest": "slice1:aa", "pin": True, "address": ""}]},
        {"slices": [{"digest": "slice1:aa", "pin": PIN_LIMIT, "address": ""}]},
        {"pins": [{"name": "a", "version": "1", "priority": "5"}]},
        {"pins": [None]},
        {"problems": [{"repository": "r", "message": None}]},
        {"problems": [{"repository": "r", "message": "\udfff"}]},
        {"held": "openssl"},
        {"held": [5]},
        {"held": ["a"] * (LIST_LIMIT + 1)},
        {"refreshed_at": "now"},
        {"observed_at": float("nan")},
        {"observed_at": float("inf")},
        {"clock_offset": -(10**400)},
        {"clock_offset": False},
    ],
    ids=str,
)
def test_mistyped_facts_are_refused(changed):
    """Wrong types, numbers without measure, texts no database can hold, lists without end."""
    with pytest.raises(MalformedFacts):
        NodeFacts.from_json({**LEAST, **changed})


# ------------------------------------------------------------------------------------------------------------ candidates


def candidate(installed, *repositories, pins=(), priorities=()):
    """The candidate of the package `a`, None where it has none; *priorities* are those of the repositories."""
    seen = view(installed, *repositories, pins=tuple(Pin("a", *pin) for pin in pins))
    refs = tuple(
        SliceRef(ref.digest, priority) for ref, priority in zip(seen.facts.slices, priorities, strict=bool(priorities))
    )
    facts = NodeFacts(**{**vars(seen.facts), "slices": refs or seen.facts.slices})
    return type(seen)(facts, seen.packages, seen.slices, seen.notices).candidates().get("a.amd64")


@pytest.mark.parametrize(
    ("repositories", "priorities", "pins", "expected"),
    [
        ([], [], [], "2"),
        ([(MAIN, ["a 1", "a 3", "a 2"])], [500], [], "3"),
        ([(MAIN, ["a 10"])], [500], [], "10"),
        ([(MAIN, ["a 3"]), (SECURITY, ["a 4"])], [500, 500], [], "4"),
        ([(MAIN, ["a 3"]), (SECURITY, ["a 4"])], [990, 500], [], "3"),
        ([(MAIN, ["a 3"]), (SECURITY, ["a 3"])], [1, 500], [], "3"),
        ([(MAIN, ["a 3"])], [100], [], "3"),
        ([(MAIN, ["a 3"])], [99], [], "2"),
        ([(MAIN, ["a 3"])], [0], [], "2"),
        ([(MAIN, ["a 3"])], [-1], [], "2"),
        ([(MAIN, ["a 1"])], [999], [], "2"),
        ([(MAIN, ["a 1"])], [1000], [], "1"),
        ([(MAIN, ["a 3", "a 4"])], [500], [("4", -1)], "3"),
        ([(MAIN, ["a 3", "a 4"])], [500], [("3", 501)], "3"),
        ([(MAIN, ["a 3"])], [500], [("2", 1001)], "2"),
        ([(MAIN, ["a 2", "a 3"])], [500], [("3", 1)], "2"),
    ],
)
def test_the_candidate_is_the_one_apt_would_choose(repositories, priorities, pins, expected):
    """Highest priority, then highest version; below the installed one from 1000 on; never at 0 or less (installed: 2)."""
    assert candidate(["a 2"], *repositories, priorities=priorities, pins=pins) == expected


@pytest.mark.parametrize("never", [0, -1])
def test_a_package_all_of_whose_versions_are_pinned_away_has_no_candidate(never):
    """Not even the installed one."""
    assert candidate(["a 2"], (MAIN, ["a 2", "a 3"]), pins=[("2", never), ("3", never)], priorities=[500]) is None


def test_what_is_offered_but_not_installed_has_a_candidate_too():
    """Nothing holds it back."""
    assert candidate(["b 1"], (MAIN, ["a 1", "a 2"]), priorities=[500]) == "2"


def test_patches_are_made_once_for_each_view():
    """Judging, planning and explaining look at the same ones."""
    seen = view(["a 1"], (MAIN, ["a 2"]))

    assert seen.patches() is seen.patches()


def test_a_view_knows_what_is_installed_and_offered():
    """By key, and as patches that carry the node's product."""
    seen = view(["a 1"], (MAIN, ["a 2"]), (SECURITY, ["a 2", "a 3"]))

    assert seen.installed() == {"a.amd64": (Package("a", "amd64", "1"),)}
    assert [(patch.version, patch.security, patch.product) for patch in seen.patches()] == [
        ("2", True, "Debian12"),
        ("3", True, "Debian12"),
    ]
