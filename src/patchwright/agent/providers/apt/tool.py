# SPDX-License-Identifier: Apache-2.0
"""How apt and dpkg are called: their options, their environment, and where they keep their files."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import tempfile
from pathlib import Path
from typing import Iterator, List, NamedTuple, Optional, Sequence

from patchwright.agent.errors import MetadataUnreadable
from patchwright.agent.providers.apt.lists import CHUNK_BYTES, COMPRESSED
from patchwright.agent.shell import Result, Shell

READ_TIMEOUT_SECONDS = 300.0  # of everything that needs no network; a simulation takes a second
HELPER = "/usr/lib/apt/apt-helper"

# Nobody is there to answer a question: every program that might ask one is told so.
UNATTENDED = {
    "DEBIAN_FRONTEND": "noninteractive",
    "DEBIAN_PRIORITY": "critical",
    "APT_LISTCHANGES_FRONTEND": "none",
    "APT_LISTBUGS_FRONTEND": "none",
    "NEEDRESTART_MODE": "l",
    "UCF_FORCE_CONFFOLD": "1",
}
FORCE_CONFFILES = ("--force-confdef", "--force-confold")  # a changed conffile stays as the node has it
REQUEST_OPTIONS = (
    "-y",
    "-q",
    "--no-remove",
    "--no-install-recommends",
    "-oAPT::Get::AutomaticRemove=false",
    "-oAPT::Get::Show-User-Simulation-Note=false",
)
# apt keeps what it has read in two files. Where these do not fit it fails, and leaves behind what it had written of them: on
# a disk that is nearly full it is told to do without, which only takes it longer.
WITHOUT_CACHE = ("-oDir::Cache::pkgcache=", "-oDir::Cache::srcpkgcache=")
ROOM_FOR_CACHE_BYTES = 128 * 1024 * 1024
NETWORK_OPTIONS = ("-oAcquire::Retries=2", "-oAcquire::http::Timeout=30", "-oAcquire::https::Timeout=30")
INSTALL_OPTIONS = (
    *REQUEST_OPTIONS,
    *NETWORK_OPTIONS,
    *(f"-oDpkg::Options::={option}" for option in FORCE_CONFFILES),
    "-oDPkg::StopOnError=false",  # one package that fails does not keep out those that do not need it
    "-oDPkg::Lock::Timeout=5",  # the rest of the waiting is ours, so that the holder is named
    "-oDpkg::Progress-Fancy=false",
)

_NAME = re.compile(r"[a-z0-9A-Z][a-zA-Z0-9+.-]*\Z")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+:~-]*\Z")
_VARIABLES = (
    ("ARCHITECTURE", "APT::Architecture"),
    ("STATUS", "Dir::State::status/f"),
    ("LISTS", "Dir::State::lists/d"),
    ("ARCHIVES", "Dir::Cache::archives/d"),
    ("PREFERENCES", "Dir::Etc::preferencesparts/d"),
    ("EXTENDED", "Dir::State::extended_states/f"),
)


class Layout(NamedTuple):
    """What apt's configuration says. Paths are below the provider's root, as this process sees them."""

    architecture: str
    status: Path
    lists: Path
    archives: Path
    preferences: Path
    extended: Path

    @property
    def locks(self) -> Sequence[Path]:
        """The files that apt and dpkg lock."""
        dpkg = self.status.parent
        return (dpkg / "lock-frontend", dpkg / "lock", self.lists / "lock", self.archives / "lock")


class Tool:
    """
    Calls apt and dpkg below *root*, which the shell's prefix enters where it is not `/`.

    *options* are given to apt with every call.
    """

    def __init__(self, shell: Shell, root: Path, *, options: Sequence[str] = ()) -> None:
        self._shell = shell
        self._options = tuple(options)
        self.root = root
        self._layout: Optional[Layout] = None

    @property
    def layout(self) -> Layout:
        """Where apt's configuration puts its files; asked once."""
        if self._layout is None:
            argv = ["apt-config", *self._options, "shell", *(part for pair in _VARIABLES for part in pair)]
            output = self._shell.run(argv, timeout=READ_TIMEOUT_SECONDS).stdout
            values = dict(word.partition("=")[::2] for word in shlex.split(output))
            missing = [name for name, _ in _VARIABLES if not values.get(name)]
            if missing:
                raise MetadataUnreadable("apt-config does not say {}".format(", ".join(missing)))
            paths = [self.inside(values[name]) for name, _ in _VARIABLES[1:]]
            self._layout = Layout(values["ARCHITECTURE"], *paths)
        return self._layout

    def inside(self, path: str) -> Path:
        """Where this process sees the file that the tools know as *path*."""
        return self.root / path.lstrip("/")

    def ask(self, *argv: str, ok: Sequence[int] = (0,)) -> Result:
        """Run a command that changes nothing."""
        return self._look(argv, ok)

    def update(self, timeout: float) -> Result:
        """Run apt-get update; whatever its exit code."""
        argv = ["apt-get", "update", "-q", *NETWORK_OPTIONS]
        return self._shell.run(self._thrifty(argv), timeout=timeout, env=UNATTENDED, ok=range(256))

    def simulate(self, arguments: Sequence[str], options: Sequence[str] = ()) -> Result:
        """Run apt-get -s install; whatever its exit code."""
        return self._look(["apt-get", "-s", "install", *REQUEST_OPTIONS, *options, "--", *arguments], range(256))

    def upgrade(self) -> Result:
        """Run apt-get -s dist-upgrade; whatever its exit code."""
        return self._look(["apt-get", "-s", "-y", "-q", "dist-upgrade"], range(256))

    def repair(self, options: Sequence[str]) -> Result:
        """Run apt-get -s --fix-broken install, which mends broken dependencies; whatever its exit code."""
        return self._look(["apt-get", "-s", "install", *REQUEST_OPTIONS, *options, "--fix-broken"], range(256))

    def install(self, arguments: Sequence[str], *, options: Sequence[str] = (), timeout: float, log: Path) -> Result:
        """Run apt-get install; whatever its exit code."""
        argv = ["apt-get", "install", *INSTALL_OPTIONS, *options, "--", *arguments]
        return self._shell.run(self._thrifty(argv), timeout=timeout, env=UNATTENDED, ok=range(256), log=log)

    def configure(self, *, timeout: float, log: Path) -> Result:
        """Run dpkg --configure --pending; whatever its exit code."""
        argv = ["dpkg", *FORCE_CONFFILES, "--configure", "--pending"]
        return self._shell.run(argv, timeout=timeout, env=UNATTENDED, ok=range(256), log=log)

    def clean(self) -> None:
        """Delete the packages that apt has fetched."""
        for path in self.layout.archives.glob("*.deb"):
            path.unlink()

    def mark_auto(self, names: Sequence[str]) -> None:
        """Tell apt that these packages were not asked for by a person."""
        if names:
            argv = ["apt-mark", *self._options, "auto", *names]
            self._shell.run(argv, timeout=READ_TIMEOUT_SECONDS, ok=range(256))

    def index(self, filename: str) -> Iterator[bytes]:
        """The content of a package index, uncompressed, in pieces."""
        if filename.endswith(COMPRESSED):
            return self._shell.stream([HELPER, "cat-file", filename], timeout=READ_TIMEOUT_SECONDS)
        return _pieces(self.inside(filename))

    def _look(self, argv: Sequence[str], ok: Sequence[int]) -> Result:
        """Run a command of apt's that changes nothing."""
        return self._shell.run(self._thrifty(argv), timeout=READ_TIMEOUT_SECONDS, env=UNATTENDED, ok=ok)

    def _thrifty(self, argv: Sequence[str]) -> Sequence[str]:
        """A command of apt's, as it can be run with the room there is."""
        left = os.statvfs(str(self.layout.archives if self.layout.archives.is_dir() else self.root))
        scarce = left.f_bavail * left.f_frsize < ROOM_FOR_CACHE_BYTES
        return [argv[0], *self._options, *(WITHOUT_CACHE if scarce else ()), *argv[1:]]

    def qualified(self, name: str, arch: str) -> str:
        """*name* as apt and dpkg print and take it: with its architecture only where that is a foreign one."""
        return name if arch in ("all", self.layout.architecture) else f"{name}:{arch}"

    def key_of(self, printed: str, keys: Sequence[str]) -> str:
        """Which of *keys* (`name.arch`) a printed name means; empty where none."""
        name, _, arch = printed.partition(":")
        choices = [f"{name}.{arch}"] if arch else [f"{name}.{self.layout.architecture}", f"{name}.all"]
        return next((key for key in choices if key in keys), "")


