# SPDX-License-Identifier: Apache-2.0
"""Every policy case of tests/server/accounts/policy_cases: what the policies say to each question."""

from __future__ import annotations

import pytest

from patchwright.server.accounts import policy
from server.accounts.policy_cases import KNOWN, Case, read

AT_LEAST = 150
CASES = read()
ANSWERED = [pytest.param(case, id=case.name) for case in CASES if "malformed" not in case.data]
REFUSED = [pytest.param(case, id=case.name) for case in CASES if "malformed" in case.data]


@pytest.mark.parametrize("case", ANSWERED)
def test_the_policies_answer_as_the_case_says(case: Case) -> None:
    """Allowed, explicitly denied or not mentioned; asked a second time, and one after the other, as at first."""
    evaluator = policy.Evaluator(case.policies())
    questions = list(case.questions())

    for question in [*questions, *questions]:
        ruling = evaluator.decide(question.asked)

        assert (ruling.allowed, ruling.explicit) == (question.allowed, question.explicit), question.asked


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_read_is_refused_with_its_place(case: Case) -> None:
    """The element at fault is named, and the reason is said."""
    with pytest.raises(policy.MalformedPolicy) as refused:
        case.policies()

    assert refused.value.path == case.data["malformed"]
    assert refused.value.why


def test_there_are_enough_cases_and_each_says_where_it_comes_from() -> None:
    """No two of one name, nothing in a case that nobody reads, none without a question."""
    assert len(CASES) >= AT_LEAST
    assert len({case.name for case in CASES}) == len(CASES)
    for case in CASES:
        assert case.data["doc"]
        assert set(case.data) <= KNOWN
        assert "malformed" in case.data or list(case.questions())
