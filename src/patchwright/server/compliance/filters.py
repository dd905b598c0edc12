# SPDX-License-Identifier: Apache-2.0
"""
Filters of the listings (spec §1.19): conditions are ANDed, the values of one are ORed. Pure.

What says something of a node and a type is asked of the database; what says something of an item is asked of the item.
LESS_THAN and GREATER_THAN compare times as times, severities by their weight and everything else as text.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from patchwright.server.compliance.model import (
    COMPLIANT,
    NON_COMPLIANT,
    RESOURCE_TYPE,
    SEVERITIES,
    STATUSES,
    ComplianceError,
    Entry,
)


class BadFilter(ComplianceError):
    """A filter with a key that there is not, or values that it cannot take."""


class Comparison(str, Enum):
    """How a filter compares, as the API spells it."""

    EQUAL = "EQUAL"
    NOT_EQUAL = "NOT_EQUAL"
    BEGIN_WITH = "BEGIN_WITH"
    LESS_THAN = "LESS_THAN"
    GREATER_THAN = "GREATER_THAN"


@dataclass(frozen=True)
class Filter:
    """One condition of a listing. *values* are alternatives, at least one."""

    key: str
    values: tuple[str, ...]
    comparison: Comparison = Comparison.EQUAL


_TEXTS: Mapping[str, str] = {  # columns by key
    "ComplianceType": "type",
    "ResourceId": "instance_id",
    "ExecutionId": "execution_id",
    "ExecutionType": "execution_type",
    "PatchGroup": "patch_group",
    "PatchBaselineId": "baseline_id",
}
_OVERALL = {"Severity", "OverallSeverity"}
_COMMON = ("ComplianceType", "ResourceId", "ResourceType", "ExecutionId", "ExecutionType", "ExecutionTime")
SUMMARY_KEYS = (*_COMMON, "Status", "OverallSeverity", "Severity", "PatchGroup", "PatchBaselineId")
_DETAILS = (
    "Classification",
    "CVEIds",
    "DocumentName",
    "DocumentVersion",
    "PatchBaselineId",
    "PatchGroup",
    "PatchSeverity",
    "PatchState",
)
ITEM_KEYS = (*_COMMON, "Id", "Title", "Status", "Severity", *_DETAILS)


def check(filters: Sequence[Filter], known: Sequence[str]) -> None:
    """Raise BadFilter unless every filter has a key of *known*, values, and a comparison that its key can take."""
    for one in filters:
        if one.key not in known:
            msg = f"There is no filter {one.key[:100]!r} here; use {', '.join(known)}."
            raise BadFilter(msg)
        if not one.values:
            msg = f"The filter {one.key} has no values."
            raise BadFilter(msg)
        if one.key == "ExecutionTime":
            _moments(one)


def split(filters: Sequence[Filter]) -> tuple[list[Filter], list[Filter]]:
    """The filters of a listing of items: those that speak of node and type, and those that speak of an item."""
    of_rows = [one for one in filters if one.key in _COMMON]
    of_items = [one for one in filters if one.key not in _COMMON]
    if any(one.key == "Status" and not _holds(one, COMPLIANT) for one in of_items):
        of_rows.append(Filter("Status", (NON_COMPLIANT,)))  # others have no such item
    return of_rows, of_items


def holds_for(entry: Entry, common: Mapping[str, str], filters: Sequence[Filter]) -> bool:
    """Whether an item with the Details that it has in *common* with others passes every one of *filters*."""
    return all(_holds(one, _value(entry, common, one.key)) for one in filters)


def conditions(filters: Sequence[Filter], *, start: int) -> tuple[str, list[Any]]:
    """The filters of nodes and types as SQL, each begun with AND, with parameters from `$start`; columns stand bare."""
    text = ""
    params: list[Any] = []
    for one in filters:
        clause, more = _condition(one, start + len(params))
        text += f" AND {clause}"
        params += more
    return text, params


def _condition(one: Filter, start: int) -> tuple[str, list[Any]]:
    if one.key == "Status":
        return _among("status", [status for status in STATUSES if _holds(one, status)], start)
    if one.key in _OVERALL:
        return _among("severity", [place for place, name in enumerate(SEVERITIES) if _holds(one, name)], start)
    if one.key == "ResourceType":
        return ("1 = 1" if _holds(one, RESOURCE_TYPE) else "1 = 0"), []
    if one.key == "ExecutionTime":
        return _at_times(one, start)
    column, numbers = _TEXTS[one.key], range(start, start + len(one.values))
    if one.comparison is Comparison.BEGIN_WITH:
        return _any_of(f"{column} LIKE ${n} ESCAPE '!'" for n in numbers), [_prefix(value) for value in one.values]
    if one.comparison in _SIGNS:
        sign = _SIGNS[one.comparison]
        return _any_of(f"{column} {sign} ${n}" for n in numbers), list(one.values)
    word = "NOT IN" if one.comparison is Comparison.NOT_EQUAL else "IN"
    return f"{column} {word} ({', '.join(f'${n}' for n in numbers)})", list(one.values)


_SIGNS = {Comparison.LESS_THAN: "<", Comparison.GREATER_THAN: ">"}


def _any_of(clauses: Any) -> str:
    return f"({' OR '.join(clauses)})"


def _among(column: str, values: Sequence[Any], start: int) -> tuple[str, list[Any]]:
    if not values:
        return "1 = 0", []
    return f"{column} IN ({', '.join(f'${start + n}' for n in range(len(values)))})", list(values)


def _at_times(one: Filter, start: int) -> tuple[str, list[Any]]:
    moments = _moments(one)
    if one.comparison in _SIGNS:
        sign = _SIGNS[one.comparison]
        return _any_of(f"executed_at {sign} ${start + n}" for n in range(len(moments))), list(moments)
    # A time that is told to the second means all of it.
    clauses = [f"(executed_at >= ${start + 2 * n} AND executed_at < ${start + 2 * n + 1})" for n in range(len(moments))]
    params = [edge for moment in moments for edge in (moment, moment + (1.0 if moment.is_integer() else 1e-6))]
    text = _any_of(clauses)
    return (f"NOT {text}" if one.comparison is Comparison.NOT_EQUAL else text), params


def _moments(one: Filter) -> list[float]:
    if one.comparison is Comparison.BEGIN_WITH:
        msg = f"The filter {one.key} takes {', '.join(c.value for c in Comparison if c is not Comparison.BEGIN_WITH)}."
        raise BadFilter(msg)
    try:
        return [_moment(value) for value in one.values]
    except ValueError:
        msg = f"The filter {one.key} takes times such as 2026-11-20T00:00:00Z."
        raise BadFilter(msg) from None


def _moment(text: str) -> float:
    moment = datetime.datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).timestamp()


def _prefix(text: str) -> str:
    for character in "!%_":
        text = text.replace(character, f"!{character}")
    return f"{text}%"


def _value(entry: Entry, common: Mapping[str, str], key: str) -> str:
    own = {"Id": entry.id, "Title": entry.title, "Status": entry.status, "Severity": entry.severity}
    return own[key] if key in own else entry.details.get(key) or common.get(key, "")


def _holds(one: Filter, value: str) -> bool:
    if one.comparison is Comparison.NOT_EQUAL:
        return all(not _same(one.key, value, given) for given in one.values)
    return any(_COMPARE[one.comparison](one.key, value, given) for given in one.values)


def _same(key: str, value: str, given: str) -> bool:
    if key == "PatchState":  # in either spelling (spec §0.3, D8)
        return value.replace("_", "").lower() == given.replace("_", "").lower()
    return value == given


def _before(key: str, value: str, given: str) -> bool:
    if key in _OVERALL:
        return given in SEVERITIES and SEVERITIES.index(value) < SEVERITIES.index(given)
    return value < given


def _after(key: str, value: str, given: str) -> bool:
    if key in _OVERALL:
        return given in SEVERITIES and SEVERITIES.index(value) > SEVERITIES.index(given)
    return value > given


_COMPARE: Mapping[Comparison, Callable[[str, str, str], bool]] = {
    Comparison.EQUAL: _same,
    Comparison.BEGIN_WITH: lambda _, value, given: value.startswith(given),
    Comparison.LESS_THAN: _before,
    Comparison.GREATER_THAN: _after,
}
