# SPDX-License-Identifier: Apache-2.0
"""
Keeps a script: starts it once, writes down what it prints, ends it when its time is up or the server wants it, tells its end.

A task (child.py) in a process of its own, which outlives the agent and the worker. Where the keeper itself dies, nobody
knows what came of the script: the next one ends what is left of it, and says so. It never starts it a second time.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import selectors
from pathlib import Path
from typing import Any, Dict, Mapping, NamedTuple, Optional

from patchwright.agent import log
from patchwright.agent.clock import Clock
from patchwright.agent.disk import Disk, read_json
from patchwright.agent.errors import CommandMissing
from patchwright.agent.reboot import boot_id
from patchwright.agent.shell import Kept, Shell
from patchwright.agent.task import ACTING, REQUEST
from patchwright.core.errors import PatchwrightError

STDOUT, STDERR = "stdout", "stderr"  # files in a step's directory, in which its output grows; every run of it appends
MARK = "PATCHWRIGHT_STEP"  # in the environment of a script, and so of everything that it starts
LOOK_SECONDS = 0.1  # how often it is looked whether the script was cancelled
LATE_WORDS_SECONDS = 1.0  # for what others still write when the script itself has ended
SILENCE_SECONDS = 0.2
KILL_SECONDS = 5.0
UNKNOWN = "the outcome is unknown: {} while the script ran. It is not run again; see on the node what it has done"


class Output(NamedTuple):
    """One stream of the script: a pipe, and the file it is kept in as far as *limit* bytes."""

    pipe: int
    file: int
    limit: int


def keep(directory: Path, disk: Disk, *, shell: Optional[Shell] = None) -> Dict[str, Any]:
    """
    Keep a script by *shell*, which adopts what the script leaves where this process does nothing else.

    Request: name, text, interpreter, cwd, environment, seconds, cancel (a file), limit (bytes of each stream).

    Result: `ended` is exited, cancelled, late, unknown or refused; `code` of one that exited; `told`, what is to be said of it;
    `boot_id`, the boot in which that was.
    """
    result = _kept(directory, disk, shell or Shell())
    if result["told"]:
        with contextlib.suppress(OSError):
            _add(directory.parent / STDERR, "\n{}\n".format(result["told"]))
    return result


def _kept(directory: Path, disk: Disk, shell: Shell) -> Dict[str, Any]:
    request, clock = read_json(directory / REQUEST), Clock()
    if (directory / ACTING).exists():
        return _given_up(directory, shell)
    script = directory / str(request["name"])
    cwd = str(request["cwd"]) or str(directory)
    if not os.path.isdir(cwd):  # noqa: PTH112 - a text of the author's, which may be none of a path
        return _result("refused", told=f"the working directory {cwd[:300]!r} does not exist")
    disk.write(script, str(request["text"]).encode("utf-8", "surrogateescape"))
    disk.write(directory / ACTING, json.dumps({"boot_id": boot_id()}).encode())
    environment = {**request["environment"], MARK: str(directory)}
    try:
        process = shell.keep([*request["interpreter"], str(script)], cwd=cwd, env=environment)
    except CommandMissing as error:
        return _result("exited", code=127, told=str(error))
    try:
        return _Keeping(directory, request, clock, shell).until_the_end(process)
    except BaseException:
        shell.end_marked(f"{MARK}={directory}", process, seconds=KILL_SECONDS)
        raise


class _Keeping:
    """One script that runs."""

    def __init__(self, directory: Path, request: Mapping[str, Any], clock: Clock, shell: Shell) -> None:
        self._mark = f"{MARK}={directory}"
        self._clock = clock
        self._shell = shell
        self._cancel = Path(str(request["cancel"]))
        self._seconds = float(request["seconds"])
        self._limit = int(request["limit"])
        self._place = directory.parent
        self._lost: Dict[str, int] = {}  # bytes by stream that were not kept

    def until_the_end(self, process: Kept) -> Dict[str, Any]:
        """Keep the script until it has ended."""
        outputs = {
            name: Output(pipe, _opened(self._place / name), self._limit)
            for name, pipe in ((STDOUT, process.stdout), (STDERR, process.stderr))
        }
        with selectors.DefaultSelector() as selector:
            for name, output in outputs.items():
                selector.register(output.pipe, selectors.EVENT_READ, name)
            ended = self._attend(process, selector, outputs)
            if ended != "exited":
                self._shell.end_marked(self._mark, process, seconds=KILL_SECONDS)
            self._hear_out(selector, outputs)
            for key in list(selector.get_map().values()):  # somebody holds it who was left behind on purpose
                self._shell.swallow(key.fd)
        for output in outputs.values():
            os.fsync(output.file)
        told = [self._said(name, size) for name, size in sorted(self._lost.items())]
        told += [f"the script took longer than {self._seconds:.0f} s and was ended"] if ended == "late" else []
        told += ["the command was cancelled, and the script was ended"] if ended == "cancelled" else []
        return _result(ended, code=process.wait(), told="\n".join(told))

    def _attend(self, process: Kept, selector: selectors.BaseSelector, outputs: Mapping[str, Output]) -> str:
        """Why it is over: exited, cancelled or late."""
        deadline = self._clock.monotonic() + self._seconds
        pause = 0.002
        while True:
            if process.ended():
                return "exited"
            self._shell.bury(process)
            if self._cancel.exists():
                return "cancelled"
            now = self._clock.monotonic()
            if now >= deadline:
                return "late"
            # A pipe that is at its end says nothing of the script's own end, which is looked for ever less often.
            heard = self._hear(selector, outputs, min(pause, deadline - now))
            pause = 0.002 if heard else min(2 * pause, LOOK_SECONDS)

    def _hear_out(self, selector: selectors.BaseSelector, outputs: Mapping[str, Output]) -> None:
        """Take what has been written, and wait a moment for those who are about to write more."""
        deadline = self._clock.monotonic() + LATE_WORDS_SECONDS
        while selector.get_map() and self._hear(selector, outputs, SILENCE_SECONDS):
            if self._clock.monotonic() >= deadline:
                return

    def _hear(self, selector: selectors.BaseSelector, outputs: Mapping[str, Output], seconds: float) -> bool:
        """Take what is there within *seconds*; whether there was anything."""
        if not selector.get_map():
            self._clock.sleep(seconds)
            return False
        found = selector.select(seconds)
        for key, _ in found:
            data = os.read(key.fd, 256 * 1024)
            if data:
                self._write(key.data, outputs[key.data], data)
            else:
                selector.unregister(key.fd)
                os.close(key.fd)
        return bool(found)

    def _write(self, name: str, output: Output, data: bytes) -> None:
        size = os.lseek(output.file, 0, os.SEEK_END)
        kept = data[: max(0, output.limit - size)]
        written = 0
        try:
            while written < len(kept):
                written += os.write(output.file, kept[written:])
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
        if written < len(data):
            self._lost[name] = self._lost.get(name, 0) + len(data) - written

    def _said(self, name: str, size: int) -> str:
        return (
            f"{size} bytes of {name} were not kept: a step keeps {self._limit} (the agent's setting output_mib), "
            "as far as the disk has room"
        )


def _given_up(directory: Path, shell: Shell) -> Dict[str, Any]:
    """What is said of a script whose keeper died; what is left of it is ended."""
    try:
        restarted = read_json(directory / ACTING).get("boot_id") != boot_id()
    except (OSError, PatchwrightError):
        restarted = False
    left = shell.end_marked(f"{MARK}={directory}", seconds=KILL_SECONDS)
    if left:
        log.warning(f"{left} processes of a script whose keeper died were ended")
    what = "the node restarted" if restarted else "the process that kept it was killed"
    return _result("unknown", told=UNKNOWN.format(what))


def _result(ended: str, *, code: Optional[int] = None, told: str = "") -> Dict[str, Any]:
    code = code if code is None or code >= 0 else 128 - code
    return {"ended": ended, "code": code, "told": told, "boot_id": boot_id()}


def _add(path: Path, text: str) -> None:
    descriptor = _opened(path)
    try:
        os.write(descriptor, text.encode("utf-8", "replace"))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _opened(path: Path) -> int:
    """The file that a stream is kept in, to be added to; the agent may read it at any time."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(str(path), os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    return os.open(str(path), os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
