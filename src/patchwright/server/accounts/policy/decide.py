# SPDX-License-Identifier: Apache-2.0
"""The evaluation logic: one Deny denies, else one Allow allows, else the answer is no."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import NamedTuple, TypeVar

from .match import FIELDS
from .model import Asked, Context, Ruling, folded
from .parse import Policy, Statement

Key = TypeVar("Key")
Value = TypeVar("Value")

# How many actions are remembered, and how many resources of each. Callers choose both, so they are bounded.
_ACTIONS = 256
_RESOURCES = 128
_NOTHING = Context()
_Check = Callable[[Context], bool]


class _Candidate(NamedTuple):
    """A statement, with what has to hold of the request besides its action and resource."""

    name: str
    checks: tuple[_Check, ...]
    principals: Statement | None  # itself, where it is for some principals only


class _Candidates(NamedTuple):
    """Denies and allows, those first that need nothing to hold; *asks* where the first of all has to ask the request."""

    denies: tuple[_Candidate, ...]
    allows: tuple[_Candidate, ...]
    asks: bool


def _candidates(denies: Iterable[_Candidate], allows: Iterable[_Candidate]) -> _Candidates:
    sorted_denies, sorted_allows = (tuple(sorted(each, key=_asks)) for each in (denies, allows))
    first = (*sorted_denies, *sorted_allows)[:1]
    return _Candidates(sorted_denies, sorted_allows, asks=any(map(_asks, first)))


def _asks(candidate: _Candidate) -> bool:
    return bool(candidate.checks) or candidate.principals is not None


class _OfAction:
    """The statements that speak of one action: those about everything, and those whose resources have to be looked at."""

    __slots__ = ("_allows", "_always", "_by_resource", "_denies")

    def __init__(self, denies: Iterable[Statement], allows: Iterable[Statement]) -> None:
        self._denies, always_denies = _parted(denies)
        self._allows, always_allows = _parted(allows)
        self._always = _candidates(always_denies, always_allows)
        self._by_resource: dict[str, _Candidates] = {}

    def of(self, resource: str) -> _Candidates:
        """Those about *resource*, as far as that can be told without the request."""
        if not self._denies and not self._allows:
            return self._always
        found = self._by_resource.get(resource)
        if found is None:
            parts = resource.split(":", FIELDS - 1)
            found = _candidates(
                self._always.denies + _about(self._denies, resource, parts),
                self._always.allows + _about(self._allows, resource, parts),
            )
            _remember(self._by_resource, resource, found, _RESOURCES)
        return found


_Bound = tuple[tuple[Statement, _Candidate, bool], ...]  # and whether its resources vary with the request


def _parted(statements: Iterable[Statement]) -> tuple[_Bound, tuple[_Candidate, ...]]:
    bound, always = [], []
    for one in statements:
        checks = tuple(condition.test for condition in one.conditions)
        candidate = _Candidate(one.name, checks, None if one.principals is None else one)
        if one.resources.everything and not one.other_resources:
            always.append(candidate)
        else:
            bound.append((one, candidate, one.varies))
    return tuple(bound), tuple(always)


def _about(bound: _Bound, resource: str, parts: Sequence[str]) -> tuple[_Candidate, ...]:
    found = []
    for one, candidate, varies in bound:
        if varies:
            found.append(candidate._replace(checks=(*candidate.checks, partial(one.is_about, resource, parts))))
        elif one.is_about(resource, parts, _NOTHING):
            found.append(candidate)
    return tuple(found)


class Evaluator:
    """
    Several policies as one rule. Their order, and that of their statements, does not change whether something is allowed.

    Statements are found once for each action and resource and remembered, within bounds; keep the evaluator as long as the
    policies are the same. It may be asked from several threads.
    """

    __slots__ = ("_allows", "_by_action", "_denies")

    def __init__(self, policies: Iterable[Policy]) -> None:
        statements = [statement for policy in policies for statement in policy.statements]
        self._denies = tuple(one for one in statements if one.denies)
        self._allows = tuple(one for one in statements if not one.denies)
        self._by_action: dict[str, _OfAction] = {}

    def decide(self, asked: Asked) -> Ruling:
        """The answer. It never raises: what cannot be understood is not allowed."""
        action, resource, context, principals = asked
        of_action = self._by_action.get(action)
        if of_action is None:
            of_action = self._of_action(action)
        found = of_action.of(resource)
        given = (
            folded(context) if found.asks else _NOTHING
        )  # to know the request costs more than to find the statements
        for name, checks, only in found.denies:
            for check in checks:
                if not check(given):
                    break
            else:
                if only is None or only.is_for(principals):
                    return Ruling(allowed=False, statement=name, action=action)
        for name, checks, only in found.allows:
            for check in checks:
                if not check(given):
                    break
            else:
                if only is None or only.is_for(principals):
                    return Ruling(allowed=True, statement=name, action=action)
        return Ruling(allowed=False, statement="", action=action)

    def _of_action(self, action: str) -> _OfAction:
        name = action.lower()
        found = _OfAction(
            (one for one in self._denies if one.covers(name)), (one for one in self._allows if one.covers(name))
        )
        _remember(self._by_action, action, found, _ACTIONS)
        return found


def _remember(kept: dict[Key, Value], key: Key, value: Value, most: int) -> None:
    if len(kept) >= most:
        kept.clear()
    kept[key] = value
