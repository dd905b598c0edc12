# SPDX-License-Identifier: Apache-2.0
"""What nodes are made of: cached base roots, layers baked on top of them, overlay mounts."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

from . import machine
from .commands import CLEAN_ENV, CommandFailed, FarmUnavailable, Result, Timeout, host, until
from .rpmfile import build

# Full python3: python3-minimal has neither json nor http. gpgv: apt's, named for suites where apt no longer needs it.
INCLUDE = ("systemd-sysv", "dbus", "ca-certificates", "python3", "gpgv")
# What an rpm system's package manager is, in Debian's packages. dnf 5 cannot end a transaction without createrepo_c.
RPM_KINDS = {
    "dnf4": ("rpm", "dnf", "python3-dnf", "dnf-plugins-core", "createrepo-c"),
    "dnf5": ("rpm", "dnf5", "python3-libdnf5", "createrepo-c"),
    "zypper": ("rpm", "zypper"),
}
DEBIANS_OWN = (
    "usr/bin/apt*",
    "usr/bin/dpkg*",
    "usr/sbin/dpkg*",
    "usr/lib/apt",
    "var/lib/apt",
    "var/lib/dpkg",
    "var/cache/apt",
)

# They would touch the package manager or the network behind a test's back, or only cost boot time.
MASKED = (
    "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "fstrim.timer",
    "e2scrub_reap.service", "systemd-timesyncd.service", "systemd-networkd.service", "systemd-resolved.service",
    "systemd-firstboot.service", "console-getty.service", "getty.target", "systemd-update-utmp-runlevel.service",
)  # fmt: skip
RPM_MASKED = ("dnf-makecache.timer", "dnf-automatic.timer", "dnf5-automatic.timer")
RECIPE = "2"  # part of the cache key: raise it when `_build` or `_finish` changes


def base(cache: Path, kind: str) -> Path:
    """
    The root directory of a kind, from the cache or freshly made (20 to 40 s) from the machine's own archive.

    Only the release's own suite goes in, so that genuine security updates are outstanding.

    Args:
        kind: `deb11`, `deb12` or `deb13`; or an rpm system: `dnf4`, `dnf5` or `zypper`, made of Debian's packages without
            Debian's package manager, its rpm database empty but for `basesystem`.

    Raises:
        FarmUnavailable: It cannot be made here.
    """
    codename = machine.SUITES[kind]
    include = (*INCLUDE, *RPM_KINDS.get(kind, ()))
    key = hashlib.sha256(repr((RECIPE, codename, include, MASKED, machine.architecture())).encode()).hexdigest()[:12]
    root = cache / "roots" / f"{kind if kind in RPM_KINDS else codename}-{key}"
    root.parent.mkdir(parents=True, exist_ok=True)
    with (root.parent / f".{root.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # parallel test processes build it once
        if not root.is_dir():
            building = root.with_name(f".{root.name}.building")
            shutil.rmtree(building, ignore_errors=True)
            try:
                _build(cache, codename, include, building)
                _finish(building)
                if kind in RPM_KINDS:
                    _make_rpm_system(building)
            except (CommandFailed, Timeout) as error:
                raise FarmUnavailable(f"no root for nodes of kind {kind} can be made here: {error}") from error
            building.rename(root)
    return root


def _build(cache: Path, codename: str, include: Sequence[str], target: Path) -> None:
    source = next(s for s in machine.sources(codename) if s.suite == codename)
    tool = machine.mmdebstrap(cache)
    options = [
        "--quiet",
        "--mode=root",
        "--variant=minbase",
        "--include=" + ",".join(include),
        '--aptopt=Acquire::Languages "none"',
        # A suite that is still being made has a Valid-Until, and a mirror may lag behind.
        *(['--aptopt=Acquire::Check-Valid-Until "false"'] if codename in machine.UNRELEASED else []),
        *(f"--dpkgopt=path-exclude=/usr/share/{part}/*" for part in ("doc", "locale", "man")),
        "--dpkgopt=path-include=/usr/share/doc/*/changelog.*",
        "--dpkgopt=force-unsafe-io",
    ]
    mirror = f"deb {source.uri} {codename} {' '.join(source.components)}"
    host([*tool.argv, *options, codename, str(target), mirror], env=tool.env, timeout=600)


def _finish(root: Path) -> None:
    """Make a root that any node can start from: no archive, no name server (a dead one costs 10 s a call), no noise."""
    for name in ("sources.list", "sources.list.d/debian.sources"):
        (root / "etc/apt" / name).unlink(missing_ok=True)
    (root / "etc/resolv.conf").unlink(missing_ok=True)
    (root / "etc/resolv.conf").write_text("")
    (root / "etc/machine-id").unlink(missing_ok=True)
    for unit in (*MASKED, *RPM_MASKED):
        link = root / "etc/systemd/system" / unit
        link.unlink(missing_ok=True)
        link.symlink_to("/dev/null")


def _make_rpm_system(root: Path) -> None:
    """Take Debian's package manager away, and put one package into the rpm database: nothing with a script installs without."""
    for pattern in DEBIANS_OWN:
        for path in root.glob(pattern):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    write_below(root, "/etc/rpm/macros", "%_dbpath /var/lib/rpm\n")  # Debian's default is a folder of the user
    (root / "etc/os-release").unlink(missing_ok=True)
    basesystem = build("basesystem", "1-1", provides=["/bin/sh"])
    write_below(root, f"/root/{basesystem.filename}", basesystem.content)
    for argv in (["rpm", "--initdb"], ["rpm", "--install", "--nosignature", f"/root/{basesystem.filename}"]):
        in_root(root, argv)
    (root / "root" / basesystem.filename).unlink()


