# SPDX-License-Identifier: Apache-2.0
"""The exchange, phase by phase, against a server that speaks it."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from agent.simulator import Refusal
from patchwright.agent import facts, patch_run
from patchwright.agent.client import Refused
from patchwright.agent.desk import Desk
from patchwright.agent.errors import UnsupportedSystem
from patchwright.core.protocol import MAX_REPLANS


def step(final):
    """The one step of a final reply."""
    (found,) = final["runtimeStatus"].values()
    return found


def test_a_scan_reports_what_is_missing_and_changes_nothing(stage):
    """A Scan sends facts, gets the report, and the report is the step's output."""
    command = stage.send("Scan")

    assert stage.once() == 0, stage.logs()
    final = stage.simulator.final(command)
    assert final["documentStatus"] == "Success"
    assert step(final)["standardOutput"] == "missing: openssl=3.0.2-1 zlib1g=1.2-2"
    assert stage.history == ["refresh"]


def test_an_install_does_the_plan_and_restarts_once(stage):
    """An Install changes exactly the plan, restarts because the server says so, and reports from after the restart."""
    command = stage.send("Install")

    assert stage.once() == 0, stage.logs()
    final = stage.simulator.final(command)
    assert final["documentStatus"] == "Success", step(final)
    assert stage.installed == {"openssl": "3.0.2-1", "zlib1g": "1.2-2"}
    assert stage.history == [
        "refresh",
        "resolve",
        "install begins",
        "install openssl 3.0.2-1",
        "install zlib1g 1.2-2",
        "install ends",
        "reboot asked",
    ]
    (operation,) = stage.simulator.operations.values()
    assert [(m.phase.value, m.facts.boot_id, m.acted_boot_id) for m in operation.messages] == [
        ("before", "boot-1", ""),
        ("after", "boot-1", "boot-1"),
        ("after", "boot-2", "boot-1"),
    ]
    assert [message.number for message in operation.messages] == [1, 2, 3]


def test_no_reboot_means_none(stage):
    """With NoReboot the operation ends in the boot it began in."""
    command = stage.send("Install", reboot="NoReboot")

    stage.once()
    assert stage.simulator.final(command)["documentStatus"] == "Success"
    assert "reboot asked" not in stage.history


def test_bodies_are_sent_once(stage):
    """What the server has seen it does not ask for again; bodies go compressed."""
    stage.send("Scan")
    stage.once()
    stage.send("Scan")
    stage.once()

    assert stage.simulator.count("PutBodies") == 1
    (request,) = [raw for raw in stage.simulator.raw if raw["X-Amz-Target"].endswith("PutBodies")]
    assert request["Content-Encoding"] == "gzip"


def test_what_cannot_be_resolved_is_explained_and_the_rest_installed(stage):
    """A wanted update the resolver has no way for goes into the plan as unresolved, and nothing else suffers."""
    stage.set(unresolved={"openssl": "held on the node"})
    command = stage.send("Install", reboot="NoReboot")

    stage.once()
    assert stage.installed == {"openssl": "3.0.1-1", "zlib1g": "1.2-2"}
    (operation,) = stage.simulator.operations.values()
    assert operation.plans[0].unresolved == (("openssl.amd64", "held on the node"),)
    assert stage.simulator.final(command)["documentStatus"] == "Success"


def test_a_package_that_fails_is_named_with_its_reason(stage):
    """What the package manager said of a failed package reaches the report; the others are installed."""
    stage.set(failing={"openssl": "post-installation script subprocess returned error exit status 1"})
    command = stage.send("Install", reboot="NoReboot")

    stage.once()
    final = stage.simulator.final(command)
    assert final["documentStatus"] == "Failed"
    assert "openssl.amd64: post-installation script" in step(final)["standardError"]
    assert step(final)["code"] == 1
    assert stage.installed["zlib1g"] == "1.2-2"


def test_an_installer_that_breaks_down_is_reported_per_package(stage):
    """Where the package manager itself fails, every package it did not bring to its version carries the reason."""
    stage.set(installer_breaks=True)
    command = stage.send("Install", reboot="NoReboot")

    stage.once()
    (operation,) = stage.simulator.operations.values()
    assert sorted(operation.messages[-1].failures) == ["openssl.amd64", "zlib1g.amd64"]
    assert "No space left on device" in step(stage.simulator.final(command))["standardError"]


