# SPDX-License-Identifier: Apache-2.0
"""Carrying out a plan with dnf, and judging from the rpm database what came of it."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Collection, Dict, List, Mapping, Optional, Sequence, Set, Tuple

from patchwright.agent.errors import CommandTimedOut, MetadataUnreadable
from patchwright.agent.providers.dnf import transcript
from patchwright.agent.providers.dnf.closure import arguments, spellings, within
from patchwright.agent.providers.dnf.tool import Tool, fits
from patchwright.agent.providers.locks import Holder, Locks
from patchwright.agent.providers.resolver import Request, largest
from patchwright.agent.providers.rpm.database import Row, by_key, nevra
from patchwright.agent.shell import Result
from patchwright.core.plan import Action, Plan

MAX_RUNS = 6  # of dnf: each leaves out what failed in the one before
UNEXPLAINED = "dnf did not install it and gives no reason"
INSTALL_ONLY = ("installonlypkg(", "multiversion(")  # provides of what is installed side by side
INSTALL_ONLY_NAMES = ("kernel", "kernel-PAE")
Identity = Tuple[str, str, str]


class Installation:
    """
    One plan on one node.

    *rows* reads the rpm database anew each time it is called; *available* says which packages the repositories have under
    some names.
    """

    def __init__(
        self,
        tool: Tool,
        plan: Plan,
        *,
        locks: Locks,
        rows: Callable[[], Sequence[Row]],
        available: Callable[[Collection[str]], Set[Identity]],
        log: Path,
        timeout_seconds: float,
        progress: Callable[[str], None],
    ) -> None:
        self._tool = tool
        self._actions = plan.actions
        self._locks = locks
        self._rows = rows
        self._available = available
        self._log = log
        self._timeout = timeout_seconds
        self._progress = progress
        self._reasons: Dict[str, str] = {}
        self._scripts: Dict[str, str] = {}

    def carry_out(self) -> Dict[str, str]:
        """Do it; by `name.arch` why an action did not happen or which script of it failed, empty where all went well."""
        if not self._left():
            return {}
        self._locks.wait_for(lambda: None, lambda _: None)  # an earlier run of ours may still be at it
        self._check_database()
        self._finish_interrupted()
        for _ in range(MAX_RUNS):
            todo = [action for action in self._left() if action.key not in self._reasons]
            if not todo or not self._run(todo):
                break
        left = {action.key: self._reasons.get(action.key) or UNEXPLAINED for action in self._left()}
        return {**self._scripts, **{key: self._scripts.get(key, reason) for key, reason in left.items()}}

    def _left(self) -> List[Action]:
        rows = by_key(self._rows())
        doubled = self._doubled(rows)
        return [action for action in self._actions if not _is_done(action, rows) or action.key in doubled]

    def _run(self, todo: Sequence[Action]) -> bool:
        """Install what can be of *todo*; whether another run may bring more."""
        upgrades = [action for action in todo if action.before]
        # What is new comes in as a dependency of what is upgraded. Only where that is done already is it asked for itself.
        verb, asked = ("upgrade", upgrades) if upgrades else ("install", list(todo))
        requests = [Request(action.name, action.arch, action.after) for action in asked]
        excluded = self._excluded()
        allowed = {action.key: action.after for action in self._actions}
        rows = by_key(self._rows())
        best = largest(requests, within(self._tool, allowed, rows, verb=verb, excluded=excluded))
        self._reasons.update(best.reasons)
        if not best.requests:
            return False
        self._progress(f"installing {len(best.closure)} packages")
        text = self._locked(
            lambda: self._tool.act(
                verb, arguments(best.requests), excluded=excluded, timeout=self._timeout, log=self._log
            )
        ).stdout
        if verb == "install":
            self._tool.mark_dependencies([request.name for request in best.requests])
        failed = self._explain(text)
        left = {action.key for action in self._left()}
        keys = [item.key for item in best.closure]
        if not failed and not any(key not in left for key in keys):
            told = transcript.errors(text) or UNEXPLAINED
            self._reasons.update({key: told for key in keys if key in left and key not in self._reasons})
        return bool(left - set(self._reasons))

    def _explain(self, text: str) -> Set[str]:
        """Note why packages failed, as far as *text* says; those newly explained."""
        scripts, others = transcript.scriptlet_failures(text), transcript.package_failures(text)
        left = {action.key for action in self._left()}
        found = set()
        for action in self._actions:
            names = spellings(action.name, action.arch, action.after)
            if action.before:
                names += spellings(action.name, action.arch, action.before)
            script = next((scripts[name] for name in names if name in scripts), "")
            reason = next((others[name] for name in names if name in others), "")
            if script:
                self._scripts.setdefault(action.key, script)
            if action.key in left and (script or reason) and action.key not in self._reasons:
                self._reasons[action.key] = script or reason
                found.add(action.key)
        return found

    def _excluded(self) -> List[str]:
        """All that dnf might take instead of what the plan says, and what has failed."""
        names = {action.name for action in self._actions}
        there = {row[:3] for row in self._rows()}  # what is installed must be seen: else dnf finds nothing to upgrade
        planned = {(action.name, action.arch, action.after) for action in self._actions}
        failed = {(action.name, action.arch, action.after) for action in self._actions if action.key in self._reasons}
        others = sorted((self._available(names) - planned - there) | failed)
        found = [nevra(*identity) for identity in others]
        return found if fits(found) else [nevra(*identity) for identity in sorted(failed)]

    def _check_database(self) -> None:
        result = self._tool.rpm("--verifydb", ok=range(256))
        if result.code != 0:
            raise MetadataUnreadable(
                f"rpm's database is damaged: {result.tail[:300]}; mend it with `rpm --rebuilddb`, then run the operation again"
            )

    def _finish_interrupted(self) -> None:
        """
        Finish what an interrupted transaction left: the new version and the old one are both in the database.

        rpm erases the old versions after all new ones are there. Scripts of the new one may not have run to their end, so it
        is installed once more.
        """
        rows = by_key(self._rows())
        doubled = self._doubled(rows)
        if not doubled:
            return
        self._progress("finishing an interrupted transaction")
        for row in (row for key in sorted(doubled) for row in rows[key][:-1]):
            self._erase(row)
        again = [nevra(row.name, row.arch, row.version) for row in (rows[key][-1] for key in sorted(doubled))]
        self._explain(
            self._locked(lambda: self._tool.act("reinstall", again, timeout=self._timeout, log=self._log)).stdout
        )

    def _erase(self, row: Row) -> None:
        name = "{}-{}.{}".format(row.name, row.version.rpartition(":")[2], row.arch)
        result = self._locked(
            lambda: self._tool.rpm("-e", "--nodeps", name, ok=range(256), log=self._log, timeout=self._timeout)
        )
        if result.code != 0:
            self._explain(result.stdout)

    def _doubled(self, rows: Mapping[str, Sequence[Row]]) -> Set[str]:
        """The plan's packages of which several versions are installed although they are not meant to be."""
        keys = {action.key for action in self._actions if len(rows.get(action.key, ())) > 1}
        return {key for key in keys if not self._is_install_only(rows[key][-1])}

    def _is_install_only(self, row: Row) -> bool:
        if row.name in INSTALL_ONLY_NAMES:
            return True
        bare = row.version.rpartition(":")[2]
        provides = self._tool.rpm("-q", "--provides", f"{row.name}-{bare}.{row.arch}", ok=range(256)).stdout
        return any(line.startswith(INSTALL_ONLY) for line in provides.splitlines())

    def _locked(self, run: Callable[[], Result]) -> Result:
        def attempt() -> Result:
            try:
                return run()
            except CommandTimedOut as error:
                return Result(error.argv, -1, f"Error: {error}", "")

        def refused(result: Result) -> Optional[Holder]:
            told = transcript.lock_holder(result.stdout)
            # dnf 5 says no word of rpm's lock: whoever holds it now has most likely held it before.
            return told or (self._locks.holder() if transcript.failed_as_a_whole(result.stdout) else None)

        return self._locks.wait_for(attempt, refused)


def _is_done(action: Action, rows: Mapping[str, Sequence[Row]]) -> bool:
    return any(row.version == action.after for row in rows.get(action.key, ()))
