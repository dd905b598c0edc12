# SPDX-License-Identifier: Apache-2.0
"""Patch groups: which baseline they get, and what their nodes reported last (spec §1.2, §1.3, §3.2, §3.4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from patchwright.core.compliance import PatchState
from patchwright.core.system import OperatingSystem
from patchwright.server import patching
from patchwright.server.aws.services import Services
from patchwright.server.aws.ssm.baselines import PAGE, identity, selection_of
from patchwright.server.aws.ssm.states import describe_state
from patchwright.server.patching import Baselines, Bound, Groups
from patchwright.server.wire import ApiError, Caller, Handler, Pager

_SIGNS = {"Equal": "=", "NotEqual": "<>", "LessThan": "<", "GreaterThan": ">"}
_COUNTS = {
    "InstalledCount": PatchState.INSTALLED,
    "InstalledOtherCount": PatchState.INSTALLED_OTHER,
    "InstalledPendingRebootCount": PatchState.INSTALLED_PENDING_REBOOT,
    "InstalledRejectedCount": PatchState.INSTALLED_REJECTED,
    "MissingCount": PatchState.MISSING,
    "FailedCount": PatchState.FAILED,
    "NotApplicableCount": PatchState.NOT_APPLICABLE,
}
_UNREPORTED = "UnreportedNotApplicableCount"  # always 0: what is not applicable is counted as such
_LARGEST = 2**63 - 1


def operations(services: Services) -> Mapping[str, Handler]:
    """The operations served here, by target."""
    groups = GroupOperations(services.baselines, services.groups, services.pager)
    return {
        "AmazonSSM.DeregisterPatchBaselineForPatchGroup": groups.deregister_patch_baseline_for_patch_group,
        "AmazonSSM.DescribeInstancePatchStatesForPatchGroup": groups.describe_instance_patch_states_for_patch_group,
        "AmazonSSM.DescribePatchGroupState": groups.describe_patch_group_state,
        "AmazonSSM.DescribePatchGroups": groups.describe_patch_groups,
        "AmazonSSM.GetPatchBaselineForPatchGroup": groups.get_patch_baseline_for_patch_group,
        "AmazonSSM.RegisterPatchBaselineForPatchGroup": groups.register_patch_baseline_for_patch_group,
    }


class GroupOperations:
    """One method per operation."""

    def __init__(self, baselines: Baselines, groups: Groups, pager: Pager) -> None:
        self._baselines = baselines
        self._groups = groups
        self._pager = pager

    async def register_patch_baseline_for_patch_group(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """RegisterPatchBaselineForPatchGroup."""
        group = request["PatchGroup"]
        baseline_id = await self._baselines.register_group(caller.scope, request["BaselineId"], group)
        return {"BaselineId": baseline_id, "PatchGroup": group}

    async def deregister_patch_baseline_for_patch_group(
        self, caller: Caller, request: dict[str, Any]
    ) -> dict[str, Any]:
        """DeregisterPatchBaselineForPatchGroup: what is not registered is none already."""
        group = request["PatchGroup"]
        baseline_id = await self._baselines.deregister_group(caller.scope, request["BaselineId"], group)
        return {"BaselineId": baseline_id, "PatchGroup": group}

    async def get_patch_baseline_for_patch_group(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """GetPatchBaselineForPatchGroup: the group's baseline, else the default of the operating system."""
        system = OperatingSystem(request.get("OperatingSystem", "WINDOWS"))
        found = await self._baselines.for_group(caller.scope, request["PatchGroup"], system)
        return {"BaselineId": found.id, "PatchGroup": request["PatchGroup"], "OperatingSystem": system.value}

    async def describe_patch_groups(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """DescribePatchGroups, in order of group and operating system; NAME_PREFIX is the group's."""
        selection, _ = selection_of(request, owner=False)
        after = self._pager.cursor(caller, request) or ("", "")
        limit = request.get("MaxResults", PAGE)
        found = await self._baselines.mappings(caller.scope, selection, after=tuple(after), limit=limit + 1)
        page = found[:limit]
        answer: dict[str, Any] = {
            "Mappings": [{"PatchGroup": one.group, "BaselineIdentity": identity(one.baseline)} for one in page]
        }
        if len(found) > limit:
            last = page[-1]
            answer["NextToken"] = self._pager.token(caller, request, (last.group, last.baseline.operating_system))
        return answer

    async def describe_patch_group_state(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """DescribePatchGroupState: how many nodes carry the group's tag, and how many of them reported what."""
        nodes, counts = await self._groups.state(caller.scope, request["PatchGroup"])
        states = {
            f"InstancesWith{state.value}Patches": patching.count(counts, state)
            for state in PatchState
            if state is not PatchState.AVAILABLE_SECURITY_UPDATE
        }
        return {
            "Instances": nodes,
            **states,
            "InstancesWithUnreportedNotApplicablePatches": 0,
            "InstancesWithCriticalNonCompliantPatches": counts.get(patching.CRITICAL, 0),
            "InstancesWithSecurityNonCompliantPatches": counts.get(patching.SECURITY, 0),
            "InstancesWithOtherNonCompliantPatches": counts.get(patching.OTHER, 0),
            "InstancesWithAvailableSecurityUpdates": patching.count(counts, PatchState.AVAILABLE_SECURITY_UPDATE),
        }

    async def describe_instance_patch_states_for_patch_group(
        self, caller: Caller, request: dict[str, Any]
    ) -> dict[str, Any]:
        """DescribeInstancePatchStatesForPatchGroup, in order of id; filters are ANDed."""
        after = self._pager.cursor(caller, request) or ""
        bounds = _bounds(request)
        if bounds is None:
            return {"InstancePatchStates": []}
        limit = request.get("MaxResults", PAGE)
        page, last = await self._groups.last(caller.scope, request["PatchGroup"], bounds, after=after, limit=limit)
        answer: dict[str, Any] = {"InstancePatchStates": [describe_state(one) for one in page]}
        if last is not None:
            answer["NextToken"] = self._pager.token(caller, request, last)
        return answer


def _bounds(request: Mapping[str, Any]) -> list[Bound] | None:
    """The filters of a request; None where nothing can match. Raises ApiError, InvalidFilter, where there is none of a key."""
    bounds, empty = [], False
    for item in request.get("Filters", []):
        key, (text,), sign = item["Key"], item["Values"], item["Type"]
        if key not in _COUNTS and key != _UNREPORTED:
            known = ", ".join([*_COUNTS, _UNREPORTED])
            raise ApiError("InvalidFilter", f"There is no filter {key}; use one of {known}.")
        number = _whole(text)
        if number is None:
            raise ApiError("InvalidFilter", f"The filter {key} takes a whole number, not {text[:64]!r}.")
        if key == _UNREPORTED:
            holds = {"Equal": number == 0, "NotEqual": number != 0, "LessThan": number > 0, "GreaterThan": number < 0}
            empty = empty or not holds[sign]
        else:
            bounds.append(Bound(_COUNTS[key].value, _SIGNS[sign], number))
    return None if empty else bounds


def _whole(text: str) -> int | None:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 100:
        return None
    return max(min(int(text), _LARGEST), -_LARGEST)
