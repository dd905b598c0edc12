# SPDX-License-Identifier: Apache-2.0
"""Maintenance windows (spec §1.4, §4.1, §4.2)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from heapq import merge
from itertools import islice
from typing import Any

from patchwright.server import windows
from patchwright.server.aws.members import filters_of, first_tags_of, paged, token_of
from patchwright.server.aws.services import Services
from patchwright.server.windows import Target, Window
from patchwright.server.wire import Caller, Handler, Pager, validation

_PAGE = 100
_BATCH = 200  # windows read at once while filtering
_FARTHEST = 10_000  # firings that one listing shows
_INSTANT = 1e-3  # seconds; schedules know nothing shorter
_MEMBERS: Mapping[str, str] = {
    "Name": "name",
    "Description": "description",
    "StartDate": "start_date",
    "EndDate": "end_date",
    "Schedule": "schedule",
    "ScheduleTimezone": "zone",
    "ScheduleOffset": "schedule_offset",
    "Duration": "duration",
    "Cutoff": "cutoff",
    "AllowUnassociatedTargets": "allow_unassociated_targets",
    "Enabled": "enabled",
}
_NEEDED = ("Name", "Schedule", "Duration", "Cutoff", "AllowUnassociatedTargets")


def operations(services: Services) -> Mapping[str, Handler]:
    """The operations served here, by target."""
    own = WindowOperations(services.maintenance, services.pager)
    return {
        "AmazonSSM.CreateMaintenanceWindow": own.create_maintenance_window,
        "AmazonSSM.DeleteMaintenanceWindow": own.delete_maintenance_window,
        "AmazonSSM.DescribeMaintenanceWindowSchedule": own.describe_maintenance_window_schedule,
        "AmazonSSM.DescribeMaintenanceWindows": own.describe_maintenance_windows,
        "AmazonSSM.DescribeMaintenanceWindowsForTarget": own.describe_maintenance_windows_for_target,
        "AmazonSSM.GetMaintenanceWindow": own.get_maintenance_window,
        "AmazonSSM.UpdateMaintenanceWindow": own.update_maintenance_window,
    }


class WindowOperations:
    """One method per operation."""

    def __init__(self, service: windows.Service, pager: Pager) -> None:
        self._service = service
        self._pager = pager

    async def create_maintenance_window(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """CreateMaintenanceWindow."""
        given = {name: request[member] for member, name in _MEMBERS.items() if member in request}
        window_id = await self._service.create(
            Window(scope=caller.scope, id="", **given), own_tags=first_tags_of(request), token=token_of(caller, request)
        )
        return {"WindowId": window_id}

    async def get_maintenance_window(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """GetMaintenanceWindow."""
        window = await self._service.get(caller.scope, request["WindowId"])
        return {
            **describe(window),
            "NextExecutionTime": shown(window, window.next_at) if window.enabled else None,
            "CreatedDate": window.created_at,
            "ModifiedDate": window.modified_at,
        }

    async def update_maintenance_window(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """UpdateMaintenanceWindow: what is given replaces what is stored; with Replace, what is absent is reset."""
        given = {name: request[member] for member, name in _MEMBERS.items() if member in request}
        if request.get("Replace"):
            missing = [member for member in _NEEDED if member not in request]
            if missing:
                raise validation(f"With Replace, {', '.join(missing)} must be given.")
            blank = Window(
                scope=caller.scope, id="", name="", schedule="", duration=0, cutoff=0, allow_unassociated_targets=False
            )
            given = {name: given.get(name, getattr(blank, name)) for name in _MEMBERS.values()}
        changed = await self._service.update(caller.scope, request["WindowId"], lambda window: replace(window, **given))
        return describe(changed)

    async def delete_maintenance_window(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """DeleteMaintenanceWindow: an unknown id is answered like a known one."""
        await self._service.delete(caller.scope, request["WindowId"])
        return {"WindowId": request["WindowId"]}

    async def describe_maintenance_windows(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """DescribeMaintenanceWindows, in order of id; filters are ANDed."""
        wanted = filters_of(request.get("Filters", []))
        for key, values in wanted:
            if key not in {"Name", "Enabled"}:
                raise validation(f"There is no filter {key}; use Name or Enabled.")
            if key == "Enabled" and not set(values) <= {"true", "false"}:
                raise validation("The filter Enabled takes true or false.")
        limit = request.get("MaxResults", _PAGE)
        after = self._pager.cursor(caller, request) or ""
        found: list[Window] = []
        while len(found) <= limit:
            batch = await self._service.page(caller.scope, after=after, limit=_BATCH)
            found += [window for window in batch if all(_matches(window, *one) for one in wanted)]
            if len(batch) < _BATCH:
                break
            after = batch[-1].id
        answer: dict[str, Any] = {
            "WindowIdentities": [
                {**_identity(window), "NextExecutionTime": shown(window, window.next_at) if window.enabled else None}
                for window in found[:limit]
            ]
        }
        if len(found) > limit:
            answer["NextToken"] = self._pager.token(caller, request, found[limit - 1].id)
        return answer

    async def describe_maintenance_window_schedule(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """DescribeMaintenanceWindowSchedule: what opens next, in order of time; of one window, of a target's, or of all."""
        after, until = _bounds(request)
        shown_before, *last = self._pager.cursor(caller, request) or [0]
        if last:  # from there on, whatever opened meanwhile
            after = max(after, last[0] - _INSTANT)
        limit = min(request.get("MaxResults", _PAGE), _PAGE)
        streams = [_firings(window, after, until) for window in await self._windows(caller, request) if window.enabled]
        found = list(islice((one for one in merge(*streams) if [*one[:2]] > last), limit + 1))
        answer: dict[str, Any] = {
            "ScheduledWindowExecutions": [
                {"WindowId": window_id, "Name": name, "ExecutionTime": text}
                for _, window_id, name, text in found[:limit]
            ]
        }
        if len(found) > limit and shown_before + limit < _FARTHEST:
            answer["NextToken"] = self._pager.token(caller, request, [shown_before + limit, *found[limit - 1][:2]])
        return answer

    async def describe_maintenance_windows_for_target(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """DescribeMaintenanceWindowsForTarget: windows with a registration that reaches one of the targets."""
        found = await self._service.for_targets(
            caller.scope, targets_of(request["Targets"]), resource_type=request["ResourceType"]
        )
        rows = [{"WindowId": window.id, "Name": window.name} for window in found]
        return paged(self._pager, caller, request, "WindowIdentities", rows)

    async def _windows(self, caller: Caller, request: Mapping[str, Any]) -> Sequence[Window]:
        if "WindowId" in request:
            return [await self._service.get(caller.scope, request["WindowId"])]
        if request.get("Targets"):
            kind = request.get("ResourceType", "INSTANCE")
            return await self._service.for_targets(caller.scope, targets_of(request["Targets"]), resource_type=kind)
        found: list[Window] = []
        while batch := await self._service.page(caller.scope, after=found[-1].id if found else "", limit=_BATCH):
            found += batch
        return found


def _bounds(request: Mapping[str, Any]) -> tuple[float, float | None]:
    """After when, and before when; what is to come, without end, unless filters say otherwise."""
    after, until = -math.inf, None
    for key, values in filters_of(request.get("Filters", [])):
        if key not in {"ScheduledBefore", "ScheduledAfter"} or len(values) != 1:
            raise validation("Filters are ScheduledBefore and ScheduledAfter, with one value each.")
        read = windows.moment(values[0])
        if key == "ScheduledBefore":
            until = read
        else:
            after = read if read is not None else after
    return after, until


def describe(window: Window) -> dict[str, Any]:
    """A window in AWS's shape, without its times."""
    return {**_identity(window), "AllowUnassociatedTargets": window.allow_unassociated_targets}


def shown(window: Window, moment: float | None) -> str | None:
    """A firing as AWS writes it: ISO 8601 without zero seconds, Z or the offset of the window's zone (spec §4.2)."""
    if moment is None:
        return None
    local = datetime.fromtimestamp(round(moment, 3), window.compiled().zone)
    form = "milliseconds" if local.microsecond else "seconds" if local.second else "minutes"
    text = local.isoformat(timespec=form)
    return text.removesuffix("+00:00") + "Z" if not window.zone or window.zone in {"UTC", "Etc/UTC"} else text


def targets_of(given: Sequence[Mapping[str, Any]]) -> tuple[Target, ...]:
    """Targets as the room knows them."""
    return tuple(Target(one.get("Key", ""), tuple(one.get("Values", []))) for one in given)


def describe_targets(targets: Sequence[Target]) -> list[dict[str, Any]]:
    """Targets in AWS's shape."""
    return [{"Key": target.key, "Values": list(target.values)} for target in targets]


def _identity(window: Window) -> dict[str, Any]:
    return {
        "WindowId": window.id,
        "Name": window.name,
        "Description": window.description or None,
        "Enabled": window.enabled,
        "Duration": window.duration,
        "Cutoff": window.cutoff,
        "Schedule": window.schedule,
        "ScheduleTimezone": window.zone or None,
        "ScheduleOffset": window.schedule_offset or None,
        "StartDate": window.start_date or None,
        "EndDate": window.end_date or None,
    }


def _matches(window: Window, key: str, values: Sequence[str]) -> bool:
    return window.name in values if key == "Name" else ("true" if window.enabled else "false") in values


def _firings(window: Window, after: float, until: float | None) -> Iterator[tuple[float, str, str, str]]:
    schedule = window.compiled()
    moment = window.next_at  # which may be due already
    if moment is not None and moment <= after:
        moment = schedule.next(after)
    while moment is not None and (until is None or moment < until):
        yield moment, window.id, window.name, shown(window, moment) or ""
        moment = schedule.next(moment)
