# SPDX-License-Identifier: Apache-2.0
"""Patch baselines and defaults (spec §1.1, §1.2, §1.19)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from patchwright.core.baseline import (
    ApprovalRule,
    Baseline,
    ComplianceLevel,
    Filter,
    RejectedAction,
    read_day,
)
from patchwright.core.system import OperatingSystem
from patchwright.server.aws.members import filters_of, first_tags_of, token_of
from patchwright.server.aws.services import Services
from patchwright.server.patching import (
    Baselines,
    Definition,
    Listed,
    MalformedBaselineId,
    PatchBaseline,
    Selection,
    Source,
)
from patchwright.server.wire import ApiError, Caller, Handler, Pager, validation

PAGE = 100
_LAST = ("Description", "Sources", "AvailableSecurityUpdatesComplianceStatus")
MOST_VALUES = 100  # of one filter; the model names no limit


def operations(services: Services) -> Mapping[str, Handler]:
    """The operations served here, by target."""
    baselines = BaselineOperations(services.baselines, services.pager)
    return {
        "AmazonSSM.CreatePatchBaseline": baselines.create_patch_baseline,
        "AmazonSSM.DeletePatchBaseline": baselines.delete_patch_baseline,
        "AmazonSSM.DescribePatchBaselines": baselines.describe_patch_baselines,
        "AmazonSSM.GetDefaultPatchBaseline": baselines.get_default_patch_baseline,
        "AmazonSSM.GetPatchBaseline": baselines.get_patch_baseline,
        "AmazonSSM.RegisterDefaultPatchBaseline": baselines.register_default_patch_baseline,
        "AmazonSSM.UpdatePatchBaseline": baselines.update_patch_baseline,
    }


class BaselineOperations:
    """One method per operation."""

    def __init__(self, baselines: Baselines, pager: Pager) -> None:
        self._baselines = baselines
        self._pager = pager

    async def create_patch_baseline(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """CreatePatchBaseline."""
        definition = apply(blank(request["Name"], request.get("OperatingSystem", "WINDOWS")), request)
        baseline_id = await self._baselines.create(
            caller.scope,
            definition,
            own_tags=first_tags_of(request),
            token=token_of(caller, request),
        )
        return {"BaselineId": baseline_id}

    async def get_patch_baseline(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """GetPatchBaseline."""
        found = await self._baselines.get(caller.scope, request["BaselineId"])
        return describe(found, PatchGroups=list(found.groups))

    async def update_patch_baseline(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """UpdatePatchBaseline: members that are given replace the stored ones whole; with Replace, absent ones are reset."""
        if request.get("Replace") and "Name" not in request:
            raise validation("With Replace, Name is required.")

        def change(stored: Definition) -> Definition:
            if request.get("Replace"):
                stored = blank(request["Name"], stored.baseline.operating_system.value)
            return apply(stored, request)

        try:
            changed = await self._baselines.update(caller.scope, request["BaselineId"], change)
        except MalformedBaselineId as error:  # AWS has no other code for it here
            raise ApiError("DoesNotExistException", str(error)) from None
        return describe(changed)

    async def describe_patch_baselines(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """DescribePatchBaselines: own ones first, then the predefined; filters are ANDed."""
        after = self._pager.cursor(caller, request)
        selection, owner = selection_of(request)
        page, last = await self._baselines.listed(
            caller.scope,
            selection,
            owner=owner,
            after=tuple(after) if after else None,
            limit=request.get("MaxResults", PAGE),
        )
        answer: dict[str, Any] = {"BaselineIdentities": [identity(one) for one in page]}
        if last is not None:
            answer["NextToken"] = self._pager.token(caller, request, last)
        return answer

    async def delete_patch_baseline(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """DeletePatchBaseline: what does not exist is none already."""
        await self._baselines.delete(caller.scope, request["BaselineId"])
        return {"BaselineId": request["BaselineId"]}

    async def register_default_patch_baseline(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """RegisterDefaultPatchBaseline: for the operating system that the baseline is for."""
        await self._baselines.register_default(caller.scope, request["BaselineId"])
        return {"BaselineId": request["BaselineId"]}

    async def get_default_patch_baseline(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """GetDefaultPatchBaseline."""
        system = OperatingSystem(request.get("OperatingSystem", "WINDOWS"))
        found = await self._baselines.default(caller.scope, system)
        return {"BaselineId": found.id, "OperatingSystem": system.value}


def describe(baseline: PatchBaseline, **more: Any) -> dict[str, Any]:
    """A baseline in AWS's shape and order, which clients show as they are, defaults echoed (spec §1.19, §13)."""
    said = describe_definition(baseline.definition)
    last = {name: said.pop(name) for name in _LAST}
    return {
        "BaselineId": baseline.id,
        **said,
        **more,
        "CreatedDate": baseline.created_at,
        "ModifiedDate": baseline.modified_at,
        **last,
    }


