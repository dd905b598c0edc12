# SPDX-License-Identifier: Apache-2.0
"""Restarting the node, and knowing that it happened: the boot id differs, nothing else counts (design D10)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Callable, Dict

from patchwright.agent import log
from patchwright.agent.clock import Clock
from patchwright.agent.errors import AgentError, CommandError
from patchwright.agent.shell import Shell

BOOT_ID_FILE_VARIABLE = "PATCHWRIGHT_BOOT_ID_FILE"  # a container shares its host's boot id: one may be given in a file
BOOT_ID_FILE = Path("/proc/sys/kernel/random/boot_id")
SYSTEMD = Path("/run/systemd/system")
REQUEST_TIMEOUT_SECONDS = 60.0
MAX_REQUESTS = 3
LOOK_SECONDS = 1.0
REFUSED_SECONDS = 10.0  # before it is asked again where the system said no

Asked = Dict[
    str, Any
]  # a restart in the journal: the boot that is to end, how often it was asked for, and what was said


class NotRestarted(AgentError):
    """The node runs the same boot still, though it was asked to restart."""


def boot_id() -> str:
    """The id of the running boot; another after every restart."""
    path = Path(os.environ.get(BOOT_ID_FILE_VARIABLE) or BOOT_ID_FILE)
    return path.read_text(encoding="ascii").strip()


def request(shell: Shell) -> None:
    """
    Ask the system to restart and return; the restart comes when it comes.

    Raises CommandError where the system refuses (a shutdown inhibitor) or has nobody to ask.
    """
    if SYSTEMD.is_dir():
        shell.run(["systemctl", "reboot"], timeout=REQUEST_TIMEOUT_SECONDS)
    else:
        shell.run(["shutdown", "-r", "now"], timeout=REQUEST_TIMEOUT_SECONDS)


def asked_for(boot: str) -> Asked:
    """A restart that is wanted, and not asked for yet: of the boot with that id."""
    return {"boot_id": boot, "asked": 0}


def carry_out(asked: Asked, shell: Shell, clock: Clock, *, save: Callable[[], None], wait_seconds: float) -> None:
    """
    See to it that the node restarts, and return in another boot: most often in another process, entered with the same *asked*.

    *save* journals *asked*, which is changed, before every request; the next one comes after *wait_seconds*.
    Raises NotRestarted after three of them.
    """
    while boot_id() == asked["boot_id"]:
        if asked["asked"] >= MAX_REQUESTS:
            said = ": " + asked["error"] if asked.get("error") else ""
            raise NotRestarted("the node did not restart, though it was asked {} times{}".format(asked["asked"], said))
        asked["asked"] += 1
        save()
        log.info("the node restarts now")
        seconds = wait_seconds
        try:
            request(shell)
        except CommandError as error:
            log.warning(f"the node does not restart: {error}")
            asked["error"] = str(error)[-1000:]
            seconds = min(seconds, REFUSED_SECONDS)
        deadline = clock.monotonic() + seconds
        while boot_id() == asked["boot_id"] and clock.monotonic() < deadline:
            clock.sleep(min(LOOK_SECONDS, seconds / 4))
