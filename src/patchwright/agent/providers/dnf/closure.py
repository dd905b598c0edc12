# SPDX-License-Identifier: Apache-2.0
"""Resolving an intent: dnf's closure of what is wanted, under what is blocked and locked."""

from __future__ import annotations

import re
from typing import Callable, Collection, Dict, List, Mapping, NamedTuple, Sequence, Set, Tuple

from patchwright.agent.providers.dnf import transcript
from patchwright.agent.providers.dnf.tool import Tool, fits
from patchwright.agent.providers.dnf.transcript import Change
from patchwright.agent.providers.resolver import Answer, Request, Simulated, largest
from patchwright.agent.providers.rpm.database import Row, by_key, is_newer, nevra
from patchwright.agent.providers.words import cut
from patchwright.agent.shell import Result
from patchwright.core.entries import names_package
from patchwright.core.errors import MalformedVersion
from patchwright.core.plan import Action, Intent, Resolution, Wanted
from patchwright.core.system import Family

Identity = Tuple[str, str, str]
_SPEC = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*\Z")
_VERSION = re.compile(r"(\d+:)?[A-Za-z0-9._+~^]+-[A-Za-z0-9._+~^]+\Z")


class Surroundings(NamedTuple):
    """
    What a resolution must heed. *held* are `name.arch`; *blocked* are the packages that the baseline rejects, *locked* those
    that the repositories have for what is held.
    """

    rows: Sequence[Row]
    held: Collection[str]
    blocked: Collection[Identity]
    locked: Collection[Identity]


def blocked_by(entries: Sequence[str], available: Collection[Identity]) -> Set[Identity]:
    """Which of *available* the entries of a rejected list name."""
    return {identity for identity in available if any(names_package(Family.RPM, entry, *identity) for entry in entries)}


class Closure:
    """One intent over one state of the node."""

    def __init__(self, tool: Tool, surroundings: Surroundings, intent: Intent) -> None:
        self._tool = tool
        self._rows = by_key(surroundings.rows)
        self._held = frozenset(surroundings.held)
        self._blocked = frozenset(surroundings.blocked)
        self._entries = intent.blocked
        self._wanted = {item.key: item for item in intent.wanted}
        # What is installed must be seen, else dnf finds nothing to upgrade.
        left_out = {*self._blocked, *surroundings.locked} - {row[:3] for row in surroundings.rows}
        exact = [nevra(*identity) for identity in sorted(left_out)]
        self._excluded = exact if fits(exact) else list(intent.blocked)

    def resolve(self) -> Resolution:
        """The resolution: every wanted key is among its actions or explained."""
        requests: List[Request] = []
        actions: List[Action] = []
        unresolved: Dict[str, str] = {}
        for key, item in self._wanted.items():
            reason = self._objection(item)
            if reason:
                unresolved[key] = reason
            elif item.version == item.installed:
                actions.append(Action(item.name, item.arch, item.installed, item.version, wanted=True))
            else:
                requests.append(Request(item.name, item.arch, item.version))
        best = largest(requests, self._simulate)
        unresolved.update(best.reasons)
        done = {action.key for action in actions}
        actions.extend(
            Action(item.name, item.arch, item.before, item.after, wanted=item.key in self._wanted)
            for item in best.closure
            if item.key not in done
        )
        return Resolution(tuple(actions), unresolved)

    def _objection(self, item: Wanted) -> str:
        """Why a wanted update need not be tried; empty where it must be."""
        rows = self._rows.get(item.key)
        if not rows or rows[-1].version != item.installed:
            now = f"{rows[-1].version} is installed now" if rows else "it is not installed any more"
            return f"{now}, {item.installed} was when the facts were taken"
        if item.key in self._held:
            return "held on the node"
        if any(names_package(Family.RPM, entry, item.name, item.arch, item.version) for entry in self._entries):
            return "rejected by the baseline"
        if not is_exact(item.name, item.arch, item.version):
            return "its name or version is not one that dnf accepts"
        return ""

    def _simulate(self, requests: Sequence[Request]) -> Answer:
        result = self._tool.simulate("upgrade", arguments(requests), self._excluded)
        answer = read_answer(result, requests, self._rows)
        if answer.refusal:
            filtered = transcript.filtered(result.stdout + result.stderr)
            reasons = {key: self._explained(reason, filtered) for key, reason in answer.reasons.items()}
            return Answer((), self._explained(answer.refusal, filtered), reasons)
        return Answer(answer.closure, cut("; ".join(self._violations(answer.closure))))

    def _explained(self, reason: str, filtered: Collection[str]) -> str:
        """*reason*, and which of the packages it names were left out because the baseline rejects or a lock holds them."""
        spoken = {
            spelling: name for name, arch, version in self._blocked for spelling in spellings(name, arch, version)
        }
        rejected = sorted({spoken[item] for item in filtered if item in spoken and item in reason})
        if rejected:
            return cut("needs {}, which the baseline rejects ({})".format(", ".join(rejected), reason))
        held = {key.rpartition(".")[0] for key in self._held}
        locked = sorted({name for item in filtered if item in reason for name in held if item.startswith(f"{name}-")})
        if locked:
            return cut("needs {}, which is held on the node ({})".format(", ".join(locked), reason))
        return reason

    def _violations(self, closure: Sequence[Simulated]) -> List[str]:
        found = []
        for item in closure:
            wanted = self._wanted.get(item.key)
            if any(names_package(Family.RPM, entry, item.name, item.arch, item.after) for entry in self._entries):
                found.append(f"needs {item.name}, which the baseline rejects")
            elif item.key in self._held:
                found.append(f"it would change {item.name}, which is held on the node")
            elif wanted is not None and wanted.version != item.after:
                found.append(f"it would bring {item.key} to {item.after}, and {wanted.version} is wanted")
        return found


