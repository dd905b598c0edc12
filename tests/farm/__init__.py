# SPDX-License-Identifier: Apache-2.0
"""Throw-away Debian and rpm nodes for tests: booted, patched, rebooted, crashed, cut off, destroyed. See README.md."""

from __future__ import annotations

from .commands import CommandFailed, FarmError, FarmUnavailable, Result, Timeout, until
from .debfile import Deb
from .debrepo import DebRepo
from .farm import Farm
from .inside import Process
from .life import sweep
from .node import Node
from .repodata import Advisory, Module
from .rpmfile import Rpm
from .rpmrepo import RpmRepo

__all__ = [
    "Advisory",
    "CommandFailed",
    "Deb",
    "DebRepo",
    "Farm",
    "FarmError",
    "FarmUnavailable",
    "Module",
    "Node",
    "Process",
    "Result",
    "Rpm",
    "RpmRepo",
    "Timeout",
    "sweep",
    "until",
]
