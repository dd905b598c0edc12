# SPDX-License-Identifier: Apache-2.0
"""
Use cases of compliance (spec §7.1, §7.6): what was found last of each node and type, by whomever.

Patch compliance is what the last finished operation found (design D5), until somebody puts another, and again from the next
operation on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from patchwright.core.compliance import Item
from patchwright.server import commands, events, nodes, patching
from patchwright.server.accounts import Scope
from patchwright.server.compliance import model, store
from patchwright.server.compliance.filters import Filter, holds_for, split
from patchwright.server.compliance.model import (
    ASSOCIATION,
    CUSTOM,
    PATCH,
    SEVERITIES,
    Entry,
    Execution,
    InvalidItems,
    Listed,
    Record,
    Standing,
    Summary,
    TooManyTypes,
    UnknownResource,
    Upload,
)
from patchwright.server.config import Quotas
from patchwright.server.infra import Clock, Database, UnitOfWork

_BATCH = 200  # nodes and types looked at in one read while filtering items
_CONTENTS = 64  # distinct contents taken apart for one page; each is a few milliseconds
_ROWS = 5_000  # nodes and types looked at for one page

# Where a listing of items stands: at a node and type, after the item with this id, or behind all of them where it is None.
Cursor: TypeAlias = tuple[str, str, str | None]
START: Cursor = ("", "", None)


class Service:
    """Compliance of every account's nodes."""

    def __init__(self, database: Database, clock: Clock, quotas: Quotas) -> None:
        self._database = database
        self._clock = clock
        self._quotas = quotas

    async def put(self, scope: Scope, instance_id: str, upload: Upload) -> None:
        """
        Take what somebody found of a node, in the place of all that was known of that node and type.

        No items and no hash: the type is forgotten. The hash of the last time: nothing is changed. Errors: InvalidItems,
        ItemTooLarge, TooLarge, TooManyTypes, UnknownResource.
        """
        quotas = self._quotas
        model.check(upload, item_bytes=quotas.compliance_item_bytes, total_bytes=quotas.compliance_bytes)
        limit = quotas.compliance_custom_types
        await self._database.write(_put, scope, instance_id, upload, limit=limit, now=self._clock.now())

    async def standings(self, scope: Scope, filters: Sequence[Filter]) -> list[Standing]:
        """How many nodes there are by type, status and severity, in that order."""
        return await self._database.read(store.standings, scope, filters)

    async def summaries(
        self, scope: Scope, filters: Sequence[Filter], *, after: tuple[str, str], limit: int
    ) -> list[Summary]:
        """Up to *limit* nodes and types after *after*, in order of both."""
        return await self._database.read(store.summaries, scope, filters, after=after, limit=limit)

    async def items(
        self, scope: Scope, filters: Sequence[Filter], *, ids: Sequence[str] = (), after: Cursor = START, limit: int
    ) -> tuple[list[Listed], Cursor | None]:
        """
        Up to *limit* items in order of node, type and id, and where to go on; None: there are no more.

        *ids*: of these nodes alone, which must exist. A page may be short, since only so much is looked at for one. Errors:
        UnknownResource.
        """
        await self._database.read(_require_each, scope, ids)
        of_rows, of_items = split(filters)
        contents, seen = _Contents(of_items), 0
        found: list[tuple[Record, _Part]] = []
        while True:
            batch = await self._database.read(
                store.page, scope, of_rows, after=after[:2], itself=after[2] is not None, ids=ids, limit=_BATCH
            )
            for record in batch:
                seen += 1
                unknown = record.digest not in contents.known
                if seen > _ROWS or (unknown and len(contents.known) == _CONTENTS):
                    return await self._dated(scope, found), after
                if unknown:
                    contents.known[record.digest] = await self._database.read(_content, scope, record.digest)
                key = (record.instance_id, record.type)
                for part in contents.after(record, after[2] if after[:2] == key else None):
                    if len(found) == limit:
                        return await self._dated(scope, found), after
                    found.append((record, part))
                    after = (*key, part.entry.id)
                after = (*key, None)
            if len(batch) < _BATCH:
                return await self._dated(scope, found), None

    async def _dated(self, scope: Scope, found: Sequence[tuple[Record, _Part]]) -> list[Listed]:
        """What was found, patches with the time since when they are there."""
        patches: dict[str, tuple[Record, list[Item]]] = {}
        for record, part in found:
            if part.item is not None:
                patches.setdefault(record.instance_id, (record, []))[1].append(part.item)
        times: dict[tuple[str, str], float] = {}
        for instance_id, (record, items) in patches.items():
            since = await self._database.read(
                patching.installed_times, scope, instance_id, items, until=record.execution.at
            )
            times.update(((instance_id, key), moment) for key, moment in since.items())
        return [
            Listed(record, part.entry, None if part.item is None else times[record.instance_id, part.entry.id])
            for record, part in found
        ]


