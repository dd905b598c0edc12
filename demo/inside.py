# SPDX-License-Identifier: Apache-2.0
"""
The process that becomes a twin's first one, or that goes behind glass: `python -m demo.inside` with a JSON text on its input.

It makes the namespaces and mounts, gives up what reaches the machine, makes sure that it is gone, and becomes the program
it was asked to run. Nothing is mounted where the machine sees it, so everything vanishes with the last process.

*twin*: own mounts (overlays), process ids, IPC, host name, control group root, /run, /tmp, /dev, /proc, boot id.
*glass*: the machine as it is, but read-only, except for what an inventory refresh writes.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import json
import os
import shutil
import signal
import socket
import sys
import types
from pathlib import Path
from typing import Any

from demo import kernel, mounts

EXIT_NOT_MADE = 125
NOT_MADE = "twin not made: "
# What dpkg, apt and maintainer scripts need of root's powers. Not among them: SYS_ADMIN, SYS_BOOT, SYS_TIME, SYS_MODULE,
# SYS_RAWIO, SYS_PTRACE, MKNOD, DAC_READ_SEARCH (it opens files by handle, past every mount), NET_*, SYSLOG, BPF.
TWIN_KEEPS = (
    "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SYS_CHROOT", "AUDIT_WRITE", "SETFCAP",
)  # fmt: skip
# PTRACE: who still runs replaced files is read from the maps of other users' processes.
GLASS_KEEPS = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "SETGID", "SETUID", "SYS_PTRACE")
GLASS_WRITABLE = ("/var/lib/apt", "/var/cache")
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
PROC_READ_ONLY = ("sys", "sysrq-trigger", "irq", "bus", "fs", "acpi", "scsi")
PROC_EMPTY = ("kcore", "keys", "kmsg", "timer_list", "sched_debug")
# The first process has to outlive the program, take in orphans, and be gone with it. From the twin's own files: a process
# that still ran the machine's Python would be a way out.
INIT = ("/bin/sh", "-c", '"$@" & wait "$!"', "init")
_SAFE = kernel.NO_SUID | kernel.NO_DEV | kernel.NO_EXEC
_FLAGS = {"nosuid": kernel.NO_SUID, "nodev": kernel.NO_DEV, "noexec": kernel.NO_EXEC}


def main() -> int:
    """Read what to make from standard input and make it; answers the exit code of what ran in it."""
    spec = json.load(sys.stdin)
    kernel.die_with_parent()
    if spec["kind"] == "glass":
        return _guarded(behind_glass, spec)
    kernel.unshare(kernel.NEW_PID)
    child = os.fork()
    if child == 0:
        os._exit(_guarded(become_twin, spec))
    return _wait_for(child)


def become_twin(spec: dict[str, Any]) -> None:
    """Never returns: the process turns into the twin's program."""
    kernel.die_with_parent()
    os.setsid()
    files = {name: content for name in mounts.COPIED_FILES if (content := _content(Path(name))) is not None}
    kernel.unshare(kernel.NEW_MOUNT | kernel.NEW_UTS | kernel.NEW_IPC | kernel.NEW_CGROUP)
    kernel.make_private()
    root = Path(spec["root"])
    for layer in spec["layers"]:
        _lay(root, layer)
    _make_dev(root / "dev")
    _make_fresh(root, Path(spec["hidden"]))
    _make_proc(root, spec["boot_id"])
    for name, content in files.items():
        _place(root, os.path.realpath(name), content)
    for name, (data, mode) in spec["files"].items():
        _place(root, name, base64.b64decode(data), mode)
    socket.sethostname(spec["hostname"])
    kernel.pivot_into(root)
    kernel.keep_to_own_sockets()
    kernel.keep_capabilities(TWIN_KEEPS)
    _make_sure(spec)
    _run([*INIT, *spec["argv"]], spec["env"])


def behind_glass(spec: dict[str, Any]) -> None:
    """Never returns: the process turns into the program, which sees the machine and can write next to nothing of it."""
    kernel.unshare(kernel.NEW_MOUNT)
    kernel.make_private()
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        fields = line.split()
        (mount,) = mounts.read(line)
        if mount.target.startswith("/dev"):
            continue
        kept = sum(_FLAGS.get(option, 0) for option in fields[5].split(","))
        with contextlib.suppress(OSError):  # covered by another mount: nobody reaches it
            kernel.mount("", Path(mount.target), flags=kernel.BIND | kernel.REMOUNT | kernel.READ_ONLY | kept)
    for name in (*GLASS_WRITABLE, *spec["writable"]):
        kernel.bind(Path(name), Path(name))
        kernel.mount("", Path(name), flags=kernel.BIND | kernel.REMOUNT)
    kernel.mount("tmpfs", Path("/tmp"), kind="tmpfs", flags=kernel.NO_SUID | kernel.NO_DEV, options="mode=1777")
    kernel.keep_capabilities(GLASS_KEEPS)
    for name in ("/", "/usr", "/etc", "/boot", "/var/lib/dpkg"):
        if Path(name).is_dir() and not os.statvfs(name).f_flag & os.ST_RDONLY:
            raise OSError(errno.EPERM, f"{name} can still be written")
    _run(spec["argv"], spec["env"])


