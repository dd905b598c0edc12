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

from . import cgroup, life, machine, net, roots
from .commands import CommandFailed, FarmError, FarmUnavailable, host
from .debrepo import KEYRING, DebRepo
from .disk import Disk
from .mirror import Mirror
from .node import Node
from .relay import Relay


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
        self._closers: list[DebRepo | Mirror | Relay] = []
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

    def node(
        self,
        kind: str = "deb12",
        repo: DebRepo | None = None,
        *,
        outstanding: Sequence[str] = (),
        installed: Sequence[str] = (),
        name: str = "",
        disk_bytes: int = 0,
        start: bool = True,
    ) -> Node:
        """
        A new node, booted (unless *start* is false).

        Args:
            kind: `deb11`, `deb12` or `deb13`; with `-real` after it, the node's archives are the genuine ones that this
                machine uses (by way of the test process), its security updates are outstanding, and *repo* is not used.
            repo: The only archive its apt knows; None leaves it without any.
            outstanding: Packages of *repo*, installed at their release version while -security or -updates has a newer.
            installed: Packages of *repo* installed at their release version, whatever else is offered.
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
            elif repo is not None:
                lowers = self._with(repo, lowers, sorted({*_checked(repo, outstanding), *installed}))
            node = self._new_node(name or f"n{len(self._nodes) + 1}", lowers, disk_bytes)
        node.prepare()
        if start:
            node.start()
        return node

    def _new_node(self, name: str, lowers: Sequence[Path], disk_bytes: int) -> Node:
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
            port: The port inside the LAN; 0 takes the same.

        Returns:
            `ADDRESS:PORT` as nodes see it.
        """
        relay = Relay(self._lan.listen(port or host_port), ("127.0.0.1", host_port))
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
            with self._baking(upper, base) as root:
                roots.write_below(root, KEYRING, repo.keyring)
                roots.write_below(root, "/etc/apt/sources.list", repo.sources(only_release=True))
                self._apt(root, "update")
                self._apt(root, "install", "--yes", "--no-install-recommends", *names)
                self._apt(root, "clean")
                for file in root.glob("var/lib/apt/lists/*_*"):
                    file.unlink()
        return upper

    def _genuine(self, base: Path, mirror: Mirror) -> Path:
        """A layer with the genuine archives as its own."""
        upper, is_new = self._layer("genuine", base.name, mirror.sources(), mirror.state)
        if is_new:
            with self._baking(upper, base) as root:
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
    def _baking(self, upper: Path, base: Path) -> Iterator[Path]:
        """A root over *base* whose changes go to *upper*; where that fails there is no such layer."""
        overlay = roots.Overlay(upper.parent, [base])
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
