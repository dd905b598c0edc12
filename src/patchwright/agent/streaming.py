# SPDX-License-Identifier: Apache-2.0
"""
Output of steps on its way to the server: while they run, about once a second, and what is left of it afterwards.

    Streamer    one step that runs: sends what its files have more, never for long
    Spool       what a step that has ended printed, below `outputs/` until the server has it

A short step needs neither: what it prints is in its reply. The server says with every piece how far it keeps the stream, and
that is where it goes on, whoever sends next: nothing about it has to be remembered here.
"""

from __future__ import annotations

import base64
import os
import shutil
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional

from patchwright.agent import log
from patchwright.agent.client import Client, Refused, ServerUnavailable
from patchwright.agent.clock import Clock
from patchwright.agent.disk import Damaged, Disk, DiskFull, Lock, read_json
from patchwright.core.protocol import STDERR_LIMIT, STDOUT_LIMIT

DIRECTORY = "outputs"
PIECE_BYTES = 192 * 1024
LOOK_SECONDS = 1.0  # between two looks for news, and before the first
BURST_SECONDS = 1.0  # that one look may send
FINISH_SECONDS = 3.0  # that the end of a step may wait for its output to be gone
REQUEST_SECONDS = 10.0
LONGEST_PAUSE_SECONDS = 60.0
SPOOL_STEPS = 4  # full streams that are kept for a server that does not answer
DENIED = "AccessDeniedException"  # the node is known, and may not send output: it never will
BEGUN = "streamed"  # a file in the directory of a step of which something was sent
_WORTH_COMPRESSING = 1024
_REPLY_CARRIES = {"stdout": STDOUT_LIMIT, "stderr": STDERR_LIMIT}


class Source(NamedTuple):
    """A stream of a step, and the file it is in. *limit*: bytes at which the node stops keeping it."""

    command_id: str
    step: str
    name: str
    path: Path
    limit: int


class Progress(NamedTuple):
    """How far the server keeps a stream; *full*: it takes no more, or has all."""

    offset: int
    full: bool


class Streamer:
    """
    Sends the output of one step that runs.

    *number* is the step's in its command. *always*: the server needs all of it, however little, since it is written to a bucket.
    """

    def __init__(
        self,
        client: Client,
        spool: Spool,
        clock: Clock,
        *,
        command_id: str,
        number: int,
        step: str,
        directory: Path,
        always: bool,
    ) -> None:
        self._client = client
        self._spool = spool
        self._clock = clock
        self._number = number
        self._directory = directory
        self._always = always
        self._sources = [
            Source(command_id, step, name, directory / name, spool.limit_bytes) for name in ("stdout", "stderr")
        ]
        self._offsets: Dict[str, int] = {}
        self._full: Dict[str, bool] = {}
        self._pause = LOOK_SECONDS
        self._next = clock.monotonic() + LOOK_SECONDS

    def look(self) -> None:
        """Send what is new, if it is time for that. Never raises for the server's sake, nor for the disk's."""
        if self._clock.monotonic() < self._next:
            return
        try:
            self._send()
        except ServerUnavailable as error:
            log.warning(f"output waits: {error}")
            self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)
        except (Refused, DiskFull, OSError) as error:
            log.warning(f"output is not sent while the step runs: {error}")
            self._pause = float("inf")
        else:
            self._pause = LOOK_SECONDS
        self._next = self._clock.monotonic() + self._pause

    def finish(self, step: Mapping[str, Any]) -> None:
        """The step has ended: see to it that the rest of its output gets to the server, now or later."""
        begun = (self._directory / BEGUN).exists()
        kept = [source for source in self._sources if self._handed_over(source, str(step[source.name]), begun=begun)]
        if kept:
            self._spool.try_to_drain(self._client, seconds=FINISH_SECONDS)

    def _handed_over(self, source: Source, text: str, *, begun: bool) -> bool:
        """Put a stream into the spool if it is more than the reply says; whether it is there."""
        try:
            self._keep_reported(source, text)
            size = _size(source.path)
            if not size or not (begun or self._always or size > _REPLY_CARRIES[source.name]):
                return False
            self._spool.put(source, number=self._number)
        except (DiskFull, OSError) as error:
            log.error(f"the output of a step is not sent in full: {error}")
            return False
        return True

    def _send(self) -> None:
        until = self._clock.monotonic() + BURST_SECONDS
        for source in self._sources:
            while not self._full.get(source.name) and self._clock.monotonic() < until:
                offset = self._offsets.get(source.name, 0)
                if _size(source.path) <= offset:
                    break
                self._note_begun()
                now = send_piece(self._client, source, offset)
                self._offsets[source.name], self._full[source.name] = now

    def _note_begun(self) -> None:
        """So that whoever finishes the step sends the rest, little as it may be."""
        path = self._directory / BEGUN
        if not path.exists():
            self._spool.disk.write(path, b"")

    def _keep_reported(self, source: Source, text: str) -> None:
        """Where a step has no file of its output, what its reply says is its output."""
        if self._always and text and not source.path.exists():
            self._spool.disk.directory(*self._directory.relative_to(self._spool.disk.root).parts)
            self._spool.disk.write(source.path, text.encode())


