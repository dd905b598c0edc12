# SPDX-License-Identifier: Apache-2.0
"""Patch baselines and patch groups (spec §1.1, §1.2, §1.19)."""

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
from patchwright.core.families import properties
from patchwright.core.system import OperatingSystem
from patchwright.server.aws.members import filters_of, tags_of, token_of
from patchwright.server.aws.services import Services
from patchwright.server.patching import Baselines, Definition, Listed, PatchBaseline, Source
from patchwright.server.wire import Caller, Handler, Pager, validation

PAGE = 100
PROPERTIES_PAGE = 50


def operations(services: Services) -> Mapping[str, Handler]:
    """The operations served here, by target."""
    baselines = BaselineOperations(services.baselines, services.pager)
    return {
        "AmazonSSM.CreatePatchBaseline": baselines.create_patch_baseline,
        "AmazonSSM.DescribePatchBaselines": baselines.describe_patch_baselines,
        "AmazonSSM.DescribePatchProperties": baselines.describe_patch_properties,
        "AmazonSSM.GetPatchBaseline": baselines.get_patch_baseline,
        "AmazonSSM.GetPatchBaselineForPatchGroup": baselines.get_patch_baseline_for_patch_group,
        "AmazonSSM.RegisterPatchBaselineForPatchGroup": baselines.register_patch_baseline_for_patch_group,
        "AmazonSSM.UpdatePatchBaseline": baselines.update_patch_baseline,
    }


class BaselineOperations:
    """One method per operation."""

    def __init__(self, baselines: Baselines, pager: Pager) -> None:
        self._baselines = baselines
        self._pager = pager

    async def create_patch_baseline(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """CreatePatchBaseline."""
        definition = apply(_blank(request["Name"], request.get("OperatingSystem", "WINDOWS")), request)
        baseline_id = await self._baselines.create(
            caller.scope,
            definition,
            own_tags=tags_of(request),
            token=token_of(caller, request),
        )
        return {"BaselineId": baseline_id}

    async def get_patch_baseline(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """GetPatchBaseline."""
        found = await self._baselines.get(caller.scope, request["BaselineId"])
        return {**describe(found), "PatchGroups": list(found.groups)}

    async def update_patch_baseline(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """UpdatePatchBaseline: members that are given replace the stored ones whole; with Replace, absent ones are reset."""
        if request.get("Replace") and "Name" not in request:
            raise validation("With Replace, Name is required.")

        def change(stored: Definition) -> Definition:
            if request.get("Replace"):
                stored = _blank(request["Name"], stored.baseline.operating_system.value)
            return apply(stored, request)

        changed = await self._baselines.update(caller.scope, request["BaselineId"], change)
        return describe(changed)

    async def describe_patch_baselines(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """DescribePatchBaselines: own ones first, then the predefined; filters are ANDed."""
        after = self._pager.cursor(caller, request)
        wanted = _wanted(request)
        owners = [values[0] for key, values in wanted if key == "OWNER"]
        chosen = await self._baselines.listed(caller.scope, own="AWS" not in owners, standard="Self" not in owners)
        for key, values in wanted:
            if key != "OWNER":
                chosen = [one for one in chosen if _matches(one, key, values)]
        start = next((i + 1 for i, baseline in enumerate(chosen) if baseline.id == after), 0) if after else 0
        page = chosen[start : start + request.get("MaxResults", PAGE)]
        answer: dict[str, Any] = {"BaselineIdentities": [_identity(baseline) for baseline in page]}
        if start + len(page) < len(chosen):
            answer["NextToken"] = self._pager.token(caller, request, page[-1].id)
        return answer

    async def describe_patch_properties(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """DescribePatchProperties: the values that AWS lists; of Windows applications there are none."""
        system, wanted = OperatingSystem(request["OperatingSystem"]), request["Property"]
        patch_set = request.get("PatchSet")
        known = properties(system)
        if wanted not in known:
            raise validation(f"{system.value} has no property {wanted}; use {', '.join(known)}.")
        if patch_set is not None and system is not OperatingSystem.WINDOWS:
            raise validation("PatchSet is for Windows only.")
        values = () if patch_set == "APPLICATION" and wanted.startswith("PRODUCT") else known[wanted]
        start = self._pager.cursor(caller, request) or 0
        end = start + request.get("MaxResults", PROPERTIES_PAGE)
        answer: dict[str, Any] = {"Properties": [{"Name": value} for value in values[start:end]]}
        if end < len(values):
            answer["NextToken"] = self._pager.token(caller, request, end)
        return answer

    async def register_patch_baseline_for_patch_group(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """RegisterPatchBaselineForPatchGroup."""
        group = request["PatchGroup"]
        baseline_id = await self._baselines.register_group(caller.scope, request["BaselineId"], group)
        return {"BaselineId": baseline_id, "PatchGroup": group}

    async def get_patch_baseline_for_patch_group(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """GetPatchBaselineForPatchGroup: the group's baseline, else the default of the operating system."""
        system = OperatingSystem(request.get("OperatingSystem", "WINDOWS"))
        found = await self._baselines.for_group(caller.scope, request["PatchGroup"], system)
        return {"BaselineId": found.id, "PatchGroup": request["PatchGroup"], "OperatingSystem": system.value}


def describe(baseline: PatchBaseline) -> dict[str, Any]:
    """A baseline in AWS's shape, defaults echoed (spec §1.19)."""
    definition = baseline.definition
    rules = definition.baseline
    return {
        "BaselineId": baseline.id,
        "Name": definition.name,
        "OperatingSystem": rules.operating_system.value,
        "GlobalFilters": {"PatchFilters": _filters(rules.global_filters)},
        "ApprovalRules": {"PatchRules": [_rule(rule) for rule in rules.rules]},
        "ApprovedPatches": list(rules.approved),
        "ApprovedPatchesComplianceLevel": rules.approved_level.value,
        "ApprovedPatchesEnableNonSecurity": rules.approved_non_security,
        "RejectedPatches": list(rules.rejected),
        "RejectedPatchesAction": rules.rejected_action.value,
        "CreatedDate": baseline.created_at,
        "ModifiedDate": baseline.modified_at,
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


def _blank(name: str, operating_system: str) -> Definition:
    return Definition(name, Baseline(OperatingSystem(operating_system)))


def _identity(baseline: Listed) -> dict[str, Any]:
    return {
        "BaselineId": baseline.id,
        "BaselineName": baseline.name,
        "OperatingSystem": baseline.operating_system,
        "BaselineDescription": baseline.description,
        "DefaultBaseline": baseline.default,
    }


def _wanted(request: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """The filters of a request. Raises ApiError where there is none of a key, or it takes other values."""
    filters = filters_of(request.get("Filters", []))
    for key, values in filters:
        if key not in {"NAME_PREFIX", "OPERATING_SYSTEM", "OWNER"}:
            raise validation(f"There is no filter {key}; use NAME_PREFIX, OWNER or OPERATING_SYSTEM.")
        if key == "OWNER" and values not in (["AWS"], ["Self"]):
            raise validation("The filter OWNER takes exactly one value, AWS or Self.")
    return filters


def _matches(baseline: Listed, key: str, values: list[str]) -> bool:
    if key == "NAME_PREFIX":
        return baseline.name.startswith(tuple(values))
    return baseline.operating_system in values


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
