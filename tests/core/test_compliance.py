# SPDX-License-Identifier: Apache-2.0
"""What a baseline means for one node: states, counts, verdict."""

from __future__ import annotations

import pytest

from core.made import BASEOS, MAIN, SECURITY, TODAY, debian, judged, notice, offer, only, package, rocky, rule, view
from patchwright.core.baseline import Baseline, ComplianceLevel, RejectedAction, decide
from patchwright.core.compliance import (
    STALE_AFTER_SECONDS,
    Counts,
    Doubt,
    History,
    Install,
    Item,
    Judgement,
    Operation,
    PatchState,
    Standing,
    doubts,
    judge,
    standing,
)
from patchwright.core.facts import RepositoryProblem
from patchwright.core.package import Manager
from patchwright.core.system import OperatingSystem

ALL = debian(rule(level=ComplianceLevel.HIGH))
OUTSTANDING = view(["a 1"], (MAIN, ["a 1"]), (SECURITY, ["a 2"]))
UP_TO_DATE = view(["a 2"], (SECURITY, ["a 2"]))


def el(installed, *offers, **more):
    """An EL node with one repository."""
    return view(installed, (BASEOS, offers), manager=Manager.DNF, **more)


# ---------------------------------------------------------------------------------------------------------------- states


@pytest.mark.parametrize(("tried", "state"), [("2", PatchState.FAILED), ("3", PatchState.MISSING)])
def test_a_failure_stands_for_the_version_that_was_tried(tried, state):
    """Another version has not failed."""
    history = History(failures={"a.amd64": "postinst"}, attempted={"a.amd64": tried})

    assert only(judged(ALL, OUTSTANDING, history=history)).state is state


def test_a_held_package_fails_for_being_held():
    """After an Install that gave no other reason."""
    seen = view(["a 1"], (SECURITY, ["a 2"]), held=("a.amd64",))

    assert only(judged(ALL, seen, operation=Operation.INSTALL)).reason == "the package is held on the node"


def test_an_approved_update_that_is_not_installed_is_missing():
    """The item speaks of the approved version and says which rule approves it."""
    assert only(judged(ALL, OUTSTANDING)) == Item(
        key="a.amd64",
        title="a.amd64:2",
        state=PatchState.MISSING,
        installed="1",
        version="2",
        level=ComplianceLevel.HIGH,
        classification="Security",
        severity="Optional",
        reason="rule 1 approves it",
    )


def test_an_approved_version_that_is_installed_is_installed():
    """By whomever."""
    item = only(judged(ALL, UP_TO_DATE))

    assert (item.state, item.installed, item.version) == (PatchState.INSTALLED, "2", "2")
    assert (item.classification, item.level, item.reason) == ("Security", ComplianceLevel.HIGH, "rule 1 approves it")


def test_a_version_above_the_approved_one_is_installed_too():
    """The record of an older version at or below the installed one is enough; the newest of them speaks."""
    seen = el(
        ["a.x86_64 3-1"],
        offer("a.x86_64 1-1", notices=("n1",)),
        offer("a.x86_64 2-1", notices=("n2",)),
        notices=[notice("n1", severity="Critical"), notice("n2", severity="Low")],
    )
    item = only(judged(rocky(rule()), seen))

    assert (item.state, item.version, item.severity) == (PatchState.INSTALLED, "3-1", "Low")


def test_what_no_rule_approves_is_other():
    """With empty classification and severity."""
    item = only(judged(ALL, view(["a 1"], (MAIN, ["a 1", "a 2"]))))

    assert (item.state, item.classification, item.severity, item.reason) == (PatchState.INSTALLED_OTHER, "", "", "")
    assert item.level is ComplianceLevel.UNSPECIFIED


def test_what_no_repository_offers_is_other():
    """A package that was installed from a file."""
    assert only(judged(ALL, view(["a 1"]))).state is PatchState.INSTALLED_OTHER


def test_what_is_offered_but_not_installed_is_no_item():
    """Patches belong to installed packages."""
    assert judged(ALL, view([], (SECURITY, ["a 2"]))).items == ()


