# SPDX-License-Identifier: Apache-2.0
"""Intent, resolution, plan and drift."""

from __future__ import annotations

import hashlib
import json

import pytest

import patchwright.core.plan as plan_module
from core.made import BASEOS, SECURITY, debian, judged, notice, offer, package, rocky, rule, view
from patchwright.core.advisory import Notice
from patchwright.core.baseline import Baseline, RejectedAction
from patchwright.core.compliance import History
from patchwright.core.errors import MalformedMessage, PlanRefused
from patchwright.core.package import Manager
from patchwright.core.plan import (
    Action,
    Drift,
    Intent,
    Plan,
    Resolution,
    Wanted,
    actions_from_json,
    actions_to_json,
    drift,
)
from patchwright.core.planning import intend, settle
from patchwright.core.system import OperatingSystem

A = Wanted("a", "amd64", "1", "2")
ACT_A = Action("a", "amd64", "1", "2", True)
NEW_LIB = Action("lib", "amd64", "", "1", False)
PLAN = Plan(Manager.APT, "snapshot-1", (ACT_A, NEW_LIB), (("c.amd64", "held"),))


def settled(intent, *actions, manager=Manager.APT, **unresolved):
    """The plan of a resolution."""
    reasons = {f"{name}.amd64": reason for name, reason in unresolved.items()}
    return settle(intent, Resolution(actions, reasons), manager=manager, snapshot_id="snapshot-1")


# ---------------------------------------------------------------------------------------------------------------- intent


def test_a_version_that_a_list_passed_over_its_candidate_for_has_not_drifted():
    """On apt too the candidate may be above such a plan; below it, or gone, it has moved."""
    installed = {"a.amd64": "1"}
    for candidate, moved in (("3", False), ("2", False), ("1.5", True), ("", True)):
        assert bool(drift(PLAN, installed, {"a.amd64": candidate, "lib.amd64": "1"}, passed=["a.amd64"])) is moved
    assert drift(PLAN, installed, {"a.amd64": "3", "lib.amd64": "1"})


def test_wanted_is_what_is_missing_failed_or_not_configured():
    """In order of key; a half-done version is wanted at the version it has."""
    seen = view(["a 1", package("b 2", "unpacked"), "c 2", "d 1"], (SECURITY, ["a 2", "b 2", "c 2", "d 2"]))
    baseline = debian(rule())
    intent = intend(baseline, seen, judged(baseline, seen, history=History(failures={"d.amd64": "postinst"})))

    assert intent == Intent((A, Wanted("b", "amd64", "2", "2"), Wanted("d", "amd64", "1", "2")))


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        (RejectedAction.BLOCK, Intent((), blocked=("a", "z"))),
        (RejectedAction.ALLOW_AS_DEPENDENCY, Intent((), dependency_only=("a", "z"))),
    ],
)
def test_the_rejected_list_goes_along_as_its_action_says(action, expected):
    """Sorted, each entry once; what it names is never wanted."""
    baseline = debian(rule(), rejected=("z", "a", "z"), rejected_action=action)
    seen = view(["a 1"], (SECURITY, ["a 2"]))

    assert intend(baseline, seen, judged(baseline, seen)) == expected


def test_a_kernel_beside_another_is_wanted_above_the_newest():
    """Installed is the version that the item speaks of."""
    seen = view(
        ["k.x86_64 1-1", "k.x86_64 1-2"],
        (BASEOS, [offer("k.x86_64 1-3", notices=("n",))]),
        manager=Manager.DNF,
        notices=[notice("n")],
    )
    baseline = rocky(rule())

    assert intend(baseline, seen, judged(baseline, seen)).wanted == (Wanted("k", "x86_64", "1-2", "1-3"),)


# ------------------------------------------------------------------------------------------------------------------ plan


def test_a_closure_that_keeps_to_the_intent_becomes_the_plan():
    """Actions in order, new dependencies let in, reasons kept."""
    wanted = Wanted("c", "amd64", "1", "2")
    plan = settled(Intent((A, wanted)), NEW_LIB, ACT_A, c="held")

    assert plan == PLAN
    assert (A.key, ACT_A.key) == ("a.amd64", "a.amd64")


