# SPDX-License-Identifier: Apache-2.0
"""What holds for every decision and every judgement, whatever the baseline and the node."""

from __future__ import annotations

import dataclasses
import datetime
import random

from hypothesis import given
from hypothesis import strategies as st

from patchwright.core.baseline import Baseline, Decision, Verdict, decide
from patchwright.core.compliance import Judgement, Operation, PatchState, judge
from patchwright.core.entries import rpm_file
from patchwright.core.facts import View
from patchwright.core.package import Manager
from patchwright.core.patch import Patch
from patchwright.core.plan import Action, Resolution, drift
from patchwright.core.planning import intend, settle
from patchwright.core.system import Family
from patchwright.core.version import Scheme, compare
from properties.generated import NAMES, TODAY, Case, case
from properties.reference import apt_choice

CASES = st.integers(0, 10**9).map(lambda number: case(random.Random(number)))
SOURCES = st.randoms(use_true_random=False)


def answer(decision: Decision) -> tuple:
    """What an operator acts on."""
    return decision.verdict, decision.level, decision.changes_on


def judged(made: Case, baseline: Baseline | None = None, operation: Operation | None = None) -> Judgement:
    """The judgement of a case, with another baseline or operation if given."""
    rules = baseline or made.baseline
    return judge(
        rules,
        made.view,
        lambda patch: decide(rules, patch, TODAY),
        history=made.history,
        operation=operation or made.operation,
    )


def shuffled(source: random.Random, baseline: Baseline) -> Baseline:
    """The same baseline with rules, filters, values and entries in another order."""

    def mix(items: tuple) -> tuple:
        return tuple(source.sample(items, len(items)))

    def mixed(filters: tuple) -> tuple:
        return mix(tuple(dataclasses.replace(one, values=mix(one.values)) for one in filters))

    return dataclasses.replace(
        baseline,
        global_filters=mixed(baseline.global_filters),
        rules=mix(tuple(dataclasses.replace(rule, filters=mixed(rule.filters)) for rule in baseline.rules)),
        approved=mix(baseline.approved),
        rejected=mix(baseline.rejected),
    )


def every_entry(patch: Patch) -> list[str]:
    """Entries that name the patch on its family."""
    if patch.family is Family.ZYPP:
        return [patch.name, f"{patch.name[:4]}*", "*", *(rpm_file(*package) for package in patch.packages)]
    return [patch.name, f"{patch.name}-{patch.version}.{patch.arch}", f"{patch.name}-*", "*"]


@given(CASES)
def test_rejection_always_wins(made: Case) -> None:
    """A patch is rejected if and only if an entry of the list names it, whatever approves it."""
    generous = dataclasses.replace(made.baseline, approved=("*", *NAMES), approved_non_security=True)
    for patch in made.view.patches():
        entry = made.baseline.rejection_of(patch)
        for baseline in (made.baseline, generous):
            decision = decide(baseline, patch, TODAY)
            assert (decision.verdict is Verdict.REJECTED) == (entry is not None)
            assert decision.changes_on is None or entry is None


@given(CASES, SOURCES)
def test_one_more_rejected_entry_never_approves(made: Case, source: random.Random) -> None:
    """What was not approved stays so; what is still approved is approved as before."""
    patches = made.view.patches()
    for patch in patches:
        entry = source.choice(every_entry(source.choice(patches)))
        more = dataclasses.replace(made.baseline, rejected=(*made.baseline.rejected, entry))
        before, after = decide(made.baseline, patch, TODAY), decide(more, patch, TODAY)
        assert after.verdict is Verdict.REJECTED or answer(after) == answer(before)


@given(CASES)
def test_one_more_approved_entry_never_takes_away(made: Case) -> None:
    """Approvals grow, levels do not fall, rejections stand."""
    for patch in made.view.patches():
        for entry in every_entry(patch):
            more = dataclasses.replace(made.baseline, approved=(*made.baseline.approved, entry))
            before, after = decide(made.baseline, patch, TODAY), decide(more, patch, TODAY)
            assert after.approved or not before.approved
            assert after.level.rank <= before.level.rank
            assert (after.verdict is Verdict.REJECTED) == (before.verdict is Verdict.REJECTED)


@given(CASES, SOURCES)
def test_no_order_makes_a_difference(made: Case, source: random.Random) -> None:
    """Rules, filters, values, entries and repositories in any order give the same answers and the same states."""
    other = shuffled(source, made.baseline)
    for patch in made.view.patches():
        assert answer(decide(other, patch, TODAY)) == answer(decide(made.baseline, patch, TODAY))
    view = made.view
    order = source.sample(range(len(view.slices)), len(view.slices))
    facts = dataclasses.replace(view.facts, slices=tuple(view.facts.slices[place] for place in order))
    mixed = View(facts, view.packages, tuple(view.slices[place] for place in order), view.notices)
    assert mixed.patches() == view.patches()
    assert judged(dataclasses.replace(made, view=mixed)).items == judged(made).items


