# SPDX-License-Identifier: Apache-2.0
"""What a patch step is to do."""

from __future__ import annotations

import pytest

from patchwright.core.compliance import Operation
from patchwright.core.errors import InvalidParameters
from patchwright.core.patch_step import PatchStep
from patchwright.core.protocol import RebootOption

SNAPSHOT = "11111111-2222-3333-4444-55555555abcd"


def test_a_step_says_what_to_do_and_may_leave_the_rest_out():
    """RebootIfNeeded, and the command's own snapshot."""
    assert PatchStep.read("a", {"Operation": "Scan"}) == PatchStep(Operation.SCAN, "", RebootOption.REBOOT_IF_NEEDED)
    given = {"Operation": "Install", "SnapshotId": SNAPSHOT, "RebootOption": "NoReboot", "timeoutSeconds": "7200"}
    assert PatchStep.read("a", given) == PatchStep(Operation.INSTALL, SNAPSHOT, RebootOption.NO_REBOOT)


def test_a_step_names_the_files_that_decide_it():
    """A list only for an Install; nothing where the parameters are empty."""
    given = {"InstallOverrideList": "https://files.example/list?x=1", "BaselineOverride": "s3://bucket/a/b.json"}
    assert PatchStep.read("a", {"Operation": "Install", **given}).files == given
    assert PatchStep.read("a", {"Operation": "Scan", **given}).files == {"BaselineOverride": "s3://bucket/a/b.json"}
    assert PatchStep.read("a", {"Operation": "Install", "InstallOverrideList": "", "AssociationId": ""}).files == {}
    assert PatchStep.read("a", {"Operation": "Scan", "AssociationId": SNAPSHOT}).association_id == SNAPSHOT


@pytest.mark.parametrize(
    "inputs",
    [
        {"Operation": "Scan", "AssociationId": "x"},
        {"Operation": "Scan", "BaselineOverride": "http://files.example/x"},
        {"Operation": "Scan", "BaselineOverride": "file:///etc/passwd"},
        {"Operation": "Scan", "BaselineOverride": "https://files.example/a b"},
        {"Operation": "Scan", "BaselineOverride": "https://files.example/" + "a" * 2048},
        {"Operation": "Install", "InstallOverrideList": "s3://bucket"},
        {"Operation": "Install", "InstallOverrideList": "s3://UPPER/key"},
        {"Operation": "Install", "InstallOverrideList": ["https://files.example/x"]},
        {},
        {"Operation": "scan"},
        {"Operation": ["Scan"]},
        {"Operation": None},
        {"Operation": "Scan", "SnapshotId": SNAPSHOT + "\n"},
        {"Operation": "Scan", "SnapshotId": "x"},
        {"Operation": "Scan", "SnapshotId": None},
        {"Operation": "Scan", "RebootOption": ""},
        {"Operation": "Scan", "RebootOption": {}},
    ],
)
def test_what_no_patch_step_takes_is_refused(inputs):
    """With the step's name."""
    with pytest.raises(InvalidParameters, match="of step first"):
        PatchStep.read("first", inputs)