def test_finishing_a_configuration_is_no_downgrade():
    """Equal versions."""
    finish = Action("a", "amd64", "1", "1", True)

    assert settled(Intent((Wanted("a", "amd64", "1", "1"),)), finish).actions == (finish,)


def test_a_rejected_dependency_may_change_where_it_is_allowed_as_one():
    """Only not for its own sake."""
    assert settled(Intent((A,), dependency_only=("lib",)), ACT_A, NEW_LIB).actions == (ACT_A, NEW_LIB)


@pytest.mark.parametrize(
    ("actions", "unresolved", "violation"),
    [
        ([], {}, "a.amd64 is neither resolved nor explained"),
        ([], {"a": ""}, "a.amd64 is neither resolved nor explained"),
        ([ACT_A, ACT_A], {}, "a.amd64 appears twice"),
        ([Action("a", "amd64", "1", "3", True)], {}, "a.amd64 goes from 1 to 3"),
        ([Action("a", "amd64", "0", "2", True)], {}, "a.amd64 goes from 0 to 2"),
        ([Action("a", "amd64", "1", "2", False)], {}, "a.amd64 is not what was wanted"),
        ([ACT_A, Action("b", "amd64", "1", "2", True)], {}, "b.amd64 is not what was wanted"),
        ([ACT_A, Action("bad", "amd64", "1", "2", False)], {}, "bad.amd64 is blocked"),
        ([ACT_A, Action("b", "amd64", "2", "1", False)], {}, "b.amd64 would be downgraded"),
        ([ACT_A, Action("b", "amd64", "2", "", False)], {}, "b.amd64 would be removed"),
        ([ACT_A], {"b": "held"}, "b.amd64 was not asked for"),
    ],
)
def test_a_closure_that_goes_beyond_the_intent_is_refused(actions, unresolved, violation):
    """Each violation is named."""
    with pytest.raises(PlanRefused) as caught:
        settled(Intent((A,), blocked=("bad",)), *actions, **unresolved)
    assert caught.value.violations == (violation,)


@pytest.mark.parametrize(
    ("manager", "entry"),
    [
        (Manager.DNF, "lib-1-2.x86_64"),
        (Manager.DNF, "lib-*"),
        (Manager.ZYPPER, "lib-1-2.x86_64.rpm"),
        (Manager.APT, "lib"),
    ],
)
def test_a_blocked_entry_is_read_as_its_manager_writes_it(manager, entry):
    """Full names and one star on rpm."""
    with pytest.raises(PlanRefused, match=r"lib.x86_64 is blocked"):
        settled(Intent((), blocked=(entry,)), Action("lib", "x86_64", "", "1-2", False), manager=manager)


def test_another_version_than_the_blocked_one_may_come_on_rpm():
    """An entry with a version names that version."""
    change = Action("lib", "x86_64", "", "1-3", False)

    assert settled(Intent((), blocked=("lib-1-2.x86_64",)), change, manager=Manager.DNF).actions == (change,)


def test_a_plan_is_named_by_what_it_does():
    """The digest is the SHA-256 of the canonical form, and reading it back gives the same plan."""
    assert PLAN.digest == "plan1:" + hashlib.sha256(PLAN.canonical()).hexdigest()
    assert Plan.from_json(json.loads(PLAN.canonical())) == PLAN
    assert Plan(Manager.APT, "snapshot-2", PLAN.actions, PLAN.unresolved).digest != PLAN.digest


