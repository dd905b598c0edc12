# SPDX-License-Identifier: Apache-2.0
"""Which patches there are, and what a baseline says of them (spec §1.1, §1.3, §1.19)."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from patchwright.core.baseline import Baseline, Because, Decision, Filter, Verdict
from patchwright.core.families import properties
from patchwright.core.system import OperatingSystem
from patchwright.server.aws.members import filters_of
from patchwright.server.aws.services import Services
from patchwright.server.aws.ssm.baselines import MOST_VALUES, PAGE
from patchwright.server.patching import Available, Catalogue
from patchwright.server.wire import Caller, Handler, Pager, validation

PROPERTIES_PAGE = 50
_WINDOWS = {"PATCH_SET", "PRODUCT_FAMILY", "MSRC_SEVERITY", "PATCH_ID"}
_LINUX = {
    *("NAME", "SEVERITY", "EPOCH", "VERSION", "RELEASE", "ARCH", "REPOSITORY", "ADVISORY_ID", "CVE_ID", "BUGZILLA_ID"),
    *("PRIORITY", "SECTION"),
}
_KEYS = {"PRODUCT", "CLASSIFICATION", *_WINDOWS, *_LINUX}


def operations(services: Services) -> Mapping[str, Handler]:
    """The operations served here, by target."""
    catalogue = CatalogueOperations(services.catalogue, services.pager)
    return {
        "AmazonSSM.DescribeAvailablePatches": catalogue.describe_available_patches,
        "AmazonSSM.DescribeEffectivePatchesForPatchBaseline": catalogue.describe_effective_patches,
        "AmazonSSM.DescribePatchProperties": catalogue.describe_patch_properties,
    }


class CatalogueOperations:
    """One method per operation."""

    def __init__(self, catalogue: Catalogue, pager: Pager) -> None:
        self._catalogue = catalogue
        self._pager = pager

    async def describe_available_patches(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """DescribeAvailablePatches: what the repositories of the account's nodes offer, of every operating system."""
        after = self._pager.cursor(caller, request)
        filters = _filters(request)
        if filters is None:
            return {"Patches": []}
        found, last = await self._catalogue.available(
            caller.scope, filters, after=tuple(after) if after else None, limit=request.get("MaxResults", PAGE)
        )
        answer: dict[str, Any] = {"Patches": [_patch(one) for one in found]}
        if last is not None:
            answer["NextToken"] = self._pager.token(caller, request, last)
        return answer

    async def describe_effective_patches(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """DescribeEffectivePatchesForPatchBaseline: patches that a baseline approves, will approve, or rejects."""
        after = self._pager.cursor(caller, request)
        baseline, found, last = await self._catalogue.effective(
            caller.scope,
            request["BaselineId"],
            after=tuple(after) if after else None,
            limit=request.get("MaxResults", PAGE),
        )
        rules = baseline.definition.baseline
        effective = [{"Patch": _patch(one.available), "PatchStatus": _status(one.decision, rules)} for one in found]
        answer: dict[str, Any] = {"EffectivePatches": effective}
        if last is not None:
            answer["NextToken"] = self._pager.token(caller, request, last)
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


def _filters(request: Mapping[str, Any]) -> list[Filter] | None:
    """
    The filters of a request; None where they ask for Windows, of which there is no catalogue.

    Raises ApiError where there is no such filter, or one on Linux patches without the PRODUCT that it needs (spec §1.19).
    """
    filters = [Filter(key, tuple(values)) for key, values in filters_of(request.get("Filters", []))]
    keys = {item.key for item in filters}
    for item in filters:
        if item.key not in _KEYS:
            raise validation(f"There is no filter {item.key}; use {', '.join(sorted(_KEYS))}.")
        if not 1 <= len(item.values) <= MOST_VALUES:
            raise validation(f"The filter {item.key} takes 1 to {MOST_VALUES} values.")
        if item.key == "PATCH_SET" and set(item.values) - {"OS", "APPLICATION"}:
            raise validation("The filter PATCH_SET takes OS or APPLICATION.")
    if keys & _WINDOWS and keys & _LINUX:
        raise validation("Filters on Windows patches and filters on Linux patches do not go together.")
    if keys & _LINUX and "PRODUCT" not in keys:
        raise validation("Filters on Linux patches need a filter PRODUCT beside them.")
    windows = keys & _WINDOWS or ("CLASSIFICATION" in keys and "PRODUCT" not in keys)
    return None if windows else filters


def _patch(one: Available) -> dict[str, Any]:
    patch = one.patch
    return {
        "ReleaseDate": _moment(patch.day),
        "Title": patch.title,
        "Description": next((notice.title for notice in patch.notices if notice.title), None),
        "Vendor": one.vendor or None,
        "Product": patch.product,
        "Classification": patch.classification,
        "Severity": patch.severity,
        "AdvisoryIds": [notice.id for notice in patch.notices],
        "BugzillaIds": sorted({number for notice in patch.notices for number in notice.bugzillas}),
        "CVEIds": list(patch.cves),
        "Name": patch.name,
        "Epoch": _number(patch.epoch) if patch.version else None,
        "Version": patch.upstream or None,
        "Release": patch.release or None,
        "Arch": patch.arch or None,
        "Repository": ", ".join(patch.repositories) or None,
    }


def _status(decision: Decision, rules: Baseline) -> dict[str, Any]:
    """PatchStatus; of what a rule will approve, that rule's level and the day on which it does."""
    if decision.verdict is Verdict.REJECTED:
        return {"DeploymentStatus": "EXPLICIT_REJECTED", "ComplianceLevel": decision.level.value}
    if decision.verdict is Verdict.PENDING:
        day = decision.changes_on
        levels = [
            rules.rules[reason.rule].level
            for reason in decision.reasons
            if reason.because is Because.TOO_NEW
            and reason.rule is not None
            and day
            and reason.detail == day.isoformat()
        ]
        level = min(levels, key=lambda level: level.rank, default=decision.level)
        return {"DeploymentStatus": "PENDING_APPROVAL", "ComplianceLevel": level.value, "ApprovalDate": _moment(day)}
    explicit = decision.reasons[0].because is Because.APPROVED_LIST
    return {
        "DeploymentStatus": "EXPLICIT_APPROVED" if explicit else "APPROVED",
        "ComplianceLevel": decision.level.value,
        "ApprovalDate": None if explicit else _moment(decision.since),
    }


def _moment(day: datetime.date | None) -> float | None:
    """The beginning of a UTC day, in epoch seconds."""
    if day is None:
        return None
    return datetime.datetime(day.year, day.month, day.day, tzinfo=datetime.UTC).timestamp()


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
