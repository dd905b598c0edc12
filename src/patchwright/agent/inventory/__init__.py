# SPDX-License-Identifier: Apache-2.0
"""
The node's inventory: when it is due, and the process that collects and sends it (spec §7.2).

    inventory/wanted       it is to be sent soon: something was installed
    inventory/sent.json    what the server has, by the hash of each type, and when all of it was sent
    inventory/lock         held by the process at work

Nothing here keeps a command from running or from being reported: what goes wrong is tried again later.
"""

from __future__ import annotations

import os
from typing import Any, Dict, Mapping, Optional, Tuple

from patchwright.agent import log
from patchwright.agent.disk import Damaged, Disk, DiskFull, Lock, read_json
from patchwright.agent.errors import AgentError
from patchwright.agent.shell import Detached, Shell

DIRECTORY, WANTED, SENT, LOCK = "inventory", "wanted", "sent.json", "lock"
LOG_NAME = "inventory.log"
LOG_LIMIT_BYTES = 1024 * 1024
HOUR_SECONDS = 3600.0


def want(disk: Disk) -> None:
    """Note that the inventory has changed. A full disk does not matter: it is sent every day anyway."""
    try:
        disk.write(disk.directory(DIRECTORY) / WANTED, os.urandom(8).hex().encode())
    except (DiskFull, OSError) as error:
        log.warning(f"that the inventory has changed could not be noted: {error}")


def is_due(disk: Disk, node: str, *, hours: float, now: float) -> bool:
    """Whether the inventory of *node* has to be sent; never where *hours*, between two, is 0. *now* are epoch seconds."""
    if not hours:
        return False
    if (disk.root / DIRECTORY / WANTED).exists():
        return True
    before = sent(disk)
    at = before["at"] if before["node"] == node else 0.0
    return not at <= now < at + hours * HOUR_SECONDS


def sent(disk: Disk) -> Dict[str, Any]:
    """What was sent last: *types*, hash by type; *at*, when all of it was; *node*, by whom. Nothing where nobody knows."""
    nothing: Dict[str, Any] = {"node": "", "at": 0.0, "types": {}}
    try:
        found = {**nothing, **read_json(disk.root / DIRECTORY / SENT)}
    except (FileNotFoundError, Damaged):
        return nothing
    good = isinstance(found["types"], dict) and isinstance(found["at"], (int, float))
    return found if good else nothing


def start(disk: Disk, shell: Shell, *, program: Tuple[str, ...], environment: Mapping[str, str]) -> Optional[Detached]:
    """Start the process that collects and sends; None where it is at work, or cannot be started now."""
    try:
        if Lock(disk.directory(DIRECTORY) / LOCK).held():
            return None
        path = disk.root / LOG_NAME
        if path.exists() and path.stat().st_size > LOG_LIMIT_BYTES:
            path.rename(path.with_suffix(".log.1"))
        words = [*program, "child", "inventory", "--state-dir", str(disk.root)]
        return shell.spawn_detached(words, log=path, env=environment)
    except (AgentError, OSError) as error:
        log.warning(f"the inventory waits: {error}")
        return None