@pytest.mark.parametrize(
    "changed",
    [
        {"manager": "pacman"},
        {"manager": ...},
        {"snapshotId": 5},
        {"snapshotId": ...},
        {"actions": {}},
        {"actions": ["abcde"]},
        {"actions": [["a", "amd64", "1", "2"]]},
        {"actions": [["a", "amd64", "1", "2", 1]]},
        {"actions": [["a", "amd64", 1, "2", True]]},
        {"actions": [["a", "amd64", "1", "2" * 513, True]]},
        {"actions": [["a", "amd64", "1", "\ud800", True]]},
        {"actions": [["a\x00", "amd64", "1", "2", True]]},
        {"unresolved": ["ab"]},
        {"unresolved": [["a", 5]]},
        {"unresolved": {}},
        {"unresolved": ...},
    ],
    ids=str,
)
def test_what_is_no_plan_is_refused(changed):
    """Missing and mistyped members, versions that nothing could be compared with."""
    data = {name: value for name, value in {**PLAN.to_json(), **changed}.items() if value is not ...}
    with pytest.raises(MalformedMessage):
        Plan.from_json(data)


@pytest.mark.parametrize("data", [None, [], "plan", 5])
def test_a_plan_that_is_no_object_is_refused(data):
    """With the same error."""
    with pytest.raises(MalformedMessage):
        Plan.from_json(data)


def test_the_number_of_actions_is_limited(monkeypatch):
    """A plan is a list of changes, not a flood."""
    monkeypatch.setattr(plan_module, "ACTIONS_LIMIT", 1)
    rows = actions_to_json([ACT_A])
    assert actions_from_json(rows) == (ACT_A,)
    with pytest.raises(MalformedMessage, match="at most 1 entries"):
        actions_from_json(rows * 2)


# ----------------------------------------------------------------------------------------------------------------- drift


FINISH = Action("f", "amd64", "1", "1", True)


@pytest.mark.parametrize(
    ("installed", "candidates", "expected"),
    [
        ({"a.amd64": "1", "f.amd64": "1"}, {"a.amd64": "2", "lib.amd64": "1", "f.amd64": "9"}, ()),
        (
            {"a.amd64": "2", "f.amd64": "1"},
            {"lib.amd64": "1"},
            (Drift("a.amd64", "installed", "1", "2"),),
        ),
        (
            {"a.amd64": "1", "lib.amd64": "1"},
            {"a.amd64": "3"},
            (
                Drift("a.amd64", "candidate", "2", "3"),
                Drift("f.amd64", "installed", "1", ""),
                Drift("lib.amd64", "installed", "", "1"),
            ),
        ),
        ({"a.amd64": "1", "f.amd64": "1"}, {"a.amd64": "2"}, (Drift("lib.amd64", "candidate", "1", ""),)),
    ],
)
def test_drift_is_a_package_that_is_no_longer_as_the_plan_says(installed, candidates, expected):
    """Its installed version first, then what would now be installed; a mere configuration needs no candidate."""
    plan = Plan(Manager.APT, "snapshot-1", (ACT_A, FINISH, NEW_LIB))

    assert drift(plan, installed, candidates) == expected


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (Drift("a.amd64", "candidate", "2", "3"), "a.amd64: candidate is 3, the plan says 2"),
        (Drift("a.amd64", "installed", "", "1"), "a.amd64: installed is 1, the plan says absent"),
        (Drift("a.amd64", "installed", "1", ""), "a.amd64: installed is absent, the plan says 1"),
    ],
)
def test_drift_is_a_phrase(found, text):
    """What was expected and what is there."""
    assert found.text == text


# ------------------------------------------------------------------------------------------------------------------ SUSE


def patch(number, *brings):
    """A security patch that brings packages written as `name version`."""
    packages = [(name, "x86_64", version) for name, version in (text.split() for text in brings)]
    return Notice(f"SUSE-2026-{number}", "security", "important", updated="2026-11-01", packages=tuple(packages))


def suse(installed, *patches, **facts):
    """A SUSE node that has *installed*, written as `name version`."""
    rows = [package("{}.x86_64 {}".format(*text.split())) for text in installed]
    members = {"operating_system": OperatingSystem.SUSE, "product": "Suse15.6", **facts}
    return view(rows, (BASEOS, []), manager=Manager.ZYPPER, notices=patches, **members)


def sles(*rules, **more):
    """A baseline for SUSE."""
    return Baseline(OperatingSystem.SUSE, rules=rules, **more)


