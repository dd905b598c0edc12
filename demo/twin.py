# SPDX-License-Identifier: Apache-2.0
"""
A throw-away twin of this machine: the same files and packages, where nothing that happens reaches the machine.

A twin is what it has written. `run` and `start` give it a life: one boot with its own namespaces and boot id, which ends
with the program. What was written stays for the next boot, and goes with the demo's folder.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo import inside, kernel, mounts

ROOM_BYTES = 2 * 1024**3  # what hundreds of unpacked updates take
MEMORY_ENOUGH, MEMORY_PLENTY = 2, 4  # times that; twins in memory may take half of what is available
OS_FAMILY = ("debian", "ubuntu")
NEEDED_CAPABILITIES = ("SYS_ADMIN", "SETPCAP", "CHOWN", "DAC_OVERRIDE", "FOWNER")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
INHERITED = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
POLICY = b"#!/bin/sh\n# A twin starts no services.\nexit 101\n"
# A twin has no disk to start from. dpkg-divert keeps the real programs aside through their own updates.
BOOT_LOADERS = (
    "/usr/sbin/grub-install",
    "/usr/sbin/update-grub",
    "/usr/bin/bootctl",
    "/usr/sbin/flash-kernel",
    "/sbin/zipl",
)
_LEAVE_OUT = """
set -e
for program; do
    [ -e "$program" ] || continue
    dpkg-divert --quiet --local --rename --divert "$program.patchwright-twin" --add "$program"
    printf '#!/bin/sh\\necho "$0: left out, a twin has no disk to start from"\\n' >"$program"
    chmod 755 "$program"
    echo "$program"
done
if [ -e /var/lib/dpkg/info/grub-pc.list ]; then
    printf '%s\\n' 'grub-pc grub-pc/install_devices multiselect ' 'grub-pc grub-pc/install_devices_empty boolean true' |
        debconf-set-selections
