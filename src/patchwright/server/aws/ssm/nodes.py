# SPDX-License-Identifier: Apache-2.0
"""Activations and managed nodes (spec §1.7, §11.2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from patchwright import __version__
from patchwright.server import nodes, tags
from patchwright.server.accounts import Scope
from patchwright.server.aws.members import filters_of, tags_of
from patchwright.server.aws.services import Services
from patchwright.server.infra import Clock, Database, UnitOfWork
from patchwright.server.nodes import ActivationRefused, Node
from patchwright.server.wire import ApiError, Caller, Handler, Pager, validation

_DEFAULT_PAGE = 10
_BATCH = 200  # nodes looked at in one read while filtering
_ATTRIBUTES: Mapping[str, Callable[[Node], str]] = {
    "InstanceIds": lambda node: node.id,
    "AgentVersion": lambda node: node.machine.agent_version,
    "PingStatus": lambda node: "",  # a matter of time: see _matches
    "PlatformTypes": lambda node: node.machine.platform_type,
    "ActivationIds": lambda node: node.activation_id,
    "IamRole": lambda node: node.role,
    "ResourceType": lambda node: "ManagedInstance",
    "AssociationStatus": lambda node: "",
    "SourceIds": lambda node: "",
    "SourceTypes": lambda node: "",
}


def operations(services: Services) -> Mapping[str, Handler]:
    """The operations served here, by target."""
    managed = NodeOperations(
        services.database,
        services.directory,
        services.clock,
        pager=services.pager,
        online_seconds=services.online_seconds,
    )
    return {
        "AmazonSSM.CreateActivation": managed.create_activation,
        "AmazonSSM.DescribeInstanceInformation": managed.describe_instance_information,
    }


class NodeOperations:
    """One method per operation."""

    def __init__(
        self, database: Database, directory: nodes.Service, clock: Clock, *, pager: Pager, online_seconds: float
    ) -> None:
        self._database = database
        self._directory = directory
        self._clock = clock
        self._pager = pager
        self._online_seconds = online_seconds

    async def create_activation(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """CreateActivation: the code is in this answer and nowhere else."""
        own_tags = tags_of(request)
        tags.check(own_tags)  # now, or no node could ever enrol with it
        try:
            activation, code = await self._directory.create_activation(
                caller.scope,
                role=request["IamRole"],
                description=request.get("Description", ""),
                default_name=request.get("DefaultInstanceName", ""),
                tags=own_tags,
                registration_limit=request.get("RegistrationLimit", 1),
                expires_at=request.get("ExpirationDate"),
            )
        except ActivationRefused as error:
            raise ApiError("InvalidParameters", str(error)) from error
        return {"ActivationId": activation.id, "ActivationCode": code}

    async def describe_instance_information(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """DescribeInstanceInformation, in order of id; filters are ANDed, their values ORed."""
        if request.get("Filters") and request.get("InstanceInformationFilterList"):
            raise validation("Filters and InstanceInformationFilterList cannot be given together.")
        filters = filters_of(request.get("Filters", []))
        filters += filters_of(request.get("InstanceInformationFilterList", []), key="key", values="valueSet")
        for key, _ in filters:
            if key not in _ATTRIBUTES and key != "tag-key" and not key.startswith("tag:"):
                known = ", ".join([*_ATTRIBUTES, "tag:KEY"])
                raise ApiError("InvalidFilterKey", f"There is no filter {key}; use {known} or tag-key.")
        limit = request.get("MaxResults", _DEFAULT_PAGE)
        after = self._pager.cursor(caller, request) or ""
        found, more = await self._matching(caller.scope, filters, after=after, limit=limit)
        answer: dict[str, Any] = {"InstanceInformationList": [self._describe(node) for node in found]}
        if more:
            answer["NextToken"] = self._pager.token(caller, request, found[-1].id)
        return answer

    async def _matching(
        self, scope: Scope, filters: list[tuple[str, list[str]]], *, after: str, limit: int
    ) -> tuple[list[Node], bool]:
        """Up to *limit* nodes that match, and whether there are more."""
        found: list[Node] = []
        while True:
            batch = await self._database.read(_with_tags, scope, after=after)
            for node in batch:
                if all(self._matches(node, key, values) for key, values in filters):
                    if len(found) == limit:
                        return found, True
                    found.append(node)
            if len(batch) < _BATCH:
                return found, False
            after = batch[-1].id

    def _matches(self, node: Node, key: str, values: list[str]) -> bool:
        if key.startswith("tag:"):
            return node.tags.get(key.removeprefix("tag:")) in values
        if key == "tag-key":
            return any(value in node.tags for value in values)
        if key == "PingStatus":
            return self._ping_status(node) in values
        return _ATTRIBUTES[key](node) in values

    def _ping_status(self, node: Node) -> str:
        silent = self._clock.now() - node.last_ping_at
        return "Online" if silent <= self._online_seconds else "ConnectionLost"

    def _describe(self, node: Node) -> dict[str, Any]:
        machine = node.machine
        return {
            "InstanceId": node.id,
            "PingStatus": self._ping_status(node),
            "LastPingDateTime": node.last_ping_at,
            "AgentVersion": machine.agent_version or None,
            "IsLatestVersion": machine.agent_version == __version__,
            "PlatformType": machine.platform_type,
            "PlatformName": machine.platform_name,
            "PlatformVersion": machine.platform_version,
            "ActivationId": node.activation_id,
            "IamRole": node.role,
            "RegistrationDate": node.registered_at,
            "ResourceType": "ManagedInstance",
            "Name": node.name or None,
            "IPAddress": machine.ip_address or None,
            "ComputerName": machine.computer_name or None,
        }


def _with_tags(scope: Scope, *, after: str) -> UnitOfWork[list[Node]]:
    page = yield from nodes.page(scope, after=after, limit=_BATCH)
    carried = yield from tags.of_each(scope, tags.MANAGED_INSTANCE, [node.id for node in page])
    return [nodes.tagged(node, carried[node.id]) for node in page]
