# SPDX-License-Identifier: Apache-2.0
"""Reading what a real zypper and rpm printed (tests/recorded)."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchwright.agent.errors import MetadataUnreadable
from patchwright.agent.providers.locks import Holder
from patchwright.agent.providers.resolver import Request, Simulated
from patchwright.agent.providers.rpm import database as rpm
from patchwright.agent.providers.zypper import answers, configuration
from patchwright.agent.providers.zypper.answers import FINE
from patchwright.agent.providers.zypper.closure import refused
from patchwright.agent.providers.zypper.database import Installed, of
from patchwright.agent.shell import Result

RECORDED = Path(__file__).resolve().parents[2] / "recorded"


def played(case: str) -> Result:
    """One recording."""
    stem = f"zypper-1.14.{case}"
    texts = [(RECORDED / f"{stem}.{suffix}").read_text() for suffix in ("stdout", "stderr", "code")]
    return Result(("zypper",), int(texts[2]), texts[0], texts[1])


def installed(listing: str) -> Installed:
    """What rpm's listing comes to."""
    return of(rpm.parse(listing))


def requests(*names: str, version: str = "1.0-2") -> list[Request]:
    """Requests of made-up packages."""
    return [Request(name, "noarch", version) for name in names]


def test_what_would_be_done_is_read_with_old_and_new_versions():
    """Updates and what they need, epochs included; a kernel beside the installed one has no old version."""
    fine, kernel = answers.summary(played("simulate.fine").stdout), answers.summary(played("simulate.kernel").stdout)

    assert sorted(fine.installed) == [
        Simulated("epochal", "noarch", "2:1.0-1", "2:1.0-2"),
        Simulated("fine", "noarch", "1.0-1", "1.0-2"),
        Simulated("new", "noarch", "", "1.0-2"),
        Simulated("post", "noarch", "1.0-1", "1.0-2"),
    ]
    assert fine.removed == kernel.removed == ()
    assert [(item.name, item.before, item.after) for item in kernel.installed] == [("kernel-default", "", "5.14.21-2")]


def test_a_removal_is_told_from_a_replacement():
    """What is only removed counts, and not the old version of what is forced in again."""
    solvable = '<solvable type="package" name="{}" edition="1-1" arch="noarch"{}>'
    text = "<to-upgrade>{}</to-upgrade><to-remove>{}{}</to-remove>".format(
        solvable.format("foo", ' edition-old="0-1" arch-old="noarch"'),
        solvable.format("foo", ""),
        solvable.format("bar", ""),
    )

    assert answers.summary(text) == answers.Summary((Simulated("foo", "noarch", "0-1", "1-1"),), ("bar.noarch",))


def test_every_problem_is_read_and_laid_to_its_package():
    """Two problems at once: each of the two packages has its own reason, the third has none."""
    result = played("simulate.unmet")
    answer = refused(requests("fine", "needy", "pushy"), result)

    assert result.code not in FINE
    assert answer.reasons == {
        "needy.noarch": "nothing provides nowhere needed by needy-1.0-2.noarch",
        "pushy.noarch": "pushy-1.0-2.noarch conflicts with victim provided by victim-1.0-1.noarch",
    }
    assert "nowhere" in answer.refusal
    assert "victim" in answer.refusal


def test_a_lock_in_the_way_is_named():
    """The problem itself says `conflicting requests` only; its solutions say which lock it is."""
    answer = refused(requests("locked"), played("simulate.lock"))

    assert answer.reasons["locked.noarch"].startswith(
        "conflicting requests (a lock forbids the installation of locked-"
    )
    assert "new-1.0-2.noarch" in refused(requests("barred"), played("simulate.blocked")).reasons["barred.noarch"]


def test_what_nobody_offers_is_laid_to_its_package():
    """A version that is gone, and a name that never was."""
    asked = [Request("fine", "noarch", "9.9-1"), Request("nowhere", "noarch", "1-1")]

    assert refused(asked, played("simulate.unknown")).reasons == {
        "fine.noarch": "no repository offers fine.noarch=9.9-1",
        "nowhere.noarch": "no repository offers nowhere.noarch=1-1",
    }


def test_the_holder_of_the_lock_is_named():
    """Process and program, from exit code 7 and its message; other answers name nobody."""
    locked, fine = played("install.locked"), played("simulate.fine")

    assert answers.holder(locked.stdout, locked.code) == Holder("/run/zypp.pid", 4242, "sleep")
    assert answers.holder("", answers.LOCKED) == Holder("/run/zypp.pid", 0, "")
    assert answers.holder(fine.stdout, fine.code) is None


def test_a_script_that_fails_before_keeps_the_package_out():
    """%pre: zypper stops, and the package has its reason without the noise around it."""
    result = played("install.pre")

    assert result.code not in FINE
    assert answers.failures(result.stdout, requests("pre", "barred")) == {
        "pre.noarch": "error: %prein(pre-1.0-2.noarch) scriptlet failed, exit status 2 error: pre-1.0-2.noarch: install failed"
        " error: pre-1.0-1.noarch: erase skipped"
    }


