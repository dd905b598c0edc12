# SPDX-License-Identifier: Apache-2.0
"""From a policy document to statements that can be asked."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, NoReturn, TypeVar

from .conditions import Condition, condition
from .match import ResourcePattern, Test, glob, tokens
from .model import Context, MalformedPolicy, accounts_of

Read = TypeVar("Read")

VERSIONS = ("2008-10-17", "2012-10-17")  # without one, the first; variables have a meaning from the second on
MAX_LENGTH = 131_072  # of the text as it was sent, as IAM's API takes it
MAX_SIZE = 10_240  # without white space: what IAM takes for a role's inline policies, its widest
MAX_DEPTH = 8
_KEPT = 1_000_000
_SID = re.compile(r"[A-Za-z0-9]*", re.ASCII)
_ACTION = re.compile(r"\*|(?:\*|[A-Za-z0-9-]+):[A-Za-z0-9*?_-]+", re.ASCII)
_ACCOUNT = re.compile(r"[0-9]{12}", re.ASCII)
_PRINCIPAL_ARN = re.compile(r"arn:[a-z-]+:(?:iam|sts|ssm):[a-z0-9-]*:[0-9]{12}:[^*?\s]{1,512}", re.ASCII)
_SERVICE = re.compile(r"[a-z0-9.-]{1,253}", re.ASCII)
_WHITE = re.compile(r"\s+")
_STATEMENT = frozenset(
    {"Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition", "Principal", "NotPrincipal"}
)


@dataclass(frozen=True, slots=True, eq=False)
class Resources:
    """The resources of a statement: *literals* and *prefixes* are those that need no taking apart."""

    everything: bool = False
    literals: frozenset[str] = frozenset()
    prefixes: tuple[str, ...] = ()
    patterns: tuple[ResourcePattern, ...] = ()

    def name(self, resource: str, parts: Sequence[str], context: Context) -> bool | None:
        """Whether one of them names *resource*, whose fields are *parts*; None where a variable has no value."""
        if self.everything or (self.literals and resource in self.literals):
            return True
        if self.prefixes and resource.startswith(self.prefixes):
            return True
        told: bool | None = False
        for pattern in self.patterns:
            named = pattern.matches(resource, parts, context)
            if named:
                return True
            if named is None:
                told = None
        return told


@dataclass(frozen=True, slots=True, eq=False)
class Statement:
    """A statement that can be asked. *name* is `Sid NAME`, or `statement N` counted from 1."""

    name: str
    denies: bool
    actions: tuple[Test, ...] = field(repr=False)
    other_actions: bool = False
    resources: Resources = field(default=Resources(everything=True), repr=False)
    other_resources: bool = False
    conditions: tuple[Condition, ...] = field(default=(), repr=False)  # the cheapest first
    principals: frozenset[str] | None = None

    @property
    def varies(self) -> bool:
        """Whether the request decides what its resources are."""
        return any(pattern.variable for pattern in self.resources.patterns)

    def covers(self, action: str) -> bool:
        """Whether it speaks of *action*, given in lower case."""
        return any(test(action) for test in self.actions) is not self.other_actions

    def is_about(self, resource: str, parts: Sequence[str], context: Context) -> bool:
        """
        Whether it speaks of *resource*, whose fields (between its first five colons, and the rest) are *parts*.

        Where a variable has no value, its resource is none; and neither can it be told what NotResource leaves to an Allow.
        """
        named = self.resources.name(resource, parts, context)
        if not self.other_resources:
            return bool(named)
        return self.denies if named is None else not named

    def is_for(self, principals: Sequence[str]) -> bool:
        """Whether its Principal is one of these names, or the account of one of them. A statement without one is for all."""
        wanted = self.principals
        if wanted is None or "*" in wanted:
            return True
        return not wanted.isdisjoint(principals) or not wanted.isdisjoint(accounts_of(principals))


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """A policy that was read. *version* is that of the language."""

    version: str
    statements: tuple[Statement, ...]


def parse(given: str | Mapping[str, Any], *, trust: bool = False) -> Policy:
    """
    Read a policy document.

    Texts that were read before are remembered, within bounds. May be called from several threads.

    Args:
        given: JSON, or what it says. At most 10,240 characters that are no white space.
        trust: Whether it is the trust policy of a role: each statement has a Principal and no resource. Else it belongs to
            an identity, and has no Principal.

    Raises:
        MalformedPolicy: It cannot be read. Nothing is guessed: an unknown element, operator or value is refused, as is an
            element that is there twice.
    """
    if not isinstance(given, str):
        try:
            given = json.dumps(given, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise MalformedPolicy("", f"it is no JSON: {error}") from None
    if size(given) > MAX_SIZE or len(given) > MAX_LENGTH:
        raise MalformedPolicy("", f"it has more than {MAX_SIZE} characters")
    return _REMEMBERED.get(given, trust)


def size(text: str) -> int:
    """How long a document is as quotas count: white space is free."""
    return len(_WHITE.sub("", text)) if len(text) <= MAX_LENGTH else len(text)


def parse_stored(text: str, *, trust: bool = False) -> Policy:
    """Like `parse`, for what is in force already: a document that cannot be read any more denies everything."""
    try:
        return parse(text, trust=trust)
    except MalformedPolicy:
        return DENY_ALL


class _Remembered:
    """
    Policies by their text, those of late, as many as `_KEPT` characters make.

    Reading takes a millisecond, and what is read takes more room than its text: everybody who may take a role may hand in
    a policy for the session, so it is the room that is bounded.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._policies: dict[tuple[str, bool], Policy] = {}
        self._length = 0

    def get(self, text: str, trust: bool) -> Policy:
        """The policy that *text* is. Raises MalformedPolicy."""
        key = (text, trust)
        with self._lock:
            found = self._policies.pop(key, None)
            if found is not None:
                self._policies[key] = found
                return found
        read = _parse(text, trust)
        with self._lock:
            if key not in self._policies:
                self._length += len(text)
            self._policies[key] = read
            while self._length > _KEPT:
                oldest = next(iter(self._policies))
                del self._policies[oldest]
                self._length -= len(oldest[0])
        return read


