# SPDX-License-Identifier: Apache-2.0
"""Restarting the node, and knowing that it happened: the boot id differs, nothing else counts (design D10)."""

from __future__ import annotations

import os
from pathlib import Path

from patchwright.agent.shell import Shell

BOOT_ID_FILE_VARIABLE = "PATCHWRIGHT_BOOT_ID_FILE"  # a container shares its host's boot id: one may be given in a file
BOOT_ID_FILE = Path("/proc/sys/kernel/random/boot_id")
SYSTEMD = Path("/run/systemd/system")
REQUEST_TIMEOUT_SECONDS = 60.0


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
