# SPDX-License-Identifier: Apache-2.0
"""
Runs on the node: the agent itself, with every durable step of it noted and one of them a place to stop at.

It is put into the agent's own archive in front of the program, so that every process of the agent passes here; the product
knows nothing of it. Below `/var/lib/stops`:

    at        the step to stop at, `before write the plan`; nothing stops while it is empty
    reached   made, once in the life of the node, by the process that stands at that step
    go        lets it go on
    trace     every step so far, a line each: role, pid, side, step

A step has up to three sides: *before* it, *half* (the new file is written beside, and not renamed yet) and *after* it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import time
from pathlib import Path

PLACE = Path("/var/lib/stops")
LOOK_SECONDS = 0.01
REPLIES = {"0000": "started", "0001": "of the step", "9999": "final"}
ALONE = "1.PatchLinux"  # the directory of a step that is its document's only one: it is not named
_role = "agent"


def arm(argv):
    """Put the stops into the agent's own classes, before any of its code runs."""
    global _role  # noqa: PLW0603 - what this process is, from its command line
    _role = argv[1] if argv[:1] == ["child"] else argv[0] if argv else ""
    if _role not in ("run", "work", "facts", "resolve", "install", "script"):
        return
    from patchwright.agent.client import Client, ServerUnavailable
    from patchwright.agent.disk import Disk

    write, remove, directory, rename, clear = Disk.write, Disk.remove, Disk.directory, Path.rename, shutil.rmtree

    def writing(self, path, data):
        _step("write " + name_of(self.root, path, data), lambda: write(self, path, data))

    def renaming(path, target):
        if path.name.startswith(".") and path.name.endswith(".new"):
            _side("half", _current[-1])
        return rename(path, target)

    def removing(self, path):
        if path.exists():
            _step("remove " + name_of(self.root, path), lambda: remove(self, path))

    def making(self, *parts):
        path = self.root.joinpath(*parts)
        if not path.is_dir():
            _step("make " + name_of(self.root, path), lambda: directory(self, *parts))
        return path

    def clearing(path, *arguments, **options):
        if "work" in Path(path).parts:
            return _step("clear the work", lambda: clear(path, *arguments, **options))
        return clear(path, *arguments, **options)

    Disk.write, Disk.remove, Disk.directory = writing, removing, making
    Path.rename, shutil.rmtree = renaming, clearing
    call = Client.call

    def calling(self, operation, members, **options):
        try:
            if operation == "AcknowledgeMessage":
                return _step("acknowledge", lambda: call(self, operation, members, **options))
            return call(self, operation, members, **options)
        except ServerUnavailable:
            _note("unavailable", operation)
            raise

    Client.call = calling
    _arm_restart()


def _arm_restart():
    if _role != "work":
        return
    from patchwright.agent import reboot

    request = reboot.request
    reboot.request = lambda shell: _step("ask for the restart", lambda: request(shell))


def name_of(root, path, data=b""):
    """What a file of the state directory is, in words that are the same in every run."""
    parts = path.relative_to(root).parts
    if (len(parts) < 3 and parts[0] != "outbox") or len(parts) == 1:
        return "/".join(parts)
    if parts[0] == "outbox":
        position = path.name.split(".")[1]
        return "the reply " + (REPLIES.get(position) or f"of step {int(position)}")
    if parts[0] == "commands":
        return {"pending": "the delivery", "done": "the end", "cancel": "the cancellation"}.get(parts[1]) or (
            "the journal" + _entry(path, data)
        )
    task = _task(parts[3]) if len(parts) > 3 else "the step"
    task = task if parts[2] == ALONE else "{} {}".format(parts[2].partition(".")[2], task)
    if len(parts) > 5:  # of a document that a step runs
        task, parts = f"{task} {parts[4]}", parts[1:]
    file = parts[4] if len(parts) > 4 else "directory"
    if file == "starts.json":
        file = "start, noted" if b"process" in data else "start, counted"
    return task + " " + ("body" if re.match(r"[a-z]+\d*-[0-9a-f]{64}$", file) else file.replace(".json", ""))


def _entry(path, data):
    """What an entry of the journal says has come about."""
    if not data:
        return ""
    entry = json.loads(data.decode())
    if entry["runs"] > 1 and json.loads(path.read_text())["runs"] < entry["runs"]:
        return ", taken up"
    if entry["final"]:
        return ", final"
    if entry["steps"] is None:
        return ", begun"
    begun = [step for step in entry["steps"] if step["status"] != "NotStarted"]
    if not begun:
        return ", planned"
    step, name = begun[-1], "step" if len(entry["steps"]) == 1 else begun[-1]["name"]
    run = step["run"]
    if step["status"] != "InProgress":
        return f", {name} ended"
    if step["restart"]:
        return f", {name}, restart " + ("asked for" if step["restart"]["asked"] else "wanted")
    if not run:
        return f", {name} " + ("entered again" if step["restarts"] else "begun")
    if "phase" not in run:
        return f", {name} goes on"
    told = run.get("told", {})
    if len(told) > _told(path):
        return f", {_task(max(told, key=told.get))} numbered"
    if run["phase"] == "reboot" and run["reboot"]["asked"]:
        return ", restart asked for"
    return ", phase " + run["phase"] + (" the restart" if run["phase"] == "after" and run["boots"] else "")


def _task(directory):
    """The name of a task's directory without what says when it was made."""
    return re.sub(r"-[0-9a-f]{8}$", "", directory)


def _told(path):
    """How many facts of its operation have a number in the entry as it is."""
    steps = json.loads(path.read_text())["steps"] or []
    return max([len((step["run"] or {}).get("told", {})) for step in steps], default=0)


_current = [""]


def _step(name, action):
    name = _numbered(name)
    _current.append(name)
    try:
        _side("before", name)
        answer = action()
        _side("after", name)
        return answer
    finally:
        _current.pop()


def _numbered(name):
    """A step that comes again is another step; the bodies of facts, and pauses of a machine, are not counted."""
    if name.endswith(" body"):
        return name
    earlier = sum(line.split("\t")[2:] == ["before", name] for line in _trace())
    return name if not earlier else f"{name}, {earlier + 1}"


def _trace():
    try:
        return (PLACE / "trace").read_text().splitlines()
    except FileNotFoundError:
        return []


def _note(side, name):
    if not PLACE.is_dir():
        return
    with (PLACE / "trace").open("a") as file:
        file.write(f"{_role}\t{os.getpid()}\t{side}\t{name}\n")


def _side(side, name):
    _note(side, name)
    try:
        if (PLACE / "at").read_text() != side + " " + name:
            return
        (PLACE / "reached").mkdir()
    except (FileNotFoundError, FileExistsError):
        return
    while not (PLACE / "go").exists():
        time.sleep(LOOK_SECONDS)


if __name__ != "__main__":
    arm(sys.argv[1:])
