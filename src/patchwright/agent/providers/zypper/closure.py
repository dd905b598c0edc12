# SPDX-License-Identifier: Apache-2.0
"""Resolving an intent: libzypp's closure of what is wanted, under what is blocked and locked."""

from __future__ import annotations

from typing import Callable, Dict, List, Mapping, Sequence, Tuple

from patchwright.agent.providers.resolver import Answer, Request, Simulated, largest
from patchwright.agent.providers.zypper import answers
from patchwright.agent.providers.zypper.answers import Summary
from patchwright.agent.providers.zypper.configuration import Lock
from patchwright.agent.providers.zypper.database import Installed
from patchwright.agent.providers.zypper.tool import NOT_ACCEPTED, is_name, is_version
from patchwright.agent.shell import Result
from patchwright.core.entries import names_package
from patchwright.core.errors import MalformedVersion
from patchwright.core.plan import Action, Intent, Resolution, Wanted
from patchwright.core.system import Family
from patchwright.core.version import Scheme, compare

MAX_EXCLUSIONS = 100  # rounds in which the resolver chose a version that the baseline rejects, and has to do without
Locked = Sequence[Tuple[str, str]]
Simulate = Callable[[Sequence[Request], Locked], Result]


class Closure:
    """One intent over one state of the node; *simulate* asks zypper what it would do under further locks."""

    def __init__(self, simulate: Simulate, installed: Installed, locks: Sequence[Lock], intent: Intent) -> None:
        self._ask = simulate
        self._installed = installed
        self._locks = locks
        self._blocked = intent.blocked
        self._wanted = {item.key: item for item in intent.wanted}
        self._excluded: List[Tuple[str, str]] = []

    def resolve(self) -> Resolution:
        """The resolution: every wanted key is among its actions or explained."""
        requests: List[Request] = []
        unresolved: Dict[str, str] = {}
        finishing: List[Action] = []
        for key, item in self._wanted.items():
            reason = self._objection(item)
            if reason:
                unresolved[key] = reason
            elif item.version == item.installed:
                finishing.append(Action(item.name, item.arch, item.installed, item.version, wanted=True))
            else:
                requests.append(Request(item.name, item.arch, item.version))
        best = largest(requests, self._simulate)
        unresolved.update(best.reasons)
        return Resolution((*finishing, *map(self._action, best.closure)), unresolved)

    def _objection(self, item: Wanted) -> str:
        """Why a wanted update need not be tried; empty where it must be."""
        versions = self._installed.versions.get(item.key, ())
        if item.installed and item.installed not in versions:
            now = f"{versions[-1]} is installed now" if versions else "it is not installed any more"
            return f"{now}, {item.installed} was when the facts were taken"
        if any(lock.covers(item.name, version) for lock in self._locks for version in versions):
            return "held on the node"
        if any(names_package(Family.ZYPP, entry, item.name, item.arch, item.version) for entry in self._blocked):
            return "rejected by the baseline"
        if not is_name(item.name) or not is_version(item.version):
            return NOT_ACCEPTED
        return ""

    def _simulate(self, requests: Sequence[Request]) -> Answer:
        for _ in range(MAX_EXCLUSIONS):
            result = self._ask(requests, self._excluded)
            told = answers.summary(result.stdout)
            rejected = (
                [item for item in told.installed if self._rejects(item)] if result.code in answers.FORETOLD else []
            )
            if not rejected:
                break
            self._excluded.extend((item.name, item.after) for item in rejected)
        if result.code not in answers.FORETOLD:
            answer = refused(requests, result)
            reasons = {key: self._with_blocked(reason) for key, reason in answer.reasons.items()}
            return Answer((), self._with_blocked(answer.refusal), reasons)
        return Answer(told.installed, answers.cut("; ".join(self._violations(told, requests))))

    def _rejects(self, item: Simulated) -> bool:
        return any(names_package(Family.ZYPP, entry, item.name, item.arch, item.after) for entry in self._blocked)

    def _with_blocked(self, reason: str) -> str:
        """*reason*, and which of the packages it names the baseline rejects: zypper knows them as locked only."""
        names = {name for name, _ in self._excluded}
        named = sorted(name for name in names if any(_is_of(word, name) for word in reason.split()))
        if not named:
            return reason
        return "needs {}, which the baseline rejects ({})".format(", ".join(named), reason)

    def _violations(self, told: Summary, requests: Sequence[Request]) -> List[str]:
        found = [f"it would remove {key}" for key in told.removed]
        coming = {item.key: item for item in told.installed}
        for request in requests:
            got = coming.get(request.key)
            if got is None or got.after != request.version:
                found.append(f"zypper would not bring {request.key} to {request.version}")
        for item in told.installed:
            found.extend(self._violation(item))
        return found

    def _violation(self, item: Simulated) -> List[str]:
        wanted = self._wanted.get(item.key)
        before = self._before(item)
        if self._rejects(item):
            return [f"needs {item.name}, which the baseline rejects"]
        if wanted is not None and wanted.version != item.after:
            return [f"it would bring {item.key} to {item.after}, and {wanted.version} is wanted"]
        if before and _is_older(item.after, before):
            return [f"it would take {item.key} back from {before} to {item.after}"]
        return []

    def _before(self, item: Simulated) -> str:
        wanted = self._wanted.get(item.key)
        versions: Tuple[str, ...] = self._installed.versions.get(item.key, ("",))
        return wanted.installed if wanted is not None else item.before or versions[-1]

    def _action(self, item: Simulated) -> Action:
        return Action(item.name, item.arch, self._before(item), item.after, wanted=item.key in self._wanted)


def within(simulate: Simulate, allowed: Mapping[str, str]) -> Callable[[Sequence[Request]], Answer]:
    """A simulation that refuses everything but bringing *allowed* (`name.arch`) to exactly these versions."""

    def ask(requests: Sequence[Request]) -> Answer:
        result = simulate(requests, ())
        if result.code not in answers.FORETOLD:
            return refused(requests, result)
        told = answers.summary(result.stdout)
        beyond = [f"{item.key} {item.after}" for item in told.installed if allowed.get(item.key) != item.after]
        beyond.extend(f"the removal of {name}" for name in told.removed)
        text = "zypper would also need {}, which the plan does not contain".format(", ".join(beyond[:5]))
        return Answer(told.installed, text if beyond else "")

    return ask


def refused(requests: Sequence[Request], result: Result) -> Answer:
    """What zypper said when it would not do *requests*."""
    told = answers.problems(result.stdout)
    text = answers.cut("; ".join(told)) or answers.errors(result.stdout) or answers.cut(result.tail)
    return Answer((), text or f"zypper ended with exit code {result.code}", answers.refusals(result.stdout, requests))


def _is_of(word: str, name: str) -> bool:
    """Whether a word of zypper's is *name*, or one of its versions."""
    plain = word.strip("(),;'")
    return plain == name or (plain.startswith(name + "-") and plain[len(name) + 1 : len(name) + 2].isdigit())


def _is_older(one: str, other: str) -> bool:
    try:
        return compare(Scheme.RPM, one, other) < 0
    except MalformedVersion:
        return True
