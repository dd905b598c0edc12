# SPDX-License-Identifier: Apache-2.0
"""Defaults of operating systems, registrations of groups, and how baselines go (spec §1.19, §2.11)."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from patchwright.core.compliance import Operation as Kind
from patchwright.core.protocol import Phase
from patchwright.server import tags
from patchwright.server.patching import (
    BaselineInUse,
    MalformedBaselineId,
    ReadOnlyBaseline,
    Selection,
    UnknownBaseline,
)
from server.patching.bench import OUTDATED
from server.patching.test_baselines import DEBIAN, DEBIAN_DEFAULT, UBUNTU, create

OTHER_STANDARD = "arn:aws:ssm:us-east-1:075727635805:patchbaseline/pb-0cd1fb94b2a7b3d4e"
UNKNOWN = "pb-00000000000000000"


async def defaults(bench, scope=None):
    """The ids of the baselines that listings mark as defaults, of Debian and Ubuntu."""
    found, _ = await bench.baselines.listed(scope or bench.scope, Selection(systems=(("DEBIAN", "UBUNTU"),)))
    return [one.id for one in found if one.default]


async def mapped(bench, selection=Selection(), **page):  # noqa: B008 - a constant
    """Group, operating system, name and default flag of every registration on a page."""
    found = await bench.baselines.mappings(bench.scope, selection, **page)
    return [(one.group, one.baseline.operating_system, one.baseline.name, one.baseline.default) for one in found]


async def test_a_registered_default_is_what_everyone_without_a_group_gets(bench):
    """For its own operating system, in its own account and region (spec §2.11)."""
    (mine,) = await create(bench, "mine")
    node = await bench.enrol()
    before = await defaults(bench)

    await bench.baselines.register_default(bench.scope, mine)

    assert (await bench.baselines.default(bench.scope, DEBIAN)).id == mine
    assert (await bench.baselines.for_group(bench.scope, "any", DEBIAN)).id == mine
    assert (await bench.baselines.for_group(bench.scope, "any", UBUNTU)).id in before
    await bench.scan(node, OUTDATED)
    assert (await bench.verdicts.live(bench.scope, node)).baseline.id == mine
    ((last),) = await bench.verdicts.last(bench.scope, [node])
    assert last.operation.baseline_id == mine
    for scope in (bench.elsewhere, bench.stranger):
        assert (await bench.baselines.default(scope, DEBIAN)).predefined


async def test_a_groups_baseline_comes_before_the_default(bench):
    """And a group without one for the system gets the default."""
    mine, grouped = await create(bench, "mine", "grouped")
    await bench.baselines.register_default(bench.scope, mine)
    await bench.baselines.register_group(bench.scope, grouped, "web")

    assert (await bench.baselines.for_group(bench.scope, "web", DEBIAN)).id == grouped
    await bench.baselines.deregister_group(bench.scope, grouped, "web")
    assert (await bench.baselines.for_group(bench.scope, "web", DEBIAN)).id == mine


async def test_the_mark_of_the_default_follows(bench):
    """One baseline of each operating system has it, also when the predefined one is registered again."""
    mine, second = await create(bench, "mine", "second")
    standard = await defaults(bench)
    assert DEBIAN_DEFAULT in standard

    for registered in (mine, second, DEBIAN_DEFAULT, mine, DEBIAN_DEFAULT.rpartition("/")[2]):
        await bench.baselines.register_default(bench.scope, registered)
        expected = registered if registered in {mine, second} else DEBIAN_DEFAULT
        marked = await defaults(bench)
        assert len(marked) == 2
        assert expected in marked
    assert await defaults(bench, bench.elsewhere) == [one.replace("us-east-1", "eu-central-1") for one in standard]


async def test_what_is_no_baseline_is_no_default(bench):
    """Unknown, malformed, somebody else's; the default stays."""
    (mine,) = await create(bench, "mine")
    (theirs,) = await create(bench, "theirs", scope=bench.stranger)
    await bench.baselines.register_default(bench.scope, mine)

    for wrong, error in ((UNKNOWN, UnknownBaseline), ("pb-nonsense", MalformedBaselineId), (theirs, UnknownBaseline)):
        with pytest.raises(error):
            await bench.baselines.register_default(bench.scope, wrong)
        with pytest.raises(error):
            await bench.baselines.deregister_group(bench.scope, wrong, "web")
    assert (await bench.baselines.default(bench.scope, DEBIAN)).id == mine


