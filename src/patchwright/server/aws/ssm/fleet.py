# SPDX-License-Identifier: Apache-2.0
"""Nodes as a fleet: listed and counted by what they are (spec §1.7, §1.19)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from patchwright.server import nodes
from patchwright.server.aws.services import Services
from patchwright.server.aws.ssm import node_filters
from patchwright.server.infra import Clock
from patchwright.server.nodes import Condition, Listing, Node, Relation
from patchwright.server.wire import ApiError, Caller, Handler, Pager

PAGE = 50
_ATTRIBUTES = {
    "AgentVersion": "agent_version",
    "AvailabilityZone": "availability_zone",
    "PlatformName": "platform_name",
    "PlatformType": "platform_type",
    "PlatformVersion": "platform_version",
    "Region": "region",
    "ResourceType": "resource_type",
    "SourceType": "source_type",
}
_DEEPEST = 2  # a row of a summary has three entries, and one is the count


def operations(services: Services) -> Mapping[str, Handler]:
    """The operations served here, by target."""
    fleet = FleetOperations(services.directory, services.clock, services.pager, online_seconds=services.online_seconds)
    return {
        "AmazonSSM.ListNodes": fleet.list_nodes,
        "AmazonSSM.ListNodesSummary": fleet.list_nodes_summary,
    }


class FleetOperations:
    """One method per operation. What is listed are the account's own nodes in the region."""

    def __init__(self, directory: nodes.Service, clock: Clock, pager: Pager, *, online_seconds: float) -> None:
        self._directory = directory
        self._clock = clock
        self._pager = pager
        self._online_seconds = online_seconds

    async def list_nodes(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """ListNodes, in order of id; filters are ANDed, their values ORed."""
        listing = self._listing(request)
        limit = request.get("MaxResults", PAGE)
        after = self._pager.cursor(caller, request) or ""
        found = await self._directory.listed(caller.scope, listing, after=after, limit=limit + 1)
        answer: dict[str, Any] = {"Nodes": [describe(node, listing.online_since) for node in found[:limit]]}
        if len(found) > limit:
            answer["NextToken"] = self._pager.token(caller, request, found[limit - 1].id)
        return answer

    async def list_nodes_summary(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """ListNodesSummary: a row for each value of an aggregator's attribute, or each pair where another is inside it."""
        listing = self._listing(request)
        groupings = list(_groupings(request["Aggregators"]))
        limit = request.get("MaxResults", PAGE)
        cursor = self._pager.cursor(caller, request)
        first, after = (cursor[0], tuple(cursor[1])) if cursor else (0, None)
        rows: list[tuple[int, tuple[str, ...], int]] = []
        for number in range(first, len(groupings)):
            if len(rows) > limit:
                break
            fields = [_ATTRIBUTES[name] for name in groupings[number]]
            counted = await self._directory.counted(caller.scope, listing, fields)
            rows += [
                (number, values, count)
                for values, count in counted
                if number > first or after is None or values > after
            ]
        answer: dict[str, Any] = {
            "Summary": [_row(groupings[number], values, count) for number, values, count in rows[:limit]]
        }
        if len(rows) > limit:
            number, values, _ = rows[limit - 1]
            answer["NextToken"] = self._pager.token(caller, request, [number, values])
        return answer

    def _listing(self, request: Mapping[str, Any]) -> Listing:
        if "SyncName" in request:
            members = {"SyncName": request["SyncName"]}
            message = f"There is no resource data sync {request['SyncName']} of an organization."
            raise ApiError("ResourceDataSyncNotFoundException", message, members=members)
        given = node_filters.read(request.get("Filters", []), relation="Type")
        wanted = node_filters.conditions(given, node_filters.FLEET, wrong="InvalidFilter", tagged=False)
        return Listing(tuple(map(_plain, wanted)), self._clock.now() - self._online_seconds)


def describe(node: Node, since: float) -> dict[str, Any]:
    """A node in the shape of Node; it is active if it was heard of at or after *since*."""
    machine = node.machine
    source_id, source_type = node.source
    instance = {
        "AgentType": machine.agent_name or None,
        "AgentVersion": machine.agent_version or None,
        "AvailabilityZone": machine.availability_zone or None,
        "AvailabilityZoneId": machine.availability_zone_id or None,
        "ComputerName": machine.computer_name or None,
        "InstanceStatus": "Active" if node.online(since) else "ConnectionLost",
        "IpAddress": machine.ip_address or None,
        "ManagedStatus": "Managed",
        "Name": node.name or None,
        "PlatformName": machine.platform_name,
        "PlatformType": machine.platform_type,
        "PlatformVersion": machine.platform_version,
        "ResourceType": nodes.MANAGED_INSTANCE,
        "SourceId": source_id,
        "SourceLocation": machine.source_location or None,
        "SourceType": source_type,
    }
    return {
        "CaptureTime": node.last_ping_at,
        "Id": node.id,
        "Owner": {"AccountId": node.scope.account},
        "Region": node.scope.region,
        "NodeType": {"Instance": instance},
    }


def _plain(one: Condition) -> Condition:
    """A condition on ManagedStatus without All, which every node meets."""
    if one.field == "managed" and "All" in one.values and one.relation is not Relation.BEGINS:
        return Condition("managed", (*one.values, "Managed", "Unmanaged"), one.relation)
    return one


def _groupings(aggregators: Iterable[Mapping[str, Any]], outer: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The attributes that are counted together, from the outside in. Raises ApiError."""
    for aggregator in aggregators:
        names = (*outer, aggregator["AttributeName"])
        if len(names) > _DEEPEST or len(set(names)) != len(names):
            message = f"Aggregators count by at most {_DEEPEST} attributes at once, each another one."
            raise ApiError("InvalidAggregatorException", message)
        inner = aggregator.get("Aggregators")
        if inner:
            yield from _groupings(inner, names)
        else:
            yield names


def _row(names: tuple[str, ...], values: tuple[str, ...], count: int) -> dict[str, str]:
    return {**dict(zip(names, values, strict=True)), "Count": str(count)}
