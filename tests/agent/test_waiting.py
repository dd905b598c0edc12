# SPDX-License-Identifier: Apache-2.0
"""The agent while there is nothing to do: one process, two programs, and nothing lost between them."""

from __future__ import annotations

import importlib.util
import json
import marshal
import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent.stage import Stage
from patchwright.agent import baton
from patchwright.agent.clock import Clock
from patchwright.agent.config import load_identity, load_settings
from patchwright.agent.disk import Disk
from patchwright.agent.journal import Journal
from patchwright.agent.loop import Loop, Rest
from patchwright.agent.outbox import FINAL, Outbox
from patchwright.agent.waiting import undisturbed
from patchwright.core.protocol import message_id

SRC = Path(__file__).resolve().parents[2] / "src"


def waits(process: subprocess.Popen[bytes]) -> bool:
    """Whether the process is the waiting program now."""
    return baton.START.encode() in Path(f"/proc/{process.pid}/cmdline").read_bytes().split(b"\0")


@pytest.fixture
def waiting(real_stage) -> tuple[Stage, subprocess.Popen[bytes]]:
    """A stage whose agent has become the waiting program, and that process."""
    process = real_stage.start()
    real_stage.wait_for(lambda: waits(process), "the agent waits")
    return real_stage, process


def test_the_waiting_agent_is_the_same_process_with_its_lock(waiting):
    """Nothing to do: another program, the same process; a second agent is still refused."""
    stage, process = waiting
    stage.wait_for(lambda: stage.simulator.count("GetMessages"), "the waiting program polled")

    assert process.poll() is None
    assert stage.once() == 1
    assert f"another agent runs with {stage.state_dir}" in stage.logs()
    assert waits(process)


def test_what_a_poll_brings_while_waiting_is_run_and_waited_for_again(waiting):
    """Commands delivered to the waiting program: handed over and not delivered twice, run, reported; then it waits again."""
    stage, process = waiting
    stage.simulator.visibility = 60.0
    for operation in ("Install", "Scan"):
        command = stage.send(operation, reboot="NoReboot")

        assert stage.wait_for_final(command)["documentStatus"] == "Success"
        assert stage.simulator.deliveries[message_id(command, stage.instance_id)] == 1
        stage.wait_for(lambda: waits(process), "the agent waits again")
    assert stage.history.count("install begins") == 1


def test_the_waiting_program_says_hello(real_stage):
    """Presence is told from the waiting program, as often as the setting says, in the words of the whole agent."""
    stage = real_stage
    stage.settings(health_seconds=1)
    process = stage.start()
    stage.wait_for(lambda: waits(process), "the agent waits")

    stage.wait_for(lambda: stage.simulator.count("UpdateInstanceInformation") >= 3, "it said hello twice more")
    hellos = [members for name, members in stage.simulator.calls if name == "UpdateInstanceInformation"]
    assert hellos == [hellos[0]] * len(hellos)
    assert waits(process)


def test_a_reply_left_behind_wakes_the_agent(waiting):
    """A reply that a worker could not send is sent by the whole agent, which the waiting program becomes for it."""
    stage, process = waiting
    command = "22222222-2222-4222-8222-222222222222"
    payload = json.dumps({"documentStatus": "Success"})
    outbox = Outbox(Disk(stage.state_dir), instance_id=stage.instance_id)
    outbox.put(command, FINAL, message_id=message_id(command, stage.instance_id), payload=payload)

    stage.wait_for(lambda: stage.simulator.replies_of(command), "the reply came")
    stage.wait_for(lambda: waits(process), "the agent waits again")
    assert outbox.waiting() == []


def test_a_clock_that_turns_wrong_while_waiting_is_learnt(waiting):
    """Signatures refused for their time: the whole agent learns the offset, and the waiting program signs with it."""
    stage, process = waiting
    stage.simulator.time_offset = 7200.0
    polls = stage.simulator.count("GetMessages")
    stage.wait_for(lambda: stage.simulator.count("GetMessages") > polls + 1, "polls are accepted again")
    stage.wait_for(lambda: waits(process), "the agent waits again")
    polls = stage.simulator.count("GetMessages")

    stage.wait_for(lambda: stage.simulator.count("GetMessages") > polls + 1, "the waiting program polled")
    assert waits(process)


def test_a_server_that_goes_away_is_asked_with_pauses(waiting):
    """No answer: the whole agent says so in its log, pauses, and waits again when the server is back."""
    stage, process = waiting
    stage.simulator.down = True
    stage.wait_for(lambda: "tried again after" in stage.log.read_text(), "the failure is told")
    assert not waits(process)
    stage.simulator.down = False

    stage.wait_for(lambda: waits(process), "the agent waits again")


