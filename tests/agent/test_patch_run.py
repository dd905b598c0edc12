# SPDX-License-Identifier: Apache-2.0
"""The exchange, step by step, against a server that speaks it."""

from __future__ import annotations

import json

import pytest


def test_a_scan_reports_what_is_missing_and_changes_nothing(stage):
    """A Scan sends facts, gets the report, and the report is the step's output."""
    command = stage.send("Scan")

    assert stage.once() == 0, stage.logs()
    final = stage.simulator.final(command)
    assert final["documentStatus"] == "Success"
    assert final["runtimeStatus"]["Patch"]["standardOutput"] == "missing: openssl=3.0.2-1 zlib1g=1.2-2"
    assert stage.history == ["refresh"]


def test_a_scan_works_with_real_processes(real_stage):
    """The same with the agent, its worker and its tasks started as programs."""
    command = real_stage.send("Scan")

    assert real_stage.once() == 0, real_stage.logs()
    assert real_stage.simulator.final(command)["documentStatus"] == "Success"
