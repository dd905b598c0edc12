# SPDX-License-Identifier: Apache-2.0
"""The provider for dnf 4, dnf 5 and yum where that is dnf: RHEL and its kin, CentOS, Oracle Linux, Amazon Linux."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Collection, List, Mapping, Optional, Sequence, Set, Tuple

from patchwright.agent.clock import Clock
from patchwright.agent.errors import CommandFailed, CommandTimedOut
from patchwright.agent.providers import OUTPUT_LIMIT, Outcome, Reading, Refresh, Settings
from patchwright.agent.providers.dnf import configuration, restart, transcript
from patchwright.agent.providers.dnf.locks import DnfLocks
from patchwright.agent.providers.dnf.metadata import Metadata, fetched_at
from patchwright.agent.providers.dnf.tool import Tool
from patchwright.agent.providers.locks import Holder
from patchwright.agent.providers.rpm import database
from patchwright.agent.providers.words import cut, end_of, output_file, readable, without_secret
from patchwright.agent.shell import Shell
from patchwright.core.facts import RepositoryProblem, SliceRef
from patchwright.core.package import Manager, OffersSlice, Origin, PackageSet

if TYPE_CHECKING:
    from patchwright.core.plan import Intent, Plan, Resolution

Identity = Tuple[str, str, str]


class Dnf:
    """See `providers.Provider`."""

    manager = Manager.DNF

    def __init__(self, shell: Shell, *, clock: Clock, settings: Settings) -> None:
        self._tool = Tool(shell, settings)
        self._metadata = Metadata(self._tool)
        self._clock = clock
        self._settings = settings

    def refresh(self) -> Refresh:
        """Run dnf makecache; see `providers.Provider`."""
        try:
            enabled = self._tool.enabled()
        except CommandFailed as error:  # dnf 5 does nothing where one file of the configuration is damaged
            return Refresh(0.0, (RepositoryProblem("", cut(without_secret(str(error)), 1000)),))
        before = self._metadata.fetched_at()
        begin = self._clock.now()
        try:
            result = self._locks(for_metadata=True).wait_for(
                lambda: self._tool.refresh(self._settings.refresh_timeout_seconds),
                lambda result: transcript.lock_holder(result.stderr) if result.code else None,
            )
        except CommandTimedOut as error:
            return Refresh(before, (RepositoryProblem("", str(error)[:1000]),))
        names = {long: repository for repository, long in enabled.items()}
        problems = transcript.repository_problems(result.stdout, result.stderr, result.code, names)
        failed = {problem.repository for problem in problems}
        if "" not in failed:
            self._stamp([repository for repository in enabled if repository not in failed], begin)
        return Refresh(min(self._metadata.fetched_at(), before) if problems else begin, problems)

    def read(self) -> Reading:
        """Read the rpm database and dnf's cached metadata; see `providers.Provider`."""
        rows = self._rows()
        everything = self._metadata.read({row.name for row in rows})
        keys = {row.key for row in rows}
        parts = []
        for part in everything.repositories:
            origin = Origin(part.repository, part.repository, part.repository)
            offers = [offer for offer in part.offers if offer.key in keys]
            slice_ = OffersSlice.of(Manager.DNF, origin, offers)
            parts.append((slice_, SliceRef(slice_.digest, part.pin)))
        named = {notice for slice_, _ in parts for offer in slice_.offers for notice in offer.notices}
        return Reading(
            packages=PackageSet.of(Manager.DNF, (row.package for row in rows)),
            slices=tuple(parts),
            held=self._held(rows),
            notices=tuple(notice for notice in everything.notices if notice.id in named),
            modules=everything.modules,
            refreshed_at=min((part.fetched_at for part in everything.repositories), default=0.0),
        )

    def installed(self) -> Mapping[str, str]:
        """Ask rpm alone; see `providers.Provider`. Of versions side by side the newest."""
        return database.newest(self._rows())

    def candidates(self, keys: Sequence[str]) -> Mapping[str, str]:
        """Read dnf's cached metadata; see `providers.Provider`."""
        if not keys:
            return {}
        found = self._metadata.candidates({key.rpartition(".")[0] for key in keys}, self.installed())
        return {key: found[key] for key in keys if key in found}

    def resolve(self, intent: Intent) -> Resolution:
        """Simulate dnf upgrade; see `providers.Provider`."""
        from patchwright.agent.providers.dnf.closure import Closure, Surroundings, blocked_by

        rows = self._rows()
        held = self._held(rows)
        names = {key.rpartition(".")[0] for key in held}
        blocked = (
            blocked_by(intent.blocked, self._metadata.identities(None)) if intent.blocked and intent.wanted else set()
        )
        locked = self._metadata.identities(names) if names and intent.wanted else set()
        return Closure(self._tool, Surroundings(rows, held, blocked, locked), intent).resolve()

    def install(self, plan: Plan, progress: Callable[[str], None]) -> Outcome:
        """Run dnf upgrade with exact versions; see `providers.Provider`."""
        from patchwright.agent.providers.dnf.installation import Installation

        with output_file() as log:
            work = Installation(
                self._tool,
                plan,
                locks=self._locks(),
                rows=self._rows,
                available=self._metadata.identities,
                log=log,
                timeout_seconds=self._settings.install_timeout_seconds,
                progress=progress,
            )
            return Outcome(work.carry_out(), readable(end_of(log, OUTPUT_LIMIT)))

    def holder(self) -> Optional[Holder]:
        """See who has the locks; see `providers.Provider`."""
        return self._locks().holder()

    def reboot_reasons(self) -> Tuple[str, ...]:
        """Compare kernels, and ask what was installed since the boot; see `providers.Provider`."""
        return restart.reasons(
            self._settings.root,
            running=os.uname().release,
            booted_at=restart.booted_at(self._clock.now(), self._proc),
            rows=self._rows(),
            suggested=self._suggested,
        )

    def _suggested(self, identities: Set[Identity]) -> Collection[Tuple[Identity, str]]:
        return [
            (listed[:3], advisory.notice.id)
            for advisory in self._metadata.notices_of(identities)
            if advisory.notice.reboot_suggested
            for listed in advisory.packages
        ]

    def _rows(self) -> Tuple[database.Row, ...]:
        return database.read(self._tool.shell)

    def _held(self, rows: Sequence[database.Row]) -> Tuple[str, ...]:
        names = configuration.locked(self._settings.root, {row.name for row in rows})
        return tuple(sorted({row.key for row in rows if row.name in names}))

    @property
    def _proc(self) -> Path:
        """The node's own processes."""
        inside = self._settings.root / "proc"
        return inside if (inside / "locks").exists() else Path("/proc")

    def _locks(self, *, for_metadata: bool = False) -> DnfLocks:
        """Nobody who installs keeps others from fetching metadata."""
        files = [path for path in self._tool.pid_files if not for_metadata or path.name.startswith("metadata")]
        return DnfLocks(
            () if for_metadata else self._tool.locks,
            files,
            clock=self._clock,
            seconds=self._settings.lock_wait_seconds,
            proc=self._proc,
        )

    def _stamp(self, repositories: List[str], moment: float) -> None:
        """Write down that these repositories were current: dnf leaves the files alone where nothing was new."""
        for repository in repositories:
            directory = self._tool.metadata(repository)
            if directory and fetched_at(directory):
                with contextlib.suppress(OSError):
                    os.utime(str(directory / "repomd.xml"), (moment, moment))
