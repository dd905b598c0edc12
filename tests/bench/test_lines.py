# SPDX-License-Identifier: Apache-2.0
"""Every benchmark prints exactly one line, and the line says what was measured, against what, and whether it is enough."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from farm.fixtures import required
from farm.machine import missing

ROOT = Path(__file__).resolve().parents[2]
MEMBERS = {"name", "seed", "revision", "machine", "rounds", "quick", "ours", "peer", "ratio", "bound", "within"}
FACTS = {"processor", "cores", "memory_gib", "kernel", "python", "load", "yardstick_ms"}


whole = pytest.mark.skipif(os.environ.get("PATCHWRIGHT_FULL") != "1", reason="takes its time: bin/test --full")


def line_of(name: str, *words: str, timeout: float = 200) -> dict[str, Any]:
    """Run a benchmark in its quick form and answer the only line it printed."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["PATCHWRIGHT_SEED"] = "7"
    argv = [sys.executable, str(ROOT / f"bench/{name}.py"), "--quick", *words]
    done = subprocess.run(argv, capture_output=True, text=True, env=environment, timeout=timeout, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    (text,) = done.stdout.splitlines()
    line: dict[str, Any] = json.loads(text)
    return line


def check(line: dict[str, Any], name: str) -> None:
    """The line has what every line has, and its verdict is that of its bounds."""
    assert set(line) >= MEMBERS
    assert set(line["machine"]) == FACTS
    assert (line["name"], line["seed"], line["quick"], line["rounds"]) == (name, 7, True, 1)
    assert line["revision"]
    assert line["bound"]
    for bound in line["bound"].values():
        assert set(bound) in ({"figure", "at most", "unit", "within"}, {"figure", "at least", "unit", "within"})
    assert line["within"] is all(bound["within"] for bound in line["bound"].values())


def needs_farm() -> None:
    """Skip where no farm can be had, as the farm's own tests do."""
    lacks = missing()
    if lacks and not required():
        pytest.skip("NO TEST FARM: " + ", ".join(lacks))


@whole
def test_a_report_is_measured_phase_by_phase() -> None:
    """Unchanged, changed, and every message of the conversation cost something, and so did the floor."""
    line = line_of("report")
    check(line, "report")
    ours = line["ours"]
    assert set(ours["changed_parts_us"]) == {"facts", "bodies", "facts again"}
    assert all(figure > 0 for figure in ours["scan_conversation_parts_us"].values())
    assert all(figure > 0 for figure in ours["unchanged_cpu_us"].values())
    assert ours["changed_cpu_us"] > 0
    assert line["peer"]["cpu_us"] > 0


def test_without_its_peer_a_bound_does_not_hold() -> None:
    """The line says that the peer was left out, and does not call that enough."""
    line = line_of("baselines", "--without-peer")
    check(line, "baselines")
    assert line["ours"]["cpu_us"] > 0
    assert "not measured" in line["peer"]
    assert (line["ratio"], line["within"]) == (None, False)


@whole
def test_decisions_are_measured_four_ways() -> None:
    """Each way has a figure, and all but the one that remembers nothing have a bound."""
    line = line_of("policy")
    check(line, "policy")
    assert len(line["ours"]) == 5
    assert all(way["cpu_us"] > 0 for way in line["ours"].values())
    assert len(line["bound"]) == 4


@whole
def test_what_hygiene_adds_to_a_call_is_measured() -> None:
    """Beside the proof of a signature, which has to be there anyway."""
    line = line_of("requests")
    check(line, "requests")
    assert line["ours"]["cpu_us"] > 0
    assert line["peer"]["cpu_us"] > 0


def test_channels_are_measured_beside_their_floor() -> None:
    """Every node of both sides has its last acknowledgement, and every result is read back."""
    line = line_of("channel")
    check(line, "channel")
    assert line["ours"]["nodes"] == 50
    assert line["ours"]["cpu_ms"] > 0
    assert line["peer"]["cpu_ms"] > 0


@whole
def test_the_dearest_of_all_schedules_is_named() -> None:
    """The next firing and the previous one, of every expression that the tests know."""
    line = line_of("schedules")
    check(line, "schedules")
    assert line["schedules"] > 150
    assert line["dearest"].startswith("cron(")
    assert 0 < line["ours"]["next"]["median_us"] <= line["ours"]["next"]["at_most_us"]
    assert line["peer"]["shared_us"] > 0


@whole
def test_a_forecast_of_many_nodes_is_measured() -> None:
    """What it costs by node, and a page of it afterwards."""
    line = line_of("forecast")
    check(line, "forecast")
    assert line["ours"]["nodes"] == 2000
    assert line["ours"]["cpu_us_per_node"] > 0 < line["ours"]["page_of_1000_ms"]


@whole
def test_a_ping_is_measured_without_its_peer() -> None:
    """By the command line and by the API, beside a script, on agents that wait."""
    line = line_of("ping", "--without-peer")
    check(line, "ping")
    assert all(line["ours"][f"{way}_s"] > 0 for way in ("cli", "api", "script"))
    assert (line["ratio"], line["within"]) == (None, False)


def test_an_unknown_benchmark_is_refused() -> None:
    """bench/run names what it does not know and measures nothing."""
    done = subprocess.run([ROOT / "bench/run", "scan", "nothing"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "unknown benchmark nothing" in done.stderr


@pytest.mark.farm
def test_a_scan_is_measured_on_a_node() -> None:
    """All four ways have a ratio, and the child's memory was seen."""
    needs_farm()
    line = line_of("scan")
    check(line, "scan")
    assert len(line["ratios"]) == 4
    assert all(ratio > 0 for ratio in line["ratios"].values())
    assert 5 < line["ours"]["child_peak_rss_mb"] < 200


@pytest.mark.farm
@pytest.mark.slow
def test_an_install_is_measured_with_its_parts() -> None:
    """The parts of our side add up to the whole, and apt's are its three commands."""
    needs_farm()
    line = line_of("install")
    check(line, "install")
    assert sum(line["ours"]["parts_s"].values()) == pytest.approx(line["ours"]["wall_s"], rel=0.02)
    assert list(line["peer"]["parts_s"]) == ["apt-get update", "apt-get install", "apt list"]


@pytest.mark.farm
@pytest.mark.slow
def test_waiting_is_measured_over_http_and_tls() -> None:
    """Both agents and bare Python were looked at, and the agent is the larger."""
    needs_farm()
    line = line_of("idle", "--without-peer", "--seconds", "5", timeout=280)
    check(line, "idle")
    agents, bare = line["ours"], line["peer"]["bare Python"]
    assert set(agents) == {"agent over HTTP", "agent over TLS"}
    assert all(agent["pss_mb"] > bare["pss_mb"] > 1 for agent in agents.values())
    assert all(agent["processes"] == 1 for agent in agents.values())
