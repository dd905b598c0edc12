# SPDX-License-Identifier: Apache-2.0
"""
Random histories of a node that is changed behind the agent's back, a Scan after each change.

The oracle (`oracle.py`) says from the node's own tools what is true. The verdict before the Scan is as old as the facts it
rests on and says so; the one after it agrees with the oracle. `PATCHWRIGHT_FULL=1` runs 220 changes, else a sample; both are
made of `PATCHWRIGHT_SEED`. A line for each change is printed, and kept in the directory `PATCHWRIGHT_MATRIX_LOG` where set.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from .accidents import KINDS
from .mutations import MUTATIONS, NAMES, World, populate, repair
from .oracle import WRONG, Claim, Truth, consult, disagreements
from .station import Station, until

SEED = int(os.environ.get("PATCHWRIGHT_SEED", "20261120"))
FULL = os.environ.get("PATCHWRIGHT_FULL", "") not in ("", "0")
SHARDS, LENGTH = (10, 22) if FULL else (1, 11)
CLOCK_SECONDS = 0.5  # between two readings of the one clock that server, node and test share
REPAIRS = 0.3  # how often something damaged is repaired instead of anything else being changed
REPAIRS_OF_TOOLS = 0.75  # the same where apt and dpkg cannot work: while they cannot, little else can be seen
EVERYTHING = {
    "PatchRules": [
        {
            "PatchFilterGroup": {"PatchFilters": [{"Key": "PRIORITY", "Values": ["*"]}]},
            "ApproveAfterDays": 0,
            "EnableNonSecurity": True,
        }
    ]
}


@pytest.mark.farm
@pytest.mark.e2e
@pytest.mark.timeout(900)
@pytest.mark.parametrize("shard", range(SHARDS))
def test_what_happens_behind_the_agents_back_is_found_and_never_called_compliant(
    station, debrepo, new_node, tmp_path, shard
):
    """Whatever people, packages and accidents do: before a Scan the verdict shows its age, after it it is the oracle's."""
    rng = random.Random(f"{SEED}/{shard}")
    shelf: dict[tuple[str, str], str] = {}
    populate(debrepo, shelf)
    node = new_node("deb12", debrepo, installed=NAMES[: rng.randint(3, 6)])
    station.enrol(node, tags={"Patch Group": "web"})
    security_only = shard % 2 == 0
    if not security_only:
        _approve_everything(station)
    world = World(station.farm, node, debrepo, rng, tmp_path, shelf)
    assert station.patch(node, "Scan")["Status"] == "Success"
    known, wrong = _said(station, node), []
    for step, (kind, what) in enumerate(_history(world, shard), start=1):
        found = _before_the_scan(known, _said(station, node))
        done = station.patch(node, "Scan")
        truth, before, known = consult(node, security_only=security_only), known, _said(station, node)
        claim = _claim(done, known)
        found += disagreements(truth, claim) + _after_the_scan(before, known, claim)
        _log(shard, step, f"{kind} | {what} | truth: {truth} | said: {claim} | {'; '.join(found) or 'agrees'}")
        wrong += [f"{shard}.{step:02} {kind} ({what}): {words}" for words in found]
    assert wrong == []


@pytest.mark.farm
@pytest.mark.e2e
def test_the_oracle_calls_a_verdict_from_before_a_change_a_lie(station, debrepo, new_node):
    """Taken for new, what was said before an update appeared would be caught: the comparison can fail on a real node."""
    debrepo.release("alpha", "1.0-1")
    debrepo.security("beta", "1.0-1")
    node = new_node("deb12", debrepo, installed=["alpha"])
    station.enrol(node)
    claim = _claim(station.patch(node, "Scan"), _said(station, node))
    assert disagreements(consult(node, security_only=True), claim) == []

    debrepo.security("alpha", "1.0-1+deb12u1")

    truth = consult(node, security_only=True)
    assert truth.outstanding == {"alpha.all": "1.0-1+deb12u1"}
    assert [words.partition(":")[0] for words in disagreements(truth, claim)] == ["LIE", "LIE", "LIE", "WRONG"]