def describe_definition(definition: Definition) -> dict[str, Any]:
    """What a baseline says, in AWS's shape, defaults echoed."""
    rules = definition.baseline
    return {
        "Name": definition.name,
        "OperatingSystem": rules.operating_system.value,
        "GlobalFilters": {"PatchFilters": _filters(rules.global_filters)},
        "ApprovalRules": {"PatchRules": [_rule(rule) for rule in rules.rules]},
        "ApprovedPatches": list(rules.approved),
        "ApprovedPatchesComplianceLevel": rules.approved_level.value,
        "ApprovedPatchesEnableNonSecurity": rules.approved_non_security,
        "RejectedPatches": list(rules.rejected),
        "RejectedPatchesAction": rules.rejected_action.value,
        "Description": definition.description or None,
        "Sources": [
            {"Name": source.name, "Products": list(source.products), "Configuration": source.configuration}
            for source in definition.sources
        ],
        "AvailableSecurityUpdatesComplianceStatus": definition.available_security_updates or None,
    }


def apply(definition: Definition, request: Mapping[str, Any]) -> Definition:
    """*definition* with the members that *request* gives."""
    old = definition.baseline
    rules = replace(
        old,
        global_filters=_read_filters(request["GlobalFilters"]) if "GlobalFilters" in request else old.global_filters,
        rules=_read_rules(request["ApprovalRules"]) if "ApprovalRules" in request else old.rules,
        approved=tuple(request.get("ApprovedPatches", old.approved)),
        approved_level=ComplianceLevel(request.get("ApprovedPatchesComplianceLevel", old.approved_level)),
        approved_non_security=request.get("ApprovedPatchesEnableNonSecurity", old.approved_non_security),
        rejected=tuple(request.get("RejectedPatches", old.rejected)),
        rejected_action=RejectedAction(request.get("RejectedPatchesAction", old.rejected_action)),
    )
    available = request.get("AvailableSecurityUpdatesComplianceStatus", definition.available_security_updates)
    if available and old.operating_system is not OperatingSystem.WINDOWS:
        raise validation("AvailableSecurityUpdatesComplianceStatus is for baselines of Windows only.")
    return replace(
        definition,
        name=request.get("Name", definition.name),
        baseline=rules,
        description=request.get("Description", definition.description),
        sources=_read_sources(request["Sources"]) if "Sources" in request else definition.sources,
        available_security_updates=available,
    )


def blank(name: str, operating_system: str) -> Definition:
    """A baseline that says nothing yet."""
    return Definition(name, Baseline(OperatingSystem(operating_system)))


def identity(baseline: Listed) -> dict[str, Any]:
    """A baseline as listings show it."""
    return {
        "BaselineId": baseline.id,
        "BaselineName": baseline.name,
        "OperatingSystem": baseline.operating_system,
        "BaselineDescription": baseline.description,
        "DefaultBaseline": baseline.default,
    }


def selection_of(request: Mapping[str, Any], *, owner: bool = True) -> tuple[Selection, str]:
    """
    What the Filters of a request select, and the owner they name, empty for any; "Nobody" where they name both.

    Raises ApiError where there is no such filter, or it takes other values. Only with *owner* there is a filter OWNER.
    """
    prefixes, systems, owners = [], [], set[str]()
    for key, values in filters_of(request.get("Filters", [])):
        if len(values) > MOST_VALUES:
            raise validation(f"A filter takes at most {MOST_VALUES} values.")
        if key == "OWNER" and owner:
            if values not in (["AWS"], ["Self"]):
                raise validation("The filter OWNER takes exactly one value, AWS or Self.")
            owners.add(values[0])
        elif key == "NAME_PREFIX":
            prefixes.append(tuple(values))
        elif key == "OPERATING_SYSTEM":
            systems.append(tuple(values))
        else:
            known = "NAME_PREFIX, OWNER or OPERATING_SYSTEM" if owner else "NAME_PREFIX or OPERATING_SYSTEM"
            raise validation(f"There is no filter {key}; use {known}.")
    chosen = "Nobody" if len(owners) > 1 else next(iter(owners), "")
    return Selection(tuple(prefixes), tuple(systems)), chosen


def _filters(filters: tuple[Filter, ...]) -> list[dict[str, Any]]:
    return [{"Key": item.key, "Values": list(item.values)} for item in filters]


def _rule(rule: ApprovalRule) -> dict[str, Any]:
    return {
        "PatchFilterGroup": {"PatchFilters": _filters(rule.filters)},
        "ComplianceLevel": rule.level.value,
        "ApproveAfterDays": rule.approve_after_days,
        "ApproveUntilDate": rule.approve_until.isoformat() if rule.approve_until else None,
        "EnableNonSecurity": rule.enable_non_security,
    }


def _read_filters(group: Mapping[str, Any]) -> tuple[Filter, ...]:
    return tuple(Filter(item["Key"], tuple(item["Values"])) for item in group["PatchFilters"])


def _read_rules(group: Mapping[str, Any]) -> tuple[ApprovalRule, ...]:
    return tuple(
        ApprovalRule(
            filters=_read_filters(rule["PatchFilterGroup"]),
            level=ComplianceLevel(rule.get("ComplianceLevel", ComplianceLevel.UNSPECIFIED)),
            approve_after_days=rule.get("ApproveAfterDays"),
            approve_until=read_day(rule["ApproveUntilDate"]) if "ApproveUntilDate" in rule else None,
            enable_non_security=rule.get("EnableNonSecurity", False),
        )
        for rule in group["PatchRules"]
    )


def _read_sources(sources: list[dict[str, Any]]) -> tuple[Source, ...]:
    return tuple(Source(item["Name"], tuple(item["Products"]), item["Configuration"]) for item in sources)
