# SPDX-License-Identifier: Apache-2.0
"""What a baseline decides on a patch, and why."""

from __future__ import annotations

import datetime

import pytest

from core.made import TODAY, deb, debian, notice, rocky, rpm, rule
from patchwright.core.baseline import (
    ApprovalRule,
    Because,
    ComplianceLevel,
    Filter,
    Reason,
    RejectedAction,
    Verdict,
    decide,
    read_day,
)
from patchwright.core.errors import MalformedBaseline

LOW, HIGH, CRITICAL = ComplianceLevel.LOW, ComplianceLevel.HIGH, ComplianceLevel.CRITICAL


def day(text):
    """A day."""
    return datetime.date.fromisoformat(text)


def because(baseline, patch, today=TODAY):
    """The verdict and the reasons."""
    decision = decide(baseline, patch, today)
    return decision.verdict, decision.reasons


# ------------------------------------------------------------------------------------------------------------- records


def test_levels_rank_from_critical_down():
    """The order of the enumeration is the order of weight."""
    assert [level.rank for level in ComplianceLevel] == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"approve_after_days": 7, "approve_until": TODAY},
        {"approve_after_days": -1},
        {"approve_after_days": 361},
    ],
)
def test_a_rule_takes_exactly_one_date_condition(members):
    """Neither, both, and a delay out of range are refused."""
    with pytest.raises(MalformedBaseline):
        ApprovalRule(**members)


@pytest.mark.parametrize("days", [0, 360])
def test_the_longest_and_the_shortest_delay_are_allowed(days):
    """0 and 360 days."""
    assert ApprovalRule(approve_after_days=days).approve_after_days == days


def test_a_day_is_read_in_one_form_only():
    """What Python would also read (20261120, week days) and days that do not exist are refused."""
    assert read_day("2026-11-20") == TODAY
    for text in ("20261120", "2026-W47-5", "2026-11-31", "2026-11-20\n", "", "tomorrow"):
        with pytest.raises(MalformedBaseline):
            read_day(text)


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        (Reason(Because.RULE, 0), "rule 1 approves it"),
        (Reason(Because.APPROVED_LIST, detail="openssl"), "the approved list names it (openssl)"),
        (Reason(Because.REJECTED_LIST, detail="openssl"), "the rejected list names it (openssl)"),
        (Reason(Because.GLOBAL_FILTER, detail="PRODUCT"), "the global filter on PRODUCT leaves it out"),
        (Reason(Because.FILTER, 2, "SEVERITY"), "rule 3 does not match on SEVERITY"),
        (Reason(Because.NOT_SECURITY, 1), "rule 2 takes security updates only, and this is none"),
        (Reason(Because.NOT_SECURITY, detail="a"), "the approved list takes security updates only, and this is none"),
        (Reason(Because.TOO_NEW, 0, "2026-11-27"), "rule 1 approves it on 2026-11-27"),
        (Reason(Because.AFTER_CUTOFF, 0, "2026-11-01"), "rule 1 takes only what was released up to 2026-11-01"),
        (Reason(Because.NO_RULES), "the baseline has no approval rules"),
    ],
)
def test_a_reason_is_a_sentence(reason, text):
    """Every code has its words; rules are counted from 1 for people."""
    assert reason.text == text


def test_a_list_entry_with_braces_stays_as_it_is():
    """A detail is data, not a format."""
    assert Reason(Because.APPROVED_LIST, detail="{where}").text == "the approved list names it ({where})"


# --------------------------------------------------------------------------------------------------- order of evaluation


def test_without_rules_nothing_is_approved():
    """And the reason says so."""
    assert because(debian(), deb()) == (Verdict.NOT_APPROVED, (Reason(Because.NO_RULES),))


def test_a_rule_without_filters_approves_every_security_patch():
    """A missing key means any."""
    decision = decide(debian(rule(level=HIGH)), deb(), TODAY)

    assert (decision.verdict, decision.level, decision.changes_on) == (Verdict.APPROVED, HIGH, None)
    assert decision.approved
    assert decision.reasons == (Reason(Because.RULE, 0),)


def test_a_global_filter_drops_before_any_rule():
    """The one reason names its key."""
    baseline = debian(rule(), global_filters=(Filter("SECTION", ("admin",)), Filter("PRIORITY", ("required",))))

    assert because(baseline, deb()) == (Verdict.NOT_APPROVED, (Reason(Because.GLOBAL_FILTER, detail="SECTION"),))


