# SPDX-License-Identifier: Apache-2.0
"""The provider for apt and dpkg: Debian, Ubuntu, Raspberry Pi OS."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Callable, Dict, List, Mapping, Optional, Sequence, Set, Tuple

from patchwright.agent.clock import Clock
from patchwright.agent.errors import CommandTimedOut
from patchwright.agent.providers import OUTPUT_LIMIT, Outcome, Reading, Refresh, Settings
from patchwright.agent.providers.apt import lists, policy, restart, status, transcript
from patchwright.agent.providers.apt.tool import Tool, is_name
from patchwright.agent.providers.locks import Holder, Locks
from patchwright.agent.providers.words import end_of, output_file, readable
from patchwright.agent.shell import Shell
from patchwright.core.facts import DEFAULT_PIN, Pin, RepositoryProblem, SliceRef
from patchwright.core.package import Manager, Offer, OffersSlice, Origin, PackageSet
from patchwright.core.version import Scheme, compare

if TYPE_CHECKING:
    from patchwright.core.plan import Intent, Plan, Resolution

NOT_ARRIVED_PIN = 1  # what newer versions of apt give an update that has not reached this machine yet


class Apt:
    """See `providers.Provider`."""

    manager = Manager.APT

    def __init__(self, shell: Shell, *, clock: Clock, settings: Settings) -> None:
        self._tool = _tool(shell, settings)
        self._clock = clock
        self._settings = settings

    def refresh(self) -> Refresh:
        """Run apt-get update; see `providers.Provider`."""
        before = self._stamp()
        begin = self._clock.now()
        lists.forget_emptied(self._tool.layout.lists)
        try:
            result = self._locks().wait_for(
                lambda: self._tool.update(self._settings.refresh_timeout_seconds),
                lambda result: transcript.lock_holder(result.stderr),
            )
        except CommandTimedOut as error:
            return Refresh(before, (RepositoryProblem("", str(error)[:1000]),))
        problems = transcript.repository_problems(result.stdout, result.stderr, result.code)
        stamp = before if problems else begin
        if self._tool.layout.lists.is_dir():
            with contextlib.suppress(PermissionError):  # without root nothing was fetched, and the time stays
                os.utime(str(self._tool.layout.lists), (stamp, stamp))  # apt leaves it alone when nothing was new
        return Refresh(stamp, problems)

    def read(self) -> Reading:
        """Read dpkg's database and apt's lists; see `providers.Provider`."""
        rows = self._rows()
        found, phased = self._offers(rows)
        preferences = policy.policy(self._tool.ask("apt-cache", "policy").stdout)
        names = {row.name for row in rows.values()}
        pins = {pin for pin in preferences.pins if pin.name in names}
        own = {(pin.name, pin.version) for pin in pins}
        pins.update(self._phased_pins(phased - own, rows))
        slices: Dict[Tuple[Origin, int, str], List[Offer]] = {}
        for target, offers in found:
            pin = preferences.priorities.get(target.description, DEFAULT_PIN)
            slices.setdefault((target.origin, pin, target.address), []).extend(offers)
        for origin in self._empty([target for target, _ in found]):
            slices.setdefault((origin, DEFAULT_PIN, ""), [])
        parts = []
        for (origin, pin, address), offers in sorted(slices.items()):
            part = OffersSlice.of(Manager.APT, origin, offers)
            parts.append((part, SliceRef(part.digest, pin, address)))
        return Reading(
            packages=PackageSet.of(Manager.APT, (row.package for row in rows.values())),
            slices=tuple(parts),
            pins=tuple(sorted(pins, key=lambda pin: (pin.name, pin.version))),
            held=tuple(sorted(row.key for row in rows.values() if row.held)),
            refreshed_at=self._stamp(),
        )

    def installed(self) -> Mapping[str, str]:
        """Read dpkg's database alone; see `providers.Provider`."""
        return {row.key: row.version for row in self._rows().values()}

    def candidates(self, keys: Sequence[str]) -> Mapping[str, str]:
        """Ask apt-cache policy; see `providers.Provider`."""
        wanted = [key for key in keys if is_name(key.rpartition(".")[0])]
        if not wanted:
            return {}
        parts = [key.rpartition(".")[::2] for key in wanted]
        names = sorted({self._tool.qualified(name, arch) for name, arch in parts})
        answers = policy.versions(self._tool.ask("apt-cache", "policy", "--", *names).stdout)
        result = {}
        for key, (name, arch) in zip(wanted, parts):
            answer = answers.get(self._tool.qualified(name, arch))
            if answer is not None and answer.candidate:
                result[key] = answer.candidate
        return result

    def resolve(self, intent: Intent) -> Resolution:
        """Simulate apt-get install; see `providers.Provider`."""
        from patchwright.agent.providers.apt.closure import Closure

        return Closure(self._tool, self._rows(), intent).resolve()

    def install(self, plan: Plan, progress: Callable[[str], None]) -> Outcome:
        """Run apt-get install with exact versions; see `providers.Provider`."""
        from patchwright.agent.providers.apt.installation import Installation

        try:
            with output_file() as log:
                work = Installation(
                    self._tool,
                    plan,
                    locks=self._locks(),
                    rows=self._rows,
                    log=log,
                    timeout_seconds=self._settings.install_timeout_seconds,
                    progress=progress,
                )
                return Outcome(work.carry_out(), readable(end_of(log, OUTPUT_LIMIT)))
        finally:
            if self._settings.sources:  # nobody else would ever look at what was fetched for these
                self._tool.clean()

    def holder(self) -> Optional[Holder]:
        """See who has the locks; see `providers.Provider`."""
        return self._locks().holder()

    def reboot_reasons(self) -> Tuple[str, ...]:
        """Look at /run/reboot-required and at the kernels; see `providers.Provider`."""
        return restart.reasons(self._settings.root, os.uname().release, self._rows())

    def _rows(self) -> Dict[str, status.Row]:
        return status.read(self._tool.layout.status)

    def _locks(self) -> Locks:
        return Locks(self._tool.layout.locks, clock=self._clock, seconds=self._settings.lock_wait_seconds)

    def _stamp(self) -> float:
        """When the lists were last fetched without a problem: the time of their directory, which `refresh` keeps."""
        try:
            return self._tool.layout.lists.stat().st_mtime
        except OSError:
            return 0.0

    def _offers(
        self, rows: Mapping[str, status.Row]
    ) -> Tuple[List[Tuple[lists.Target, List[Offer]]], Set[Tuple[str, str]]]:
        """What each index offers for the installed names, and which of it is being phased in."""
        installed: Dict[bytes, List[str]] = {}
        for row in rows.values():
            installed.setdefault(row.name.encode(), []).append(row.arch)
        found, phased = [], set()
        for target in lists.targets(self._tool.ask("apt-get", "indextargets").stdout):
            scan = lists.scan(self._tool.index(target.filename), installed, self._tool.layout.architecture)
            found.append((target, scan.offers))
            phased |= scan.phased
        return found, phased

    def _empty(self, found: Sequence[lists.Target]) -> List[Origin]:
        """The repositories that offer nothing at all for this machine; asked only where there seem to be any."""
        directory = self._tool.layout.lists
        stems = lists.bare_releases(directory, found)
        if not stems:
            return []
        listing = self._tool.ask("apt-get", "indextargets", "--no-release-info").stdout
        return lists.empty(directory, stems, listing)

    def _phased_pins(self, phased: Set[Tuple[str, str]], rows: Mapping[str, status.Row]) -> List[Pin]:
        """
        The priority 1 for updates that are being phased in and have not reached this machine.

        Whether they have depends on its machine id and on apt's settings; up to apt 2.7 the policy does not show it, only an
        upgrade leaves them out. Where that cannot be simulated they count as not arrived: a later scan brings them.
        """
        newer = {
            (row.name, version)
            for row in rows.values()
            for name, version in phased
            if name == row.name and compare(Scheme.DPKG, version, row.version) > 0
        }
        if not newer:
            return []
        taken = {(item.name, item.after) for item in transcript.simulation(self._tool.upgrade().stdout).installed}
        return [Pin(name, version, NOT_ARRIVED_PIN) for name, version in newer - taken]


def _tool(shell: Shell, settings: Settings) -> Tool:
    """apt as *settings* want it called. Raises UnusableSource."""
    if not settings.sources:
        return Tool(shell, settings.root)
    from patchwright.agent.providers.apt import sources

    directory = "/" + str(settings.sources_directory).lstrip("/")
    sources.arrange(settings.sources, settings.root / directory.lstrip("/"))
    return Tool(shell, settings.root, options=sources.options(directory))
