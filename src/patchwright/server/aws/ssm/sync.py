# SPDX-License-Identifier: Apache-2.0
"""Resource data syncs (spec §1.14, §7.4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from patchwright.server import reports
from patchwright.server.aws.services import Services
from patchwright.server.reports import Sync, Syncs
from patchwright.server.wire import ApiError, Caller, Handler, Pager

PAGE = 50


def operations(services: Services) -> Mapping[str, Handler]:
    """The operations served here, by target."""
    syncs = SyncOperations(services.syncs, services.pager)
    return {
        "AmazonSSM.CreateResourceDataSync": syncs.create_resource_data_sync,
        "AmazonSSM.DeleteResourceDataSync": syncs.delete_resource_data_sync,
        "AmazonSSM.ListResourceDataSync": syncs.list_resource_data_sync,
        "AmazonSSM.UpdateResourceDataSync": syncs.update_resource_data_sync,
    }


class SyncOperations:
    """One method per operation."""

    def __init__(self, syncs: Syncs, pager: Pager) -> None:
        self._syncs = syncs
        self._pager = pager

    async def create_resource_data_sync(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """CreateResourceDataSync: the bucket is tried at once."""
        name = request["SyncName"]
        try:
            await self._syncs.create(
                caller.scope,
                name,
                kind=request.get("SyncType", reports.TO_DESTINATION),
                destination=request.get("S3Destination"),
                source=request.get("SyncSource"),
            )
        except reports.SyncTaken as error:
            code = "ResourceDataSyncAlreadyExistsException"
            raise ApiError(code, str(error), members={"SyncName": name}) from error
        return {}

    async def update_resource_data_sync(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """UpdateResourceDataSync, of a sync from sources."""
        name, kind = request["SyncName"], request["SyncType"]
        try:
            await self._syncs.update(caller.scope, name, kind=kind, source=request["SyncSource"])
        except reports.UnknownSync as error:
            raise _unknown(error) from error
        return {}

    async def delete_resource_data_sync(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """DeleteResourceDataSync: what was written stays."""
        try:
            await self._syncs.delete(caller.scope, request["SyncName"], kind=request.get("SyncType"))
        except reports.UnknownSync as error:
            raise _unknown(error) from error
        return {}

    async def list_resource_data_sync(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """ListResourceDataSync, in order of name."""
        found, more = await self._syncs.listed(
            caller.scope,
            kind=request.get("SyncType"),
            after=self._pager.cursor(caller, request) or "",
            limit=request.get("MaxResults", PAGE),
        )
        answer: dict[str, Any] = {"ResourceDataSyncItems": [_item(one) for one in found]}
        if more:
            answer["NextToken"] = self._pager.token(caller, request, found[-1].name)
        return answer


def _unknown(error: reports.UnknownSync) -> ApiError:
    members = {"SyncName": error.name, **({"SyncType": error.kind} if error.kind else {})}
    return ApiError("ResourceDataSyncNotFoundException", str(error), members=members)


def _item(sync: Sync) -> dict[str, Any]:
    described: dict[str, Any] = {
        "SyncName": sync.name,
        "SyncType": sync.type,
        "LastSyncTime": sync.synced_at,
        "LastSuccessfulSyncTime": sync.succeeded_at,
        "SyncLastModifiedTime": sync.modified_at,
        "LastStatus": sync.state or None,
        "SyncCreatedTime": sync.created_at,
        "LastSyncStatusMessage": sync.message or None,
    }
    if sync.type == reports.TO_DESTINATION:
        return {**described, "S3Destination": dict(sync.settings)}
    source = dict(sync.settings)
    if source["SourceType"] == reports.ORGANIZATIONS:
        source["State"] = reports.NO_ORGANIZATION
    return {**described, "SyncSource": source}
