# SPDX-License-Identifier: Apache-2.0
"""
One package per package manager: ask, read (pure), act.

A provider speaks for the node's own package manager. It decides nothing: it says what is there, what the manager's resolver
makes of an intent, and carries out exactly a plan.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Callable, Dict, Mapping, NamedTuple, Optional, Protocol, Sequence, Tuple

from patchwright.agent import node
from patchwright.agent.clock import Clock
from patchwright.agent.errors import UnsupportedSystem
from patchwright.agent.providers.locks import Holder
from patchwright.agent.shell import Shell
from patchwright.core.advisory import Notice
from patchwright.core.facts import Pin, RepositoryProblem, SliceRef
from patchwright.core.package import Manager, OffersSlice, PackageSet
from patchwright.core.source import Source
from patchwright.core.system import Family, identify

if TYPE_CHECKING:  # taking facts needs neither plans nor what carries them out
    from patchwright.core.plan import Intent, Plan, Resolution

OUTPUT_LIMIT = 16 * 1024  # characters of Outcome.output


class Refresh(NamedTuple):
    """
    What fetching repository metadata came to.

    *refreshed_at* is when every repository was last known to be up to date (epoch seconds, 0: never): with problems it is
    older than now.
    """

    refreshed_at: float
    problems: Tuple[RepositoryProblem, ...] = ()


class Reading(NamedTuple):
    """Everything a node's package manager says of the node. *held* are `name.arch`, sorted; *pins* are sorted."""

    packages: PackageSet
    slices: Tuple[Tuple[OffersSlice, SliceRef], ...]
    pins: Tuple[Pin, ...] = ()
    held: Tuple[str, ...] = ()
    notices: Tuple[Notice, ...] = ()
    modules: Tuple[str, ...] = ()
    refreshed_at: float = 0.0  # the age of the metadata read, epoch seconds; 0: not known


class Outcome(NamedTuple):
    """
    What an installation came to, judged from the package database afterwards.

    *failures* by `name.arch`: why the plan's action did not happen; *output* is the end of what the package manager wrote.
    """

    failures: Dict[str, str]
    output: str = ""


class Settings(NamedTuple):
    """
    What a provider may be told.

    *root* is where the node's files are: `/`, or a tree that the shell's prefix enters. *sources*, where there are any, are
    the repositories that everything is read from, resolved and installed with in the place of the node's own, which stay as
    they are and are not looked at. What the tool needs for it (configuration files, fetched metadata) is kept in
    *sources_directory*, a path as the tools below *root* know it: it outlives the process, belongs to these sources alone,
    and is the same for every task of an operation. Making a provider may raise UnusableSource.
    """

    root: Path = Path("/")
    sources: Tuple[Source, ...] = ()
    sources_directory: Path = Path("/var/lib/patchwright-agent-sources")
    lock_wait_seconds: float = 600.0
    refresh_timeout_seconds: float = 900.0
    install_timeout_seconds: float = 4 * 3600.0


class Provider(Protocol):
    """A package manager. Every method may raise CommandError; what else it raises is said with it."""

    @property
    def manager(self) -> Manager:
        """Which package manager this is."""
        ...

    def refresh(self) -> Refresh:
        """
        Fetch repository metadata. A repository that cannot be read is a problem, never an error.

        Raises LockHeld where another process keeps the manager's locks longer than the settings allow.
        """
        ...

    def read(self) -> Reading:
        """Read installed packages and offers. No network, no lock, nothing on the node changes."""
        ...

    def installed(self) -> Mapping[str, str]:
        """The versions in the package database by `name.arch`, as `read` has them, without looking at any repository."""
        ...

    def candidates(self, keys: Sequence[str]) -> Mapping[str, str]:
        """
        By `name.arch`, the version the manager would install now, for those of *keys* that have one.

        Unlike `core.facts.View.candidates` it also answers for packages that are not installed, which a plan brings in as
        dependencies: drift is checked with this. No network, nothing changes.
        """
        ...

    def resolve(self, intent: Intent) -> Resolution:
        """
        The manager's own closure of *intent*, or by `name.arch` why a wanted update cannot be part of it.

        Nothing is removed, nothing blocked or held changes, and what can be resolved is, whatever cannot. Nothing changes on
        the node.
        """
        ...

    def install(self, plan: Plan, progress: Callable[[str], None]) -> Outcome:
        """
        Carry out exactly *plan*; nothing that it does not name changes.

        It may be called again after an interruption: what is already at `after` and configured is left alone. An action whose
        `before` is its `after` finishes that package's configuration. *progress* takes a line for a person.

        Raises LockHeld as `refresh` does. A package that fails is in the outcome; it does not keep the others out.
        """
        ...

    def holder(self) -> Optional[Holder]:
        """Who holds a lock that `install` needs, as far as it is seen without taking it; None where nobody does."""
        ...

    def reboot_reasons(self) -> Tuple[str, ...]:
        """Why the system itself asks for a restart; empty where it does not."""
        ...


def detect(root: Path = Path("/")) -> Optional[Manager]:
    """
    The package manager of the system below *root*; None where it has none that is known here.

    os-release decides which one it may be: a system may well have another's tools installed. Where no baseline can cover the
    system, what is installed decides.
    """
    system = identify(node.os_release(root))
    managers = [_OF_FAMILY.get(system.operating_system.family)] if system else list(_SIGNS)
    return next((manager for manager in managers if manager and _has(root, manager)), None)


# The files of which one must be there, and one that must be there beside it.
_SIGNS = {
    Manager.APT: (("usr/bin/apt-get",), "var/lib/dpkg/status"),
    Manager.ZYPPER: (("usr/bin/zypper",), ""),
    Manager.DNF: (("usr/bin/dnf", "usr/bin/dnf5", "usr/bin/yum"), ""),
}
_OF_FAMILY = {Family.APT: Manager.APT, Family.RPM: Manager.DNF, Family.ZYPP: Manager.ZYPPER}


def _has(root: Path, manager: Manager) -> bool:
    programs, database = _SIGNS[manager]
    return any((root / program).exists() for program in programs) and (root / database).exists()


def load(
    manager: Optional[Manager], shell: Shell, *, clock: Optional[Clock] = None, settings: Optional[Settings] = None
) -> Provider:
    """
    The provider of *manager*, imported only when asked for.

    Raises UnsupportedSystem where there is none.
    """
    if manager is Manager.APT:
        from patchwright.agent.providers.apt import Apt

        return Apt(shell, clock=clock or Clock(), settings=settings or Settings())
    if manager is Manager.DNF:
        from patchwright.agent.providers.dnf import Dnf

        return Dnf(shell, clock=clock or Clock(), settings=settings or Settings())
    if manager is Manager.ZYPPER:
        from patchwright.agent.providers.zypper import Zypper

        return Zypper(shell, clock=clock or Clock(), settings=settings or Settings())
    raise UnsupportedSystem(
        "this system has no package manager that this agent can drive; it drives apt, dnf and zypper"
    )
