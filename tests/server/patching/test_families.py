# SPDX-License-Identifier: Apache-2.0
"""Whole operations on nodes of rpm and SUSE: what the server wants, what it reports, what it says live."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from core import made
from patchwright.core.advisory import Notice
from patchwright.core.compliance import Operation as Kind
from patchwright.core.facts import View
from patchwright.core.package import Manager, Offer
from patchwright.core.plan import Wanted
from patchwright.core.protocol import Phase, RebootOption
from patchwright.core.system import OperatingSystem
from server.patching.bench import NOW

SUSE = {"operating_system": "SUSE", "product": "Suse15.6"}
ROCKY = {"operating_system": "ROCKY_LINUX", "product": "RockyLinux9.4"}
FIX = Notice(
    "SUSE-2026-1",
    "security",
    "important",
    updated="2026-11-01",
    cves=("CVE-2026-1",),
    packages=(("a", "x86_64", "1:2-1"), ("b", "noarch", "2-1"), ("new", "x86_64", "1-1")),
)
LATER = Notice("SUSE-2026-2", "security", "critical", updated="2026-11-19", packages=(("a", "x86_64", "1:3-1"),))
BEFORE = ["a.x86_64 1-1", "b.noarch 2-1", "plain.x86_64 1-1"]
AFTER = ["a.x86_64 1:2-1", "b.noarch 2-1", "new.x86_64 1-1", "plain.x86_64 1-1"]


def sealed(installed: list[str], offers: list[Offer], notices: list[Notice], **facts: Any) -> View:
    """A node whose facts name their notices, as those that a node sends do."""
    digests = tuple(sorted(one.digest for one in notices))
    moments = {"observed_at": NOW, "refreshed_at": NOW}
    seen = made.view(installed, (made.UPDATES, offers), notices=notices, **{**moments, **facts})
    return replace(seen, facts=replace(seen.facts, notices=digests))


def suse(installed: list[str], **facts: Any) -> View:
    """A SUSE node that knows of both patches."""
    members = {"operating_system": OperatingSystem.SUSE, "product": "Suse15.6", **facts}
    return sealed(installed, [], [FIX, LATER], manager=Manager.ZYPPER, **members)


def rocky(installed: list[str], **facts: Any) -> View:
    """An EL node whose repository has a version that may be installed, and a newer one that waits."""
    offers = [
        made.offer("a.x86_64 2-1", notices=("RLSA-2026:1",)),
        made.offer("a.x86_64 3-1", notices=("RLSA-2026:2",)),
    ]
    notices = [made.notice("RLSA-2026:1", updated="2026-11-01"), made.notice("RLSA-2026:2", updated="2026-11-19")]
    return sealed(installed, offers, notices, manager=Manager.DNF, **facts)


async def rows(bench, node):
    """By key: title, state, what is installed, and since when."""
    found = await bench.verdicts.rows(bench.scope, node)
    return {row.item.key: (row.item.title, row.item.state.value, row.item.installed, row.installed_at) for row in found}


async def test_a_suse_patch_is_installed_as_its_packages_and_reported_as_itself(bench):
    """Wanted is the package that is below; the row carries the patch's name, and waits for a restart."""
    node = await bench.enrol()
    await bench.scan(node, suse(BEFORE), **SUSE)
    assert await rows(bench, node) == {"SUSE-2026-1": ("SUSE-2026-1", "Missing", "a.x86_64:0:1-1", 0.0)}

    run = await bench.begin(node, Kind.INSTALL, **SUSE)
    directive = await run.send(Phase.BEFORE, suse(BEFORE))
    assert directive.intent.wanted == (Wanted("a", "x86_64", "1-1", "1:2-1"),)
    await run.resolve(directive)
    bench.clock.time += 60
    report = (await run.send(Phase.AFTER, suse(AFTER, observed_at=NOW + 60), acted_boot_id="boot-1")).report

    assert report.succeeded
    assert "InstalledPendingReboot 1" in report.text
    there = "a.x86_64:1:2-1, b.noarch:0:2-1, new.x86_64:0:1-1"
    assert await rows(bench, node) == {
        "SUSE-2026-1": ("SUSE-2026-1", "InstalledPendingReboot", there, bench.clock.time)
    }
    await bench.scan(node, suse(AFTER, boot_id="boot-2", observed_at=NOW + 120), **SUSE)
    assert await bench.states(node) == {"SUSE-2026-1": "Installed"}


async def test_a_suse_patch_whose_package_failed_has_failed(bench):
    """Named by the package, in the report, in the rows, and live until it is there."""
    node = await bench.enrol()
    run = await bench.begin(node, Kind.INSTALL, **SUSE)
    await run.resolve(await run.send(Phase.BEFORE, suse(BEFORE)), unresolved={"a.x86_64": "locked on the node"})
    report = (await run.send(Phase.AFTER, suse(BEFORE, observed_at=NOW + 60), acted_boot_id="boot-1")).report

    assert not report.succeeded
    assert "SUSE-2026-1" in report.error
    assert "a.x86_64: locked on the node" in report.error
    assert await bench.states(node) == await bench.live(node) == {"SUSE-2026-1": "Failed"}


async def test_an_approved_suse_patch_restarts_the_node(bench):
    """RebootIfNeeded: something was installed."""
    node = await bench.enrol()
    directive = await bench.install(
        node, suse(BEFORE), suse(AFTER, observed_at=NOW + 60), reboot=RebootOption.REBOOT_IF_NEEDED, **SUSE
    )

    assert directive.next.value == "reboot"


async def test_on_rpm_the_failure_of_the_approved_version_shows_live(bench):
    """Also where the repository has a newer one that the baseline does not approve yet; that one was not tried."""
    node = await bench.enrol()
    run = await bench.begin(node, Kind.INSTALL, **ROCKY)
    directive = await run.send(Phase.BEFORE, rocky(["a.x86_64 1-1"]))
    assert directive.intent.wanted == (Wanted("a", "x86_64", "1-1", "2-1"),)
    await run.resolve(directive, unresolved={"a.x86_64": "needs what is blocked"})
    await run.send(Phase.AFTER, rocky(["a.x86_64 1-1"], observed_at=NOW + 60), acted_boot_id="boot-1")
    assert await bench.live(node) == {"a.x86_64": "Failed"}

    bench.clock.time += 7 * 86_400
    assert await bench.live(node) == {"a.x86_64": "Missing"}
