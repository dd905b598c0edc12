# SPDX-License-Identifier: Apache-2.0
"""What was judged once is not judged again, and is never taken for something it is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from patchwright.core.compliance import Operation as Kind
from patchwright.core.protocol import Phase
from patchwright.core.system import OperatingSystem
from patchwright.server.infra import Unavailable
from patchwright.server.patching import close, judging, memory, predefined
from server.patching.bench import OUTDATED, PATCHED, bodies_of, with_facts

DAY_SECONDS = 86_400.0


@pytest.fixture
def judgements(monkeypatch):
    """How many judgements have been made: a list that grows by one with each."""
    made = []
    weigh = judging.weigh

    def counted(*arguments):
        made.append(arguments)
        return weigh(*arguments)

    monkeypatch.setattr(judging, "weigh", counted)
    return made


async def test_two_scans_that_see_the_same_are_judged_once(bench, judgements):
    """Of one node or of two, and their reports differ in nothing but who and when."""
    first, second = await bench.enrol(), await bench.enrol()
    reports = [
        (await bench.scan(node, with_facts(OUTDATED, observed_at=at, boot_id=boot))).report.text.replace(node, "NODE")
        for node, at, boot in ((first, 1.0, "a"), (first, 2.0, "a"), (second, 3.0, "b"))
    ]

    assert len(judgements) == 1
    assert len(set(reports)) == 1
    assert "Missing 2" in reports[0]
    assert await bench.states(first) == await bench.states(second)


@pytest.mark.parametrize(
    "changed",
    [
        with_facts(OUTDATED, held=("foo.amd64",)),
        with_facts(OUTDATED, slices=tuple(replace(ref, pin=-1) for ref in OUTDATED.facts.slices)),
        PATCHED,
    ],
    ids=["held", "pin", "packages"],
)
async def test_what_judging_looks_at_is_judged_anew(bench, judgements, changed):
    """Nothing remembered speaks for a node that is different."""
    node = await bench.enrol()
    await bench.scan(node, OUTDATED)
    await bench.scan(node, changed)

    assert len(judgements) == 2


async def test_another_day_is_judged_anew(bench, judgements):
    """Approval may have come with the day."""
    node = await bench.enrol()
    await bench.scan(node, OUTDATED)
    bench.clock.time += DAY_SECONDS
    await bench.scan(node, OUTDATED)

    assert len(judgements) == 2


async def test_a_predefined_baseline_that_an_upgrade_changed_is_judged_anew(bench, monkeypatch):
    """Its id and revision stay; a snapshot of before the upgrade is judged by what it froze, one of after by the new rules."""
    node = await bench.enrol()
    await bench.begin(node, Kind.SCAN, snapshot_id="11111111-1111-4111-8111-111111111111")
    standard = predefined.default_of(bench.scope.region, OperatingSystem.DEBIAN)
    stricter = replace(standard.definition, baseline=replace(standard.definition.baseline, rejected=("foo",)))
    monkeypatch.setattr(predefined, "find", lambda *_: replace(standard, definition=stricter))
    monkeypatch.setattr(predefined, "default_of", lambda *_: replace(standard, definition=stricter))
    reports = [
        (await bench.scan(node, OUTDATED, snapshot_id=snapshot)).report.text.split(":", 1)[1]
        for snapshot in ("11111111-1111-4111-8111-111111111111", "")
    ]

    assert reports[0] != reports[1]


async def test_what_we_installed_is_judged_with_its_history(bench):
    """After an Install in the same boot the same packages wait for a restart; in the next boot they do not."""
    node, other = await bench.enrol(), await bench.enrol()
    await bench.scan(other, PATCHED)
    await bench.install(node, OUTDATED, PATCHED)
    await bench.scan(node, PATCHED)
    assert (await bench.states(node))["foo.amd64"] == "InstalledPendingReboot"

    await bench.scan(node, with_facts(PATCHED, boot_id="boot-2"))

    assert (await bench.states(node))["foo.amd64"] == "Installed"


async def test_a_transaction_that_comes_to_nothing_teaches_nothing(bench, monkeypatch):
    """The rows of what was judged in it may not be there either."""
    node = await bench.enrol()
    run = await bench.begin(node, Kind.SCAN)
    await run.send(Phase.BEFORE, OUTDATED)
    bench.operations._memory = memory.Memory()
    write = bench.database.write

    async def lost(*arguments, **named):
        await write(*arguments, **named)
        raise Unavailable("the disk went away")

    again = await bench.begin(node, Kind.SCAN)
    monkeypatch.setattr(bench.database, "write", lost)
    with pytest.raises(Unavailable):
        await again.put(Phase.BEFORE, OUTDATED)
    monkeypatch.undo()

    assert not bench.operations._memory._known


async def test_a_unit_run_again_teaches_only_what_its_last_run_learned(bench, monkeypatch):
    """PostgreSQL runs a unit again that lost a race; the rows of the run that came to nothing are not there."""
    node = await bench.enrol()
    run = await bench.begin(node, Kind.SCAN)
    await run.bodies(bodies_of(OUTDATED))
    write = bench.database.write

    async def twice(work, *arguments, **named):
        def lost():
            yield from work(*arguments, **named)
            raise Unavailable("it lost a race")

        with pytest.raises(Unavailable):
            await write(lost)
        await write(end)
        return await write(work, *arguments, **named)

    def end():
        yield from close(bench.scope, node, run.command, now=bench.clock.time, reason="It took too long.")

    monkeypatch.setattr(bench.database, "write", twice)
    directive = await run.put(Phase.BEFORE, OUTDATED)

    assert directive.report.error == "It took too long."
    assert not [key for key in bench.operations._memory._known if key[0] == "scan"]


async def test_a_report_asked_for_again_is_the_same(bench):
    """Its findings are not kept twice, but made again of the rows."""
    run = await bench.begin(await bench.enrol(), Kind.SCAN)
    first = await run.send(Phase.BEFORE, OUTDATED)

    assert await run.put(Phase.BEFORE, OUTDATED) == first


def test_the_oldest_is_forgotten_first(monkeypatch):
    """The memory has a bound."""
    monkeypatch.setattr(memory, "_KEPT", 3)
    kept = memory.Memory()
    for number in range(5):
        recall = kept.recall()
        recall.put(number, str(number))
        kept.keep(recall)

    assert [kept.recall().get(number) for number in range(5)] == [None, None, "2", "3", "4"]
