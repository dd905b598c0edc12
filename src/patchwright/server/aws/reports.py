# SPDX-License-Identifier: Apache-2.0
"""Reports: operations of our own for what AWS has runbooks for (spec §7.5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from patchwright.server.aws.services import Services
from patchwright.server.infra import Bucket, BucketRefused
from patchwright.server.reports import Cursor, PatchReports
from patchwright.server.wire import ApiError, Caller, Handler, Pager

_ROWS = 500


def operations(services: Services) -> Mapping[str, Handler]:
    """The operations served here, by target."""
    reports = ReportOperations(services.patch_reports, services.pager)
    return {
        "Patchwright.ExportPatchReport": reports.export_patch_report,
        "Patchwright.GetPatchReport": reports.get_patch_report,
    }


class ReportOperations:
    """One method per operation."""

    def __init__(self, reports: PatchReports, pager: Pager) -> None:
        self._reports = reports
        self._pager = pager

    async def export_patch_report(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """ExportPatchReport: the same, whole, as an object in a bucket."""
        name = request["BucketName"]
        try:
            made = await self._reports.export(
                caller.scope,
                Bucket(name, request.get("Region", caller.region), account=caller.account),
                prefix=request.get("Prefix", ""),
                instance_id=request.get("InstanceId", ""),
            )
        except BucketRefused as error:
            raise ApiError("BucketRefusedException", f"Nothing can be written to bucket {name}: {error}.") from error
        return {"BucketName": name, "Key": made.key, "Bytes": made.size}

    async def get_patch_report(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """GetPatchReport: pages of CSV text that are put together as they come; every node, or one with its patches."""
        cursor = self._pager.cursor(caller, request)
        after = Cursor(cursor[0], tuple(cursor[1])) if cursor else None
        limit = request.get("MaxResults", _ROWS)
        if "InstanceId" in request:
            page = await self._reports.of_one(caller.scope, request["InstanceId"], after=after, limit=limit)
        else:
            page = await self._reports.of_all(caller.scope, after=after, limit=limit)
        answer: dict[str, Any] = {"Report": page.text}
        if page.more is not None:
            answer["NextToken"] = self._pager.token(caller, request, page.more)
        return answer