@given(CASES, st.integers(0, 420))
def test_an_answer_stands_until_the_day_it_names(made: Case, ahead: int) -> None:
    """The same answer on every day before, another one on the day itself; without a day it stands for ever."""
    for patch in made.view.patches():
        today = decide(made.baseline, patch, TODAY)
        day = TODAY + datetime.timedelta(ahead)
        later = decide(made.baseline, patch, day)
        if today.changes_on is None or day < today.changes_on:
            assert answer(later) == answer(today)
        if today.changes_on is not None:
            assert today.changes_on > TODAY
            then = decide(made.baseline, patch, today.changes_on)
            assert then.approved
            assert (then.verdict, then.level) != (today.verdict, today.level)


@given(CASES)
def test_every_decision_gives_its_reasons(made: Case) -> None:
    """At least one, each a sentence; pending if and only if a day is named without approval."""
    for patch in made.view.patches():
        decision = decide(made.baseline, patch, TODAY)
        assert all(reason.text for reason in decision.reasons)
        assert decision.reasons
        assert (decision.verdict is Verdict.PENDING) == (decision.changes_on is not None and not decision.approved)


@given(CASES)
def test_the_candidate_obeys_apts_rule(made: Case) -> None:
    """As apt's own loop finds it, for what is installed and for what is merely offered."""
    if made.view.packages.manager is Manager.APT:
        candidates = made.view.candidates()
        for name in NAMES:
            assert candidates.get(f"{name}.amd64", "") == apt_choice(made.view, name, "amd64")


@given(CASES)
def test_there_is_exactly_one_item_for_each_installed_name_and_architecture(made: Case) -> None:
    """Sorted by key; and the installed version shown is one of those that are there. On SUSE it is one for each patch."""
    judgement = judged(made)

    if made.view.packages.manager is Manager.ZYPPER:
        keys = [item.key for item in judgement.items]
        assert keys == sorted(set(keys))
        assert {key for item in judgement.items for key in item.packages} <= set(made.view.installed())
        return
    assert [item.key for item in judgement.items] == sorted({package.key for package in made.view.packages.packages})
    for item in judgement.items:
        assert item.installed in {package.version for package in made.view.installed()[item.key]}


@given(CASES)
def test_after_an_install_nothing_is_missing(made: Case) -> None:
    """Each item that a Scan would call Missing is Failed, and all others are as in the Scan."""
    scan, install = judged(made, operation=Operation.SCAN), judged(made, operation=Operation.INSTALL)

    for before, after in zip(scan.items, install.items, strict=True):
        assert after.state is not PatchState.MISSING
        assert after.state is (PatchState.FAILED if before.state is PatchState.MISSING else before.state)


@given(CASES)
def test_counts_add_up(made: Case) -> None:
    """Every item is in one state; what is non-compliant is critical, of security, or other."""
    judgement = judged(made)
    counts = judgement.counts()
    listed = sum(count for state, count in counts.by_state.items() if state is not PatchState.NOT_APPLICABLE)
    bad = sum(count for state, count in counts.by_state.items() if not state.compliant)

    assert set(counts.by_state) == set(PatchState)
    assert listed == len(judgement.items)
    assert judgement.compliant is (bad == 0)
    assert counts.critical_non_compliant + counts.security_non_compliant + counts.other_non_compliant >= bad
    assert max(counts.critical_non_compliant, counts.security_non_compliant) + counts.other_non_compliant <= bad
    assert counts.by_state[PatchState.NOT_APPLICABLE] == judgement.not_applicable >= 0


@given(CASES)
def test_an_intent_that_is_carried_out_leaves_nothing_to_want(made: Case) -> None:
    """What is wanted settles as it is, goes upwards, and does not drift on the node it was made for."""
    baseline, view = made.baseline, made.view
    scheme = Scheme.DPKG if view.packages.manager is Manager.APT else Scheme.RPM
    intent = intend(baseline, view, judged(made, operation=Operation.SCAN))
    actions = [Action(wish.name, wish.arch, wish.installed, wish.version, True) for wish in intent.wanted]

    assert all(compare(scheme, wish.version, wish.installed) >= 0 for wish in intent.wanted)
    plan = settle(intent, Resolution(tuple(actions), {}), manager=view.packages.manager, snapshot_id="s")
    if view.packages.manager is Manager.APT:
        installed = {key: packages[0].version for key, packages in view.installed().items()}
        assert drift(plan, installed, view.candidates()) == ()