_REMEMBERED = _Remembered()


def _parse(text: str, trust: bool) -> Policy:
    document = _object(_json(text), "", {"Version", "Id", "Statement"})
    version = document.get("Version", VERSIONS[0])
    if version not in VERSIONS:
        raise MalformedPolicy("Version", f"must be one of {', '.join(VERSIONS)}")
    if not isinstance(document.get("Id", ""), str):
        raise MalformedPolicy("Id", "must be a text")
    if "Statement" not in document:
        raise MalformedPolicy("Statement", "is missing")
    given = document["Statement"]
    listed = given if isinstance(given, list) else [given]
    if not listed:
        raise MalformedPolicy("Statement", "must not be empty")
    statements = tuple(
        _statement(one, number, variables=version == VERSIONS[1], trust=trust) for number, one in enumerate(listed)
    )
    names = [one.name for one in statements]
    if len(set(names)) < len(names):
        raise MalformedPolicy("Statement", "the same Sid is there twice")
    return Policy(version, statements)


def _json(text: str) -> Any:
    """The document; numbers stay as they are written, which is how they are compared."""
    try:
        document = json.loads(
            text, object_pairs_hook=_once, parse_float=str, parse_int=str, parse_constant=_no_constant
        )
    except (ValueError, RecursionError) as error:
        raise MalformedPolicy("", f"it is no JSON: {str(error)[:200]}") from None
    _check_depth(document)
    return document


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise MalformedPolicy("", "an element is there twice")
    return members


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for one in level
            if isinstance(one, (dict, list))
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return
    raise MalformedPolicy("", f"it is nested deeper than {MAX_DEPTH} levels")


