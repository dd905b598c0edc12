# SPDX-License-Identifier: Apache-2.0
"""
The Condition element: operators, and what they hold of.

    "ForAnyValue:StringNotLikeIfExists": {"aws:TagKeys": ["a*", "b*"]}
     ───────┬─── ───┬── ────┬─── ────┬──
    set operator  kind   relation   holds where the key is missing

Operators of a block, and keys of an operator, all have to hold. Of the values of a key one has to fit; with a negated
operator none may. A missing key fits nothing, so a negated operator holds of it.

Where AWS leaves open what happens, the answer is the one that grants less: a request's value that cannot be read (no number
where one is compared), or a policy's value whose variable has no value, fits nothing, and neither does an Allow's negated
operator hold of it. An operator without set operator on a key with several values holds in an Allow if it holds of all of
them, in a Deny if of any.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import ipaddress
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

from .match import Test, Tokens, arn_test, fill, glob, has_variables, tokens
from .model import Context, MalformedPolicy

# Whether a request's value fits one of the policy's; None where that cannot be told.
Fits = Callable[[str, Context], bool | None]
Kind = Callable[[Sequence[str], bool], Fits]  # from the policy's values, and whether they may have variables
Reading = Callable[[str], Any]  # a value as what it stands for, None where it cannot be read

_NAME = re.compile(r"(?:(forallvalues|foranyvalue):)?([a-z]+?)(ifexists)?", re.ASCII)
_NUMBER = re.compile(r"[+-]?[0-9]{1,64}(\.[0-9]{1,64})?", re.ASCII)
_DATE = re.compile(
    r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2})(?:T([0-9]{2}):([0-9]{2})(?::([0-9]{2})(\.[0-9]{1,9})?)?(Z|[+-][0-9]{2}:?[0-9]{2}))?)?)?",
    re.ASCII | re.IGNORECASE,
)
_KEY = re.compile(r"[A-Za-z0-9-]+:[^\s:].{0,511}", re.DOTALL)
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


class Condition(NamedTuple):
    """One key of one operator. *cost* says which of several to ask first."""

    test: Callable[[Context], bool]
    cost: int


def condition(name: str, key: str, values: Sequence[str], *, denies: bool, variables: bool) -> Condition:
    """
    The test of one key of one operator.

    Args:
        name: The operator as it is written: case does not count.
        key: The condition key.
        values: The policy's values, one or more.
        denies: Whether the statement's effect is Deny: decides what cannot be told.
        variables: Whether `${…}` in values of string, ARN and boolean operators is filled in.

    Raises:
        MalformedPolicy: No such operator, or a value or key that it cannot be used with.
    """
    match = _NAME.fullmatch(name.lower())
    if match is None or match[2] not in _NAMES:
        raise MalformedPolicy("", f"{name[:64]} is no condition operator")
    if not _KEY.fullmatch(key):
        raise MalformedPolicy("", "a condition key is a service or aws, a colon and a name")
    key, quantifier, if_exists = key.lower(), match[1], bool(match[3])
    if match[2] == "null":
        if quantifier or if_exists:
            raise MalformedPolicy("", "Null takes neither a set operator nor IfExists")
        return Condition(_null(key, values), 0)
    negated = match[2] in _NEGATED
    positive = _NEGATED.get(match[2], match[2])
    fits = _KINDS[positive](values, variables)
    holds = _holds(fits, negated=negated, denies=denies)
    if quantifier:
        test = _for_all(key, holds) if quantifier == "forallvalues" else _for_any(key, holds, missing=if_exists)
        return Condition(test, 4)
    if isinstance(fits, _OneOf):
        ask = _none_of if negated else _one_of  # what has to be equal is likelier to differ
        return Condition(ask(key, fits, missing=negated or if_exists, denies=denies), int(negated))
    return Condition(_single(key, holds, missing=negated or if_exists, denies=denies), 2 if "like" in positive else 3)


def _one_of(key: str, wanted: _OneOf, *, missing: bool, denies: bool) -> Callable[[Context], bool]:
    """`_single` for StringEquals without variables: the operator nearly every policy has, so it is asked without detours."""
    several = any if denies else all

    def test(context: Context) -> bool:
        values = context.get(key)
        if not values:
            return missing
        if len(values) == 1:
            return values[0] in wanted
        return several(value in wanted for value in values)

    return test


def _none_of(key: str, unwanted: _OneOf, *, missing: bool, denies: bool) -> Callable[[Context], bool]:
    """The same for StringNotEquals."""
    several = any if denies else all

    def test(context: Context) -> bool:
        values = context.get(key)
        if not values:
            return missing
        if len(values) == 1:
            return values[0] not in unwanted
        return several(value not in unwanted for value in values)

    return test


_Holds = Callable[[str, Context], bool]


def _holds(fits: Fits, *, negated: bool, denies: bool) -> _Holds:
    if not negated:
        return fits  # type: ignore[return-value]  # None is as good as False

    def holds(value: str, context: Context) -> bool:
        fitting = fits(value, context)
        return denies if fitting is None else not fitting

    return holds


def _single(key: str, holds: _Holds, *, missing: bool, denies: bool) -> Callable[[Context], bool]:
    several = any if denies else all

    def test(context: Context) -> bool:
        values = context.get(key)
        if not values:
            return missing
        if len(values) == 1:
            return holds(values[0], context)
        return several(holds(value, context) for value in values)

    return test


def _for_all(key: str, holds: _Holds) -> Callable[[Context], bool]:
    """True of no values, and of one that is empty, whatever the operator: a policy adds Null to ask for more."""

    def test(context: Context) -> bool:
        values = context.get(key, ())
        return not any(values) or all(holds(value, context) for value in values)

    return test


def _for_any(key: str, holds: _Holds, *, missing: bool) -> Callable[[Context], bool]:
    """False of no values, and of one that is empty."""

    def test(context: Context) -> bool:
        values = context.get(key)
        if values is None:
            return missing
        return any(values) and any(holds(value, context) for value in values)

    return test


def _null(key: str, values: Sequence[str]) -> Callable[[Context], bool]:
    """`true`: the key must be missing; `false`: it must be there."""
    wanted = {_read(value, read_bool) for value in values}

    def test(context: Context) -> bool:
        return (not context.get(key)) in wanted

    return test


# ------------------------------------------------------------------------------------------------------------ texts, ARNs


class _OneOf(frozenset[str]):
    """Fits the values in it."""

    __slots__ = ()

    def __call__(self, value: str, _context: Context) -> bool:
        return value in self


def _equal(given: Tokens) -> Test:
    return "".join(map(str, given)).__eq__


def _equal_ignoring_case(given: Tokens) -> Test:
    wanted = "".join(map(str, given)).lower()
    return lambda text: text.lower() == wanted


def _equal_bool(given: Tokens) -> Test | None:
    wanted = read_bool("".join(map(str, given)))
    return None if wanted is None else lambda text: read_bool(text) is wanted


def _texts(test_of: Callable[[Tokens], Test | None], *, wildcards: bool = False) -> Kind:
    """The kind of operator whose values are texts; *test_of* makes a test of one, None where it is not of the form."""

    def kind(values: Sequence[str], variables: bool) -> Fits:
        fixed: list[Test] = []
        filled: list[Tokens] = []
        for value in values:
            read = tokens(value, wildcards=wildcards, variables=variables)
            if has_variables(read):
                filled.append(read)
            elif (test := test_of(read)) is None:
                raise MalformedPolicy("", f"{value[:64]!r} is not of the operator's form")
            else:
                fixed.append(test)
        if filled:
            return _with_variables(fixed, filled, test_of)
        if test_of is _equal:
            return _OneOf("".join(map(str, tokens(value, wildcards=False, variables=variables))) for value in values)
        if len(fixed) == 1:
            only = fixed[0]
            return lambda value, _context: only(value)
        return lambda value, _context: any(test(value) for test in fixed)

    return kind


def _with_variables(fixed: Sequence[Test], filled: Sequence[Tokens], test_of: Callable[[Tokens], Test | None]) -> Fits:
    def fits(value: str, context: Context) -> bool | None:
        if any(test(value) for test in fixed):
            return True
        told = True
        for given in filled:
            text = fill(given, context)
            test = None if text is None else test_of(text)
            if test is None:
                told = False
            elif test(value):
                return True
        return False if told else None

    return fits


# ------------------------------------------------------------------------------------- numbers, dates, addresses, the rest


def read_bool(text: str) -> bool | None:
    """`true` or `false`, in any case."""
    return {"true": True, "false": False}.get(text.lower())


def read_number(text: str) -> Decimal | None:
    """A whole or decimal number."""
    return Decimal(text) if _NUMBER.fullmatch(text) else None


def read_moment(text: str) -> Decimal | None:
    """Seconds since 1970: of an ISO 8601 date in one of W3C's forms (four digits are a year), or given as a number."""
    match = _DATE.fullmatch(text)
    if match is None:
        return read_number(text)
    year, month, day, hour, minute, second = (int(part) if part else None for part in match.groups()[:6])
    try:
        moment = datetime.datetime(
            year or 0, month or 1, day or 1, hour or 0, minute or 0, second or 0, tzinfo=datetime.UTC
        )
    except ValueError:
        return None
    seconds = Decimal((moment - _EPOCH) // datetime.timedelta(seconds=1)) - _offset(match[8])
    return seconds + Decimal(match[7]) if match[7] else seconds


def _offset(zone: str | None) -> int:
    if not zone or zone in "Zz":
        return 0
    digits = zone.replace(":", "")
    return (int(digits[1:3]) * 3600 + int(digits[3:5]) * 60) * (-1 if digits[0] == "-" else 1)


@lru_cache(maxsize=4096)
def read_address(text: str) -> tuple[int, int] | None:
    """Version and number of an IP address; an IPv4 address in IPv6's clothes is one of IPv4."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return (4, int(mapped)) if mapped else (address.version, int(address))


def _read_network(text: str) -> tuple[int, int, int] | None:
    """Version, first and last number of a range; an address alone is a range of one."""
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
    return network.version, int(network.network_address), int(network.broadcast_address)


def _read_bytes(text: str) -> bytes | None:
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        return None


def _read(value: str, reading: Reading) -> Any:
    read = reading(value)
    if read is None:
        raise MalformedPolicy("", f"{value[:64]!r} is not of the operator's form")
    return read


def _compared(reading: Reading, relation: Callable[[Any, Any], bool], limits: Reading | None = None) -> Kind:
    """The kind of operator that reads the request's value and sets it in *relation* to the policy's."""

    def kind(values: Sequence[str], _variables: bool) -> Fits:
        wanted = [_read(value, limits or reading) for value in values]
        first = wanted[0] if len(wanted) == 1 else None

        def fits(value: str, _context: Context) -> bool | None:
            read = reading(value)
            if read is None:
                return None
            return relation(read, first) if first is not None else any(relation(read, one) for one in wanted)

        return fits

    return kind


def _within(address: tuple[int, int], network: tuple[int, int, int]) -> bool:
    return address[0] == network[0] and network[1] <= address[1] <= network[2]


# By name in lower case.
_KINDS: Mapping[str, Kind] = {
    "stringequals": _texts(_equal),
    "stringequalsignorecase": _texts(_equal_ignoring_case),
    "stringlike": _texts(glob, wildcards=True),
    "arnequals": _texts(arn_test, wildcards=True),
    "arnlike": _texts(arn_test, wildcards=True),
    "bool": _texts(_equal_bool),
    "binaryequals": _compared(_read_bytes, operator.eq),
    "ipaddress": _compared(read_address, _within, _read_network),
    **{
        f"{kind}{name}": _compared(reading, relation)
        for kind, reading in (("numeric", read_number), ("date", read_moment))
        for name, relation in (
            ("equals", operator.eq),
            ("lessthan", operator.lt),
            ("lessthanequals", operator.le),
            ("greaterthan", operator.gt),
            ("greaterthanequals", operator.ge),
        )
    },
}
# Negated operators, and what they negate.
_NEGATED: Mapping[str, str] = {
    "stringnotequals": "stringequals",
    "stringnotequalsignorecase": "stringequalsignorecase",
    "stringnotlike": "stringlike",
    "arnnotequals": "arnequals",
    "arnnotlike": "arnlike",
    "numericnotequals": "numericequals",
    "datenotequals": "dateequals",
    "notipaddress": "ipaddress",
}
_NAMES = frozenset({*_KINDS, *_NEGATED, "null"})