def test_a_script_that_fails_afterwards_is_found_though_the_package_is_in():
    """%post: exit code 107 and a warning in the middle; the second time zypper has nothing to say."""
    result, again = played("install.post"), played("install.again")

    assert (result.code, again.code) == (answers.SCRIPT_FAILED, 0)
    assert answers.scriptlets(result.stdout, requests("post", "waits")) == {
        "post.noarch": "its %post script failed, exit status 1"
    }
    assert answers.failures(result.stdout, requests("post", "waits")) == {}
    assert answers.scriptlets(again.stdout, requests("post")) == {}


def test_a_file_that_is_gone_is_laid_to_its_package():
    """The medium lacks one package; the other is not blamed."""
    told = answers.failures(played("install.gone").stdout, requests("gone", "fine"))

    assert list(told) == ["gone.noarch"]
    assert "not found on medium" in told["gone.noarch"]


def test_a_server_that_is_busy_is_told_from_a_script_that_says_so():
    """zypper would ask it again for ever; the package is named. The same words in a script's output are no such thing."""
    busy = played("install.busy").stdout
    loud = played("install.post").stdout.replace("oh no", answers.RETRYING.replace("<", "&lt;").replace(">", "&gt;"))

    assert answers.RETRYING in busy
    assert "temporarily unaccessible" in answers.failures(busy, requests("fine"))["fine.noarch"]
    assert answers.RETRYING not in loud


def test_a_repository_that_is_skipped_is_named_with_its_reason():
    """The reason stands before the name; nothing of it is a secret."""
    silent = answers.repository_failures(played("refresh.silent").stdout)

    assert [name for name, _ in silent] == ["Farm updates"]
    assert "Connection failed" in silent[0][1]
    assert "user" not in silent[0][1]
    assert "secret" not in silent[0][1]
    assert answers.repository_failures(played("refresh.fine").stdout) == []
    assert played("refresh.none").code == answers.NO_REPOSITORIES


def test_output_is_shown_without_what_only_programs_read():
    """Messages alone, one a line."""
    text = answers.plain(played("install.post").stdout)

    assert "%post(post-1.0-2.noarch) scriptlet failed, exit status 1" in text
    assert "oh no" in text
    assert "<" not in text
    assert "Alien" not in text


def test_what_rpm_lists_is_read():
    """Epochs that are not 0 show; every row is a package."""
    found = installed(played("rpm.list").stdout)

    assert found.newest()["epochal.noarch"] == "2:1.0-1"
    assert found.newest()["fine.noarch"] == "1.0-1"
    assert {package.state for package in found.packages} == {"installed"}


def test_versions_side_by_side_are_kept_oldest_first():
    """In rpm's order, not the text's; the keys that rpm keeps are no packages."""
    rows = [
        "kernel\tx86_64\t0\t5.9-1\t1",
        "kernel\tx86_64\t0\t5.14-1\t2",
        "gpg-pubkey\t(none)\t0\t1-1\t3",
        "a\tnoarch\t1\t1-1\t4",
    ]
    found = installed("\n".join(rows))

    assert found.versions == {"kernel.x86_64": ("5.9-1", "5.14-1"), "a.noarch": ("1:1-1",)}
    assert found.newest()["kernel.x86_64"] == "5.14-1"
    assert found.has("kernel.x86_64", "5.9-1")


@pytest.mark.parametrize(
    "listing", ["", "gpg-pubkey\t(none)\t0\t1-1\t3\n", "error: cannot open Packages\n", "a\tb\t\t1\t1"]
)
def test_a_database_that_is_lost_is_no_empty_node(listing):
    """A node without packages would miss nothing."""
    with pytest.raises(MetadataUnreadable):
        installed(listing)


def test_the_locks_of_packages_are_read():
    """Of the recorded three, the one of a patch is not a package's; a version narrows."""
    locks = configuration.locks((RECORDED / "zypper-1.14.locks").read_text())

    assert [(lock.pattern, lock.relation, lock.edition) for lock in locks] == [("locked", "", ""), ("vic*", "<", "3")]
    assert [lock.covers("locked", "9-1") for lock in locks] == [True, False]
    assert [lock.covers("victim", version) for lock in locks for version in ("1.0-1", "3-1")] == [
        False,
        False,
        True,
        False,
    ]


@given(st.text(max_size=300))
def test_no_output_breaks_the_readers(text):
    """Whatever a script writes into the middle of it."""
    output = played("install.post").stdout.replace("oh no", text)
    asked = requests("post")

    assert answers.scriptlets(output, asked)["post.noarch"]
    assert isinstance(answers.plain(output + text), str)
    answers.failures(text, asked)
    answers.summary(text)
    answers.refusals(text, asked)