fi
"""
PROJECT = Path(__file__).resolve().parents[1]
KILL_SECONDS = 30.0


class TwinFailed(Exception):
    """A boot that did not come about, or did not end in time."""


@dataclass(frozen=True)
class Ended:
    """How a program in the twin ended, and what it said."""

    code: int
    output: str


class Twin:
    """
    One twin.

    Args:
        folder: Where it lies; made, and written to by this twin alone.
        layers: What it is made of, as `survey` answers.
        hidden: A directory above *folder* that the twin finds empty.
        files: Content by absolute name that the twin has besides the machine's.
    """

    def __init__(
        self, folder: Path, layers: Sequence[mounts.Layer], *, hidden: Path, files: Mapping[str, bytes] | None = None
    ) -> None:
        self._folder = folder
        self._hidden = hidden
        self._files = {
            "/usr/sbin/policy-rc.d": (POLICY, 0o755),
            "/etc/machine-id": (f"{uuid.uuid4().hex}\n".encode(), 0o444),
            **{name: (content, 0o644) for name, content in (files or {}).items()},
        }
        self.hostname = f"{socket.gethostname().partition('.')[0][:50]}-twin"
        self.boot_id = ""
        self._life: subprocess.Popen[bytes] | None = None
        (self._folder / "root").mkdir(parents=True)
        self._layers = [self._prepare(number, layer) for number, layer in enumerate(layers)]

    def leave_out_boot_loaders(self) -> str:
        """
        Let programs that write to the machine's disks or firmware do nothing in the twin; their names, empty for none.

        It has no disk to start from. They are diverted, so that their own updates do not bring them back.
        """
        ended = self.run(["/bin/sh", "-c", _LEAVE_OUT, "divert", *BOOT_LOADERS])
        if ended.code != 0:
            raise TwinFailed(f"the boot loader's programs could not be set aside: {ended.output[-500:]}")
        return ", ".join(ended.output.split())

    @property
    def root(self) -> Path:
        """The twin's root directory as the machine can reach it while the twin runs."""
        if self._life is None:
            raise TwinFailed("the twin does not run")
        children = Path(f"/proc/{self._life.pid}/task/{self._life.pid}/children").read_text(encoding="ascii").split()
        return Path(f"/proc/{children[0]}/root")

    def written(self, name: str) -> Path:
        """Where a file that the twin has written lies; there is none where it has only read it."""
        layer = max(
            (layer for layer in self._layers if Path(name).is_relative_to(layer["target"])),
            key=lambda layer: len(Path(layer["target"]).parts),
        )
        return Path(layer["upper"]) / Path(name).relative_to(layer["target"])

    def run(self, argv: Sequence[str], *, timeout: float = 60, env: Mapping[str, str] | None = None) -> Ended:
        """
        Boot the twin, run a program to its end in it, and switch it off.

        Raises TwinFailed where it could not be isolated, or the program did not end within *timeout* seconds.
        """
        life = self._boot(argv, env or {}, subprocess.PIPE)
        try:
            output, _ = life.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            raise TwinFailed(f"{argv[0]} did not end within {timeout:.0f} s") from None
        finally:
            self.stop()
        text = output.decode("utf-8", "replace")
        _raise_if_not_made(life.returncode, text)
        return Ended(life.returncode, text)

    def start(self, argv: Sequence[str], log: Path, *, env: Mapping[str, str] | None = None) -> None:
        """Boot the twin with a program that goes on; its output is appended to *log*."""
        with log.open("ab") as file:
            self._boot(argv, env or {}, file.fileno())

    def check_alive(self, log: Path) -> None:
        """Raises TwinFailed with the end of *log* where the started program has ended."""
        if self._life is not None and self._life.poll() is not None:
            tail = log.read_text(encoding="utf-8", errors="replace")[-2000:]
            raise TwinFailed(f"the twin ended with {self._life.returncode}: {tail}")

    def stop(self) -> None:
        """Kill everything in the twin at once, as a power cut does; what it has written stays."""
        life, self._life = self._life, None
        if life is None:
            return
        life.send_signal(signal.SIGTERM)
        try:
            life.wait(KILL_SECONDS)
        except subprocess.TimeoutExpired:
            life.kill()
            life.wait()
        if life.stdout is not None:
            life.stdout.close()

    def _boot(self, argv: Sequence[str], env: Mapping[str, str], output: int) -> subprocess.Popen[bytes]:
        if self._life is not None:
            raise TwinFailed("the twin runs already")
        self.boot_id = str(uuid.uuid4())
        spec = {
            "kind": "twin",
            "root": str(self._folder / "root"),
            "hidden": str(self._hidden),
            "layers": self._layers,
            "hostname": self.hostname,
            "boot_id": self.boot_id,
            "files": {name: (base64.b64encode(data).decode(), mode) for name, (data, mode) in self._files.items()},
            "argv": list(argv),
            "env": {**environment(), **env},
        }
        self._life = launch(spec, output)
        return self._life

    def _prepare(self, number: int, layer: mounts.Layer) -> dict[str, Any]:
        upper, work = self._folder / str(number) / "upper", self._folder / str(number) / "work"
        work.mkdir(parents=True)
        if layer.how is mounts.How.COPY:
            shutil.copytree(layer.target, upper, symlinks=True)
        else:
            upper.mkdir()
            whole = Path(layer.target).stat()  # the directory seen on top is the upper one
            os.chown(upper, whole.st_uid, whole.st_gid)
            upper.chmod(whole.st_mode & 0o7777)
        return {
            "target": layer.target,
            "how": layer.how.name,
            "essential": layer.essential,
            "upper": str(upper),
            "work": str(work),
        }


