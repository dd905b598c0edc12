# SPDX-License-Identifier: Apache-2.0
"""The peers, moto_server and salt, in a virtual environment of their own: never among the product's dependencies."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from measure import ROOT, tell

LOCK = ROOT / "bench/requirements-peers.txt"
HOME = ROOT / "bench/.venv"
_STAMP = HOME / ".patchwright-peers"


class NoPeer(Exception):
    """The peers cannot be had here; the message says why."""


def program(name: str) -> Path:
    """
    A program of the peers, which are installed first where that was not done.

    Raises NoPeer.
    """
    wanted = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if not _STAMP.exists() or _STAMP.read_text() != wanted:
        tell("installing the peers; once, about two minutes")
        _run([sys.executable, "-m", "venv", "--clear", str(HOME)])
        _run([str(HOME / "bin/pip"), "install", "--quiet", "--require-hashes", "--no-deps", "-r", str(LOCK)])
        _STAMP.write_text(wanted)
    path = HOME / "bin" / name
    if not path.exists():
        msg = f"{name} is not among the installed peers"
        raise NoPeer(msg)
    return path


def _run(argv: list[str]) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=environment)
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if not line.startswith("WARNING")]
        msg = f"{' '.join(argv[:3])} ended with {done.returncode}: {' '.join(lines)[-400:]}"
        raise NoPeer(msg)
