# SPDX-License-Identifier: Apache-2.0
"""The agent's log: one plain line an event on stderr. Nothing secret is ever handed to it."""

from __future__ import annotations

import contextlib
import sys
import time

from patchwright.agent.clock import Clock


def info(text: str) -> None:
    """What the agent did."""
    _write("INFO", text)


def warning(text: str) -> None:
    """What went wrong and is being tried again."""
    _write("WARNING", text)


def error(text: str) -> None:
    """What went wrong and needs somebody."""
    _write("ERROR", text)


def _write(level: str, text: str) -> None:
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(Clock().now()))
    printable = "".join(char if char.isprintable() else " " for char in text)
    # A log on a full disk, or that nobody reads any more, must not end an installation.
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"{moment} {level} {printable}\n")
        sys.stderr.flush()
