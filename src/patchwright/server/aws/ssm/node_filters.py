# SPDX-License-Identifier: Apache-2.0
"""Filters of the operations that list nodes: which keys each of them knows, and what a value may be (spec §1.19, §11.2)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from patchwright.server.nodes import TAG, TAG_KEY, Condition, Relation
from patchwright.server.wire import ApiError, validation

MOST_FILTERS = 50  # of a request
SOURCE_TYPES = (
    "AWS::EC2::Instance",
    "AWS::IoT::Thing",
    "AWS::SSM::ManagedInstance",
    "Microsoft.Compute/virtualMachines",
    "compute.googleapis.com/Instance",
)
_ID = re.compile(r"i-(\w{8}|\w{17})|mi-\w{17}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Key:
    """
    What a filter's key stands for: a *field* of nodes; *values* are all it can be, where they are known, or it has a *form*.

    *wrong* is the error code of a value that it cannot have, where that is not the operation's own.
    """

    field: str
    values: tuple[str, ...] = ()
    form: re.Pattern[str] | None = None
    wrong: str = ""


NOTHING = Key("nothing")  # what no node has
PLATFORM_TYPES = Key("platform_type", ("Windows", "Linux", "MacOS"))
RESOURCE_TYPES = Key("resource_type", ("ManagedInstance", "EC2Instance"))

INFORMATION: Mapping[str, Key] = {
    "InstanceIds": Key("id", form=_ID, wrong="InvalidInstanceId"),
    "AgentVersion": Key("agent_version"),
    "PingStatus": Key("ping_status", ("Online", "ConnectionLost", "Inactive")),
    "PlatformTypes": PLATFORM_TYPES,
    "ActivationIds": Key("activation_id", form=_UUID),
    "IamRole": Key("role"),
    "ResourceType": RESOURCE_TYPES,
    "AssociationStatus": Key("nothing", ("Success", "Pending", "Failed")),
    "SourceIds": Key("source_id"),
    "SourceTypes": Key("source_type", SOURCE_TYPES),
}
PROPERTIES: Mapping[str, Key] = {
    **INFORMATION,
    "ActivationIds": Key("activation_id", form=_UUID, wrong="InvalidActivationId"),
    "DocumentName": NOTHING,  # of associations
    "Name": Key("name"),
    "PlatformName": Key("platform_name"),
    "PlatformVersion": Key("platform_version"),
    "ComputerName": Key("computer_name"),
    "IPAddress": Key("ip_address"),
    "SourceLocation": Key("source_location"),
    "AvailabilityZone": Key("availability_zone"),
    # What EC2 knows of its instances, and nobody of others.
    "InstanceType": NOTHING,
    "InstanceRole": NOTHING,
    "InstanceState": NOTHING,
    "KeyName": NOTHING,
    "Architecture": NOTHING,
    "LaunchTime": NOTHING,
}
FLEET: Mapping[str, Key] = {
    "AccountId": Key("account"),
    "AgentType": Key("agent_name"),
    "AgentVersion": Key("agent_version"),
    "AvailabilityZone": Key("availability_zone"),
    "AvailabilityZoneId": Key("availability_zone_id"),
    "ComputerName": Key("computer_name"),
    "InstanceId": Key("id"),
    "InstanceStatus": Key("status"),
    "IpAddress": Key("ip_address"),
    "ManagedStatus": Key("managed", ("All", "Managed", "Unmanaged")),
    "OrganizationalUnitId": NOTHING,
    "OrganizationalUnitPath": NOTHING,
    "PlatformName": Key("platform_name"),
    "PlatformType": PLATFORM_TYPES,
    "PlatformVersion": Key("platform_version"),
    "Region": Key("region"),
    "ResourceType": RESOURCE_TYPES,
    "SourceId": Key("source_id"),
    "SourceLocation": Key("source_location"),
    "SourceType": Key("source_type", SOURCE_TYPES),
}
_RELATIONS = {
    "Equal": Relation.EQUAL,
    "NotEqual": Relation.NOT_EQUAL,
    "BeginWith": Relation.BEGINS,
    "LessThan": Relation.LESS,
    "GreaterThan": Relation.GREATER,
}


@dataclass(frozen=True)
class Filter:
    """One filter of a request, whatever its members are called."""

    key: str
    values: tuple[str, ...]
    relation: Relation = Relation.EQUAL


def read(
    filters: Iterable[Mapping[str, object]], *, key: str = "Key", values: str = "Values", relation: str = ""
) -> list[Filter]:
    """Filters as an operation spells them. *relation* is the member with the operator, which may be absent."""
    found = []
    for item in filters:
        given = item[values]
        assert isinstance(given, list)  # noqa: S101 - the model says so
        how = str(item.get(relation) or "Equal")
        found.append(Filter(str(item[key]), tuple(given), _RELATIONS[how]))
    return found


def conditions(filters: list[Filter], keys: Mapping[str, Key], *, wrong: str, tagged: bool) -> tuple[Condition, ...]:
    """
    What *filters* ask of nodes.

    Args:
        filters: Of one request; all of them have to be met.
        keys: Those the operation knows.
        wrong: The code of a value that a key cannot have.
        tagged: Whether the operation knows tags.

    Raises:
        ApiError: InvalidFilterKey, *wrong*, the key's own code, ValidationException for too many.
    """
    if len(filters) > MOST_FILTERS:
        raise validation(f"A request has at most {MOST_FILTERS} filters.")
    return tuple(_condition(one, keys, wrong, tagged) for one in filters)


def _condition(one: Filter, keys: Mapping[str, Key], wrong: str, tagged: bool) -> Condition:
    if tagged and (one.key == TAG_KEY or one.key.startswith(TAG)):
        known = {Relation.EQUAL, Relation.NOT_EQUAL} | ({Relation.BEGINS} if one.key != TAG_KEY else set())
        if one.relation not in known:
            raise ApiError(wrong, f"The filter {one.key} cannot be compared like that.")
        return Condition(one.key, one.values, one.relation)
    key = keys.get(one.key)
    if key is None:
        names = ", ".join([*keys, *(["tag:KEY", "tag-key"] if tagged else [])])
        raise ApiError("InvalidFilterKey", f"There is no filter {one.key[:100]}; use {names}.")
    if one.relation in {Relation.EQUAL, Relation.NOT_EQUAL}:
        for value in one.values:
            if (key.values and value not in key.values) or (key.form and not key.form.fullmatch(value)):
                raise ApiError(key.wrong or wrong, f"The filter {one.key} cannot be {value[:100]!r}.")
    return Condition(key.field, one.values, one.relation)
