# SPDX-License-Identifier: Apache-2.0
"""Documents of scripts on a node: each at most once, in order, to their end, whatever dies meanwhile (design D10)."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from agent.stage import Stage
from patchwright.agent.shell import _start_time, _stat
from patchwright.agent.steps import MAX_RESTARTS

CRASH_CODE = 86  # of made_node
MORE_THAN_ANY = 200


def step(name, *lines, **inputs):
    """A step that runs *lines*."""
    return {"action": "aws:runShellScript", "name": name, "inputs": {"runCommand": list(lines), **inputs}}


def send(stage, *steps, parameters=None, **given):
    """Send a document of these steps."""
    document = {"schemaVersion": "2.2", "description": "", "parameters": parameters or {}, "mainSteps": list(steps)}
    return stage.send("", DocumentContent=document, Parameters=given, DocumentName="Mine")


def once(stage, *steps):
    """Send it, let it run, and answer the final reply."""
    command = send(stage, *steps)
    assert stage.once() == 0
    return stage.simulator.final(command)


def results(final):
    """Status and code of every step."""
    return {name: (found["status"], found["code"]) for name, found in final["runtimeStatus"].items()}


def kill(stage, word):
    """Kill the process of the agent that has this word."""
    (pid,) = stage.processes(word)
    os.kill(pid, signal.SIGKILL)
    stage.wait_for(lambda: not stage.processes(word) or stage.processes(word) != [pid], f"{word} was gone")


def test_the_text_runs_by_the_shell_or_by_what_its_first_line_names(stage):
    """Lines are joined; `#!` names another interpreter, with one argument."""
    final = once(
        stage,
        step("Plain", "a=1", 'echo "$a $0" | sed "s,/.*/,,"'),
        step("Named", "#!/usr/bin/env python3", "import sys", "print(sys.version_info[0])"),
        step("Flag", "#!/bin/sh -e", "false", "echo never"),
    )
    output = {name: found["standardOutput"] for name, found in final["runtimeStatus"].items()}

    assert output == {"Plain": "1 script.sh\n", "Named": "3\n", "Flag": ""}
    assert results(final)["Flag"] == ("Failed", 1)


def test_a_script_is_told_which_command_and_node_it_is(stage):
    """The variables of Amazon's agent, and nothing of the agent's own secrets."""
    final = once(stage, step("One", "env"))
    lines = final["runtimeStatus"]["One"]["standardOutput"].splitlines()

    assert f"AWS_SSM_INSTANCE_ID={stage.instance_id}" in lines
    assert any(line.startswith("SSM_COMMAND_ID=") and len(line) > 30 for line in lines)
    assert stage.identity["secret"] not in "\n".join(lines)


@pytest.mark.parametrize(
    ("first", "document", "found"),
    [
        (step("A", "exit 0"), "Success", [("Success", 0), ("Success", 0), ("Success", 0)]),
        (step("A", "exit 3"), "Failed", [("Failed", 3), ("Success", 0), ("Success", 0)]),
        (step("A", "exit 168"), "Success", [("Success", 168), ("Skipped", 0), ("Success", 0)]),
        (step("A", "exit 169"), "Failed", [("Failed", 169), ("Skipped", 0), ("Success", 0)]),
        (step("A", "exit 3", onFailure="exit"), "Failed", [("Failed", 3), ("Skipped", 0), ("Success", 0)]),
        (
            step("A", "exit 3", onFailure="successAndExit"),
            "Success",
            [("Success", 168), ("Skipped", 0), ("Success", 0)],
        ),
        (step("A", "exit 0", onSuccess="exit"), "Success", [("Success", 0), ("Skipped", 0), ("Success", 0)]),
    ],
    ids=["success", "failure", "168", "169", "exit", "successAndExit", "onSuccess"],
)
def test_exit_codes_decide_what_comes_next(stage, first, document, found):
    """What is skipped does not run; a finallyStep does."""
    final = once(stage, first, step("B", "echo B"), step("C", "echo C", finallyStep=True))

    assert final["documentStatus"] == document
    assert list(results(final).values()) == found
    assert final["runtimeStatus"]["C"]["standardOutput"] == "C\n"
    assert (final["runtimeStatus"]["B"]["standardOutput"] == "B\n") == (found[1][0] == "Success")


def test_a_script_outlives_agent_and_worker_and_its_output_is_whole(real_stage):
    """Both are killed in the middle; the script goes on, and the next worker reports its end."""
    stage, gate = real_stage, real_stage.directory / "gate"
    gate.touch()
    waits = f"while test -e {gate}; do sleep 0.02; done"
    command = send(stage, step("One", "echo begun", f"echo x >>{stage.directory}/ran", waits, "echo over"))
    agent = stage.start()
    stage.wait_for((stage.directory / "ran").exists, "the script ran")
    (keeper,) = stage.processes("script")
    agent.kill()
    kill(stage, "work")
    agent.wait()
    stage.start()
    stage.wait_for(lambda: stage.processes("work"), "another worker was there")
    assert stage.processes("script") == [keeper]
    gate.unlink()

    final = stage.wait_for_final(command)
    assert final["documentStatus"] == "Success"
    assert final["runtimeStatus"]["One"]["standardOutput"] == "begun\nover\n"
    assert (stage.directory / "ran").read_text() == "x\n"


@pytest.mark.parametrize("power", [False, True], ids=["keeper", "power"])
def test_a_script_that_was_interrupted_is_failed_and_never_run_again(real_stage, power):
    """Its keeper dies, or the node: the outcome is unknown, nothing of it is left, and the next step has its turn."""
    stage, pid = real_stage, real_stage.directory / "pid"
    command = send(stage, step("One", "echo begun", f"echo $$ >>{pid}", "exec sleep 60"), step("Two", "echo two"))
    agent = stage.start()
    stage.wait_for(lambda: pid.exists() and pid.read_text().strip(), "the script ran")
    stage.wait_for(
        lambda: [file for file in stage.state_dir.rglob("stdout") if file.read_text() == "begun\n"],
        "its keeper has what it printed",
    )
    if power:
        agent.kill()
        agent.wait()
        kill(stage, "work")
    kill(stage, "script")
    if power:
        os.kill(int(pid.read_text()), signal.SIGKILL)
        stage.boot_file.write_text("boot-2")
        stage.start()

    final = stage.wait_for_final(command)
    assert results(final) == {"One": ("Failed", 1), "Two": ("Success", 0)}
    assert final["runtimeStatus"]["One"]["standardOutput"] == "begun\n"
    why = "the node restarted while" if power else "the process that kept it was killed while"
    assert f"the outcome is unknown: {why} the script ran" in final["runtimeStatus"]["One"]["standardError"]
    assert not _start_time(int(pid.read_text()))  # one line: it ran once


def test_a_cancel_ends_the_tree_and_runs_nothing_more(real_stage):
    """Cancelled with 137, the steps after it Cancelled too, the finallyStep among them; every process is gone."""
    stage, pid = real_stage, real_stage.directory / "pid"
    command = send(
        stage,
        step("One", "echo begun", f"(setsid sleep 60 & echo $! >{pid}.new; mv {pid}.new {pid}) ; wait; sleep 60"),
        step("Two", f"touch {stage.directory}/two", finallyStep=True),
    )
    stage.start()
    stage.wait_for(pid.exists, "the script ran")
    stage.simulator.cancel(stage.instance_id, command)

    final = stage.wait_for_final(command)
    assert final["documentStatus"] == "Cancelled"
    assert results(final) == {"One": ("Cancelled", 137), "Two": ("Cancelled", 137)}
    assert final["runtimeStatus"]["One"]["standardOutput"] == "begun\n"
    assert not (stage.directory / "two").exists()
    assert not _start_time(int(pid.read_text()))


def test_a_cancel_ends_what_has_left_its_environment_its_session_and_its_parent(real_stage):
    """Nothing of the script is left in it to be known by, but that its keeper is its parent now."""
    stage, pid = real_stage, real_stage.directory / "pid"
    away = f"echo $$ >{pid}.new; mv {pid}.new {pid}; exec /bin/sleep 60"
    command = send(stage, step("One", f"(env -i setsid /bin/sh -c '{away}' &)", "sleep 60"))
    stage.start()
    stage.wait_for(pid.exists, "it was away")
    stage.simulator.cancel(stage.instance_id, command)

    assert stage.wait_for_final(command)["documentStatus"] == "Cancelled"
    assert not _start_time(int(pid.read_text()))


def test_what_a_script_leaves_behind_lives_on_and_what_has_ended_meanwhile_is_buried(real_stage):
    """A service that it starts is none of its keeper's business, and a long script with many of them fills no table of processes."""
    stage, pid, gate = real_stage, real_stage.directory / "pid", real_stage.directory / "gate"
    gate.touch()
    leaves = f"(env -i setsid /bin/sh -c 'echo $$ >{pid}; exec /bin/sleep 60' >/dev/null 2>&1 &)"
    waits = f"while test -e {gate}; do sleep 0.02; done"
    command = send(stage, step("One", leaves, "for n in 1 2 3 4 5 6 7 8 9; do (true &); done", waits))
    stage.start()
    stage.wait_for(lambda: pid.exists() and pid.read_text().strip(), "it was left")
    (keeper,) = stage.processes("script")
    stage.wait_for(
        lambda: "Z" not in [(_stat(one) or ["X"])[0] for one in children(keeper)], "the ended ones were buried"
    )
    gate.unlink()

    final = stage.wait_for_final(command)
    assert final["documentStatus"] == "Success"
    assert _start_time(int(pid.read_text()))
    os.kill(int(pid.read_text()), signal.SIGKILL)


