# SPDX-License-Identifier: Apache-2.0
"""The system calls a twin is made with, that Python 3.11 has no names for. Failures are OSError, with what was tried."""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import struct
from collections.abc import Iterable
from pathlib import Path

NEW_MOUNT, NEW_CGROUP, NEW_UTS, NEW_IPC, NEW_PID = 0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x20000000
READ_ONLY, NO_SUID, NO_DEV, NO_EXEC, REMOUNT, BIND, RECURSIVE = 0x1, 0x2, 0x4, 0x8, 0x20, 0x1000, 0x4000
PRIVATE = 0x40000
DETACH = 2

CAPABILITIES = {
    "CHOWN": 0, "DAC_OVERRIDE": 1, "DAC_READ_SEARCH": 2, "FOWNER": 3, "FSETID": 4, "KILL": 5, "SETGID": 6, "SETUID": 7,
    "SETPCAP": 8, "LINUX_IMMUTABLE": 9, "NET_BIND_SERVICE": 10, "NET_BROADCAST": 11, "NET_ADMIN": 12, "NET_RAW": 13,
    "IPC_LOCK": 14, "IPC_OWNER": 15, "SYS_MODULE": 16, "SYS_RAWIO": 17, "SYS_CHROOT": 18, "SYS_PTRACE": 19,
    "SYS_PACCT": 20, "SYS_ADMIN": 21, "SYS_BOOT": 22, "SYS_NICE": 23, "SYS_RESOURCE": 24, "SYS_TIME": 25,
    "SYS_TTY_CONFIG": 26, "MKNOD": 27, "LEASE": 28, "AUDIT_WRITE": 29, "AUDIT_CONTROL": 30, "SETFCAP": 31,
}  # fmt: skip

_PR_SET_PDEATHSIG, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _CLEAR_ALL = 1, 24, 38, 47, 4
_CAPSET_VERSION = 0x20080522
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "riscv64": 41, "ppc64le": 203, "s390x": 217, "armv7l": 218, "i686": 217}
_LANDLOCK_CREATE, _LANDLOCK_RESTRICT, _LANDLOCK_VERSION = 444, 446, 1  # the same on every architecture
_LANDLOCK_SCOPES_SINCE, _SCOPE_ABSTRACT_SOCKETS = 6, 1

_libc = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: Path, *, kind: str = "", flags: int = 0, options: str = "") -> None:
    """mount(2)."""
    answer = _libc.mount(
        source.encode(), os.fsencode(target), kind.encode() or None, ctypes.c_ulong(flags), options.encode() or None
    )
    _check(answer, f"mounting {kind or source} on {target}")


def bind(source: Path, target: Path, *, flags: int = 0) -> None:
    """Show *source* at *target* too; *flags* (READ_ONLY …) hold for the new place alone."""
    mount(str(source), target, flags=BIND)
    if flags:
        mount("", target, flags=BIND | REMOUNT | flags)


def unmount(target: Path) -> None:
    """Unmount *target*, at once by name, and for good when nobody uses it any more."""
    _check(_libc.umount2(os.fsencode(target), DETACH), f"unmounting {target}")


def make_private() -> None:
    """Let no mount made from here on be seen by another mount namespace."""
    mount("", Path("/"), flags=RECURSIVE | PRIVATE)


def unshare(flags: int) -> None:
    """unshare(2): namespaces of one's own."""
    _check(_libc.unshare(flags), "making namespaces")


def pivot_into(root: Path) -> None:
    """Make the mount *root* the root directory, and let go of everything outside it."""
    number = _PIVOT_ROOT.get(platform.machine())
    if number is None:
        raise OSError(38, f"pivot_root is not known on {platform.machine()}")
    os.chdir(root)
    _check(_libc.syscall(number, b".", b"."), "changing the root directory")
    unmount(Path())  # the old root directory, which is now mounted over the new one
    os.chdir("/")


def die_with_parent() -> None:
    """Be killed when the process (the thread) that started this one ends, however it ends."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "asking to die with the parent")


def keep_capabilities(names: Iterable[str]) -> None:
    """Give up every capability but *names* for good: no program started from here on gets another one back."""
    kept = sum(1 << CAPABILITIES[name] for name in names)
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text(encoding="ascii"))
    for number in range(last + 1):
        if not kept >> number & 1:
            _check(_libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0), f"giving up capability {number}")
    _check(_libc.prctl(_PR_CAP_AMBIENT, _CLEAR_ALL, 0, 0, 0), "giving up ambient capabilities")
    low, high = kept & 0xFFFFFFFF, kept >> 32
    header = struct.pack("Ii", _CAPSET_VERSION, 0)
    data = struct.pack("6I", low, low, 0, high, high, 0)
    _check(_libc.capset(header, data), "giving up capabilities")


def held_capabilities() -> int:
    """The capabilities this process may use, as a bit mask."""
    return status_mask("CapEff")


def status_mask(member: str, pid: str = "self") -> int:
    """A member of /proc/PID/status that is a bit mask."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith(f"{member}:"):
            return int(line.split()[1], 16)
    return 0


def keep_to_own_sockets() -> bool:
    """
    Forbid connections to abstract Unix sockets of processes outside; whether the kernel can (Linux 6.12 with Landlock).

    They belong to the network namespace, which a twin shares with the machine. Call it after the last mount.
    """
    version = _libc.syscall(_LANDLOCK_CREATE, None, 0, _LANDLOCK_VERSION)
    if version < _LANDLOCK_SCOPES_SINCE:
        return False
    attributes = struct.pack("QQQ", 0, 0, _SCOPE_ABSTRACT_SOCKETS)
    ruleset = _libc.syscall(_LANDLOCK_CREATE, attributes, len(attributes), 0)
    _check(ruleset, "making a Landlock rule set")
    _check(_libc.syscall(_LANDLOCK_RESTRICT, ruleset, 0), "entering a Landlock domain")
    os.close(ruleset)
    return True


def _check(answer: int, what: str) -> None:
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
