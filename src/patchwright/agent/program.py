# SPDX-License-Identifier: Apache-2.0
"""
The words that start this program, and the program unpacked for this boot.

Out of an archive every process compiles its modules anew, which takes a task as long as its work does. Unpacked, Python
keeps what it compiled beside them. That is done in the directory that the service manager gives for one boot (systemd's
RuntimeDirectory): it is memory, so no power cut leaves half a file behind, and no boot trusts what another one left.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
from pathlib import Path
from typing import Mapping, Tuple

from patchwright.agent.reboot import boot_id

PLACE_VARIABLE = "RUNTIME_DIRECTORY"
KEPT = 3  # programs of this boot: one that is being replaced may still be starting tasks


def own_program() -> Tuple[str, ...]:
    """The words that start this program: the interpreter, isolated, and the zipapp, the unpacked program or this package."""
    import patchwright

    package = Path(patchwright.__path__[0])
    archive = getattr(patchwright.__spec__.loader, "archive", None)  # a zipimporter has one
    if archive:
        path = Path(archive)
    elif (package.parent / "__main__.py").exists():
        path = package.parent
    else:
        path = package / "agent" / "__main__.py"
    return (sys.executable, "-I", str(path.resolve()))


def unpacked(program: Tuple[str, ...], environment: Mapping[str, str]) -> Tuple[str, ...]:
    """
    The words that start *program* unpacked for this boot.

    *program* itself where it is no archive, where *environment* names no directory for the boot, or where that cannot be used.
    """
    archive, place = Path(program[-1]), environment.get(PLACE_VARIABLE, "").partition(":")[0]
    try:
        info = archive.stat()
        if not place or not stat.S_ISREG(info.st_mode) or archive.suffix == ".py":
            return program
        target = Path(place) / f"{boot_id()}-{info.st_ino:x}-{info.st_mtime_ns:x}-{info.st_size:x}"
        _check_private(target.parent)
        if not target.is_dir():
            _unpack(archive, target)
    except (OSError, ValueError):
        return program
    return (*program[:-1], str(target))


def _check_private(place: Path) -> None:
    """Raise PermissionError, OSError unless *place* is a directory in which nobody else can put a program."""
    found = place.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise PermissionError(f"{place} is not this user's alone")


def _unpack(archive: Path, target: Path) -> None:
    import zipfile

    work = Path(tempfile.mkdtemp(dir=str(target.parent), prefix=".new-"))
    try:
        with zipfile.ZipFile(str(archive)) as source:
            source.extractall(str(work))
        work.rename(target)
    except zipfile.BadZipFile as error:
        raise ValueError(str(error)) from None
    finally:
        shutil.rmtree(str(work), ignore_errors=True)
    others = sorted(target.parent.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in others[KEPT:]:
        shutil.rmtree(str(old), ignore_errors=True)