@pytest.mark.farm
@pytest.mark.e2e
def test_facts_older_than_the_server_allows_cannot_tell(farm, tmp_path, monkeypatch, debrepo, new_node):
    """With PATCHWRIGHT_STALE_AFTER_HOURS at a few seconds: COMPLIANT while fresh, then UNKNOWN, until the next Scan."""
    limit = 4
    debrepo.security("alpha", "1.0-1")
    monkeypatch.setenv("PATCHWRIGHT_STALE_AFTER_HOURS", str(limit / 3600))
    station = Station(tmp_path, farm)
    station.start()
    try:
        node = new_node("deb12", debrepo)
        station.enrol(node)
        observed_at = 0.0
        for _ in range(2):
            begun = time.monotonic()
            assert station.patch(node, "Scan")["Status"] == "Success"
            fresh = station.live(node)
            if time.monotonic() - begun < limit - 1:  # on a busy machine what the Scan fetched may be old by now
                assert (fresh["Standing"], fresh["Doubts"]) == ("COMPLIANT", [])
            assert fresh["ObservedAt"] > observed_at
            observed_at = fresh["ObservedAt"]
            stale = until(lambda: _if_stale(station.live(node)), what="the facts are old", every=0.2)
            assert (stale["Standing"], stale["Doubts"]) == ("UNKNOWN", ["FACTS_STALE", "METADATA_STALE"])
            assert stale["AgeSeconds"] > limit
            assert stale["ObservedAt"] == observed_at
            assert station.summary(node)["MissingCount"] == 0  # the last operation stands as it was (design D5)
    finally:
        station.close()


LACKING = Truth(outstanding={"a.all": "2"})
BROKEN = Truth(unfinished={"a.all": "iF"})
STRAY = Truth(strays={"a.all": "iU"})
DARK = Truth("dpkg-query: no")
AGREED = {
    "compliant": (Truth(), {}),
    "lacking": (LACKING, {"standing": "NON_COMPLIANT", "live": "Missing", "reported": "Missing", "counted": 1}),
    "broken": (BROKEN, {"standing": "NON_COMPLIANT", "live": "Failed", "reported": "Failed", "counted": 1}),
    "stray": (STRAY, {"standing": "UNKNOWN", "doubts": ["PACKAGES_UNFINISHED"]}),
    "dark": (DARK, {"status": "Failed", "error": "why", "standing": "UNKNOWN", "doubts": ["LATER_RUN_FAILED"]}),
}


def _made(members) -> Claim:
    claim = Claim("Success", "", "COMPLIANT", (), {}, {}, 0)
    rows = {name: {"a.all": members[name]} for name in ("live", "reported") if name in members}
    return replace(claim, **{**members, **rows})


@pytest.mark.parametrize("name", AGREED)
def test_a_true_claim_is_not_objected_to(name):
    """The comparison knows what is right, whatever the node is."""
    truth, members = AGREED[name]
    assert disagreements(truth, _made(members)) == []


@pytest.mark.parametrize(
    ("name", "said", "objection"),
    [
        ("lacking", {"standing": "COMPLIANT"}, "LIE: the live verdict is COMPLIANT"),
        ("broken", {"standing": "COMPLIANT"}, "LIE: the live verdict is COMPLIANT"),
        ("stray", {"standing": "COMPLIANT"}, "LIE: the live verdict is COMPLIANT"),
        ("dark", {"standing": "COMPLIANT"}, "LIE: the live verdict is COMPLIANT"),
        ("dark", {"status": "Success"}, "LIE: the Scan succeeded"),
        ("dark", {"doubts": []}, "WRONG: the live verdict has no doubt"),
        ("dark", {"error": " "}, "WRONG: the Scan failed and does not say why"),
        ("lacking", {"live": None}, "LIE: the live verdict does not list a.all"),
        ("lacking", {"reported": None, "counted": 0}, "LIE: the last operation does not list a.all"),
        ("lacking", {"reported": "Failed"}, "WRONG: the last operation calls a.all Failed"),
        ("lacking", {"counted": 0}, "WRONG: the summary counts 0"),
        ("lacking", {"standing": "UNKNOWN"}, "WRONG: the live verdict is UNKNOWN"),
        ("compliant", {"standing": "UNKNOWN"}, "FALSE ALARM: the live verdict is UNKNOWN"),
        ("compliant", {"live": "Missing"}, "FALSE ALARM: the live verdict lists a.all"),
        ("compliant", {"reported": "Missing", "counted": 1}, "FALSE ALARM: the last operation lists a.all"),
        ("compliant", {"status": "Failed"}, "FALSE ALARM: the Scan is Failed"),
    ],
)
def test_a_false_claim_is_seen(name, said, objection):
    """An intentional lie of each kind is found and called what it is."""
    truth, members = AGREED[name]
    members = {key: value for key, value in {**members, **said}.items() if value is not None}
    found = disagreements(truth, _made(members))
    assert any(words.startswith(objection) for words in found), found


