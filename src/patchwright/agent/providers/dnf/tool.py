# SPDX-License-Identifier: Apache-2.0
"""How dnf 4 and dnf 5 are called: their options, and where they keep their files."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from patchwright.agent.errors import CommandError, UnsupportedSystem
from patchwright.agent.providers import Settings
from patchwright.agent.providers.dnf import configuration, transcript
from patchwright.agent.providers.sources import keep
from patchwright.agent.shell import Result, Shell
from patchwright.core import source

READ_TIMEOUT_SECONDS = 300.0  # of everything that needs no network
ARGUMENT_LIMIT_BYTES = 120 * 1024  # Linux takes 128 KB in one argument
PROGRAMS = ("dnf", "dnf5", "dnf-3", "microdnf", "yum")
# What the node's configuration says of excluded packages does not count (spec §2.5), what a version lock says does.
READ_OPTIONS = ("--setopt=*.excludepkgs=", "--setopt=includepkgs=", "--setopt=*.includepkgs=")
RESOLVE_OPTIONS = ("--setopt=best=1", "--setopt=strict=1", "--setopt=install_weak_deps=0")
STAY_OPTIONS = ("--setopt=metadata_expire=-1", "--setopt=*.metadata_expire=-1")  # what the plan was made with counts
NETWORK_OPTIONS = ("--setopt=retries=2", "--setopt=timeout=30", "--setopt=*.skip_if_unavailable=1")
DNF4_LOCKS = ("rpmdb_lock.pid", "metadata_lock.pid", "download_lock.pid")


class Engine(NamedTuple):
    """Which program is called, and whether it is dnf 5."""

    program: str
    is_five: bool


class Tool:
    """Calls dnf below the settings' root, which the shell's prefix enters where it is not `/`."""

    def __init__(self, shell: Shell, settings: Settings) -> None:
        self.shell = shell
        self.root = settings.root
        self._settings = settings
        self._engine: Optional[Engine] = None
        self._enabled: Optional[Dict[str, str]] = None

    @property
    def engine(self) -> Engine:
        """The dnf of this system. Raises UnsupportedSystem where it has only yum 3, which is another engine."""
        if self._engine is None:
            self._engine = find_engine(self.root)
        return self._engine

    @property
    def cache(self) -> Path:
        """Where the fetched metadata lies, as this process sees it."""
        if self._settings.sources:
            return self._inside(self._sources_home / "cache")
        if self.engine.is_five:
            return self._inside(Path(configuration.option(self.root, "system_cachedir") or "/var/cache/libdnf5"))
        return self._inside(Path(configuration.option(self.root, "cachedir") or "/var/cache/dnf"))

    @property
    def repository_directories(self) -> Sequence[Path]:
        """Where the files of the repositories are that count for this operation."""
        if self._settings.sources:
            return [self._inside(self._sources_home / "repos.d")]
        return [self.root / path for path in configuration.REPOSITORY_DIRECTORIES]

    @property
    def locks(self) -> Sequence[Path]:
        """The files that rpm and dnf 5 lock."""
        databases = ("var/lib/rpm", "usr/lib/sysimage/rpm")
        locks = [self.root / path / ".rpm.lock" for path in databases if not (self.root / path).is_symlink()]
        return [*locks, self.root / "run/dnf/rpmtransaction.lock"]

    @property
    def pid_files(self) -> Sequence[Path]:
        """The files in which dnf 4 writes which process holds a lock."""
        if self.engine.is_five:
            return []
        return [directory / name for directory in (self.cache, self.root / "var/lib/dnf") for name in DNF4_LOCKS]

    def enabled(self) -> Dict[str, str]:
        """The long names of the enabled repositories by id; asked once."""
        if self._enabled is None:
            if self.engine.is_five:
                self._enabled = transcript.enabled5(self._look(["repo", "list", "--enabled", "--json"]).stdout)
            else:
                self._enabled = transcript.enabled4(self._look(["-q", "repolist", "--enabled"]).stdout)
        return self._enabled

    def metadata(self, repository: str) -> Optional[Path]:
        """The `repodata` directory of a repository's newest cached metadata; None where nothing was ever fetched."""
        named = re.compile(re.escape(repository) + r"-[0-9a-f]{16}\Z")
        found: List[Tuple[float, Path]] = []
        for path in self.cache.glob(_glob_escape(repository) + "-*"):
            repomd = path / "repodata/repomd.xml"
            if named.match(path.name):
                with contextlib.suppress(OSError):
                    found.append((repomd.stat().st_mtime, repomd.parent))
        return max(found)[1] if found else None

    def refresh(self, timeout: float) -> Result:
        """Run dnf makecache; whatever its exit code."""
        argv = [*self._head(), "--refresh", "-y", *NETWORK_OPTIONS, "makecache"]
        return self.shell.run(argv, timeout=timeout, ok=range(256))

    def simulate(self, verb: str, arguments: Sequence[str], excluded: Sequence[str] = ()) -> Result:
        """Say what `dnf VERB` would do, from the metadata that is there; whatever its exit code."""
        return self._look([*self._transaction(excluded), "--assumeno", verb, *arguments], range(256))

    def act(
        self, verb: str, arguments: Sequence[str], *, excluded: Sequence[str] = (), timeout: float, log: Path
    ) -> Result:
        """Run `dnf VERB`; whatever its exit code."""
        lock = [] if self.engine.is_five else ["--setopt=exit_on_lock=1"]
        argv = [
            *self._head(),
            "-y",
            *STAY_OPTIONS,
            *NETWORK_OPTIONS,
            *lock,
            *self._transaction(excluded),
            verb,
            *arguments,
        ]
        return self.shell.run(argv, timeout=timeout, ok=range(256), log=log)

    def mark_dependencies(self, names: Sequence[str]) -> None:
        """Tell dnf that these packages were not asked for by a person."""
        if names:
            verb = ["mark", "dependency"] if self.engine.is_five else ["mark", "remove"]
            with contextlib.suppress(CommandError):  # only what a later autoremove takes away depends on it
                self.shell.run([*self._head(), "-y", *verb, *names], timeout=READ_TIMEOUT_SECONDS, ok=range(256))

    def rpm(self, *argv: str, ok: Sequence[int] = (0,), log: Optional[Path] = None, timeout: float = 0.0) -> Result:
        """Run rpm."""
        return self.shell.run(["rpm", *argv], timeout=timeout or READ_TIMEOUT_SECONDS, ok=ok, log=log)

    def prepare(self) -> None:
        """Write the sources, where there are any, into the directory of the operation."""
        if not self._settings.sources:
            return
        self._inside(self._settings.sources_directory).mkdir(parents=True, exist_ok=True)
        for part in (self._inside(self._sources_home), self.cache):
            part.mkdir(mode=0o700, exist_ok=True)
        keep(self._inside(self._sources_home / "repos.d"), configuration.source_files(self._settings.sources))

    def _look(self, argv: Sequence[str], ok: Sequence[int] = (0,)) -> Result:
        """Run a command of dnf's that changes nothing and fetches nothing."""
        return self.shell.run([*self._head(), "-C", *argv], timeout=READ_TIMEOUT_SECONDS, ok=ok)

    def _head(self) -> List[str]:
        head = [self.engine.program]
        if self._settings.sources:
            self.prepare()
            name = "system_cachedir" if self.engine.is_five else "cachedir"
            head.append(f"--setopt=reposdir={self._sources_home / 'repos.d'}")
            head.append(f"--setopt={name}={self._sources_home / 'cache'}")
        return head

    @property
    def _sources_home(self) -> Path:
        """The directory of these sources, as dnf sees it: others have another, so that nothing is mixed up."""
        digest = hashlib.sha256(source.digest(self._settings.sources).encode()).hexdigest()[:16]
        return self._settings.sources_directory / f"dnf-{digest}"

    def _transaction(self, excluded: Sequence[str]) -> List[str]:
        options = [*RESOLVE_OPTIONS, *READ_OPTIONS]
        if self.engine.is_five:
            options.append("--setopt=allow_downgrade=0")
        return [*options, "--setopt=excludepkgs=" + ",".join(excluded)]

    def _inside(self, path: Path) -> Path:
        """Where this process sees what dnf knows as *path*."""
        return self.root / str(path).lstrip("/")


def find_engine(root: Path) -> Engine:
    """The dnf of the system below *root*; raises UnsupportedSystem where it has none of the right engine."""
    for program in PROGRAMS:
        path = root / "usr/bin" / program
        if path.is_symlink():
            name = os.path.basename(os.readlink(str(path)))  # noqa: PTH119 - the link itself counts
            if name.startswith("python"):
                name = program
        elif path.exists():
            name = program
        else:
            continue
        if program == "yum" and name not in ("dnf", "dnf-3", "dnf5"):
            break
        if name != "microdnf":
            return Engine(program, name == "dnf5")
    raise UnsupportedSystem("this system has no dnf; yum 3 is another engine, which this agent cannot drive")


def fits(excluded: Sequence[str]) -> bool:
    """Whether these exclusions can be given to dnf."""
    return len(",".join(excluded).encode()) < ARGUMENT_LIMIT_BYTES


def _glob_escape(text: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", text)
