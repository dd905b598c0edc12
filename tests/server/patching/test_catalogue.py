# SPDX-License-Identifier: Apache-2.0
"""The catalogue: the union of what the account's nodes are offered, and what baselines say of it (design D3)."""

from __future__ import annotations

import asyncio
import datetime
from dataclasses import replace

import pytest

from core import made
from patchwright.core.baseline import ApprovalRule, Baseline, Because, Filter, RejectedAction, Verdict
from patchwright.core.package import Manager
from patchwright.core.system import OperatingSystem
from patchwright.server import patching
from patchwright.server.patching import Catalogue, Definition, catalogue
from server.patching.bench import FIXED, NOW, OUTDATED, RELEASE, debian
from server.patching.test_families import BEFORE, ROCKY, SUSE, rocky, sealed, suse

DAY = 86_400
ALWAYS = ApprovalRule(approve_after_days=0)


@pytest.fixture
def room(bench):
    """The catalogue of the bench's account."""
    return Catalogue(bench.database, bench.clock)


async def pages(read, *arguments, limit):
    """Everything on all pages of a reading."""
    found, after = [], None
    for _ in range(200):
        *_, page, after = await read(*arguments, after=after, limit=limit)
        assert len(page) <= limit
        found += page
        if after is None:
            return found
    raise AssertionError(found)


async def titles(room, scope, *filters):
    """The titles of what is available."""
    wanted = [Filter(key, tuple(values.split(","))) for key, values in filters]
    return [one.patch.title for one in await pages(room.available, scope, wanted, limit=100)]


async def standing(room, bench, **rules):
    """What a baseline with these rules says, by title."""
    system = rules.pop("system", OperatingSystem.DEBIAN)
    definition = Definition("web", Baseline(system, **rules))
    baseline_id = await bench.baselines.create(bench.scope, definition, own_tags={})
    found = await pages(room.effective, bench.scope, baseline_id, limit=2)
    return {one.available.patch.title: one.decision for one in found}


async def test_nothing_is_available_before_a_node_says_what_it_is_offered(bench, room):
    """An empty list, and an empty list again."""
    await bench.enrol()

    assert await room.available(bench.scope, limit=10) == ([], None)
    assert await standing(room, bench, rules=(ALWAYS,)) == {}


async def test_the_catalogue_is_the_union_of_what_nodes_are_offered(bench, room):
    """Each version once, whoever sees it; of another account or region nothing."""
    for _ in range(3):
        await bench.scan(await bench.enrol(), OUTDATED)
    await bench.scan(await bench.enrol(), debian(("foo 1.0-1",), security=("foo 1.0-1+deb12u2",)))
    await bench.scan(
        await bench.enrol(scope=bench.elsewhere), debian(("x 1",), security=("x 2",)), scope=bench.elsewhere
    )

    assert await titles(room, bench.scope) == [
        "bar.amd64:2.0-1",
        "bar.amd64:2.0-1+deb12u1",
        "foo.amd64:1.0-1",
        "foo.amd64:1.0-1+deb12u1",
        "foo.amd64:1.0-1+deb12u2",
        "plain.amd64:3.0-1",
    ]
    assert "x.amd64:2" in await titles(room, bench.elsewhere)
    assert await titles(room, bench.stranger) == []


async def test_what_no_node_is_offered_any_more_is_gone(bench, room):
    """The newest facts of each node count; without a repository in them, those before."""
    node = await bench.enrol()
    await bench.scan(node, OUTDATED)
    assert "foo.amd64:1.0-1+deb12u1" in await titles(room, bench.scope)

    await bench.scan(node, debian(RELEASE, security=("foo 1.0-1+deb12u2",)))
    assert "foo.amd64:1.0-1+deb12u1" not in await titles(room, bench.scope)
    assert "foo.amd64:1.0-1+deb12u2" in await titles(room, bench.scope)

    await bench.scan(node, made.view(RELEASE, observed_at=NOW, refreshed_at=NOW))
    assert "foo.amd64:1.0-1+deb12u2" in await titles(room, bench.scope)


