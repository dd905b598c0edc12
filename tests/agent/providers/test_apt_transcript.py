# SPDX-License-Identifier: Apache-2.0
"""Reading what the apt and dpkg of three Debian releases really printed (tests/recorded)."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchwright.agent.providers.apt import lists, policy, transcript
from patchwright.agent.providers.resolver import Simulated
from patchwright.core.facts import Pin

RECORDED = Path(__file__).resolve().parents[2] / "recorded"
RELEASES = {"debian-11": "bullseye", "debian-12": "bookworm", "debian-13": "trixie"}


@pytest.fixture(params=sorted(RELEASES))
def release(request: pytest.FixtureRequest) -> str:
    """Each recorded release."""
    return str(request.param)


def played(release: str, case: str) -> tuple[str, str, int]:
    """One recording: stdout, stderr, code."""
    stem = f"{release}.{case}"
    texts = [(RECORDED / f"{stem}.{suffix}").read_text() for suffix in ("stdout", "stderr", "code")]
    return texts[0], texts[1], int(texts[2])


def test_indexes_are_read_with_their_origin(release):
    """Each suite is one target; the security archive is told from the rest; the address has neither index nor port."""
    targets = lists.targets(played(release, "indextargets.plain")[0])
    name = RELEASES[release]

    assert {target.address: target.origin.is_security for target in targets} == {
        f"http://archive.invalid/debian {name}/main": False,
        f"http://archive.invalid/debian {name}-updates/main": False,
        f"http://archive.invalid/debian-security {name}-security/main": True,
    }
    assert {target.origin.codename for target in targets} == {name, f"{name}-security", f"{name}-updates"}


def test_priorities_are_found_by_the_indexes_description(release):
    """Every target has its line in the policy."""
    read = policy.policy(played(release, "policy.all")[0])
    targets = lists.targets(played(release, "indextargets.plain")[0])

    assert {read.priorities[target.description] for target in targets} == {500}
    assert Pin("pinned", "1:1.0-2", -5) in read.pins


def test_candidates_and_version_priorities_are_read(release):
    """Installed, new, pinned down and unknown packages."""
    read = policy.versions(played(release, "policy.names")[0])

    assert {name: entry.candidate for name, entry in read.items()} == {
        "fine": "1.0-2",
        "new": "1.0-2",
        "pinned": "1.0-1",
        "nowhere": "",
    }
    assert read["pinned"].priorities == {"1:1.0-2": -5, "1.0-1": 500}


def test_a_simulation_is_read(release):
    """Upgrades with the version before, new packages without."""
    told = transcript.simulation(played(release, "simulate.fine")[0])

    assert set(told.installed) == {
        Simulated("fine", "all", "1.0-1", "1.0-2"),
        Simulated("new", "all", "", "1.0-2"),
        Simulated("post", "all", "1.0-1", "1.0-2"),
    }
    assert told.removed == ()


def test_unmet_dependencies_are_the_reason(release):
    """The package that is blamed, with every dependency that apt could not meet."""
    stdout, stderr, code = played(release, "simulate.unmet")

    assert code == 100
    assert transcript.named(stdout, stderr) == {"needy"}
    assert transcript.why_not(stdout, stderr, "needy") == (
        "Depends: nowhere but it is not installable; Depends: fine (>= 3) but 1.0-2 is to be installed"
    )
    assert transcript.why_not(stdout, stderr, "other").startswith("needy Depends: nowhere")


def test_a_removal_is_named(release):
    """apt names what it would have to remove, then refuses."""
    assert transcript.removals(played(release, "simulate.remove")[0]) == ("victim",)


def test_unknown_versions_are_named(release):
    """Both a version and a package that do not exist are found."""
    stdout, stderr, _ = played(release, "simulate.unknown")

    assert transcript.named(stdout, stderr) == {"fine", "nowhere"}
    assert "Version '9.9' for 'fine' was not found" in transcript.why_not(stdout, stderr, "fine")


@pytest.mark.parametrize("case", ["install.locked", "configure.locked"])
def test_a_held_lock_is_seen(release, case):
    """apt and dpkg say which lock they could not get."""
    stdout, stderr, code = played(release, case)
    holder = transcript.lock_holder(stdout + stderr)

    assert code != 0
    assert holder is not None
    assert holder.path == "/var/lib/dpkg/lock-frontend"


def test_waiting_for_a_lock_in_the_end_got_is_no_failure():
    """apt's lines about waiting do not count without an error."""
    text = (
        "Waiting for cache lock: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 7 (apt)...\nok\n"
    )

    assert transcript.lock_holder(text) is None
    assert transcript.lock_holder(
        "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 7 (apt-get)\n"
        "E: Unable to lock directory /var/lib/apt/lists/\n"
    ) == transcript.Holder("/var/lib/apt/lists/lock", 7, "apt-get")


def test_an_archive_that_is_gone_is_named(release):
    """The package whose .deb answers 404, with the address."""
    _, stderr, code = played(release, "install.gone")
    failures = transcript.fetch_failures(stderr)

    assert code == 100
    assert list(failures) == ["gone"]
    assert "gone_1.0-2_all.deb: 404 Not Found" in failures["gone"]