class _Part(NamedTuple):
    """One item of a content; the patch state that it is made of, if it is."""

    entry: Entry
    item: Item | None


class _Contents:
    """The contents that one page has met, and which of their items pass its filters: found out once for all nodes."""

    def __init__(self, filters: Sequence[Filter]) -> None:
        self.known: dict[str, list[_Part]] = {}
        self._filters = filters
        self._passing: dict[tuple[str, ...], list[_Part]] = {}

    def after(self, record: Record, last: str | None) -> Iterator[_Part]:
        """The items of a node and type that pass, in order of id, from behind *last* on; None: from the first on."""
        passing = self._of(record) if self._filters else self.known[record.digest]
        return (part for part in passing if last is None or part.entry.id > last)

    def _of(self, record: Record) -> list[_Part]:
        common: Mapping[str, str] = record.details
        key = (record.digest, *common.values())
        if key not in self._passing:
            parts = self.known[record.digest]
            self._passing[key] = [part for part in parts if holds_for(part.entry, common, self._filters)]
        return self._passing[key]


def refresh(scope: Scope, instance_id: str) -> UnitOfWork[None]:
    """
    Take note of a node's last finished operation, if that was not done yet; a unit of work.

    It belongs into the transaction in which an operation may have finished.
    """
    last = yield from patching.last_finished(scope, instance_id)
    before = yield from store.find(scope, instance_id, PATCH)
    if last is None or not last.states_digest or (before and before.operation_id == last.id):
        return
    if not (yield from nodes.known(scope, [instance_id])):
        return
    tally = yield from store.find_tally(scope, last.states_digest)
    if tally is None:
        rows = yield from patching.items(scope, last.states_digest)
        tally = model.tally(map(model.entry_of, rows))
        yield from store.put_content(scope, last.states_digest, tally, b"", now=last.ended_at)
    name, version = yield from commands.document_of(scope, last.command_id)
    by = (
        "PatchPolicy" if last.association_id else "Command"
    )  # patch policies say which association they run by (spec §3.3)
    record = Record(
        instance_id=instance_id,
        type=PATCH,
        digest=last.states_digest,
        status=tally.status,
        severity=tally.severity,
        execution=Execution(last.ended_at, last.command_id, by),
        patch_group=last.patch_group,
        baseline_id=last.baseline_id,
        document_name=name,
        document_version=version,
        operation_id=last.id,
        recorded_at=last.ended_at,
    )
    yield from _replace(scope, before, record)


def forget(scope: Scope, instance_id: str) -> UnitOfWork[None]:
    """Forget everything that is known of a node that is going away; a unit of work."""
    for record in (yield from store.of_node(scope, instance_id)):
        yield from _drop(scope, record)


def of_node(scope: Scope, instance_id: str) -> UnitOfWork[list[Record]]:
    """What is known of one node, in order of type; a unit of work."""
    return (yield from store.of_node(scope, instance_id))


def of_nodes(scope: Scope, type_name: str, ids: Sequence[str]) -> UnitOfWork[dict[str, Summary]]:
    """What is known of these nodes and one type, by node; those of which nothing is known are not there. A unit of work."""
    return {one.record.instance_id: one for one in (yield from store.of_nodes(scope, type_name, ids))}


def of_each(scope: Scope, ids: Sequence[str]) -> UnitOfWork[list[Summary]]:
    """What is known of these nodes, in order of node and type, a few hundred nodes at a time; a unit of work."""
    return (yield from store.of_each(scope, ids))