def test_on_apt_only_the_candidate_can_be_missing():
    """An approved version that apt would not choose is not applicable here."""
    seen = view(["a 1"], (SECURITY, ["a 2"]), (MAIN, ["a 3"]))

    assert only(judged(ALL, seen)).state is PatchState.INSTALLED_OTHER


def test_on_rpm_the_newest_approved_version_is_missing():
    """Whatever newer unapproved version the repositories hold; the superseded approval is only counted."""
    seen = el(
        ["a.x86_64 1-1"],
        offer("a.x86_64 2-1", notices=("n",)),
        offer("a.x86_64 3-1", notices=("n",)),
        offer("a.x86_64 4-1"),
        notices=[notice("n", cves=("CVE-2", "CVE-1"))],
    )
    judgement = judged(rocky(rule()), seen)

    assert (only(judgement).state, only(judgement).version) == (PatchState.MISSING, "3-1")
    assert only(judgement).title == "a.x86_64:0:3-1"
    assert only(judgement).cves == ("CVE-1", "CVE-2")
    assert judgement.not_applicable == judgement.counts().by_state[PatchState.NOT_APPLICABLE] == 1


def test_cves_are_shown_for_what_is_missing_only():
    """As AWS does."""
    seen = el(["a.x86_64 1-1"], offer("a.x86_64 1-1", notices=("n",)), notices=[notice("n", cves=("CVE-1",))])

    assert only(judged(rocky(rule()), seen)).cves == ()


def test_a_held_package_is_missing_and_says_that_it_is_held():
    """A hold is the node's affair, not the baseline's."""
    seen = view(["a 1"], (SECURITY, ["a 2"]), held=("a.amd64",))

    assert only(judged(ALL, seen)).reason == "rule 1 approves it; the package is held on the node"


@pytest.mark.parametrize(
    ("action", "state"),
    [
        (RejectedAction.BLOCK, PatchState.INSTALLED_REJECTED),
        (RejectedAction.ALLOW_AS_DEPENDENCY, PatchState.INSTALLED_OTHER),
    ],
)
def test_an_installed_package_that_is_rejected(action, state):
    """Wrong where it blocks, harmless where it may come as a dependency; the entry is the reason."""
    item = only(judged(debian(rule(), rejected=("a",), rejected_action=action), OUTSTANDING))

    assert (item.state, item.version, item.reason) == (state, "1", "the rejected list names it (a)")
    assert item.title == "a.amd64:1"


def test_an_approved_update_leads_away_from_a_rejected_version():
    """On rpm a rejection names versions: what replaces the bad one is missing, not hidden behind it."""
    for action in RejectedAction:
        baseline = rocky(rule(), rejected=("a-1-1.x86_64",), rejected_action=action)
        seen = el(["a.x86_64 1-1"], offer("a.x86_64 2-1", notices=("n",)), notices=[notice("n")])
        item = only(judged(baseline, seen))

        assert (item.state, item.version) == (PatchState.MISSING, "2-1")


def test_of_versions_side_by_side_the_newest_speaks():
    """An old kernel that stays installed is no missing patch."""
    seen = el(
        ["kernel.x86_64 5-1", "kernel.x86_64 5-2"],
        *(offer(f"kernel.x86_64 5-{number}", notices=("n",)) for number in (1, 2)),
        notices=[notice("n")],
    )
    item = only(judged(rocky(rule()), seen))

    assert (item.state, item.version) == (PatchState.INSTALLED, "5-2")


@pytest.mark.parametrize(
    ("action", "state", "version"),
    [
        (RejectedAction.BLOCK, PatchState.INSTALLED_REJECTED, "5-1"),
        (RejectedAction.ALLOW_AS_DEPENDENCY, PatchState.INSTALLED, "5-2"),
    ],
)
def test_of_versions_side_by_side_a_blocked_one_is_seen(action, state, version):
    """It is installed and rejected, though a newer one stands beside it."""
    seen = el(
        ["kernel.x86_64 5-1", "kernel.x86_64 5-2"],
        *(offer(f"kernel.x86_64 5-{number}", notices=("n",)) for number in (1, 2)),
        notices=[notice("n")],
    )
    item = only(judged(rocky(rule(), rejected=("kernel-5-1.*",), rejected_action=action), seen))

    assert (item.state, item.version) == (state, version)


