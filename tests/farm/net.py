# SPDX-License-Identifier: Apache-2.0
"""
The farm's network: one namespace with a bridge is the LAN, each node has a namespace of its own behind a veth pair.

Nothing is made in the machine's own namespace, so nothing there can break, and no address can collide. A namespace lives
as long as the file it is mounted on.
"""

from __future__ import annotations

import ctypes
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from .commands import FarmError, host

T = TypeVar("T")
CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


class Lan:
    """
    The network that the nodes of one farm share. `address` is where servers of the test process listen.
    """

    address = "10.213.0.1"

    def __init__(self, folder: Path) -> None:
        """Make the LAN; *folder* holds the files its namespaces are mounted on."""
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._lan = _make_namespace(folder / "lan")
        self._links = 0
        _ip(
            self._lan,
            "link set lo up",
            "link add br0 type bridge",
            f"addr add {self.address}/16 dev br0",
            "link set br0 up",
        )

    @property
    def namespace(self) -> Path:
        """The file of the LAN's own namespace, where the servers listen."""
        return self._lan

    def link(self, name: str) -> Link:
        """A place in the LAN for the node *name*; `Link.make` lays the cable."""
        self._links += 1
        return Link(self._lan, self._folder / f"n-{name}", self._links)

    def listen(self, port: int = 0) -> socket.socket:
        """
        A listening TCP socket on `address`; any process of the host can serve it.

        Args:
            port: 0 takes a free one.
        """

        def opened() -> socket.socket:
            return socket.create_server((self.address, port), backlog=128)

        return inside(self._lan, opened)


class Link:
    """A node's side of the network: its namespace file, its address, its cable."""

    def __init__(self, lan: Path, namespace: Path, number: int) -> None:
        self.namespace = namespace
        self.address = f"10.213.{1 + number // 250}.{1 + number % 250}"
        self._lan = lan
        self._cable = f"v{number}"

    def make(self) -> None:
        """Lay the cable."""
        _make_namespace(self.namespace)
        _ip(
            self._lan,
            f"link add {self._cable} type veth peer name eth0 netns {self.namespace}",
            f"link set {self._cable} master br0 up",
        )
        _ip(self.namespace, "link set lo up", f"addr add {self.address}/16 dev eth0", "link set eth0 up")

    def cut(self) -> None:
        """Unplug the cable: packets are lost, no connection is closed."""
        _ip(self._lan, f"link set {self._cable} down")

    def heal(self) -> None:
        """Plug it in again."""
        _ip(self._lan, f"link set {self._cable} up")

    def drop(self) -> None:
        """Take cable and namespace away."""
        _ip(self._lan, f"link del {self._cable}")
        host(["umount", str(self.namespace)])
        self.namespace.unlink()


def inside(namespace: Path, action: Callable[[], T]) -> T:
    """Call *action* in a thread that has entered the network *namespace*; sockets it opens stay there."""
    answer: list[T] = []
    trouble: list[BaseException] = []

    def enter() -> None:
        try:
            with namespace.open() as file:
                if _libc.setns(file.fileno(), CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), f"setns {namespace}")
            answer.append(action())
        except BaseException as error:
            trouble.append(error)

    thread = threading.Thread(target=enter, name="farm-setns")
    thread.start()
    thread.join()
    if trouble:
        raise FarmError(f"in the network namespace {namespace.name}: {trouble[0]}") from trouble[0]
    return answer[0]


def _make_namespace(file: Path) -> Path:
    file.touch()
    host(["unshare", f"--net={file}", "true"])
    return file


def _ip(namespace: Path, *commands: str) -> None:
    host(["nsenter", f"--net={namespace}", "ip", "-batch", "-"], stdin="\n".join(commands) + "\n")
