# SPDX-License-Identifier: Apache-2.0
"""
A wrong clock for single programs of a node, by libfaketime: nothing here can move a real one.

Files in the node: `clock` says by how much it is wrong now, `python3` runs the node's Python under it. The clock that
counts durations (CLOCK_MONOTONIC) stays right, as on a machine whose date is set.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from .roots import write_below

PLACE = "/opt/farm-clock"
PYTHON = f"{PLACE}/python3"
APT_GET = "/usr/local/bin/apt-get"  # found before the real one
VARIABLES = {
    "LD_PRELOAD": f"{PLACE}/libfaketime.so.1",
    "FAKETIME_TIMESTAMP_FILE": f"{PLACE}/clock",
    "FAKETIME_NO_CACHE": "1",
    "FAKETIME_DONT_FAKE_MONOTONIC": "1",
}
# libfaketime 0.9.10 fails clock_nanosleep, with which Python has slept since 3.11, where it leaves CLOCK_MONOTONIC alone.
SLEEP = "/usr/lib/python3/dist-packages/farm-clock.pth"
SLEEP_BY_SELECT = (
    "import os, select, time; os.environ.get('FAKETIME_TIMESTAMP_FILE') and "
    "setattr(time, 'sleep', lambda seconds, select=select.select: (select([], [], [], seconds), None)[1])\n"
)
_OFFSET = re.compile(r"[+-]\d+(\.\d+)?[smhdy]?\Z")


def set_clock(root: Path, library: Path, offset: str) -> None:
    """Make the clock below *root* wrong by *offset* (`+3d`, `-90s`), for what runs under it and for what will."""
    if not _OFFSET.match(offset):
        raise ValueError(f"{offset!r} is no offset; one is +3d, -90s or +0")
    if not (root / PYTHON.lstrip("/")).exists():
        write_below(root, VARIABLES["LD_PRELOAD"], library.read_bytes())
        write_below(root, SLEEP, SLEEP_BY_SELECT)
        _wrap(root, PYTHON, "/usr/bin/python3")
    clock = root / VARIABLES["FAKETIME_TIMESTAMP_FILE"].lstrip("/")
    beside = clock.with_suffix(".new")
    beside.write_text(f"{offset}\n")
    beside.replace(clock)


def wrap_apt(root: Path) -> None:
    """Let apt-get have the wrong clock too, whoever calls it by its name."""
    _wrap(root, APT_GET, "/usr/bin/apt-get")


def unwrap_apt(root: Path) -> None:
    """Give apt-get the right clock again."""
    (root / APT_GET.lstrip("/")).unlink(missing_ok=True)


def _wrap(root: Path, path: str, program: str) -> None:
    # The name it was called by goes on: Python starts its children with it, so they have the wrong clock as well.
    exports = "".join(f"export {name}={value}\n" for name, value in VARIABLES.items())
    write_below(root, path, f'#!/bin/bash\n{exports}exec -a "$0" {program} "$@"\n')
    (root / path.lstrip("/")).chmod(0o755)
    shutil.chown(root / path.lstrip("/"), 0, 0)
