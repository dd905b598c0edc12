# SPDX-License-Identifier: Apache-2.0
"""What is installed from a wheel is what lies in the tree."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from architecture.tree import PACKAGE, ROOT, project_files


def build(folder: Path, pyproject: str) -> zipfile.ZipFile:
    """The package as pip builds it below *folder*, from a copy of the project's files with *pyproject* as its description."""
    copy = folder / "copy"
    for path in [*sources(), ROOT / "README.md", ROOT / "LICENSE"]:
        target = copy / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    (copy / "pyproject.toml").write_text(pyproject)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-index", "--no-build-isolation"]
    done = subprocess.run([*command, "-w", folder, copy], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def lost(wheel: zipfile.ZipFile) -> set[str]:
    """Files of the package that are in the tree or in the wheel, and not in both."""
    packed = {name for name in wheel.namelist() if name.startswith(f"{PACKAGE}/")}
    return packed ^ {str(path.relative_to(ROOT / "src")) for path in sources()}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The package's wheel."""
    return build(tmp_path_factory.mktemp("wheel"), (ROOT / "pyproject.toml").read_text())


def sources() -> list[Path]:
    """Every file of the package that belongs to the project."""
    return [path for path in project_files(ROOT) if path.is_relative_to(ROOT / "src" / PACKAGE)]


def test_the_wheel_carries_every_file_of_the_package(wheel):
    """Models, documents, scripts and migrations travel with the code: what works in the tree works installed."""
    assert lost(wheel) == set()


def test_a_file_that_the_wheel_loses_is_found(tmp_path):
    """Without the table of data files the models would stay behind."""
    described = (ROOT / "pyproject.toml").read_text().replace("[tool.setuptools.package-data]", "[tool.unknown]")

    assert any(name.endswith(".json") for name in lost(build(tmp_path, described)))


def test_the_wheel_brings_the_command_and_the_licence(wheel):
    """One console script; the licence beside it."""
    metadata = {name.rpartition("/")[2]: wheel.read(name).decode() for name in wheel.namelist() if "dist-info" in name}

    assert "patchwright = patchwright.__main__:main" in metadata["entry_points.txt"]
    assert (ROOT / "LICENSE").read_text() == metadata["LICENSE"]
