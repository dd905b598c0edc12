# SPDX-License-Identifier: Apache-2.0
"""
Carrying out a plan, in a process of its own that nobody ends (child.py).

Until it says durably that it acts (`acting`) nothing has changed, and it gives up where nobody wants the plan any more: while it
waits for the package manager's locks, and for the last time right before. From there on it goes to its end.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Mapping

from patchwright.agent import log
from patchwright.agent.clock import Clock
from patchwright.agent.config import load_settings
from patchwright.agent.disk import Disk, read_json
from patchwright.agent.errors import AgentError, LockHeld
from patchwright.agent.providers import Provider
from patchwright.agent.reboot import boot_id
from patchwright.agent.task import ACTING, MESSAGE_LIMIT, REQUEST, provider_of

NO_ROOM = "not attempted: the disk is full, and what was done could not be written down; make room and install again"
CANCELLED, LATE = "cancelled", "late"  # why nothing was begun
LOOK_SECONDS = 0.5  # between two looks at a lock that another has


def install(directory: Path, disk: Disk) -> Dict[str, Any]:
    """
    Request: plan, sources, passed; cancel (a file that says that the plan is not wanted any more), seconds (until it is too late
    to begin; absent: never). Result: drift (texts), or over (CANCELLED, LATE), or failures, output and the boot in which it acted.

    Drift is looked for right before acting, and not again once this may have acted: what a first attempt changed is no drift.
    """
    from patchwright.core.plan import Plan, drift

    request = read_json(directory / REQUEST)
    plan = Plan.from_json(request["plan"])
    provider, clock = provider_of(disk, request)
    if not (directory / ACTING).exists():
        wanted = _Wanted(request, clock)
        try:
            _wait_for_locks(provider, clock, seconds=load_settings(disk.root).lock_wait_seconds, wanted=wanted)
        except LockHeld as error:
            return _nothing_done({action.key: str(error)[-MESSAGE_LIMIT:] for action in plan.actions})
        candidates = provider.candidates([action.key for action in plan.actions])
        moved = drift(plan, provider.installed(), candidates, passed=request.get("passed", ()))
        if moved:
            return {"drift": [item.text for item in moved]}
        if not disk.has_room():
            return _nothing_done({action.key: NO_ROOM for action in plan.actions})
        if wanted.over():
            return {"drift": [], "over": wanted.over()}
        disk.write(directory / ACTING, b"")
    boot = boot_id()
    try:
        outcome = provider.install(plan, log.info)
    except AgentError as error:
        installed, reason = provider.installed(), str(error)[-MESSAGE_LIMIT:]
        failures = {action.key: reason for action in plan.actions if installed.get(action.key) != action.after}
        return {"drift": [], "failures": failures, "output": reason, "boot_id": boot}
    return {"drift": [], "failures": dict(outcome.failures), "output": outcome.output, "boot_id": boot}


class _Wanted:
    """Whether the plan of *request* is wanted still."""

    def __init__(self, request: Mapping[str, Any], clock: Clock) -> None:
        self._cancel = Path(str(request.get("cancel") or "/nonexistent"))
        self._clock = clock
        self._until = clock.monotonic() + float(request["seconds"]) if "seconds" in request else float("inf")

    def over(self) -> str:
        """Why not; empty where it is."""
        if self._cancel.exists():
            return CANCELLED
        return LATE if self._clock.monotonic() >= self._until else ""


def _wait_for_locks(provider: Provider, clock: Clock, *, seconds: float, wanted: _Wanted) -> None:
    """Return when nobody is seen to hold them, or the plan is not wanted any more. Raises LockHeld after *seconds*."""
    begun = clock.monotonic()
    holder = provider.holder()
    while holder is not None and not wanted.over():
        waited = clock.monotonic() - begun
        if waited >= seconds:
            raise LockHeld(holder.path, holder.pid, holder.command, waited_seconds=waited)
        clock.sleep(min(LOOK_SECONDS, max(0.01, seconds - waited)))
        holder = provider.holder()


def _nothing_done(failures: Mapping[str, str]) -> Dict[str, Any]:
    return {"drift": [], "failures": dict(failures), "boot_id": boot_id()}
