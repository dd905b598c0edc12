# SPDX-License-Identifier: Apache-2.0
"""`patchwright scan`: what is missing, what is kept out and why, without a server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from typing import Any

import pytest

from cli.bench import FakeClock, Result, run_here
from core.made import BASEOS, MAIN, SECURITY, UPDATES, notice, offer, package, view
from patchwright.__main__ import take_view
from patchwright.agent import facts, providers
from patchwright.agent.errors import LockHeld
from patchwright.cli.offline import survey
from patchwright.cli.program import Setup
from patchwright.core.advisory import Notice
from patchwright.core.facts import Pin, RepositoryProblem, View
from patchwright.core.package import Manager
from patchwright.core.system import OperatingSystem

NOW = FakeClock().time
FRESH = {"observed_at": NOW, "refreshed_at": NOW - 60}
DEBIAN = view(
    ["openssl 3.0.1-1", "bash 5.1-1", "vim 9.0-1", "linux-image 6.1-1", "ours 1.0-1"],
    (SECURITY, ["openssl 3.0.2-1", "vim 9.0-2", "linux-image 6.1-2"]),
    (MAIN, ["openssl 3.0.1-1", "bash 5.2-1", "vim 9.0-1"]),
    held=("vim.amd64",),
    reboot_reasons=("the kernel 6.1-1 runs, 6.1-2 is installed",),
    stale_services=("ssh.service",),
    kernel="6.1.0-1-amd64",
    **FRESH,
)


def scanned(seen: View, *words: str, problems: Sequence[str] = (), asked: list[bool] | None = None) -> Result:
    """`patchwright scan WORDS` on a machine that has these facts."""

    def take(refresh: bool) -> tuple[View, Sequence[str]]:
        if asked is not None:
            asked.append(refresh)
        return seen, problems

    return run_here(["scan", *words], Setup(take_view=take, clock=FakeClock()))


def document(seen: View, *words: str, **more: Any) -> dict[str, Any]:
    """The JSON document of such a scan."""
    found: dict[str, Any] = scanned(seen, "--json", *words, **more).json
    return found


def states(found: dict[str, Any]) -> dict[str, str]:
    """By package, its state."""
    return {patch["KBId"]: patch["State"] for patch in found["LiveVerdict"]["Patches"]}


def test_on_suse_patches_are_missing_and_kept_out():
    """Under their own names, with the packages that they would change; and a scan without --json shows them."""
    patch = Notice("SUSE-2026-1", "security", "important", updated="2020-01-01", packages=(("a", "x86_64", "2-1"),))
    later = Notice("SUSE-2026-2", "recommended", "low", updated="2020-01-01", packages=(("a", "x86_64", "3-1"),))
    other = Notice("SUSE-2026-3", "security", "important", updated="2020-01-01", packages=(("b", "x86_64", "3-1"),))
    members = {"operating_system": OperatingSystem.SUSE, "product": "Suse15.6", **FRESH}
    seen = view(["a.x86_64 1-1"], (UPDATES, []), manager=Manager.ZYPPER, notices=[patch, later, other], **members)
    found = document(seen)

    assert states(found) == {"SUSE-2026-1": "Missing"}
    assert found["LiveVerdict"]["Counts"]["NotApplicable"] == 1
    (kept,) = found["KeptOut"]
    assert (kept["KBId"], kept["Installed"], kept["Verdict"]) == ("SUSE-2026-2", "a.x86_64:1-1", "NOT_APPROVED")
    assert kept["Reasons"] == ["rule 1 does not match on CLASSIFICATION"]
    shown = scanned(seen).out
    assert "SUSE-2026-1" in shown
    assert "SUSE-2026-2" in shown


def test_what_security_archives_offer_is_missing_and_the_rule_is_named():
    """The default baseline of Debian approves security updates; each missing one says which rule approved it."""
    found = document(DEBIAN)

    missing = {key for key, state in states(found).items() if state == "Missing"}
    assert {"openssl.amd64", "vim.amd64", "linux-image.amd64"} == missing
    reasons = {
        patch["KBId"]: patch["Reason"] for patch in found["LiveVerdict"]["Patches"] if patch["State"] == "Missing"
    }
    assert "rule 1 approves it" == reasons["openssl.amd64"]
    assert "rule 1 approves it; the package is held on the node" == reasons["vim.amd64"]


def test_an_update_that_is_offered_and_not_approved_says_why():
    """bash is upgradable and no security update: it is kept out, by the rule that did not take it."""
    (kept,) = document(DEBIAN)["KeptOut"]

    assert ("bash.amd64", "5.1-1", "5.2-1", "NOT_APPROVED") == tuple(
        kept[name] for name in ("KBId", "Installed", "Version", "Verdict")
    )
    assert ["rule 1 takes security updates only, and this is none"] == kept["Reasons"]


def test_a_version_that_apt_does_not_choose_is_kept_out_by_apt():
    """Where a preference keeps a newer version away, the baseline is not blamed for it."""
    pinned = view(["openssl 3.0.1-1"], (SECURITY, ["openssl 3.0.2-1"]), pins=(Pin("openssl", "3.0.2-1", -1),), **FRESH)

    (kept,) = document(pinned)["KeptOut"]

    assert ["apt's preferences or phasing choose 3.0.1-1"] == kept["Reasons"]
    assert "APPROVED" == kept["Verdict"]


def test_on_rpm_an_update_that_waits_says_until_when():
    """A notice younger than seven days is pending, with the day; an older one is missing with its CVEs."""
    old = notice("RLSA-2026:1", updated="2026-11-01", cves=("CVE-2026-1",))
    young = notice("RLSA-2026:2", updated="2026-11-18")
    rocky = view(
        ["openssl.x86_64 3.0.7-1.el9", "bash.x86_64 5.1-1.el9"],
        (BASEOS, [offer("openssl.x86_64 3.0.7-2.el9", notices=("RLSA-2026:1",))]),
        (UPDATES, [offer("openssl.x86_64 3.0.7-3.el9", notices=("RLSA-2026:2",))]),
        (UPDATES, [offer("bash.x86_64 5.2-1.el9", notices=("RLSA-2026:2",))]),
        manager=Manager.DNF,
        notices=[old, young],
        **FRESH,
    )

    found = document(rocky)

    missing = next(patch for patch in found["LiveVerdict"]["Patches"] if patch["State"] == "Missing")
    assert ("openssl.x86_64", "3.0.7-2.el9", ["CVE-2026-1"]) == (missing["KBId"], missing["Version"], missing["CVEIds"])
    kept = {one["KBId"]: one for one in found["KeptOut"]}
    assert {"openssl.x86_64", "bash.x86_64"} == kept.keys()
    assert "PENDING" == kept["bash.x86_64"]["Verdict"]
    assert "rule 1 approves it on 2026-11-25" in kept["bash.x86_64"]["Reasons"]
    assert "3.0.7-3.el9" == kept["openssl.x86_64"]["Version"]


def test_a_person_reads_all_of_it():
    """Verdict, baseline and its rule, age of the metadata, reboot, services, held packages, missing and kept out."""
    text = scanned(DEBIAN).out

    for expected in (
        "Debian12, kernel 6.1.0-1-amd64: 5 packages",
        "NON_COMPLIANT",
        "AWS-DebianDefaultPatchBaseline (pb-09a5f8eb62bde80b1), on 2026-11-20",
        "approves security updates at once; PRIORITY is Required or Important",
        "fetched 1 min ago (2026-11-20 03:59 UTC)",
        "needed: the kernel 6.1-1 runs, 6.1-2 is installed",
        "1 still run replaced files: ssh.service",
        "held         vim.amd64",
        "\n3 missing\n",
        "\n1 more offered, and kept out\n",
    ):
        assert expected in text
    assert "ours.amd64" not in text
    assert "ours.amd64" in scanned(DEBIAN, "--all").out


def test_a_package_whose_configuration_failed_is_no_missing_one():
    """Unfinished work of the package manager is told apart from what is missing."""
    broken = view([package("openssl 3.0.2-1", "half-configured")], (SECURITY, ["openssl 3.0.2-1"]), **FRESH)

    text = scanned(broken).out

    assert "1 missing or not configured" in text
    assert "the package database says half-configured" in text


def test_the_weight_of_an_update_has_the_systems_name():
    """On apt it is the package's priority, elsewhere the severity of its notice."""
    advised = offer("openssl.x86_64 2-1.el9", notices=("RLSA-2026:1",))
    rocky = view(
        ["openssl.x86_64 1-1.el9"],
        (BASEOS, [advised]),
        manager=Manager.DNF,
        notices=[notice("RLSA-2026:1", updated="2026-11-01")],
        **FRESH,
    )

    assert ["PRIORITY" in scanned(seen).out for seen in (DEBIAN, rocky)] == [True, False]
    assert ["SEVERITY" in scanned(seen).out for seen in (DEBIAN, rocky)] == [False, True]