def intent_of(baseline, seen, **more):
    """The intent that a Scan of *seen* leads to."""
    return intend(baseline, seen, judged(baseline, seen, **more))


def test_a_suse_patch_is_wanted_as_the_packages_it_brings_that_are_below():
    """Of two patches for one package the higher version; nothing that is not installed, nothing that is there already."""
    seen = suse(
        ["a 1-1", "b 2-1", "c 1-1"], patch(1, "a 2-1", "b 2-1", "new 1-1"), patch(2, "a 1:1-1"), patch(3, "c 1-1")
    )

    assert intent_of(sles(rule()), seen) == Intent((Wanted("a", "x86_64", "1-1", "1:1-1"),))


def test_only_approved_suse_patches_are_wanted():
    """A lower version than the newest patch has, where that is rejected or too new."""
    seen = suse(["a 1-1"], patch(1, "a 2-1"), patch(2, "a 3-1"))
    wanted = (Wanted("a", "x86_64", "1-1", "2-1"),)

    assert intent_of(sles(rule(), rejected=("*-2",)), seen) == Intent(wanted, dependency_only=("*-2",))
    assert intent_of(sles(approved=("SUSE-2026-1",)), seen).wanted == wanted


def test_a_kernel_of_suse_is_wanted_above_the_newest():
    """Versions stand side by side."""
    seen = suse(
        ["kernel-default 1-1", "kernel-default 3-1"], patch(1, "kernel-default 4-1"), patch(2, "kernel-default 2-1")
    )

    assert intent_of(sles(rule()), seen).wanted == (Wanted("kernel-default", "x86_64", "3-1", "4-1"),)


def test_a_blocked_suse_patch_blocks_what_it_brings():
    """Not even as a dependency may it come; what an approved patch brings in the same version stays free."""
    seen = suse(["a 1-1", "b 1-1"], patch(1, "a 1:2-1", "new 1-1", "b 2-1"), patch(2, "b 2-1"))
    intent = intent_of(sles(rule(), rejected=("SUSE-2026-1",), rejected_action=RejectedAction.BLOCK), seen)

    assert intent.wanted == (Wanted("b", "x86_64", "1-1", "2-1"),)
    assert intent.blocked == ("SUSE-2026-1", "a-2-1.x86_64.rpm", "new-1-1.x86_64.rpm")
    with pytest.raises(PlanRefused, match=r"a\.x86_64 is blocked"):
        settled(
            intent,
            Action("a", "x86_64", "1-1", "1:2-1", False),
            Action("b", "x86_64", "1-1", "2-1", True),
            manager=Manager.ZYPPER,
        )


def test_what_failed_of_a_suse_patch_is_wanted_again():
    """The patch's packages, by the names that plans go by."""
    seen = suse(["a 1-1"], patch(1, "a 2-1"))
    intent = intent_of(sles(rule()), seen, history=History(failures={"a.x86_64": "%post failed"}))

    assert intent.wanted == (Wanted("a", "x86_64", "1-1", "2-1"),)


# ----------------------------------------------------------------------------------------------------------- drift on rpm


@pytest.mark.parametrize(
    ("manager", "candidate", "moved"),
    [
        (Manager.DNF, "2-1", False),
        (Manager.DNF, "3-1", False),
        (Manager.ZYPPER, "1:1-1", False),
        (Manager.DNF, "1-2", True),
        (Manager.DNF, "", True),
        (Manager.APT, "3-1", True),
    ],
)
def test_on_rpm_a_newer_candidate_is_no_drift(manager, candidate, moved):
    """The approved version may be below the newest of the repository; on apt the candidate is what a plan names."""
    plan = Plan(manager, "s", (Action("a", "x86_64", "1-1", "2-1", True),))
    found = drift(plan, {"a.x86_64": "1-1"}, {"a.x86_64": candidate} if candidate else {})

    assert found == ((Drift("a.x86_64", "candidate", "2-1", candidate),) if moved else ())
