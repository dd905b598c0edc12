# SPDX-License-Identifier: Apache-2.0
"""The boundary cases of spec §13.1 that core decides, as data. The numbers are the specification's."""

from __future__ import annotations

import datetime

import pytest

from core.made import SECURITY, debian, judged, notice, only, rocky, rpm, rule, view
from patchwright.core.baseline import ComplianceLevel, RejectedAction, decide
from patchwright.core.compliance import History, Install, Operation, PatchState
from patchwright.core.errors import PlanRefused
from patchwright.core.invocation import Detail, aggregate
from patchwright.core.package import Manager
from patchwright.core.plan import Action, Intent, Resolution, Wanted
from patchwright.core.planning import intend, settle


def utc_day(moment: str) -> datetime.date:
    """The UTC day of a moment: all that a decision gets to know of it."""
    return datetime.datetime.fromisoformat(moment).astimezone(datetime.UTC).date()


@pytest.mark.parametrize(
    ("moment", "verdict"),
    [
        ("2026-11-13T23:59:59+00:00", "PENDING"),
        ("2026-11-19T23:59:00+00:00", "PENDING"),
        ("2026-11-20T00:00:00+00:00", "APPROVED"),
        ("2026-11-20T00:59:00+01:00", "PENDING"),
        ("2026-11-19T19:00:00-05:00", "APPROVED"),
        ("2026-11-20T23:59:59+00:00", "APPROVED"),
    ],
)
def test_case_1_seven_days_after_13_november_is_20_november_utc(moment, verdict):
    """ApproveAfterDays=7, updated 2026-11-13T23:59:59Z: the hour makes no difference, the UTC day does."""
    patch = rpm(notices=(notice(updated=utc_day("2026-11-13T23:59:59+00:00").isoformat()),))

    assert decide(rocky(rule(days=7)), patch, utc_day(moment)).verdict.value == verdict


@pytest.mark.parametrize(
    ("dated", "approved"),
    [("2026-11-16T23:59:59+00:00", True), ("2026-11-17T00:00:00+00:00", False), ("2026-11-17T00:30:00+01:00", True)],
)
def test_case_2_a_cutoff_lets_in_its_whole_utc_day(dated, approved):
    """ApproveUntilDate=2026-11-16."""
    baseline = rocky(rule(days=None, approve_until=datetime.date(2026, 11, 16)))
    patch = rpm(notices=(notice(updated=utc_day(dated).isoformat()),))

    assert decide(baseline, patch, datetime.date(2027, 1, 1)).approved is approved


@pytest.mark.parametrize("levels", [("LOW", "CRITICAL"), ("CRITICAL", "LOW")])
def test_case_3_of_two_levels_the_more_severe_counts(levels):
    """Whichever rule comes first; and it is the level of the missing patch."""
    baseline = debian(*(rule(level=ComplianceLevel(level)) for level in levels))
    judgement = judged(baseline, view(["a 1"], (SECURITY, ["a 2"])))

    assert only(judgement).level is ComplianceLevel.CRITICAL
    assert judgement.counts().critical_non_compliant == 1


@pytest.mark.parametrize(
    ("action", "accepted", "state"),
    [
        (RejectedAction.ALLOW_AS_DEPENDENCY, True, PatchState.INSTALLED_OTHER),
        (RejectedAction.BLOCK, False, PatchState.INSTALLED_REJECTED),
    ],
)
def test_case_4_a_patch_on_both_lists_is_rejected_and_may_come_as_a_dependency(action, accepted, state):
    """Never wanted for its own sake; as a dependency where it is allowed, then installed and InstalledOther."""
    baseline = debian(rule(), approved=("lib",), rejected=("lib",), rejected_action=action)
    seen = view(["app 1", "lib 1"], (SECURITY, ["app 2", "lib 2"]))
    intent = intend(baseline, seen, judged(baseline, seen))
    assert [wish.key for wish in intent.wanted] == ["app.amd64"]

    closure = Resolution(
        (Action("app", "amd64", "1", "2", True), Action("lib", "amd64", "1", "2", False)),
        {},
    )
    if accepted:
        assert settle(intent, closure, manager=Manager.APT, snapshot_id="s").actions == closure.actions
    else:
        with pytest.raises(PlanRefused, match=r"lib.amd64 is blocked"):
            settle(intent, closure, manager=Manager.APT, snapshot_id="s")
    after = judged(baseline, view(["app 2", "lib 2"], (SECURITY, ["app 2", "lib 2"])))
    assert {item.key: item.state for item in after.items} == {"app.amd64": PatchState.INSTALLED, "lib.amd64": state}


@pytest.mark.parametrize(
    ("boot", "state"),
    [("boot-1", PatchState.INSTALLED_PENDING_REBOOT), ("boot-2", PatchState.INSTALLED)],
)
@pytest.mark.parametrize("operation", Operation)
def test_cases_6_and_19_what_waits_for_a_reboot_waits_until_the_boot_changes(boot, state, operation):
    """Nothing is wanted, yet the state that asks for a reboot stands, in a Scan and in an Install."""
    baseline = debian(rule())
    seen = view(["a 2"], (SECURITY, ["a 2"]), boot_id=boot)
    judgement = judged(baseline, seen, history=History({"a.amd64": Install("2", "boot-1")}), operation=operation)

    assert only(judgement).state is state
    assert intend(baseline, seen, judgement) == Intent(())


def test_an_unpacked_package_that_was_ours_is_finished_before_any_reboot():
    """Failed comes before pending: what is not configured has not been installed."""
    seen = view(["a 2"], (SECURITY, ["a 2"]))
    half = view([seen.packages.packages[0]._replace(state="half-configured")], (SECURITY, ["a 2"]))
    judgement = judged(debian(rule()), half, history=History({"a.amd64": Install("2", "boot-1")}))

    assert only(judgement).state is PatchState.FAILED
    assert intend(debian(rule()), half, judgement).wanted == (Wanted("a", "amd64", "2", "2"),)


@pytest.mark.parametrize(
    ("details", "max_errors", "expected"),
    [
        (["Failed"] + ["Terminated"] * 4, 0, "Failed"),
        (["Failed"] * 5 + ["Success"] * 45, 5, "Incomplete"),
        (["Failed"] * 6 + ["Terminated"] * 44, 5, "Failed"),
        (["Undeliverable"] * 4 + ["Success"], 0, "Success"),
        (["Undeliverable"] * 5, 0, "Failed"),
    ],
)
def test_cases_10_to_12_errors_above_the_limit_fail_a_command(details, max_errors, expected):
    """MaxErrors 0; 10 % of 50 nodes; nodes that were never reached."""
    assert aggregate([Detail(detail) for detail in details], max_errors=max_errors) is Detail(expected)