def test_a_scan_that_finds_something_has_still_succeeded():
    """The exit code says whether the machine could be scanned, not how it is."""
    up_to_date = view(["openssl 3.0.2-1"], (SECURITY, ["openssl 3.0.2-1"]), **FRESH)

    assert [0, 0] == [scanned(DEBIAN).code, scanned(up_to_date).code]
    assert "Nothing is missing." in scanned(up_to_date).out
    assert "COMPLIANT" == document(up_to_date)["LiveVerdict"]["Standing"]


def test_a_machine_that_cannot_tell_says_so():
    """Old metadata, a repository that cannot be read, no repositories: nothing missing is UNKNOWN, with the doubts."""
    old = view(["openssl 3.0.2-1"], (SECURITY, ["openssl 3.0.2-1"]), observed_at=NOW, refreshed_at=NOW - 90 * 3600)
    dead = view(
        ["openssl 3.0.2-1"],
        (SECURITY, []),
        problems=(RepositoryProblem("http://mirror.test", "404 Not Found"),),
        **FRESH,
    )
    bare = view(["openssl 3.0.2-1"], **FRESH)

    found = [document(seen)["LiveVerdict"] for seen in (old, dead, bare)]

    assert ["UNKNOWN"] * 3 == [one["Standing"] for one in found]
    assert [["METADATA_STALE"], ["REPOSITORY_UNREACHABLE"], ["NO_REPOSITORIES"]] == [one["Doubts"] for one in found]
    assert "http://mirror.test: 404 Not Found" in scanned(dead).out