def _object(value: Any, path: str, known: Collection[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise MalformedPolicy(path, "must be an object")
    for name in value:
        if name not in known:
            raise MalformedPolicy(path, f"{name[:64]} is no element of it")
    return value


def _statement(value: Any, number: int, *, variables: bool, trust: bool) -> Statement:
    path = f"Statement[{number}]"
    given = _object(value, path, _STATEMENT)
    sid = given.get("Sid", "")
    if not isinstance(sid, str) or not _SID.fullmatch(sid):
        raise MalformedPolicy(f"{path}.Sid", "must be of letters and digits")
    if given.get("Effect") not in {"Allow", "Deny"}:
        raise MalformedPolicy(f"{path}.Effect", "must be Allow or Deny")
    denies = given["Effect"] == "Deny"
    other_actions, actions = _one_of(given, path, "Action", _action)
    resources, other_resources = Resources(everything=True), False
    if trust:
        if "Resource" in given or "NotResource" in given or "NotPrincipal" in given:
            raise MalformedPolicy(path, "a trust policy has neither resources nor NotPrincipal")
    elif "Principal" in given or "NotPrincipal" in given:
        raise MalformedPolicy(path, "a policy of an identity has no principal")
    else:
        other_resources, patterns = _one_of(given, path, "Resource", lambda text: _resource(text, variables))
        resources = _resources(patterns)
    return Statement(
        name=f"Sid {sid}" if sid else f"statement {number + 1}",
        denies=denies,
        actions=tuple(actions),
        other_actions=other_actions,
        resources=resources,
        other_resources=other_resources,
        conditions=_conditions(given.get("Condition", {}), f"{path}.Condition", denies=denies, variables=variables),
        principals=_principals(given.get("Principal"), f"{path}.Principal") if trust else None,
    )


def _one_of(given: Mapping[str, Any], path: str, name: str, read: Callable[[str], Read]) -> tuple[bool, list[Read]]:
    """An element or its `Not…`, exactly one of them: whether it is the negated one, and its values."""
    names = [one for one in (name, f"Not{name}") if one in given]
    if len(names) != 1:
        raise MalformedPolicy(path, f"must have {name} or Not{name}, and not both")
    where = f"{path}.{names[0]}"
    return names[0] != name, _each(_texts(given[names[0]], where), where, read)


def _texts(value: Any, path: str) -> list[str]:
    listed = value if isinstance(value, list) else [value]
    if not listed:
        raise MalformedPolicy(path, "must not be empty")
    if not all(isinstance(one, str) for one in listed):
        raise MalformedPolicy(path, "must be a text or a list of texts")
    return listed


def _each(values: Sequence[str], path: str, read: Callable[[str], Read]) -> list[Read]:
    try:
        return [read(value) for value in values]
    except MalformedPolicy as error:
        raise MalformedPolicy(path, error.why) from None


def _action(text: str) -> Test:
    if not _ACTION.fullmatch(text):
        raise MalformedPolicy("", "must be * or a service, a colon and an action")
    return glob(tokens(text.lower(), wildcards=True, variables=False))


def _resource(text: str, variables: bool) -> ResourcePattern | None:
    """None for `*`."""
    return None if text == "*" else ResourcePattern(tokens(text, wildcards=True, variables=variables))


def _resources(patterns: Sequence[ResourcePattern | None]) -> Resources:
    named = [one for one in patterns if one is not None]
    return Resources(
        everything=None in patterns,
        literals=frozenset(one.literal for one in named if one.literal is not None),
        prefixes=tuple(one.prefix for one in named if one.prefix is not None),
        patterns=tuple(one for one in named if one.literal is None and one.prefix is None),
    )


def _conditions(value: Any, path: str, *, denies: bool, variables: bool) -> tuple[Condition, ...]:
    if not isinstance(value, dict):
        raise MalformedPolicy(path, "must be an object")
    found = []
    for name, keys in _unlike(value, path).items():
        where = f"{path}.{name[:64]}"
        if not isinstance(keys, dict) or not keys:
            raise MalformedPolicy(where, "must be an object with condition keys")
        for key, values in _unlike(keys, where).items():
            inside = f"{where}.{key[:128]}"
            texts = _texts(_words(values), inside)
            try:
                found.append(condition(name, key, texts, denies=denies, variables=variables))
            except MalformedPolicy as error:
                raise MalformedPolicy(inside, error.why) from None
    return tuple(sorted(found, key=lambda one: one.cost))


def _unlike(given: dict[str, Any], path: str) -> dict[str, Any]:
    """*given*, if no two of its names differ in case only."""
    if len({name.lower() for name in given}) < len(given):
        raise MalformedPolicy(path, "two names differ in case only")
    return given


def _words(values: Any) -> list[Any]:
    """Values of a condition: true and false may be written without quotes."""
    listed = values if isinstance(values, list) else [values]
    return [str(one).lower() if isinstance(one, bool) else one for one in listed]


def _principals(value: Any, path: str) -> frozenset[str]:
    """`*`, account ids, ARNs and service names, in one set: no two kinds look alike."""
    if value == "*":
        return frozenset("*")
    if not isinstance(value, dict) or not value:
        raise MalformedPolicy(path, "must be * or an object")
    found: set[str] = set()
    for kind, names in value.items():
        if kind not in {"AWS", "Service"}:
            raise MalformedPolicy(path, f"{kind[:64]} is no kind of principal here: AWS and Service are")
        found.update(_each(_texts(names, f"{path}.{kind}"), f"{path}.{kind}", _aws if kind == "AWS" else _service))
    return frozenset(found)


def _aws(text: str) -> str:
    """An account by its id or its root's ARN is the account; `*` is everybody."""
    if text == "*" or _ACCOUNT.fullmatch(text):
        return text
    if not _PRINCIPAL_ARN.fullmatch(text):
        raise MalformedPolicy("", "must be *, an account id or the ARN of a principal, without wildcards")
    account, _, rest = text.partition(":iam::")[2].partition(":")
    return account if rest == "root" else text


def _service(text: str) -> str:
    if not _SERVICE.fullmatch(text):
        raise MalformedPolicy("", "must be the name of a service")
    return text


DENY_ALL = Policy(VERSIONS[1], (Statement(name="Sid Unreadable", denies=True, actions=(lambda _action: True,)),))
