# SPDX-License-Identifier: Apache-2.0
"""Accounts of the installation: operations of our own, for the root of its first account."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from patchwright.server.accounts import Account, Tenants, root_arn
from patchwright.server.aws.services import Services
from patchwright.server.wire import Caller, Handler, Pager, access_denied

_PAGE = 100


def operations(services: Services) -> Mapping[str, Handler]:
    """The operations served here, by target."""
    own = AccountOperations(services.access.tenants, services.pager)
    return {
        "Patchwright.CreateAccount": own.create_account,
        "Patchwright.DisableAccount": own.disable_account,
        "Patchwright.EnableAccount": own.enable_account,
        "Patchwright.ListAccounts": own.list_accounts,
    }


class AccountOperations:
    """One method per operation. Policies cannot grant them: they reach beyond the account."""

    def __init__(self, tenants: Tenants, pager: Pager) -> None:
        self._tenants = tenants
        self._pager = pager

    async def create_account(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """CreateAccount: the account, and its root's key, whose secret is shown this once."""
        self._require_first(caller)
        account, key = await self._tenants.create(request["Name"])
        return {
            "Account": _describe(account),
            "AccessKey": {"AccessKeyId": key.id, "SecretAccessKey": key.secret},
        }

    async def list_accounts(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """ListAccounts: in order of id."""
        self._require_first(caller)
        after = self._pager.cursor(caller, request) or ""
        limit = request.get("MaxResults", _PAGE)
        rows = await self._tenants.page(after=after, limit=limit + 1)
        answer: dict[str, Any] = {"Accounts": [_describe(row) for row in rows[:limit]]}
        if len(rows) > limit:
            answer["NextToken"] = self._pager.token(caller, request, rows[limit - 1].id)
        return answer

    async def disable_account(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """DisableAccount: nothing of it is deleted, and nothing that it signs is answered."""
        self._require_first(caller)
        return {"Account": _describe(await self._tenants.disable(request["AccountId"]))}

    async def enable_account(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """EnableAccount: what a disabled account had goes on."""
        self._require_first(caller)
        return {"Account": _describe(await self._tenants.enable(request["AccountId"]))}

    def _require_first(self, caller: Caller) -> None:
        first = self._tenants.first
        session = caller.identity is not None and caller.identity.session is not None
        if caller.principal != root_arn(first) or session:
            raise access_denied(
                f"User: {caller.principal} is not authorized to perform: patchwright:{caller.target.partition('.')[2]};"
                f" it is for the root of the account {first}, with its access key."
            )


def _describe(account: Account) -> dict[str, Any]:
    return {
        "AccountId": account.id,
        "Name": account.name,
        "State": account.state,
        "CreatedAt": account.created_at,
    }
