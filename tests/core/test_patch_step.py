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


@pytest.mark.parametrize(
    "inputs",
    [
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
