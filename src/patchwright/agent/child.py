# SPDX-License-Identifier: Apache-2.0
"""
Work that needs memory or must outlive the agent, done in processes of its own that exit.

A task has a directory: `request.json` says what, `result.json` (written last, in one piece) what came of it, `lock` is held
while somebody works on it, `acting` exists once an installation may have changed the node. A task with a result is never
done again; a second process for the same task finds the lock held and leaves.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, Mapping, NamedTuple, Sequence, Tuple

from patchwright.agent import log
from patchwright.agent.clock import Clock
from patchwright.agent.disk import Disk, Lock, read_json
from patchwright.agent.errors import AgentError
from patchwright.agent.shell import Detached, Shell
from patchwright.agent.task import MESSAGE_LIMIT, REQUEST, RESULT, provider_of
from patchwright.core.errors import PatchwrightError

EXIT_BUSY = 75  # sysexits' EX_TEMPFAIL: somebody else is at it
MAX_STARTS = 3  # of one task whose process is killed every time
JOIN_SECONDS, LONGEST_JOIN_SECONDS = 0.02, 0.2  # how often a running task is looked at: at first, and after a while


class TaskFailed(AgentError):
    """A task ended with an error. *kind* names the error's class, the message is its own."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Bench(NamedTuple):
    """Where tasks are done: *program* are the words that start this agent again, *environment* what it needs to be told."""

    disk: Disk
    shell: Shell
    clock: Clock
    program: Tuple[str, ...]
    environment: Mapping[str, str] = {}


def obtain(
    bench: Bench,
    task: str,
    directory: Path,
    request: Mapping[str, Any],
    *,
    limit: float,
    meanwhile: Callable[[], None] = lambda: None,
) -> Dict[str, Any]:
    """
    The result of a task: as stored, or waited for where a process is at it, or from a process started now.

    Args:
        task: One of `TASKS`.
        directory: The task's own; made where it is not there.
        request: What the task needs; ignored where it was asked before.
        limit: Seconds after which the process is ended, 0 for never.
        meanwhile: Called every time it is looked whether the task is done, several times a second.

    Raises TaskFailed.
    """
    bench.disk.directory(*directory.relative_to(bench.disk.root).parts)
    while not (directory / RESULT).exists():
        if Lock(directory / "lock").held():
            _join(bench, task, directory, limit, meanwhile)
        elif not (directory / RESULT).exists():
            _start(bench, task, directory, request)
            _join(bench, task, directory, limit, meanwhile)
    answer = read_json(directory / RESULT)
    if "error" in answer:
        raise TaskFailed(str(answer["error"]["kind"]), str(answer["error"]["message"]))
    result: Dict[str, Any] = answer["result"]
    return result


def perform(task: str, directory: Path, disk: Disk) -> int:
    """Do a task, in the process that was started for it. Answers the exit code."""
    lock = Lock(directory / "lock")
    if not lock.take_from_lookers(Clock()):
        return EXIT_BUSY
    if (directory / RESULT).exists():
        return 0
    try:
        answer = {"result": _TASKS[task](directory, disk)}
    except PatchwrightError as error:
        answer = {"error": {"kind": type(error).__name__, "message": str(error)[-MESSAGE_LIMIT:]}}
    except Exception as error:  # noqa: BLE001 - whatever goes wrong here has to reach the report, not only this log
        import traceback  # which is large, and seldom needed

        traceback.print_exc()
        answer = {"error": {"kind": "Unexpected", "message": f"{type(error).__name__}: {error}"[-MESSAGE_LIMIT:]}}
    disk.write_json(directory / RESULT, answer)
    return 0


def _start(bench: Bench, task: str, directory: Path, request: Mapping[str, Any]) -> None:
    starts = _starts(directory)
    if starts["count"] >= MAX_STARTS:
        _give_up(bench, task, directory)
        return
    if not (directory / REQUEST).exists():
        bench.disk.write_json(directory / REQUEST, dict(request))
    bench.disk.write_json(directory / "starts.json", {**starts, "count": starts["count"] + 1})
    argv = [*bench.program, "child", task, "--directory", str(directory), "--state-dir", str(bench.disk.root)]
    process = bench.shell.spawn_detached(argv, log=directory / "log", env=bench.environment)
    bench.disk.write_json(directory / "starts.json", {"count": starts["count"] + 1, "process": list(process)})


