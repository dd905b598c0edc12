# SPDX-License-Identifier: Apache-2.0
"""A script that is kept: all it prints, how it ended, and that nothing of it is left when it was ended."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from pathlib import Path

import pytest

from farm.commands import until
from patchwright.agent import keeper
from patchwright.agent.clock import Clock
from patchwright.agent.disk import Disk
from patchwright.agent.shell import _start_time

MANY = 10 * 1024 * 1024


@pytest.fixture
def script(tmp_path, monkeypatch):
    """Keeps a script to its end; answers the result."""
    (tmp_path / "boot").write_text("boot-1")
    monkeypatch.setenv("PATCHWRIGHT_BOOT_ID_FILE", str(tmp_path / "boot"))
    directory = tmp_path / "step" / "run-0"
    directory.mkdir(parents=True)

    def keep(text: str, **changes):
        request = {
            "name": "script.sh",
            "text": text,
            "interpreter": ["sh"],
            "cwd": "",
            "environment": {},
            "seconds": 20,
            "cancel": str(tmp_path / "cancel"),
            "limit": MANY,
        }
        (directory / "request.json").write_text(json.dumps({**request, **changes}))
        return keeper.keep(directory, Disk(tmp_path))

    keep.place = tmp_path
    keep.step = directory.parent
    return keep


class ClockOfWhenItIsThere(Clock):
    """A clock that jumps by an hour as soon as a file is there."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def monotonic(self) -> float:
        """Now, or in an hour."""
        return super().monotonic() + (3600.0 if self.path.exists() else 0.0)


def output(script, name="stdout"):
    """What was kept of a stream."""
    return (script.step / name).read_text()


def pid_in(path: Path) -> int:
    """The pid that a script writes into *path*, as soon as it is there."""
    return int(until(lambda: path.read_text().strip() if path.exists() else "", what=f"a pid in {path}", timeout=60))


def test_everything_it_prints_is_kept_by_stream(script):
    """Bytes are bytes, in order, and the exit code is the script's own."""
    result = script("printf 'a\\377b'; echo oops >&2; echo last; exit 7")

    assert (result["ended"], result["code"], result["told"]) == ("exited", 7, "")
    assert (script.step / "stdout").read_bytes() == b"a\xffblast\n"
    assert output(script, "stderr") == "oops\n"


def test_a_script_that_a_signal_ends_has_the_shells_code(script):
    """128 and the signal's number."""
    assert script("kill -TERM $$")["code"] == 128 + 15


def test_its_environment_is_told_and_its_directory_is_its_own(script, tmp_path):
    """Variables arrive as they are; without a working directory it is the run's own."""
    script('printf "%s|" "$GIVEN" "$PWD" "$LC_ALL"; cat', environment={"GIVEN": "a b'\"$(false)\n"})

    given, place, language, rest = output(script).split("|")
    assert given == "a b'\"$(false)\n"
    assert place == str(script.step / "run-0")
    assert language.startswith("C")
    assert rest == ""


@pytest.mark.parametrize(
    ("changes", "ended", "words"),
    [
        ({"cwd": "/nowhere/at/all"}, "refused", "does not exist"),
        ({"interpreter": ["/no/such/shell"]}, "exited", "/no/such/shell"),
    ],
)
def test_what_cannot_be_started_is_said(script, changes, ended, words):
    """A working directory that is not there, an interpreter that is not installed."""
    result = script("echo ran", **changes)

    assert result["ended"] == ended
    assert words in result["told"]
    assert words in output(script, "stderr")


def test_what_exceeds_the_limit_is_counted_and_not_kept(script):
    """The script goes on, its file does not grow, and the reader is told."""
    result = script("head -c 300000 /dev/zero; echo end >&2", limit=1000)

    assert (result["ended"], result["code"]) == ("exited", 0)
    assert (script.step / "stdout").stat().st_size == 1000
    assert "299000 bytes of stdout were not kept" in result["told"]
    assert output(script, "stderr").startswith("end\n")