def _lay(root: Path, layer: dict[str, Any]) -> None:
    target = root / layer["target"].lstrip("/")
    if layer["how"] == mounts.How.COPY.name:
        kernel.bind(Path(layer["upper"]), target, flags=kernel.NO_SUID | kernel.NO_DEV)
        return
    stale = Path(layer["work"]) / "work/incompat"  # says: not synced when it was last let go; a twin may lose its files
    shutil.rmtree(stale, ignore_errors=True)
    paths = (layer["target"], layer["upper"], layer["work"])
    lower, upper, work = (path.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,") for path in paths)
    options = f"lowerdir={lower},upperdir={upper},workdir={work}"
    refusal: OSError | None = None
    for more in (",redirect_dir=on,volatile", ",redirect_dir=on", ""):  # the newest kernels first
        try:
            kernel.mount("twin", target, kind="overlay", flags=kernel.NO_DEV, options=options + more)
        except OSError as error:
            refusal = error
        else:
            return
    if layer["essential"]:
        raise OSError(refusal.errno if refusal else 0, f"{layer['target']} cannot be overlaid: {refusal}")


def _make_dev(dev: Path) -> None:
    kernel.mount("tmpfs", dev, kind="tmpfs", flags=kernel.NO_SUID | kernel.NO_EXEC, options="mode=755,size=1m")
    for name in DEVICES:
        (dev / name).touch()
        # Read-only: what is written to the device still arrives, but its mode and owner are the machine's.
        kernel.bind(Path("/dev") / name, dev / name, flags=kernel.READ_ONLY | kernel.NO_SUID | kernel.NO_EXEC)
    for name in ("pts", "shm"):
        (dev / name).mkdir()
    options = "newinstance,ptmxmode=0666,mode=620,gid=5"
    kernel.mount("devpts", dev / "pts", kind="devpts", flags=kernel.NO_SUID | kernel.NO_EXEC, options=options)
    kernel.mount("tmpfs", dev / "shm", kind="tmpfs", flags=_SAFE, options="mode=1777")
    links = {"ptmx": "pts/ptmx", "fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}
    for name, target in links.items():
        (dev / name).symlink_to(target)


def _make_fresh(root: Path, hidden: Path) -> None:
    plain = kernel.NO_SUID | kernel.NO_DEV
    kernel.mount("tmpfs", root / "run", kind="tmpfs", flags=plain, options="mode=755")
    (root / "run/lock").mkdir(mode=0o1777)
    (root / "run/lock").chmod(0o1777)
    kernel.mount("tmpfs", root / "tmp", kind="tmpfs", flags=plain, options="mode=1777")
    kernel.mount("sysfs", root / "sys", kind="sysfs", flags=_SAFE | kernel.READ_ONLY)
    inner = root / str(hidden).lstrip("/")
    if inner.is_dir():
        kernel.mount("tmpfs", inner, kind="tmpfs", flags=_SAFE | kernel.READ_ONLY, options="mode=000,size=4k")


def _make_proc(root: Path, boot_id: str) -> None:
    proc, own = root / "proc", root / "run/patchwright-twin"
    kernel.mount("proc", proc, kind="proc", flags=_SAFE)
    for name in PROC_READ_ONLY:
        if (proc / name).exists():
            kernel.bind(proc / name, proc / name, flags=_SAFE | kernel.READ_ONLY)
    for name in PROC_EMPTY:
        if (proc / name).exists():
            kernel.bind(Path("/dev/null"), proc / name, flags=kernel.READ_ONLY)
    own.mkdir()
    (own / "boot_id").write_text(f"{boot_id}\n", encoding="ascii")
    kernel.bind(own / "boot_id", proc / "sys/kernel/random/boot_id", flags=_SAFE | kernel.READ_ONLY)


def _place(root: Path, name: str, content: bytes, mode: int = 0o644) -> None:
    """Write a file of the twin, its own directories included. *name* is absolute and leads through no link."""
    target = root / name.lstrip("/")
    if target.is_symlink() or _content(target) != content:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        target.write_bytes(content)
    target.chmod(mode)


def _make_sure(spec: dict[str, Any]) -> None:
    """Nothing of the machine is in reach; raises OSError saying what is. Trust is good, looking is better."""
    allowed = sum(1 << kernel.CAPABILITIES[name] for name in TWIN_KEEPS)
    for member in ("CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb"):
        excess = kernel.status_mask(member) & ~allowed
        if excess:
            raise OSError(errno.EPERM, f"capabilities are left over ({member} {excess:#x})")
    mountinfo = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    kinds = {mount.kind for mount in mounts.read(mountinfo) if mount.target == "/"}
    if kinds != {"overlay"}:
        raise OSError(errno.EPERM, f"the root directory is {kinds}")
    if os.getpid() != 1 or [entry.name for entry in Path("/proc").iterdir() if entry.name.isdigit()] != ["1"]:
        raise OSError(errno.EPERM, "other processes can be seen")
    if Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip() != spec["boot_id"]:
        raise OSError(errno.EPERM, "the boot id is the machine's")
    for name in ("/run/systemd/private", "/run/dbus/system_bus_socket", "/run/systemd/system"):
        if Path(name).exists():
            raise OSError(errno.EPERM, f"{name} is the machine's")


def _run(argv: list[str], env: dict[str, str]) -> None:
    for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    os.closerange(3, 65_536)
    os.umask(0o022)
    os.execvpe(argv[0], argv, env)  # noqa: S606 - to become the program is the point


def _guarded(become: Any, spec: dict[str, Any]) -> int:
    try:
        become(spec)
    except (OSError, ValueError) as error:
        text = error.strerror or str(error) if isinstance(error, OSError) else str(error)
        where = f": {error.filename}" if isinstance(error, OSError) and error.filename else ""
        print(f"{NOT_MADE}{text}{where}", file=sys.stderr, flush=True)
    return EXIT_NOT_MADE


def _wait_for(child: int) -> int:
    """Wait for the twin's first process. When this one is told to stop, everything in the twin is killed."""

    def stop(_number: int, _frame: types.FrameType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)

    signal.signal(signal.SIGTERM, stop)
    _, status = os.waitpid(child, 0)  # the kernel answers when every process of the twin is gone
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


if __name__ == "__main__":
    sys.exit(main())
