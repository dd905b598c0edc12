# SPDX-License-Identifier: Apache-2.0
"""
The patch compliance report as CSV (spec §7.5): every node in a row, or one node with a row for each of its patches.

It tells what compliance knows, which is the last operation of each node (design D5). The rows are pure; `PatchReports` reads
what they are made of, page by page.
"""

from __future__ import annotations

import csv
import datetime
import io
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeAlias

from patchwright.server import compliance, nodes
from patchwright.server.accounts import Scope
from patchwright.server.compliance import PATCH, SEVERITIES, Filter, Listed, Summary
from patchwright.server.infra import Bucket, Buckets, Clock, Database, UnitOfWork, joined
from patchwright.server.nodes import Node

SUMMARY_COLUMNS = (
    "Index",
    "Instance ID",
    "Instance name",
    "Instance IP",
    "Platform name",
    "Platform version",
    "SSM Agent version",
    "Patch baseline",
    "Patch group",
    "Compliance status",
    "Compliance severity",
    "Noncompliant Critical severity patch count",
    "Noncompliant High severity patch count",
    "Noncompliant Medium severity patch count",
    "Noncompliant Low severity patch count",
    "Noncompliant Informational severity patch count",
    "Noncompliant Unspecified severity patch count",
)
DETAIL_COLUMNS = (
    "Index",
    "Instance ID",
    "Instance name",
    "Patch name",
    "KB ID/Patch ID",
    "Patch state",
    "Last report time",
    "Compliance level",
    "Patch severity",
    "Patch classification",
    "CVE ID",
    "Patch baseline",
    "Logs URL",
    "Instance IP",
    "Platform name",
    "Platform version",
    "SSM Agent version",
)
NEVER_REPORTED = "NEVER_REPORTED"  # the status of a node without an operation
_EXPORTED = 500  # rows read at once for an export
_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # wide ones too

Row: TypeAlias = Sequence[str]


class Cursor(NamedTuple):
    """Where a report goes on: behind row number *told*, and behind a node (*place* is its id) or a patch (as in compliance)."""

    told: int
    place: tuple[str | None, ...]


class Page(NamedTuple):
    """Some rows of a report as CSV text, and where it goes on; None: there it ends."""

    text: str
    more: Cursor | None


class Exported(NamedTuple):
    """A report that was written: the key of the object, and how many bytes it has."""

    key: str
    size: int


class PatchReports:
    """Patch compliance reports of every account."""

    def __init__(self, database: Database, clock: Clock, service: compliance.Service, buckets: Buckets) -> None:
        self._database = database
        self._clock = clock
        self._service = service
        self._buckets = buckets

    async def of_all(self, scope: Scope, *, after: Cursor | None = None, limit: int) -> Page:
        """Every node in a row, in order of id, up to *limit* of them; the first page begins with the names of the columns."""
        index, last = (after.told, str(after.place[0])) if after else (0, "")
        found = await self._database.read(_standing, scope, after=last, limit=limit + 1)
        rows: list[Row] = [] if after else [SUMMARY_COLUMNS]
        rows += [summary_row(index + n, *one) for n, one in enumerate(found[:limit], start=1)]
        more = Cursor(index + limit, (found[limit - 1][0].id,)) if len(found) > limit else None
        return Page(to_csv(rows), more)

    async def of_one(self, scope: Scope, instance_id: str, *, after: Cursor | None = None, limit: int) -> Page:
        """
        One node: its summary, then a row for each patch, up to *limit* of them; the names of the columns above each kind.

        Errors: UnknownNode.
        """
        node, known = await self._database.read(_one, scope, instance_id)
        found, more = await self._service.items(
            scope,
            [Filter("ComplianceType", (PATCH,))],
            ids=[instance_id],
            after=_place(after) if after else compliance.START,
            limit=limit,
        )
        index = after.told if after else 0
        rows: list[Row] = [] if after else [SUMMARY_COLUMNS, summary_row(1, node, known), DETAIL_COLUMNS]
        rows += [detail_row(index + n, node, one) for n, one in enumerate(found, start=1)]
        return Page(to_csv(rows), Cursor(index + len(found), more) if more else None)

    async def export(self, scope: Scope, bucket: Bucket, *, prefix: str = "", instance_id: str = "") -> Exported:
        """
        Write a whole report to *bucket*, of every node or of one, under a name that tells when; says where and how long it is.

        Errors: BucketRefused, UnknownNode; then nothing is written.
        """
        when = _iso(self._clock.now()).replace(":", "-")
        subject = f"{instance_id}-{when}" if instance_id else when
        folder = f"patch-report/accountid={scope.account}/region={scope.region}"
        parts, after = [], None
        while True:
            if instance_id:
                page = await self.of_one(scope, instance_id, after=after, limit=_EXPORTED)
            else:
                page = await self.of_all(scope, after=after, limit=_EXPORTED)
            parts.append(page.text)
            after = page.more
            if after is None:
                break
        data = "".join(parts).encode()
        key = joined(prefix, f"{folder}/{subject}.csv")
        await self._buckets.put(bucket, key, data, kind="text/csv; charset=utf-8")
        return Exported(key, len(data))


