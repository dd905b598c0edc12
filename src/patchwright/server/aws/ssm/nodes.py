# SPDX-License-Identifier: Apache-2.0
"""Managed nodes (spec §1.7, §11.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from patchwright import __version__
from patchwright.server import commands, compliance, inventory, nodes, patching, tags
from patchwright.server.accounts import Scope
from patchwright.server.aws.services import Services
from patchwright.server.aws.ssm import node_filters
from patchwright.server.infra import UnitOfWork
from patchwright.server.nodes import Condition, Listing, Node
from patchwright.server.wire import Caller, Handler, validation

INFORMATION_PAGE = 10
PROPERTIES_PAGE = 1000


def operations(services: Services) -> Mapping[str, Handler]:
    """The operations served here, by target."""
    managed = NodeOperations(services)
    return {
        "AmazonSSM.DeregisterManagedInstance": managed.deregister_managed_instance,
        "AmazonSSM.DescribeInstanceInformation": managed.describe_instance_information,
        "AmazonSSM.DescribeInstanceProperties": managed.describe_instance_properties,
        "AmazonSSM.GetConnectionStatus": managed.get_connection_status,
        "AmazonSSM.UpdateManagedInstanceRole": managed.update_managed_instance_role,
    }


class NodeOperations:
    """One method per operation."""

    def __init__(self, services: Services) -> None:
        self._database = services.database
        self._directory = services.directory
        self._documents = services.documents
        self._clock = services.clock
        self._pager = services.pager
        self._waking = services.waking
        self._online_seconds = services.online_seconds

    async def describe_instance_information(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """DescribeInstanceInformation, in order of id; filters are ANDed, their values ORed."""
        if request.get("Filters") and request.get("InstanceInformationFilterList"):
            raise validation("Filters and InstanceInformationFilterList cannot be given together.")
        given = node_filters.read(request.get("Filters", []))
        given += node_filters.read(request.get("InstanceInformationFilterList", []), key="key", values="valueSet")
        wanted = node_filters.conditions(
            given, node_filters.INFORMATION, wrong="InvalidInstanceInformationFilterValue", tagged=True
        )
        return await self._page(caller, request, wanted, page=INFORMATION_PAGE, member="InstanceInformationList")

    async def describe_instance_properties(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """DescribeInstanceProperties, in order of id; filters are ANDed, their values ORed."""
        if request.get("FiltersWithOperator") and request.get("InstancePropertyFilterList"):
            raise validation("FiltersWithOperator and InstancePropertyFilterList cannot be given together.")
        given = node_filters.read(request.get("FiltersWithOperator", []), relation="Operator")
        given += node_filters.read(request.get("InstancePropertyFilterList", []), key="key", values="valueSet")
        wanted = node_filters.conditions(
            given, node_filters.PROPERTIES, wrong="InvalidInstancePropertyFilterValue", tagged=True
        )
        for name in {value for one in given if one.key == "DocumentName" for value in one.values}:
            await self._documents.get(caller.scope, name)  # unknown: InvalidDocument
        return await self._page(caller, request, wanted, page=PROPERTIES_PAGE, member="InstanceProperties")

    async def deregister_managed_instance(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """DeregisterManagedInstance: the node's key is worth nothing any more; what is open on it ends, history stays."""
        released = await self._database.write(
            _deregister,
            caller.scope,
            request["InstanceId"],
            now=self._clock.now(),
        )
        self._waking.wake(released)
        return {}

    async def update_managed_instance_role(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """UpdateManagedInstanceRole."""
        await self._directory.set_role(caller.scope, request["InstanceId"], request["IamRole"])
        return {}

    async def get_connection_status(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """GetConnectionStatus: connected is who was heard of lately; nobody else is, whether it exists or not."""
        target = request["Target"]
        listing = Listing((Condition("id", (target,)),))
        found = await self._directory.listed(caller.scope, listing, after="", limit=1)
        connected = any(node.online(self._online_since()) for node in found)
        return {"Target": target, "Status": "connected" if connected else "notconnected"}

    async def _page(
        self, caller: Caller, request: dict[str, Any], wanted: tuple[Condition, ...], *, page: int, member: str
    ) -> dict[str, Any]:
        limit = request.get("MaxResults", page)
        after = self._pager.cursor(caller, request) or ""
        since = self._online_since()
        found = await self._directory.listed(caller.scope, Listing(wanted, since), after=after, limit=limit + 1)
        describe = describe_information if member == "InstanceInformationList" else describe_property
        answer: dict[str, Any] = {member: [describe(node, since) for node in found[:limit]]}
        if len(found) > limit:
            answer["NextToken"] = self._pager.token(caller, request, found[limit - 1].id)
        return answer

    def _online_since(self) -> float:
        return self._clock.now() - self._online_seconds


def describe_information(node: Node, since: float) -> dict[str, Any]:
    """A node in the shape of InstanceInformation; it is online if it was heard of at or after *since*."""
    return {
        **_common(node, since),
        "IsLatestVersion": node.machine.agent_version == __version__,
    }


def describe_property(node: Node, since: float) -> dict[str, Any]:
    """A node in the shape of InstanceProperty. What only EC2 knows of a machine is not there."""
    return {**_common(node, since), "AvailabilityZone": node.machine.availability_zone or None}


def _common(node: Node, since: float) -> dict[str, Any]:
    machine = node.machine
    source_id, source_type = node.source
    return {
        "InstanceId": node.id,
        "PingStatus": "Online" if node.online(since) else "ConnectionLost",
        "LastPingDateTime": node.last_ping_at,
        "AgentVersion": machine.agent_version or None,
        "PlatformType": machine.platform_type,
        "PlatformName": machine.platform_name,
        "PlatformVersion": machine.platform_version,
        "ActivationId": node.activation_id,
        "IamRole": node.role,
        "RegistrationDate": node.registered_at,
        "ResourceType": nodes.MANAGED_INSTANCE,
        "Name": node.name or None,
        "IPAddress": machine.ip_address or None,
        "ComputerName": machine.computer_name or None,
        "SourceId": source_id,
        "SourceType": source_type,
        "SourceLocation": machine.source_location or None,
    }


def _deregister(scope: Scope, instance_id: str, *, now: float) -> UnitOfWork[list[str]]:
    """Each room forgets what it has of the node; returns the nodes whose turn comes by it."""
    yield from nodes.deregister(scope, instance_id)
    yield from tags.forget(scope, tags.MANAGED_INSTANCE, instance_id)
    ended, released = yield from commands.abandon(scope, instance_id, now=now)
    yield from commands.forget_channel(scope, instance_id)
    for command_id in ended:
        yield from patching.close(scope, instance_id, command_id, now=now, reason="The node was deregistered.")
    yield from patching.forget(scope, instance_id)
    yield from compliance.forget(scope, instance_id)
    yield from inventory.forget(scope, instance_id)
    return released