def test_what_our_install_brought_waits_for_the_reboot():
    """Until the node runs under another boot id, and only for the version that we installed."""
    ours = History(installs={"a.amd64": Install("2", "boot-1")})
    item = only(judged(ALL, UP_TO_DATE, history=ours))

    assert (item.state, item.reason) == (PatchState.INSTALLED_PENDING_REBOOT, "installed since the node was started")
    for other in (Install("2", "boot-0"), Install("1", "boot-1")):
        assert only(judged(ALL, UP_TO_DATE, history=History({"a.amd64": other}))).state is PatchState.INSTALLED


@pytest.mark.parametrize(
    ("installs", "pending"),
    [
        ({"a.all": "2"}, {"a.amd64 2"}),
        ({"a.amd64": "2"}, {"a.all 2"}),
        ({"a.amd64": "1", "a.all": "2"}, {"a.amd64 2"}),
        ({"a.amd64": "2"}, set()),
    ],
)
def test_what_came_for_another_architecture_waits_for_the_reboot(installs, pending):
    """On apt `all` and the machine's own architecture are one, a foreign one is another; plans name what was there before."""
    ours = History({key: Install(version, "boot-1") for key, version in installs.items()})
    for installed in pending or {"a.i386 2"}:
        item = only(judged(ALL, view([installed], (SECURITY, [installed])), history=ours))

        assert (item.state is PatchState.INSTALLED_PENDING_REBOOT) == bool(pending)


def test_without_a_boot_id_nothing_waits_for_a_reboot():
    """Two unknown boots are not the same boot."""
    seen = view(["a 2"], (SECURITY, ["a 2"]), boot_id="")

    assert only(judged(ALL, seen, history=History({"a.amd64": Install("2", "")}))).state is PatchState.INSTALLED


@pytest.mark.parametrize("operation", Operation)
def test_an_update_that_the_last_install_could_not_make_has_failed(operation):
    """With the reason it gave, also in later scans."""
    item = only(judged(ALL, OUTSTANDING, history=History(failures={"a.amd64": "postinst"}), operation=operation))

    assert (item.state, item.version, item.reason) == (PatchState.FAILED, "2", "postinst")


def test_after_an_install_nothing_is_missing():
    """What is not there has failed, even if nobody says why."""
    item = only(judged(ALL, OUTSTANDING, operation=Operation.INSTALL))

    assert (item.state, item.reason) == (PatchState.FAILED, "the run ended without installing it")


@pytest.mark.parametrize(
    ("history", "reason"),
    [(None, "the package database says unpacked"), (History(failures={"a.amd64": "postinst"}), "postinst")],
)
def test_an_approved_version_that_is_not_configured_has_failed(history, reason):
    """Unpacked is not installed."""
    seen = view([package("a 2", "unpacked")], (SECURITY, ["a 2"]))
    item = only(judged(ALL, seen, history=history))

    assert (item.state, item.installed, item.version, item.reason) == (PatchState.FAILED, "2", "2", reason)


def test_a_failure_that_was_mended_is_forgotten():
    """The package database counts, not the memory of a failure."""
    assert only(judged(ALL, UP_TO_DATE, history=History(failures={"a.amd64": "x"}))).state is PatchState.INSTALLED


def test_approvals_come_from_the_decisions_alone():
    """Each distinct patch is asked about exactly once."""
    asked = []
    seen = view(["a 1", "b 1"], (MAIN, ["a 1", "b 1"]), (SECURITY, ["a 1"]))

    def ask(patch):
        asked.append(patch.key)
        return decide(ALL, patch, TODAY)

    judge(ALL, seen, ask)

    assert asked == ["a.amd64", "b.amd64"]


# ---------------------------------------------------------------------------------------------------- counts and verdict


def item(state, *, level="UNSPECIFIED", classification=""):
    """An item of which only what is counted matters."""
    return Item("a", "a", PatchState(state), "1", "1", ComplianceLevel(level), classification)


