# SPDX-License-Identifier: Apache-2.0
"""
Every point of the crash matrix ends truthfully: done once, told once, nothing in progress, and the reports are the database.

`bin/test` plays a sample drawn by PATCHWRIGHT_SEED, `bin/test --full` all of it. PATCHWRIGHT_MATRIX_LOG names a file for
the log. One point by hand: `pytest tests/e2e/test_crash_matrix.py -k "write_the_end and power"`, with PATCHWRIGHT_FULL=1.
"""

from __future__ import annotations

import re
import sys
import time

import pytest

from .matrix import documents, hooks, record
from .matrix.faults import befall
from .matrix.points import OPERATIONS, Outcome, Point, chosen, points, steps
from .matrix.stage import Theatre
from .matrix.truth import check, check_document, check_hooks

pytestmark = [pytest.mark.farm, pytest.mark.e2e]

# What the second delivery at the end of every check brings.
ANSWERED_AGAIN = {"acknowledge, 2", "write the reply final, 2", "remove the reply final, 2"}
AFTERWARDS = {"Scan": Outcome(1, "Missing"), "Install": Outcome(1, "InstalledPendingReboot")}


@pytest.fixture(scope="module")
def theatre(farm, tmp_path_factory, request):
    """A server for all points of this process; where their log is, is printed at the end."""
    made = Theatre(farm, tmp_path_factory.mktemp("matrix"))
    yield made
    made.close()
    if record.log_path():
        with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            print(f"\nthe log of the crash matrix: {record.log_path()}", file=sys.stderr)


@pytest.fixture
def stage(theatre):
    """A node for one point."""
    made = theatre.stage()
    yield made
    made.node.destroy()


def _id(point: Point | documents.DocumentPoint | hooks.HookPoint) -> str:
    return re.sub(r"\W+", "_", str(point))


@pytest.mark.parametrize("point", chosen(), ids=_id)
def test_a_point_of_the_matrix_ends_truthfully(stage, point):
    """The node is made to stop at a step, something befalls it there, and afterwards everything holds."""
    _play(stage, point, lambda: check(stage, point.operation, point.expected))


@pytest.mark.parametrize("point", documents.chosen(), ids=_id)
def test_a_point_of_a_document_of_scripts_ends_truthfully(stage, point):
    """No script runs twice that did not ask for it, what nobody knows is Failed, and the rest is as if nothing had been."""
    _play(stage, point, lambda: check_document(stage, point))


@pytest.mark.parametrize("point", hooks.chosen(), ids=_id)
def test_a_point_of_an_install_with_hooks_ends_truthfully(stage, point):
    """A hook whose outcome is unknown counts as one that failed, whatever befalls a patch step changes nothing."""
    _play(stage, point, lambda: check_hooks(stage, point))


def _play(stage, point, checking):
    """Let the fault of *point* befall the node at its step, and see what came of it."""
    begun, outcome = time.monotonic(), "as expected"
    try:
        stage.begin(point)
        befall(stage, point.fault)
        checking()
    except Exception as error:
        outcome = "WRONG ({})".format(*str(error).splitlines()[:1] or [type(error).__name__])
        raise AssertionError(f"{point}: {error}\n{stage.story()}") from error
    finally:
        record.note(point, outcome, boots=stage.node.boots, seconds=time.monotonic() - begun)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_table_knows_every_step(stage, operation):
    """A run without any fault takes the steps of the table, all of them and no other: none is left out unnoticed."""
    stage.send(operation)
    check(stage, operation, AFTERWARDS.get(operation, Outcome(2, "Installed")))
    assert set(stage.stops.steps()) - ANSWERED_AGAIN == steps(operation)


def test_the_table_of_documents_knows_every_step(stage):
    """The same for a document of five scripts with a restart in the middle."""
    stage.send(documents.SCRIPTS)
    check_document(stage)
    assert set(stage.stops.steps()) - ANSWERED_AGAIN == documents.steps()


def test_the_matrix_is_as_large_as_it_has_to_be():
    """At least 120 points of patching and 80 of documents, each once; no step without a fault, every fault at every one."""
    everything = points()
    for operation in OPERATIONS:
        assert {point.step for point in everything if point.operation == operation} == steps(operation)
    assert len(set(everything)) == len(everything) >= 120
    assert len({(point.operation, point.fault) for point in everything}) == 7 * len(OPERATIONS)
    scripts = documents.points()
    assert {point.step for point in scripts} == documents.steps()
    assert len(set(scripts)) == len(scripts) >= 80
    hooked = hooks.points()
    assert len(set(hooked)) == len(hooked) >= 40
    assert {len({point.fault for point in found}) for found in (scripts, hooked)} == {7}
