# SPDX-License-Identifier: Apache-2.0
"""Use cases of the parameters room (spec §1.16, §1.19)."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from patchwright.server import tags
from patchwright.server.accounts import MasterKey, Scope
from patchwright.server.config import Quotas
from patchwright.server.infra import Clock, Database, UnitOfWork
from patchwright.server.parameters import names, store, telling
from patchwright.server.parameters.errors import (
    InvalidName,
    ParameterTaken,
    TooManyLabels,
    TooManyParameters,
    UnknownParameter,
    UnknownVersion,
    UnsupportedType,
    VersionsExhausted,
)
from patchwright.server.parameters.model import (
    INTELLIGENT,
    LABELS,
    SECURE_STRING,
    STANDARD,
    STRING_LIST,
    VERSIONS,
    Change,
    Parameter,
    revise,
    sealed,
)
from patchwright.server.parameters.names import Reference
from patchwright.server.parameters.patterns import Patterns
from patchwright.server.parameters.search import Filter, labels_of, span_of
from patchwright.server.parameters.store import Span

_WINDOW = 500  # parameters looked at in one read while filtering, and
_WINDOWS = 20  # so many times for one page
_SWEPT = 100  # in one transaction
Seal = Callable[[Parameter], Parameter]


class Found(NamedTuple):
    """A parameter as it was asked for."""

    parameter: Parameter
    selector: str


class Plain(NamedTuple):
    """What a parameter says that is no secret: the text and, of a StringList, its *items*."""

    text: str
    items: tuple[str, ...] | None


class _Unchecked(NamedTuple):
    """A pattern that the value has to fit, and that was not asked yet. Nothing was written."""

    pattern: str


class Service:
    """Parameters of every account."""

    def __init__(self, database: Database, clock: Clock, quotas: Quotas, master: MasterKey) -> None:
        self._database = database
        self._clock = clock
        self._quotas = quotas
        self._master = master
        self._patterns = Patterns()

    async def put(self, scope: Scope, change: Change, *, principal: str) -> Parameter:
        """
        Create a parameter, or a version of one that is to be overwritten; returns it, without its value.

        Errors: everything below ParametersError that concerns names, values, types, keys, patterns, policies, limits;
        InvalidTag, TooManyTags.
        """
        change = replace(change, name=names.new_name(scope, change.name))
        change.check()
        tags.check(change.tags)

        def seal(parameter: Parameter) -> Parameter:
            if not parameter.secure or parameter.value is None:
                return parameter
            secret = self._master.seal(parameter.value, label=parameter.seal_label(scope))
            return sealed(parameter, secret)

        checked = ""
        while True:
            made = await self._database.write(
                _put,
                scope,
                change,
                checked=checked,
                seal=seal,
                quotas=self._quotas,
                principal=principal,
                now=self._clock.now(),
            )
            if isinstance(made, Parameter):
                return replace(made, value=None, sealed=None)
            checked = made.pattern
            await self._patterns.check(checked, change.value)

    async def get(self, scope: Scope, name: str, *, decrypt: bool) -> Found:
        """The parameter called *name* (spec: a name or ARN, `:version`, `:label`). Errors: InvalidName, UnknownParameter, UnknownVersion."""
        asked = names.reference(scope, name)
        found = await self._database.read(_get, scope, asked, now=self._clock.now())
        return Found(self._shown(scope, found, decrypt=decrypt), asked.selector)

    async def get_each(self, scope: Scope, asked: Sequence[str], *, decrypt: bool) -> tuple[list[Found], list[str]]:
        """Those of *asked* that exist, once each and in order of name, and those that do not or cannot."""
        found, missing = await self._database.read(_get_each, scope, list(dict.fromkeys(asked)), now=self._clock.now())
        shown = [Found(self._shown(scope, one.parameter, decrypt=decrypt), one.selector) for one in found]
        return sorted(shown, key=lambda one: (one.parameter.name, one.selector)), missing

    async def listed(
        self,
        scope: Scope,
        filters: Sequence[Filter],
        *,
        span: Span | None = None,
        after: str,
        limit: int,
        decrypt: bool = False,
    ) -> tuple[list[Parameter], str]:
        """
        Up to *limit* parameters that pass all filters, in order of path from behind *after*, and the path behind which the
        rest is; empty: that was all. As AWS's, a page may be short or empty where few of many parameters pass.

        *span* is the part of the store to look in; None: wherever what passes can be. With a filter by Label the labelled
        version is shown, else the newest.
        """
        span, now = span or span_of(filters), self._clock.now()
        size = _WINDOW if filters else limit + 1
        found: list[Parameter] = []
        for _ in range(_WINDOWS):
            batch, after = await self._database.read(_window, scope, span, filters, after=after, size=size, now=now)
            found += batch
            if len(found) > limit or not after:
                break
            await self._clock.sleep(0)  # SQLite reads on the event loop: let others have a turn
        rest = found[limit - 1].path if len(found) > limit else after
        return [self._shown(scope, one, decrypt=decrypt) for one in found[:limit]], rest

    async def history(
        self, scope: Scope, name: str, *, after: int, limit: int, decrypt: bool
    ) -> tuple[list[Parameter], bool]:
        """Up to *limit* versions, oldest first, from behind version *after*, and whether there are more. Errors: InvalidName, UnknownParameter."""
        asked = names.reference(scope, name)
        if asked.selector:
            raise UnknownParameter(asked.name + asked.selector)
        found = await self._database.read(_history, scope, asked, after=after, limit=limit + 1, now=self._clock.now())
        return [self._shown(scope, one, decrypt=decrypt) for one in found[:limit]], len(found) > limit

    async def delete(self, scope: Scope, name: str) -> None:
        """Delete a parameter. Errors: InvalidName, UnknownParameter."""
        path = names.path_of(names.known_name(name))
        if not await self._database.write(_delete, scope, path, now=self._clock.now()):
            raise UnknownParameter(name.strip(" "))

    async def delete_each(self, scope: Scope, given: Sequence[str]) -> tuple[list[str], list[str]]:
        """Delete those of *given* that exist; returns them, and those that do not or cannot."""
        return await self._database.write(_delete_each, scope, list(dict.fromkeys(given)), now=self._clock.now())

    async def label(self, scope: Scope, name: str, version: int | None, labels: Sequence[str]) -> tuple[int, list[str]]:
        """
        Attach labels to a version (None: the newest), from whatever version they are at; returns it, and the invalid labels.

        Errors: InvalidName, UnknownParameter, UnknownVersion, TooManyLabels; then nothing is attached.
        """
        asked = names.known_name(name)
        return await self._database.write(_label, scope, asked, version, labels, now=self._clock.now())

    async def unlabel(
        self, scope: Scope, name: str, version: int, labels: Sequence[str]
    ) -> tuple[list[str], list[str]]:
        """Remove labels of a version; returns those removed, and those it does not have. Errors: as `label`."""
        asked = names.known_name(name)
        return await self._database.write(_unlabel, scope, asked, version, labels, now=self._clock.now())

    def _shown(self, scope: Scope, parameter: Parameter, *, decrypt: bool) -> Parameter:
        if parameter.sealed is None:
            return parameter
        if decrypt:
            value = self._master.unseal(parameter.sealed, label=parameter.seal_label(scope))
        else:
            value = base64.b64encode(parameter.sealed).decode()
        return replace(parameter, value=value)


def require(scope: Scope, name: str) -> UnitOfWork[str]:
    """The id under which a parameter has its tags; a unit of work. Errors: UnknownParameter."""
    try:
        path = names.path_of(names.known_name(name))
    except InvalidName:
        raise UnknownParameter(name) from None
    if not (yield from store.exists(scope, path)):
        raise UnknownParameter(name)
    return path


def plain(scope: Scope, name: str, *, now: float) -> UnitOfWork[Plain]:
    """
    What a parameter says that is no secret; a unit of work that only reads. *name* as of `Service.get`.

    Errors: InvalidName, UnknownParameter, UnknownVersion; UnsupportedType for a SecureString.
    """
    found = yield from _get(scope, names.reference(scope, name), now=now)
    if found.value is None or found.type == SECURE_STRING:
        msg = f"{found.name} is of type {found.type}, which is not filled in here."
        raise UnsupportedType(msg)
    return Plain(found.value, tuple(found.value.split(",")) if found.type == STRING_LIST else None)


def is_secret(scope: Scope, path: str) -> UnitOfWork[bool]:
    """Whether the parameter at *path* is a SecureString; a unit of work that only reads."""
    return (yield from store.type_of(scope, path)) == SECURE_STRING


def any_expired(*, now: float) -> UnitOfWork[bool]:
    """Whether the time of any parameter has come."""
    return (yield from store.any_expired(now=now))


def expire(*, now: float) -> UnitOfWork[int]:
    """Delete parameters whose time has come, up to a hundred; returns how many those were."""
    found = yield from store.expired(now=now, limit=_SWEPT)
    for scope, path in found:
        gone = yield from store.find(scope, path, now=0.0)
        yield from _forget(scope, path)
        if gone is not None:
            yield from telling.expired(scope, gone, now=now)
            yield from telling.parameter(scope, gone, telling.DELETE, now=now)
    return len(found)


def _put(
    scope: Scope, change: Change, *, checked: str, seal: Seal, quotas: Quotas, principal: str, now: float
) -> UnitOfWork[Parameter | _Unchecked]:
    before = yield from store.find(scope, change.path, now=now)
    if before is not None and not change.overwrite:
        msg = "The parameter already exists. To overwrite this value, set the overwrite option in the request to true."
        raise ParameterTaken(msg)
    full = False
    if before is None and change.tier == INTELLIGENT:
        full = (yield from store.count(scope, STANDARD)) >= quotas.parameters_standard
    made = revise(before, change, now=now, principal=principal, standard_full=full)
    if made.allowed_pattern not in {"", checked}:
        return _Unchecked(made.allowed_pattern)
    if before is None:
        yield from _forget(scope, change.path)  # of one that has expired
    if before is None or before.tier != made.tier:
        yield from _make_room(scope, made.tier, quotas)
    if before is not None:
        yield from _drop_oldest(scope, before)
    yield from store.put(scope, seal(made))
    yield from telling.parameter(scope, made, telling.UPDATE if before else telling.CREATE, now=now)
    if change.tags:
        yield from tags.add(scope, tags.PARAMETER, made.path, change.tags)
    return made


def _make_room(scope: Scope, tier: str, quotas: Quotas) -> UnitOfWork[None]:
    """Refuse another parameter of *tier* where there are as many as there may be."""
    most = quotas.parameters_standard if tier == STANDARD else quotas.parameters_advanced
    if (yield from store.count(scope, tier)) >= most:
        kind = tier.lower()
        msg = f"You have reached the maximum number of {kind} parameters for this AWS account and Region ({most})."
        more = " To add more parameters, either delete existing parameters or upgrade to the advanced-parameter tier."
        raise TooManyParameters(msg + more if tier == STANDARD else msg)


def _drop_oldest(scope: Scope, before: Parameter) -> UnitOfWork[None]:
    """Make room for one version more than there may be, unless the oldest has a label (spec §1.19)."""
    oldest, count = yield from store.oldest(scope, before.path)
    if count < VERSIONS:
        return
    labels = yield from store.labels(scope, [before.path])
    if oldest in labels[before.path].values():
        msg = (
            f"You attempted to create a new version of {before.name} by calling the PutParameter API with the overwrite flag."
            f" Version {oldest}, the oldest version, can't be deleted because it has a label associated with it. Move the"
            " label to another version of the parameter, and try again."
        )
        raise VersionsExhausted(msg)
    yield from store.drop(scope, before.path, oldest)


def _get(scope: Scope, asked: Reference, *, now: float) -> UnitOfWork[Parameter]:
    if not asked.selector:
        newest = yield from store.find(scope, asked.path, now=now)
        if newest is None:
            raise UnknownParameter(asked.name)
        return newest
    version = asked.version
    if asked.label is not None:
        version = yield from store.labelled_version(scope, asked.path, asked.label)
    found = None if version is None else (yield from store.find_version(scope, asked.path, version, now=now))
    if found is not None:
        return found
    if (yield from store.find(scope, asked.path, now=now)) is None:
        raise UnknownParameter(asked.name + asked.selector)
    if asked.label is None:
        raise _unknown_version(asked.name, asked.selector[1:])
    msg = f"Systems Manager could not find label {asked.label} for parameter {asked.name}. Verify the label and try again."
    raise UnknownVersion(msg)


def _get_each(scope: Scope, asked: Sequence[str], *, now: float) -> UnitOfWork[tuple[list[Found], list[str]]]:
    found: dict[tuple[str, str], Found] = {}
    missing = []
    for text in asked:
        try:
            one = names.reference(scope, text)
            parameter = yield from _get(scope, one, now=now)
            found.setdefault((parameter.path, one.selector), Found(parameter, one.selector))
        except (InvalidName, UnknownParameter, UnknownVersion):
            missing.append(text)
    return list(found.values()), missing


def _window(
    scope: Scope, span: Span, filters: Sequence[Filter], *, after: str, size: int, now: float
) -> UnitOfWork[tuple[list[Parameter], str]]:
    """What passes of the next parameters, and the last that was looked at; empty: there is nothing behind it."""
    batch = yield from store.window(scope, span, labels=labels_of(filters), after=after, limit=size, now=now)
    carried: dict[str, tags.Tags] = {}
    if any(one.key.startswith("tag:") for one in filters):
        carried = yield from tags.of_each(scope, tags.PARAMETER, [parameter.path for parameter in batch])
    passed = [one for one in batch if all(each.passes(one, carried.get(one.path, {})) for each in filters)]
    return passed, batch[-1].path if len(batch) == size else ""


def _history(scope: Scope, asked: Reference, *, after: int, limit: int, now: float) -> UnitOfWork[list[Parameter]]:
    if (yield from store.find(scope, asked.path, now=now)) is None:
        raise UnknownParameter(asked.name)
    found = yield from store.history(scope, asked.path, after=after, limit=limit, now=now)
    labels = (yield from store.labels(scope, [asked.path]))[asked.path]
    return [
        replace(one, labels=tuple(label for label, version in labels.items() if version == one.version))
        for one in found
    ]


def _delete(scope: Scope, path: str, *, now: float) -> UnitOfWork[bool]:
    alive = yield from store.find(scope, path, now=now)
    yield from _forget(scope, path)
    if alive is not None:
        yield from telling.parameter(scope, alive, telling.DELETE, now=now)
    return alive is not None


def _delete_each(scope: Scope, given: Sequence[str], *, now: float) -> UnitOfWork[tuple[list[str], list[str]]]:
    deleted: list[str] = []
    missing: list[str] = []
    for text in given:
        try:
            gone = yield from _delete(scope, names.path_of(names.known_name(text)), now=now)
        except InvalidName:
            gone = False
        (deleted if gone else missing).append(text)
    return deleted, missing


def _forget(scope: Scope, path: str) -> UnitOfWork[None]:
    if (yield from store.delete(scope, path)):
        yield from tags.forget(scope, tags.PARAMETER, path)


def _label(
    scope: Scope, name: str, version: int | None, given: Sequence[str], *, now: float
) -> UnitOfWork[tuple[int, list[str]]]:
    target = yield from _version(scope, name, version, now=now)
    wanted = dict.fromkeys(label for label in given if names.is_label(label))
    there = (yield from store.labels(scope, [target.path]))[target.path]
    kept = {label for label, at in there.items() if at == target.version}
    if len(kept | set(wanted)) > LABELS:
        msg = (
            f"A parameter version can have maximum {LABELS} labels."
            " Move one or more labels to another version and try again."
        )
        raise TooManyLabels(msg)
    yield from store.put_labels(scope, target.path, target.version, list(wanted))
    if wanted:
        yield from telling.parameter(scope, target, telling.LABEL, now=now, labels=tuple(wanted))
    return target.version, list(dict.fromkeys(label for label in given if label not in wanted))


def _unlabel(
    scope: Scope, name: str, version: int, given: Sequence[str], *, now: float
) -> UnitOfWork[tuple[list[str], list[str]]]:
    target = yield from _version(scope, name, version, now=now)
    there = (yield from store.labels(scope, [target.path]))[target.path]
    asked = list(dict.fromkeys(given))
    removed = [label for label in asked if there.get(label) == target.version]
    yield from store.remove_labels(scope, target.path, removed)
    return removed, [label for label in asked if label not in removed]


def _version(scope: Scope, name: str, version: int | None, *, now: float) -> UnitOfWork[Parameter]:
    path = names.path_of(name)
    newest = yield from store.find(scope, path, now=now)
    if newest is None:
        raise UnknownParameter(name)
    if version is None:
        return newest
    found = yield from store.find_version(scope, path, version, now=now)
    if found is None:
        raise _unknown_version(name, str(version))
    return found


def _unknown_version(name: str, version: str) -> UnknownVersion:
    msg = f"Systems Manager could not find version {version} of {name}. Verify the version and try again."
    return UnknownVersion(msg)