def test_counts_tell_critical_security_and_other_apart():
    """Critical by level, security by class, a patch may be both; compliant ones count for none of them."""
    judgement = Judgement(
        (
            item("Missing", level="CRITICAL", classification="Security"),
            item("Failed", level="CRITICAL"),
            item("InstalledPendingReboot", classification="security"),
            item("InstalledRejected"),
            item("Missing", level="HIGH", classification="Bugfix"),
            item("Installed", level="CRITICAL", classification="Security"),
            item("InstalledOther"),
        ),
        not_applicable=3,
    )
    counts = judgement.counts()

    assert (counts.critical_non_compliant, counts.security_non_compliant, counts.other_non_compliant) == (2, 2, 2)
    assert {state.value: count for state, count in counts.by_state.items()} == {
        "Installed": 1,
        "InstalledOther": 1,
        "InstalledPendingReboot": 1,
        "InstalledRejected": 1,
        "Missing": 2,
        "Failed": 1,
        "NotApplicable": 3,
        "AvailableSecurityUpdate": 0,
    }
    assert not judgement.compliant


def test_a_node_without_packages_is_compliant():
    """Every count is there and 0."""
    judgement = Judgement(())

    assert judgement.compliant
    assert judgement.counts() == Counts(dict.fromkeys(PatchState, 0), 0, 0, 0)


@pytest.mark.parametrize(
    ("state", "compliant"),
    [
        ("Installed", True),
        ("InstalledOther", True),
        ("InstalledPendingReboot", False),
        ("InstalledRejected", False),
        ("Missing", False),
        ("Failed", False),
        ("NotApplicable", True),
        ("AvailableSecurityUpdate", True),
    ],
)
def test_four_states_make_a_node_non_compliant(state, compliant):
    """Each of them alone."""
    assert PatchState(state).compliant is Judgement((item(state),)).compliant is compliant


# -------------------------------------------------------------------------------------------------------------- standing

FRESH = {"refreshed_at": 1_000.0, "observed_at": 1_000.0}


def test_fresh_facts_leave_no_doubt():
    """Seen just now, metadata just fetched, every repository read."""
    assert doubts(view(["a 1"], (MAIN, ["a 1"]), **FRESH), 0) == ()


def test_no_facts_is_the_only_doubt_there():
    """Nothing else can be said."""
    assert doubts(None, 0) == (Doubt.NO_FACTS,)


@pytest.mark.parametrize(
    ("facts", "age", "expected"),
    [
        (FRESH, STALE_AFTER_SECONDS, ()),
        (FRESH, STALE_AFTER_SECONDS + 1, (Doubt.FACTS_STALE, Doubt.METADATA_STALE)),
        ({"refreshed_at": 0.0}, 0, (Doubt.METADATA_STALE,)),
        ({"refreshed_at": 1.0, "observed_at": STALE_AFTER_SECONDS}, 2, (Doubt.METADATA_STALE,)),
        ({**FRESH, "problems": (RepositoryProblem("r", "m"),)}, 0, (Doubt.REPOSITORY_UNREACHABLE,)),
        ({**FRESH, "slices": ()}, 0, (Doubt.NO_REPOSITORIES,)),
    ],
)
def test_every_doubt_is_named(facts, age, expected):
    """In the order of the enumeration."""
    assert doubts(view(["a 1"], (MAIN, ["a 1"]), **facts), age) == expected


@pytest.mark.parametrize(
    ("rules", "more", "expected"),
    [
        ([rule()], {}, (Doubt.NO_SECURITY_REPOSITORY,)),
        ([rule()], {"approved": ("a",)}, (Doubt.NO_SECURITY_REPOSITORY,)),
        ([rule(), rule(enable_non_security=True)], {}, ()),
        ([rule()], {"approved": ("a",), "approved_non_security": True}, ()),
        ([], {"approved_non_security": True}, ()),
    ],
)
def test_without_a_security_archive_a_baseline_of_security_updates_cannot_tell(rules, more, expected):
    """Nothing could ever be missing; an empty archive is one all the same, and one that approves other updates can tell."""
    baseline = debian(*rules, **more)
    assert doubts(view(["a 1"], (MAIN, ["a 1"]), **FRESH), 0, baseline=baseline) == expected
    assert doubts(view(["a 1"], (MAIN, ["a 1"]), (SECURITY, []), **FRESH), 0, baseline=baseline) == ()


