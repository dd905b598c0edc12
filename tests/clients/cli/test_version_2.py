# SPDX-License-Identifier: Apache-2.0
"""The same examples by version 2 of the AWS CLI, which prints times as text and has a client of its own."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from clients.cli.replay import REPLAYED, replay

PROGRAM = "PATCHWRIGHT_AWS2"
# Debian's packages of it, unpacked and not installed.
PACKAGES = [
    "awscli",
    "python3-roman",
    "python3-ruamel.yaml.clib",
    "python3-wcwidth",
    "python3-six",
    "python3-cffi-backend",
]
SAMPLE = 8
_seed = int(os.environ.get("PATCHWRIGHT_SEED", "0"))
_sample = REPLAYED if os.environ.get("PATCHWRIGHT_FULL") else random.Random(_seed).sample(REPLAYED, SAMPLE)


def is_version_2(program: str) -> bool:
    """Whether a program is version 2."""
    done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60)
    return done.stdout.startswith("aws-cli/2.")


def unpacked(folder: Path) -> str:
    """Version 2 out of Debian's packages, in a folder."""
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        pytest.skip("there is no Debian to fetch version 2 from")
    depends = subprocess.run(["apt-cache", "depends", "awscli"], capture_output=True, text=True).stdout
    names = [line.split()[-1] for line in depends.splitlines() if "Depends: python3-" in line]
    done = subprocess.run(["apt-get", "download", *PACKAGES, *names], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"version 2 cannot be fetched: {done.stderr.strip()[-300:]}")
    for package in folder.glob("*.deb"):
        subprocess.run(["dpkg", "-x", package, folder / "root"], check=True)
    program = folder / "aws"
    libraries, script = folder / "root/usr/lib/python3/dist-packages", folder / "root/usr/bin/aws"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={libraries} exec /usr/bin/python3 {script} "$@"\n')
    program.chmod(0o755)
    return str(program)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """Version 2: the one that is named, one on the PATH, or in a full run Debian's."""
    named = os.environ.get(PROGRAM)
    folders = os.get_exec_path()
    found = [named] if named else [path for folder in folders if (path := shutil.which("aws", path=folder))]
    own = next((path for path in found if is_version_2(path)), None)
    if own is None and not os.environ.get("PATCHWRIGHT_FULL"):
        pytest.skip(f"the AWS CLI here is not version 2; {PROGRAM} can name one, a full run fetches it on Debian")
    own = own or unpacked(tmp_path_factory.mktemp("aws2"))
    if not is_version_2(own):
        pytest.skip("Debian's AWS CLI is not version 2 here")
    return own


@pytest.mark.parametrize("example", _sample, ids=lambda example: example.name.replace(" ", "-"))
def test_version_2_gets_the_same_answers(example, stage, program, monkeypatch):
    """A seeded sample of the examples; all of them in a full run."""

    def run(words):
        # An endpoint in the environment is younger than some of version 2.
        words = [program, *words, "--endpoint-url", os.environ["AWS_ENDPOINT_URL"], "--output", "json"]
        # Version 1, which this process has imported, says in the environment where its own models are.
        kept = {name: value for name, value in os.environ.items() if name != "AWS_DATA_PATH"}
        done = subprocess.run(words, env=kept, capture_output=True, text=True, timeout=120)
        return done.returncode, done.stdout, done.stderr

    replay(example, stage, run, monkeypatch)