class Exclusions:
    """apt preferences that keep names from being installed or upgraded, beside the node's own, while it is entered."""

    def __init__(self, tool: Tool, names: Sequence[str]) -> None:
        self._tool = tool
        self._names = [name for name in names if is_name(name)]
        self._directory: Optional[Path] = None

    def __enter__(self) -> List[str]:
        """The options that apt needs to heed them."""
        if not self._names:
            return []
        temporary = self._tool.root / "tmp"
        self._directory = Path(tempfile.mkdtemp(prefix="patchwright-", dir=str(temporary)))
        self._directory.chmod(0o755)
        own = self._tool.layout.preferences
        for path in sorted(own.iterdir()) if own.is_dir() else []:
            if path.is_file():
                shutil.copyfile(path, self._directory / path.name)
        stanzas = [f"Package: {name}\nPin: version *\nPin-Priority: -1\n" for name in self._names]
        # The first stanza that names a package wins, so ours must be read first.
        (self._directory / "00-patchwright").write_text("\n".join(stanzas), encoding="ascii")
        return ["-oDir::Etc::PreferencesParts=/" + str(self._directory.relative_to(self._tool.root))]

    def __exit__(self, *_: object) -> None:
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)


def is_name(text: str) -> bool:
    """Whether apt can take *text* for a package's name and for nothing else."""
    return _NAME.match(text) is not None and len(text) <= 200


def is_version(text: str) -> bool:
    """Whether apt can take *text* for a version and for nothing else."""
    return _VERSION.match(text) is not None and len(text) <= 200


def _pieces(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb", buffering=0) as file:
            while True:
                chunk = file.read(CHUNK_BYTES)
                if not chunk:
                    return
                yield chunk
    except OSError as error:
        raise MetadataUnreadable(f"a package list cannot be read: {error}") from None
