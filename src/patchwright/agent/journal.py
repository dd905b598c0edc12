# SPDX-License-Identifier: Apache-2.0
"""
What the agent was told to do and how far it has come: one JSON file a command, written before anything it says happens.

    pending/ID.json   delivered, not begun        written before the delivery is acknowledged
    current/ID.json   begun                       one at a time, rewritten at every transition
    done/ID.json      ended, with its last reply  kept for days, so that a delivery repeated is answered and not run
    cancel/ID         the server wants it stopped

A command moves by writing the later file and then removing the earlier one; where a crash left both, the later counts.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Dict, List, Optional, Set

from patchwright.agent.disk import Damaged, Disk, read_json
from patchwright.core.errors import MalformedMessage

STAGES = ("pending", "current", "done")
DAY_SECONDS = 86_400.0
_COMMAND_ID = re.compile(r"[A-Za-z0-9-]{1,64}\Z")

Entry = Dict[str, Any]


class Journal:
    """The journal in a state directory. The listener adds entries, the worker moves them; no entry has two writers."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        for stage in (*STAGES, "cancel"):
            disk.directory("commands", stage)

    def accept(self, command_id: str, *, message_id: str, payload: str, now: float) -> bool:
        """
        Write a delivered command down. False: it is known already, and nothing changed.

        Raises MalformedMessage for an id that is none, DiskFull.
        """
        if self.stage(command_id) is not None:
            return False
        entry = {
            "command_id": command_id,
            "message_id": message_id,
            "accepted_at": now,
            "payload": payload,
            "runs": 0,
            "steps": None,
            "trace": "",
            "final": None,
        }
        self._disk.write_json(self._path("pending", command_id), entry)
        return True

    def stage(self, command_id: str) -> Optional[str]:
        """How far a command is; None where it was never delivered, or so long ago that it is forgotten."""
        for stage in reversed(STAGES):
            if self._path(stage, command_id).exists():
                return stage
        return None

    def unfinished(self) -> List[str]:
        """The commands not done, the begun one first, then in the order they were accepted."""
        found = {}
        for rank, stage in ((1, "pending"), (0, "current")):
            for path in self._files(stage):
                if self._path("done", path.stem).exists():
                    self._disk.remove(path)
                    continue
                found[path.stem] = (rank, _accepted_at(path), path.stem)
        return sorted(found, key=lambda command_id: found[command_id])

    def ids(self) -> Set[str]:
        """The commands that have a file as not done; cheap."""
        return {path.stem for stage in ("pending", "current") for path in self._files(stage)}

    def has_work(self) -> bool:
        """Whether any command is not done; cheap."""
        return any(self._files("pending")) or any(self._files("current"))

    def read(self, command_id: str) -> Entry:
        """The entry as last written. Raises Damaged where the file is not readable, FileNotFoundError."""
        entry = read_json(self._path(self.stage(command_id) or "pending", command_id))
        if entry.get("command_id") != command_id or not isinstance(entry.get("payload"), str):
            raise Damaged(f"the journal of command {command_id} is damaged: it is another command's")
        return entry

    def write(self, entry: Entry) -> None:
        """Write an entry of a begun command. Durable when it returns. Raises DiskFull."""
        command_id = entry["command_id"]
        self._disk.write_json(self._path("current", command_id), entry)
        self._disk.remove(self._path("pending", command_id))

    def finish(self, entry: Entry, *, now: float) -> None:
        """Write an entry that has its final reply for the last time."""
        command_id = entry["command_id"]
        kept = {name: entry[name] for name in ("command_id", "message_id", "accepted_at", "final")}
        kept.update(payload="", finished_at=now)
        self._disk.write_json(self._path("done", command_id), kept)
        for stage in ("current", "pending"):
            self._disk.remove(self._path(stage, command_id))
        self._disk.remove(self._cancel_path(command_id))

    def set_aside(self, command_id: str, entry: Entry, *, now: float) -> None:
        """Finish a command whose journal cannot be read with *entry*, and keep the unreadable files, renamed."""
        for stage in ("pending", "current"):
            path = self._path(stage, command_id)
            if path.exists():
                self._disk.write(path.with_suffix(".damaged"), path.read_bytes())
        self.finish(entry, now=now)

    def request_cancel(self, command_id: str) -> None:
        """Remember that the server wants a command stopped; it may not have been delivered yet."""
        if self.stage(command_id) != "done":
            self._disk.write(self._cancel_path(command_id), b"")

    def cancel_requested(self, command_id: str) -> bool:
        """Whether the server wants the command stopped."""
        return self._cancel_path(command_id).exists()

    def forget(self, *, older_than: float) -> int:
        """Remove what ended, was cancelled or was set aside before *older_than* (epoch seconds); answers how many."""
        directories = [self._disk.root / "commands" / name for name in ("done", "cancel", "pending", "current")]
        old = [
            path
            for directory in directories
            for path in directory.iterdir()
            if (directory.name in ("done", "cancel") or path.suffix != ".json") and path.stat().st_mtime < older_than
        ]
        for path in old:
            self._disk.remove(path)
        return len(old)

    def work_directories(self) -> List[Path]:
        """Where a file `*.json` means work."""
        return [self._disk.root / "commands" / stage for stage in ("pending", "current")]

    def _files(self, stage: str) -> List[Path]:
        return list((self._disk.root / "commands" / stage).glob("[!.]*.json"))

    def _path(self, stage: str, command_id: str) -> Path:
        return self._disk.root / "commands" / stage / f"{_checked(command_id)}.json"

    def _cancel_path(self, command_id: str) -> Path:
        return cancel_path(self._disk, command_id)


def cancel_path(disk: Disk, command_id: str) -> Path:
    """The file that is there once the server wants a command stopped."""
    return disk.root / "commands" / "cancel" / _checked(command_id)


def _checked(command_id: str) -> str:
    if not _COMMAND_ID.match(command_id):
        raise MalformedMessage(f"{command_id[:80]!r} is no command id")
    return command_id


def _accepted_at(path: Path) -> float:
    try:
        return float(read_json(path).get("accepted_at", 0.0))
    except (Damaged, OSError, TypeError, ValueError):
        return 0.0
