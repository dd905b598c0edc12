# SPDX-License-Identifier: Apache-2.0
"""The evaluation logic: one Deny denies, else one Allow allows, else the answer is no."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeVar

from .model import Asked, Context, Ruling, folded
from .parse import Policy, Statement

Key = TypeVar("Key")
Value = TypeVar("Value")

# How many actions, and how many resources, are remembered. Both are names that callers choose, so they are bounded.
_ACTIONS = 512
_RESOURCES = 512
_NOTHING = Context()


class _Candidates(NamedTuple):
    """Statements that speak of an action, and of a resource as far as that can be told without the request."""

    denies: tuple[Statement, ...]
    allows: tuple[Statement, ...]


class Evaluator:
    """
    Several policies as one rule. Their order, and that of their statements, does not change whether something is allowed.

    Statements are found once for each action and resource and remembered, within bounds; keep the evaluator as long as the
    policies are the same. It may be asked from several threads.
    """

    __slots__ = ("_allows", "_by_action", "_by_resource", "_denies")

    def __init__(self, policies: Iterable[Policy]) -> None:
        statements = [statement for policy in policies for statement in policy.statements]
        self._denies = tuple(one for one in statements if one.denies)
        self._allows = tuple(one for one in statements if not one.denies)
        self._by_action: dict[str, _Candidates] = {}
        self._by_resource: dict[tuple[str, str], _Candidates] = {}

    def decide(self, asked: Asked) -> Ruling:
        """The answer. It never raises: what cannot be understood is not allowed."""
        found = self._by_resource.get((asked.action, asked.resource))
        if found is None:
            found = self._of_resource(asked.action, asked.resource)
        context: Context | None = None
        for statements, allowed in ((found.denies, False), (found.allows, True)):
            for one in statements:
                if one.conditions or one.varies or one.principals is not None:
                    if context is None:
                        context = folded(asked.context)
                    if not _applies(one, asked, context):
                        continue
                return Ruling(allowed, one.name, asked.action)
        return Ruling(allowed=False, statement="", action=asked.action)

    def _of_resource(self, action: str, resource: str) -> _Candidates:
        of_action = self._by_action.get(action)
        if of_action is None:
            name = action.lower()
            of_action = _Candidates(
                tuple(one for one in self._denies if one.covers(name)),
                tuple(one for one in self._allows if one.covers(name)),
            )
            _remember(self._by_action, action, of_action, _ACTIONS)
        found = _Candidates(_about(of_action.denies, resource), _about(of_action.allows, resource))
        _remember(self._by_resource, (action, resource), found, _RESOURCES)
        return found


def _about(statements: Sequence[Statement], resource: str) -> tuple[Statement, ...]:
    return tuple(one for one in statements if one.varies or one.is_about(resource, _NOTHING))


def _applies(statement: Statement, asked: Asked, context: Context) -> bool:
    if statement.varies and not statement.is_about(asked.resource, context):
        return False
    if statement.principals is not None and not statement.is_for(asked.principals):
        return False
    return statement.holds(context)


def _remember(kept: dict[Key, Value], key: Key, value: Value, most: int) -> None:
    if len(kept) >= most:
        kept.clear()
    kept[key] = value