async def test_every_page_size_gives_every_patch_once_in_one_order(bench, room):
    """Over products and operating systems."""
    await bench.scan(await bench.enrol(), OUTDATED)
    await bench.scan(await bench.enrol(), debian(RELEASE, product="Debian13"))
    await bench.scan(await bench.enrol(), rocky(["a.x86_64 1-1"]), **ROCKY)
    await bench.scan(await bench.enrol(), suse(BEFORE), **SUSE)
    whole = await pages(room.available, bench.scope, (), limit=100)

    assert [one.place for one in whole] == sorted(one.place for one in whole)
    assert len({one.place for one in whole}) == len(whole) == 5 + 5 + 2 + 2
    for limit in (1, 2, 5, 13, 14):
        assert await pages(room.available, bench.scope, (), limit=limit) == whole


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ((("PRODUCT", "Debian12"),), 5),
        ((("PRODUCT", "debian12"),), 5),
        ((("PRODUCT", "*"),), 7),
        ((("PRODUCT", "Debian11"),), 0),
        ((("PRODUCT", "Debian11,RockyLinux9.4"),), 2),
        ((("PRODUCT", "Debian12"), ("NAME", "foo,plain")), 3),
        ((("PRODUCT", "Debian12"), ("NAME", "foo"), ("VERSION", "1.0")), 2),
        ((("PRODUCT", "Debian12"), ("RELEASE", "1+deb12u1")), 2),
        ((("PRODUCT", "Debian12"), ("EPOCH", "0")), 5),
        ((("PRODUCT", "Debian12"), ("ARCH", "arm64")), 0),
        ((("PRODUCT", "Debian12"), ("REPOSITORY", "bookworm-security")), 2),
        ((("PRODUCT", "Debian12"), ("CLASSIFICATION", "Security")), 2),
        ((("PRODUCT", "Debian12"), ("SEVERITY", "Optional")), 5),
        ((("PRODUCT", "Debian12"), ("PRIORITY", "Required")), 0),
        ((("PRODUCT", "Debian12"), ("SECTION", "libs")), 5),
        ((("PRODUCT", "Debian12"), ("CVE_ID", "*")), 5),
        ((("PRODUCT", "Debian12"), ("CVE_ID", "CVE-2026-1")), 0),
        ((("PRODUCT", "RockyLinux9.4"), ("ADVISORY_ID", "RLSA-2026:1")), 1),
        ((("PRODUCT", "RockyLinux9.4"), ("SEVERITY", "important")), 2),
        ((("PRODUCT", "RockyLinux9.4"), ("BUGZILLA_ID", "1")), 0),
        ((("PRODUCT", "RockyLinux9.4"), ("ADVISORY_ID", "RLSA-2026:1"), ("VERSION", "3")), 0),
    ],
)
async def test_filters_are_anded_and_their_values_ored(bench, room, filters, found):
    """Without regard to case, as in rules (spec §1.19)."""
    await bench.scan(await bench.enrol(), OUTDATED)
    await bench.scan(await bench.enrol(), rocky(["a.x86_64 1-1"]), **ROCKY)

    assert len(await titles(room, bench.scope, *filters)) == found


async def test_who_made_a_patch_is_said_where_it_is_known(bench, room):
    """The archive's word on apt, the notice's elsewhere."""
    await bench.scan(await bench.enrol(), OUTDATED)
    await bench.scan(await bench.enrol(), rocky(["a.x86_64 1-1"]), **ROCKY)
    await bench.scan(await bench.enrol(), suse(BEFORE), **SUSE)
    odd = sealed(["b.x86_64 1-1"], [made.offer("b.x86_64 2-1")], [], manager=Manager.DNF, product="RockyLinux8.9")
    await bench.scan(await bench.enrol(), odd, **{**ROCKY, "product": "RockyLinux8.9"})

    found = await pages(room.available, bench.scope, (), limit=100)

    assert {(one.operating_system.value, one.vendor) for one in found} == {
        ("DEBIAN", "Debian"),
        ("ROCKY_LINUX", "Rocky Enterprise Software Foundation"),
        ("ROCKY_LINUX", ""),
        ("SUSE", "SUSE"),
    }


async def test_a_notice_that_the_vendor_changed_is_told_as_it_is_now(bench, room):
    """Two nodes read it before and after."""
    for severity, updated in (("Important", "2026-11-18"), ("Critical", "2026-11-19"), ("Low", "2026-11-01")):
        notice = made.notice("RLSA-2026:1", severity=severity, updated=updated)
        offers = [made.offer("a.x86_64 2-1", notices=("RLSA-2026:1",))]
        view = sealed(["a.x86_64 1-1"], offers, [notice], manager=Manager.DNF)
        await bench.scan(await bench.enrol(), view, **ROCKY)

    (one,) = await pages(room.available, bench.scope, (), limit=100)

    assert one.patch.severity == "Critical"


