# SPDX-License-Identifier: Apache-2.0
"""Every baseline case of tests/core/cases: what the baseline decides, and what that means for the node."""

from __future__ import annotations

import re

import pytest

from core.cases import FAMILIES, Case, read
from patchwright.core.baseline import ComplianceLevel, decide
from patchwright.core.compliance import judge

AT_LEAST = 40
CASES = [pytest.param(case, id=f"{family}: {case.name}") for family in FAMILIES for case in read(family)]


@pytest.mark.parametrize("case", CASES)
def test_the_baseline_decides_as_the_specification_says(case: Case) -> None:
    """Verdict, the deciding reason, and the day on which the answer changes, for each patch that the case names."""
    patches = {patch.name if patch.packages else f"{patch.key} {patch.version}": patch for patch in case.view.patches()}
    for text, wanted in case.data.get("decide", {}).items():
        name, *version = text.split()
        patch = patches[" ".join([case.key(name), *version])]
        said = decide(case.baseline, patch, case.today)
        told = [said.verdict.value, said.reasons[0].because.value, str(said.changes_on)]
        words = wanted.split()
        assert told[: len(words)] == words, [reason.text for reason in said.reasons]


@pytest.mark.parametrize("case", CASES)
def test_the_node_is_in_the_states_that_the_specification_says(case: Case) -> None:
    """Every row, in order of key, with its state; and version and level where the case names them."""
    judged = judge(
        case.baseline,
        case.view,
        lambda patch: decide(case.baseline, patch, case.today),
        history=case.history,
        operation=case.operation,
    )
    assert {item.key: item.state.value for item in judged.items} == {
        key: words[0] for key, words in case.expected.items()
    }
    for item in judged.items:
        for word in case.expected[item.key][1:]:
            assert word == (item.level.value if word in list(ComplianceLevel) else item.version)
    assert judged.not_applicable == case.data.get("not_applicable", 0)


@pytest.mark.parametrize("family", FAMILIES)
def test_there_are_enough_cases_and_each_says_where_it_comes_from(family: str) -> None:
    """At least 40 a family, no two of one name, each with its section; nothing in a case that nobody reads."""
    cases = read(family)
    known = {
        *("name", "spec", "system", "product", "today", "installed", "offers", "notices"),
        *("baseline", "node", "past", "decide", "expect", "not_applicable"),
    }

    assert len(cases) >= AT_LEAST
    assert len({case.name for case in cases}) == len(cases)
    for case in cases:
        assert re.fullmatch(r"[23]\.\d+( D3)?", case.data["spec"]), case.name
        assert set(case.data) <= known, case.name