def test_the_approved_list_adds_what_a_global_filter_dropped():
    """With the list's own level."""
    baseline = debian(rule(), global_filters=(Filter("SECTION", ("x",)),), approved=("openssl",), approved_level=HIGH)
    decision = decide(baseline, deb(), TODAY)

    assert (decision.verdict, decision.level) == (Verdict.APPROVED, HIGH)
    assert decision.reasons == (Reason(Because.APPROVED_LIST, detail="openssl"),)


def test_the_approved_list_takes_other_patches_only_where_it_is_told_to():
    """The implicit security test holds for it as for rules; its failure comes before the rules' reasons."""
    patch = deb(security=False)

    assert because(debian(rule(), approved=("openssl",)), patch) == (
        Verdict.NOT_APPROVED,
        (Reason(Because.NOT_SECURITY, detail="openssl"), Reason(Because.NOT_SECURITY, 0)),
    )
    assert decide(debian(approved=("openssl",), approved_non_security=True), patch, TODAY).approved


def test_rules_take_other_patches_only_where_they_are_told_to():
    """EnableNonSecurity of each rule by itself; every rule that refuses gives its reason."""
    baseline = debian(rule(), rule(("SECTION", "admin"), enable_non_security=True))

    assert because(baseline, deb(security=False)) == (
        Verdict.NOT_APPROVED,
        (Reason(Because.NOT_SECURITY, 0), Reason(Because.FILTER, 1, "SECTION")),
    )
    assert decide(debian(rule(enable_non_security=True)), deb(security=False), TODAY).approved


def test_on_rpm_any_notice_passes_the_security_test():
    """AWS's word covers everything in updateinfo."""
    assert decide(rocky(rule()), rpm(notices=(notice(classification="Bugfix"),)), TODAY).approved
    assert because(rocky(rule()), rpm()) == (Verdict.NOT_APPROVED, (Reason(Because.NOT_SECURITY, 0),))


@pytest.mark.parametrize("action", RejectedAction)
def test_a_patch_on_both_lists_is_rejected(action):
    """Whatever the action, and whatever the rules say."""
    baseline = debian(rule(), approved=("openssl",), rejected=("bash", "openssl"), rejected_action=action)

    assert because(baseline, deb()) == (Verdict.REJECTED, (Reason(Because.REJECTED_LIST, detail="openssl"),))


def test_of_several_approvals_the_most_severe_level_counts():
    """All of them are given as reasons, the list's first."""
    baseline = debian(rule(level=LOW), rule(level=CRITICAL), approved=("openssl",), approved_level=HIGH)
    decision = decide(baseline, deb(), TODAY)

    assert decision.level is CRITICAL
    assert [reason.because for reason in decision.reasons] == [Because.APPROVED_LIST, Because.RULE, Because.RULE]


# ----------------------------------------------------------------------------------------------------------------- dates


@pytest.mark.parametrize(
    ("today", "verdict", "changes_on"),
    [
        ("2026-11-19", Verdict.PENDING, "2026-11-20"),
        ("2026-11-20", Verdict.APPROVED, None),
        ("2027-11-20", Verdict.APPROVED, None),
    ],
)
def test_a_delay_ends_on_a_utc_day(today, verdict, changes_on):
    """Dated 13 November with 7 days: not on the 19th, at any hour of the 20th."""
    decision = decide(rocky(rule(days=7)), rpm(notices=(notice(updated="2026-11-13"),)), day(today))

    assert (decision.verdict, decision.changes_on and decision.changes_on.isoformat()) == (verdict, changes_on)


@pytest.mark.parametrize(("updated", "approved"), [("2026-11-16", True), ("2026-11-17", False)])
def test_a_cutoff_includes_its_day(updated, approved):
    """Up to 23:59:59Z of it; later ones are never approved."""
    baseline = rocky(rule(days=None, approve_until=day("2026-11-16")))
    decision = decide(baseline, rpm(notices=(notice(updated=updated),)), TODAY)

    assert decision.approved is approved
    assert decision.changes_on is None
    if not approved:
        assert decision.verdict is Verdict.NOT_APPROVED
        assert decision.reasons == (Reason(Because.AFTER_CUTOFF, 0, "2026-11-16"),)