def within(
    tool: Tool, allowed: Mapping[str, str], rows: Mapping[str, Sequence[Row]], *, verb: str, excluded: Sequence[str]
) -> Callable[[Sequence[Request]], Answer]:
    """A simulation that refuses everything but bringing *allowed* (`name.arch`) to exactly these versions."""

    def simulate(requests: Sequence[Request]) -> Answer:
        answer = read_answer(tool.simulate(verb, arguments(requests), excluded), requests, rows)
        beyond = [f"{item.key} {item.after}" for item in answer.closure if allowed.get(item.key) != item.after]
        if answer.refusal or not beyond:
            return answer
        return Answer((), "dnf would also need {}, which the plan does not contain".format(", ".join(beyond[:5])))

    return simulate


def read_answer(result: Result, requests: Sequence[Request], rows: Mapping[str, Sequence[Row]]) -> Answer:
    """What dnf made of *requests*: its closure with what is installed before, or why not."""
    text = result.stdout + "\n" + result.stderr
    reasons = _reasons(text, requests, rows)
    told = transcript.transaction(result.stdout)
    if reasons or transcript.problems(text) or not told.coming:
        refusal = transcript.errors(text) or "the repositories have nothing newer that dnf would take"
        return Answer((), next(iter(reasons.values()), refusal), reasons)
    closure = tuple(
        Simulated(item.name, item.arch, _before(rows, f"{item.name}.{item.arch}"), item.version) for item in told.coming
    )
    objections = [f"it would remove {item.name}" for item in told.going if not _rotates(item, closure, rows)]
    objections.extend(f"it would be {other}" for other in told.others)
    coming = {item.key: item.after for item in closure}
    short = [request for request in requests if coming.get(request.key) != request.version]
    objections.extend(f"dnf would not bring {request.key} to {request.version}" for request in short)
    objections.extend(f"it would downgrade {item.key}" for item in closure if _is_older(item.after, item.before))
    return Answer(closure, cut("; ".join(objections)))


def _reasons(text: str, requests: Sequence[Request], rows: Mapping[str, Sequence[Row]]) -> Dict[str, str]:
    """By `name.arch`: what dnf names as the reason against a request. A hint where to look first, no verdict."""
    problems = [(problem, set(re.split(r"[\s,;]+", problem))) for problem in transcript.problems(text)]
    unmatched = transcript.unmatched(text)
    found: Dict[str, str] = {}
    for request in requests:
        own = set(spellings(request.name, request.arch, request.version))
        if own & unmatched:
            found[request.key] = f"the repositories do not have {request.version}"
            continue
        before = _before(rows, request.key)
        old = {f"{spelling}" for spelling in spellings(request.name, request.arch, before)} if before else set()
        for problem, words in problems:
            if words & (own | old):
                found.setdefault(request.key, cut(problem))
    return found


def _before(rows: Mapping[str, Sequence[Row]], key: str) -> str:
    return rows[key][-1].version if key in rows else ""


def _rotates(item: Change, closure: Sequence[Simulated], rows: Mapping[str, Sequence[Row]]) -> bool:
    """Whether it is the oldest of several kernels that makes room for a new one, as the node's own limit says."""
    side_by_side = len(rows.get(f"{item.name}.{item.arch}", ())) > 1
    return side_by_side and any(new.name == item.name and new.arch == item.arch for new in closure)


def _is_older(one: str, other: str) -> bool:
    try:
        return bool(other) and is_newer(other, one)
    except MalformedVersion:
        return True


def arguments(requests: Sequence[Request]) -> List[str]:
    """The requests as dnf takes them for one package each and no other."""
    return [nevra(request.name, request.arch, request.version) for request in requests]


def spellings(name: str, arch: str, version: str) -> List[str]:
    """How dnf and rpm write one package: with its epoch, without, without one of 0."""
    bare = version.rpartition(":")[2]
    return [nevra(name, arch, version), f"{name}-{version}.{arch}", f"{name}-{bare}.{arch}"]


def is_exact(name: str, arch: str, version: str) -> bool:
    """Whether dnf can take these for one package and for nothing else."""
    return bool(_SPEC.match(name) and _SPEC.match(arch) and _VERSION.match(version)) and len(name) <= 200
