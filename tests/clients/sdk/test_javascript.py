# SPDX-License-Identifier: Apache-2.0
"""The AWS SDK for JavaScript: operations, paginators, dates and error classes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from clients import place
from clients.cli.scenes import Stage
from server.aws.served import Account, new_region

PACKAGE = "@aws-sdk/client-ssm@3"
FOLDER = "PATCHWRIGHT_NODE_MODULES"
DRIVER = Path(__file__).with_name("drive.cjs")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder in which Node finds the SDK: the one that is named, or a new one in a full run."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    if named := os.environ.get(FOLDER):
        return Path(named)
    if not os.environ.get("PATCHWRIGHT_FULL"):
        pytest.skip(f"the SDK is fetched in full runs only, or set {FOLDER} to a folder that has it in node_modules")
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    made = tmp_path_factory.mktemp("node")
    words = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", PACKAGE]
    done = subprocess.run(words, cwd=made, capture_output=True, text=True, timeout=240)
    if done.returncode:
        pytest.skip(f"{PACKAGE} cannot be fetched: {done.stderr.strip()[-300:]}")
    return made


@pytest.fixture
def account(tmp_path):
    """A server's region."""
    with place.listening(tmp_path) as server:
        yield Account(server, new_region())


def test_the_javascript_sdk_notices_no_difference(folder, account, tmp_path):
    """Values come back as dates and numbers, paginators end, and errors are of the SDK's own classes."""
    node = Stage(account, tmp_path).node().instance_id

    done = subprocess.run(
        ["node", DRIVER, folder, node],
        env=place.environment(account.server, account.region),
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["created"]
    assert seen["days"] == 3
    assert seen["listedPages"] >= seen["listed"] / 2 > 5
    assert (seen["group"], seen["resolved"]) == (["javascript"], True)
    assert seen["tags"] == [{"Key": "Owner", "Value": "web"}]
    assert (seen["used"]["mine"], seen["unknown"]["mine"]) == (True, True)
    assert seen["unknown"]["text"]
    assert (seen["values"], seen["valuePages"] >= 3) == ([f"value {number}" for number in range(1, 6)], True)
    assert (seen["missing"]["mine"], seen["missing"]["status"]) == (True, 400)
    assert seen["exists"]["mine"]
    assert (seen["nodes"], seen["pinged"]) == ([node], True)
    assert seen["states"] == [["Scan", 2, True]]
    assert seen["patches"] == "ValidationException"  # a page of patches has ten or more
    assert seen["operations"] >= 15
