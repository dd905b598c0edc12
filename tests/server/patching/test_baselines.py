# SPDX-License-Identifier: Apache-2.0
"""Patch baselines as resources, their groups, and which one a node gets (spec §1.19, §2.3, §2.11)."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace

import pytest

from patchwright.core.baseline import ApprovalRule, Baseline, Filter
from patchwright.core.system import OperatingSystem
from patchwright.server import patching, tags
from patchwright.server.infra import ClientToken, TokenReused
from patchwright.server.patching import (
    Definition,
    GroupTaken,
    MalformedBaselineId,
    ReadOnlyBaseline,
    TooManyGroups,
    UnknownBaseline,
)
from server.patching.bench import NOW

DEBIAN, UBUNTU = OperatingSystem.DEBIAN, OperatingSystem.UBUNTU
RULES = (ApprovalRule((Filter("PRIORITY", ("*",)),), approve_after_days=7),)
DEBIAN_DEFAULT = "arn:aws:ssm:us-east-1:075727635805:patchbaseline/pb-09a5f8eb62bde80b1"


def definition(name="web", system=DEBIAN, **members):
    """A definition with one rule."""
    return Definition(name, Baseline(system, rules=RULES, **members))


async def create(bench, *names, scope=None, system=DEBIAN):
    """The ids of new baselines, one a name."""
    scope = scope or bench.scope
    return [await bench.baselines.create(scope, definition(name, system), own_tags={}) for name in names]


async def test_what_was_created_is_read_back(bench):
    """Every member, at revision 1."""
    given = Definition(
        "everything",
        Baseline(
            DEBIAN,
            global_filters=(Filter("PRODUCT", ("Debian12",)),),
            rules=RULES,
            approved=("openssl",),
            approved_non_security=True,
            rejected=("tzdata",),
        ),
        "for the web servers",
        (patching.Source("ours", ("*",), "deb https://user:secret@example.org stable main"),),
    )

    baseline_id = await bench.baselines.create(bench.scope, given, own_tags={"team": "web"})
    found = await bench.baselines.get(bench.scope, baseline_id)

    assert re.fullmatch(r"pb-[0-9a-f]{17}", baseline_id)
    assert found == patching.PatchBaseline(baseline_id, 1, given, NOW, NOW)
    assert "secret" not in repr(found)
    assert await bench.database.read(tags.of, bench.scope, tags.PATCH_BASELINE, baseline_id) == {"team": "web"}


async def test_a_change_is_a_new_revision_and_no_change_is_none(bench):
    """The modification date moves with the revision."""
    (baseline_id,) = await create(bench, "web")
    bench.clock.time += 60

    same = await bench.baselines.update(bench.scope, baseline_id, lambda old: old)
    changed = await bench.baselines.update(bench.scope, baseline_id, lambda old: replace(old, name="front"))

    assert (same.revision, same.modified_at) == (1, NOW)
    assert (changed.revision, changed.modified_at, changed.created_at) == (2, NOW + 60, NOW)
    assert (await bench.baselines.get(bench.scope, baseline_id)).definition.name == "front"


async def test_changes_at_the_same_time_are_all_kept(bench):
    """Each is made of what the one before it left."""
    (baseline_id,) = await create(bench, "web")

    def rejecting(name):
        def change(old):
            return replace(old, baseline=replace(old.baseline, rejected=(*old.baseline.rejected, name)))

        return change

    names = [f"package-{number}" for number in range(8)]
    await asyncio.gather(*(bench.baselines.update(bench.scope, baseline_id, rejecting(name)) for name in names))

    found = await bench.baselines.get(bench.scope, baseline_id)
    assert sorted(found.definition.baseline.rejected) == names
    assert found.revision == 9


async def test_a_client_token_makes_one_baseline(bench):
    """The same request gets the first result; another one is refused (spec §0.4)."""

    async def once(request_hash="h1"):
        token = ClientToken("CreatePatchBaseline", "token", request_hash)
        return await bench.baselines.create(bench.scope, definition(), own_tags={}, token=token)

    made = await asyncio.gather(*(once() for _ in range(6)))

    assert len(set(made)) == 1
    assert len([one for one in (await bench.baselines.listed(bench.scope))[0] if not one.predefined]) == 1
    with pytest.raises(TokenReused):
        await once("h2")


async def test_a_baseline_that_cannot_be_tagged_is_not_made(bench):
    """One transaction: no baseline without its tags."""
    with pytest.raises(tags.InvalidTag):
        await bench.baselines.create(bench.scope, definition(), own_tags={"aws:owner": "me"})

    assert all(one.predefined for one in (await bench.baselines.listed(bench.scope))[0])


async def test_ids_that_name_no_baseline_are_told_apart_from_ids_that_are_none(bench):
    """Unknown is DoesNotExist, malformed is InvalidResourceId (spec §1.19)."""
    unknown = [
        "pb-00000000000000000",
        DEBIAN_DEFAULT.replace("us-east-1", "eu-west-1"),
        DEBIAN_DEFAULT.replace("075727635805", bench.scope.account),
        f"arn:aws:ssm:us-east-1:{bench.scope.account}:patchbaseline/pb-00000000000000000",
        "arn:aws:ssm:us-east-1:000000000002:patchbaseline/pb-00000000000000000",
    ]
    malformed = ["pb-XYZ", "pb-00000000000000000\n", "web", "", "arn:aws:ssm:us-east-1:1:patchbaseline/pb-0"]

    for error, ids in ((UnknownBaseline, unknown), (MalformedBaselineId, malformed)):
        for baseline_id in ids:
            with pytest.raises(error):
                await bench.baselines.get(bench.scope, baseline_id)


async def test_a_baseline_is_found_by_id_and_by_arn_in_its_own_account_and_region_only(bench):
    """The same id elsewhere is unknown."""
    (baseline_id,) = await create(bench, "web")

    arn = f"arn:aws:ssm:us-east-1:{bench.scope.account}:patchbaseline/{baseline_id}"
    assert (await bench.baselines.get(bench.scope, arn)).id == baseline_id
    for scope in (bench.elsewhere, bench.stranger):
        with pytest.raises(UnknownBaseline):
            await bench.baselines.get(scope, baseline_id)
        with pytest.raises(UnknownBaseline):
            await bench.baselines.update(scope, baseline_id, lambda old: replace(old, name="mine"))
        with pytest.raises(UnknownBaseline):
            await bench.baselines.register_group(scope, baseline_id, "web")


async def test_there_are_17_predefined_baselines_and_one_default_for_each_system(bench):
    """In every region, with the names that Terraform looks for (spec §1.19, §2.3)."""
    for scope in (bench.scope, bench.elsewhere):
        every, _ = await bench.baselines.listed(scope)
        assert len(every) == 17
        assert all(one.predefined for one in every)
        assert all(one.id.startswith(f"arn:aws:ssm:{scope.region}:075727635805:patchbaseline/pb-") for one in every)
        for system in OperatingSystem:
            of_system = [one for one in every if one.operating_system == system.value]
            names = [one.name for one in of_system]
            assert len([name for name in names if re.fullmatch(r"AWS-[0-9A-Za-z]+PatchBaseline", name)]) == 1
            assert [one.default for one in of_system].count(True) == 1


async def test_own_baselines_come_first_the_oldest_first(bench):
    """The list starts with what an account made itself."""
    first = await create(bench, "b")
    bench.clock.time += 1
    second = await create(bench, "a")

    assert [one.id for one in (await bench.baselines.listed(bench.scope))[0][:2]] == [*first, *second]
    assert len((await bench.baselines.listed(bench.elsewhere))[0]) == 17


async def test_predefined_baselines_cannot_be_changed(bench):
    """By ARN it is refused; the bare id is none of this account's (spec §1.19)."""
    with pytest.raises(ReadOnlyBaseline):
        await bench.baselines.update(bench.scope, DEBIAN_DEFAULT, lambda old: replace(old, name="mine"))
    with pytest.raises(UnknownBaseline):
        await bench.baselines.update(
            bench.scope, DEBIAN_DEFAULT.rpartition("/")[2], lambda old: replace(old, name="mine")
        )

    assert (await bench.baselines.get(bench.scope, DEBIAN_DEFAULT)).definition.name == "AWS-DebianDefaultPatchBaseline"


