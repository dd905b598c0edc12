# SPDX-License-Identifier: Apache-2.0
"""That the machine itself did not change: what a change would show in, looked at before and after."""

from __future__ import annotations

import hashlib
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

CLOCK_TOLERANCE_SECONDS = 5.0
SHOWN = 5
_DPKG = Path("/var/lib/dpkg")
_DATABASE = ("status", "available", "diversions", "statoverride", "arch", "alternatives", "info", "triggers", "updates")
_LOCKS = {"Lock", "lock", "lock-frontend"}
_INSTALLED = ("/usr/", "/bin/", "/sbin/", "/lib", "/opt/")


@dataclass(frozen=True)
class Part:
    """One thing looked at: its members with what identifies their content, and how it is called."""

    name: str
    members: Mapping[str, str]
    unit: str = "files"


@dataclass(frozen=True)
class Finding:
    """What became of one part: whether it is as before, in a sentence."""

    same: bool
    text: str


@dataclass
class Before:
    """The machine before; `compare` looks again."""

    _looks: list[Callable[[], Part]] = field(default_factory=list)
    _parts: list[Part] = field(default_factory=list)
    _epoch: float = field(default_factory=lambda: time.time() - time.monotonic())

    def watch(self, *looks: Callable[[], Part]) -> None:
        """Look now, and again when compared."""
        self._looks.extend(looks)
        self._parts.extend(look() for look in looks)

    def compare(self) -> list[Finding]:
        """Look again: one finding for each part, in the order in which they are watched, and one for the clock."""
        found = [_compare(before, look()) for before, look in zip(self._parts, self._looks, strict=True)]
        moved = abs(time.time() - time.monotonic() - self._epoch)
        found.append(Finding(moved < CLOCK_TOLERANCE_SECONDS, f"clock: moved by {moved:.3f} s besides running"))
        return found


def package_database() -> Part:
    """dpkg's database: every file of it but the locks, by content."""
    members: dict[str, str] = {}
    for name in _DATABASE:
        members.update(_contents(_DPKG / name))
    return Part("package database (/var/lib/dpkg)", members)


def boot() -> Part:
    """/boot, by content."""
    return Part("/boot", _contents(Path("/boot")))


def packaged_files(names: Iterable[str]) -> Callable[[], Part]:
    """The installed files of the packages *names* (`name.arch`): size, time, mode, inode."""
    wanted = {key.rpartition(".")[0] for key in names}

    def look() -> Part:
        members = {}
        for file in (_DPKG / "info").glob("*.list"):
            if file.name.removesuffix(".list").partition(":")[0] in wanted:
                for line in file.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
                    members[line] = _outside(Path(line))
        return Part(f"files of the {len(wanted)} packages", members)

    return look


def package_lists() -> Part:
    """apt's lists of what is offered, and the packages it has downloaded: name, size, time."""
    members: dict[str, str] = {}
    for folder in (Path("/var/lib/apt/lists"), Path("/var/cache/apt/archives")):
        members.update(
            {str(file): _outside(file) for file in folder.rglob("*") if file.name not in _LOCKS and file.is_file()}
        )
    return Part("apt's lists and downloads since the scan", members)


def services() -> Part:
    """The running services: the process of each, and when it was started."""
    if Path("/run/systemd/system").is_dir():
        members = _units()
    else:
        members = {f"{pid} {name}": started for pid, name, started in _daemons()}
    return Part("running services", {"1 (init)": _started(1), **members}, unit="processes")


def identity() -> Part:
    """Boot id and host name."""
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return Part("boot id and host name", {"boot id": boot_id, "host name": socket.gethostname()}, unit="values")


def _compare(before: Part, after: Part) -> Finding:
    old, new = before.members, after.members
    # What came in addition (a service that somebody started) is no change of what was there; an added file is.
    added = [] if before.unit == "processes" else [f"new: {name}" for name in new if name not in old]
    changed = [f"{'gone' if name not in new else 'changed'}: {name}" for name in old if new.get(name) != old[name]]
    differences = sorted(added + changed)
    if not differences:
        return Finding(True, f"{before.name}: {len(old):,} {before.unit}, not one changed ({_digest(old)})")
    shown = ", ".join(differences[:SHOWN]) + (
        f" and {len(differences) - SHOWN} more" if len(differences) > SHOWN else ""
    )
    return Finding(False, f"{before.name}: {len(differences)} of {len(old):,} {before.unit} differ: {shown}")


def _contents(top: Path) -> dict[str, str]:
    files = [top] if top.is_file() else sorted(path for path in top.rglob("*") if path.name not in _LOCKS)
    return {str(path): _inside(path) for path in files}


def _inside(path: Path) -> str:
    try:
        status = path.lstat()
        if stat.S_ISREG(status.st_mode):
            with path.open("rb") as file:
                return f"{status.st_mode:o} {hashlib.file_digest(file, 'sha256').hexdigest()}"
        target = str(path.readlink()) if stat.S_ISLNK(status.st_mode) else ""
    except OSError as error:
        return type(error).__name__
    return f"{status.st_mode:o} {target}"


def _outside(path: Path) -> str:
    try:
        status = path.lstat()
    except OSError as error:
        return type(error).__name__
    if stat.S_ISDIR(status.st_mode):
        return f"{status.st_mode:o} {status.st_ino}"
    return f"{status.st_mode:o} {status.st_ino} {status.st_size} {status.st_mtime_ns}"


def _digest(members: Mapping[str, str]) -> str:
    text = "\0".join(f"{name}\0{value}" for name, value in sorted(members.items()))
    return f"sha256 {hashlib.sha256(text.encode('utf-8', 'surrogateescape')).hexdigest()[:12]}…"


def _units() -> dict[str, str]:
    listed = _systemctl("list-units", "--type=service", "--state=running", "--no-legend", "--plain")
    names = [line.split()[0] for line in listed.splitlines() if line and not line.startswith("user@")]
    if not names:
        return {}
    members = {}
    for block in _systemctl("show", "-p", "Id,Type,MainPID", *names).split("\n\n"):
        values = dict(line.partition("=")[::2] for line in block.splitlines())
        if values.get("Type") != "oneshot" and values.get("MainPID", "0") != "0":
            members[values["Id"]] = f"{values['MainPID']} {_started(int(values['MainPID']))}"
    return members


def _systemctl(*words: str) -> str:
    done = subprocess.run(["systemctl", *words], capture_output=True, text=True, timeout=30, check=False)
    return done.stdout


def _daemons() -> Iterable[tuple[int, str, str]]:
    """Without systemd: session leaders that init adopted, whose program is installed on the system."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            program = str((entry / "exe").readlink())
        except OSError:
            continue
        parent, session, terminal = words[1], words[3], words[4]
        if parent == "1" and session == entry.name and terminal == "0" and program.startswith(_INSTALLED):
            yield int(entry.name), program, words[19]


def _started(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
    except OSError:
        return "gone"