class Overlay:
    """A writable root: read-only layers below, changes in `upper`, the whole at `root`."""

    def __init__(self, folder: Path, lowers: Sequence[Path], *, root: Path | None = None) -> None:
        """*lowers*: topmost first. *folder* has the changes, and the mount point where *root* names none."""
        self.upper = folder / "upper"
        self.root = root or folder / "root"
        self.work = folder / "work"
        self._lowers = list(lowers)

    def mount(self) -> None:
        """Make and mount it."""
        for path in (self.upper, self.root, self.work):
            path.mkdir(parents=True, exist_ok=True)
        options = f"lowerdir={':'.join(map(str, self._lowers))},upperdir={self.upper},workdir={self.work}"
        host(["mount", "-t", "overlay", "-o", options, "pwfarm", str(self.root)])

    def unmount(self) -> None:
        """Unmount it; the changes stay in `upper`. What was killed in it a moment ago may keep it busy for another."""
        until(
            lambda: host(["umount", str(self.root)], check=False).code == 0,
            what=f"{self.root} to be unmounted",
            timeout=60,
        )


def unmount_below(folder: Path) -> None:
    """Unmount whatever is mounted below *folder*, innermost first."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for point in sorted((p for p in points if Path(p).is_relative_to(folder)), key=len, reverse=True):
        host(["umount", "--lazy", point], check=False)


def in_root(root: Path, argv: Sequence[str], *, namespace: Path | None = None, timeout: float = 120) -> Result:
    """
    Run a command in a root that is not booted, with the network of *namespace* (or none) and processes of its own.

    It cannot set the clock, reboot, load modules or reach devices: those capabilities are dropped.
    """
    drop = "-sys_time,-sys_boot,-sys_module,-sys_rawio"
    return host(
        [
            *(["nsenter", f"--net={namespace}"] if namespace else []),
            "unshare", *([] if namespace else ["--net"]),
            "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child", f"--root={root}", "--mount-proc",
            "setpriv", f"--bounding-set={drop}", "--inh-caps=-all", "--no-new-privs",
            "env", "-i", *(f"{key}={value}" for key, value in CLEAN_ENV.items()),
            *argv,
        ],
        timeout=timeout,
    )  # fmt: skip


def write_below(root: Path, path: str, text: str | bytes) -> None:
    """
    Write a file of a root from outside; directories on the way are made.

    Raises:
        ValueError: A directory on the way is a link (seen from outside it may lead to the host's own files).
    """
    target = root
    for part in path.strip("/").split("/")[:-1]:
        target /= part
        if part == ".." or target.is_symlink():
            raise ValueError(
                f"{path} leads through {target.relative_to(root)}, a link: name the directory it stands for"
            )
        target.mkdir(exist_ok=True)
    target /= path.rpartition("/")[2]
    if target.is_symlink():
        target.unlink()
    target.write_bytes(text.encode() if isinstance(text, str) else text)
