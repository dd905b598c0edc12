# SPDX-License-Identifier: Apache-2.0
"""Whether what a maintenance window does fits into it: an operation of our own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from patchwright.server import windows
from patchwright.server.aws.services import Services
from patchwright.server.windows import Forecast, Foretold, Outlook, Verdict
from patchwright.server.wire import Caller, Handler, Pager, validation

_PAGE = 50
_LATEST = 250_000_000_000.0  # in the year 9892: whatever follows has a date that clients can write


def operations(services: Services) -> Mapping[str, Handler]:
    """The operations served here, by target."""
    own = ForecastOperations(services.forecasts, services.pager)
    return {"Patchwright.GetForecast": own.get_forecast}


class ForecastOperations:
    """One method per operation."""

    def __init__(self, forecasts: windows.Forecasts, pager: Pager) -> None:
        self._forecasts = forecasts
        self._pager = pager

    async def get_forecast(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """
        GetForecast: what the next opening comes to, or one at a moment; the summary with every page of nodes.

        A page that comes long after the one before may be of a forecast that was made anew.
        """
        cursor = self._pager.cursor(caller, request)
        if request.get("At", 0.0) > _LATEST:
            raise validation("At is further ahead than any clock.")
        if cursor is None:
            found = await self._forecasts.make(caller.scope, request["WindowId"], at=request.get("At"))
            first = 0
        else:
            at, first = cursor
            found = await self._forecasts.again(caller.scope, request["WindowId"], at=at)
        limit, wanted = request.get("MaxResults", _PAGE), request.get("Verdict", "")
        shown: list[dict[str, Any]] = []
        more: int | None = None
        for place, outlook, one in found.nodes(first):
            if wanted and one.verdict.value != wanted:
                continue
            if len(shown) == limit:
                more = place
                break
            shown.append(_node(found, outlook, one))
        answer = {**_summary(found), "Nodes": shown}
        if more is not None:
            answer["NextToken"] = self._pager.token(caller, request, [found.opens, more])
        return answer


def _summary(found: Forecast) -> dict[str, Any]:
    return {
        "WindowId": found.window.id,
        "Opens": found.opens,
        "Cutoff": found.opens + found.bounds.cutoff,
        "Closes": found.opens + found.bounds.closes,
        "MustFit": found.bounds.refuses,
        **_counted(found.outlooks),
        "Tasks": [_task(found, one) for one in found.outlooks],
    }


def _counted(outlooks: Sequence[Outlook]) -> dict[str, int]:
    counts = windows.forecast_counts(outlooks)
    return {
        "Fits": counts[Verdict.FITS],
        "DoesNotFit": counts[Verdict.DOES_NOT_FIT],
        "Unknown": counts[Verdict.UNKNOWN],
    }


def _task(found: Forecast, outlook: Outlook) -> dict[str, Any]:
    task = found.tasks[outlook.task.id]
    shown: dict[str, Any] = {
        "WindowTaskId": task.id,
        "TaskArn": task.arn,
        "Priority": task.priority,
        "Certain": outlook.certain,
        **_counted([outlook]),
    }
    if outlook.starts is not None:
        shown["StartsBy"] = found.opens + outlook.starts
    if outlook.ends is not None:
        shown["EndsP50"] = found.opens + outlook.ends.p50
        shown["EndsP95"] = found.opens + outlook.ends.p95
    return shown


def _node(found: Forecast, outlook: Outlook, one: Foretold) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "InstanceId": one.due.id,
        "WindowTaskId": outlook.task.id,
        "Verdict": one.verdict.value,
        "Basis": one.due.basis.value,
    }
    if one.due.length is not None:
        shown["SecondsP50"], shown["SecondsP95"] = (round(each, 1) for each in one.due.length)
    if one.starts is not None and one.ends is not None:
        shown["StartsBy"], shown["EndsBy"] = found.opens + one.starts, found.opens + one.ends
    return shown
