# SPDX-License-Identifier: Apache-2.0
"""
Where package managers keep what belongs to a baseline's sources: beside the state directory, which only root may enter.

Programs that fetch packages give up being root, and must get there. What was fetched with the same sources is found again by
the next operation, so that it fetches only what is new.
"""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from patchwright.core.source import Sources, digest

SUFFIX = "-sources"
KEEP_SECONDS = 7 * 86_400.0  # after the last use
MODE = 0o711


def place(state_dir: Path, sources: Sources) -> Path:
    """The directory for *sources*, made where it is not there; without any there is none, and the path means nothing."""
    parent = _parent(state_dir)
    if not sources:
        return parent
    path = parent / digest(sources).rpartition(":")[2][:16]
    for one in (parent, path):
        one.mkdir(exist_ok=True)
        one.chmod(MODE)  # whatever the umask
    return path


def tidy(state_dir: Path, sources: Sources, *, now: float) -> None:
    """Note that *sources* are in use at *now* (epoch seconds), and remove what belongs to others and was not used for long."""
    parent = _parent(state_dir)
    if not parent.is_dir():
        return
    used = place(state_dir, sources)
    for path in parent.iterdir():
        mark = path / "used"
        if path == used:
            mark.write_text(str(int(now)), encoding="ascii")
        elif not now - _moment(mark) < KEEP_SECONDS:
            shutil.rmtree(str(path), ignore_errors=True)
    with contextlib.suppress(OSError):  # it is not empty
        parent.rmdir()


def _parent(state_dir: Path) -> Path:
    return state_dir.with_name(state_dir.name + SUFFIX)


def _moment(mark: Path) -> float:
    try:
        return float(mark.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0.0
