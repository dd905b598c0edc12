# SPDX-License-Identifier: Apache-2.0
"""How zypper and rpm are called: their options, their environment, and where libzypp keeps its files."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from patchwright.agent.clock import Clock
from patchwright.agent.providers import Settings
from patchwright.agent.providers.rpm import database as rpm
from patchwright.agent.providers.zypper import answers, configuration, database, sources
from patchwright.agent.providers.zypper.configuration import Lock, Repository
from patchwright.agent.providers.zypper.metadata import locations
from patchwright.agent.shell import Result, Shell

READ_TIMEOUT_SECONDS = 300.0  # of everything that needs no network; the first call after a refresh takes seconds
LOOK_SECONDS = 0.05  # how often a running zypper is looked at
BUSY_GRACE_SECONDS = 0.2  # it heeds no signal while it waits to ask again
TAIL_BYTES = 1024 * 1024
INDEX_LIMIT_BYTES = 4 * 1024 * 1024  # of a repomd.xml, which has a few KB

CONFIGURATIONS = ("usr/etc/zypp/zypp.conf", "usr/etc/zypp/zypp.conf.d", "etc/zypp/zypp.conf", "etc/zypp/zypp.conf.d")
# Each package in an rpm run of its own: so it is known which failed, and a broken off installation can be taken up.
ENVIRONMENT = {"ZYPP_SINGLE_RPMTRANS": "0"}
COMMAND = ("zypper", "--xmlout", "--non-interactive")
REQUEST_OPTIONS = (
    "--no-recommends",
    "--auto-agree-with-licenses",
    "--no-force-resolution",
    "--no-confirm",
)

NOT_ACCEPTED = "its name or version is not one that zypper accepts"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*\Z")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~^:-]*\Z")


class Layout(NamedTuple):
    """Where libzypp keeps its files, below the provider's root as this process sees it."""

    repositories: Path
    raw: Path
    locks: Path
    configuration: configuration.Sections