def survey() -> list[mounts.Layer]:
    """The layers of a twin of this machine. Raises mounts.Unisolated with every reason why there can be none."""
    reasons = obstacles()
    if reasons:
        raise mounts.Unisolated(reasons)
    found = []
    for mount in mounts.read(Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")):
        try:
            directory = Path(mount.target).is_dir()
            used = _used(mount.target) if mount.kind in mounts.COPIED else 0
        except OSError:
            continue
        found.append(mounts.Mount(mount.id, mount.target, mount.kind, mount.source, mount.writable, directory, used))
    layers = mounts.plan(found, visible=_is_visible)
    # Single files are placed one by one; what is hidden needs nothing.
    return [one for one in layers if one.how is not mounts.How.HIDDEN and Path(one.target).is_dir()]


def obstacles() -> list[str]:
    """Why this machine can have no twin, leaving its mounts aside; empty where it can."""
    reasons = []
    if sys.platform != "linux":
        return ["a twin needs Linux"]
    if os.geteuid() != 0:
        reasons.append("making a twin needs root")
    if not set(_os_family()) & set(OS_FAMILY):
        reasons.append("twins are made of Debian and Ubuntu machines only")
    if not Path("/bin/sh").exists() or shutil.which("dpkg", path=PATH) is None:
        reasons.append("dpkg is not installed")
    held = kernel.held_capabilities()
    lacking = [name for name in NEEDED_CAPABILITIES if not held >> kernel.CAPABILITIES[name] & 1]
    if lacking and not reasons:
        reasons.append(f"this root has no CAP_{', CAP_'.join(lacking)} (a container?)")
    return reasons


def make_room(folder: Path, layers: Sequence[mounts.Layer]) -> bool:
    """
    Make *folder* fit to hold what twins write: in memory where there is plenty, else on its disk, else in memory still.

    Memory is faster, and leaves nothing behind however the demo ends: only this process and those it starts see the mount.
    Answers whether it is memory; `kernel.unmount` then lets go of it. Raises Unisolated where neither will do: the machine
    is itself an overlay, or its disk is full, and memory is short.
    """
    memory = _available_memory()
    on_disk = _free_bytes(folder) >= ROOM_BYTES and _kind_of(folder) in mounts.LOCAL
    if memory < MEMORY_PLENTY * ROOM_BYTES and on_disk:
        return False
    if memory < MEMORY_ENOUGH * ROOM_BYTES:
        room = f"{ROOM_BYTES >> 30} GiB"
        raise mounts.Unisolated(
            [f"{folder} is no local disk with {room} of room, and there is not twice as much free memory"]
        )
    kernel.unshare(kernel.NEW_MOUNT)
    kernel.make_private()
    _let_go_of_others({layer.target for layer in layers})
    kernel.mount("twins", folder, kind="tmpfs", flags=kernel.NO_DEV, options=f"mode=700,size={memory // MEMORY_ENOUGH}")
    return True


def _let_go_of_others(needed: set[str]) -> None:
    """Unmount, for this process alone, what twins do not get: it would stay mounted here after it was unmounted outside."""
    for mount in reversed(
        mounts.read(Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape"))
    ):
        if mount.target not in needed and not mounts.is_fresh(mount.target):
            with contextlib.suppress(OSError):
                kernel.unmount(Path(mount.target))


def launch(spec: Mapping[str, object], output: int) -> subprocess.Popen[bytes]:
    """Start `demo.inside` with *spec*. It dies with this process."""
    process = subprocess.Popen(
        [sys.executable, "-m", "demo.inside", f"{spec.get('root', '')}"],
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT,
        cwd=PROJECT,
        env={**environment(), "PYTHONPATH": str(PROJECT)},
        start_new_session=True,
    )
    pipe, process.stdin = process.stdin, None
    if pipe is not None:
        with pipe:
            pipe.write(json.dumps(spec).encode("utf-8", "surrogateescape"))
    return process


def environment() -> dict[str, str]:
    """What programs in a twin are told: nothing of this process but the way to the network."""
    passed = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return {
        "PATH": PATH,
        "HOME": "/root",
        "LC_ALL": "C.UTF-8",
        "TERM": "dumb",
        "DEBIAN_FRONTEND": "noninteractive",
        **passed,
    }


def _raise_if_not_made(code: int, text: str) -> None:
    if code == inside.EXIT_NOT_MADE and inside.NOT_MADE in text:
        raise TwinFailed(text.partition(inside.NOT_MADE)[2].strip())


def _os_family() -> list[str]:
    found = []
    try:
        lines = Path("/etc/os-release").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    for line in lines:
        name, _, value = line.partition("=")
        if name in {"ID", "ID_LIKE"}:
            found.extend(value.strip("\"'").split())
    return found


def _is_visible(mount: mounts.Mount) -> bool:
    """Whether the path of *mount* leads to it, and not to one mounted over it."""
    try:
        descriptor = os.open(mount.target, os.O_PATH)
    except OSError:
        return False
    try:
        info = Path(f"/proc/self/fdinfo/{descriptor}").read_text(encoding="ascii")
    finally:
        os.close(descriptor)
    return f"mnt_id:\t{mount.id}\n" in info


def _available_memory() -> int:
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    return int(dict(line.split(":") for line in lines)["MemAvailable"].split()[0]) * 1024


def _free_bytes(folder: Path) -> int:
    room = os.statvfs(folder)
    return room.f_bavail * room.f_frsize


def _used(target: str) -> int:
    room = os.statvfs(target)
    return (room.f_blocks - room.f_bfree) * room.f_frsize


def _kind_of(folder: Path) -> str:
    """The file system that *folder* is on."""
    known = [
        mount
        for mount in mounts.read(Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape"))
        if folder.is_relative_to(mount.target) and _is_visible(mount)
    ]
    return max(known, key=lambda mount: len(Path(mount.target).parts)).kind if known else ""