def _history(world: World, shard: int) -> Iterator[tuple[str, str]]:
    """Kind and words of each change, as it is made. All shards together come to every kind."""
    kinds = random.Random(SEED).sample(KINDS, len(KINDS))
    due = kinds[shard::SHARDS]
    for _ in range(LENGTH):
        if world.damages and world.rng.random() < (REPAIRS if world.sound else REPAIRS_OF_TOOLS):
            damage = world.rng.choice(sorted(world.damages))
            yield f"repair of {damage}", repair(world, damage)
            continue
        order = [*due, *world.rng.sample(kinds, len(kinds))]
        for kind in order:
            what = MUTATIONS[kind](world)
            if what is not None:
                due = [other for other in due if other != kind]
                yield kind, what
                break


@dataclass(frozen=True)
class Said:
    """Everything the server answers about the node at one moment."""

    live: dict[str, Any]
    patches: dict[str, dict[str, Any]]
    summary: dict[str, Any]
    asked_at: float


def _said(station, node) -> Said:
    asked_at = time.time()
    return Said(station.live(node), station.patches(node), station.summary(node), asked_at)


def _before_the_scan(known: Said, now: Said) -> list[str]:
    """Nobody has told the server anything: its answers are the old ones, and as old as the facts."""
    found = []
    if (now.patches, now.summary) != (known.patches, known.summary):
        found.append("WRONG: the last operation changed without an operation")
    changed = [name for name in ("Standing", "Doubts", "ObservedAt") if now.live[name] != known.live[name]]
    found += [f"WRONG: {name} changed before the Scan" for name in changed]
    if now.live["AgeSeconds"] < now.asked_at - now.live["ObservedAt"] - CLOCK_SECONDS:
        found.append("WRONG: the live verdict makes itself younger than its facts")
    return found


def _after_the_scan(before: Said, now: Said, claim: Claim) -> list[str]:
    """A Scan that failed leaves the last operation as it was; facts are as old as they are, and never from the future."""
    found = []
    if not claim.succeeded and (now.patches, now.summary) != (before.patches, before.summary):
        found.append("WRONG: a Scan that failed changed the last operation")
    if claim.succeeded and now.live["ObservedAt"] <= before.live["ObservedAt"]:
        found.append("LIE: the Scan succeeded, and the verdict rests on facts from before it")
    if not 0 <= now.live["AgeSeconds"] - (now.asked_at - now.live["ObservedAt"]) + CLOCK_SECONDS:
        found.append("WRONG: the live verdict makes itself younger than its facts")
    return found


def _if_stale(live: dict[str, Any]) -> dict[str, Any] | None:
    return live if "FACTS_STALE" in live["Doubts"] else None


def _claim(done: dict[str, Any], said: Said) -> Claim:
    counts = ("MissingCount", "FailedCount", "InstalledRejectedCount", "InstalledPendingRebootCount")
    return Claim(
        status=done["Status"],
        error=done["StandardErrorContent"],
        standing=said.live["Standing"],
        doubts=said.live["Doubts"],
        live={key: row["State"] for key, row in said.live["Patches"].items() if row["State"] in WRONG},
        reported={key: row["State"] for key, row in said.patches.items() if row["State"] in WRONG},
        counted=sum(said.summary[count] for count in counts),
    )


def _approve_everything(station) -> None:
    for system in ("DEBIAN", "UBUNTU"):
        made = station.client().create_patch_baseline(
            Name=f"everything-{system}", OperatingSystem=system, ApprovalRules=EVERYTHING
        )
        station.client().register_patch_baseline_for_patch_group(BaselineId=made["BaselineId"], PatchGroup="web")


def _log(shard: int, step: int, line: str) -> None:
    line = f"seed {SEED} {shard}.{step:02} {line}"
    print(line, flush=True)
    directory = os.environ.get("PATCHWRIGHT_MATRIX_LOG")
    if directory:
        Path(directory).mkdir(parents=True, exist_ok=True)
        with (Path(directory) / f"mutations-{shard}.log").open("w" if step == 1 else "a") as log:
            log.write(line + "\n")
