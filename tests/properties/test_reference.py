# SPDX-License-Identifier: Apache-2.0
"""Core against the plain reading of the specification, on generated baselines, nodes and plans."""

from __future__ import annotations

import os
import random
from collections import Counter

import pytest

from patchwright.core.baseline import decide
from patchwright.core.compliance import judge
from patchwright.core.errors import PlanRefused
from patchwright.core.package import Manager
from patchwright.core.planning import intend, settle
from properties.generated import TODAY, case, resolution
from properties.reference import (
    decide_slowly,
    intend_slowly,
    judge_slowly,
    patches_slowly,
    settles_slowly,
)

FULL = os.environ.get("PATCHWRIGHT_FULL", "") not in ("", "0")
SEED = int(os.environ.get("PATCHWRIGHT_SEED", "20261120"))
FAMILIES = {Manager.APT: "apt", Manager.DNF: "rpm", Manager.ZYPPER: "suse"}
PARTS = 5  # so that a parallel run shares the work
COUNT = 10_000 if FULL else 1_000


def compare_case(number: int, seen: Counter) -> list[str]:
    """Every difference between core and the reference on one case; *seen* counts what came up."""
    source = random.Random(f"{SEED}/{number}")
    made = case(source)
    baseline, view = made.baseline, made.view
    patches, differences = view.patches(), []
    if list(patches) != patches_slowly(view):
        differences.append("patches")
    for patch in patches:
        said = decide(baseline, patch, TODAY)
        mine = said.verdict.value, said.level.value, str(said.changes_on or "")
        wanted = decide_slowly(baseline, patch, TODAY)
        seen[wanted[0]] += 1
        seen["changes while approved"] += wanted[0] == "APPROVED" and wanted[2] != ""
        if mine != wanted:
            differences.append(f"decide {patch.title}: {mine}, the reference says {wanted}")
    judged = judge(baseline, view, lambda p: decide(baseline, p, TODAY), history=made.history, operation=made.operation)
    rows = [(item.key, item.state.value, item.installed, item.version, item.level.value) for item in judged.items]
    expected = judge_slowly(baseline, view, TODAY, history=made.history, operation=made.operation.value)
    seen.update(row[1] for row in expected)
    differences += [f"judge: {a}, the reference says {b}" for a, b in zip(rows, expected, strict=True) if a != b]
    intent = intend(baseline, view, judged)
    plain = [(wish.key, wish.installed, wish.version) for wish in intent.wanted]
    if (plain, list(intent.blocked), list(intent.dependency_only)) != intend_slowly(baseline, view, judged):
        differences.append(f"intend: {intent}")
    closure = resolution(source, intent, view)
    manager = view.packages.manager
    try:
        plan = settle(intent, closure, manager=manager, snapshot_id="s")
        if Counter(plan.actions) != Counter(closure.actions):
            differences.append("settle changed the closure")
        accepted = True
    except PlanRefused:
        accepted = False
    seen["SUSE rows"] += len(rows) if manager is Manager.ZYPPER else 0
    seen["SUSE wishes"] += len(plain) if manager is Manager.ZYPPER else 0
    seen["plan accepted" if accepted else "plan refused"] += 1
    if accepted != settles_slowly(intent, closure, FAMILIES[manager]):
        differences.append(f"settle: accepted {accepted} {intent} {closure}")
    return [f"case {number}: {difference}" for difference in differences]


@pytest.mark.parametrize("part", range(PARTS))
def test_core_and_the_plain_reading_of_the_specification_agree(part: int) -> None:
    """No difference in verdict, level, day of change, state, version, intent or plan; every outcome came up."""
    seen: Counter = Counter()
    differences: list[str] = []
    for number in range(part, COUNT, PARTS):
        differences += compare_case(number, seen)
    print(f"seed {SEED}, {COUNT // PARTS} of {COUNT} cases: {dict(sorted(seen.items()))}")

    assert differences == []
    assert {"APPROVED", "PENDING", "NOT_APPROVED", "REJECTED", "changes while approved"} <= {*+seen}
    assert {"Installed", "InstalledOther", "InstalledRejected", "InstalledPendingReboot", "Missing", "Failed"} <= {
        *+seen
    }
    assert {"plan accepted", "plan refused", "SUSE rows", "SUSE wishes"} <= {*+seen}
