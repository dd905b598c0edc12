# SPDX-License-Identifier: Apache-2.0
"""What an agent says of the machine it runs on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_MEMBERS = {  # members of a Machine, and how many characters of them the API shows: what is longer is cut
    "MachineId": ("machine_id", 512),
    "ComputerName": ("computer_name", 255),
    "PlatformType": ("platform_type", 32),
    "PlatformName": ("platform_name", 120),
    "PlatformVersion": ("platform_version", 120),
    "AgentName": ("agent_name", 255),
    "AgentVersion": ("agent_version", 64),
    "IPAddress": ("ip_address", 46),
    "SourceId": ("source_id", 128),
    "SourceType": ("source_type", 64),
    "SourceLocation": ("source_location", 128),
    "AvailabilityZone": ("availability_zone", 120),
    "AvailabilityZoneId": ("availability_zone_id", 50),
}


def said(request: Mapping[str, Any]) -> dict[str, str]:
    """The members of a Machine that the request gives."""
    return {member: request[name][:most] for name, (member, most) in _MEMBERS.items() if name in request}
