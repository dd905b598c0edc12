# SPDX-License-Identifier: Apache-2.0
"""Compliance (spec §1.9, §7.1): items of every type, and their summaries by type and by node."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from patchwright.server import compliance
from patchwright.server.aws.members import require_self
from patchwright.server.aws.services import Services
from patchwright.server.compliance import (
    NON_COMPLIANT,
    RESOURCE_TYPE,
    SEVERITIES,
    Comparison,
    ComplianceError,
    Entry,
    Execution,
    Filter,
    Listed,
    Record,
    Standing,
    Summary,
    Tally,
    Upload,
)
from patchwright.server.wire import ApiError, Caller, Handler, Pager, validation

_PAGE = 50
_MOST_RESOURCES = 50  # ids of one ListComplianceItems
_CODES: Mapping[type[ComplianceError], str] = {
    compliance.InvalidItems: "InvalidItemContentException",
    compliance.ItemTooLarge: "ItemSizeLimitExceededException",
}


def operations(services: Services) -> Mapping[str, Handler]:
    """The operations served here, by target."""
    served = ComplianceOperations(services.compliance, services.pager)
    return {
        "AmazonSSM.ListComplianceItems": served.list_compliance_items,
        "AmazonSSM.ListComplianceSummaries": served.list_compliance_summaries,
        "AmazonSSM.ListResourceComplianceSummaries": served.list_resource_compliance_summaries,
        "AmazonSSM.PutComplianceItems": served.put_compliance_items,
    }


class ComplianceOperations:
    """One method per operation."""

    def __init__(self, service: compliance.Service, pager: Pager) -> None:
        self._service = service
        self._pager = pager

    async def put_compliance_items(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """PutComplianceItems: in the place of all that was known of the node and type. A node speaks of itself alone."""
        require_self(caller, request["ResourceId"])
        _check_types([request["ResourceType"]])
        try:
            await self._service.put(caller.scope, request["ResourceId"], _upload(request))
        except (compliance.InvalidItems, compliance.ItemTooLarge) as error:
            members = {"TypeName": error.type_name} if error.type_name else {}
            raise ApiError(_CODES[type(error)], str(error), members=members) from error
        return {}

    async def list_compliance_items(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """ListComplianceItems, in order of node, type and id."""
        filters = _filters(request, compliance.ITEM_KEYS)
        _check_types(request.get("ResourceTypes", []))
        ids = request.get("ResourceIds", [])
        if len(ids) > _MOST_RESOURCES:
            raise validation(f"ResourceIds takes at most {_MOST_RESOURCES} ids.")
        cursor = self._pager.cursor(caller, request)
        found, more = await self._service.items(
            caller.scope,
            filters,
            ids=ids,
            after=tuple(cursor) if cursor else compliance.START,
            limit=request.get("MaxResults", _PAGE),
        )
        answer: dict[str, Any] = {"ComplianceItems": [_item(one) for one in found]}
        if more is not None:
            answer["NextToken"] = self._pager.token(caller, request, more)
        return answer

    async def list_compliance_summaries(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """ListComplianceSummaries: how many nodes are compliant, by type, in order of type."""
        filters = _filters(request, compliance.SUMMARY_KEYS)
        after = self._pager.cursor(caller, request) or ""
        standings = await self._service.standings(caller.scope, filters)
        grouped = itertools.groupby((one for one in standings if one.type > after), key=lambda one: one.type)
        items = [_type_summary(type_name, group) for type_name, group in grouped]
        limit = request.get("MaxResults", _PAGE)
        answer: dict[str, Any] = {"ComplianceSummaryItems": items[:limit]}
        if len(items) > limit:
            answer["NextToken"] = self._pager.token(caller, request, items[limit - 1]["ComplianceType"])
        return answer

    async def list_resource_compliance_summaries(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """ListResourceComplianceSummaries: the items of each node and type, counted; in order of node and type."""
        filters = _filters(request, compliance.SUMMARY_KEYS)
        after = self._pager.cursor(caller, request) or ("", "")
        limit = request.get("MaxResults", _PAGE)
        found = await self._service.summaries(caller.scope, filters, after=(after[0], after[1]), limit=limit + 1)
        answer: dict[str, Any] = {"ResourceComplianceSummaryItems": [_node_summary(one) for one in found[:limit]]}
        if len(found) > limit:
            last = found[limit - 1].record
            answer["NextToken"] = self._pager.token(caller, request, (last.instance_id, last.type))
        return answer


def _check_types(given: Sequence[str]) -> None:
    for one in given:
        if one != RESOURCE_TYPE:
            raise ApiError("InvalidResourceType", f"There is no resource type {one}; use {RESOURCE_TYPE}.")


def _filters(request: Mapping[str, Any], known: Sequence[str]) -> list[Filter]:
    """The filters of a request. None of their members is required by the model. Raises BadFilter."""
    filters = [
        Filter(one.get("Key", ""), tuple(one.get("Values", ())), Comparison(one.get("Type", Comparison.EQUAL)))
        for one in request.get("Filters", [])
    ]
    compliance.check_filters(filters, known)
    return filters


def _upload(request: Mapping[str, Any]) -> Upload:
    summary = request["ExecutionSummary"]
    return Upload(
        type=request["ComplianceType"],
        execution=Execution(summary["ExecutionTime"], summary.get("ExecutionId", ""), summary.get("ExecutionType", "")),
        entries=[_entry(item) for item in request["Items"]],
        content_hash=request.get("ItemContentHash", ""),
        partial=request.get("UploadType") == "PARTIAL",
    )


def _entry(item: Mapping[str, Any]) -> Entry:
    return Entry(
        item.get("Id", ""), item.get("Title", ""), item["Status"], item["Severity"], dict(item.get("Details", {}))
    )


def _item(one: Listed) -> dict[str, Any]:
    record, entry = one.record, one.entry
    since = {} if one.installed_at is None else {"InstalledTime": _iso(one.installed_at)}
    return {
        "ComplianceType": record.type,
        "ResourceType": RESOURCE_TYPE,
        "ResourceId": record.instance_id,
        "Id": entry.id,
        "Title": entry.title,
        "Status": entry.status,
        "Severity": entry.severity,
        "ExecutionSummary": _execution(record),
        "Details": {**record.details, **entry.details, **since},
    }


def _execution(record: Record) -> dict[str, Any]:
    execution = record.execution
    return {
        "ExecutionTime": execution.at,
        "ExecutionId": execution.id or None,
        "ExecutionType": execution.type or None,
    }


def _node_summary(one: Summary) -> dict[str, Any]:
    record, tally = one.record, one.tally
    return {
        "ComplianceType": record.type,
        "ResourceType": RESOURCE_TYPE,
        "ResourceId": record.instance_id,
        "Status": record.status,
        "OverallSeverity": SEVERITIES[record.severity],
        "ExecutionSummary": _execution(record),
        **_counted(tally),
    }


def _type_summary(type_name: str, standings: Iterable[Standing]) -> dict[str, Any]:
    compliant, non_compliant = [0] * len(SEVERITIES), [0] * len(SEVERITIES)
    for one in standings:
        (non_compliant if one.status == NON_COMPLIANT else compliant)[one.severity] += one.count
    return {"ComplianceType": type_name, **_counted(Tally(tuple(compliant), tuple(non_compliant)))}


def _counted(tally: Tally) -> dict[str, Any]:
    return {
        "CompliantSummary": {
            "CompliantCount": sum(tally.compliant),
            "SeveritySummary": _by_severity(tally.compliant),
        },
        "NonCompliantSummary": {
            "NonCompliantCount": sum(tally.non_compliant),
            "SeveritySummary": _by_severity(tally.non_compliant),
        },
    }


def _by_severity(counts: Sequence[int]) -> dict[str, int]:
    return {f"{name.capitalize()}Count": count for name, count in zip(SEVERITIES, counts, strict=True)}


def _iso(moment: float) -> str:
    return datetime.datetime.fromtimestamp(moment, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
