# SPDX-License-Identifier: Apache-2.0
"""What scripts print is at the server while they run, and whole afterwards, whatever dies or is away meanwhile."""

from __future__ import annotations

import os
import signal

from agent.simulator import Refusal
from agent.test_scripts import send, step
from patchwright.agent.streaming import PIECE_BYTES


def kept(stage, command, stream="stdout"):
    """What the server has of the output of the step `Say`."""
    return bytes(stage.simulator.outputs.get((command, "Say", stream), b""))


def begin(stage, *lines, **members):
    """Send a document with the step `Say`, and wait until the server hears of it."""
    command = send(stage, step("Say", *lines), **members)
    stage.start()
    stage.wait_for(lambda: kept(stage, command), "the server heard what the script prints")
    return command


def ended(stage, command, stream="stdout"):
    """Wait until the server has the end of the output."""
    stage.wait_for(lambda: (command, "Say", stream) in stage.simulator.ended, "the output had ended")
    return kept(stage, command, stream)


def test_output_is_at_the_server_while_the_script_runs(real_stage):
    """And whole when it has ended; the reply says how it ended."""
    stage = real_stage
    gate = stage.directory / "gate"
    gate.touch()
    command = begin(stage, "echo begun", f"while [ -e {gate} ]; do sleep 0.05; done", "echo over", "echo oops >&2")
    assert kept(stage, command) == b"begun\n"
    assert not any(reply["documentStatus"] != "InProgress" for reply in stage.simulator.replies_of(command))
    gate.unlink()

    assert stage.wait_for_final(command)["runtimeStatus"]["Say"]["standardOutput"] == "begun\nover\n"
    assert ended(stage, command) == b"begun\nover\n"
    assert ended(stage, command, "stderr") == b"oops\n"
    stage.wait_for(lambda: not list((stage.state_dir / "outputs").glob("[!.]*")), "the spool was empty")


def test_agent_and_worker_die_and_the_output_is_whole(real_stage):
    """The script goes on, and so does its output, from where the server stands."""
    stage = real_stage
    gate = stage.directory / "gate"
    gate.touch()
    command = begin(stage, "echo begun", f"while [ -e {gate} ]; do sleep 0.05; done", "seq 1 2000")
    for word in ("run", "work"):
        for pid in stage.processes(word):
            os.kill(pid, signal.SIGKILL)
    stage.wait_for(lambda: not stage.processes("work"), "the worker was gone")
    gate.unlink()
    stage.start()

    assert stage.wait_for_final(command)["documentStatus"] == "Success"
    assert ended(stage, command).split() == [b"begun", *(str(number).encode() for number in range(1, 2001))]


def test_a_server_that_was_away_gets_everything_afterwards(real_stage):
    """The step is not held up by it: its end is written down, and what it has printed is sent when there is somebody to take it."""
    stage = real_stage
    stage.simulator.refusing["PutOutput"] = Refusal("ServiceUnavailable", "later", 503)
    size = 2 * PIECE_BYTES + 7
    command = send(stage, step("Say", f"head -c {size} /dev/zero | tr '\\0' x"))
    stage.start()
    assert stage.wait_for_final(command)["documentStatus"] == "Success"
    assert kept(stage, command) == b""
    del stage.simulator.refusing["PutOutput"]

    assert ended(stage, command) == b"x" * size


def test_what_is_written_to_a_bucket_is_sent_however_short_it_is(stage):
    """The delivery says that the server needs all of it; without that nothing is sent."""
    command = send(stage, step("Say", "echo hello"))
    assert stage.once() == 0
    assert stage.simulator.count("PutOutput") == 0
    assert stage.simulator.final(command)["documentStatus"] == "Success"

    document = {"schemaVersion": "2.2", "description": "", "parameters": {}, "mainSteps": [step("Say", "echo hello")]}
    command = stage.send("", DocumentContent=document, Parameters={}, DocumentName="Mine", OutputS3BucketName="outputs")
    assert stage.once() == 0
    assert kept(stage, command) == b"hello\n"
    assert (command, "Say", "stdout") in stage.simulator.ended
