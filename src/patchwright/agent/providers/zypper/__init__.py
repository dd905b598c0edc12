# SPDX-License-Identifier: Apache-2.0
"""The provider for zypper, libzypp and rpm: SUSE Linux Enterprise Server."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Dict, List, Mapping, Optional, Sequence, Set, Tuple

from patchwright.agent.clock import Clock
from patchwright.agent.errors import CommandTimedOut
from patchwright.agent.providers import OUTPUT_LIMIT, Outcome, Reading, Refresh, Settings
from patchwright.agent.providers.locks import Holder
from patchwright.agent.providers.rpm.compression import pieces
from patchwright.agent.providers.words import end_of, output_file
from patchwright.agent.providers.zypper import answers, metadata, restart
from patchwright.agent.providers.zypper.configuration import DEFAULT_PRIORITY, Repository
from patchwright.agent.providers.zypper.locks import ZyppLocks
from patchwright.agent.providers.zypper.tool import Tool
from patchwright.agent.shell import Result, Shell
from patchwright.core.facts import DEFAULT_PIN, INSTALLED_PIN, RepositoryProblem, SliceRef
from patchwright.core.package import Manager, OffersSlice, Origin, PackageSet
from patchwright.core.version import Scheme, key

if TYPE_CHECKING:
    from patchwright.agent.providers.resolver import Request
    from patchwright.core.plan import Intent, Plan, Resolution


class Zypper:
    """See `providers.Provider`."""

    manager = Manager.ZYPPER

    def __init__(self, shell: Shell, *, clock: Clock, settings: Settings) -> None:
        self._tool = Tool(shell, settings)
        self._clock = clock
        self._settings = settings

    def refresh(self) -> Refresh:
        """Run zypper refresh; see `providers.Provider`."""
        repositories = self._tool.repositories()
        before = self._stamp(repositories)
        begin = self._clock.now()
        try:
            result = self._waiting(lambda: self._tool.refresh(self._settings.refresh_timeout_seconds))
        except CommandTimedOut as error:
            return Refresh(before, (RepositoryProblem("", answers.cut(str(error))),))
        problems = self._problems(repositories, result)
        if problems:
            return Refresh(before, problems)
        for repository in repositories:
            with contextlib.suppress(OSError):  # libzypp itself sets this time when nothing was new
                os.utime(str(self._tool.index(repository)), (begin, begin))
        return Refresh(begin)

    def read(self) -> Reading:
        """Read rpm's database and the metadata that libzypp keeps; see `providers.Provider`."""
        installed = self._tool.installed()
        names: Dict[bytes, Set[bytes]] = {}
        for package in installed.packages:
            names.setdefault(package.name.encode(), set()).add(package.arch.encode())
        repositories = self._tool.repositories()
        lists = [self._tool.lists(repository) for repository in repositories]
        known = metadata.newest(
            found
            for one in lists
            if "updateinfo" in one
            for found in metadata.patches(pieces(one["updateinfo"]), names)
        )
        notices = tuple(known[name].notice for name in sorted(known))
        named: Dict[Tuple[str, ...], List[str]] = {}
        for notice in notices:
            for fixed in notice.packages:
                named.setdefault(tuple(fixed), []).append(notice.id)
        parts = []
        for repository, one in zip(repositories, lists):
            found = metadata.offers(pieces(one["primary"]), names) if "primary" in one else iter(())
            offers = (offer._replace(notices=tuple(named.get(offer[:3], ()))) for offer in found)
            part = OffersSlice.of(Manager.ZYPPER, _origin(repository), offers)
            parts.append((part, SliceRef(part.digest, _pin(repository), repository.address)))
        locks = self._tool.locks()
        return Reading(
            packages=PackageSet.of(Manager.ZYPPER, installed.packages),
            slices=tuple(parts),
            held=tuple(
                sorted({one.key for one in installed.packages for lock in locks if lock.covers(one.name, one.version)})
            ),
            notices=notices,
            refreshed_at=self._stamp(repositories),
        )

    def installed(self) -> Mapping[str, str]:
        """Read rpm's database alone; see `providers.Provider`. Of versions side by side it is the newest."""
        return self._tool.installed().newest()

    def candidates(self, keys: Sequence[str]) -> Mapping[str, str]:
        """Look into the kept metadata: the best priority counts, then the version; see `providers.Provider`."""
        wanted: Dict[bytes, Set[bytes]] = {}
        for one in keys:
            name, _, arch = one.rpartition(".")
            wanted.setdefault(name.encode(), set()).add(arch.encode())
        best: Dict[str, Tuple[int, bytes, str]] = {}
        for one, version in self._tool.installed().newest().items():
            if one in keys:
                best[one] = (0, key(Scheme.RPM, version), version)
        floor = {one: order for one, (_, order, _) in best.items()}
        for repository in self._tool.repositories():
            lists = self._tool.lists(repository)
            for offer in metadata.offers(pieces(lists["primary"]), wanted) if "primary" in lists else ():
                choice = (_pin(repository), key(Scheme.RPM, offer.version), offer.version)
                if choice[1] >= floor.get(offer.key, b""):
                    best[offer.key] = max(best.get(offer.key, choice), choice)
        return {one: version for one, (_, _, version) in best.items()}

    def resolve(self, intent: Intent) -> Resolution:
        """Simulate zypper install; see `providers.Provider`."""
        from patchwright.agent.providers.zypper.closure import Closure

        def simulate(requests: Sequence[Request], locked: Sequence[Tuple[str, str]]) -> Result:
            arguments = [answers.argument(request) for request in requests]
            return self._waiting(lambda: self._tool.simulate(arguments, locked))

        return Closure(simulate, self._tool.installed(), self._tool.locks(), intent).resolve()

    def install(self, plan: Plan, progress: Callable[[str], None]) -> Outcome:
        """Run zypper install with exact versions; see `providers.Provider`."""
        from patchwright.agent.providers.zypper.installation import Installation

        try:
            with output_file() as log:
                work = Installation(
                    self._tool,
                    plan,
                    first=self._first(plan),
                    locks=self._locks(),
                    log=log,
                    clock=self._clock,
                    timeout_seconds=self._settings.install_timeout_seconds,
                    progress=progress,
                )
                return Outcome(work.carry_out(), _told(log))
        finally:
            self._tool.clean()

    def holder(self) -> Optional[Holder]:
        """See who has the locks; see `providers.Provider`."""
        return self._locks().holder()

    def reboot_reasons(self) -> Tuple[str, ...]:
        """Look at libzypp's mark and at the kernels; see `providers.Provider`."""
        return restart.reasons(self._settings.root, os.uname().release)

    def _locks(self) -> ZyppLocks:
        return ZyppLocks(self._settings.root, clock=self._clock, seconds=self._settings.lock_wait_seconds)

    def _waiting(self, attempt: Callable[[], Result]) -> Result:
        return self._locks().wait_for(attempt, lambda result: answers.holder(result.stdout, result.code))

    def _stamp(self, repositories: Sequence[Repository]) -> float:
        """When every repository was last known to be up to date: libzypp touches an index whenever it has asked."""
        try:
            return min((self._tool.index(one).stat().st_mtime for one in repositories), default=0.0)
        except OSError:
            return 0.0

    def _problems(self, repositories: Sequence[Repository], result: Result) -> Tuple[RepositoryProblem, ...]:
        aliases = {one.name: one for one in repositories}
        aliases.update({one.alias: one for one in repositories})
        found = []
        for name, message in answers.repository_failures(result.stdout):
            known = aliases.get(name)
            found.append(RepositoryProblem(f"{known.alias} {known.address}" if known else name, message))
        told = {problem.repository.partition(" ")[0] for problem in found}
        for one in repositories:
            if one.alias not in told and not self._tool.index(one).exists() and not found:
                message = "it has no rpm-md metadata, the only kind that is read here"
                found.append(RepositoryProblem(f"{one.alias} {one.address}", message))
        if not found and result.code not in (*answers.FINE, answers.NO_REPOSITORIES):
            found.append(RepositoryProblem("", answers.errors(result.stdout) or answers.cut(result.tail)))
        return tuple(found)

    def _first(self, plan: Plan) -> Set[str]:
        """The actions of patches after which the package manager has to be started anew: they are installed before others."""
        changing = {(action.name, action.arch, action.after) for action in plan.actions}
        names = {action.name.encode() for action in plan.actions}
        found: Set[str] = set()
        for repository in self._tool.repositories():
            path = self._tool.lists(repository).get("updateinfo")
            for one in metadata.patches(pieces(path), names) if path else ():
                if one.restarts_manager:
                    found.update(fixed.key for fixed in one.notice.packages if tuple(fixed) in changing)
        return found


def _origin(repository: Repository) -> Origin:
    return Origin(origin=repository.alias, label=repository.alias, suite=repository.alias)


def _pin(repository: Repository) -> int:
    """zypper's priority, of which the lowest is best, as one where the highest is; never below what is installed."""
    return max(INSTALLED_PIN + 1, DEFAULT_PIN + DEFAULT_PRIORITY - repository.priority)


def _told(log: Path) -> str:
    """The end of the output, without what only a program reads."""
    return answers.plain(end_of(log, 64 * OUTPUT_LIMIT))[-OUTPUT_LIMIT:]
