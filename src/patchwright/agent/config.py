# SPDX-License-Identifier: Apache-2.0
"""
What the agent can be told, and who it is.

Settings come from `agent.json` in the state directory; an environment variable `PATCHWRIGHT_AGENT_NAME` wins. The identity
is written by enrolment and never by hand.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Dict, Mapping, NamedTuple

from patchwright.agent.disk import Damaged, Disk, read_json
from patchwright.core.errors import PatchwrightError

DEFAULT_STATE_DIR = "/var/lib/patchwright-agent"
SETTINGS_NAME = "agent.json"
IDENTITY_NAME = "identity.json"
CODE_VARIABLE = "PATCHWRIGHT_ACTIVATION_CODE"
ENVIRONMENT_PREFIX = "PATCHWRIGHT_AGENT_"


class BadSetting(PatchwrightError):
    """A setting that does not exist, or has a value outside its bounds."""


class NotEnrolled(PatchwrightError):
    """The state directory holds no identity yet, or a damaged one."""


class Settings(NamedTuple):
    """
    The agent's settings, by name, with their defaults. Times are seconds. `TABLE` has bounds and meanings of numbers, `PATHS`
    the meanings of the rest.
    """

    health_seconds: float = 300
    poll_seconds: float = 25
    request_seconds: float = 60
    connect_seconds: float = 10
    backoff_cap_seconds: float = 60
    child_seconds: float = 3600
    lock_wait_seconds: float = 600
    reboot_wait_seconds: float = 600
    keep_days: int = 7
    reserve_kib: int = 1024
    commands_at_once: int = 5
    output_mib: int = 64
    inventory_hours: float = 24
    guest_patience_seconds: float = 900
    update_seconds: float = 120
    control_channel: int = 1
    custom_inventory_dir: str = "/etc/patchwright-agent/inventory"


class Row(NamedTuple):
    """One row of the settings table: bounds, both allowed, and what the setting means."""

    minimum: float
    maximum: float
    help: str


TABLE: Mapping[str, Row] = {
    "health_seconds": Row(1, 3600, "how often the node tells the server that it is there"),
    "poll_seconds": Row(1, 120, "how long an answer to a poll may take; the server holds a poll up to 15 s"),
    "request_seconds": Row(1, 600, "how long an answer to any other request may take"),
    "connect_seconds": Row(0.1, 120, "how long connecting may take"),
    "backoff_cap_seconds": Row(0.05, 3600, "the longest pause before the server is asked again after a failure"),
    "child_seconds": Row(1, 86_400, "how long taking facts or resolving may take before it is ended"),
    "lock_wait_seconds": Row(0, 86_400, "how long to wait for another package manager's lock"),
    "reboot_wait_seconds": Row(0.1, 86_400, "how long after asking for a reboot it is asked for again"),
    "keep_days": Row(7, 365, "how long finished commands are remembered, so that none runs twice"),
    "reserve_kib": Row(0, 1_048_576, "disk space kept back, so that a full disk can still be reported"),
    "commands_at_once": Row(1, 50, "how many commands run side by side; patch operations never do"),
    "output_mib": Row(1, 10_240, "how much of what a script prints is kept, of each of its two streams"),
    "guest_patience_seconds": Row(
        0.1, 86_400, "how long a patch step that amazon-ssm-agent runs waits for a server that does not answer"
    ),
    "control_channel": Row(0, 1, "1: hold a WebSocket open while waiting, so that commands come at once; 0: only poll"),
    "update_seconds": Row(
        1, 3600, "how long a new version of the agent may take to report before the one before comes back"
    ),
    "inventory_hours": Row(0, 720, "how often the inventory is sent, besides after every patch operation; 0 for never"),
}
PATHS: Mapping[str, str] = {
    "custom_inventory_dir": "where JSON files of custom inventory are looked for, before the place of AWS's agent",
}
_WHOLE = ("keep_days", "reserve_kib", "commands_at_once", "output_mib", "control_channel")


class Identity(NamedTuple):
    """Who this node is and which server it belongs to. *pin* is `sha256:HEX` of the server's certificate, *ca* a file."""

    instance_id: str
    secret: str
    region: str
    account: str
    server: str
    pin: str = ""
    ca: str = ""
    insecure_http: bool = False

    def __repr__(self) -> str:
        return f"Identity({self.instance_id} at {self.server})"


def load_settings(state_dir: Path, environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings in force. Raises BadSetting naming the setting, its value and what it may be."""
    try:
        values: Dict[str, Any] = read_json(state_dir / SETTINGS_NAME)
    except FileNotFoundError:
        values = {}
    except Damaged as error:
        raise BadSetting(str(error)) from None
    for name in (*TABLE, *PATHS):
        variable = ENVIRONMENT_PREFIX + name.upper()
        if variable in environment:
            values[name] = environment[variable]
    unknown = sorted(set(values) - set(Settings._fields))
    if unknown:
        known = ", ".join(sorted(Settings._fields))
        raise BadSetting("there is no setting {}; there are {}".format(", ".join(unknown), known))
    checked: Dict[str, Any] = {
        name: _path(name, value) if name in PATHS else _number(name, value) for name, value in values.items()
    }
    return Settings()._replace(**checked)


def load_identity(state_dir: Path) -> Identity:
    """The identity that enrolment left. Raises NotEnrolled with what to do."""
    path = state_dir / IDENTITY_NAME
    try:
        data = read_json(path)
        return Identity(**{name: _member(data, name) for name in Identity._fields})
    except FileNotFoundError:
        raise NotEnrolled(f"this node is not enrolled ({path} is missing): run `enroll` first") from None
    except (Damaged, KeyError, TypeError) as error:
        raise NotEnrolled(f"{path} is damaged ({error}): enrol again with --force") from None


def save_identity(disk: Disk, identity: Identity) -> None:
    """Write the identity, readable by its owner alone."""
    disk.write_json(disk.root / IDENTITY_NAME, identity._asdict())


def inherited_environment(environment: Mapping[str, str] = os.environ) -> Dict[str, str]:
    """What a process started for this agent has to be told: the agent's own variables, which the shell does not pass on."""
    return {
        name: value for name, value in environment.items() if name.startswith("PATCHWRIGHT_") and name != CODE_VARIABLE
    }


def _member(data: Mapping[str, Any], name: str) -> Any:
    optional = Identity._field_defaults
    value = data.get(name, optional[name]) if name in optional else data[name]
    if not isinstance(value, bool if name == "insecure_http" else str):
        raise TypeError(f"{name} has the wrong type")
    return value


def _path(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value.startswith("/") or "\0" in value:
        raise BadSetting(f"{name} is {value!r}; it takes an absolute path ({PATHS[name]})")
    return value


def _number(name: str, value: Any) -> float:
    row, whole = TABLE[name], name in _WHOLE
    try:
        if isinstance(value, bool):
            raise TypeError(value)
        number: float = int(value) if whole else float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not row.minimum <= number <= row.maximum:
        raise BadSetting(f"{name} is {value!r}; it takes a number from {row.minimum} to {row.maximum} ({row.help})")
    return number
