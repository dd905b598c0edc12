# SPDX-License-Identifier: Apache-2.0
"""
Between agent and server: a network that loses, repeats, delays and so reorders requests, and loses or delays answers.

The agent's own client speaks through it: what it signs is not verified here, but when it signed is.
"""

from __future__ import annotations

import calendar
import gzip
import json
from collections.abc import Callable, Mapping
from email.utils import formatdate
from typing import Any

from patchwright.agent.transport import Response, TransportFailed
from properties.node_run.central import Central
from properties.node_run.world import Process, World

LATENCY = 0.05
SKEW_LIMIT = 900.0  # of a signature's time, as the server allows
EXPIRED = b'{"__type":"InvalidSignatureException","message":"Signature expired"}'


class Network:
    """The line between one node and one server."""

    def __init__(self, world: World, central: Central) -> None:
        self.world = world
        self.central = central
        self.cut_until = 0.0
        self.boot: Callable[[], str] = lambda: ""  # of the node

    @property
    def broken(self) -> bool:
        """Whether nothing gets through now."""
        return self.world.now < self.cut_until

    def cut(self, seconds: float) -> None:
        """Let nothing through for so long."""
        self.cut_until = max(self.cut_until, self.world.now + seconds)
        self.world.disturbed(self.cut_until)

    def exchange(self, headers: Mapping[str, str], body: bytes, timeout: float) -> Response:
        """One request of the running process; raises TransportFailed where no answer comes."""
        world, process = self.world, self.world.current
        assert process is not None
        target = headers["X-Amz-Target"]
        what = world.step("call", target)
        if self.broken or not self.central.up:
            world.pause(world.random.random() * 10)
            raise TransportFailed("the server cannot be reached")
        request = _Request(self, target, headers, body)
        wait = _Wait(process)
        words = what.split()
        kind, seconds = " ".join(words[:-1]) if words and words[-1].isdigit() else what, _seconds(words)
        if kind == "twice":
            world.disturbed(world.now + seconds)
            world.later(seconds, lambda: request.arrive(None))
        if kind == "late":
            world.disturbed(world.now + seconds)
        if kind != "lost":
            world.later(seconds if kind == "late" else world.random.random() * LATENCY, lambda: request.arrive(wait))
        if kind in ("kill waiting", "power waiting"):
            world.pause(world.random.random() * 0.2)
            world.act_out(kind.split()[0])
        response = wait.answer(world, timeout)
        if kind == "answer lost" or self.broken:
            world.pause(world.random.random() * timeout)
            raise TransportFailed("the answer was lost")
        if kind == "kill after":
            world.act_out("kill")
        return response


class _Wait:
    """Somebody who waits for an answer."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.found: tuple[int, bytes] | None = None

    def answer(self, world: World, timeout: float) -> Response:
        """The answer, when it comes within *timeout*."""
        if self.found is None:
            world.wait(self.process, timeout)
        if self.found is None:
            raise TransportFailed("timed out")
        status, body = self.found
        if not status:
            raise TransportFailed("the server closed the connection without an answer")
        world.pause(world.random.random() * LATENCY)
        return Response(status, {"date": formatdate(world.now, usegmt=True)}, body)


class _Request:
    """A request on its way; it may arrive more than once."""

    def __init__(self, network: Network, target: str, headers: Mapping[str, str], body: bytes) -> None:
        self.network = network
        self.target = target
        self.moment = _moment(headers["X-Amz-Date"])
        self.body = body
        self.compressed = "Content-Encoding" in headers
        self.boot = network.boot()

    def arrive(self, wait: _Wait | None) -> None:
        """It comes to the server; *wait* hears of the answer."""
        world, central = self.network.world, self.network.central

        def answered(status: int, body: bytes) -> None:
            if wait is not None:
                wait.found = status, body
                world.wake(wait.process)

        if not central.up or (wait is not None and self.boot != self.network.boot()):
            answered(0, b"")  # with the power of the sender its connection went, and what was still on the way
        elif abs(self.moment - world.now) > SKEW_LIMIT:
            answered(403, EXPIRED)
        else:
            central.serve(self.target, self._members(), answered)

    def _members(self) -> dict[str, Any]:
        members: dict[str, Any] = json.loads(gzip.decompress(self.body) if self.compressed else self.body)
        return members


def _moment(text: str) -> float:
    """Epoch seconds of `20261120T040000Z`."""
    return calendar.timegm(
        (int(text[:4]), int(text[4:6]), int(text[6:8]), int(text[9:11]), int(text[11:13]), int(text[13:15]))
    )


def _seconds(words: list[str]) -> float:
    return float(words[-1]) if words and words[-1].isdigit() else 0.0
