# SPDX-License-Identifier: Apache-2.0
"""The node program's archive: the same bytes from the same sources."""

from __future__ import annotations

import io
import os
import shutil
import zipfile
from pathlib import Path

from patchwright.server.gateway.zipapp import build

PACKAGE = Path(__file__).resolve().parents[3] / "src" / "patchwright"


def test_it_holds_core_and_agent_and_nothing_else():
    """Sources of the two buildings, the package's door and a start; no server, no command line, no compiled files."""
    names = zipfile.ZipFile(io.BytesIO(build(PACKAGE))).namelist()

    assert names == sorted(names)
    assert "__main__.py" in names
    assert {name.split("/")[1] for name in names if "/" in name} == {"__init__.py", "agent", "core"}
    assert all(name.endswith(".py") for name in names)


def test_the_same_sources_give_the_same_bytes(tmp_path):
    """Another directory, other times, other order of creation: not a byte differs."""
    for part in ("agent", "core"):
        shutil.copytree(PACKAGE / part, tmp_path / "patchwright" / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PACKAGE / "__init__.py", tmp_path / "patchwright")
    for path in (tmp_path / "patchwright").rglob("*.py"):
        os.utime(path, (1_000_000_000, 1_000_000_000))

    assert build(tmp_path / "patchwright") == build(PACKAGE)


def test_it_starts_with_an_interpreter_line():
    """It can be run as a program."""
    assert build(PACKAGE).startswith(b"#!/usr/bin/env python3\nPK")