def children(parent):
    """The processes of which it is the parent."""
    found = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [one for one in found if (_stat(one) or ["", ""])[1] == str(parent)]


def test_a_restart_is_asked_for_and_the_same_step_runs_again(stage):
    """194: another boot, the step from its start, its output one after the other, then the next step."""
    marker = stage.directory / "marker"
    final = once(
        stage,
        step("One", "echo one"),
        step("Two", f"if test -e {marker}; then echo after; exit 0; fi", f"touch {marker}", "echo before", "exit 194"),
        step("Three", "echo three"),
    )

    assert final["documentStatus"] == "Success"
    assert final["runtimeStatus"]["Two"]["standardOutput"] == "before\nafter\n"
    assert [found["standardOutput"] for found in final["runtimeStatus"].values()][::2] == ["one\n", "three\n"]
    assert stage.history == ["reboot asked"]


def test_a_step_that_restarts_the_node_for_ever_is_given_up(stage):
    """Five restarts of one step, then it is Failed and says why."""
    final = once(stage, step("One", f"echo >>{stage.directory}/runs", "exit 194"))

    assert results(final) == {"One": ("Failed", 194)}
    assert "asked for a restart 6 times" in final["runtimeStatus"]["One"]["standardError"]
    assert stage.history == ["reboot asked"] * MAX_RESTARTS
    assert len((stage.directory / "runs").read_text()) == MAX_RESTARTS + 1