async def test_a_baseline_in_use_cannot_be_deleted(bench):
    """As a default or in a group, until it is neither (spec §1.19)."""
    (mine,) = await create(bench, "mine")
    await bench.baselines.register_default(bench.scope, mine)
    await bench.baselines.register_group(bench.scope, mine, "web")

    with pytest.raises(BaselineInUse, match="web"):
        await bench.baselines.delete(bench.scope, mine)
    await bench.baselines.deregister_group(bench.scope, mine, "web")
    with pytest.raises(BaselineInUse, match="default of DEBIAN"):
        await bench.baselines.delete(bench.scope, mine)
    await bench.baselines.register_default(bench.scope, DEBIAN_DEFAULT)
    await bench.baselines.delete(bench.scope, mine)

    with pytest.raises(UnknownBaseline):
        await bench.baselines.get(bench.scope, mine)


async def test_a_deleted_baseline_takes_its_tags_and_leaves_what_was_done_with_it(bench):
    """Runs that froze it go on by it; a new one gets the default."""
    baseline_id = await bench.baselines.create(
        bench.scope, (await bench.baselines.default(bench.scope, DEBIAN)).definition, own_tags={"team": "web"}
    )
    await bench.baselines.register_group(bench.scope, baseline_id, "web")
    node = await bench.enrol(group="web")
    run = await bench.begin(node, Kind.SCAN)
    await bench.baselines.deregister_group(bench.scope, baseline_id, "web")

    await bench.baselines.delete(bench.scope, baseline_id)

    assert (await run.send(Phase.BEFORE, OUTDATED)).report.succeeded
    ((last),) = await bench.verdicts.last(bench.scope, [node])
    assert last.operation.baseline_id == baseline_id
    assert (await bench.verdicts.live(bench.scope, node)).baseline.id == DEBIAN_DEFAULT
    assert await bench.database.read(tags.of, bench.scope, tags.PATCH_BASELINE, baseline_id) == {}
    await bench.scan(node, OUTDATED)


async def test_what_does_not_exist_is_deleted_already(bench):
    """Unknown, nonsense, somebody else's: nothing happens, and theirs stays."""
    (theirs,) = await create(bench, "theirs", scope=bench.stranger)
    (elsewhere,) = await create(bench, "elsewhere", scope=bench.elsewhere)
    arn = f"arn:aws:ssm:{bench.elsewhere.region}:{bench.scope.account}:patchbaseline/{elsewhere}"

    for name in (UNKNOWN, "pb-nonsense-nonsense", theirs, elsewhere, arn, OTHER_STANDARD):
        await bench.baselines.delete(bench.scope, name)

    assert (await bench.baselines.get(bench.stranger, theirs)).definition.name == "theirs"
    assert (await bench.baselines.get(bench.elsewhere, elsewhere)).definition.name == "elsewhere"


async def test_a_predefined_baseline_cannot_be_deleted(bench):
    """Nor found under its bare id (spec §1.19)."""
    with pytest.raises(ReadOnlyBaseline):
        await bench.baselines.delete(bench.scope, DEBIAN_DEFAULT)
    with pytest.raises(UnknownBaseline):
        await bench.baselines.delete(bench.scope, DEBIAN_DEFAULT.rpartition("/")[2])


async def test_nobody_gets_a_baseline_that_is_deleted_at_the_same_time(bench):
    """Either it goes, or it is registered; never both."""
    for number in range(6):
        (mine,) = await create(bench, "mine")
        register = (
            bench.baselines.register_default(bench.scope, mine)
            if number % 2
            else bench.baselines.register_group(bench.scope, mine, f"group-{number}")
        )
        done = await asyncio.gather(bench.baselines.delete(bench.scope, mine), register, return_exceptions=True)

        assert [type(one) for one in done if isinstance(one, Exception)] in ([BaselineInUse], [UnknownBaseline])
        found = await bench.baselines.for_group(bench.scope, f"group-{number}", DEBIAN)
        assert (await bench.baselines.get(bench.scope, found.id)).id == found.id


