# SPDX-License-Identifier: Apache-2.0
"""Which service settings there are and what they may be, and what a resource policy is. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from patchwright.core.errors import PatchwrightError
from patchwright.server.accounts import Scope

POLICY_BYTES = 1024  # of one policy, UTF-8 (the model, at ResourcePolicyLimitExceededException)
_ARN = re.compile(r"arn:aws[a-z-]*:ssm:([a-z0-9-]+):([0-9]{12}):servicesetting(/.+)\Z", re.DOTALL)


class SettingsError(PatchwrightError):
    """The root of this room's errors."""


class UnknownSetting(SettingsError):
    """No service setting has this id, in this account and region."""

    def __init__(self, setting_id: str) -> None:
        super().__init__(f"Setting {setting_id[:200]} not found: the settings are {', '.join(DEFINITIONS)}.")


class UnsuitableValue(SettingsError):
    """A value that the setting cannot have."""


class MalformedPolicy(SettingsError):
    """A policy that is no policy document."""


class InvalidPolicyParameter(SettingsError):
    """Parameters that do not go together, or name what carries no policy. *names* are those of the request."""

    def __init__(self, message: str, *names: str) -> None:
        super().__init__(message)
        self.names = names


class PolicyLimit(SettingsError):
    """A policy that is too large, or one too many. *limit* is how much there may be of *what*."""

    def __init__(self, message: str, *, limit: int, what: str) -> None:
        super().__init__(message)
        self.limit = limit
        self.what = what


class UnknownPolicy(SettingsError):
    """The resource has no policy with this id."""

    def __init__(self, policy_id: str) -> None:
        super().__init__(f"The resource has no policy {policy_id[:100]!r}.")


class PolicyConflict(SettingsError):
    """The policy is another version than the one that was named: somebody else changed it."""


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
    "/ssm/documents/console/public-sharing-permission": Definition("Enable", ("Enable", "Disable")),
    "/ssm/managed-instance/activation-tier": Definition("standard", ("standard", "advanced")),
    "/ssm/managed-instance/default-ec2-instance-management-role": Definition(
        "$None", form=r"\$None|[\w+=,.@/-]{1,512}"
    ),
    "/ssm/opsinsights/opscenter": Definition("Disabled", ("Enabled", "Disabled")),
    "/ssm/parameter-store/default-parameter-tier": Definition(
        "Standard", ("Standard", "Advanced", "Intelligent-Tiering")
    ),
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


class Resource(str, Enum):
    """What can carry a policy, and as many of them as `limits` say."""

    OPS_ITEM_GROUP = "OpsItemGroup"
    PARAMETER = "Parameter"
    DOCUMENT = "Document"


@dataclass(frozen=True)
class ResourcePolicy:
    """One version of a policy of a resource. Times are epoch seconds."""

    resource_arn: str
    id: str
    hash: str
    policy: str
    created_at: float
    modified_at: float


def check_policy(text: str) -> None:
    """
    Raise unless *text* can be a resource's policy: MalformedPolicy, PolicyLimit.

    A policy document is a JSON object with statements, each with Effect, Principal and Action.
    """
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > POLICY_BYTES:
        msg = f"A resource policy has at most {POLICY_BYTES} bytes; this one has {size}."
        raise PolicyLimit(msg, limit=POLICY_BYTES, what="PolicySize")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        msg = "The policy is no JSON."
        raise MalformedPolicy(msg) from None
    statements = document.get("Statement") if isinstance(document, dict) else None
    if isinstance(statements, dict):
        statements = [statements]
    if not isinstance(statements, list) or not statements:
        msg = "A policy is a JSON object with at least one Statement."
        raise MalformedPolicy(msg)
    for statement in statements:
        _check_statement(statement)


def _check_statement(statement: Any) -> None:
    if not isinstance(statement, dict):
        msg = "A statement of a policy is a JSON object."
        raise MalformedPolicy(msg)
    if statement.get("Effect") not in ("Allow", "Deny"):
        msg = "A statement's Effect is Allow or Deny."
        raise MalformedPolicy(msg)
    choices: Sequence[tuple[str, str]] = (("Principal", "NotPrincipal"), ("Action", "NotAction"))
    for one, other in choices:
        if not statement.get(one) and not statement.get(other):
            msg = f"A statement has a {one}."
            raise MalformedPolicy(msg)