def _join(bench: Bench, task: str, directory: Path, limit: float, meanwhile: Callable[[], None]) -> None:
    """Wait until nobody is at the task, whoever started it; end it when its time is up."""
    pause = JOIN_SECONDS
    process = Detached(*_starts(directory).get("process", (0, 0)))
    deadline = bench.clock.monotonic() + limit
    while bench.shell.is_alive(process) or Lock(directory / "lock").held():
        if limit and bench.clock.monotonic() > deadline:
            log.warning(f"{task} is ended after {limit:.0f} s")
            bench.shell.end(process)
            message = f"{task} took longer than {limit:.0f} s and was ended; see child_seconds"
            bench.disk.write_json(directory / RESULT, {"error": {"kind": "TookTooLong", "message": message}})
            return
        bench.clock.sleep(pause)
        pause = min(1.25 * pause, LONGEST_JOIN_SECONDS)
        meanwhile()


def _starts(directory: Path) -> Dict[str, Any]:
    try:
        return {"count": 0, **read_json(directory / "starts.json")}
    except (FileNotFoundError, PatchwrightError):
        return {"count": 0}


def _give_up(bench: Bench, task: str, directory: Path) -> None:
    ended = f"the process for {task} was killed {MAX_STARTS} times"
    message = f"{ended}, perhaps for lack of memory or disk; its output is in {directory / 'log'}"
    bench.disk.write_json(directory / RESULT, {"error": {"kind": "ChildLost", "message": message}})


def _facts(directory: Path, disk: Disk) -> Dict[str, Any]:
    """Request: refresh, clock_offset, sources. Result: facts, and by digest the file of every body."""
    from patchwright.agent import facts, sourcing
    from patchwright.core import source

    request = read_json(directory / REQUEST)
    provider, clock = provider_of(disk, request)
    sources = source.from_json(request.get("sources", []))
    sourcing.tidy(disk.root, sources, now=clock.now())
    taken = facts.take(
        provider,
        refresh=bool(request["refresh"]),
        clock=clock,
        clock_offset=float(request["clock_offset"]),
        sources=sources,
    )
    bodies = {}
    for digest, body in taken.bodies.items():
        bodies[digest] = digest.replace(":", "-")
        disk.write(directory / bodies[digest], body)
    return {"facts": taken.facts.to_json(), "bodies": bodies}


def _resolve(directory: Path, disk: Disk) -> Dict[str, Any]:
    """
    Request: intent, sources, and whether a list names versions (listed). Result: a resolution, as on the wire; of a list also
    which of its packages have a candidate above the version that is to be installed (passed).
    """
    from patchwright.core.protocol import intent_from_json, resolution_to_json

    request = read_json(directory / REQUEST)
    intent = intent_from_json(request["intent"])
    provider, _ = provider_of(disk, request)
    resolution = provider.resolve(intent)
    told = resolution_to_json(resolution)
    if request.get("listed"):
        now = provider.candidates([action.key for action in resolution.actions])
        told["passed"] = [one.key for one in resolution.actions if now.get(one.key, one.after) != one.after]
    return told


def _install(directory: Path, disk: Disk) -> Dict[str, Any]:
    """Request and result: see `installing.install`."""
    from patchwright.agent import installing

    return installing.install(directory, disk)


def _script(directory: Path, disk: Disk) -> Dict[str, Any]:
    """Request and result: see `keeper.keep`."""
    from patchwright.agent import keeper

    shell = Shell()
    shell.adopt()
    return keeper.keep(directory, disk, shell=shell)


_TASKS: Dict[str, Callable[[Path, Disk], Dict[str, Any]]] = {
    "facts": _facts,
    "resolve": _resolve,
    "install": _install,
    "script": _script,
}
TASKS: Sequence[str] = tuple(_TASKS)