@pytest.mark.parametrize(
    ("user", "words", "refreshes"), [(0, [], True), (0, ["--no-refresh"], False), (1000, [], False)]
)
def test_only_root_refreshes_and_only_when_wanted(monkeypatch, user, words, refreshes):
    """--no-refresh keeps root from it; others are told why their metadata is as old as it is."""
    monkeypatch.setattr(os, "geteuid", lambda: user)
    asked: list[bool] = []

    text = scanned(DEBIAN, *words, asked=asked).out

    assert [refreshes] == asked
    assert (user != 0) == ("repository metadata was not refreshed: only root may" in text)


def test_problems_of_the_machine_are_told():
    """What the reader of the facts could not do stands in the text and in the document."""
    assert "the lock is held" in scanned(DEBIAN, problems=["the lock is held"]).out
    assert "the lock is held" in document(DEBIAN, problems=["the lock is held"])["Problems"]


def test_a_file_that_cannot_be_read_is_a_sentence():
    """What the operating system refuses is exit code 1 and no traceback."""

    def refuse(_refresh: bool) -> tuple[View, Sequence[str]]:
        raise PermissionError(13, "Permission denied", "/var/lib/dpkg/status")

    result = run_here(["scan"], Setup(take_view=refuse, clock=FakeClock()))

    assert (1, "patchwright: [Errno 13] Permission denied: '/var/lib/dpkg/status'\n") == (result.code, result.err)


