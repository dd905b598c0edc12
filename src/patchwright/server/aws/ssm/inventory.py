# SPDX-License-Identifier: Apache-2.0
"""Inventory (spec §1.8, §7.2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from patchwright.core.inventory import Schema
from patchwright.server import inventory
from patchwright.server.aws.members import require_self, token_of
from patchwright.server.aws.services import Services
from patchwright.server.inventory import Asked, AskedAggregator, AskedGroup, Counted, Deletion, Entity, Given, Operator
from patchwright.server.wire import ApiError, Caller, Handler, Pager

_PAGE = 50
_SCHEMA_PAGE = 200
_COMPLETE = "Deletion is successful."

# Errors that name the type they are about.
_OF_ITEMS: Mapping[type[inventory.ItemError], str] = {
    inventory.ContentMismatch: "ItemContentMismatchException",
    inventory.ContextNotAllowed: "UnsupportedInventoryItemContextException",
    inventory.ItemTooLarge: "ItemSizeLimitExceededException",
    inventory.MalformedContent: "InvalidItemContentException",
}


def operations(services: Services) -> Mapping[str, Handler]:
    """The operations served here, by target."""
    served = InventoryOperations(services.inventory, services.pager)
    return {
        "AmazonSSM.DeleteInventory": served.delete_inventory,
        "AmazonSSM.DescribeInventoryDeletions": served.describe_inventory_deletions,
        "AmazonSSM.GetInventory": served.get_inventory,
        "AmazonSSM.GetInventorySchema": served.get_inventory_schema,
        "AmazonSSM.ListInventoryEntries": served.list_inventory_entries,
        "AmazonSSM.PutInventory": served.put_inventory,
    }


class InventoryOperations:
    """One method per operation."""

    def __init__(self, room: inventory.Service, pager: Pager) -> None:
        self._room = room
        self._pager = pager

    async def put_inventory(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """PutInventory: all items or none; a node speaks for itself alone."""
        require_self(caller, request["InstanceId"])
        try:
            ignored = await self._room.put(
                caller.scope, request["InstanceId"], [_given(one) for one in request["Items"]]
            )
        except inventory.ItemError as error:
            code = _OF_ITEMS[type(error)]
            raise ApiError(code, str(error), members={"TypeName": error.type_name}) from error
        if not ignored:
            return {}
        return {"Message": f"Ignored, since the type is disabled in this version: {', '.join(ignored)}."}

    async def get_inventory(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """GetInventory: nodes in order of id with what they show; with Aggregators, how many of them show what."""
        asked, by = _asked(request.get("Filters", [])), request.get("Aggregators")
        if by:
            return await self._counted(caller, request, asked)
        types = [one["TypeName"] for one in request.get("ResultAttributes", [])]
        found, following = await self._room.entities(
            caller.scope,
            asked,
            types,
            after=self._pager.cursor(caller, request) or "",
            limit=request.get("MaxResults", _PAGE),
        )
        answer: dict[str, Any] = {"Entities": [_entity(one) for one in found]}
        if following:
            answer["NextToken"] = self._pager.token(caller, request, following)
        return answer

    async def _counted(self, caller: Caller, request: dict[str, Any], asked: Sequence[Asked]) -> dict[str, Any]:
        by = [_aggregator(one) for one in request["Aggregators"]]
        start = self._pager.cursor(caller, request) or 0
        found, following = await self._room.counted(caller.scope, asked, by, start=start)
        answer: dict[str, Any] = {"Entities": [_counts(one) for one in found]}
        if following:
            answer["NextToken"] = self._pager.token(caller, request, following)
        return answer

    async def get_inventory_schema(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """GetInventorySchema, in order of name and version."""
        found = await self._room.schemas(
            caller.scope,
            prefix=request.get("TypeName", ""),
            counted=request.get("Aggregator", False),
            sub_types=request.get("SubType", False),
        )
        start = self._pager.cursor(caller, request) or 0
        end = start + request.get("MaxResults", _SCHEMA_PAGE)
        answer: dict[str, Any] = {"Schemas": [_schema(one) for one in found[start:end]]}
        if len(found) > end:
            answer["NextToken"] = self._pager.token(caller, request, end)
        return answer

    async def list_inventory_entries(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """ListInventoryEntries, in the order in which the node said them."""
        start, limit = self._pager.cursor(caller, request) or 0, request.get("MaxResults", _PAGE)
        found = await self._room.entries(
            caller.scope,
            request["InstanceId"],
            request["TypeName"],
            _asked(request.get("Filters", [])),
            start=start,
            limit=limit,
        )
        answer: dict[str, Any] = {
            "TypeName": request["TypeName"],
            "InstanceId": request["InstanceId"],
            "SchemaVersion": found.version or None,
            "CaptureTime": found.reported.capture_time if found.reported else None,
            "Entries": list(found.rows),
        }
        if found.more:
            answer["NextToken"] = self._pager.token(caller, request, start + limit)
        return answer

    async def delete_inventory(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """DeleteInventory: what is counted is gone when this answers, though the answer shows it as AWS does, before."""
        deleted = await self._room.delete(
            caller.scope,
            request["TypeName"],
            option=request.get("SchemaDeleteOption", ""),
            dry_run=request.get("DryRun", False),
            token=token_of(caller, request),
        )
        return {
            "DeletionId": deleted.id or None,
            "TypeName": deleted.type_name,
            "DeletionSummary": _summary(deleted, remaining=True),
        }

    async def describe_inventory_deletions(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """DescribeInventoryDeletions, the newest first."""
        if "DeletionId" in request:
            return {"InventoryDeletions": [_deletion(await self._room.deletion(caller.scope, request["DeletionId"]))]}
        limit, cursor = request.get("MaxResults", _PAGE), self._pager.cursor(caller, request)
        before = (float(cursor[0]), str(cursor[1])) if cursor else None
        found = await self._room.deletions(caller.scope, before=before, limit=limit + 1)
        answer: dict[str, Any] = {"InventoryDeletions": [_deletion(one) for one in found[:limit]]}
        if len(found) > limit:
            last = found[limit - 1]
            answer["NextToken"] = self._pager.token(caller, request, [last.deleted_at, last.id])
        return answer


def _given(item: Mapping[str, Any]) -> Given:
    return Given(
        type_name=item["TypeName"],
        version=item["SchemaVersion"],
        capture_time=item["CaptureTime"],
        content_hash=item.get("ContentHash", ""),
        content=item.get("Content"),
        context=item.get("Context", {}),
    )


def _asked(filters: Iterable[Mapping[str, Any]]) -> tuple[Asked, ...]:
    return tuple(
        Asked(one["Key"], tuple(one["Values"]), Operator(one.get("Type", Operator.EQUAL.value))) for one in filters
    )


def _aggregator(one: Mapping[str, Any]) -> AskedAggregator:
    return AskedAggregator(
        one.get("Expression", ""),
        tuple(_aggregator(below) for below in one.get("Aggregators", [])),
        tuple(AskedGroup(group["Name"], _asked(group["Filters"])) for group in one.get("Groups", [])),
    )


def _entity(one: Entity) -> dict[str, Any]:
    data = {
        reported.type_name: {
            "TypeName": reported.type_name,
            "SchemaVersion": reported.version,
            "CaptureTime": reported.capture_time or None,
            "ContentHash": reported.content_hash or None,
            "Content": rows,
        }
        for reported, rows in one.types
    }
    return {"Id": one.instance_id, "Data": data}


def _counts(one: Counted) -> dict[str, Any]:
    if one.type_name:
        return {"Data": {one.type_name: _result(one.type_name, one.rows)}}
    return {
        "Data": {
            group.name: _result(
                next(iter(sorted(group.condition.types))),
                [{"notMatchingCount": str(others)}, {"matchingCount": str(matching)}],
            )
            for group, matching, others in one.groups
        }
    }


def _result(type_name: str, rows: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    return {"TypeName": type_name, "SchemaVersion": inventory.version_of(type_name), "Content": list(rows)}


def _schema(one: Schema) -> dict[str, Any]:
    return {
        "TypeName": one.type_name,
        "Version": one.version,
        "Attributes": [
            {"Name": item.name, "DataType": "number" if item.number else "string"} for item in one.attributes
        ],
        "DisplayName": one.display_name,
    }


def _summary(one: Deletion, *, remaining: bool) -> dict[str, Any]:
    total = sum(one.counts.values())
    return {
        "TotalCount": total,
        "RemainingCount": total if remaining else 0,
        "SummaryItems": [
            {"Version": version, "Count": count, "RemainingCount": count if remaining else 0}
            for version, count in sorted(one.counts.items())
        ],
    }


def _deletion(one: Deletion) -> dict[str, Any]:
    return {
        "DeletionId": one.id,
        "TypeName": one.type_name,
        "DeletionStartTime": one.deleted_at,
        "LastStatus": "Complete",
        "LastStatusMessage": _COMPLETE,
        "DeletionSummary": _summary(one, remaining=False),
        "LastStatusUpdateTime": one.deleted_at,
    }