@pytest.mark.parametrize("case", ["install.scripts", "configure.scripts"])
def test_failing_scripts_are_the_reason(release, case):
    """The failing script is named by dpkg, and what waits for its package says for which."""
    _, stderr, _ = played(release, case)
    failures = transcript.package_failures(stderr)
    unpacking = {"pre": "new pre package pre-installation script subprocess returned error exit status 2"}

    assert failures == {
        "post": "installed post package post-installation script subprocess returned error exit status 1",
        "waits": "waits depends on post (>= 1.0-2); however: Package post is not configured yet.",
        **(unpacking if case == "install.scripts" else {}),
    }


@pytest.mark.parametrize(
    ("case", "suffix", "word"),
    [("nosuite", "nosuch", "does not have a Release file"), ("silent", "-security", "Connection refused")],
)
def test_a_repository_that_cannot_be_read_is_named(release, case, suffix, word):
    """One problem for the one repository, whatever the exit code was."""
    problems = transcript.repository_problems(*played(release, f"update.{case}"))

    assert len(problems) == 1
    assert problems[0].repository.endswith(suffix)
    assert word in problems[0].message


def test_a_bad_signature_is_named_though_apt_ends_with_0(release):
    """apt keeps the old lists and reports success; the problem says that the signature is bad."""
    stdout, stderr, code = played(release, "update.signature")
    problems = transcript.repository_problems(stdout, stderr, code)

    assert code == 0
    assert [problem.repository for problem in problems] == [f"http://archive.invalid/debian {RELEASES[release]}"]
    assert "signature" in problems[0].message


def test_unreadable_sources_are_a_problem_of_no_repository(release):
    """apt names the file."""
    problems = transcript.repository_problems(*played(release, "update.malformed"))

    assert [problem.repository for problem in problems] == [""]
    assert "broken.list" in problems[0].message


@pytest.mark.parametrize(
    "warning",
    [
        "W: http://archive.invalid/debian/dists/bookworm/InRelease: Key is stored in legacy trusted.gpg keyring",
        "W: Target Packages (main/binary-amd64/Packages) is configured multiple times in /etc/apt/sources.list:1",
        "N: Skipping acquire of configured file 'main/binary-i386/Packages'",
        "",
    ],
)
def test_warnings_that_leave_the_lists_fresh_are_no_problem(warning):
    """Nothing was missed."""
    assert transcript.repository_problems("Hit:1 http://archive.invalid/debian bookworm InRelease\n", warning, 0) == ()


@pytest.mark.parametrize(
    ("line", "repository"),
    [
        (
            "E: The repository 'http://me:pw@archive.invalid/debian bookworm InRelease' is not signed.",
            "http://archive.invalid/debian bookworm",
        ),
        (
            "E: Release file for http://archive.invalid/debian/dists/bookworm-security/InRelease is expired.",
            "http://archive.invalid/debian bookworm-security",
        ),
        (
            "E: Failed to fetch http://archive.invalid/debian/dists/bookworm/main/binary-amd64/Packages.xz  Hash Sum mismatch",
            "http://archive.invalid/debian bookworm",
        ),
        (
            "E: Repository 'http://archive.invalid/debian bookworm InRelease' changed its 'Suite' value",
            "http://archive.invalid/debian bookworm",
        ),
        ("W: Failed to fetch file:/srv/repo/./Packages  File not found - /srv/repo/./Packages (2: No such file)", ""),
    ],
)
def test_other_words_for_a_problem_name_the_repository(line, repository):
    """Expired, unsigned, half-synced, renamed: all of them name address and suite, without credentials."""
    problems = transcript.repository_problems("", line, 100)

    assert [problem.repository for problem in problems] == [repository]
    assert "pw" not in repr(problems)


def test_numbered_archives_and_architectures_are_understood():
    """apt numbers archives when there are many, and dpkg qualifies packages of several architectures."""
    text = (
        "dpkg: error processing archive /tmp/apt-dpkg-install-x1/03-libfoo_1%3a2.0_arm64.deb (--unpack):\n"
        " trying to overwrite '/usr/lib/x', which is also in package bar 1.0\n"
        "dpkg: error processing package libbar:arm64 (--configure):\r\n"
        " package libbar:arm64 is not ready for configuration\r\n"
    )

    assert transcript.package_failures(text) == {
        "libfoo": "trying to overwrite '/usr/lib/x', which is also in package bar 1.0",
        "libbar:arm64": "package libbar:arm64 is not ready for configuration",
    }


@given(
    st.lists(st.sampled_from([line for path in sorted(RECORDED.glob("*.std*")) for line in path.open()]), max_size=40)
)
def test_no_mixture_of_lines_stops_the_reading(lines):
    """Whatever order real lines come in, every reader answers, and every reason is a bounded line without controls."""
    text = "".join(lines)
    lists.targets(text)
    policy.policy(text)
    policy.versions(text)
    transcript.simulation(text)
    transcript.lock_holder(text)
    problems = transcript.repository_problems(text, text, 100)
    reasons = [transcript.why_not(text, text, "needy"), *(problem.message for problem in problems)]
    reasons += [*transcript.package_failures(text).values(), *transcript.fetch_failures(text).values()]

    assert problems
    assert all(0 < len(reason) <= 1000 and reason.isprintable() for reason in reasons)