def test_a_machine_that_cannot_be_scanned_is_exit_code_one():
    """No baseline covers it, its package manager is unknown, or this program has no reader: said, and exit code 1."""

    def refuse(_refresh: bool) -> tuple[View, Sequence[str]]:
        raise LockHeld("/var/lib/dpkg/lock", 4711, "apt-get", waited_seconds=3)

    result = run_here(["scan"], Setup(take_view=refuse, clock=FakeClock()))

    assert (1, "") == (result.code, result.out)
    assert "process 4711 (apt-get) holds" in result.err
    assert 1 == run_here(["scan"], Setup(clock=FakeClock())).code


def test_a_lock_that_is_held_does_not_keep_the_scan_from_happening(monkeypatch):
    """Where another process holds apt's lock, what is there is read, and the holder is named."""
    asked: list[bool] = []

    def take(_provider, *, refresh, clock):
        asked.append(refresh)
        if refresh:
            raise LockHeld("/var/lib/apt/lists/lock", 4711, "apt-get", waited_seconds=30)
        bodies = {DEBIAN.packages.digest: DEBIAN.packages.canonical()}
        bodies.update((part.digest, part.canonical()) for part in DEBIAN.slices)
        return facts.Taken(DEBIAN.facts, bodies)

    monkeypatch.setattr(facts, "take", take)
    monkeypatch.setattr(providers, "load", lambda *_args, **_options: None)

    seen, problems = take_view(True)

    assert (DEBIAN, [True, False]) == (seen, asked)
    assert ["4711" in text for text in problems] == [True]


def test_the_document_speaks_as_the_servers_verdict_does():
    """A program that reads `node show --json` reads the same members here, of one patch and of the verdict."""
    verdict = document(DEBIAN)["LiveVerdict"]

    assert {"Standing", "Doubts", "BaselineId", "BaselineName", "Counts", "Patches", "RefreshedAt"} <= verdict.keys()
    assert {"KBId", "Title", "State", "Installed", "Version", "Classification", "Severity", "CVEIds", "Reason"} <= (
        verdict["Patches"][0].keys()
    )
    assert 3 == verdict["Counts"]["Missing"]


def test_the_day_is_that_of_utc():
    """A baseline decides on the UTC day of the clock that it is given."""
    assert "2026-11-20" == survey(DEBIAN, now=NOW).day.isoformat()
    assert "2026-11-21" == survey(DEBIAN, now=NOW + 20 * 3600).day.isoformat()


@pytest.mark.skipif(not shutil.which("apt"), reason="the machine has no apt")
def test_this_machine_is_read_as_apt_reads_it():
    """Missing and kept out together are, name by name and version by version, what apt calls upgradable; nothing changes."""
    result = run_here(["scan", "--no-refresh", "--json"], Setup(take_view=take_view))
    listed = subprocess.run(
        ["apt", "list", "--upgradable"], capture_output=True, text=True, check=True, env={**os.environ, "LC_ALL": "C"}
    )
    upgradable = {
        (line.split("/")[0], line.split()[1]) for line in listed.stdout.splitlines() if "upgradable from" in line
    }

    found = json.loads(result.out)

    missing = [patch for patch in found["LiveVerdict"]["Patches"] if patch["State"] == "Missing"]
    held_back = [kept for kept in found["KeptOut"] if "apt's preferences" not in kept["Reasons"][0]]
    assert upgradable == {(one["KBId"].rpartition(".")[0], one["Version"]) for one in [*missing, *held_back]}
    assert (0, "") == (result.code, result.err)
