# SPDX-License-Identifier: Apache-2.0
"""Taking a node's facts: what its package manager says, and what only the node itself can tell."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Set, Tuple

from patchwright.agent import node, reboot
from patchwright.agent.clock import Clock
from patchwright.agent.errors import UnsupportedSystem
from patchwright.agent.providers import Provider
from patchwright.core.facts import NodeFacts
from patchwright.core.source import Sources, digest
from patchwright.core.system import System, identify

PROCESSES_LIMIT = 20_000
MAPS_LIMIT_BYTES = 8 * 1024 * 1024  # of one process; a large Java server has 1 MB
UNITS_LIMIT = 500
_REPLACED = re.compile(rb"^\S+ ..x. .*? (/\S.*) \(deleted\)$", re.MULTILINE)
# Deleted from birth: shared memory and what a program compiles for itself.
_NEVER_FILES = (b"/memfd:", b"/dev/", b"/SYSV", b"/[aio]", b"/proc/", b"/tmp/", b"/var/tmp/", b"/run/", b"/i915")


class Taken(NamedTuple):
    """Facts, and by digest the canonical form of every body they name."""

    facts: NodeFacts
    bodies: Dict[str, bytes]


def take(
    provider: Provider,
    *,
    refresh: bool,
    clock: Clock,
    clock_offset: float = 0.0,
    root: Path = Path("/"),
    sources: Sources = (),
) -> Taken:
    """
    The facts of this node now.

    Args:
        provider: The node's package manager.
        refresh: Whether repository metadata is fetched first. A repository that fails becomes a problem of the facts.
        clock: What `observed_at` is read from.
        clock_offset: Server time minus the node's, as the client measured it, in seconds.
        root: Where the system's files are.
        sources: What the provider was told to use in the place of the node's own repositories.

    Raises:
        UnsupportedSystem: No baseline can cover this system.
        LockHeld: The package manager's locks were held too long.
        MetadataUnreadable: The package manager's files cannot be read.
        CommandError: A program of the package manager failed.
    """
    system = supported_system(root)
    fetched = provider.refresh() if refresh else None
    reading = provider.read()
    facts = NodeFacts(
        manager=provider.manager,
        operating_system=system.operating_system,
        product=system.product,
        package_set=reading.packages.digest,
        slices=tuple(ref for _, ref in reading.slices),
        notices=tuple(notice.digest for notice in reading.notices),
        pins=reading.pins,
        boot_id=reboot.boot_id(),
        kernel=os.uname().release,
        architecture=os.uname().machine,
        held=reading.held,
        modules=reading.modules,
        stale_services=stale_services(),
        reboot_reasons=provider.reboot_reasons(),
        problems=fetched.problems if fetched else (),
        refreshed_at=fetched.refreshed_at if fetched else reading.refreshed_at,
        observed_at=clock.now(),
        clock_offset=clock_offset,
        sources=digest(sources),
    )
    bodies = {facts.package_set: reading.packages.canonical()}
    bodies.update((ref.digest, part.canonical()) for part, ref in reading.slices)
    bodies.update((notice.digest, notice.canonical()) for notice in reading.notices)
    return Taken(facts, bodies)


def supported_system(root: Path = Path("/")) -> System:
    """The system below *root* as baselines see it; raises UnsupportedSystem where none can cover it."""
    release = node.os_release(root)
    if not release:
        raise UnsupportedSystem("this system has no os-release file, so no patch baseline can be chosen for it")
    system = identify(release)
    if system is None:
        raise UnsupportedSystem(
            "no patch baseline covers {} (os-release ID {!r})".format(
                release.get("PRETTY_NAME", "this system"), release.get("ID", "")
            )
        )
    return system


def stale_services(proc: Path = Path("/proc")) -> Tuple[str, ...]:
    """
    The systemd services that still run a replaced executable or library, sorted.

    A process of another PID namespace or root directory (a container) has files of its own and does not count. What may not
    be read, or ends meanwhile, is passed over.
    """
    namespace, home = _link(proc / "self/ns/pid"), _identity(proc / "self/root")
    units: Set[str] = set()
    names = [name for name in sorted(os.listdir(str(proc)), key=len) if name.isdigit()]  # noqa: PTH208 - thousands
    for name in names[:PROCESSES_LIMIT]:
        process = proc / name
        if not _runs_replaced_files(process / "maps"):
            continue
        if _link(process / "ns/pid") != namespace or _identity(process / "root") != home:
            continue
        unit = _service(process / "cgroup")
        if unit:
            units.add(unit)
    return tuple(sorted(units)[:UNITS_LIMIT])


def _runs_replaced_files(maps: Path) -> bool:
    try:
        with maps.open("rb") as file:
            text = file.read(MAPS_LIMIT_BYTES)
    except OSError:
        return False
    if b" (deleted)" not in text:
        return False
    return any(not path.startswith(_NEVER_FILES) for path in _REPLACED.findall(text))


def _service(cgroup: Path) -> Optional[str]:
    """The system service a process belongs to; None where it belongs to a session or to nobody."""
    try:
        lines = cgroup.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    found: List[str] = []
    for line in lines:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers in ("", "name=systemd"):
            found.extend(part for part in path.split("/") if part.endswith(".service"))
    return found[0] if found else None


def _link(path: Path) -> str:
    try:
        return os.readlink(str(path))
    except OSError:
        return ""


def _identity(path: Path) -> Tuple[int, int]:
    try:
        stat = path.stat()
    except OSError:
        return (0, 0)
    return (stat.st_dev, stat.st_ino)