async def test_registrations_are_listed_by_group_and_system(bench):
    """With the baseline each gets; predefined ones too (spec §1.19)."""
    web, db = await create(bench, "web-baseline", "db-baseline")
    (ubuntu,) = await create(bench, "ubuntu-baseline", system=UBUNTU)
    for baseline_id, group in ((web, "web"), (ubuntu, "web"), (db, "db"), (web, "a_c"), (web, "abc")):
        await bench.baselines.register_group(bench.scope, baseline_id, group)
    await bench.baselines.register_group(bench.scope, DEBIAN_DEFAULT, "plain")
    await bench.baselines.register_default(bench.scope, db)

    whole = [
        ("a_c", "DEBIAN", "web-baseline", False),
        ("abc", "DEBIAN", "web-baseline", False),
        ("db", "DEBIAN", "db-baseline", True),
        ("plain", "DEBIAN", "AWS-DebianDefaultPatchBaseline", False),
        ("web", "DEBIAN", "web-baseline", False),
        ("web", "UBUNTU", "ubuntu-baseline", False),
    ]
    assert await mapped(bench) == whole
    assert await mapped(bench, after=("web", "DEBIAN"), limit=1) == whole[5:]
    assert await mapped(bench, after=("", ""), limit=2) == whole[:2]
    assert await mapped(bench, Selection(prefixes=(("a_",),))) == whole[:1]
    assert await mapped(bench, Selection(prefixes=(("a", "d"), ("ab", "db")))) == whole[1:3]
    assert await mapped(bench, Selection(systems=(("UBUNTU", "WINDOWS"),))) == whole[5:]
    assert await mapped(bench, Selection((("w",),), (("DEBIAN",),))) == whole[4:5]
    assert await mapped(bench, Selection(((),), ())) == await mapped(bench, Selection((), ((),))) == []
    await bench.baselines.deregister_group(bench.scope, web, "web")
    await bench.baselines.deregister_group(bench.scope, web, "web")  # not registered: nothing to do
    await bench.baselines.deregister_group(bench.scope, web, "db")  # another's: it stays
    assert await mapped(bench) == [one for one in whole if one[:2] != ("web", "DEBIAN")]


async def test_names_are_found_by_how_they_begin_and_not_by_a_pattern(bench):
    """`%`, `_` and `!` mean themselves, and case counts."""
    await create(bench, "web", "web_1", "webx1", "Web")

    for prefix, found in (
        ("web", ["web", "web_1", "webx1"]),
        ("web_", ["web_1"]),
        ("%", []),
        ("w%", []),
        ("!", []),
        ("W", ["Web"]),
    ):
        listed, last = await bench.baselines.listed(bench.scope, Selection(prefixes=((prefix,),)), owner="Self")
        assert (sorted(one.name for one in listed), last) == (found, None)


async def test_every_page_size_gives_every_baseline_once(bench):
    """Own ones oldest first, then the predefined; what is made in one moment is kept apart."""
    await create(bench, *(f"web-{number}" for number in range(4)))
    whole, last = await bench.baselines.listed(bench.scope, limit=100)
    assert (len(whole), last) == (4 + 17, None)

    for limit in (1, 3, 4, 5, 20, 21):
        found, after = [], None
        while True:
            page, after = await bench.baselines.listed(bench.scope, after=after, limit=limit)
            found += page
            if after is None:
                break
        assert found == whole
    only, _ = await bench.baselines.listed(bench.scope, owner="AWS")
    assert only == whole[4:]
    assert await bench.baselines.listed(bench.scope, owner="Nobody") == ([], None)


async def test_a_change_of_the_operating_system_is_not_kept_from_its_groups(bench):
    """An update keeps the system, so a registration stays true."""
    (mine,) = await create(bench, "mine")
    await bench.baselines.register_group(bench.scope, mine, "web")

    await bench.baselines.update(bench.scope, mine, lambda old: replace(old, name="new"))

    assert await mapped(bench) == [("web", "DEBIAN", "new", False)]
