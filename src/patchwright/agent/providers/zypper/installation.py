# SPDX-License-Identifier: Apache-2.0
"""Carrying out a plan with zypper, and judging from rpm's database what came of it."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Collection, Dict, List, Sequence

from patchwright.agent.clock import Clock
from patchwright.agent.providers.locks import Locks
from patchwright.agent.providers.resolver import Request, largest
from patchwright.agent.providers.zypper import answers
from patchwright.agent.providers.zypper.closure import Locked, within
from patchwright.agent.providers.zypper.database import Installed
from patchwright.agent.providers.zypper.tool import NOT_ACCEPTED, Tool, is_name, is_version
from patchwright.agent.shell import Result
from patchwright.core.plan import Action, Plan

SIDE_BY_SIDE = "multiversion("  # what packages provide whose versions are kept beside each other, kernels above all
UNEXPLAINED = "zypper did not install it and gives no reason"


class Installation:
    """
    One plan on one node.

    *first* are the actions (`name.arch`) that come before all others: after them the package manager is another one.
    """

    def __init__(
        self,
        tool: Tool,
        plan: Plan,
        *,
        first: Collection[str],
        locks: Locks,
        log: Path,
        clock: Clock,
        timeout_seconds: float,
        progress: Callable[[str], None],
    ) -> None:
        self._tool = tool
        self._actions = tuple(one for one in plan.actions if is_name(one.name) and is_version(one.after))
        self._refused = [one.key for one in plan.actions if one not in self._actions]
        self._first = first
        self._locks = locks
        self._log = log
        self._clock = clock
        self._timeout = timeout_seconds
        self._progress = progress
        self._reasons: Dict[str, str] = {}
        self._scripts: Dict[str, str] = {}
        self._was_busy = False

    def carry_out(self) -> Dict[str, str]:
        """Do it; by `name.arch` why an action did not happen, or a script of its package failed; empty where all is well."""
        self._locks.wait_for(lambda: None, lambda _: None)  # who is at it may well be carrying out this very plan
        self._tidy()
        for group in ([one for one in self._actions if one.key in self._first], list(self._actions)):
            for _ in range(len(group) + 2):  # zypper stops at the first package that fails: each run takes one out
                todo = [one for one in self._left(group) if one.key not in self._reasons]
                if not todo or not self._run(todo):
                    break
        self._tidy()
        failed = {one.key: self._reasons.get(one.key) or UNEXPLAINED for one in self._left(self._actions)}
        return {**self._scripts, **failed, **dict.fromkeys(self._refused, NOT_ACCEPTED)}

    def _left(self, actions: Sequence[Action]) -> List[Action]:
        installed = self._tool.installed()
        return [one for one in actions if not installed.has(one.key, one.after)]

    def _run(self, todo: Sequence[Action]) -> bool:
        """Install what can be of *todo*; whether another run may bring more."""
        requests = [Request(one.name, one.arch, one.after) for one in todo]
        best = largest(requests, within(self._simulate, {one.key: one.after for one in self._actions}))
        self._reasons.update(best.reasons)
        if not best.requests:
            return False
        self._progress(f"installing {len(best.requests)} packages")
        output = self._install([answers.argument(one) for one in best.requests])
        if answers.RETRYING in output and not self._was_busy:
            self._was_busy = True  # once more, with nobody to blame yet: it may have been for a moment only
            return True
        left = {one.key for one in self._left(self._actions)}
        self._scripts.update(answers.scriptlets(output, best.requests))
        told = answers.failures(output, best.requests)
        self._reasons.update({key: reason for key, reason in told.items() if key in left})
        keys = [one.key for one in best.requests]
        if not any(key in self._reasons or key not in left for key in keys):
            reason = answers.errors(output) or UNEXPLAINED
            self._reasons.update(dict.fromkeys(keys, reason))
        return bool(left - set(self._reasons))

    def _tidy(self) -> None:
        """
        Finish what an interruption left: rpm adds a new version to its database before it takes the old one out.

        Where both are there and do not belong beside each other, the new one is installed once more.
        """
        installed = self._tool.installed()
        doubled = [one for one in self._actions if self._is_doubled(one, installed)]
        for action in doubled:
            self._progress(f"finishing the installation of {action.key}")
            argument = answers.argument(Request(action.name, action.arch, action.after))
            output = self._install([argument], options=["--force"])
            if self._is_doubled(action, self._tool.installed()):
                told = answers.errors(output) or UNEXPLAINED
                self._scripts[action.key] = f"its older version {action.before} could not be removed: {told}"

    def _is_doubled(self, action: Action, installed: Installed) -> bool:
        both = action.before != action.after and all(
            installed.has(action.key, version) for version in (action.before, action.after)
        )
        return both and SIDE_BY_SIDE not in self._tool.provides(action.name)

    def _simulate(self, requests: Sequence[Request], locked: Locked) -> Result:
        arguments = [answers.argument(one) for one in requests]
        return waiting(self._locks, lambda: self._tool.simulate(arguments, locked))

    def _install(self, arguments: Sequence[str], options: Sequence[str] = ()) -> str:
        return self._locks.wait_for(
            lambda: self._tool.install(
                arguments, options=options, timeout=self._timeout, log=self._log, clock=self._clock
            ),
            lambda output: answers.holder(output, 0),
        )


def waiting(locks: Locks, attempt: Callable[[], Result]) -> Result:
    """The result of *attempt* once zypper does not say that somebody else holds its lock; raises LockHeld."""
    return locks.wait_for(attempt, lambda result: answers.holder(result.stdout, result.code))
