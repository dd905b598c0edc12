# SPDX-License-Identifier: Apache-2.0
"""
Service settings and resource policies (spec §1.15, §1.19).

The door. `value` is a unit of work for whoever asks what an account has set; `forget` for resources that go and take their
policies along.
"""

from __future__ import annotations

from patchwright.server.settings.model import (
    InvalidPolicyParameter,
    MalformedPolicy,
    PolicyConflict,
    PolicyLimit,
    Resource,
    ResourcePolicy,
    Setting,
    SettingsError,
    UnknownPolicy,
    UnknownSetting,
    UnsuitableValue,
)
from patchwright.server.settings.service import Service, forget, value

__all__ = [
    "InvalidPolicyParameter",
    "MalformedPolicy",
    "PolicyConflict",
    "PolicyLimit",
    "Resource",
    "ResourcePolicy",
    "Service",
    "Setting",
    "SettingsError",
    "UnknownPolicy",
    "UnknownSetting",
    "UnsuitableValue",
    "forget",
    "value",
]