@pytest.mark.parametrize(
    ("patch", "due"),
    [
        (rpm(notices=(notice(updated="2026-11-19", issued="2026-01-01"),)), "2026-11-26"),
        (rpm(notices=(notice(updated="", issued="2026-11-18"),)), "2026-11-25"),
        (rpm(notices=(notice(updated=""),), build_time=1_795_000_000), "2026-11-25"),
        (rpm(build_time=1_795_000_000), "2026-11-25"),
        (rpm(notices=(notice(updated=""),)), None),
        (rpm(), None),
        (deb(), None),
    ],
    ids=["updated", "issued", "notice without day", "build time", "no day", "no notice", "apt"],
)
def test_the_day_is_updated_then_issued_then_built_and_none_means_at_once(patch, due):
    """Apt has no dates at all; there every delay is ignored."""
    decision = decide(rocky(rule(days=7, enable_non_security=True)), patch, TODAY)

    assert (decision.changes_on and decision.changes_on.isoformat()) == due
    assert decision.verdict is (Verdict.PENDING if due else Verdict.APPROVED)
    assert decision.reasons == ((Reason(Because.TOO_NEW, 0, due) if due else Reason(Because.RULE, 0)),)


def test_a_patch_without_a_day_passes_a_cutoff():
    """What cannot be shown to be late is let through, as by a delay; on apt always."""
    baseline = rocky(rule(days=None, approve_until=day("2020-01-01"), enable_non_security=True))

    assert decide(baseline, rpm(), TODAY).approved
    assert decide(baseline, deb(), TODAY).approved


def test_the_earliest_matching_notice_decides():
    """A notice that the filters leave out does not count, however old it is."""
    notices = (
        notice("a", classification="Bugfix", updated="2026-01-01"),
        notice("b", updated="2026-11-18"),
        notice("c", updated="2026-11-17"),
    )
    decision = decide(rocky(rule(("CLASSIFICATION", "Security"), days=7)), rpm(notices=notices), TODAY)

    assert decision.changes_on == day("2026-11-24")


def test_an_approved_patch_changes_when_a_more_severe_rule_falls_due():
    """The level rises on that day; a rule of the same or a lower level changes nothing."""
    patch = rpm(notices=(notice(updated="2026-11-19"),))
    rules = (rule(level=HIGH), rule(days=3, level=HIGH), rule(days=5, level=LOW), rule(days=10, level=CRITICAL))
    decision = decide(rocky(*rules), patch, TODAY)

    assert (decision.level, decision.changes_on) == (HIGH, day("2026-11-29"))
    assert decide(rocky(*rules), patch, day("2026-11-29")).level is CRITICAL
    assert decide(rocky(*rules[:3]), patch, TODAY).changes_on is None


def test_a_pending_patch_changes_with_its_first_rule():
    """Whatever that rule's level."""
    patch = rpm(notices=(notice(updated="2026-11-19"),))
    decision = decide(rocky(rule(days=10, level=CRITICAL), rule(days=5, level=LOW)), patch, TODAY)

    assert (decision.verdict, decision.changes_on) == (Verdict.PENDING, day("2026-11-24"))
    assert decision.level is ComplianceLevel.UNSPECIFIED


def test_a_day_at_the_end_of_time_is_only_far_away():
    """A vendor's 9999-12-31 is pending, not an error."""
    decision = decide(rocky(rule(days=360)), rpm(notices=(notice(updated="9999-12-31"),)), TODAY)

    assert (decision.verdict, decision.changes_on) == (Verdict.PENDING, datetime.date.max)


# --------------------------------------------------------------------------------------------------------------- filters


RICH = rpm(
    "openssl",
    "1:3.0.7-27.el9",
    section="base",
    priority="x",
    notices=(notice("RLSA-2026:1", cves=("CVE-2026-1",), bugzillas=("123",), severity="Moderate"),),
)


@pytest.mark.parametrize(
    ("key", "hit", "miss"),
    [
        ("ARCH", "X86_64", "i686"),
        ("NAME", "OpenSSL", "open*"),
        ("PRIORITY", "x", "y"),
        ("PRODUCT", "rockylinux9.4", "RockyLinux9"),
        ("RELEASE", "27.el9", "27"),
        ("REPOSITORY", "baseos", "appstream"),
        ("SECTION", "base", "libs"),
        ("SECURITY", "True", "false"),
        ("VERSION", "3.0.7", "3.0"),
        ("VERSION", "1:3.0.7-27.el9", "3.0.7-27.el9"),
        ("EPOCH", "1", "0"),
        ("ADVISORY_ID", "rlsa-2026:1", "RLSA-2026:2"),
        ("BUGZILLA_ID", "123", "12"),
        ("CLASSIFICATION", "security", "Bugfix"),
        ("CVE_ID", "cve-2026-1", "CVE-2026-2"),
        ("SEVERITY", "medium", "Important"),
        ("SEVERITY", "MODERATE", "None"),
    ],
)
def test_every_key_asks_for_its_own_attribute(key, hit, miss):
    """Case makes no difference; values are whole."""
    assert decide(rocky(rule((key, f"nothing,{hit}"))), RICH, TODAY).approved
    assert because(rocky(rule((key, miss))), RICH) == (Verdict.NOT_APPROVED, (Reason(Because.FILTER, 0, key),))


