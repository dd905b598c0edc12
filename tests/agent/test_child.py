# SPDX-License-Identifier: Apache-2.0
"""Tasks in processes of their own: one at a time, a result for ever, an end to those that hang."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from patchwright.agent import child
from patchwright.agent.clock import Clock
from patchwright.agent.disk import Disk, Lock
from patchwright.agent.shell import Shell


@pytest.fixture
def bench(tmp_path):
    """Makes benches whose tasks are a line of Python; `DIR` is the task's directory, as a Path."""

    def make(code: str) -> child.Bench:
        script = tmp_path / "program.py"
        script.write_text(
            "import sys, os, time, pathlib\n"
            "DIR = pathlib.Path(sys.argv[sys.argv.index('--directory') + 1])\n"
            "(DIR / 'runs').open('a').write('x')\n" + code
        )
        return child.Bench(Disk(tmp_path), Shell(), Clock(), (sys.executable, "-I", str(script)))

    return make


def obtain(bench, directory: Path, limit: float = 20.0):
    """A facts task in *directory*."""
    return child.obtain(bench, "facts", directory, {"refresh": True}, limit=limit)


def test_a_result_is_never_computed_twice(bench, tmp_path):
    """The stored result answers every later question, after a restart too."""
    maker = bench("""(DIR / 'result.json').write_text('{"result": {"a": 1}}')""")

    assert obtain(maker, tmp_path / "work" / "t") == {"a": 1}
    assert obtain(maker, tmp_path / "work" / "t") == {"a": 1}
    assert (tmp_path / "work" / "t" / "runs").read_text() == "x"


def test_an_error_has_its_kind_and_words(bench, tmp_path):
    """What went wrong in the child is raised in the parent."""
    maker = bench("""(DIR / 'result.json').write_text('{"error": {"kind": "LockHeld", "message": "held"}}')""")

    with pytest.raises(child.TaskFailed, match="held") as failure:
        obtain(maker, tmp_path / "t")
    assert failure.value.kind == "LockHeld"


def test_a_task_that_dies_is_started_again_and_then_given_up(bench, tmp_path):
    """Three starts, counted across restarts of the agent."""
    maker = bench("os.kill(os.getpid(), 9)")

    with pytest.raises(child.TaskFailed, match="killed 3 times") as failure:
        obtain(maker, tmp_path / "t")
    assert failure.value.kind == "ChildLost"
    assert (tmp_path / "t" / "runs").read_text() == "xxx"


def test_a_task_that_hangs_is_ended(bench, tmp_path):
    """After its limit the process is ended and the step fails, naming the setting."""
    maker = bench("time.sleep(60)")

    with pytest.raises(child.TaskFailed, match="child_seconds") as failure:
        obtain(maker, tmp_path / "t", limit=0.3)
    assert failure.value.kind == "TookTooLong"


def test_a_second_process_for_a_task_leaves(tmp_path):
    """Two processes for one task: the one that finds the lock held does nothing."""
    directory = tmp_path / "t"
    directory.mkdir()
    lock = Lock(directory / "lock")
    assert lock.take()
    try:
        assert child.perform("facts", directory, Disk(tmp_path)) == child.EXIT_BUSY
    finally:
        lock.release()
    assert not (directory / "result.json").exists()


def test_a_fault_of_ours_becomes_an_error_not_a_crash(tmp_path, monkeypatch):
    """Whatever a task raises reaches the report by name."""

    def faulty(directory, disk):
        raise KeyError("surprise")

    monkeypatch.setitem(child._TASKS, "facts", faulty)
    assert child.perform("facts", tmp_path, Disk(tmp_path)) == 0
    assert child.read_json(tmp_path / "result.json") == {
        "error": {"kind": "Unexpected", "message": "KeyError: 'surprise'"}
    }
