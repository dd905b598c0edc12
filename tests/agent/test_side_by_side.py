# SPDX-License-Identifier: Apache-2.0
"""Commands run side by side, but patch operations do not, and a restart of the node waits for the others."""

from __future__ import annotations

import os
import signal

import pytest

from agent.test_scripts import send, step, sweep
from patchwright.agent.turns import Turns

GATE = "while test -e {}; do sleep 0.02; done"
INSTALLS = ["install openssl 3.0.2-1", "install zlib1g 1.2-2"]


@pytest.fixture
def gate(real_stage):
    """A file that holds scripts, and the installer in mid-installation, while it is there."""
    path = real_stage.directory / "gate"
    path.touch()
    return path


def ran(stage, name):
    """Whether a script has made its file."""
    return (stage.directory / name).exists()


def test_two_scripts_run_at_the_same_time(real_stage):
    """Each waits for what the other one does: one after the other they would wait for ever."""
    stage, place = real_stage, real_stage.directory
    commands = [
        send(stage, step("Meet", f"touch {place}/{own}; until test -e {place}/{other}; do sleep 0.02; done"))
        for own, other in (("a", "b"), ("b", "a"))
    ]
    stage.start()

    assert [stage.wait_for_final(command)["documentStatus"] for command in commands] == ["Success"] * 2


def test_no_more_run_than_the_setting_says_and_the_next_has_its_turn(real_stage, gate):
    """Two at a time: the third begins when one of them has ended."""
    stage = real_stage
    stage.settings(commands_at_once=2)
    held = [send(stage, step("Hold", f"touch {stage.directory}/{name}", GATE.format(gate))) for name in ("a", "b")]
    stage.start()
    stage.wait_for(lambda: ran(stage, "a") and ran(stage, "b"), "two ran")
    third = send(stage, step("Next", f"touch {stage.directory}/c"))
    stage.wait_for(lambda: not stage.simulator.queue, "the third was taken in")
    assert len(stage.processes("script")) == 2
    assert not ran(stage, "c")
    gate.unlink()

    assert [stage.wait_for_final(one)["documentStatus"] for one in (*held, third)] == ["Success"] * 3


def test_a_command_that_comes_late_does_not_wait_for_a_long_one(real_stage, gate):
    """The worker that is at a script takes in what comes meanwhile."""
    stage = real_stage
    long = send(stage, step("Hold", f"touch {stage.directory}/a", GATE.format(gate)))
    stage.start()
    stage.wait_for(lambda: ran(stage, "a"), "the long one ran")

    assert stage.wait_for_final(send(stage, step("Quick", "echo quick")))["documentStatus"] == "Success"
    gate.unlink()
    assert stage.wait_for_final(long)["documentStatus"] == "Success"


def test_a_second_patch_operation_waits_and_says_for_whom(real_stage, gate):
    """The one that has begun ends before the other begins, also when the worker is killed in between."""
    stage = real_stage
    first = stage.send("Install", reboot="NoReboot")
    stage.start()
    stage.wait_for(lambda: INSTALLS[0] in stage.history, "the first package was installed")
    second = stage.send("Scan")
    stage.wait_for(lambda: waits(stage, second), "the second one waited")
    (worker,) = stage.processes("work")
    os.kill(worker, signal.SIGKILL)
    stage.wait_for(lambda: stage.processes("work") not in ([], [worker]), "another worker was there")
    gate.unlink()

    assert stage.wait_for_final(first)["documentStatus"] == "Success"
    found = stage.wait_for_final(second)["runtimeStatus"]["Patch"]
    assert found["status"] == "Success"
    assert found["standardOutput"].startswith(f"Waited for the patch operation of command {first},")
    assert found["standardOutput"].endswith("missing: ")
    begin, end = stage.history.index("install begins"), stage.history.index("install ends")
    assert stage.history[begin:end] == ["install begins", *INSTALLS]


def waits(stage, command):
    """Whether the output of a step so far says that it waits."""
    return any("Waited for" in path.read_text() for path in (stage.state_dir / "work" / command).glob("*/stdout"))


def test_one_that_waits_for_its_turn_can_be_cancelled(real_stage, gate):
    """It ends at once, and the one that it waited for goes on."""
    stage = real_stage
    first = stage.send("Install", reboot="NoReboot")
    stage.start()
    stage.wait_for(lambda: INSTALLS[0] in stage.history, "the first package was installed")
    second = stage.send("Scan")
    stage.wait_for(lambda: waits(stage, second), "the second one waited")
    stage.simulator.cancel(stage.instance_id, second)

    assert stage.wait_for_final(second)["documentStatus"] == "Cancelled"
    assert "install ends" not in stage.history
    gate.unlink()
    assert stage.wait_for_final(first)["documentStatus"] == "Success"


