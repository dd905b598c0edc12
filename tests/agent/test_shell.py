# SPDX-License-Identifier: Apache-2.0
"""Starting processes: what they see, what is read of them, and that none is left behind."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from patchwright.agent import shell as module
from patchwright.agent.errors import CommandFailed, CommandMissing, CommandTimedOut, OutputTooLarge
from patchwright.agent.shell import Detached, Shell


def python(code: str) -> list[str]:
    """An argument list that runs *code*."""
    return [sys.executable, "-I", "-S", "-c", code]


def gone(pid: int) -> bool:
    """Whether a process ends soon (a zombie has ended)."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        os.sched_yield()
    return False


def test_streams_and_code_are_read_apart():
    """stdout, stderr and the exit code of a program."""
    result = Shell().run(
        python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"), timeout=10, ok=(3,)
    )

    assert (result.code, result.stdout, result.stderr) == (3, "out\n", "err\n")


def test_a_bad_code_is_an_error_with_the_end_of_the_output():
    """The message names the program and shows what it wrote last."""
    with pytest.raises(CommandFailed, match=r"exit code 7: .*oh no") as caught:
        Shell().run(python("import sys; sys.stderr.write('x' * 9000 + 'oh no'); sys.exit(7)"), timeout=10)

    assert caught.value.code == 7
    assert len(str(caught.value)) < 2_500


def test_a_program_killed_by_a_signal_is_an_error():
    """The signal is in the message."""
    with pytest.raises(CommandFailed, match="signal 9, perhaps for lack of memory"):
        Shell().run(python("import os; os.kill(os.getpid(), 9)"), timeout=10)


def test_a_program_that_is_not_installed_is_an_error():
    """Nothing else is raised for it, in any way of starting."""
    for start in (
        lambda: Shell().run(["no-such-program"], timeout=1),
        lambda: list(Shell().stream(["no-such-program"], timeout=1)),
        lambda: Shell().spawn_detached(["/"], log=Path("/dev/null")),
    ):
        with pytest.raises(CommandMissing):
            start()


def test_the_environment_is_ours(monkeypatch):
    """Language and secrets of the agent's environment are not inherited; the way to the network is."""
    for name, value in {"LANGUAGE": "de", "LC_MESSAGES": "de_DE", "SECRET": "s", "https_proxy": "http://p"}.items():
        monkeypatch.setenv(name, value)
    seen = Shell().run(["env"], timeout=10, env={"MORE": "1"}).stdout.split()
    names = {line.partition("=")[0] for line in seen}

    assert names <= {"PATH", "HOME", "LC_ALL", "TERM", "https_proxy", "MORE", "TMPDIR", *module.INHERITED}
    assert "https_proxy=http://p" in seen
    assert [line for line in seen if line.startswith("LC_ALL=C")]


def test_a_program_reads_nothing_or_what_it_is_given():
    """Without input it sees the end at once; input larger than a pipe arrives whole."""
    code = "import sys; print(len(sys.stdin.buffer.read()))"

    assert Shell().run(python(code), timeout=10).stdout == "0\n"
    assert Shell().run(python(code), timeout=10, input=b"x" * 3_000_000).stdout == "3000000\n"
    assert Shell().run(["true"], timeout=10, input=b"x" * 3_000_000).code == 0


def test_text_that_is_not_utf8_does_not_stop_the_reading():
    """Foreign bytes are replaced."""
    assert Shell().run(python(r"import os; os.write(1, b'a\xff\n')"), timeout=10).stdout == "a\ufffd\n"


@pytest.mark.parametrize("piped", [True, False])
def test_when_the_time_is_up_everything_it_started_ends(tmp_path, piped):
    """The program, its child, and a grandchild that made itself a session of its own."""
    grandchild = "echo \\$\\$ >>pids; echo begun; exec sleep 600"
    script = f"cd {tmp_path}; echo $$ >>pids; setsid sh -c 'echo $$ >>pids; sh -c \"{grandchild}\" & wait' & wait"
    log = None if piped else tmp_path / "log"
    begin = time.monotonic()
    with pytest.raises(CommandTimedOut, match="begun"):
        Shell().run(["sh", "-c", script], timeout=1.5, log=log)  # of which shells need a hundredth
    pids = [int(line) for line in (tmp_path / "pids").read_text().split()]

    assert time.monotonic() - begin < 60
    assert len(pids) == 3
    assert all(gone(pid) for pid in pids)


def test_output_has_a_limit(monkeypatch):
    """A program that writes for ever is ended."""
    monkeypatch.setattr(module, "OUTPUT_LIMIT_BYTES", 1_000_000)

    with pytest.raises(OutputTooLarge):
        Shell().run(["yes"], timeout=30)


def test_a_logged_program_writes_to_its_file(tmp_path):
    """Both streams are appended; the result has what this program wrote, not what stood there before."""
    log = tmp_path / "log"
    log.write_text("before\n")
    result = Shell().run(python("import sys; print('a', flush=True); sys.stderr.write('b')"), timeout=10, log=log)

    assert result.stdout == "a\nb"
    assert log.read_text() == "before\na\nb"


def test_streaming_gives_everything_in_pieces():
    """More than any limit passes through, piece by piece."""
    pieces = list(Shell().stream(python("import os\nfor _ in range(50): os.write(1, b'x' * 1000000)"), timeout=30))

    assert sum(map(len, pieces)) == 50_000_000
    assert max(map(len, pieces)) <= module.CHUNK_BYTES


def test_a_stream_that_fails_raises_after_its_output():
    """What came before the failure has been given out; then the error is raised."""
    stream = Shell().stream(python("import sys; print('a', flush=True); sys.exit('bad')"), timeout=10)

    assert next(stream) == b"a\n"
    with pytest.raises(CommandFailed, match="bad"):
        next(stream)


def test_a_stream_given_up_ends_its_program():
    """Closing the iteration kills the program."""
    stream = Shell().stream(
        python("import os\nprint(os.getpid(), flush=True)\nwhile True: print('x' * 999)"), timeout=60
    )
    pid = int(next(stream).split()[0])
    stream.close()

    assert gone(pid)


def test_a_detached_program_is_followed_by_pid_and_start(tmp_path):
    """It is alive to the shell that started it and to any other; a reused pid is not mistaken for it."""
    first, second = Shell(), Shell()
    process = first.spawn_detached(
        python("import time; print('up', flush=True); time.sleep(600)"), log=tmp_path / "log"
    )
    try:
        assert first.is_alive(process)
        assert second.is_alive(process)
        assert os.getsid(process.pid) == process.pid != os.getsid(0)
        assert not second.is_alive(Detached(process.pid, process.started + 1))
    finally:
        first.end(process, grace_seconds=5)

    assert not first.is_alive(process)
    assert not second.is_alive(process)
    first.end(process)


def test_a_detached_program_that_ended_is_not_alive(tmp_path):
    """An ended child does not stay behind as a zombie that looks alive."""
    one = Shell()
    process = one.spawn_detached(["true"], log=tmp_path / "log")
    deadline = time.monotonic() + 60
    while one.is_alive(process):
        assert time.monotonic() < deadline

    assert not one.is_alive(process)


def test_a_prefix_goes_before_every_program():
    """A chroot or a namespace is entered by what stands there."""
    assert Shell(prefix=["env", "X=1"]).run(["sh", "-c", "echo $X"], timeout=10).stdout == "1\n"
