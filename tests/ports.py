# SPDX-License-Identifier: Apache-2.0
"""Ports for servers that are to come back where they were, so that they cannot let the kernel choose."""

from __future__ import annotations

import itertools
import os
import socket

FIRST, COUNT = 10_000, 8_000  # below those that the kernel gives to whoever asks for any

_turns = itertools.count()


def free_port() -> int:
    """
    A port of loopback that nobody uses, and that nobody is given by chance while its server is away.

    Test processes that run side by side begin at places of their own.
    """
    for _ in range(COUNT):
        port = FIRST + (os.getpid() * 61 + next(_turns)) % COUNT
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")
