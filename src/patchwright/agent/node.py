# SPDX-License-Identifier: Apache-2.0
"""What the agent tells the server about the node it runs on: names and versions, no facts."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Dict

from patchwright import __version__

AGENT_NAME = "patchwright-agent"  # as core.actions says it, which the waiting agent does not import
TEXT_LIMIT = 512  # characters of one member


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
        return assignments(text)
    return {}


def assignments(text: str) -> Dict[str, str]:
    """The assignments of an os-release file's *text*, unquoted; lines that are none are skipped."""
    values = {}
    for line in text.splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and not name.startswith("#"):
            values[name] = _unquoted(value.strip())
    return values


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] == '"':
        return re.sub(r"\\(.)", r"\1", value[1:-1])  # the shell's escapes inside double quotes
    if len(value) > 1 and value[0] == value[-1] == "'":
        return value[1:-1]
    return value.strip("\"'")
