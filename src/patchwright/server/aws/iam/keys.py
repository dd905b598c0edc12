# SPDX-License-Identifier: Apache-2.0
"""IAM: access keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from patchwright.server.accounts import Keys
from patchwright.server.aws.iam.answers import Marks, own_name
from patchwright.server.aws.services import Services
from patchwright.server.wire import Caller, Handler

_ROOT = "root"  # what the key of an account's root says instead of a user's name


def operations(services: Services) -> Mapping[str, Handler]:
    """The operations served here, by target."""
    own = KeyOperations(services.access.keys, Marks(services.pager))
    return {
        "iam.CreateAccessKey": own.create_access_key,
        "iam.DeleteAccessKey": own.delete_access_key,
        "iam.GetAccessKeyLastUsed": own.get_access_key_last_used,
        "iam.ListAccessKeys": own.list_access_keys,
        "iam.UpdateAccessKey": own.update_access_key,
    }


class KeyOperations:
    """One method per operation. Without a user's name they are about who asks."""

    def __init__(self, keys: Keys, marks: Marks) -> None:
        self._keys = keys
        self._marks = marks

    async def create_access_key(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """CreateAccessKey: the secret is shown this once."""
        user = own_name(caller, request)
        made, at = await self._keys.create(caller.account, user)
        return {
            "AccessKey": {
                "UserName": user or _ROOT,
                "AccessKeyId": made.id,
                "Status": "Active",
                "SecretAccessKey": made.secret,
                "CreateDate": at,
            }
        }

    async def list_access_keys(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """ListAccessKeys."""
        user = own_name(caller, request)
        rows = await self._keys.list(caller.account, user)
        shown, more = self._marks.few(caller, request, rows, lambda row: row.id)
        keys = [
            {
                "UserName": user or _ROOT,
                "AccessKeyId": row.id,
                "Status": row.state,
                "CreateDate": row.created_at,
            }
            for row in shown
        ]
        return {"AccessKeyMetadata": keys, **more}

    async def update_access_key(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """UpdateAccessKey."""
        user = own_name(caller, request)
        state = "Active" if request["Status"] == "Active" else "Inactive"
        await self._keys.set_state(caller.account, user, request["AccessKeyId"], state)
        return {}

    async def delete_access_key(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """DeleteAccessKey."""
        await self._keys.delete(caller.account, own_name(caller, request), request["AccessKeyId"])
        return {}

    async def get_access_key_last_used(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """GetAccessKeyLastUsed: to half a minute, where several processes serve."""
        key, user = await self._keys.last_used(caller.account, request["AccessKeyId"])
        used = {"ServiceName": key.used_service or "N/A", "Region": key.used_region or "N/A"}
        if key.used_at is not None:
            return {"UserName": user or _ROOT, "AccessKeyLastUsed": {**used, "LastUsedDate": key.used_at}}
        return {"UserName": user or _ROOT, "AccessKeyLastUsed": used}
