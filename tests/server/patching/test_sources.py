# SPDX-License-Identifier: Apache-2.0
"""A baseline's own repositories (spec §2.9): who gets which, which facts are taken for an answer, and what is said live."""

from __future__ import annotations

from dataclasses import replace

import pytest

from patchwright.core import source
from patchwright.core.compliance import Doubt, Standing
from patchwright.core.compliance import Operation as Kind
from patchwright.core.facts import RepositoryProblem
from patchwright.core.protocol import Next, Phase
from patchwright.server.patching import OperationRefused, Source
from server.patching.bench import FIXED, NOW, OUTDATED, PATCHED, RELEASE, Bench, debian, with_facts
from server.patching.test_baselines import definition

OURS = Source("ours", ("Debian12",), "deb http://ours.example stable main")
EVERYWHERE = Source("everywhere", ("*",), "deb http://user:hush@mirror.example stable main")
OTHERS = Source("others", ("Debian11", "Debian10"), "deb http://others.example stable main")
BOTH = (OURS, EVERYWHERE)


def served(*sources: Source) -> source.Sources:
    """What a node is told of *sources*."""
    return tuple(source.Source(one.name, one.configuration) for one in sources)


def taken(view, *sources: Source, at: float = 0.0):
    """*view* as taken with *sources*, *at* seconds later."""
    return with_facts(view, sources=source.digest(served(*sources)), observed_at=NOW + at, refreshed_at=NOW + at)


async def node_with(bench: Bench, *sources: Source) -> tuple[str, str]:
    """A node, and the baseline with *sources* that its group has."""
    baseline_id = await bench.baselines.create(bench.scope, replace(definition(), sources=sources), own_tags={})
    await bench.baselines.register_group(bench.scope, baseline_id, "web")
    return await bench.enrol(group="web"), baseline_id


async def change(bench: Bench, baseline_id: str, *sources: Source) -> None:
    """Give the baseline other sources."""
    await bench.baselines.update(bench.scope, baseline_id, lambda old: replace(old, sources=sources))


@pytest.mark.parametrize(
    ("product", "names"),
    [
        ("Debian12", ["ours", "everywhere"]),
        ("Debian11", ["everywhere", "others"]),
        ("Debian13", ["everywhere"]),
        ("", ["everywhere"]),
    ],
)
async def test_a_node_gets_those_that_match_its_product(bench, product, names):
    """In the baseline's order; `*` matches every product (spec §2.9)."""
    node, _ = await node_with(bench, OURS, EVERYWHERE, OTHERS)
    run = await bench.begin(node, product=product)
    assert [one.name for one in run.begun.sources] == names


async def test_beginning_again_gets_the_same_whatever_became_of_the_baseline(bench):
    """They are those of the snapshot: a node that crashed and asks again goes on with what it began with."""
    node, baseline_id = await node_with(bench, OURS)
    first = await bench.begin(node, command="00000000-0000-0000-0000-00000000abcd")
    await change(bench, baseline_id, EVERYWHERE)

    again = await bench.begin(node, command="00000000-0000-0000-0000-00000000abcd")
    assert again.begun == first.begun
    assert first.begun.sources == served(OURS)
    assert (await bench.begin(node)).begun.sources == served(EVERYWHERE)


async def test_a_baseline_without_any_for_the_product_leaves_the_node_its_own(bench):
    """Nothing is said of sources, and facts taken without any are taken."""
    node, _ = await node_with(bench, OTHERS)
    run = await bench.begin(node)
    assert run.begun.sources == ()
    assert (await run.send(Phase.BEFORE, OUTDATED)).report.succeeded


async def test_facts_taken_with_other_repositories_are_refused(bench):
    """The node's own, none of them, or another baseline's: they would be a wrong answer, and none of them is recorded."""
    node, _ = await node_with(bench, *BOTH)
    run = await bench.begin(node)
    for wrong in (OUTDATED, taken(OUTDATED, OURS), taken(OUTDATED, EVERYWHERE, OURS)):
        with pytest.raises(OperationRefused, match="'ours', 'everywhere' for Debian12") as caught:
            await run.send(Phase.BEFORE, wrong)
        assert "hush" not in str(caught.value)
    assert (await bench.verdicts.live(bench.scope, node)).facts is None
    assert (await run.send(Phase.BEFORE, taken(OUTDATED, *BOTH))).report.succeeded

    plain = await bench.enrol()
    with pytest.raises(OperationRefused, match="the baseline names none"):
        await (await bench.begin(plain)).send(Phase.BEFORE, taken(OUTDATED, OURS))


async def test_an_install_is_held_to_them_to_its_end(bench):
    """Facts from after the installation count only if they were taken with them, too; the report names them."""
    node, _ = await node_with(bench, *BOTH)
    run = await bench.begin(node, Kind.INSTALL)
    await run.resolve(await run.send(Phase.BEFORE, taken(OUTDATED, *BOTH)))
    with pytest.raises(OperationRefused):
        await run.send(Phase.AFTER, PATCHED, acted_boot_id="boot-1")

    done = await run.send(Phase.AFTER, taken(PATCHED, *BOTH, at=60), acted_boot_id="boot-1")
    assert done.report.succeeded
    assert "those of the baseline (ours, everywhere), in the place of the node's own" in done.report.text
    assert "hush" not in done.report.text
    assert (await bench.states(node))["foo.amd64"] == "InstalledPendingReboot"


