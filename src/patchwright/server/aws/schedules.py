# SPDX-License-Identifier: Apache-2.0
"""Operations of our own on maintenance windows: opening one by hand, what a schedule means, and the calendar."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import islice
from typing import Any

from patchwright.server import windows
from patchwright.server.aws.services import Services
from patchwright.server.infra import Clock
from patchwright.server.windows import Window
from patchwright.server.wire import Caller, Handler

_DAY = 86_400.0
_DAYS = 30
_FIRINGS = 10
_ENTRIES = 2000  # of one calendar
_BATCH = 200  # windows read at once


def operations(services: Services) -> Mapping[str, Handler]:
    """The operations served here, by target."""
    own = ScheduleOperations(services.maintenance, services.executions, services.clock)
    return {
        "Patchwright.DescribeSchedule": own.describe_schedule,
        "Patchwright.GetCalendar": own.get_calendar,
        "Patchwright.RunMaintenanceWindow": own.run_maintenance_window,
    }


class ScheduleOperations:
    """One method per operation."""

    def __init__(self, service: windows.Service, executions: windows.Executions, clock: Clock) -> None:
        self._service = service
        self._executions = executions
        self._clock = clock

    async def describe_schedule(self, _caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """DescribeSchedule: what an expression means, and its next firings; there need be no window with it."""
        now = self._clock.now()
        schedule = windows.compile_schedule(
            request["Schedule"],
            zone=request.get("ScheduleTimezone", ""),
            offset_days=request.get("ScheduleOffset", 0),
            created=now,
        )
        found = islice(schedule.between(now, math.inf), request.get("MaxResults", _FIRINGS))
        return {"Description": windows.described(schedule), "Firings": list(found)}

    async def get_calendar(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """GetCalendar: when enabled windows open in the days to come, and the same as an iCalendar."""
        now = self._clock.now()
        until = now + request.get("Days", _DAYS) * _DAY
        found = windows.calendar_entries(await self._windows(caller), after=now, until=until, most=_ENTRIES)
        name = f"Maintenance windows of {caller.account} in {caller.region}"
        return {
            "Entries": [
                {
                    "WindowId": one.window.id,
                    "Name": one.window.name,
                    "Opens": one.opens_at,
                    "Cutoff": one.cutoff_at,
                    "Closes": one.closes_at,
                    "Description": one.description,
                }
                for one in found
            ],
            "Truncated": len(found) == _ENTRIES,
            "ICalendar": windows.icalendar(found, name=name),
        }

    async def run_maintenance_window(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """RunMaintenanceWindow: open a window now, out of its schedule."""
        execution = await self._executions.run(caller.scope, request["WindowId"])
        return {"WindowExecutionId": execution.id}

    async def _windows(self, caller: Caller) -> list[Window]:
        found: list[Window] = []
        after = ""
        while batch := await self._service.page(caller.scope, after=after, limit=_BATCH):
            found += batch
            after = batch[-1].id
        return found
