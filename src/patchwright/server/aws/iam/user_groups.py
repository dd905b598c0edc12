# SPDX-License-Identifier: Apache-2.0
"""IAM: who is in which group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from patchwright.server.accounts import Identities
from patchwright.server.aws.iam.answers import Marks, describe
from patchwright.server.aws.services import Services
from patchwright.server.wire import Caller, Handler


def operations(services: Services) -> Mapping[str, Handler]:
    """The operations served here, by target."""
    own = GroupOperations(services.access.identities, Marks(services.pager))
    return {
        "iam.AddUserToGroup": own.add_user_to_group,
        "iam.RemoveUserFromGroup": own.remove_user_from_group,
        "iam.GetGroup": own.get_group,
        "iam.ListGroupsForUser": own.list_groups_for_user,
    }


class GroupOperations:
    """One method per operation."""

    def __init__(self, identities: Identities, marks: Marks) -> None:
        self._identities = identities
        self._marks = marks

    async def add_user_to_group(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """AddUserToGroup."""
        await self._identities.join(caller.account, request["GroupName"], request["UserName"])
        return {}

    async def remove_user_from_group(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """RemoveUserFromGroup."""
        await self._identities.leave(caller.account, request["GroupName"], request["UserName"])
        return {}

    async def get_group(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """GetGroup: the group, and its users page by page."""
        group, rows = await self._identities.members(
            caller.account,
            request["GroupName"],
            after=self._marks.after(caller, request),
            limit=self._marks.limit(request) + 1,
        )
        shown, more = self._marks.cut(caller, request, rows, lambda row: row.name.lower())
        return {"Group": describe(group), "Users": [describe(row) for row in shown], **more}

    async def list_groups_for_user(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """ListGroupsForUser."""
        rows = await self._identities.groups_of(
            caller.account,
            request["UserName"],
            after=self._marks.after(caller, request),
            limit=self._marks.limit(request) + 1,
        )
        shown, more = self._marks.cut(caller, request, rows, lambda row: row.name.lower())
        return {"Groups": [describe(row) for row in shown], **more}
