# SPDX-License-Identifier: Apache-2.0
"""Resolving an intent: apt's closure of what is wanted, under what is blocked and held."""

from __future__ import annotations

from typing import Callable, Container, Dict, List, Mapping, Sequence

from patchwright.agent.providers import words
from patchwright.agent.providers.apt import transcript
from patchwright.agent.providers.apt.lists import counterpart
from patchwright.agent.providers.apt.status import Row
from patchwright.agent.providers.apt.tool import Exclusions, Tool, is_name, is_version
from patchwright.agent.providers.apt.transcript import Simulation
from patchwright.agent.providers.resolver import Answer, Request, Simulated, largest
from patchwright.agent.shell import Result
from patchwright.core.errors import MalformedVersion
from patchwright.core.plan import Action, Intent, Resolution, Wanted
from patchwright.core.version import Scheme, compare


class Closure:
    """One intent over one state of the node. *rows* is what is installed."""

    def __init__(self, tool: Tool, rows: Mapping[str, Row], intent: Intent) -> None:
        self._tool = tool
        self._rows = rows
        self._blocked = frozenset(intent.blocked)
        self._blocked_names = intent.blocked
        self._wanted = {item.key: item for item in intent.wanted}
        self._options: List[str] = []
        self._repairs: List[str] = []

    def resolve(self) -> Resolution:
        """The resolution: every wanted key is among its actions or explained."""
        requests: List[Request] = []
        finishing: List[Action] = []
        unresolved: Dict[str, str] = {}
        for key, item in self._wanted.items():
            reason = self._objection(item)
            if reason:
                unresolved[key] = reason
            elif item.version == item.installed:
                finishing.append(Action(item.name, item.arch, item.installed, item.version, wanted=True))
            else:
                requests.append(Request(item.name, item.arch, item.version))
        with Exclusions(self._tool, self._blocked_names) as options:
            self._options = options
            best = largest(requests, self._simulate)
        unresolved.update(best.reasons)
        done = {action.key for action in finishing}
        actions = [action for action in map(self._action, best.closure) if action.key not in done]
        return Resolution((*finishing, *actions), unresolved)

    def _objection(self, item: Wanted) -> str:
        """Why a wanted update need not be tried; empty where it must be."""
        row = self._rows.get(item.key)
        if row is None or row.version != item.installed:
            now = f"{row.version} is installed now" if row else "it is not installed any more"
            return f"{now}, {item.installed} was when the facts were taken"
        if row.held:
            return "held on the node"
        if item.name in self._blocked:
            return "rejected by the baseline"
        if not is_name(item.name) or not is_version(item.version):
            return "its name or version is not one that apt accepts"
        return ""

    def _simulate(self, requests: Sequence[Request]) -> Answer:
        asked = arguments(self._tool, requests)
        result = self._tool.simulate([*asked, *self._repairs], self._options)
        if result.code != 0 and transcript.was_broken(result.stderr) and not self._repairs:
            # The node's dependencies were broken before anything was asked. apt then does nothing for a request that does
            # not mend them: what mends them becomes part of every request.
            told = foretold(self._tool, self._tool.repair(self._options), self._rows)
            mending = [Request(item.name, item.arch, item.after) for item in told.installed]
            keys = {request.key for request in requests}
            self._repairs = arguments(self._tool, [request for request in mending if request.key not in keys])
            if self._repairs:
                result = self._tool.simulate([*asked, *self._repairs], self._options)
        if result.code != 0:
            answer = refused(self._tool, requests, result)
            reasons = {key: self._with_blocked(reason) for key, reason in answer.reasons.items()}
            return Answer((), self._with_blocked(answer.refusal), reasons)
        told = foretold(self._tool, result, self._rows)
        return Answer(told.installed, words.cut("; ".join(self._violations(told, requests))))

    def _with_blocked(self, reason: str) -> str:
        """*reason*, and which of the packages it names the baseline rejects: apt does not know why it may not take them."""
        words = {word.strip("();,").partition(":")[0] for word in reason.split()}
        named = sorted(self._blocked & words)
        if not named:
            return reason
        return "needs {}, which the baseline rejects ({})".format(", ".join(named), reason)

    def _violations(self, told: transcript.Simulation, requests: Sequence[Request]) -> List[str]:
        found = [f"it would remove {name}" for name in told.removed]
        coming = {item.key: item for item in told.installed}
        for request in requests:
            got = coming.get(request.key)
            if got is None or got.after != request.version:
                found.append(f"apt would not bring {request.key} to {request.version}")
        for item in told.installed:
            found.extend(self._violation(item))
        return found

    def _violation(self, item: Simulated) -> List[str]:
        row = self._rows.get(item.key)
        wanted = self._wanted.get(item.key)
        if item.name in self._blocked:
            return [f"needs {item.name}, which the baseline rejects"]
        if row is not None and row.held:
            return [f"it would change {item.name}, which is held on the node"]
        if wanted is not None and wanted.version != item.after:
            return [f"it would bring {item.key} to {item.after}, and {wanted.version} is wanted"]
        if row is not None and _is_older(item.after, row.version):
            return [f"it would take {item.key} back from {row.version} to {item.after}"]
        return []

    def _action(self, item: Simulated) -> Action:
        row = self._rows.get(item.key)
        wanted = item.key in self._wanted
        return Action(item.name, item.arch, row.version if row else "", item.after, wanted=wanted)


