# SPDX-License-Identifier: Apache-2.0
"""The farm: what a test run has of nodes, repositories and network, and what takes it all away again."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import socket
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from . import cgroup, life, machine, net, roots, systems
from .commands import CommandFailed, FarmError, FarmUnavailable, host
from .debrepo import KEYRING, DebRepo
from .disk import Disk
from .mirror import Mirror
from .node import Node
from .relay import Relay
from .rpmrepo import RpmRepo

DEFAULT_SYSTEMS = {"dnf4": "rocky 9", "dnf5": "fedora 42", "zypper": "sles 15.5"}
REFRESH = {
    "dnf4": ["dnf", "--quiet", "makecache"],
    "dnf5": ["dnf5", "--quiet", "makecache"],
    "zypper": ["zypper", "--non-interactive", "--quiet", "refresh"],
}


class Farm:
    """
    Nodes, repositories and the network between them. Needs root; `close` (or the next farm) takes all of it away.

    Attributes:
        lan_address: Where servers of the test process are reached by the nodes.
    """

    lan_address = net.Lan.address

    def __init__(self, cache: Path | None = None) -> None:
        """
        Args:
            cache: Where base roots are kept between runs; default `$XDG_CACHE_HOME/patchwright-tests`.

        Raises:
            FarmUnavailable: This machine cannot run one, with all the reasons.
        """
        lacks = machine.missing()
        if lacks:
            raise FarmUnavailable("a test farm needs " + ", ".join(lacks))
        self.cache = cache or default_cache()
        self._nodes: list[Node] = []
        self._closers: list[DebRepo | RpmRepo | Mirror | Relay] = []
        self._making = threading.Lock()
        self._claim = life.Claim()
        self._folder = self._claim.folder
        try:
            self.cache.mkdir(parents=True, exist_ok=True)
            self._nspawn = machine.nspawn(self.cache)
            roots.base(self.cache, "deb12")
            cgroup.Cgroup(self.number).make()
            _ensure_overlay(self._folder)
            self._lan = net.Lan(self._folder / "net")
        except (FarmError, OSError) as error:
            self.close()
            raise FarmUnavailable(f"this machine does not allow a farm: {error}") from error

    @property
    def namespace(self) -> Path:
        """The file of the LAN's network namespace, for `nsenter --net=…`: a root that is not booted has the network so."""
        return self._lan.namespace

    @property
    def number(self) -> str:
        """Which farm of this machine it is; its folder and control group are named so."""
        return self._folder.name

    # ------------------------------------------------------------------------------------------------- what it makes

    def debrepo(self, codename: str = "bookworm") -> DebRepo:
        """A new, empty signed archive inside the LAN."""
        repo = DebRepo(self._lan, codename=codename, arch=machine.architecture())
        self._closers.append(repo)
        return repo

    def rpmrepo(self, *names: str) -> RpmRepo:
        """New, empty rpm repositories inside the LAN, `base` and `updates` unless *names* says other ones."""
        repo = RpmRepo(self._lan, names=names or ("base", "updates"))
        self._closers.append(repo)
        return repo

    def node(
        self,
        kind: str = "deb12",
        repo: DebRepo | RpmRepo | None = None,
        *,
        outstanding: Sequence[str] = (),
        installed: Sequence[str] = (),
        os: str = "",
        name: str = "",
        disk_bytes: int = 0,
        start: bool = True,
    ) -> Node:
        """
        A new node, booted (unless *start* is false).

        Args:
            kind: `deb11`, `deb12` or `deb13`; with `-real` after it, the node's archives are the genuine ones that this
                machine uses (by way of the test process), its security updates are outstanding, and *repo* is not used.
                Or an rpm system: `dnf4`, `dnf5`, `zypper`, with the real tool and an rpm database of its own.
            repo: The only archive its apt knows; None leaves it without any.
            outstanding: Packages of *repo*, installed at their release version while -security or -updates has a newer.
            installed: Packages of *repo* installed at their release version, whatever else is offered. On an rpm system
                dependencies are not filled up, and `NAME-EVR` names one of several released versions.
            os: What an rpm system says it is: `rocky 9`, `amzn 2023`, `sles 15.5` … (`systems.os_release`).
            name: Host name; default `n1`, `n2` …
            disk_bytes: How much it may write (for `Node.fill_disk`); kept in memory. 0: as much as the machine has.
            start: Boot it and wait until it runs.

        Raises:
            ValueError: *outstanding* names a package for which nothing newer is offered.
        """
        with self._making:
            release, _, flavour = kind.partition("-")
            lowers = [roots.base(self.cache, release)]
            if flavour == "real":
                lowers.insert(0, self._genuine(lowers[0], self._mirror(machine.SUITES[release])))
            elif kind in roots.RPM_KINDS:
                assert repo is None or isinstance(repo, RpmRepo)
                lowers = self._rpm_system(kind, os or DEFAULT_SYSTEMS[kind], repo, [*outstanding, *installed], lowers)
                _check_rpms(repo, outstanding)
            elif isinstance(repo, DebRepo):
                lowers = self._with(repo, lowers, sorted({*_checked(repo, outstanding), *installed}))
            node = self._new_node(name or f"n{len(self._nodes) + 1}", lowers, disk_bytes, is_unified=kind == "dnf5")
        node.prepare()
        if start:
            node.start()
        return node

    def _new_node(self, name: str, lowers: Sequence[Path], disk_bytes: int, *, is_unified: bool) -> Node:
        folder = self._folder / "nodes" / name
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            raise ValueError(f"there is a node {name} already") from None
        node = Node(
            name,
            folder=folder,
            disk=Disk(folder, lowers, limit=disk_bytes),
            link=self._lan.link(name),
            cgroup=cgroup.Cgroup(self._folder.name, name),
            nspawn=self._nspawn,
            cache=self.cache,
            is_unified=is_unified,
        )
        self._nodes.append(node)
        return node

    def _mirror(self, codename: str) -> Mirror:
        for closer in self._closers:
            if isinstance(closer, Mirror) and closer.codename == codename:
                return closer
        mirror = Mirror(self._lan, codename, cache=self.cache / "mirror")
        self._closers.append(mirror)
        return mirror

    def listen(self, port: int = 0) -> socket.socket:
        """A listening socket on `lan_address`, for a server that runs on the host and is called by nodes."""
        return self._lan.listen(port)

    def expose(self, host_port: int, *, port: int = 0) -> str:
        """
        Let nodes reach a server that listens on 127.0.0.1 of the host.

        Args:
            host_port: Its port there.
            port: The port inside the LAN; 0 takes the same, or another where that one is taken there.

        Returns:
            `ADDRESS:PORT` as nodes see it.
        """
        try:
            listener = self._lan.listen(port or host_port)
        except FarmError:
            if port:
                raise
            listener = self._lan.listen()
        relay = Relay(listener, ("127.0.0.1", host_port))
        self._closers.append(relay)
        return relay.address

    # ---------------------------------------------------------------------------------------------------- the layers

    def _with(self, repo: DebRepo, lowers: Sequence[Path], names: Sequence[str]) -> list[Path]:
        """*lowers*, with *names* installed from the release above them, and above that *repo* as the only archive."""
        lists = {f"/var/lib/apt/lists/{name}": content for name, content in repo.lists().items()}
        own = {KEYRING: repo.keyring, "/etc/apt/sources.list": repo.sources().encode(), **lists}
        archive, is_new = self._layer("archive", repo.sources(), hashlib.sha256(repr(own).encode()).hexdigest())
        if is_new:
            for path, content in own.items():
                roots.write_below(archive, path, content)
        packages = [self._installed(lowers[0], repo, names)] if names else []
        return [archive, *packages, *lowers]

    def _installed(self, base: Path, repo: DebRepo, names: Sequence[str]) -> Path:
        """
        A layer with *names* installed from the release of *repo*, and no trace of where that was served.

        Baked once per content: archives that differ in their updates, their address or their key share it.
        """
        upper, is_new = self._layer("packages", base.name, repo.release_state, *names)
        if is_new:
            with self._baking(upper, [base]) as root:
                roots.write_below(root, KEYRING, repo.keyring)
                roots.write_below(root, "/etc/apt/sources.list", repo.sources(only_release=True))
                self._apt(root, "update")
                self._apt(root, "install", "--yes", "--no-install-recommends", *names)
                self._apt(root, "clean")
                for file in root.glob("var/lib/apt/lists/*_*"):
                    file.unlink()
        return upper

    def _rpm_system(
        self, kind: str, system: str, repo: RpmRepo | None, names: Sequence[str], lowers: Sequence[Path]
    ) -> list[Path]:
        """*lowers*, with *names* installed above them, and above that what the system is and its repositories' metadata."""
        rpms = {name: repo.released(name) for name in sorted(set(names))} if repo else {}
        below = list(lowers)
        if rpms:
            upper, is_new = self._layer("rpms", lowers[0].name, *(rpm.sha256 for rpm in rpms.values()))
            if is_new:
                with self._baking(upper, lowers) as root:
                    for rpm in rpms.values():
                        roots.write_below(root, f"/root/rpms/{rpm.filename}", rpm.content)
                    paths = [f"/root/rpms/{rpm.filename}" for rpm in rpms.values()]
                    roots.in_root(root, ["rpm", "--install", "--nosignature", *paths])
                    shutil.rmtree(root / "root/rpms")
            below.insert(0, upper)
        own, is_new = self._layer("system", system, repo.state + repo.expiry if repo else "", *map(str, below))
        if is_new:
            with self._baking(own, below) as root:
                for path, content in systems.files(system, repo).items():
                    roots.write_below(root, path, content)
                if repo:
                    roots.in_root(root, REFRESH[kind], namespace=self._lan.namespace)
        return [own, *below]

    def _genuine(self, base: Path, mirror: Mirror) -> Path:
        """A layer with the genuine archives as its own."""
        upper, is_new = self._layer("genuine", base.name, mirror.sources(), mirror.state)
        if is_new:
            with self._baking(upper, [base]) as root:
                roots.write_below(root, "/etc/apt/sources.list", mirror.sources())
                self._apt(root, "update")
                self._apt(root, "clean")
        return upper

    def _layer(self, *content: str) -> tuple[Path, bool]:
        """Where the layer of that content is, and whether it is still to be made."""
        key = hashlib.sha256(repr(content).encode()).hexdigest()[:12]
        upper = self._folder / "layers" / key / "upper"
        is_new = not upper.is_dir()
        upper.mkdir(parents=True, exist_ok=True)
        return upper, is_new

    @contextlib.contextmanager
    def _baking(self, upper: Path, lowers: Sequence[Path]) -> Iterator[Path]:
        """A root over *lowers* whose changes go to *upper*; where that fails there is no such layer."""
        overlay = roots.Overlay(upper.parent, lowers)
        overlay.mount()
        try:
            yield overlay.root
        except BaseException:
            overlay.unmount()
            shutil.rmtree(upper.parent)
            raise
        overlay.unmount()

    def _apt(self, root: Path, *argv: str) -> None:
        roots.in_root(root, ["apt-get", "--quiet", *argv], namespace=self._lan.namespace)

    # ----------------------------------------------------------------------------------------------------- the end

    def close(self) -> None:
        """Destroy every node, stop every server, put the machine back as it was (when no other farm is left)."""
        for node in self._nodes:
            node.destroy()
        for closer in self._closers:
            closer.close()
        self._claim.release()


