# SPDX-License-Identifier: Apache-2.0
"""Parameter Store (spec §1.16, §1.19)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from patchwright.server import parameters, settings
from patchwright.server.accounts import Scope
from patchwright.server.aws.members import first_tags_of
from patchwright.server.aws.services import Services
from patchwright.server.parameters import Change, Filter, Found, Parameter
from patchwright.server.wire import ApiError, Caller, Handler, Pager, validation

PAGE = 50
PATH_PAGE = 10

_TIERS = (parameters.STANDARD, parameters.ADVANCED, parameters.INTELLIGENT)
_TYPES = ("String", "StringList", "SecureString")
_KEYS = ("Path", "Name", "Type", "KeyId", "Tier", "DataType")
_PATH_KEYS = ("Type", "KeyId", "Label")


def operations(services: Services) -> Mapping[str, Handler]:
    """The operations served here, by target."""
    store = ParameterOperations(services.parameters, services.settings, services.pager)
    return {
        "AmazonSSM.DeleteParameter": store.delete_parameter,
        "AmazonSSM.DeleteParameters": store.delete_parameters,
        "AmazonSSM.DescribeParameters": store.describe_parameters,
        "AmazonSSM.GetParameter": store.get_parameter,
        "AmazonSSM.GetParameterHistory": store.get_parameter_history,
        "AmazonSSM.GetParameters": store.get_parameters,
        "AmazonSSM.GetParametersByPath": store.get_parameters_by_path,
        "AmazonSSM.LabelParameterVersion": store.label_parameter_version,
        "AmazonSSM.PutParameter": store.put_parameter,
        "AmazonSSM.UnlabelParameterVersion": store.unlabel_parameter_version,
    }


class ParameterOperations:
    """One method per operation."""

    def __init__(self, service: parameters.Service, own: settings.Service, pager: Pager) -> None:
        self._parameters = service
        self._settings = own
        self._pager = pager

    async def put_parameter(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """PutParameter; without Tier it is that of the account's setting."""
        default = (await self._settings.get(caller.scope, settings.DEFAULT_TIER)).value
        change = Change(
            request["Name"],
            request["Value"],
            overwrite=bool(request.get("Overwrite")),
            type=request.get("Type"),
            description=request.get("Description"),
            key_id=request.get("KeyId"),
            allowed_pattern=request.get("AllowedPattern"),
            tier=request.get("Tier") or (None if default == parameters.STANDARD else default),
            policies=request.get("Policies"),
            data_type=request.get("DataType") or None,
            tags=first_tags_of(request),
        )
        made = await self._parameters.put(caller.scope, change, principal=caller.principal)
        return {"Version": made.version, "Tier": made.tier}

    async def get_parameter(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """GetParameter, by name or ARN, with `:version` or `:label`."""
        found = await self._parameters.get(caller.scope, request["Name"], decrypt=_decrypt(request))
        return {"Parameter": _value(caller.scope, found)}

    async def get_parameters(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """GetParameters, in order of name; what does not exist or is no name is invalid."""
        found, missing = await self._parameters.get_each(caller.scope, request["Names"], decrypt=_decrypt(request))
        return {"Parameters": [_value(caller.scope, one) for one in found], "InvalidParameters": missing}

    async def get_parameters_by_path(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """GetParametersByPath, in order of name."""
        level = parameters.hierarchy(request["Path"])
        filters = _string_filters(request.get("ParameterFilters", []), _PATH_KEYS, shown="[Type, KeyId]")
        found, rest = await self._parameters.listed(
            caller.scope,
            filters,
            span=parameters.within(level, recursive=bool(request.get("Recursive"))),
            after=self._pager.cursor(caller, request) or "",
            limit=request.get("MaxResults", PATH_PAGE),
            decrypt=_decrypt(request),
        )
        answer: dict[str, Any] = {"Parameters": [_value(caller.scope, Found(one, "")) for one in found]}
        if rest:
            answer["NextToken"] = self._pager.token(caller, request, rest)
        return answer

    async def get_parameter_history(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """GetParameterHistory, oldest version first."""
        found, more = await self._parameters.history(
            caller.scope,
            request["Name"],
            after=self._pager.cursor(caller, request) or 0,
            limit=request.get("MaxResults", PAGE),
            decrypt=_decrypt(request),
        )
        answer: dict[str, Any] = {
            "Parameters": [{**_metadata(one), "Value": one.value, "Labels": list(one.labels)} for one in found]
        }
        if more:
            answer["NextToken"] = self._pager.token(caller, request, found[-1].version)
        return answer

    async def describe_parameters(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """DescribeParameters, in order of name: everything but values. Nothing is shared with anyone."""
        if request.get("Filters") and request.get("ParameterFilters"):
            raise validation("You can use either Filters or ParameterFilters in a single request.")
        filters = _string_filters(request.get("ParameterFilters", []), _KEYS, shown="[Path, Name, Type, KeyId, Tier]")
        filters += _plain_filters(request.get("Filters", []))
        after = self._pager.cursor(caller, request) or ""
        if request.get("Shared"):
            return {"Parameters": []}
        found, rest = await self._parameters.listed(
            caller.scope, filters, after=after, limit=request.get("MaxResults", PAGE)
        )
        described = [{**_metadata(one), "ARN": parameters.arn(caller.scope, one.path)} for one in found]
        answer: dict[str, Any] = {"Parameters": described}
        if rest:
            answer["NextToken"] = self._pager.token(caller, request, rest)
        return answer

    async def delete_parameter(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """DeleteParameter."""
        await self._parameters.delete(caller.scope, request["Name"])
        return {}

    async def delete_parameters(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """DeleteParameters."""
        deleted, missing = await self._parameters.delete_each(caller.scope, request["Names"])
        return {"DeletedParameters": deleted, "InvalidParameters": missing}

    async def label_parameter_version(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """LabelParameterVersion: a label that is at another version moves."""
        version, invalid = await self._parameters.label(
            caller.scope, request["Name"], request.get("ParameterVersion"), request["Labels"]
        )
        return {"InvalidLabels": invalid, "ParameterVersion": version}

    async def unlabel_parameter_version(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """UnlabelParameterVersion."""
        removed, invalid = await self._parameters.unlabel(
            caller.scope, request["Name"], request["ParameterVersion"], request["Labels"]
        )
        return {"RemovedLabels": removed, "InvalidLabels": invalid}


def _decrypt(request: Mapping[str, Any]) -> bool:
    return bool(request.get("WithDecryption"))


def _value(scope: Scope, found: Found) -> dict[str, Any]:
    one = found.parameter
    return {
        "Name": one.name,
        "Type": one.type,
        "Value": one.value,
        "Version": one.version,
        "Selector": found.selector or None,
        "LastModifiedDate": one.modified_at,
        "ARN": parameters.arn(scope, one.path),
        "DataType": one.data_type,
    }


def _metadata(one: Parameter) -> dict[str, Any]:
    return {
        "Name": one.name,
        "Type": one.type,
        "KeyId": one.key_id or None,
        "LastModifiedDate": one.modified_at,
        "LastModifiedUser": one.modified_by,
        "Description": one.description or None,
        "AllowedPattern": one.allowed_pattern or None,
        "Version": one.version,
        "Tier": one.tier,
        "Policies": [
            {"PolicyText": text, "PolicyType": parameters.policy_kind(text), "PolicyStatus": "Pending"}
            for text in one.policies
        ],
        "DataType": one.data_type,
    }


def _plain_filters(given: Sequence[Mapping[str, Any]]) -> list[Filter]:
    """The older form: its keys are in the model, and a value is the whole value."""
    return [Filter(one["Key"], values=tuple(one["Values"])) for one in given]


def _string_filters(given: Sequence[Mapping[str, Any]], keys: Sequence[str], *, shown: str) -> list[Filter]:
    filters: dict[str, Filter] = {}
    for one in given:
        key = one["Key"]
        if key not in keys and not (key.startswith("tag:") and "Name" in keys):
            raise _invalid("Key", f"The following filter key is not valid: {key}. Valid filter keys include: {shown}.")
        if key in filters:
            text = f"The following filter is duplicated in the request: {key}."
            raise _invalid("Key", f"{text} A request can contain only one occurrence of a specific filter.")
        filters[key] = _string_filter(key, one.get("Option"), tuple(one.get("Values", ())))
    return list(filters.values())


def _string_filter(key: str, option: str | None, values: tuple[str, ...]) -> Filter:
    if not values and not key.startswith("tag:"):
        raise _invalid("Value", f"The following filter values are missing : null for filter key {key}.")
    if key == "Path":
        return _path_filter(option or "OneLevel", values)
    allowed = {"Name": ("BeginsWith", "Equals", "Contains"), "Label": ("Equals",)}.get(key, ("BeginsWith", "Equals"))
    option = option or "Equals"
    if option not in allowed:
        listed = ", ".join(one for one in allowed if one != "Contains")
        raise _invalid(
            "Option", f"The following filter option is not valid: {option}. Valid options include: [{listed}]."
        )
    known = {"Type": _TYPES, "Tier": _TIERS}.get(key)
    for value in values if known and option == "Equals" else ():
        if value not in (known or ()):
            listed = ", ".join(known or ())
            raise _invalid(
                "Value", f"The following filter value is not valid: {value}. Valid values include: [{listed}]."
            )
    return Filter(key, option, values)


def _path_filter(option: str, values: tuple[str, ...]) -> Filter:
    if option not in {"Recursive", "OneLevel"}:
        text = f"The following filter option is not valid: {option}. Valid options include: [Recursive, OneLevel]."
        raise _invalid("Option", text)
    if any(value.strip(" ").lower().startswith(("/aws", "/ssm")) for value in values):
        raise validation(
            'Filters for common parameters can\'t be prefixed with "aws" or "ssm" (case-insensitive). When using global'
            " parameters, please specify within a global namespace."
        )
    return Filter("Path", option, tuple(parameters.hierarchy(value) for value in values))


def _invalid(part: str, text: str) -> ApiError:
    return ApiError(f"InvalidFilter{part}", text)