def within(tool: Tool, allowed: Mapping[str, str]) -> Callable[[Sequence[Request]], Answer]:
    """A simulation that refuses everything but bringing *allowed* (`name.arch`) to exactly these versions."""

    def simulate(requests: Sequence[Request]) -> Answer:
        result = tool.simulate(arguments(tool, requests))
        if result.code != 0:
            return refused(tool, requests, result)
        told = foretold(tool, result, allowed)
        beyond = [f"{item.key} {item.after}" for item in told.installed if allowed.get(item.key) != item.after]
        beyond.extend(f"the removal of {name}" for name in told.removed)
        text = "apt would also need {}, which the plan does not contain".format(", ".join(beyond[:5]))
        return Answer(told.installed, text if beyond else "")

    return simulate


def foretold(tool: Tool, result: Result, keys: Container[str]) -> Simulation:
    """What a simulation says it would do; a package that changes between `all` and the machine's own architecture keeps the
    name that *keys* (`name.arch`) have for it."""
    told = transcript.simulation(result.stdout)
    return told._replace(installed=tuple(item._replace(arch=_known_arch(tool, item, keys)) for item in told.installed))


def _known_arch(tool: Tool, item: Simulated, keys: Container[str]) -> str:
    archs = [arch for arch in ("all", tool.layout.architecture, item.arch) if f"{item.name}.{arch}" in keys]
    return counterpart(item.arch, archs, tool.layout.architecture) or item.arch


def arguments(tool: Tool, requests: Sequence[Request]) -> List[str]:
    """The requests as apt-get takes them."""
    return [f"{tool.qualified(item.name, item.arch)}={item.version}" for item in requests]


def refused(tool: Tool, requests: Sequence[Request], result: Result) -> Answer:
    """What apt-get said when it would not do *requests*."""
    keys = [item.key for item in requests]
    reasons = {}
    for printed in transcript.named(result.stdout, result.stderr):
        key = tool.key_of(printed, keys)
        if key:
            reasons[key] = transcript.why_not(result.stdout, result.stderr, printed)
    removed = transcript.removals(result.stdout)
    if removed and "remove is disabled" in result.stderr:
        return Answer((), "it would remove {}".format(", ".join(removed[:5])), reasons)
    return Answer((), transcript.why_not(result.stdout, result.stderr, ""), reasons)


def _is_older(one: str, other: str) -> bool:
    try:
        return compare(Scheme.DPKG, one, other) < 0
    except MalformedVersion:
        return True