def test_a_node_that_does_not_restart_fails_the_step(stage):
    """What the system said is in the report."""
    stage.set(reboot_refused=True)
    final = once(stage, step("One", "echo out", "exit 194"))

    assert results(final) == {"One": ("Failed", 1)}
    assert final["runtimeStatus"]["One"]["standardOutput"] == "out\n"
    assert "did not restart" in final["runtimeStatus"]["One"]["standardError"]
    assert "Operation inhibited" in final["runtimeStatus"]["One"]["standardError"]


def sweep(tmp_path, simulator, zygote, role, sending):
    """
    Let *sending* send commands to fresh nodes, each dying at the next durable write of *role*, before and after it, until none is
    left. Yields the node, the final replies, and where it died.
    """
    for when in ("before", "after"):
        for at in range(1, MORE_THAN_ANY):
            stage = Stage(tmp_path / f"{role}-{when}-{at}", simulator, zygote)
            stage.set(crash={"role": role, "at": at, "when": when})
            commands = sending(stage)
            codes = [stage.once()]
            while (codes[-1] == CRASH_CODE or simulator.queue) and len(codes) < 10:
                codes.append(stage.once())
            if not (stage.directory / "crashed").exists():
                assert at > 1, "the crash never happened"
                break
            assert codes[-1] == 0, stage.logs()
            where = f"{when} write {at} of {(stage.directory / 'crashed').read_text()}"
            yield stage, [simulator.final(command) for command in commands], where
        else:
            pytest.fail("the sweep did not end")


def restarting(stage):
    """A document of three steps, the second of which restarts the node; each notes that it ran."""
    ran = f"echo $0 >>{stage.directory}/ran"
    again = f'test "$(grep -c 2.Two {stage.directory}/ran)" = 1 && exit 194'
    return [send(stage, step("One", ran), step("Two", ran, f"{again}; true"), step("Three", ran))]


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("role", ["work", "run"])
def test_agent_and_worker_die_at_every_transition_of_a_document(tmp_path, simulator, zygote, role):
    """Each script runs once, the one that asks for it twice, with one restart between, and there is one final reply."""
    for stage, (final,), where in sweep(tmp_path, simulator, zygote, role, restarting):
        assert final["documentStatus"] == "Success", f"{where}: {final}"
        runs = [line.split("/")[-3:-1] for line in (stage.directory / "ran").read_text().splitlines()]
        expected = [["1.One", "run-0"], ["2.Two", "run-0"], ["2.Two", "run-1"], ["3.Three", "run-0"]]
        assert runs == expected, where
        assert stage.history == ["reboot asked"], where


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_keeper_dies_at_every_transition_of_a_document(tmp_path, simulator, zygote):
    """No script runs more often than it should, and what is not known is Failed: never a success that was none."""
    for stage, (final,), where in sweep(tmp_path, simulator, zygote, "script", restarting):
        path = stage.directory / "ran"
        runs = [line.split("/")[-3:-1] for line in path.read_text().splitlines()] if path.exists() else []
        assert len({tuple(run) for run in runs}) == len(runs), where
        for name, found in final["runtimeStatus"].items():
            ran = any(name in run[0] for run in runs)
            assert found["status"] == "Success" or "outcome is unknown" in found["standardError"], where
            assert ran or found["status"] == "Failed", where
        assert stage.history == ["reboot asked"] * (["2.Two", "run-1"] in runs), where
