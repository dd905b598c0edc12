# SPDX-License-Identifier: Apache-2.0
"""
moto's published tests for Systems Manager, replayed against this server.

They come from the directory that PATCHWRIGHT_MOTO_TESTS names (it holds `tests/test_ssm`), or, in a full run, out of
moto's source archive from the package index. docs/reference/conformance.md lists what does not pass, and why.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from clients import page

ROOT = Path(__file__).parents[3]
VERSION = "5.2.0"  # the newest source archive that holds the tests
SHA256 = "be592dd93cc016a94afe2e2cae5de59c2df1cdd9d017c497d9a81e507ebe7fc8"
SECONDS = 900


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """The directory that holds moto's tests."""
    if named := os.environ.get("PATCHWRIGHT_MOTO_TESTS"):
        return Path(named)
    if not os.environ.get("PATCHWRIGHT_FULL"):
        pytest.skip("moto's tests are fetched in full runs only, or set PATCHWRIGHT_MOTO_TESTS to where they are")
    folder = tmp_path_factory.mktemp("moto")
    words = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "moto", f"moto=={VERSION}"]
    fetched = subprocess.run([*words, "--dest", folder], capture_output=True, text=True)
    if fetched.returncode:
        pytest.skip(f"moto {VERSION} cannot be fetched: {fetched.stderr.strip().splitlines()[-1:]}")
    (archive,) = folder.glob("moto-*.tar.gz")
    assert hashlib.sha256(archive.read_bytes()).hexdigest() == SHA256
    with tarfile.open(archive) as opened:
        opened.extractall(folder, filter="data")
    return folder / f"moto-{VERSION}"


def replay(published: Path, outcomes: Path, log: Path) -> dict[str, str]:
    """What came of each test of the files that are not left out."""
    left_out = {name for (name,) in page.rows("Files left out")}
    files = [path for path in sorted((published / "tests" / "test_ssm").glob("test_*.py")) if path.name not in left_out]
    # Not from the archive: its own `moto` would be found there.
    tests = outcomes.parent / "apart"
    tests.mkdir()
    (tests / "tests").symlink_to(published / "tests")
    words = [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", str(tests), "-p", "no:cacheprovider"]
    words += ["-p", "clients.moto.replay", "--outcomes", str(outcomes)]
    words += [str(tests / "tests" / "test_ssm" / path.name) for path in files]
    paths = os.pathsep.join([str(tests), str(ROOT / "src"), str(ROOT / "tests")])
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTEST_"))}
    with log.open("wb") as file:
        subprocess.run(
            words, cwd=tests, env={**kept, "PYTHONPATH": paths}, stdout=file, stderr=file, timeout=SECONDS, check=False
        )
    assert outcomes.exists(), log.read_text()[-2000:]
    found: dict[str, str] = json.loads(outcomes.read_text())
    return found


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 60)
def test_what_moto_publishes_passes_but_for_what_is_listed(published, tmp_path):
    """Each test passes, or stands in conformance.md with its reason; what stands there fails."""
    found = replay(published, tmp_path / "outcomes.json", tmp_path / "log")

    listed = {
        name.strip("` ") for names in page.rows("moto's tests that do not pass") for name in names[0].split("<br>")
    }
    failed = {name: outcome for name, outcome in found.items() if outcome}
    assert len(found) > 100
    assert {name: outcome for name, outcome in failed.items() if not any(is_meant(one, name) for one in listed)} == {}
    assert [one for one in sorted(listed) if not any(is_meant(one, name) for name in failed)] == []


def is_meant(listed, name):
    """Whether a row's name is that of a test; what ends with `*` begins it."""
    return name.startswith(listed[:-1]) if listed.endswith("*") else name == listed


def test_a_server_stands_in_for_the_mock(tmp_path):
    """What a replayed test sees: mock_aws mocks nothing, boto3 reaches a server of the test's own, outcomes are kept."""
    suite = tmp_path / "published" / "tests" / "test_ssm"
    suite.mkdir(parents=True)
    (suite.parent / "__init__.py").touch()
    (suite / "__init__.py").touch()
    (suite / "test_ssm.py").write_text(
        """
import boto3, pytest
from moto import mock_aws

@mock_aws
def test_alone():
    ssm = boto3.client("ssm", region_name="us-east-1")
    mine = {"Filters": [{"Key": "OWNER", "Values": ["Self"]}]}
    assert ssm.describe_patch_baselines(**mine)["BaselineIdentities"] == []
    made = ssm.create_patch_baseline(Name="one")["BaselineId"]
    assert made.startswith("pb-")

@pytest.mark.parametrize("name", ["a/b", "c"])
@mock_aws()
def test_alone_too(name):
    test_alone()

def test_failing():
    with mock_aws():
        assert 1 == 2
"""
    )

    found = replay(tmp_path / "published", tmp_path / "outcomes.json", tmp_path / "log")

    assert found.pop("test_ssm.py::test_failing").startswith("assert 1 == 2")
    assert found == {f"test_ssm.py::{name}": "" for name in ("test_alone", "test_alone_too[a/b]", "test_alone_too[c]")}
