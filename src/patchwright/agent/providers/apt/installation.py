# SPDX-License-Identifier: Apache-2.0
"""Carrying out a plan with apt-get, and judging from dpkg's database what came of it."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Dict, List, Mapping, Sequence, Set

from patchwright.agent.errors import CommandTimedOut
from patchwright.agent.providers.apt import transcript
from patchwright.agent.providers.apt.closure import arguments, within
from patchwright.agent.providers.apt.status import Row, is_interrupted
from patchwright.agent.providers.apt.tool import Tool
from patchwright.agent.providers.locks import Locks
from patchwright.agent.providers.resolver import Request, largest
from patchwright.agent.shell import Result
from patchwright.core.plan import Action, Plan

MAX_RUNS = 6  # of apt-get: each takes out what failed in the one before
UNCONFIGURED = ("unpacked", "half-configured", "triggers-awaited", "triggers-pending")  # what dpkg --configure finishes
UNEXPLAINED = "apt did not install it and gives no reason"


class Installation:
    """One plan on one node. *rows* reads dpkg's database anew each time it is called."""

    def __init__(
        self,
        tool: Tool,
        plan: Plan,
        *,
        locks: Locks,
        rows: Callable[[], Dict[str, Row]],
        log: Path,
        timeout_seconds: float,
        progress: Callable[[str], None],
    ) -> None:
        self._tool = tool
        self._actions = plan.actions
        self._locks = locks
        self._rows = rows
        self._log = log
        self._timeout = timeout_seconds
        self._progress = progress
        self._reasons: Dict[str, str] = {}

    def carry_out(self) -> Dict[str, str]:
        """Do it; by `name.arch` why an action did not happen, empty where all did."""
        automatic = self._automatic()
        self._finish_configurations()
        for _ in range(MAX_RUNS):
            left = self._left()
            todo = [action for action in left if action.key not in self._reasons]
            if not todo or not self._run(todo):
                break
        self._finish_configurations()
        self._keep_automatic(automatic)
        return {action.key: self._reasons.get(action.key) or UNEXPLAINED for action in self._left()}

    def _left(self) -> List[Action]:
        rows = self._rows()
        native = self._tool.layout.architecture
        return [action for action in self._actions if not _is_done(action, rows, native)]

    def _run(self, todo: Sequence[Action]) -> bool:
        """Install what can be of *todo*; whether another run may bring more."""
        requests = [Request(action.name, action.arch, action.after) for action in todo]
        # What is already done stays allowed: apt may configure it once more.
        best = largest(requests, within(self._tool, {action.key: action.after for action in self._actions}))
        self._reasons.update(best.reasons)
        if not best.requests:
            return False
        self._progress(f"installing {len(best.requests)} packages")
        result = self._locked(
            lambda: self._tool.install(
                arguments(self._tool, best.requests),
                options=self._reinstall(todo),
                timeout=self._timeout,
                log=self._log,
            )
        )
        keys = [request.key for request in best.requests]
        failed = self._explain(result.stdout, keys)
        left = {action.key for action in self._left()}
        progressed = any(key not in left for key in keys)
        if not progressed and not failed:
            told = transcript.errors(result.stdout) or UNEXPLAINED
            self._reasons.update({key: told for key in keys if key in left and key not in self._reasons})
        return bool(left - set(self._reasons))

    def _explain(self, output: str, keys: Sequence[str]) -> Set[str]:
        """Note why packages failed, as far as *output* says; those newly explained."""
        told = {**transcript.fetch_failures(output), **transcript.package_failures(output)}
        left = {action.key for action in self._left()}
        found = set()
        for printed, reason in told.items():
            key = self._tool.key_of(printed, keys)
            if key in left and key not in self._reasons:
                self._reasons[key] = reason
                found.add(key)
        return found

    def _finish_configurations(self) -> None:
        """
        Configure what is unpacked.

        What fails here has failed only where it is at the plan's version: the version to come may well repair it.
        """
        rows = self._rows()
        interrupted = is_interrupted(self._tool.layout.status)
        if not interrupted and not any(row.state in UNCONFIGURED for row in rows.values()):
            return
        self._progress("finishing the configuration of packages")
        result = self._locked(lambda: self._tool.configure(timeout=self._timeout, log=self._log))
        there = [
            action.key for action in self._actions if action.key in rows and rows[action.key].version == action.after
        ]
        self._explain(result.stdout, there)

    def _locked(self, run: Callable[[], Result]) -> Result:
        def attempt() -> Result:
            try:
                return run()
            except CommandTimedOut as error:
                return Result(error.argv, -1, f"E: {error}", "")

        return self._locks.wait_for(attempt, lambda result: transcript.lock_holder(result.stdout))

    def _reinstall(self, todo: Sequence[Action]) -> Sequence[str]:
        """dpkg must unpack a half-installed package again, even in the version that it has."""
        rows = self._rows()
        broken = [rows[action.key] for action in todo if action.key in rows and action.before == action.after]
        return ["--reinstall"] if any(row.reinstall or row.state == "half-installed" for row in broken) else []

    def _automatic(self) -> Set[str]:
        """The names of the plan's packages that apt installed by itself as dependencies; naming them would change that."""
        names = {self._tool.qualified(action.name, action.arch) for action in self._actions}
        try:
            text = self._tool.layout.extended.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return set()
        found = set()
        for stanza in text.split("\n\n"):
            fields = dict(line.partition(": ")[::2] for line in stanza.splitlines())
            if fields.get("Auto-Installed") == "1":
                found.add(self._tool.qualified(fields.get("Package", ""), fields.get("Architecture", "")))
        return names & found

    def _keep_automatic(self, before: Set[str]) -> None:
        new = {self._tool.qualified(action.name, action.arch) for action in self._actions if not action.before}
        rows = self._rows()
        present = {self._tool.qualified(row.name, row.arch) for row in rows.values()}
        self._tool.mark_auto(sorted((before | new) & present))


def _is_done(action: Action, rows: Mapping[str, Row], native: str) -> bool:
    # The new version may be for `all` where the old one was for the machine's own architecture, and the other way round.
    archs = {"all": ("all", native), native: (native, "all")}.get(action.arch, (action.arch,))
    found = (rows.get(f"{action.name}.{arch}") for arch in archs)
    return any(row is not None and row.version == action.after and row.done for row in found)
