# SPDX-License-Identifier: Apache-2.0
"""
Service settings (spec §1.15, §1.19).

The door. `value` is a unit of work for whoever asks what an account has set.
"""

from __future__ import annotations

from patchwright.server.settings.model import (
    DEFAULT_TIER,
    PUBLIC,
    Setting,
    SettingsError,
    UnknownSetting,
    UnsuitableValue,
)
from patchwright.server.settings.service import Service, value

__all__ = [
    "DEFAULT_TIER",
    "PUBLIC",
    "Service",
    "Setting",
    "SettingsError",
    "UnknownSetting",
    "UnsuitableValue",
    "value",
]