async def test_a_group_has_one_baseline_for_each_system(bench):
    """A second one for the same system is refused, the same pair again too (spec §1.19)."""
    web, front = await create(bench, "web", "front")
    (ubuntu,) = await create(bench, "ubuntu", system=UBUNTU)
    await bench.baselines.register_group(bench.scope, web, "web")

    for again in (web, front):
        with pytest.raises(GroupTaken, match="already has a baseline registered for OperatingSystem DEBIAN"):
            await bench.baselines.register_group(bench.scope, again, "web")
    assert await bench.baselines.register_group(bench.scope, ubuntu, "web") == ubuntu

    assert (await bench.baselines.for_group(bench.scope, "web", DEBIAN)).id == web
    assert (await bench.baselines.for_group(bench.scope, "web", UBUNTU)).id == ubuntu
    assert (await bench.baselines.get(bench.scope, web)).groups == ("web",)
    assert (await bench.baselines.get(bench.scope, front)).groups == ()


async def test_of_many_registrations_at_once_one_wins(bench):
    """The others are told that the group is taken."""
    ids = await create(bench, *(f"web-{number}" for number in range(5)))

    results = await asyncio.gather(
        *(bench.baselines.register_group(bench.scope, one, "web") for one in ids), return_exceptions=True
    )

    assert sorted(type(result).__name__ for result in results) == ["GroupTaken"] * 4 + ["str"]


async def test_a_group_without_baseline_gets_the_default_of_its_system(bench):
    """Each system its own; what was registered elsewhere does not count."""
    (web,) = await create(bench, "web", scope=bench.elsewhere)
    await bench.baselines.register_group(bench.elsewhere, web, "web")

    assert (await bench.baselines.for_group(bench.scope, "web", DEBIAN)).id == DEBIAN_DEFAULT
    assert (await bench.baselines.for_group(bench.elsewhere, "web", DEBIAN)).id == web
    for system in OperatingSystem:
        found = await bench.baselines.for_group(bench.scope, "web", system)
        assert found.definition.baseline.operating_system is system


async def test_a_predefined_baseline_can_be_registered(bench):
    """By its ARN, which is what comes back."""
    assert await bench.baselines.register_group(bench.scope, DEBIAN_DEFAULT, "web") == DEBIAN_DEFAULT

    assert (await bench.baselines.for_group(bench.scope, "web", DEBIAN)).id == DEBIAN_DEFAULT
    assert (await bench.baselines.get(bench.scope, DEBIAN_DEFAULT)).groups == ("web",)


async def test_a_baseline_has_at_most_25_groups(bench):
    """Spec §1.20."""
    (web,) = await create(bench, "web")
    for number in range(25):
        await bench.baselines.register_group(bench.scope, web, f"group-{number}")

    with pytest.raises(TooManyGroups):
        await bench.baselines.register_group(bench.scope, web, "one-more")

    assert len((await bench.baselines.get(bench.scope, web)).groups) == 25