def test_an_agent_that_cannot_become_another_program_waits_itself(simulator, tmp_path):
    """No exec (a Python that is being replaced): a line in the log, and it polls in full size."""
    stage = Stage(tmp_path / "node", simulator)
    tried = []

    def refused(order: baton.Order) -> None:
        tried.append(order)
        raise FileNotFoundError("python3")

    loop = Loop(
        load_identity(stage.state_dir),
        load_settings(stage.state_dir),
        disk=Disk(stage.state_dir),
        clock=Clock(),
        program=("/nowhere",),
        environment={},
        rest=Rest(refused, 0, []),
    )
    loop.turn()
    loop.turn()

    assert len(tried) == 1
    assert simulator.count("GetMessages") == 2


def test_an_answer_that_could_not_be_read_at_once_is_not_kept(simulator, tmp_path):
    """The server goes away just then: hours later the command may have been cancelled or be too late; it is told again."""
    stage = Stage(tmp_path / "node", simulator)
    command = stage.send("Scan")
    answer = json.dumps({"Messages": [simulator.sent[-1]]}).encode()
    simulator.queue.clear()  # it was cancelled
    woken = baton.Outcome(lock=0, offset=0.0, hello_due=0.0, house_due=0.0, channel_due=0.0, answer=answer, heard=True)
    loop = Loop(
        load_identity(stage.state_dir),
        load_settings(stage.state_dir),
        disk=Disk(stage.state_dir),
        clock=Clock(),
        program=("/nowhere",),
        environment={},
        rest=Rest(lambda order: None, 0, [], woken),
    )
    simulator.down = True
    assert loop._attempt() is not None
    simulator.down = False

    assert loop._attempt() is None
    assert Journal(Disk(stage.state_dir)).stage(command) is None


def test_a_python_that_has_no_memory_files_waits_in_full_size(monkeypatch):
    """As one that was built for an old C library; a stop is heeded again."""
    monkeypatch.delattr(os, "memfd_create")
    order = baton.Outcome(lock=0, offset=0.0, hello_due=0.0, house_due=0.0, channel_due=0.0, answer=b"", heard=True)

    with pytest.raises(OSError, match="memory"):
        baton.become_whole(order, back=["/nowhere"])


@pytest.mark.parametrize(
    ("files", "quiet"),
    [
        ([], True),
        (["work/.1.json.new", "work/.lock", "work/1.damaged", "work/.1.json"], True),
        (["work/1.json"], False),
        (["out/1.0001.json"], False),
    ],
)
def test_files_that_mean_work_are_seen(tmp_path, files, quiet):
    """Entries and replies are work; what is hidden, half written or set aside is not."""
    for name in ("work", "out"):
        (tmp_path / name).mkdir()
    for name in files:
        (tmp_path / name).touch()

    assert undisturbed([str(tmp_path / "work"), str(tmp_path / "out")], ("", 0)) is quiet


def test_a_reserve_or_a_directory_that_is_gone_is_seen(tmp_path):
    """A reserve given up, one cut short, a state directory removed: the whole agent has to look."""
    reserve = tmp_path / "reserve"

    assert not undisturbed([], (str(reserve), 10))
    reserve.write_bytes(b"x" * 9)
    assert not undisturbed([], (str(reserve), 10))
    reserve.write_bytes(b"x" * 10)
    assert undisturbed([], (str(reserve), 10))
    assert not undisturbed([str(tmp_path / "gone")], ("", 0))


def started(*, place: str, magic: bytes) -> subprocess.CompletedProcess[str]:
    """The waiting program, told an order without a member, after it has told its modules."""
    codes = [(name, importlib.import_module(name).__spec__.loader.get_code(name)) for name in baton.WAITING]
    descriptor = os.memfd_create("baton", 0)
    with open(descriptor, "wb", closefd=False) as file:
        for value in ({}, magic, codes):
            marshal.dump(value, file)
    os.lseek(descriptor, 0, os.SEEK_SET)
    script = baton.START.replace("sys.exit(", "print(*sys.modules); sys.exit(")
    try:
        return subprocess.run(
            [sys.executable, "-I", "-S", "-c", script, place, str(descriptor)],
            pass_fds=[descriptor],
            capture_output=True,
            text=True,
            timeout=60,
        )
    finally:
        os.close(descriptor)


def test_the_waiting_program_carries_all_it_needs():
    """Every module it imports of ours is handed over, and of Python's it loads none of the large ones."""
    result = started(place="/nowhere", magic=importlib.util.MAGIC_NUMBER)
    loaded = set(result.stdout.split())

    assert "missing 16 required" in result.stderr
    assert {name for name in loaded if name.startswith("patchwright")} == set(baton.WAITING)
    assert not loaded & {"re", "enum", "typing", "json", "socket", "ssl", "pathlib", "signal", "runpy", "contextlib"}


def test_a_python_upgraded_in_between_reads_the_sources():
    """Code that another version of Python compiled is not run: the modules come from where the program lies."""
    result = started(place=str(SRC), magic=b"another")

    assert "missing 16 required" in result.stderr
    assert "patchwright.agent" in result.stdout.split()
