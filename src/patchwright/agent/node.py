# SPDX-License-Identifier: Apache-2.0
"""What the agent tells the server about the node it runs on: names and versions, no facts."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Dict

from patchwright import __version__

AGENT_NAME = "patchwright-agent"
TEXT_LIMIT = 512  # characters of one member
_ASSIGNMENT = re.compile(r"([A-Z_][A-Z0-9_]*)=(?:\"(.*)\"|'(.*)'|(\S*))\s*\Z")


def describe(address: str = "", root: Path = Path("/")) -> Dict[str, str]:
    """The members that Enroll and UpdateInstanceInformation share. *address* is this node's end of the connection."""
    system = os_release(root)
    members = {
        "AgentVersion": __version__,
        "ComputerName": os.uname().nodename,
        "IPAddress": address,
        "PlatformName": system.get("NAME", ""),
        "PlatformType": "Linux",
        "PlatformVersion": system.get("VERSION_ID", ""),
    }
    return {name: value[:TEXT_LIMIT] for name, value in members.items()}


def machine_id(root: Path = Path("/")) -> str:
    """/etc/machine-id, empty where there is none."""
    try:
        return (root / "etc/machine-id").read_text(encoding="ascii", errors="replace").strip()[:TEXT_LIMIT]
    except OSError:
        return ""


def os_release(root: Path = Path("/")) -> Dict[str, str]:
    """The assignments of os-release(5), unquoted; empty where there is no such file."""
    for name in ("etc/os-release", "usr/lib/os-release"):
        try:
            text = (root / name).read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        found = (_ASSIGNMENT.match(line.strip()) for line in text.splitlines())
        return {match.group(1): match.group(2) or match.group(3) or match.group(4) or "" for match in found if match}
    return {}