def test_the_security_archive_is_apts_notion():
    """Elsewhere notices say what is a security update, in any repository."""
    node = view(["a 1-1"], (BASEOS, ["a 1-1"]), manager=Manager.DNF, notices=[notice()], **FRESH)
    assert doubts(node, 0, baseline=rocky(rule())) == ()


NON_SECURITY = rule(enable_non_security=True)


@pytest.mark.parametrize(
    ("system", "rules", "more", "expected"),
    [
        (OperatingSystem.ROCKY_LINUX, [rule()], {}, (Doubt.NO_NOTICES,)),
        (OperatingSystem.ROCKY_LINUX, [NON_SECURITY], {}, (Doubt.NO_NOTICES,)),
        (OperatingSystem.ROCKY_LINUX, [rule()], {"approved": ("a-*",), "approved_non_security": True}, ()),
        (OperatingSystem.ROCKY_LINUX, [], {"approved": ("a-*",)}, (Doubt.NO_NOTICES,)),
        (OperatingSystem.ROCKY_LINUX, [], {}, ()),
        (OperatingSystem.CENTOS, [rule()], {}, (Doubt.NO_NOTICES,)),
        (OperatingSystem.CENTOS, [rule(), NON_SECURITY], {}, ()),
        (OperatingSystem.SUSE, [NON_SECURITY], {}, (Doubt.NO_NOTICES,)),
        (OperatingSystem.SUSE, [], {"approved": ("SUSE-1",)}, (Doubt.NO_NOTICES,)),
        (OperatingSystem.SUSE, [], {}, ()),
    ],
)
def test_without_notices_a_baseline_that_needs_them_cannot_tell(system, rules, more, expected):
    """Nothing could ever be missing; one notice for anything on the node is enough to tell."""
    manager = Manager.ZYPPER if system is OperatingSystem.SUSE else Manager.DNF
    baseline = Baseline(system, rules=tuple(rules), **more)
    members = {"manager": manager, "operating_system": system, **FRESH}

    assert doubts(view(["a 1-1"], (BASEOS, ["a 1-1"]), **members), 0, baseline=baseline) == expected
    assert doubts(view(["a 1-1"], (BASEOS, []), notices=[notice()], **members), 0, baseline=baseline) == ()


def test_unfinished_packages_are_a_doubt_even_where_no_baseline_speaks_of_them():
    """They are no patch that is missing, and the node is not in order."""
    node = view(["a 1", package("stranger 1", "half-configured")], (SECURITY, ["a 1"]), **FRESH)
    assert judged(ALL, node).compliant
    assert doubts(node, 0) == (Doubt.PACKAGES_UNFINISHED,)
    waiting = view([package("a 1", "triggers-pending")], (SECURITY, ["a 1"]), **FRESH)
    assert doubts(waiting, 0) == ()


def test_what_counts_as_stale_can_be_said():
    """In seconds."""
    assert doubts(view(["a 1"], (MAIN, ["a 1"]), **FRESH), 11, stale_after=10)[0] is Doubt.FACTS_STALE


@pytest.mark.parametrize(
    ("judgement", "found", "expected"),
    [
        (Judgement(()), (), Standing.COMPLIANT),
        (Judgement(()), (Doubt.FACTS_STALE,), Standing.UNKNOWN),
        (None, (Doubt.NO_FACTS,), Standing.UNKNOWN),
        (None, (), Standing.UNKNOWN),
        (Judgement((item("Missing"),)), (Doubt.FACTS_STALE,), Standing.NON_COMPLIANT),
        (Judgement((item("Missing"),)), (), Standing.NON_COMPLIANT),
    ],
)
def test_what_is_known_to_be_wrong_outweighs_doubt(judgement, found, expected):
    """And doubt outweighs what looks well."""
    assert standing(judgement, found) is expected
