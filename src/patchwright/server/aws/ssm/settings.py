# SPDX-License-Identifier: Apache-2.0
"""Service settings (spec §1.15, §1.19)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from patchwright.server import settings
from patchwright.server.accounts import Scope
from patchwright.server.aws.services import Services
from patchwright.server.settings import Setting
from patchwright.server.wire import Caller, Handler


def operations(services: Services) -> Mapping[str, Handler]:
    """The operations served here, by target."""
    own = SettingOperations(services.settings)
    return {
        "AmazonSSM.GetServiceSetting": own.get_service_setting,
        "AmazonSSM.ResetServiceSetting": own.reset_service_setting,
        "AmazonSSM.UpdateServiceSetting": own.update_service_setting,
    }


class SettingOperations:
    """One method per operation. A setting is named by its id or by its ARN."""

    def __init__(self, service: settings.Service) -> None:
        self._settings = service

    async def get_service_setting(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """GetServiceSetting."""
        found = await self._settings.get(caller.scope, request["SettingId"])
        return {"ServiceSetting": _describe(caller.scope, found)}

    async def update_service_setting(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """UpdateServiceSetting."""
        await self._settings.update(
            caller.scope, request["SettingId"], request["SettingValue"], principal=caller.principal
        )
        return {}

    async def reset_service_setting(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """ResetServiceSetting: the default again."""
        found = await self._settings.reset(caller.scope, request["SettingId"])
        return {"ServiceSetting": _describe(caller.scope, found)}


def _describe(scope: Scope, setting: Setting) -> dict[str, Any]:
    return {
        "SettingId": setting.id,
        "SettingValue": setting.value,
        "LastModifiedDate": setting.modified_at,
        "LastModifiedUser": setting.modified_by or "System",
        "ARN": f"arn:aws:ssm:{scope.region}:{scope.account}:servicesetting{setting.id}",
        "Status": "Customized" if setting.customized else "Default",
    }
