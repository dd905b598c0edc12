# SPDX-License-Identifier: Apache-2.0
"""
Plans: what the server intends, what the node's resolver makes of it, and the exact plan both agree on (design D4).

What both sides read; how the server comes to an intent and to a plan is in `planning`.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Container, Dict, List, Mapping, Sequence, Tuple

from patchwright.core.errors import MalformedMessage
from patchwright.core.package import Manager
from patchwright.core.version import MAX_LENGTH, compare

PLAN_FORMAT = "plan1"
ACTIONS_LIMIT = 20_000


@dataclass(frozen=True)
class Wanted:
    """One approved update: bring `name.arch` from *installed* to *version*. Equal versions: finish its configuration."""

    name: str
    arch: str
    installed: str
    version: str

    @property
    def key(self) -> str:
        """`name.arch`."""
        return f"{self.name}.{self.arch}"


@dataclass(frozen=True)
class Intent:
    """
    What the server wants of a node, before dependencies.

    *blocked* are entries of the rejected list: what they name must not be installed or upgraded, nor anything that needs it;
    what *dependency_only* names may change only because something wanted needs it (spec §2.7). Both sorted; on apt an entry
    is a name, elsewhere also a full name with at most one `*` (`entries.names_package`).
    """

    wanted: Tuple[Wanted, ...]
    blocked: Tuple[str, ...] = ()
    dependency_only: Tuple[str, ...] = ()


@dataclass(frozen=True)
class Action:
    """
    One package's change: from *before* (empty: not installed) to *after*. Equal versions: configure what is unpacked.

    *wanted* is false for what comes in as a dependency.
    """

    name: str
    arch: str
    before: str
    after: str
    wanted: bool

    @property
    def key(self) -> str:
        """`name.arch`."""
        return f"{self.name}.{self.arch}"


@dataclass(frozen=True)
class Resolution:
    """What the node's resolver says: the closure, and by `name.arch` why a wanted update cannot be part of it."""

    actions: Tuple[Action, ...]
    unresolved: Mapping[str, str]


@dataclass(frozen=True)
class Plan:
    """The exact changes an operation makes. The digest names them all, so that a plan can be approved and held to."""

    manager: Manager
    snapshot_id: str
    actions: Tuple[Action, ...]
    unresolved: Tuple[Tuple[str, str], ...] = ()

    def canonical(self) -> bytes:
        """The form that is hashed and stored: JSON with sorted keys, actions in order of key."""
        return json.dumps(self.to_json(), sort_keys=True, separators=(",", ":")).encode()

    @property
    def digest(self) -> str:
        """`plan1:` and the SHA-256 of the canonical form."""
        return f"{PLAN_FORMAT}:{hashlib.sha256(self.canonical()).hexdigest()}"

    def to_json(self) -> Dict[str, Any]:
        """A JSON object; `from_json` reads it back to an equal value."""
        return {
            "manager": self.manager.value,
            "snapshotId": self.snapshot_id,
            "actions": actions_to_json(self.actions),
            "unresolved": [list(pair) for pair in self.unresolved],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Plan:
        """Read what `to_json` wrote; anything else raises MalformedMessage."""
        try:
            manager, snapshot_id, unresolved = Manager(data["manager"]), data["snapshotId"], data["unresolved"]
            if not isinstance(snapshot_id, str) or not _are_pairs(unresolved):
                raise TypeError("snapshotId is a text, unresolved a list of pairs of texts")
            pairs = tuple((key, reason) for key, reason in unresolved)
            return cls(manager, snapshot_id, actions_from_json(data["actions"]), pairs)
        except (KeyError, TypeError, ValueError) as error:
            raise MalformedMessage(f"the plan cannot be read: {error!r}") from None


@dataclass(frozen=True)
class Drift:
    """One package that is no longer as the plan says. *what* is `installed` or `candidate`."""

    key: str
    what: str
    expected: str
    found: str

    @property
    def text(self) -> str:
        """The drift as a phrase."""
        return "{}: {} is {}, the plan says {}".format(
            self.key, self.what, self.found or "absent", self.expected or "absent"
        )


def drift(
    plan: Plan, installed: Mapping[str, str], candidates: Mapping[str, str], *, passed: Container[str] = ()
) -> Tuple[Drift, ...]:
    """
    Where the node no longer is as the plan says, in the plan's order.

    On apt the candidate is what a plan names. On rpm and SUSE a plan may name an older version than the newest, since only
    that one is approved (spec §2.5): there a candidate has moved when it is below the plan's version, or gone.

    Args:
        plan: The plan about to be carried out.
        installed: Versions by `name.arch`; absent: not installed. Of versions side by side, the newest.
        candidates: The versions the node's package manager would now install, by `name.arch`.
        passed: The `name.arch` of which a candidate was above the plan's version when the plan was made: there it may be.
    """
    found = []
    for action in plan.actions:
        now = installed.get(action.key, "")
        if now != action.before:
            found.append(Drift(action.key, "installed", action.before, now))
        elif action.before != action.after and _moved(
            plan.manager, candidates.get(action.key, ""), action.after, passed=action.key in passed
        ):
            found.append(Drift(action.key, "candidate", action.after, candidates.get(action.key, "")))
    return tuple(found)


def _moved(manager: Manager, candidate: str, expected: str, *, passed: bool) -> bool:
    if (manager is Manager.APT and not passed) or not candidate:
        return candidate != expected
    return compare(manager.scheme, candidate, expected) < 0


def actions_to_json(actions: Sequence[Action]) -> List[List[Any]]:
    """Actions as JSON arrays: name, arch, before, after, wanted."""
    return [[action.name, action.arch, action.before, action.after, action.wanted] for action in actions]


def actions_from_json(rows: Sequence[Sequence[Any]]) -> Tuple[Action, ...]:
    """Read what `actions_to_json` wrote; anything else raises MalformedMessage."""
    if not isinstance(rows, list) or len(rows) > ACTIONS_LIMIT:
        raise MalformedMessage(f"the actions are no list of at most {ACTIONS_LIMIT} entries")
    actions = []
    for row in rows:
        if not isinstance(row, list) or [type(part) for part in row] != [str, str, str, str, bool]:
            raise MalformedMessage("an action is [name, arch, before, after, wanted]")
        if any(len(part) > MAX_LENGTH or not part.isprintable() for part in row[:4]):
            raise MalformedMessage(f"an action's texts have at most {MAX_LENGTH} characters, all of them printable")
        actions.append(Action(*row))
    return tuple(actions)


def _are_pairs(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(pair, list) and [type(part) for part in pair] == [str, str] for pair in value
    )