def test_drift_once_makes_a_second_plan(stage):
    """A package that moved between plan and act is planned again with what it is now; nothing of the old plan happens."""
    stage.set(drifts=1)
    command = stage.send("Install", reboot="NoReboot")

    stage.once()
    (operation,) = stage.simulator.operations.values()
    assert stage.simulator.final(command)["documentStatus"] == "Success"
    assert stage.installed["openssl"] == "3.0.2-1.1"
    assert sorted(operation.plans) == [0, 1]
    assert next(m.drift for m in operation.messages if m.attempt == 1) == (
        "openssl.amd64: candidate is 3.0.2-1.1, the plan says 3.0.2-1",
    )
    assert stage.history.count("install begins") == 1


def test_drift_every_time_fails_and_says_what_moved(stage):
    """After the last replan the server ends it: Failed, naming the package, and nothing was installed."""
    stage.set(drifts=99)
    command = stage.send("Install", reboot="NoReboot")

    stage.once()
    final = stage.simulator.final(command)
    (operation,) = stage.simulator.operations.values()
    assert final["documentStatus"] == "Failed"
    assert "openssl.amd64: candidate is" in step(final)["standardError"]
    assert sorted(operation.plans) == list(range(MAX_REPLANS + 1))
    assert "install begins" not in stage.history


def test_a_server_that_replans_for_ever_is_left(stage, monkeypatch):
    """The node stops by itself when the server keeps planning though everything drifts."""
    monkeypatch.setattr("agent.simulator.MAX_REPLANS", 1000)
    stage.set(drifts=99)
    command = stage.send("Install", reboot="NoReboot")

    stage.once()
    final = stage.simulator.final(command)
    assert final["documentStatus"] == "Failed"
    assert "goes on planning" in step(final)["standardError"]


def test_a_lock_that_is_held_ends_the_step_and_names_the_holder(stage):
    """Another package manager at work: Failed, with who holds the lock and what to do."""
    stage.set(lock_held=True)
    command = stage.send("Scan")

    stage.once()
    found = step(stage.simulator.final(command))
    assert found["status"] == "Failed"
    assert found["code"] == 1
    assert "process 4711 (apt-get upgrade) holds /var/lib/apt/lists/lock" in found["standardError"]


def test_a_dead_repository_is_the_servers_to_judge(stage):
    """A repository that cannot be read goes into the facts; the server's report says what follows."""
    stage.set(dead_repositories=["http://dead.example/debian"])
    command = stage.send("Scan")

    stage.once()
    (operation,) = stage.simulator.operations.values()
    assert operation.messages[0].facts.problems[0].repository == "http://dead.example/debian"
    assert stage.simulator.final(command)["documentStatus"] == "Failed"


@pytest.mark.parametrize("operation", ["BeginOperation", "PutFacts", "PutBodies", "PutResolution"])
def test_a_refusal_ends_the_step_with_the_servers_words(stage, operation):
    """Whatever message of the exchange is refused: Failed at once, saying what the server said."""
    stage.simulator.refusing[operation] = Refusal("DoesNotExistException", "There is no such baseline.")
    command = stage.send("Install")

    stage.once()
    found = step(stage.simulator.final(command))
    assert found["status"] == "Failed"
    assert "DoesNotExistException: There is no such baseline." in found["standardError"]
    assert "install begins" not in stage.history


def test_a_system_that_no_baseline_covers_is_told_to_the_server(monkeypatch, tmp_path):
    """It refuses, and knows that what it knows is old; the step ends with the node's own words."""
    said = []

    class Server:
        def call(self, operation, members, **_):
            said.append((operation, members["CommandId"], members["OperatingSystem"]))
            raise Refused("InvalidOperationException", "No patch baseline can cover it.")

    def strange(*_):
        raise UnsupportedSystem("no patch baseline covers Strange 1")

    monkeypatch.setattr(facts, "supported_system", strange)
    settings = SimpleNamespace(backoff_cap_seconds=1.0)
    desk = Desk(Server(), None, SimpleNamespace(clock=None), settings, lambda: False)
    with pytest.raises(UnsupportedSystem, match="Strange 1"):
        patch_run.PatchRun(desk, {}, lambda: None, tmp_path).run("command", "PatchLinux")
    assert said == [("BeginOperation", "command", "UNSUPPORTED")]


