# SPDX-License-Identifier: Apache-2.0
"""
Another version of the agent in the place of this one, and back where it does not report.

    switched    the new archive is in place; the agent that attends takes over by itself and reports    → confirmed
                it does not report in time, or starts again and again without                           → returned

The record of it is `update.json` in the state directory; the archive that was there before lies beside the new one as
`….old`. An archive is only ever replaced whole, by a rename: whatever is killed, and whenever, one of the two is in place.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from patchwright.agent import log
from patchwright.agent.baton import become_anew
from patchwright.agent.disk import Damaged, Disk, read_json, sync_directory

PROGRAM_VARIABLE = "PATCHWRIGHT_PROGRAM"  # the archive of the agent that attends, for what it starts
RECORD = "update.json"
SWITCHED, CONFIRMED, RETURNED = "switched", "confirmed", "returned"
MAX_STARTS = 5  # of a version that has not reported yet
SERVICE_MANAGER = Path("/run/systemd/system")

Record = Dict[str, Any]


class Renewal:
    """
    What the agent that attends has to do with it.

    *archive* is what it was started from, *words* start it again; *become* does it.
    """

    def __init__(
        self,
        disk: Disk,
        archive: Path,
        words: Sequence[str],
        *,
        become: Callable[[List[str]], object] = become_anew,
    ) -> None:
        self._disk = disk
        self._archive = archive
        self._words = list(words)
        self._become = become
        self._mark = _mark(archive)
        self._confirmed = False

    def began(self) -> None:
        """It was started anew. A version that was started again and again and has never reported gives way."""
        record = read(self._disk)
        if record is None or record["state"] != SWITCHED or digest(self._archive) != record["to"]:
            return
        record.update(starts=record["starts"] + 1, pid=os.getpid())
        write(self._disk, record)
        if record["starts"] > MAX_STARTS:
            back(self._disk, record, f"it was started {MAX_STARTS} times and has not reported")
            self.look()

    def look(self) -> None:
        """Let the version that has been put in place take over; what this one runs goes on beside it."""
        mark = _mark(self._archive)
        if mark in (None, self._mark):
            return
        self._mark = mark
        log.info("another version of the agent is in place, and takes over")
        self._become(self._words)

    def reported(self) -> None:
        """The server has answered it."""
        if self._confirmed:
            return
        self._confirmed = True
        record = read(self._disk)
        if record and record["state"] == SWITCHED and digest(self._archive) == record["to"]:
            write(self._disk, {**record, "state": CONFIRMED})
            log.info("version {} of the agent works".format(record["version"]))


def read(disk: Disk) -> Optional[Record]:
    """The record of the last update; None where there is none that can be read."""
    try:
        return read_json(disk.root / RECORD)
    except (FileNotFoundError, Damaged):
        return None


def write(disk: Disk, record: Record) -> None:
    """Write the record down, durably."""
    disk.write_json(disk.root / RECORD, record)


def digest(archive: Path) -> str:
    """The SHA-256 of a file, in hexadecimal; empty where it cannot be read."""
    try:
        return hashlib.sha256(archive.read_bytes()).hexdigest()
    except OSError:
        return ""


def put(disk: Disk, archive: Path, content: bytes) -> None:
    """Put *content* in the place of *archive*, with its mode, in one step."""
    beside = archive.with_name(archive.name + ".next")
    mode = archive.stat().st_mode & 0o777
    disk.write(beside, content)
    beside.chmod(mode)
    beside.replace(archive)
    sync_directory(archive.parent)


def former(archive: Path) -> Path:
    """Where the archive is that was there before."""
    return archive.with_name(archive.name + ".old")


def back(disk: Disk, record: Record, why: str) -> None:
    """Put the version before back in place, and end the one that does not report where somebody will start it again."""
    archive = Path(record["archive"])
    if digest(archive) == record["to"]:
        put(disk, archive, former(archive).read_bytes())
    write(disk, {**record, "state": RETURNED, "why": why})
    log.error(f"the version before is in place again: {why}")
    pid = record.get("pid", 0)
    if pid and pid != os.getpid() and SERVICE_MANAGER.is_dir() and _runs(pid, archive):
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)


def load_all() -> None:
    """Import all there is: before the archive that this process runs out of is another one."""
    import importlib
    import pkgutil

    import patchwright.agent
    import patchwright.core

    for package in (patchwright.core, patchwright.agent):
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)


def self_test(disk: Disk) -> None:
    """Import all there is, and be heard by the server once. Raises whatever stands in the way."""
    from patchwright.agent.client import Client
    from patchwright.agent.clock import Clock
    from patchwright.agent.config import load_identity, load_settings

    load_all()
    identity, settings = load_identity(disk.root), load_settings(disk.root)
    # Not by UpdateInstanceInformation: the server would show a version that is not in place.
    Client.of(identity, settings=settings, clock=Clock()).call("DescribeAgent", {})


def _runs(pid: int, archive: Path) -> bool:
    """Whether the process is an agent out of that archive, and not another one that has its number now."""
    try:
        return str(archive).encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False


def _mark(archive: Path) -> Optional[Tuple[int, int, int]]:
    """What tells one archive in that place from another; None where there is none."""
    try:
        info = archive.stat()
    except OSError:
        return None
    return info.st_ino, info.st_mtime_ns, info.st_size
