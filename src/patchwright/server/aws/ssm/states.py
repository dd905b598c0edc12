# SPDX-License-Identifier: Apache-2.0
"""Patch states of nodes (spec §1.3, §3.1, §3.2): what the last operation reported, and nothing newer (design D5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from patchwright.core.compliance import PatchState
from patchwright.server import patching
from patchwright.server.aws.members import filters_of
from patchwright.server.aws.services import Services
from patchwright.server.patching import LastOperation, PatchRow, Verdicts
from patchwright.server.wire import ApiError, Caller, Handler, Pager

_PAGE = 100
_URL_LIMIT = 256  # characters that the API shows
_WITHOUT_CLASS = {PatchState.INSTALLED_OTHER, PatchState.NOT_APPLICABLE}


def operations(services: Services) -> Mapping[str, Handler]:
    """The operations served here, by target."""
    states = StateOperations(services.verdicts, services.pager)
    return {
        "AmazonSSM.DescribeInstancePatchStates": states.describe_instance_patch_states,
        "AmazonSSM.DescribeInstancePatches": states.describe_instance_patches,
    }


class StateOperations:
    """One method per operation."""

    def __init__(self, verdicts: Verdicts, pager: Pager) -> None:
        self._verdicts = verdicts
        self._pager = pager

    async def describe_instance_patch_states(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """DescribeInstancePatchStates, in order of id; nodes without an operation are passed over."""
        after = self._pager.cursor(caller, request) or ""
        ids = sorted(instance_id for instance_id in set(request["InstanceIds"]) if instance_id > after)
        limit = request.get("MaxResults", _PAGE)
        found = await self._verdicts.last(caller.scope, ids[:limit])
        answer: dict[str, Any] = {"InstancePatchStates": [describe_state(one) for one in found]}
        if len(ids) > limit:
            answer["NextToken"] = self._pager.token(caller, request, ids[limit - 1])
        return answer

    async def describe_instance_patches(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """DescribeInstancePatches, in order of KBId; filters are ANDed, their values ORed."""
        after = self._pager.cursor(caller, request) or ""
        filters = _filters(request)
        rows = await self._verdicts.rows(caller.scope, request["InstanceId"])
        chosen = [row for row in rows if row.item.key > after and all(_matches(row, *one) for one in filters)]
        limit = request.get("MaxResults", _PAGE)
        answer: dict[str, Any] = {"Patches": [_patch(row) for row in chosen[:limit]]}
        if len(chosen) > limit:
            answer["NextToken"] = self._pager.token(caller, request, chosen[limit - 1].item.key)
        return answer


def describe_state(last: LastOperation) -> dict[str, Any]:
    """InstancePatchState of a node's last operation (spec §3.2)."""
    operation, counts = last.operation, last.operation.counts
    return {
        "InstanceId": operation.instance_id,
        "PatchGroup": operation.patch_group,
        "BaselineId": operation.baseline_id,
        "SnapshotId": operation.snapshot_id,
        "InstallOverrideList": operation.install_override_list[:_URL_LIMIT] or None,
        "OwnerInformation": "",
        "InstalledCount": patching.count(counts, PatchState.INSTALLED),
        "InstalledOtherCount": patching.count(counts, PatchState.INSTALLED_OTHER),
        "InstalledPendingRebootCount": patching.count(counts, PatchState.INSTALLED_PENDING_REBOOT),
        "InstalledRejectedCount": patching.count(counts, PatchState.INSTALLED_REJECTED),
        "MissingCount": patching.count(counts, PatchState.MISSING),
        "FailedCount": patching.count(counts, PatchState.FAILED),
        "UnreportedNotApplicableCount": 0,
        "NotApplicableCount": patching.count(counts, PatchState.NOT_APPLICABLE),
        "OperationStartTime": operation.started_at,
        "OperationEndTime": operation.ended_at,
        "Operation": operation.kind.value,
        "LastNoRebootInstallOperationTime": last.no_reboot_install_at,
        "RebootOption": operation.reboot_option.value,
        "CriticalNonCompliantCount": counts.get(patching.CRITICAL, 0),
        "SecurityNonCompliantCount": counts.get(patching.SECURITY, 0),
        "OtherNonCompliantCount": counts.get(patching.OTHER, 0),
    }


def _patch(row: PatchRow) -> dict[str, Any]:
    item = row.item
    plain = item.state in _WITHOUT_CLASS
    return {
        "Title": item.title,
        "KBId": item.key,
        "Classification": "" if plain else item.classification,
        "Severity": "" if plain else item.severity,
        "State": item.state.value,
        "InstalledTime": row.installed_at,
        "CVEIds": ",".join(item.cves) or None,
    }


def _filters(request: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """The filters of a request. Raises ApiError where there is none of a key."""
    filters = filters_of(request.get("Filters", []))
    for key, _ in filters:
        if key not in {"Classification", "KBId", "Severity", "State"}:
            raise ApiError("InvalidFilter", f"There is no filter {key}; use Classification, KBId, Severity or State.")
    return filters


def _matches(row: PatchRow, key: str, values: list[str]) -> bool:
    shown = _patch(row)
    if key == "State":
        # The model's spelling (INSTALLED_OTHER) is taken as well as the wire's (spec §0.3, D8).
        return item_state(shown["State"]) in {item_state(value) for value in values}
    return shown[key] in values


def item_state(text: str) -> str:
    """A state without regard to its spelling."""
    return text.replace("_", "").lower()
