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
from typing import TypeAlias

from patchwright.server.compliance.model import (
    COMPLIANT,
    NON_COMPLIANT,
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


MOST_FILTERS = 50  # of one listing
_TEXTS: Mapping[str, str] = {  # fields by key
    "ComplianceType": "type",
    "ResourceId": "instance_id",
    "ResourceType": "resource_type",
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
    if len(filters) > MOST_FILTERS:
        msg = f"There are {len(filters)} filters, more than the {MOST_FILTERS} allowed."
        raise BadFilter(msg)
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


@dataclass(frozen=True)
class Test:
    """A comparison of a node's and type's *field* with a value, as the database makes it; a *sign* is one of its own words."""

    field: str
    sign: str
    value: str | float


Clause: TypeAlias = Sequence[Sequence[Test]]
"""Holds where every test of one of its branches does."""


def clauses(filters: Sequence[Filter]) -> list[Clause]:
    """The filters of nodes and types as the database is asked: all of the clauses have to hold."""
    return [clause for one in filters for clause in _clauses(one)]


def _clauses(one: Filter) -> list[Clause]:
    if one.key == "Status":
        return [_among("status", [status for status in STATUSES if _holds(one, status)], nothing="")]
    if one.key in _OVERALL:
        return [_among("severity", [n for n, name in enumerate(SEVERITIES) if _holds(one, name)], nothing=-1)]
    if one.key == "ExecutionTime":
        return _at_times(one)
    field = _TEXTS[one.key]
    if one.comparison is Comparison.NOT_EQUAL:
        return [[[Test(field, "<>", value)]] for value in one.values]
    if one.comparison is Comparison.BEGIN_WITH:
        return [[[Test(field, "begins", _prefix(value))] for value in one.values]]
    return [[[Test(field, _SIGNS[one.comparison], value)] for value in one.values]]


_SIGNS = {Comparison.EQUAL: "=", Comparison.LESS_THAN: "<", Comparison.GREATER_THAN: ">"}


def _among(field: str, values: Sequence[str | int], *, nothing: str | int) -> Clause:
    return [[Test(field, "=", value)] for value in values] or [[Test(field, "=", nothing)]]


def _at_times(one: Filter) -> list[Clause]:
    moments = _moments(one)
    if one.comparison in {Comparison.LESS_THAN, Comparison.GREATER_THAN}:
        return [[[Test("executed_at", _SIGNS[one.comparison], moment)] for moment in moments]]
    # A time that is told to the second means all of it.
    spans = [(moment, moment + (1.0 if moment.is_integer() else 1e-6)) for moment in moments]
    if one.comparison is Comparison.NOT_EQUAL:
        return [[[Test("executed_at", "<", start)], [Test("executed_at", ">=", end)]] for start, end in spans]
    return [[[Test("executed_at", ">=", start), Test("executed_at", "<", end)] for start, end in spans]]


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
