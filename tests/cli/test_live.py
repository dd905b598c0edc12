# SPDX-License-Identifier: Apache-2.0
"""`patchwright command tail` and `output`: what nodes print is seen while they print it, and in full afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from cli.bench import SRC, FakeClock, until
from patchwright.cli.errors import Unreachable
from patchwright.cli.live import Lines, Tail
from patchwright.cli.watching import SILENCE_SECONDS

SCRIPT = "AWS-RunShellScript"


def send(server, node, *lines):
    """Send a script; its command's id."""
    words = [word for line in lines for word in ("--parameter", f"commands={line}")]
    return server.run("command", "send", SCRIPT, node.id, "--no-wait", *words).out.strip()


def test_output_is_seen_while_the_script_runs(server, node, tmp_path):
    """Line by line with the node's id in front, stderr to standard error; the end of the command ends it."""
    gate = tmp_path / "gate"
    gate.touch()
    command = send(server, node, "echo begun", f"while [ -e {gate} ]; do sleep 0.05; done", "echo over; echo oops >&2")
    until(lambda: server.run("command", "output", command).out == "begun\n", "the server has some of it")
    threading.Timer(0.5, gate.unlink).start()
    result = server.run("command", "tail", command)

    assert result.code == 0
    assert result.out.splitlines() == [f"{node.id} | begun", f"{node.id} | over"]
    assert result.err.splitlines() == [f"{node.id} | oops", f"{node.id}: Success"]

    again = server.run("command", "tail", command, node.id)
    assert (again.code, again.out.splitlines()) == (0, ["begun", "over"])


def test_all_of_it_is_printed_afterwards(server, node):
    """More than any answer of AWS's shows; of the one step there is, or of one that is named."""
    command = send(server, node, "seq 1 40000", "echo oops >&2", "exit 3")
    failed = server.run("command", "tail", command)
    assert failed.code == 1

    whole = server.run("command", "output", command)
    assert whole.out.split() == [str(number) for number in range(1, 40_001)]
    errors = server.run("command", "output", command, node.id, "--stderr", "--step", "aws:runShellScript")
    assert (errors.code, errors.out) == (0, "oops\n")
    assert server.run("command", "output", command, "--step", "nothing").code == 1


def test_what_would_steer_a_terminal_does_not_reach_it(server, node):
    """Foreign text: escape sequences of a node are dropped."""
    command = send(server, node, "printf 'a\\033[31mb\\n'")
    assert server.run("command", "tail", command, node.id).out == "a[31mb\n"
    assert server.run("command", "output", command).out == "a[31mb\n"


def test_bytes_are_written_as_they_are_into_a_file(server, node):
    """Also those that are no text."""
    command = send(server, node, "head -c 30000 /dev/zero | tr '\\0' '\\377'")
    until(lambda: "Success" in server.run("command", "show", command).out, "the command ended")
    words = [sys.executable, "-m", "patchwright", "command", "output", command]
    environment = {**os.environ, **server.environment, "PYTHONPATH": SRC}
    assert subprocess.run(words, env=environment, capture_output=True, check=True).stdout == b"\377" * 30_000


@pytest.mark.skipif(os.environ.get("PATCHWRIGHT_FULL") != "1", reason="a hundred megabytes, with PATCHWRIGHT_FULL=1")
@pytest.mark.timeout(300)
def test_a_hundred_megabytes_are_kept_as_far_as_anything_is(server, node):
    """The step ends as it should, 64 MiB are there, and both sides say that it was more."""
    command = send(server, node, "yes abcdefghi | head -c 100000000")
    until(lambda: "Success" in server.run("command", "show", command).out, "the command ended")
    until(lambda: "longer" in server.run("command", "output", command).err, "all of it is there")
    assert len(server.run("command", "output", command).out) == 64 * 1024 * 1024
    assert "bytes of stdout were not kept" in server.run("command", "output", command, "--stderr").out


def test_a_command_without_output_of_its_own_is_told(server, silent_node):
    """It names no node, or several; there is none of this id."""
    unknown = "00000000-0000-0000-0000-000000000000"
    for words in (("tail", unknown), ("output", unknown), ("output", unknown, silent_node.id)):
        result = server.run("command", *words)
        assert result.code == 1, words
        assert "Invalid" in result.err or "InvocationDoesNotExist" in result.err


def test_lines_are_whole_however_they_come():
    """A character may be cut in two; what never ends its line is given out in parts."""
    lines = Lines()
    assert lines.of("ä".encode()[:1]) == []
    assert lines.of("ä".encode()[1:] + b"b\nc") == ["äb\n"]
    assert lines.of(b"d") == []
    assert lines.rest() == "cd"
    assert lines.of(bytes(70_000)) == ["\0" * 70_000]
    assert lines.rest() == ""


class Away:
    """A server that is away."""

    calls = 0

    def pages(self, *_):
        """No answer."""
        self.calls += 1
        raise Unreachable("away")


def test_a_server_that_is_restarted_meanwhile_is_asked_again():
    """For as long as a restart may take."""
    server, clock = Away(), FakeClock()
    with pytest.raises(Unreachable):
        Tail(server, "c", "", clock).follow()
    assert sum(clock.slept) >= SILENCE_SECONDS
    assert server.calls > 100
