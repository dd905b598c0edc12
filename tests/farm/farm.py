# SPDX-License-Identifier: Apache-2.0
"""The farm: what a test run has of nodes, repositories and network, and what takes it all away again."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import threading
from collections.abc import Sequence
from pathlib import Path

from . import cgroup, life, machine, net, roots
from .commands import CommandFailed, FarmError, FarmUnavailable, host
from .debrepo import KEYRING, DebRepo
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
            start: Boot it and wait until it runs.

        Raises:
            ValueError: *outstanding* names a package for which nothing newer is offered.
        """
        with self._making:
            release, _, flavour = kind.partition("-")
            lowers = [roots.base(self.cache, release)]
            if flavour == "real":
                lowers.insert(0, self._layer(lowers[0], self._mirror(machine.SUITES[release]), []))
            elif repo is not None:
                lowers.insert(0, self._layer(lowers[0], repo, sorted({*_checked(repo, outstanding), *installed})))
            node = self._new_node(name or f"n{len(self._nodes) + 1}", lowers)
        node.prepare()
        if start:
            node.start()
        return node

    def _new_node(self, name: str, lowers: Sequence[Path]) -> Node:
        folder = self._folder / "nodes" / name
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            raise ValueError(f"there is a node {name} already") from None
        node = Node(
            name,
            folder=folder,
            overlay=roots.Overlay(folder, lowers),
            link=self._lan.link(name),
            cgroup=cgroup.Cgroup(self._folder.name, name),
            nspawn=self._nspawn,
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

    def _layer(self, base: Path, repo: DebRepo | Mirror, names: Sequence[str]) -> Path:
        """A layer with *repo* as the only archive and *names* installed from its release; baked once per content."""
        key = hashlib.sha256(repr((base.name, repo.sources(), repo.state, names)).encode()).hexdigest()[:12]
        folder = self._folder / "layers" / key
        overlay = roots.Overlay(folder, [base])
        if folder.is_dir():
            return overlay.upper
        overlay.mount()
        try:
            if isinstance(repo, DebRepo):
                roots.write_below(overlay.root, KEYRING, repo.keyring)
            roots.write_below(overlay.root, "/etc/apt/sources.list", repo.sources(only_release=True))
            self._apt(overlay.root, "update")
            if names:
                self._apt(overlay.root, "install", "--yes", "--no-install-recommends", *names)
            roots.write_below(overlay.root, "/etc/apt/sources.list", repo.sources())
            self._apt(overlay.root, "update")
            self._apt(overlay.root, "clean")
        finally:
            overlay.unmount()
        return overlay.upper

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
