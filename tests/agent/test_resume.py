# SPDX-License-Identifier: Apache-2.0
"""Nothing lost, nothing repeated (design D10): the agent dies at every durable write, and goes on."""

from __future__ import annotations

import os
import signal

import pytest

from agent.stage import Stage
from patchwright.agent.command_run import RUN_LIMIT
from patchwright.agent.disk import Disk
from patchwright.agent.journal import Journal

INSTALLS = ["install openssl 3.0.2-1", "install zlib1g 1.2-2"]
CRASH_CODE = 86  # of made_node
MORE_THAN_ANY = 200  # durable writes of one process in one operation


def crash_everywhere(tmp_path, simulator, zygote, *, role, operation, **node):
    """
    Run *operation* on fresh nodes (*node* changes them), each dying at the next durable write of *role*, before and after it, until none is left.

    Yields each stage with its command, after the agent was started again until it had nothing to do.
    """
    for when in ("before", "after"):
        for at in range(1, MORE_THAN_ANY):
            stage = Stage(tmp_path / f"{when}-{at}", simulator, zygote)
            stage.set(crash={"role": role, "at": at, "when": when}, **node)
            command = stage.send(operation)
            codes = [stage.once()]
            while (codes[-1] == CRASH_CODE or simulator.queue) and len(codes) < 10:
                codes.append(stage.once())
            if not (stage.directory / "crashed").exists():
                assert at > 1, "the crash never happened"
                break
            assert codes[-1] == 0, f"{when} write {at}: {codes}\n{stage.logs()}"
            yield stage, command, f"{when} write {at} of {(stage.directory / 'crashed').read_text()}"
        else:
            pytest.fail("the sweep did not end")


@pytest.mark.slow
def test_the_worker_dies_at_every_transition_of_an_install(tmp_path, simulator, zygote):
    """Each package is installed once, the restart asked for once, and there is one final reply, wherever the worker died."""
    seen = 0
    for stage, command, where in crash_everywhere(tmp_path, simulator, zygote, role="work", operation="Install"):
        final = simulator.final(command)
        assert final["documentStatus"] == "Success", f"{where}: {final}"
        assert [line for line in stage.history if line.startswith("install ") and line[8] in "oz"] == INSTALLS, where
        assert stage.history.count("install begins") == 1, where
        # Only between writing the request down and having made it can a second one follow, which is harmless.
        assert stage.history.count("reboot asked") == 1, where
        assert not simulator.queue, where
        assert list((stage.state_dir / "outbox").glob("[!.]*")) == [], where
        seen += 1
    assert seen > 30


@pytest.mark.slow
@pytest.mark.parametrize("role", ["install", "run", "facts", "resolve"])
def test_the_other_processes_die_at_every_transition(tmp_path, simulator, zygote, role):
    """The same for the waiting agent and for every task: each action once, one final reply."""
    for stage, command, where in crash_everywhere(tmp_path, simulator, zygote, role=role, operation="Install"):
        finals = [reply["documentStatus"] for reply in simulator.replies_of(command)][-1:]
        assert finals == ["Success"], f"{where}\n{stage.logs()}"
        assert sorted(set(stage.history) & set(INSTALLS)) == INSTALLS, where
        assert [line for line in stage.history if line in INSTALLS] == INSTALLS, where
        assert stage.history.count("reboot asked") == 1, where


def test_the_installation_outlives_agent_and_worker(real_stage):
    """Agent and worker are killed in mid-installation; the installer goes on, the next worker waits for it and starts none."""
    stage = real_stage
    (stage.directory / "gate").touch()
    command = stage.send("Install", reboot="NoReboot")
    agent = stage.start()
    stage.wait_for(lambda: INSTALLS[0] in stage.history, "the first package was installed")
    (worker,) = stage.processes("work")
    (installer,) = stage.processes("install")

    agent.kill()
    os.kill(worker, signal.SIGKILL)
    agent.wait()
    stage.wait_for(lambda: not stage.processes("work"), "the worker was gone")
    stage.start()
    stage.wait_for(lambda: stage.processes("work"), "another worker was there")
    assert stage.processes("install") == [installer]
    (stage.directory / "gate").unlink()

    assert stage.wait_for_final(command)["documentStatus"] == "Success"
    assert stage.history.count("install begins") == 1