def default_cache() -> Path:
    """`$XDG_CACHE_HOME/patchwright-tests`, else below ~/.cache."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "patchwright-tests"


def _checked(repo: DebRepo, outstanding: Sequence[str]) -> Sequence[str]:
    for name in outstanding:
        offered = repo.newest(name)
        newer = [version for suffix, version in offered.items() if suffix]
        if "" not in offered or not any(_newer(version, offered[""]) for version in newer):
            raise ValueError(f"{name} has nothing outstanding: the repository offers {offered}")
    return outstanding


def _check_rpms(repo: RpmRepo | None, outstanding: Sequence[str]) -> None:
    for name in outstanding:
        assert repo is not None
        released = repo.released(name)
        if not repo.versions(released.name) - {released.evr}:
            raise ValueError(f"{name} has nothing outstanding: the repositories offer {released.evr} alone")


def _newer(version: str, than: str) -> bool:
    return host(["dpkg", "--compare-versions", version, "gt", than], check=False).code == 0


def _ensure_overlay(folder: Path) -> None:
    """Make overlays possible in *folder*: where it is on an overlay itself, as in a container, a tmpfs goes over it."""
    try:
        _try_overlay(folder / "probe")
    except CommandFailed:
        host(["mount", "-t", "tmpfs", "-o", "mode=700", "pwfarm", str(folder)])
        _try_overlay(folder / "probe")


def _try_overlay(folder: Path) -> None:
    lower = folder / "lower"
    lower.mkdir(parents=True, exist_ok=True)
    overlay = roots.Overlay(folder, [lower])
    overlay.mount()
    overlay.unmount()
    shutil.rmtree(folder)
