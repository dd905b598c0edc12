# SPDX-License-Identifier: Apache-2.0
"""Whether the patch steps that come next have anything to do (spec §3.8)."""

from __future__ import annotations

import pytest

from patchwright.core.errors import InvalidParameters
from patchwright.core.patch_check import PatchCheck

IF_NEEDED, NEVER = "RebootIfNeeded", "NoReboot"


def inputs(check="install", operation="Install", option=IF_NEEDED):
    """What a check step is told."""
    return {"Check": check, "Operation": operation, "RebootOption": option}


@pytest.mark.parametrize(
    ("asked", "counts", "goes_on"),
    [
        (inputs(), {"Missing": 3}, True),
        (inputs(), {"Failed": 1}, True),
        (inputs(), {"InstalledPendingReboot": 1}, True),
        (inputs(), {"Installed": 9, "InstalledOther": 400, "InstalledRejected": 1}, False),
        (inputs(), {}, False),
        (inputs(option=NEVER), {"Missing": 1}, True),
        (inputs(option=NEVER), {"InstalledPendingReboot": 1}, False),
        (inputs(operation="Scan"), {"Missing": 3, "InstalledPendingReboot": 1}, False),
        (inputs("reboot"), {"InstalledPendingReboot": 1}, True),
        (inputs("reboot"), {"Missing": 3}, False),
        (inputs("reboot"), {}, False),
        (inputs("reboot", option=NEVER), {"InstalledPendingReboot": 1}, False),
        (inputs("reboot", operation="Scan"), {"InstalledPendingReboot": 1}, False),
    ],
)
def test_a_document_goes_on_where_there_is_something_to_do(asked, counts, goes_on):
    """Patches to install or to try again, and restarts only where they are wanted; the text says how many."""
    found = PatchCheck.read("Verify", asked).answer(counts)

    assert found.goes_on is goes_on
    assert found.text.startswith(f"{counts.get('Missing', 0) + counts.get('Failed', 0)} patches to install, ")


@pytest.mark.parametrize(
    "asked",
    [{}, inputs("later"), inputs(operation="Reboot"), inputs(option=""), {**inputs(), "Check": ["install"]}],
    ids=range(5),
)
def test_a_check_that_asks_nothing_sensible_is_refused(asked):
    """The message says what it may ask."""
    with pytest.raises(InvalidParameters, match="of step Verify is one of"):
        PatchCheck.read("Verify", asked)
