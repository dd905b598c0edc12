# SPDX-License-Identifier: Apache-2.0
"""Activations: who may become a node (spec §1.7, §1.19, §11.2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from patchwright.server import nodes, tags
from patchwright.server.aws.members import filters_of, first_tags_of
from patchwright.server.aws.services import Services
from patchwright.server.infra import Clock
from patchwright.server.nodes import Activation, ActivationRefused
from patchwright.server.wire import ApiError, Caller, Handler, Pager

PAGE = 50
_COLUMNS = {"ActivationIds": "id", "DefaultInstanceName": "default_name", "IamRole": "role"}
_MOST_VALUES = 1000  # of all filters of a request


def operations(services: Services) -> Mapping[str, Handler]:
    """The operations served here, by target."""
    activations = ActivationOperations(services.directory, services.clock, services.pager)
    return {
        "AmazonSSM.CreateActivation": activations.create_activation,
        "AmazonSSM.DeleteActivation": activations.delete_activation,
        "AmazonSSM.DescribeActivations": activations.describe_activations,
    }


class ActivationOperations:
    """One method per operation."""

    def __init__(self, directory: nodes.Service, clock: Clock, pager: Pager) -> None:
        self._directory = directory
        self._clock = clock
        self._pager = pager

    async def create_activation(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """CreateActivation: the code is in this answer and nowhere else. RegistrationMetadata is AWS's own; it is not kept."""
        own_tags = first_tags_of(request)
        tags.check(own_tags)  # now, or no node could ever enrol with it
        keys = [item["Key"] for item in request.get("RegistrationMetadata", [])]
        if len(set(keys)) != len(keys):
            raise ApiError("InvalidParameters", "A key of RegistrationMetadata is given twice.")
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

    async def describe_activations(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """DescribeActivations, in order of id; filters are ANDed, their values ORed."""
        narrowed = _narrowed(filters_of(request.get("Filters", []), key="FilterKey", values="FilterValues"))
        limit = request.get("MaxResults", PAGE)
        after = self._pager.cursor(caller, request) or ""
        found = await self._directory.activations(caller.scope, narrowed, after=after, limit=limit + 1)
        now = self._clock.now()
        answer: dict[str, Any] = {"ActivationList": [_describe(one, now) for one in found[:limit]]}
        if len(found) > limit:
            answer["NextToken"] = self._pager.token(caller, request, found[limit - 1].id)
        return answer

    async def delete_activation(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """DeleteActivation: nobody enrols with it any more; its nodes stay."""
        await self._directory.delete_activation(caller.scope, request["ActivationId"])
        return {}


def _narrowed(filters: Iterable[tuple[str, list[str]]]) -> dict[str, list[str]]:
    """The wanted values by column. Raises ApiError."""
    narrowed: dict[str, list[str]] = {}
    for key, values in filters:
        if key not in _COLUMNS:
            raise ApiError("InvalidFilter", f"There is no filter {key!r}; use {', '.join(_COLUMNS)}.")
        if not values:
            raise ApiError("InvalidFilter", f"The filter {key} has no value.")
        if _COLUMNS[key] in narrowed:
            raise ApiError("InvalidFilter", f"The filter {key} is given twice.")
        narrowed[_COLUMNS[key]] = list(dict.fromkeys(values))
    if sum(len(values) for values in narrowed.values()) > _MOST_VALUES:
        raise ApiError("InvalidFilter", f"Filters have at most {_MOST_VALUES} values.")
    return narrowed


def _describe(one: Activation, now: float) -> dict[str, Any]:
    return {
        "ActivationId": one.id,
        "Description": one.description or None,
        "DefaultInstanceName": one.default_name or None,
        "IamRole": one.role,
        "RegistrationLimit": one.registration_limit,
        "RegistrationsCount": one.registrations,
        "ExpirationDate": one.expires_at,
        "Expired": one.expired(now),
        "CreatedDate": one.created_at,
        "Tags": [{"Key": key, "Value": value} for key, value in sorted(one.tags.items())],
    }
