# SPDX-License-Identifier: Apache-2.0
"""Which service settings there are, and what they may be. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from patchwright.core.errors import PatchwrightError
from patchwright.server.accounts import Scope

DEFAULT_TIER = "/ssm/parameter-store/default-parameter-tier"
PUBLIC = "/ssm/documents/console/public-sharing-permission"
_ARN = re.compile(r"arn:aws[a-z-]*:ssm:([a-z0-9-]+):([0-9]{12}):servicesetting(/.+)\Z", re.DOTALL)


class SettingsError(PatchwrightError):
    """The root of this room's errors."""


class UnknownSetting(SettingsError):
    """No service setting has this id, in this account and region."""

    def __init__(self, setting_id: str) -> None:
        super().__init__(f"Setting {setting_id[:200]} not found: the settings are {', '.join(DEFINITIONS)}.")


class UnsuitableValue(SettingsError):
    """A value that the setting cannot have."""


@dataclass(frozen=True)
class Definition:
    """What a setting is unless it was changed, and what it may be: one of *values*, or a text that matches *form*."""

    default: str
    values: tuple[str, ...] = ()
    form: str = ""

    def check(self, setting_id: str, value: str) -> None:
        """Raise UnsuitableValue unless the setting can have *value*."""
        if self.values and value not in self.values:
            msg = f"{setting_id} takes {' or '.join(self.values)}, not {value[:100]!r}."
            raise UnsuitableValue(msg)
        if self.form and re.fullmatch(self.form, value) is None:
            msg = f"{setting_id} takes a name that matches {self.form}, not {value[:100]!r}."
            raise UnsuitableValue(msg)


# Ids and values: the model, at UpdateServiceSetting.
DEFINITIONS: Mapping[str, Definition] = {
    "/ssm/appmanager/appmanager-enabled": Definition("True", ("True", "False")),
    "/ssm/automation/customer-script-log-destination": Definition("None", ("CloudWatch", "None")),
    "/ssm/automation/customer-script-log-group-name": Definition(
        "/aws/ssm/automation/executeScript", form=r"[\w./#-]{1,512}"
    ),
    "/ssm/automation/enable-adaptive-concurrency": Definition("False", ("True", "False")),
    PUBLIC: Definition("Enable", ("Enable", "Disable")),
    "/ssm/managed-instance/activation-tier": Definition("standard", ("standard", "advanced")),
    "/ssm/managed-instance/default-ec2-instance-management-role": Definition(
        "$None", form=r"\$None|[\w+=,.@/-]{1,512}"
    ),
    "/ssm/opsinsights/opscenter": Definition("Disabled", ("Enabled", "Disabled")),
    DEFAULT_TIER: Definition("Standard", ("Standard", "Advanced", "Intelligent-Tiering")),
    "/ssm/parameter-store/high-throughput-enabled": Definition("false", ("true", "false")),
}


@dataclass(frozen=True)
class Setting:
    """A setting as it stands. *modified_at* (epoch seconds) and *modified_by* are 0 and empty while it has its default."""

    id: str
    value: str
    modified_at: float = 0.0
    modified_by: str = ""

    @property
    def customized(self) -> bool:
        """Whether somebody has set it, be it to the value it had."""
        return bool(self.modified_by)


def bare_id(scope: Scope, given: str) -> str:
    """The id of a setting that is named by its id or its ARN; raises UnknownSetting."""
    match = _ARN.match(given)
    found = given
    if match is not None and match.groups()[:2] == (scope.region, scope.account):
        found = match.group(3)
    if found not in DEFINITIONS:
        raise UnknownSetting(given)
    return found
