# SPDX-License-Identifier: Apache-2.0
"""A run with a baseline's own repositories: every task has them, whatever dies in between, and no other run has."""

from __future__ import annotations

import os
import stat
import time

import pytest

from agent.simulator import Refusal
from agent.test_resume import crash_everywhere
from patchwright.agent import sourcing
from patchwright.core.source import Source, digest

OURS = Source("ours", "deb http://user:hush@ours.example stable main")
DAY = 86_400.0
WITH = ["refresh with ours", "resolve with ours", "install begins with ours"]


@pytest.fixture
def sourced(stage):
    """A stage whose baseline names a repository that offers another openssl and no zlib1g."""
    stage.set(sources={"ours": {"openssl": ["3.0.9-1"]}})
    stage.simulator.sources = (OURS,)
    return stage


def test_a_scan_sees_what_they_offer_and_says_so(sourced):
    """The facts carry the digest; the next run, of a baseline without any, sees the node's own again."""
    command = sourced.send("Scan")
    assert sourced.once() == 0, sourced.logs()
    (step,) = sourced.simulator.final(command)["runtimeStatus"].values()
    assert step["standardOutput"] == "missing: openssl=3.0.9-1"

    sourced.simulator.sources = ()
    command = sourced.send("Scan")
    sourced.once()
    (step,) = sourced.simulator.final(command)["runtimeStatus"].values()
    assert step["standardOutput"] == "missing: openssl=3.0.2-1 zlib1g=1.2-2"
    assert sourced.history == ["refresh with ours", "refresh"]


def test_every_task_of_an_install_has_them_across_its_restart(sourced):
    """Facts, resolution, installation and the facts after the restart; nothing of them is in what the node tells or logs."""
    sourced.set(reboot_kills=True)
    command = sourced.send("Install")
    while sourced.simulator.queue or not any(
        reply["documentStatus"] == "Success" for reply in sourced.simulator.replies_of(command)
    ):
        sourced.once()
    assert sourced.installed == {"openssl": "3.0.9-1", "zlib1g": "1.2-1"}
    assert [line for line in sourced.history if "with" in line] == WITH
    (operation,) = sourced.simulator.operations.values()
    assert [message.facts.sources for message in operation.messages] == [digest([OURS])] * 3
    assert [message.facts.boot_id for message in operation.messages] == ["boot-1", "boot-1", "boot-2"]
    assert "hush" not in sourced.logs()
    assert "hush" not in repr(sourced.simulator.replies)


def test_a_drifted_plan_is_made_anew_with_them(sourced):
    """What moved is looked up where the plan came from, and so is what takes its place."""
    sourced.set(drifts=1, offers={"openssl": ["3.0.2-1"]})
    sourced.simulator.before["PutResolution"] = lambda: sourced.set(sources={"ours": {"openssl": ["3.0.10-1"]}})
    sourced.send("Install", reboot="NoReboot")
    sourced.once()
    assert sourced.installed["openssl"] == "3.0.10-1"
    assert sourced.history.count("resolve with ours") == 2


@pytest.mark.slow
def test_the_worker_dies_at_every_transition_and_no_task_forgets_them(tmp_path, simulator, zygote):
    """At every durable write, before and after it: no task runs without the repositories that the operation began with."""
    simulator.sources = (OURS,)
    seen = 0
    made = crash_everywhere(
        tmp_path, simulator, zygote, role="work", operation="Install", sources={"ours": {"openssl": ["3.0.9-1"]}}
    )
    for stage, command, where in made:
        assert simulator.final(command)["documentStatus"] == "Success", where
        assert stage.installed == {"openssl": "3.0.9-1", "zlib1g": "1.2-1"}, where
        assert [line for line in stage.history if line.startswith(("refresh", "resolve", "install begins"))] == WITH, (
            where
        )
        seen += 1
    assert seen > 30


def test_an_answer_that_cannot_be_read_ends_the_step(stage):
    """More sources than a baseline may have are not believed, and nothing is done on the node."""
    stage.simulator.sources = (OURS,) * 21
    command = stage.send("Scan")
    stage.once()
    final = stage.simulator.final(command)
    assert final["documentStatus"] == "Failed"
    (step,) = final["runtimeStatus"].values()
    assert "no list of at most 20" in step["standardError"]
    assert stage.history == []


def test_a_refusal_of_the_facts_ends_the_step_in_the_servers_words(sourced):
    """A server that wants other repositories than it named says so, and the step has Failed."""
    sourced.simulator.refusing["PutFacts"] = Refusal("InvalidOperationException", "not with these")
    command = sourced.send("Scan")
    sourced.once()
    (step,) = sourced.simulator.final(command)["runtimeStatus"].values()
    assert "not with these" in step["standardError"]


def test_what_belongs_to_sources_is_kept_beside_the_state_and_found_again(tmp_path):
    """One directory for the same sources, which programs that are not root may enter and not list."""
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    path = sourcing.place(state, (OURS,))
    assert path == sourcing.place(state, (OURS,))
    assert path.parent == tmp_path / "state-sources"
    assert path != sourcing.place(state, (OURS, OURS))
    assert [stat.S_IMODE(one.stat().st_mode) for one in (path, path.parent)] == [0o711, 0o711]


def test_what_was_not_used_for_a_week_is_removed(tmp_path):
    """Counted from the last use; what is in use stays, and without anything left the directory goes, too."""
    state, now = tmp_path / "state", time.time()
    old, young = (OURS,), (OURS, OURS)
    sourcing.tidy(state, old, now=now)
    (sourcing.place(state, old) / "lists").mkdir(parents=True)
    sourcing.tidy(state, old, now=now)
    sourcing.place(state, young)
    sourcing.tidy(state, young, now=now + 6 * DAY)
    places = [sourcing.place(state, one) for one in (old, young)]
    assert all((place / "used").exists() for place in places)

    sourcing.tidy(state, (), now=now + 8 * DAY)
    assert [place.exists() for place in places] == [False, True]
    sourcing.tidy(state, (), now=now + 14 * DAY)
    assert os.listdir(tmp_path) == []
    sourcing.tidy(state, (), now=now + 14 * DAY)