async def test_a_baseline_says_of_each_patch_what_decide_says(bench, room):
    """What it does not approve at all is left out (spec §1.1)."""
    await bench.scan(await bench.enrol(), OUTDATED)

    assert await standing(room, bench) == {}
    found = await standing(
        room, bench, rules=(ALWAYS,), approved=("plain",), approved_non_security=True, rejected=("bar",)
    )
    assert {title: one.verdict.value for title, one in found.items()} == {
        "bar.amd64:2.0-1": "REJECTED",
        "bar.amd64:2.0-1+deb12u1": "REJECTED",
        "foo.amd64:1.0-1+deb12u1": "APPROVED",
        "plain.amd64:3.0-1": "APPROVED",
    }
    assert found["plain.amd64:3.0-1"].reasons[0].because is Because.APPROVED_LIST
    assert found["foo.amd64:1.0-1+deb12u1"].since is None  # apt has no dates


async def test_waiting_ends_with_the_day(bench, room):
    """Approved since the day on which the delay was over; what waits says until when (spec §13.1, case 1)."""
    await bench.scan(await bench.enrol(), rocky(["a.x86_64 1-1"]), **ROCKY)
    rules = {"system": OperatingSystem.ROCKY_LINUX, "rules": (ApprovalRule(approve_after_days=7),)}

    before = await standing(room, bench, **rules)
    bench.clock.time += 6 * DAY
    after = await standing(room, bench, **rules)

    old, new = "a.x86_64:0:2-1", "a.x86_64:0:3-1"
    assert (before[old].verdict, before[old].since) == (Verdict.APPROVED, datetime.date(2026, 11, 8))
    assert (before[new].verdict, before[new].changes_on) == (Verdict.PENDING, datetime.date(2026, 11, 26))
    assert (after[new].verdict, after[new].since) == (Verdict.APPROVED, datetime.date(2026, 11, 26))


async def test_suse_patches_are_judged_as_patches(bench, room):
    """By their own names."""
    await bench.scan(await bench.enrol(), suse(BEFORE), **SUSE)

    found = await standing(room, bench, system=OperatingSystem.SUSE, rules=(ALWAYS,), rejected=("SUSE-2026-2",))

    assert {title: one.verdict.value for title, one in found.items()} == {
        "SUSE-2026-1": "APPROVED",
        "SUSE-2026-2": "REJECTED",
    }


async def test_a_baseline_is_asked_about_its_own_system_only(bench, room):
    """And a changed baseline answers anew at once."""
    await bench.scan(await bench.enrol(), OUTDATED)
    await bench.scan(await bench.enrol(), rocky(["a.x86_64 1-1"]), **ROCKY)
    definition = Definition("web", Baseline(OperatingSystem.DEBIAN, rules=(ALWAYS,)))
    baseline_id = await bench.baselines.create(bench.scope, definition, own_tags={})

    def reject(old):
        rules = replace(old.baseline, rejected=("foo",), rejected_action=RejectedAction.BLOCK)
        return replace(old, baseline=rules)

    assert len(await pages(room.effective, bench.scope, baseline_id, limit=1)) == len(FIXED)
    await bench.baselines.update(bench.scope, baseline_id, reject)
    verdicts = [one.decision.verdict.value for one in await pages(room.effective, bench.scope, baseline_id, limit=9)]
    assert sorted(verdicts) == ["APPROVED", "REJECTED", "REJECTED"]


async def test_errors_are_those_of_the_baseline(bench, room):
    """Unknown, malformed, somebody else's."""
    baseline_id = await bench.baselines.create(
        bench.scope, Definition("web", Baseline(OperatingSystem.DEBIAN)), own_tags={}
    )

    for scope, name, error in (
        (bench.scope, "pb-00000000000000000", patching.UnknownBaseline),
        (bench.scope, "pb-nonsense-nonsense", patching.MalformedBaselineId),
        (bench.elsewhere, baseline_id, patching.UnknownBaseline),
        (bench.stranger, baseline_id, patching.UnknownBaseline),
    ):
        with pytest.raises(error):
            await room.effective(scope, name, limit=1)


async def test_a_catalogue_is_made_once_for_all_who_ask_at_once(bench, room, monkeypatch):
    """And anew when a node is offered something else; so many patches are remembered."""
    built = []
    whole = catalogue._Together.patches
    monkeypatch.setattr(
        catalogue._Together, "patches", lambda *arguments: built.append(1) or whole(*arguments), raising=True
    )
    monkeypatch.setattr(catalogue, "_KEPT", 5)
    node = await bench.enrol()
    await bench.scan(node, OUTDATED)

    answers = await asyncio.gather(*(room.available(bench.scope, limit=3) for _ in range(8)))
    await bench.scan(node, replace(OUTDATED, facts=replace(OUTDATED.facts, observed_at=NOW + 5)))
    await room.available(bench.scope, limit=3)

    assert len(built) == 1
    assert all(answer == answers[0] for answer in answers)
    await bench.scan(node, debian(RELEASE, security=("foo 9",)))
    await room.available(bench.scope, limit=3)
    assert len(built) == 2
    assert len(room._shelves) == 1