class Spool:
    """
    Output of steps that have ended, until the server has it: for each stream a file of it and one that says whose it is.

    *limit_bytes* is what a node keeps of one stream; of four times as much in all the oldest goes first. *instance_id* is the node
    whose output it is: what an identity that was replaced has left is dropped.
    """

    def __init__(self, disk: Disk, clock: Clock, *, instance_id: str, limit_bytes: int) -> None:
        self.disk = disk
        self.limit_bytes = limit_bytes
        self._clock = clock
        self._instance_id = instance_id
        self.directory = disk.directory(DIRECTORY)

    def put(self, source: Source, *, number: int) -> None:
        """Take a stream over that has ended. Durable when it returns; the file stays where it is as well. Raises DiskFull, OSError."""
        name = f"{source.command_id}.{number:04d}.{source.name}"
        whose = {
            "InstanceId": self._instance_id,
            "CommandId": source.command_id,
            "StepName": source.step,
            "Stream": source.name,
            "Limit": source.limit,
        }
        data = self.directory / name
        if data.exists():
            data.unlink()
        try:
            os.link(str(source.path), str(data))
        except OSError:
            shutil.copyfile(str(source.path), str(data))
        self.disk.write_json(self.directory / f"{name}.json", whose)
        self._make_room()

    def waiting(self) -> List[Path]:
        """The stored streams, by their descriptions, the oldest first."""
        return sorted(self.directory.glob("[!.]*.json"), key=_age)

    def try_to_drain(self, client: Client, *, seconds: float, enough: Callable[[], bool] = lambda: False) -> bool:
        """
        Send what is stored, for *seconds* at most and until *enough* says so; whether everything is gone.

        Never raises for the server's sake.
        """
        until, lock = self._clock.monotonic() + seconds, Lock(self.directory / ".lock")
        if not self.waiting():
            return True
        if not lock.take():
            return False
        try:
            for path in self.waiting():
                if not self._send(client, path, lambda: enough() or self._clock.monotonic() >= until):
                    return False
        except (ServerUnavailable, Refused) as error:
            log.warning(f"output waits: {error}")
            return False
        finally:
            lock.release()
        return True

    def _send(self, client: Client, path: Path, stop: Callable[[], bool]) -> bool:
        """Send one stream; whether it is gone, which it is as well where it never will be."""
        source = self._source(path)
        progress = Progress(0, full=source is None)
        while source is not None and not progress.full:
            if stop():
                return False
            try:
                progress = send_piece(client, source, progress.offset, ended=True)
            except FileNotFoundError:
                break
            except Refused as refusal:
                if refusal.concerns_identity and refusal.code != DENIED:
                    raise
                log.error(f"the server does not take the output {path.name}: {refusal}")
                break
        self._drop(path)
        return True

    def _source(self, path: Path) -> Optional[Source]:
        try:
            whose = read_json(path)
            if whose["InstanceId"] == self._instance_id:
                place = path.with_name(path.name[: -len(".json")])
                return Source(whose["CommandId"], whose["StepName"], whose["Stream"], place, int(whose["Limit"]))
        except (FileNotFoundError, Damaged, KeyError, TypeError, ValueError) as error:
            log.error(f"output is lost: {error!r}")
        return None

    def _make_room(self) -> None:
        paths = self.waiting()
        sizes = {path: _size(path.with_name(path.name[: -len(".json")])) for path in paths}
        while len(paths) > 1 and sum(sizes[path] for path in paths) > SPOOL_STEPS * self.limit_bytes:
            log.error(f"the output {paths[0].name} is dropped: too much waits for the server")
            self._drop(paths.pop(0))

    def _drop(self, path: Path) -> None:
        self.disk.remove(path)
        self.disk.remove(path.with_name(path.name[: -len(".json")]))


def send_piece(client: Client, source: Source, offset: int, *, ended: bool = False) -> Progress:
    """
    Send what a stream has from *offset* on, a piece at most; answers where to go on.

    *ended*: the stream does not grow any more, and the last piece of it says so. Raises ServerUnavailable, Refused, OSError.
    """
    with source.path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(min(offset, size))
        data = file.read(PIECE_BYTES)
    last = ended and offset + len(data) >= size
    members = {
        "CommandId": source.command_id,
        "StepName": source.step,
        "Stream": source.name,
        "Offset": offset,
        "Body": base64.b64encode(data).decode(),
        "Last": last,
        "Truncated": last and size >= source.limit,
    }
    answer = client.call("PutOutput", members, timeout=REQUEST_SECONDS, compress=len(data) > _WORTH_COMPRESSING)
    try:
        progress = Progress(int(answer["Offset"]), bool(answer["Full"]))
    except (KeyError, TypeError, ValueError):
        raise ServerUnavailable("the answer to PutOutput cannot be read") from None
    if not progress.full and (progress.offset > size or (progress.offset == offset and data)):
        raise ServerUnavailable(f"the server keeps {progress.offset} bytes of an output and takes no more")
    return progress


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _age(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