class Tool:
    """
    Calls zypper and rpm below the root of *settings*, with the settings' sources in the place of the repositories.

    Making one raises UnusableSource where a source is none that zypper could read.
    """

    def __init__(self, shell: Shell, settings: Settings) -> None:
        if settings.sources:
            sources.arrange(settings.sources, settings.root / str(settings.sources_directory).lstrip("/"))
        self._shell = shell
        self._settings = settings
        self.root = settings.root
        self._layout: Optional[Layout] = None

    @property
    def layout(self) -> Layout:
        """Where the configuration puts libzypp's files; read once."""
        if self._layout is None:
            self._layout = self._read_layout()
        return self._layout

    def inside(self, path: str) -> Path:
        """Where this process sees the file that the tools know as *path*."""
        return self.root / path.lstrip("/")

    def repositories(self) -> List[Repository]:
        """The enabled repositories, sorted by alias."""
        return [one for one in configuration.repositories(self.layout.repositories) if one.enabled]

    def locks(self) -> List[Lock]:
        """The node's own locks of packages."""
        return configuration.locks(self._locks_text())

    def installed(self) -> database.Installed:
        """What rpm's database says."""
        return database.of(rpm.read(self._shell))

    def provides(self, name: str) -> str:
        """What an installed package provides, one a line; empty where rpm does not know it."""
        argv = ["rpm", "-q", "--provides", "--", name]
        return self._shell.run(argv, timeout=READ_TIMEOUT_SECONDS, ok=range(256)).stdout

    def refresh(self, timeout: float) -> Result:
        """Run zypper refresh; whatever its exit code."""
        return self._shell.run([*COMMAND, *self._where, "refresh"], timeout=timeout, env=ENVIRONMENT, ok=range(256))

    def simulate(self, arguments: Sequence[str], locked: Sequence[Tuple[str, str]] = ()) -> Result:
        """Run zypper install --dry-run with (name, version) *locked* beside the node's locks; whatever its exit code."""
        argv = [*COMMAND, "--no-refresh", *self._where, "install", "--dry-run", *self._chosen(), "--", *arguments]
        with self._locking(locked) as environment:
            return self._shell.run(argv, timeout=READ_TIMEOUT_SECONDS, env=environment, ok=range(256))

    def install(
        self, arguments: Sequence[str], *, options: Sequence[str] = (), timeout: float, log: Path, clock: Clock
    ) -> str:
        """
        Run zypper install and answer with the end of what it wrote. It lives on if we do not, and ends after *timeout* s.

        A server that says it is busy (503) is asked again by zypper every 30 s, package by package for minutes: it is ended
        there, having installed nothing yet, since everything is fetched before.
        """
        chosen = [*self._chosen(), "--download", "in-advance", *options]
        argv = [*COMMAND, "--no-refresh", *self._where, "install", *chosen, "--", *arguments]
        begin = log.stat().st_size if log.exists() else 0
        deadline = clock.monotonic() + timeout
        process = self._shell.spawn_detached(argv, log=log, env=ENVIRONMENT)
        while self._shell.is_alive(process):
            if answers.RETRYING in _tail(log, begin):
                self._shell.end(process, grace_seconds=BUSY_GRACE_SECONDS)
            elif clock.monotonic() > deadline:
                self._shell.end(process)
                return f'{_tail(log, begin)}<message type="error">zypper was ended after {timeout:.0f} s</message>'
            clock.sleep(LOOK_SECONDS)
        return _tail(log, begin)

    def clean(self) -> None:
        """Delete the packages that were fetched from sources: nobody else would ever look at them."""
        if self._settings.sources:
            shutil.rmtree(str(self.layout.raw.parent / "packages"), ignore_errors=True)

    def index(self, repository: Repository) -> Path:
        """The index of a repository's metadata, whether it is there or not."""
        return self.layout.raw / repository.directory / "repodata" / "repomd.xml"

    def lists(self, repository: Repository) -> Dict[str, Path]:
        """The metadata kept of a repository, by kind; none where it was not fetched yet."""
        index = self.index(repository)
        try:
            with index.open("rb") as file:
                text = file.read(INDEX_LIMIT_BYTES).decode("utf-8", "replace")
        except OSError:
            return {}
        directory = self.layout.raw / repository.directory
        return {kind: directory / location for kind, location in locations(text).items()}

    def _chosen(self) -> Sequence[str]:
        """The options of a request. zypper would go and fetch what was never fetched: it works with the others alone."""
        known = [(one.alias, self.index(one).exists()) for one in self.repositories()]
        if all(is_there for _, is_there in known):
            return REQUEST_OPTIONS
        return (*REQUEST_OPTIONS, *(word for alias, is_there in known if is_there for word in ("--repo", alias)))

    @property
    def _where(self) -> Sequence[str]:
        if not self._settings.sources:
            return ()
        return sources.options("/" + str(self._settings.sources_directory).lstrip("/"))

    def _read_layout(self) -> Layout:
        known = configuration.merged(self._configuration_texts())
        main = known.get("main", {})
        base = main.get("configdir", "/etc/zypp")
        cache = main.get("cachedir", "/var/cache/zypp")
        locks = self.inside(main.get("locksfile.path", f"{base}/locks"))
        if self._settings.sources:
            directory = self.inside(str(self._settings.sources_directory))
            return Layout(directory / sources.REPOSITORIES, directory / sources.CACHE / "raw", locks, known)
        repositories = self.inside(main.get("reposdir", f"{base}/repos.d"))
        return Layout(repositories, self.inside(main.get("metadatadir", f"{cache}/raw")), locks, known)

    def _configuration_texts(self) -> List[str]:
        texts = []
        for name in CONFIGURATIONS:
            path = self.root / name
            paths = sorted(path.glob("*.conf")) if path.is_dir() else [path]
            for one in paths:
                with contextlib.suppress(OSError):
                    texts.append(one.read_text(encoding="utf-8", errors="replace"))
        return texts

    def _locks_text(self) -> str:
        try:
            return self.layout.locks.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    @contextlib.contextmanager
    def _locking(self, locked: Sequence[Tuple[str, str]]) -> Iterator[Dict[str, str]]:
        """The environment in which zypper heeds *locked* too: a configuration of its own, the node's but for the locks."""
        if not locked:
            yield dict(ENVIRONMENT)
            return
        directory = Path(tempfile.mkdtemp(prefix="patchwright-", dir=str(self.root / "tmp")))
        try:
            named = "/" + str(directory.relative_to(self.root))
            text = self._locks_text().strip("\n")
            (directory / "locks").write_text(f"\n{text}\n\n{configuration.lock_text(locked)}\n", encoding="utf-8")
            known = {name: dict(values) for name, values in self.layout.configuration.items()}
            known.setdefault("main", {})["locksfile.path"] = f"{named}/locks"
            (directory / "zypp.conf").write_text(configuration.written(known), encoding="utf-8")
            yield {**ENVIRONMENT, "ZYPP_CONF": f"{named}/zypp.conf"}
        finally:
            shutil.rmtree(str(directory), ignore_errors=True)


def is_name(text: str) -> bool:
    """Whether zypper can take *text* for a package's name and for nothing else."""
    return _NAME.match(text) is not None and len(text) <= 200


def is_version(text: str) -> bool:
    """Whether zypper can take *text* for an edition and for nothing else."""
    return _VERSION.match(text) is not None and len(text) <= 200


def _tail(log: Path, begin: int) -> str:
    with log.open("rb") as file:
        file.seek(max(begin, file.seek(0, os.SEEK_END) - TAIL_BYTES))
        return file.read(TAIL_BYTES).decode("utf-8", "replace")