def summary_row(index: int, node: Node, known: Summary | None) -> Row:
    """The row of a node; *known* is None for one that has no operation behind it."""
    record, counts = (known.record, known.tally.non_compliant) if known else (None, (0,) * len(SEVERITIES))
    return (
        str(index),
        node.id,
        _name(node),
        node.machine.ip_address,
        node.machine.platform_name,
        node.machine.platform_version,
        node.machine.agent_version,
        record.baseline_id if record else "",
        record.patch_group if record else "",
        record.status if record else NEVER_REPORTED,
        SEVERITIES[record.severity] if record else "",
        *(str(count) for count in reversed(counts)),
    )


def detail_row(index: int, node: Node, one: Listed) -> Row:
    """The row of a patch on a node."""
    record, entry = one.record, one.entry
    details = {**record.details, **entry.details}
    machine = node.machine
    return (
        str(index),
        node.id,
        _name(node),
        entry.title,
        entry.id,
        details.get("PatchState", ""),
        _iso(record.execution.at),
        entry.severity,
        details.get("PatchSeverity", ""),
        details.get("Classification", ""),
        details.get("CVEIds", ""),
        details.get("PatchBaselineId", ""),
        "",  # nothing keeps the node's logs
        machine.ip_address,
        machine.platform_name,
        machine.platform_version,
        machine.agent_version,
    )


def to_csv(rows: Iterable[Row]) -> str:
    """
    Rows as RFC 4180 writes them, each ended by CR LF.

    What a spreadsheet would take for a formula stands behind an apostrophe: names come from nodes and from whoever tags them.
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows([harmless(cell) for cell in row] for row in rows)
    return text.getvalue()


def harmless(cell: str) -> str:
    """*cell* as text and nothing else, for every spreadsheet."""
    return f"'{cell}" if cell.startswith(_FORMULAS) else cell


def _name(node: Node) -> str:
    return node.name or node.machine.computer_name


def _iso(moment: float) -> str:
    when = datetime.datetime.fromtimestamp(moment, datetime.UTC)
    return when.replace(microsecond=0, tzinfo=None).isoformat() + "Z"  # strftime writes the year 1 without its zeros


def _place(cursor: Cursor) -> compliance.Cursor:
    instance_id, type_name, last = cursor.place
    return str(instance_id), str(type_name), last


def _standing(scope: Scope, *, after: str, limit: int) -> UnitOfWork[list[tuple[Node, Summary | None]]]:
    page = yield from nodes.page(scope, after=after, limit=limit)
    known = yield from compliance.of_nodes(scope, PATCH, [node.id for node in page])
    return [(node, known.get(node.id)) for node in page]


def _one(scope: Scope, instance_id: str) -> UnitOfWork[tuple[Node, Summary | None]]:
    node = yield from nodes.require(scope, instance_id)
    known = yield from compliance.of_nodes(scope, PATCH, [instance_id])
    return node, known.get(instance_id)