def test_a_script_that_takes_too_long_is_ended_with_everything_it_started(script, tmp_path, monkeypatch):
    """Also what left its session and its parent, what has another environment, and what does not heed SIGTERM."""
    text = f"""
    trap '' TERM
    (setsid sh -c 'trap "" TERM; echo $$ >{tmp_path}/far; while :; do sleep 100; done' &) &
    sleep 100 & echo $! >{tmp_path}/near
    (env -i sleep 100 & echo $! >{tmp_path}/bare)
    while ! test -s {tmp_path}/far || ! test -s {tmp_path}/bare; do sleep 0.02; done
    echo begun; : >{tmp_path}/begun
    while :; do sleep 1; done
    """
    monkeypatch.setattr(keeper, "Clock", lambda: ClockOfWhenItIsThere(tmp_path / "begun"))
    begun = time.monotonic()
    result = script(text, seconds=1800)

    assert result["ended"] == "late"
    assert "took longer than 1800 s" in result["told"]
    assert output(script) == "begun\n"
    assert time.monotonic() - begun < 60
    assert not any(_start_time(pid_in(tmp_path / name)) for name in ("far", "near", "bare"))


def test_a_cancel_ends_it_within_a_moment(script, tmp_path):
    """The file that says so is looked for all the time."""
    waits = threading.Thread(target=lambda: (pid_in(tmp_path / "pid"), (tmp_path / "cancel").touch()))
    waits.start()
    result = script(f"echo $$ >{tmp_path}/pid; exec sleep 100")
    waits.join()

    assert (result["ended"], result["code"]) == ("cancelled", 137)
    assert not _start_time(pid_in(tmp_path / "pid"))


def test_a_service_that_it_leaves_behind_does_not_hold_it_up(script, tmp_path):
    """The script ends when it ends; what it started in the background lives on and may go on printing."""
    text = (
        f"sh -c 'echo $$ >{tmp_path}/pid; while echo noise; do echo >>{tmp_path}/rounds; sleep 0.05; done' & echo over"
    )
    begun = time.monotonic()
    result = script(text)

    assert (result["ended"], result["code"]) == ("exited", 0)
    assert "over\n" in output(script)
    assert time.monotonic() - begun < 60
    pid = pid_in(tmp_path / "pid")
    try:
        rounds = tmp_path / "rounds"
        until(rounds.exists, what="it has printed once", timeout=60)
        before = rounds.stat().st_size
        # Each round has printed, and did not die of it.
        until(lambda: rounds.stat().st_size > before + 5, what="it goes on printing", timeout=60)
        assert _start_time(pid)
    finally:
        os.kill(pid, 9)


def test_words_that_come_after_its_end_are_waited_for(script, monkeypatch):
    """`tee` and its like write the last lines a moment later."""
    monkeypatch.setattr(keeper, "SILENCE_SECONDS", 60.0)  # its moment, on a machine that is busy
    monkeypatch.setattr(keeper, "LATE_WORDS_SECONDS", 60.0)
    script("(sleep 0.05; echo later) & echo first")

    assert output(script) == "first\nlater\n"


def test_a_keeper_after_a_keeper_does_not_run_it_again(script, tmp_path):
    """The first one died: what is left of the script is ended, and the outcome is unknown."""
    (script.step / "run-0" / keeper.ACTING).write_text('{"boot_id": "boot-1"}')
    left = subprocess.Popen(["sleep", "100"], env={**os.environ, keeper.MARK: str(script.step / "run-0")})
    result = script(f"echo ran >{tmp_path}/ran")

    assert result["ended"] == "unknown"
    assert "the outcome is unknown: the process that kept it was killed" in result["told"]
    assert left.wait(60) == -9
    assert not (tmp_path / "ran").exists()


def test_a_restart_of_the_node_while_it_ran_is_named(script, tmp_path):
    """Another boot id than the one it began under."""
    (script.step / "run-0" / keeper.ACTING).write_text('{"boot_id": "boot-0"}')

    assert "unknown: the node restarted while the script ran" in script("true")["told"]
