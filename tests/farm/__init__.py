# SPDX-License-Identifier: Apache-2.0
"""Throw-away Debian nodes for tests: booted, patched, rebooted, crashed, cut off, destroyed. See README.md."""

from __future__ import annotations

from .commands import CommandFailed, FarmError, FarmUnavailable, Result, Timeout, until
from .debfile import Deb
from .debrepo import DebRepo
from .farm import Farm
from .inside import Process
from .life import sweep
from .node import Node

__all__ = [
    "CommandFailed",
    "Deb",
    "DebRepo",
    "Farm",
    "FarmError",
    "FarmUnavailable",
    "Node",
    "Process",
    "Result",
    "Timeout",
    "sweep",
    "until",
]