def test_everything_is_killed_in_mid_installation_and_the_rest_is_done(real_stage):
    """Power loss: the installer starts again, does what is left, and takes its own work for no drift."""
    stage = real_stage
    (stage.directory / "gate").touch()
    command = stage.send("Install", reboot="NoReboot")
    agent = stage.start()
    stage.wait_for(lambda: INSTALLS[0] in stage.history, "the first package was installed")
    agent.kill()
    for word in ("work", "install"):
        for pid in stage.processes(word):
            os.kill(pid, signal.SIGKILL)
    agent.wait()
    stage.wait_for(lambda: not stage.processes("install") and not stage.processes("work"), "all was gone")
    (stage.directory / "gate").unlink()
    stage.start()

    final = stage.wait_for_final(command)
    assert final["documentStatus"] == "Success", final
    assert [line for line in stage.history if line in INSTALLS] == INSTALLS
    (operation,) = stage.simulator.operations.values()
    assert len(operation.plans) == 1


def test_the_agent_alone_is_killed_and_the_worker_reports(real_stage):
    """The waiting agent's death does not touch the command: the worker finishes and reports by itself."""
    stage = real_stage
    (stage.directory / "gate").touch()
    command = stage.send("Install", reboot="NoReboot")
    agent = stage.start()
    stage.wait_for(lambda: INSTALLS[0] in stage.history, "the first package was installed")
    agent.kill()
    agent.wait()
    (stage.directory / "gate").unlink()

    assert stage.wait_for_final(command)["documentStatus"] == "Success"


@pytest.mark.parametrize(
    "operation", ["AcknowledgeMessage", "BeginOperation", "PutFacts", "PutBodies", "PutResolution", "SendReply"]
)
def test_an_answer_lost_is_asked_for_again(stage, operation):
    """The server processed a message and its answer was lost: said again, same outcome, one final reply."""
    stage.simulator.losing[operation] = 3
    command = stage.send("Install")

    code = stage.once()
    while code != 0:
        code = stage.once()
    assert stage.simulator.final(command)["documentStatus"] == "Success"
    assert [line for line in stage.history if line in INSTALLS] == INSTALLS
    assert stage.history.count("reboot asked") == 1
    assert stage.simulator.losing[operation] < 3


def test_a_power_loss_after_the_reports_facts_is_the_restart(real_stage):
    """The server wants a restart, the answer is lost with the power: the new boot is the restart, and none is asked for."""
    stage = real_stage
    handle = stage.simulator.handle

    def losing_power(operation, caller, members):
        answer = handle(operation, caller, members)
        if operation == "PutFacts" and answer["Next"] == "reboot" and stage.boot_file.read_text() == "boot-1":
            for pid in stage.processes("work"):
                os.kill(pid, signal.SIGKILL)
            stage.boot_file.write_text("boot-2")
        return answer

    stage.simulator.handle = losing_power
    command = stage.send("Install")
    stage.start()

    assert stage.wait_for_final(command)["documentStatus"] == "Success"
    assert "reboot asked" not in stage.history
    (operation,) = stage.simulator.operations.values()
    assert [message.facts.boot_id for message in operation.messages] == ["boot-1", "boot-1", "boot-2"]
    assert [message.number for message in operation.messages] == [1, 2, 3]


def test_the_server_is_away_during_the_run(real_stage):
    """The server goes away in mid-installation and comes back later: the report arrives then, once."""
    stage = real_stage
    (stage.directory / "gate").touch()
    command = stage.send("Install", reboot="NoReboot")
    stage.start()
    stage.wait_for(lambda: INSTALLS[0] in stage.history, "the first package was installed")
    stage.simulator.down = True
    (stage.directory / "gate").unlink()
    stage.wait_for(lambda: "install ends" in stage.history, "the installation ended")
    stage.wait_for(lambda: "PutFacts waits" in stage.logs(), "the worker had tried")
    stage.simulator.down = False

    assert stage.wait_for_final(command)["documentStatus"] == "Success"
    assert stage.history.count("install begins") == 1


def test_a_command_interrupted_again_and_again_is_given_up(stage):
    """A run that never gets on ends Failed: nothing stays in progress for ever."""
    command = stage.send("Install")
    journal = Journal(Disk(stage.state_dir))
    (message,) = stage.simulator.queue.values()
    journal.accept(command, message_id=message["MessageId"], payload=message["Payload"], now=1.0)
    journal.write({**journal.read(command), "runs": RUN_LIMIT})

    assert stage.once() == 0
    (found,) = stage.simulator.final(command)["runtimeStatus"].values()
    assert found["status"] == "Failed"
    assert f"interrupted {RUN_LIMIT} times" in found["standardError"]
    assert stage.history == []