@pytest.mark.parametrize("key", ["MSRC_SEVERITY", "PATCH_SET", "PATCH_ID", "PRODUCT_FAMILY", "NO_SUCH_KEY"])
def test_a_key_of_another_system_matches_nothing_but_any(key):
    """It is accepted all the same."""
    assert not decide(rocky(rule((key, "Critical"))), RICH, TODAY).approved
    assert decide(rocky(rule((key, "Critical,*"))), RICH, TODAY).approved


def test_all_filters_must_match():
    """Values are alternatives, filters conditions; the reason is the filter that the best-placed notice fails."""
    notices = (notice("a", severity="Low"), notice("b", classification="Bugfix"))
    both = rule(("CLASSIFICATION", "Security"), ("SEVERITY", "Important"))

    assert because(rocky(both), rpm(notices=notices)) == (
        Verdict.NOT_APPROVED,
        (Reason(Because.FILTER, 0, "SEVERITY"),),
    )
    assert decide(rocky(both), rpm(notices=(*notices, notice("c"))), TODAY).approved


def test_a_patch_without_a_notice_matches_no_filter_on_notices():
    """Not even with non-security patches let in."""
    for key in ("CLASSIFICATION", "SEVERITY", "CVE_ID"):
        assert not decide(rocky(rule((key, "None,"), enable_non_security=True)), rpm(), TODAY).approved


def test_a_notice_without_a_severity_has_the_severity_none():
    """As Amazon Linux 2023 writes it."""
    assert decide(rocky(rule(("SEVERITY", "None"))), rpm(notices=(notice(severity=""),)), TODAY).approved


def test_on_apt_classification_is_security_or_nothing():
    """A filter on it works although apt has no notices."""
    security = debian(rule(("CLASSIFICATION", "Security"), enable_non_security=True))

    assert decide(security, deb(), TODAY).approved
    assert not decide(security, deb(security=False), TODAY).approved
    assert not decide(debian(rule(("SEVERITY", "Optional"))), deb(), TODAY).approved


@pytest.mark.parametrize(
    ("version", "epoch", "upstream", "release"),
    [("3.0-1", "0", "3.0", "1"), ("2:3.0-1-2", "2", "3.0-1", "2"), ("3.0", "0", "3.0", ""), ("2:3", "2", "3", "")],
)
def test_a_version_has_an_epoch_an_upstream_version_and_a_release(version, epoch, upstream, release):
    """A native Debian version has no release, a version without epoch the epoch 0."""
    filters = rule(("EPOCH", epoch), ("VERSION", upstream), ("RELEASE", release))

    assert decide(debian(filters), deb(version=version), TODAY).approved


# ----------------------------------------------------------------------------------------------------------------- lists


@pytest.mark.parametrize("entry", ["123", "CVE-2026-1", "cve-2026-1", "RLSA-2026:1", "openssl-*"])
def test_the_approved_list_takes_bugs_cves_and_advisories_on_rpm(entry):
    """Digits alone are a Bugzilla id."""
    assert decide(rocky(approved=(entry,)), RICH, TODAY).approved


@pytest.mark.parametrize("entry", ["1234", "CVE-2026-2", "RLSA-2026", "rlsa-2026:1", "CVE-*"])
def test_other_bugs_cves_and_advisories_name_nothing(entry):
    """Ids are whole; advisories are spelt as the vendor spells them."""
    assert not decide(rocky(approved=(entry,)), RICH, TODAY).approved


@pytest.mark.parametrize("entry", ["123", "CVE-2026-1", "RLSA-2026:1"])
def test_the_rejected_list_takes_package_names_only(entry):
    """No bug, CVE or advisory rejects."""
    assert decide(rocky(rule(), rejected=(entry,)), RICH, TODAY).approved


def test_on_apt_a_cve_approves_nothing():
    """Its archives carry no notices, and what looks like one is ignored."""
    patch = deb(notices=(notice(cves=("CVE-2026-1",)),))

    assert not decide(debian(approved=("CVE-2026-1", "RLSA-2026:1")), patch, TODAY).approved


def test_a_rejection_is_the_first_entry_that_names_the_version():
    """Other versions are not rejected on rpm."""
    baseline = rocky(rejected=("bash-*", "a-1-1.x86_64", "a-*"))

    assert baseline.rejection("a", "x86_64", "1-1") == "a-1-1.x86_64"
    assert baseline.rejection("a", "x86_64", "2-1") == "a-*"
    assert baseline.rejection("b", "x86_64", "1-1") is None
