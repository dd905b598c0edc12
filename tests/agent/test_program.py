# SPDX-License-Identifier: Apache-2.0
"""The program is unpacked once a boot where the service manager gives it a place, and runs from its archive elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import patchwright
from patchwright import __version__
from patchwright.agent import program
from patchwright.server.gateway.zipapp import build


@pytest.fixture
def archive(tmp_path):
    """The node program as one file."""
    path = tmp_path / "agent.pyz"
    path.write_bytes(build(Path(patchwright.__file__).parent))
    return path


@pytest.fixture
def place(tmp_path):
    """A directory for the boot."""
    path = tmp_path / "runtime"
    path.mkdir(mode=0o700)
    return path


def words(archive):
    """What starts an archive."""
    return (sys.executable, "-I", str(archive))


def given(place):
    """The environment in which a service manager gives *place*."""
    return {program.PLACE_VARIABLE: str(place)}


def test_the_unpacked_program_is_the_same_and_keeps_what_it_compiled(archive, place):
    """It runs, from where it was unpacked, and finds its own words there."""
    start = program.unpacked(words(archive), given(place))
    code = "import sys; sys.path.insert(0, sys.argv[1]); from patchwright.agent.program import own_program; print(own_program()[-1])"

    said = subprocess.run([*start, "version"], capture_output=True, text=True, check=True, timeout=60)
    found = subprocess.run([sys.executable, "-I", "-c", code, start[-1]], capture_output=True, text=True, check=True)

    assert Path(start[-1]).parent == place
    assert said.stdout == f"{__version__}\n"
    assert found.stdout.strip() == start[-1]
    assert list(Path(start[-1]).rglob("__pycache__"))


def test_it_is_unpacked_once(archive, place):
    """Whoever asks again gets the same directory, untouched."""
    first = program.unpacked(words(archive), given(place))
    marked = Path(first[-1]) / "mark"
    marked.touch()

    assert program.unpacked(words(archive), given(place)) == first
    assert marked.exists()
    assert len(list(place.iterdir())) == 1


def test_another_program_and_another_boot_are_unpacked_anew(archive, place, tmp_path, monkeypatch):
    """Nothing is taken for what it is not; of the old ones some stay for a while."""
    found = {program.unpacked(words(archive), given(place))}
    archive.write_bytes(archive.read_bytes() + b"\0" * 22)
    found.add(program.unpacked(words(archive), given(place)))
    for number in range(4):
        (tmp_path / "boot").write_text(f"boot-{number}")
        monkeypatch.setenv("PATCHWRIGHT_BOOT_ID_FILE", str(tmp_path / "boot"))
        found.add(program.unpacked(words(archive), given(place)))

    assert len(found) >= 5
    assert len(list(place.iterdir())) == program.KEPT


@pytest.mark.parametrize("spoil", ["nowhere", "absent", "open", "not an archive", "a source file"])
def test_where_it_cannot_be_unpacked_the_archive_runs(archive, place, spoil):
    """No place given, a place that is gone, one that others may write to, and what is no archive."""
    environment, start = given(place), words(archive)
    if spoil == "nowhere":
        environment = {}
    elif spoil == "absent":
        place.rmdir()
    elif spoil == "open":
        place.chmod(0o777)
    elif spoil == "not an archive":
        archive.write_bytes(b"something else")
    else:
        start = words(program.__file__)

    assert program.unpacked(start, environment) == start
    assert not place.exists() or not os.listdir(place)
