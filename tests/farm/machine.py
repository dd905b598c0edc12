# SPDX-License-Identifier: Apache-2.0
"""What the farm takes from the machine it runs on: its package archive, its tools, its cgroup hierarchies."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .commands import FarmUnavailable, host

PRIVATE = ("mmdebstrap", "systemd-container", "libsystemd-shared")
FAKETIME, FAKETIME_LIBRARY = ("libfaketime",), "libfaketimeMT.so.1"
# The suite that a kind of node is made of. Rpm systems: the first release of Debian that has their package manager.
SUITES = {
    "deb11": "bullseye",
    "deb12": "bookworm",
    "deb13": "trixie",
    "dnf4": "bookworm",
    "zypper": "bookworm",
    "dnf5": "forky",
}
UNRELEASED = ("forky",)


@dataclass(frozen=True)
class Source:
    """One suite of one archive, as the machine's apt configuration names it."""

    uri: str
    suite: str
    components: Sequence[str]


@dataclass(frozen=True)
class Tool:
    """A program, and the environment it needs in addition."""

    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)


def architecture() -> str:
    """Debian's name of this machine's architecture."""
    return host(["dpkg", "--print-architecture"]).stdout.strip()


def sources(codename: str) -> list[Source]:
    """
    The archives the machine's own apt would ask, for the suites *codename*, -security and -updates, in that order.

    apt itself reads its configuration here, in every format it knows. When the machine runs another release of the same
    distribution, its suites are renamed: the archives are the same.

    Raises:
        FarmUnavailable: The machine's apt knows no Debian archive.
    """
    own = _own_codename()
    found: dict[tuple[str, str], list[str]] = {}
    for line in host(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)|$(RELEASE)|$(COMPONENT)", "Created-By: Packages"]
    ).lines:
        uri, suite, component = line.split("|")
        found.setdefault((uri, suite), []).append(component)
    wanted = []
    for suffix in ("", "-security", "-updates"):
        wanted += [
            Source(uri, codename + suffix, tuple(dict.fromkeys(components)))
            for (uri, suite), components in found.items()
            if suite == own + suffix
        ]
    if not any(source.suite == codename for source in wanted):
        raise FarmUnavailable(f"the machine's apt configuration names no archive with the suite {own!r}")
    return wanted


def _own_codename() -> str:
    for line in Path("/etc/os-release").read_text().splitlines():
        if line.startswith("VERSION_CODENAME="):
            return line.partition("=")[2].strip('"')
    raise FarmUnavailable("/etc/os-release names no release of Debian")


def mmdebstrap(cache: Path) -> Tool:
    """The program that makes root directories: the installed one, else a private copy below *cache*."""
    if shutil.which("mmdebstrap"):
        return Tool(("mmdebstrap",))
    unpacked = _private(cache)
    return Tool(
        ("perl", f"{unpacked}/usr/bin/mmdebstrap"), {"PATH": f"{unpacked}/usr/bin:{os.defpath}:/usr/sbin:/sbin"}
    )


def nspawn(cache: Path) -> Tool:
    """
    systemd-nspawn: the installed one, else a private copy below *cache*.

    Installing systemd-container would pull the machine's systemd to the archive's version; a test machine's packages are
    not ours to change, so its program and its one private library are unpacked instead.
    """
    if shutil.which("systemd-nspawn"):
        return Tool(("systemd-nspawn",))
    unpacked = _private(cache)
    library = next(unpacked.glob("usr/lib/*/systemd"))
    tool = Tool((f"{unpacked}/usr/bin/systemd-nspawn",), {"LD_LIBRARY_PATH": str(library)})
    probe = host([*tool.argv, "--version"], env=tool.env, check=False)
    if probe.code != 0:
        raise FarmUnavailable(f"systemd-nspawn does not start, install systemd-container: {probe.stderr.strip()}")
    return tool


def faketime(cache: Path) -> Path:
    """The library that shows another time to programs that preload it; of the installed package, else a private copy."""
    installed = sorted(Path("/usr/lib").glob(f"*/faketime/{FAKETIME_LIBRARY}"))
    return installed[0] if installed else next(_private(cache, FAKETIME).glob(f"usr/lib/*/faketime/{FAKETIME_LIBRARY}"))


def _private(cache: Path, packages: Sequence[str] = PRIVATE) -> Path:
    """Unpack *packages* of the machine's archive below *cache*, once; nothing is installed."""
    name = f"{_own_codename()}-{architecture()}"
    target = cache / "tools" / (name if packages == PRIVATE else f"{name}-{packages[0]}")
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".unpack-") as scratch:
        work = Path(scratch)
        for part in ("state/lists/partial", "cache/archives/partial", "out"):
            (work / part).mkdir(parents=True)
        # Lists of its own: the machine's may be absent or stale, and updating them would change the machine.
        apt = [
            "apt-get",
            "-q",
            "-o",
            f"Dir::State={work}/state",
            "-o",
            f"Dir::Cache={work}/cache",
            "-o",
            "APT::Sandbox::User=root",
        ]
        host([*apt, "-o", "Acquire::Languages=none", "update"], timeout=120)
        host(["sh", "-c", 'cd "$0" && exec "$@"', str(work), *apt, "download", *packages], timeout=120)
        for deb in work.glob("*.deb"):
            host(["dpkg-deb", "-x", str(deb), f"{work}/out"])
        try:
            (work / "out").rename(target)
        except OSError:  # another test process was faster
            if not target.is_dir():
                raise
    return target


def cgroup_roots() -> list[Path]:
    """Where nspawn needs a group of its own: the unified hierarchy, and systemd's where the machine is hybrid."""
    roots = []
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, where, kind, options, *_ = line.split()
        if kind == "cgroup2" or (kind == "cgroup" and "name=systemd" in options.split(",")):
            roots.append(Path(where))
    if not roots:
        raise FarmUnavailable("no cgroup hierarchy that systemd could use is mounted")
    return roots


def memory_controller() -> Path | None:
    """Where the memory controller has a hierarchy of its own (version 1); None where it is the unified one's, or nobody's."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, where, kind, options, *_ = line.split()
        if kind == "cgroup" and "memory" in options.split(","):
            return Path(where)
    return None


def missing() -> list[str]:
    """What this machine lacks for a farm, in words; empty when all is there."""
    lacks = []
    if os.geteuid() != 0:
        lacks.append("root")
    lacks += [
        f"{program} (package {package})"
        for program, package in (
            ("ip", "iproute2"),
            ("unshare", "util-linux"),
            ("nsenter", "util-linux"),
            ("setpriv", "util-linux"),
            ("mount", "mount"),
            ("dpkg-deb", "dpkg"),
            ("apt-get", "apt"),
            ("perl", "perl"),
        )
        if not shutil.which(program, path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    ]
    if "overlay" not in Path("/proc/filesystems").read_text():
        lacks.append("overlayfs in the kernel")
    if not Path("/proc/self/ns/net").exists():
        lacks.append("network namespaces in the kernel")
    return lacks