async def test_a_source_that_cannot_be_read_is_named(bench):
    """The operation ends Failed without a verdict, and says that it is the baseline that is to be mended."""
    node, _ = await node_with(bench, OURS)
    broken = with_facts(taken(OUTDATED, OURS), problems=(RepositoryProblem("http://ours.example stable", "404"),))
    done = await bench.scan(node, broken)
    assert done.next is Next.DONE
    assert not done.report.succeeded
    assert "http://ours.example stable: 404" in done.report.error
    assert "Sources of the baseline" in done.report.error
    nothing = taken(OUTDATED, OURS, at=1)
    nothing = replace(nothing, facts=replace(nothing.facts, slices=()), slices=())
    none = await bench.scan(node, nothing)
    assert "Name them in the Sources of the baseline" in none.report.error


async def test_the_live_verdict_is_of_facts_taken_with_the_same(bench):
    """Facts taken with the sources of today's baseline tell; after the sources changed nothing does until the next Scan."""
    node, baseline_id = await node_with(bench, OURS)
    await bench.scan(node, taken(OUTDATED, OURS))
    verdict = await bench.verdicts.live(bench.scope, node)
    assert (verdict.standing, verdict.doubts) == (Standing.NON_COMPLIANT, ())

    await change(bench, baseline_id, EVERYWHERE)
    verdict = await bench.verdicts.live(bench.scope, node)
    assert (verdict.standing, verdict.doubts) == (Standing.UNKNOWN, (Doubt.OTHER_SOURCES,))

    await bench.scan(node, taken(PATCHED, EVERYWHERE, at=5))
    verdict = await bench.verdicts.live(bench.scope, node)
    assert (verdict.standing, verdict.doubts) == (Standing.COMPLIANT, ())


async def test_facts_taken_without_any_cannot_tell_what_is_missing_from_the_sources(bench):
    """Nor can those taken with some say anything once the baseline has none; sources of other products change nothing."""
    node, baseline_id = await node_with(bench, OTHERS)
    await bench.scan(node, PATCHED)
    assert (await bench.verdicts.live(bench.scope, node)).standing is Standing.COMPLIANT

    await change(bench, baseline_id, OURS)
    verdict = await bench.verdicts.live(bench.scope, node)
    assert (verdict.standing, verdict.doubts) == (Standing.UNKNOWN, (Doubt.OTHER_SOURCES,))

    only = await bench.enrol(group="web")
    await bench.scan(only, taken(OUTDATED, OURS))
    await change(bench, baseline_id)
    verdict = await bench.verdicts.live(bench.scope, only)
    assert (verdict.standing, verdict.doubts) == (Standing.UNKNOWN, (Doubt.OTHER_SOURCES,))


async def test_the_newest_facts_taken_so_are_used_though_newer_ones_were_taken_otherwise(bench):
    """What is installed is of the newest facts, what is offered of the last ones that looked at these repositories."""
    node, baseline_id = await node_with(bench)
    await bench.scan(node, OUTDATED)  # the node's own offer foo and bar
    await change(bench, baseline_id, OURS)
    ours = debian(RELEASE, security=FIXED[:1])  # ours offers foo alone
    await bench.scan(node, taken(ours, OURS, at=10))
    assert set(await missing(bench, node)) == {"foo.amd64"}

    await change(bench, baseline_id)
    assert set(await missing(bench, node)) == {"foo.amd64", "bar.amd64"}
    assert (await bench.verdicts.live(bench.scope, node)).doubts == ()

    await change(bench, baseline_id, OURS)
    await bench.scan(node, taken(debian((FIXED[0], *RELEASE[1:]), security=FIXED[:1]), OURS, at=20))
    assert await missing(bench, node) == []
    await change(bench, baseline_id)
    assert set(await missing(bench, node)) == {"bar.amd64"}, "foo is known to be patched, whoever looked"
    await bench.scan(node, taken(PATCHED, at=30))
    assert (await bench.verdicts.live(bench.scope, node)).standing is Standing.COMPLIANT


async def test_what_was_not_installed_when_the_repositories_were_last_asked_is_in_doubt(bench):
    """They were asked only for what was installed then: what has come since may miss anything."""
    node, baseline_id = await node_with(bench)
    await bench.scan(node, PATCHED)
    await change(bench, baseline_id, OURS)
    await bench.scan(node, taken(debian((*FIXED, "plain 3.0-1", "fresh 1.0-1")), OURS, at=10))
    await change(bench, baseline_id)

    verdict = await bench.verdicts.live(bench.scope, node)
    assert (verdict.standing, verdict.doubts) == (Standing.UNKNOWN, (Doubt.OTHER_SOURCES,))


async def test_the_age_of_metadata_is_that_of_the_repositories_judged_by(bench):
    """A node scanned with sources every hour does not thereby know what its own repositories offer since three days."""
    node, baseline_id = await node_with(bench)
    await bench.scan(node, taken(PATCHED))
    await change(bench, baseline_id, OURS)
    bench.clock.time += 72 * 3600
    await bench.scan(node, taken(PATCHED, OURS, at=72 * 3600))
    assert (await bench.verdicts.live(bench.scope, node)).standing is Standing.COMPLIANT

    await change(bench, baseline_id)
    assert (await bench.verdicts.live(bench.scope, node)).doubts == (Doubt.METADATA_STALE,)


async def missing(bench: Bench, node: str) -> list[str]:
    """What the live verdict says is missing."""
    return [key for key, state in (await bench.live(node)).items() if state == "Missing"]