def test_a_node_that_does_not_restart_is_asked_three_times_and_fails(stage):
    """A boot id that stays the same means no restart, whatever the request came to."""
    stage.set(reboot_ignored=True)
    command = stage.send("Install")

    stage.once()
    found = step(stage.simulator.final(command))
    assert stage.history.count("reboot asked") == 3
    assert found["status"] == "Failed"
    assert "the node did not restart" in found["standardError"]


def test_a_refused_restart_is_quoted(stage):
    """Where the system refuses the restart, its reason is in the report."""
    stage.set(reboot_refused=True)
    command = stage.send("Install")

    stage.once()
    assert "Operation inhibited" in step(stage.simulator.final(command))["standardError"]


def test_a_restart_kills_the_worker_and_the_run_goes_on_after_it(stage):
    """The worker dies with the boot; the next one sees another boot id, asks no more, and reports."""
    stage.set(reboot_kills=True)
    command = stage.send("Install")

    stage.once()
    assert stage.history.count("reboot asked") == 1
    assert stage.simulator.final(command)["documentStatus"] == "Success"


def test_a_task_that_is_killed_every_time_is_given_up(stage):
    """A child that dies without a result (out of memory) is started three times, then the step fails and says so."""
    stage.set(killed_in_refresh=True)
    command = stage.send("Scan")

    stage.once()
    found = step(stage.simulator.final(command))
    assert stage.history == ["refresh"] * 3
    assert "killed 3 times" in found["standardError"]


def test_a_cancellation_before_anything_changed_stops_the_run(stage):
    """Cancelled while the exchange is under way: nothing is installed, the status says Cancelled."""
    command = stage.send("Install")
    cancel = stage.state_dir / "commands" / "cancel" / command
    stage.simulator.before["PutResolution"] = cancel.touch

    stage.once()
    final = stage.simulator.final(command)
    assert final["documentStatus"] == "Cancelled"
    assert step(final)["status"] == "Cancelled"
    assert "install begins" not in stage.history


def test_a_cancellation_after_the_change_does_not_hide_it(stage):
    """Once the installation has begun the truth is reported, cancelled or not."""
    command = stage.send("Install", reboot="NoReboot")
    cancel = stage.state_dir / "commands" / "cancel" / command
    (stage.directory / "gate").touch()
    try:
        agent = stage.start()
        stage.wait_for(lambda: "install openssl 3.0.2-1" in stage.history, "the installation was under way")
        cancel.touch()
    finally:
        (stage.directory / "gate").unlink()
    assert stage.wait_for_final(command)["documentStatus"] == "Success"
    assert agent.poll() is None


def test_an_unknown_body_is_not_sent(stage):
    """A server that asks for a digest the facts do not name is not believed."""
    stage.simulator.handle = _asking_for(stage.simulator.handle, "set1:" + "0" * 64)
    command = stage.send("Scan")

    stage.once()
    assert "which these facts do not name" in step(stage.simulator.final(command))["standardError"]


def _asking_for(handle, digest):
    def answer(operation, caller, members):
        if operation == "PutFacts":
            return {"Next": "send-bodies", "Missing": [digest]}
        return handle(operation, caller, members)

    return answer


def test_the_plan_must_be_the_one_its_digest_names(stage):
    """A plan changed on the way is not carried out."""
    handle = stage.simulator.handle

    def forging(operation, caller, members):
        answer = handle(operation, caller, members)
        if operation == "PutResolution":
            answer["Plan"]["actions"][0][3] = "9.9-evil"
        return json.loads(json.dumps(answer))

    stage.simulator.handle = forging
    command = stage.send("Install")

    stage.once()
    assert "is not the one its digest" in step(stage.simulator.final(command))["standardError"]
    assert "install begins" not in stage.history