def test_a_restart_waits_for_what_runs_and_lets_nothing_begin(real_stage, gate):
    """The node restarts when the script of another command has ended; one that comes meanwhile runs in the next boot."""
    stage, place = real_stage, real_stage.directory
    other = send(stage, step("Hold", f"touch {place}/a", GATE.format(gate)))
    stage.start()
    stage.wait_for(lambda: ran(stage, "a"), "the other ran")
    text = f"test -e {place}/marker && exit 0; touch {place}/marker; exit 194"
    restarting = send(stage, step("Restart", text))
    journal = stage.state_dir / "commands" / "current" / f"{restarting}.json"
    stage.wait_for(lambda: journal.exists() and '"asked":0' in journal.read_text(), "it wanted the restart")
    late = send(stage, step("Late", f"cp {stage.boot_file} {place}/late"))
    begun = stage.state_dir / "commands" / "current" / f"{late}.json"
    stage.wait_for(lambda: begun.exists() and "NotStarted" in begun.read_text(), "the late one waited")
    assert stage.history == []
    gate.unlink()

    assert [stage.wait_for_final(one)["documentStatus"] for one in (other, restarting, late)] == ["Success"] * 3
    assert stage.history == ["reboot asked"]
    assert (place / "late").read_text() == "boot-2"


def test_two_that_restart_the_node_wait_for_nobody(real_stage):
    """Each wants a restart while the other's step runs: none waits for the other, and every step ends."""
    stage, place = real_stage, real_stage.directory
    text = "test -e {0} && exit 0; touch {0}; until test -e {1}; do sleep 0.02; done; exit 194"
    pairs = (("a", "b"), ("b", "a"))
    commands = [send(stage, step("Restart", text.format(place / own, place / its))) for own, its in pairs]
    stage.start()

    assert [stage.wait_for_final(command)["documentStatus"] for command in commands] == ["Success"] * 2
    assert set(stage.history) == {"reboot asked"}


def test_what_an_earlier_worker_left_half_done_is_as_good_as_running():
    """A restart waits for it although its step has not been entered again, and so does a patch operation."""
    turns, told = Turns(), []
    turns.left("a", patching=True)

    def over():
        told.append("asked")
        return True

    with turns.restarting("b", over) as granted:
        assert not granted
    with turns.patching("b", over, told.append) as granted:
        assert not granted
    assert told == ["asked", "a", "asked"]
    turns.gone("a")
    with turns.patching("b", over) as patches, turns.restarting("b", over) as restarts:
        assert (patches, restarts) == (True, True)


def test_the_restart_of_a_patch_operation_waits_as_well(real_stage, gate):
    """What it has installed is reported after the restart, which comes when the script of the other command has ended."""
    stage = real_stage
    hold = stage.directory / "hold"
    hold.touch()
    other = send(stage, step("Hold", f"touch {stage.directory}/a", GATE.format(hold)))
    stage.start()
    stage.wait_for(lambda: ran(stage, "a"), "the other ran")
    install = stage.send("Install")
    gate.unlink()
    journal = stage.state_dir / "commands" / "current" / f"{install}.json"
    stage.wait_for(lambda: journal.exists() and '"phase":"reboot"' in journal.read_text(), "it wanted the restart")
    assert "reboot asked" not in stage.history
    hold.unlink()

    assert [stage.wait_for_final(one)["documentStatus"] for one in (other, install)] == ["Success"] * 2
    assert stage.history.count("reboot asked") == 1


def three(stage):
    """A script, an installation and a scan, all at once."""
    script = send(stage, step("Note", f"echo ran >>{stage.directory}/ran"))
    return [script, stage.send("Install", reboot="NoReboot"), stage.send("Scan")]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_worker_dies_at_every_transition_of_three_commands(tmp_path, simulator, zygote):
    """The script runs once, each package is installed once, no other operation is in between, and each has one final reply."""
    for stage, finals, where in sweep(tmp_path, simulator, zygote, "work", three):
        assert [final["documentStatus"] for final in finals] == ["Success"] * 3, f"{where}: {finals}"
        assert (stage.directory / "ran").read_text() == "ran\n", where
        begin, end = stage.history.index("install begins"), stage.history.index("install ends")
        assert stage.history[begin:end] == ["install begins", *INSTALLS], where
        assert stage.history.count("install begins") == 1, where