def entries(scope: Scope, digest: str) -> UnitOfWork[list[Entry]]:
    """The items that a record's digest names, in order of id; none where they are gone meanwhile. A unit of work."""
    return [part.entry for part in (yield from _content(scope, digest))]


def _put(scope: Scope, instance_id: str, upload: Upload, *, limit: int, now: float) -> UnitOfWork[None]:
    yield from _require_each(scope, [instance_id])
    before = yield from store.find(scope, instance_id, upload.type)
    if upload.content_hash and before and before.content_hash == upload.content_hash:
        return
    if upload.content_hash and not upload.entries:
        msg = (
            f"The ItemContentHash is not that of the items of type {upload.type} that are kept: send the items with it."
        )
        raise InvalidItems(msg, upload.type)
    if not upload.entries:
        if before:
            yield from _drop(scope, before)
        return
    if before is None and upload.type.startswith(CUSTOM):
        yield from _check_types(scope, upload.type, limit)
    last = (yield from patching.last_finished(scope, instance_id)) if upload.type == PATCH else None
    tally = model.tally(upload.entries)
    digest, body = model.freeze(upload.entries)
    yield from store.put_content(scope, digest, tally, body, now=now)
    record = Record(
        instance_id=instance_id,
        type=upload.type,
        digest=digest,
        status=tally.status,
        severity=tally.severity,
        execution=upload.execution,
        content_hash=upload.content_hash,
        operation_id=last.id if last else "",
        recorded_at=now,
    )
    yield from _replace(scope, before, record)


def _check_types(scope: Scope, type_name: str, limit: int) -> UnitOfWork[None]:
    types = yield from store.custom_types(scope, limit=max(limit, 1))
    if len(types) >= limit and type_name not in types:
        msg = f"There are {limit} custom compliance types in this account and region, which is all there may be."
        raise TooManyTypes(msg, type_name)


def _replace(scope: Scope, before: Record | None, record: Record) -> UnitOfWork[None]:
    yield from store.put(scope, record)
    if before is None or (before.status, before.severity) != (record.status, record.severity):
        yield from _tell(scope, record)
    if before is not None and before.digest != record.digest:
        yield from store.drop_content(scope, before.digest)


def _tell(scope: Scope, record: Record) -> UnitOfWork[None]:
    """A node turned compliant or not, or its severity changed (spec §7.7)."""
    detail = {
        "resource-type": "managed-instance",
        "resource-id": record.instance_id,
        "compliance-status": record.status.lower(),
        "compliance-type": record.type,
    }
    if record.type == PATCH:
        detail |= {"patch-baseline-id": record.baseline_id, "severity": SEVERITIES[record.severity].lower()}
    elif record.type == ASSOCIATION:
        detail["last-runtime"] = events.iso_millis(record.execution.at)
    told = events.derived_id(record.instance_id, record.type, record.digest, record.execution.id, record.recorded_at)
    arns = [events.managed_arn(scope, record.instance_id)]
    yield from events.emit(scope, events.COMPLIANCE, arns, detail, now=record.recorded_at, id=told)


def _drop(scope: Scope, record: Record) -> UnitOfWork[None]:
    yield from store.remove(scope, record.instance_id, record.type)
    yield from store.drop_content(scope, record.digest)


def _content(scope: Scope, digest: str) -> UnitOfWork[list[_Part]]:
    """The items under a digest in order of id; none where others have taken their place since it was read."""
    if not digest.startswith(model.PUT_FORMAT):
        rows = yield from patching.items(scope, digest)
        return [_Part(model.entry_of(item), item) for item in rows]
    body = yield from store.find_content(scope, digest)
    return [_Part(entry, None) for entry in model.thaw(body)] if body is not None else []


def _require_each(scope: Scope, ids: Sequence[str]) -> UnitOfWork[None]:
    found = {node.id for node in (yield from nodes.known(scope, ids))}
    for instance_id in ids:
        if instance_id not in found:
            msg = f"There is no managed node {instance_id}."
            raise UnknownResource(msg)
