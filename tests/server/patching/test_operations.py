# SPDX-License-Identifier: Apache-2.0
"""The exchange of a Scan and of an Install, message by message, with made-up facts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from patchwright.core.compliance import Doubt, Standing
from patchwright.core.compliance import Operation as Kind
from patchwright.core.errors import DigestMismatch, MalformedFacts, PlanRefused
from patchwright.core.plan import Action, Resolution
from patchwright.core.protocol import Next, Phase, RebootOption
from patchwright.core.system import OperatingSystem
from patchwright.server import nodes, patching
from patchwright.server.nodes import UnknownNode
from patchwright.server.patching import OperationRefused, UnknownOperation, operations
from server.patching.bench import (
    HALF,
    NOW,
    OUTDATED,
    PATCHED,
    RELEASE,
    RESTARTED,
    bodies_of,
    debian,
    with_facts,
)

REBOOT = RebootOption.REBOOT_IF_NEEDED
MISSING = {"bar.amd64": "Missing", "foo.amd64": "Missing", "plain.amd64": "InstalledOther"}
PENDING = {
    "bar.amd64": "InstalledPendingReboot",
    "foo.amd64": "InstalledPendingReboot",
    "plain.amd64": "InstalledOther",
}
INSTALLED = {"bar.amd64": "Installed", "foo.amd64": "Installed", "plain.amd64": "InstalledOther"}


async def test_a_scan_asks_for_bodies_once_and_reports_what_is_missing(bench):
    """Facts, the bodies nobody sent before, facts again, report."""
    node = await bench.enrol()
    run = await bench.begin(node)

    asked = await run.put(Phase.BEFORE, OUTDATED)
    assert asked.next is Next.SEND_BODIES
    assert sorted(asked.missing) == sorted(bodies_of(OUTDATED))
    await run.bodies(bodies_of(OUTDATED))
    done = await run.put(Phase.BEFORE, OUTDATED)

    assert done.next is Next.DONE
    assert done.report is not None
    assert done.report.succeeded
    assert "Missing 2" in done.report.text
    assert await bench.states(node) == MISSING


async def test_bodies_of_one_node_serve_the_next(bench):
    """What the account has is not asked for again."""
    await bench.scan(await bench.enrol(), OUTDATED)

    directive = await (await bench.begin(await bench.enrol())).put(Phase.BEFORE, OUTDATED)

    assert directive.next is Next.DONE


async def test_an_install_without_reboot_leaves_patches_pending_until_the_next_boot(bench):
    """InstalledPendingReboot until the node has restarted and is scanned (spec §3.5, boundary case 19)."""
    node = await bench.enrol()

    directive = await bench.install(node, OUTDATED, PATCHED)
    assert directive.next is Next.DONE
    assert await bench.states(node) == PENDING

    bench.clock.time += 60
    await bench.scan(node, PATCHED)
    assert await bench.states(node) == PENDING

    bench.clock.time += 60
    await bench.scan(node, RESTARTED)
    assert await bench.states(node) == INSTALLED


async def test_every_message_of_an_install_may_come_twice(bench):
    """The repetition is answered as the first, and changes nothing that follows."""
    node = await bench.enrol()
    run = await bench.begin(node, Kind.INSTALL, reboot=REBOOT)
    again = await bench.begin(node, Kind.INSTALL, reboot=REBOOT, command=run.command)
    assert again.begun == run.begun

    asked = await run.put(Phase.BEFORE, OUTDATED)
    assert await run.put(Phase.BEFORE, OUTDATED) == asked
    await run.bodies(bodies_of(OUTDATED))
    await run.bodies(bodies_of(OUTDATED))
    intended = await run.put(Phase.BEFORE, OUTDATED)
    assert await run.put(Phase.BEFORE, OUTDATED) == intended
    plan = await run.resolve(intended)
    assert await run.resolve(intended) == plan
    restart = await run.send(Phase.AFTER, PATCHED, acted_boot_id="boot-1")
    assert restart.next is Next.REBOOT
    assert await run.put(Phase.AFTER, PATCHED, acted_boot_id="boot-1") == restart
    done = await run.send(Phase.AFTER, RESTARTED, acted_boot_id="boot-1")
    assert done.next is Next.DONE
    assert await run.put(Phase.AFTER, RESTARTED, acted_boot_id="boot-1") == done

    assert await bench.states(node) == INSTALLED


async def test_first_facts_of_an_earlier_boot_do_not_undo_a_plan(bench):
    """Held up on the way while the power was cut, they arrive when the plan made of newer facts is being carried out."""
    run = await bench.begin(await bench.enrol(), Kind.INSTALL)
    await run.resolve(await run.send(Phase.BEFORE, with_facts(OUTDATED, boot_id="boot-2", observed_at=NOW + 90)))

    with pytest.raises(OperationRefused, match="come too late"):
        await run.put(Phase.BEFORE, OUTDATED)
    done = await run.send(Phase.AFTER, RESTARTED, acted_boot_id="boot-2")

    assert done.next is Next.DONE
    assert await bench.states(run.node) == PENDING


async def test_late_first_facts_do_not_undo_a_plan(bench):
    """A repetition that was held up on the way arrives when the plan is made: the plan stands, and is carried out."""
    run = await bench.begin(await bench.enrol(), Kind.INSTALL)
    intended = await run.send(Phase.BEFORE, OUTDATED)
    await run.resolve(intended)

    assert await run.put(Phase.BEFORE, OUTDATED) == intended
    done = await run.send(Phase.AFTER, PATCHED, acted_boot_id="boot-1")

    assert done.next is Next.DONE
    assert await bench.states(run.node) == PENDING


@pytest.mark.parametrize("kind", Kind)
async def test_an_operation_begins_with_the_facts_before(bench, kind):
    """Facts afterwards, and a resolution, are refused where there is no plan."""
    run = await bench.begin(await bench.enrol(), kind)

    await run.put(Phase.BEFORE, OUTDATED)
    await run.bodies(bodies_of(OUTDATED))
    with pytest.raises(OperationRefused, match="no plan"):
        await run.put(Phase.AFTER, OUTDATED)
    with pytest.raises(OperationRefused, match="waits for no resolution"):
        await bench.operations.put_resolution(
            run.scope, run.node, run.begun.operation_id, attempt=0, resolution=Resolution((), {})
        )

    assert await bench.verdicts.last(bench.scope, [run.node]) == []


async def test_a_resolution_answers_the_newest_intent(bench):
    """One of another attempt is refused."""
    run = await bench.begin(await bench.enrol(), Kind.INSTALL)
    directive = await run.send(Phase.BEFORE, OUTDATED)

    with pytest.raises(OperationRefused, match="waits for no resolution 1"):
        await run.resolve(directive, attempt=1)


async def test_a_resolution_that_goes_beyond_the_intent_is_refused(bench):
    """Nothing is planned, and a proper one may follow."""
    run = await bench.begin(await bench.enrol(), Kind.INSTALL)
    directive = await run.send(Phase.BEFORE, OUTDATED)
    beyond = Resolution((Action("plain", "amd64", "3.0-1", "2.9-1", False),), {})

    with pytest.raises(PlanRefused, match="downgraded"):
        await bench.operations.put_resolution(run.scope, run.node, run.begun.operation_id, attempt=0, resolution=beyond)

    assert len((await run.resolve(directive)).actions) == 2


async def test_once_a_node_has_acted_the_facts_before_are_over(bench):
    """They would make the newest facts older than they are."""
    run = await bench.begin(await bench.enrol(), Kind.INSTALL, reboot=REBOOT)
    await run.resolve(await run.send(Phase.BEFORE, OUTDATED))
    await run.send(Phase.AFTER, PATCHED, acted_boot_id="boot-1")

    with pytest.raises(OperationRefused, match="acted"):
        await run.put(Phase.BEFORE, OUTDATED)

    assert (await bench.live(run.node))["foo.amd64"] == "InstalledPendingReboot"


async def test_an_operation_belongs_to_its_node(bench):
    """To every other node, and in every other region, it does not exist."""
    run = await bench.begin(await bench.enrol(), Kind.INSTALL)
    directive = await run.send(Phase.BEFORE, OUTDATED)
    rightful = run.node
    strangers = [
        (bench.scope, await bench.enrol()),
        (bench.elsewhere, await bench.enrol(scope=bench.elsewhere)),
        (bench.elsewhere, rightful),
    ]

    for run.scope, run.node in strangers:
        with pytest.raises(UnknownOperation):
            await run.put(Phase.BEFORE, OUTDATED)
        with pytest.raises(UnknownOperation):
            await run.bodies(bodies_of(OUTDATED))
        with pytest.raises(UnknownOperation):
            await run.resolve(directive)

    run.scope, run.node = bench.scope, rightful
    assert len((await run.resolve(directive)).actions) == 2


async def test_nobody_begins_an_operation_for_a_node_that_is_not_there(bench):
    """Nor in a region the node does not belong to."""
    node = await bench.enrol()

    with pytest.raises(UnknownNode):
        await bench.begin("mi-00000000000000000")
    with pytest.raises(UnknownNode):
        await bench.begin(node, scope=bench.elsewhere)


async def test_reboot_if_needed_restarts_until_the_boot_id_is_another(bench):
    """The boot id alone tells (design D10)."""
    run = await bench.begin(await bench.enrol(), Kind.INSTALL, reboot=REBOOT)
    await run.resolve(await run.send(Phase.BEFORE, OUTDATED))
    assert (await run.send(Phase.AFTER, PATCHED, acted_boot_id="boot-1")).next is Next.REBOOT
    assert await bench.verdicts.last(bench.scope, [run.node]) == []

    same_boot = with_facts(PATCHED, observed_at=NOW + 90)
    assert (await run.send(Phase.AFTER, same_boot)).next is Next.REBOOT
    done = await run.send(Phase.AFTER, RESTARTED)

    assert done.next is Next.DONE
    assert await bench.states(run.node) == INSTALLED


async def test_a_node_that_restarted_by_itself_is_not_restarted_again(bench):
    """It acted in one boot and reports from the next."""
    run = await bench.begin(await bench.enrol(), Kind.INSTALL, reboot=REBOOT)
    await run.resolve(await run.send(Phase.BEFORE, OUTDATED))

    done = await run.send(Phase.AFTER, RESTARTED, acted_boot_id="boot-1")

    assert done.next is Next.DONE
    assert await bench.states(run.node) == INSTALLED


async def test_reboot_if_needed_restarts_for_what_is_pending_though_nothing_is_missing(bench):
    """Spec §13.1, boundary case 6; and the same message again is told the same."""
    node = await bench.enrol()
    await bench.install(node, OUTDATED, PATCHED)
    run = await bench.begin(node, Kind.INSTALL, reboot=REBOOT)

    assert (await run.send(Phase.BEFORE, PATCHED)).next is Next.REBOOT
    assert (await run.put(Phase.BEFORE, PATCHED)).next is Next.REBOOT
    assert (await run.put(Phase.BEFORE, with_facts(PATCHED, observed_at=NOW + 70))).next is Next.REBOOT
    done = await run.send(Phase.AFTER, RESTARTED)

    assert done.next is Next.DONE
    assert await bench.states(node) == INSTALLED


async def test_reboot_if_needed_leaves_a_node_alone_that_has_nothing_to_do(bench):
    """Nothing installed, nothing pending: the Install ends with the first facts."""
    run = await bench.begin(await bench.enrol(), Kind.INSTALL, reboot=REBOOT)

    done = await run.send(Phase.BEFORE, PATCHED)

    assert done.next is Next.DONE
    assert await bench.states(run.node) == INSTALLED


async def test_reboot_if_needed_does_not_restart_after_an_install_that_changed_nothing(bench):
    """Everything failed: there is nothing to restart for."""
    run = await bench.begin(await bench.enrol(), Kind.INSTALL, reboot=REBOOT)
    await run.resolve(await run.send(Phase.BEFORE, OUTDATED))

    done = await run.send(
        Phase.AFTER,
        with_facts(OUTDATED, observed_at=NOW + 9),
        failures={"foo.amd64": "disk full"},
        acted_boot_id="boot-1",
    )

    assert done.next is Next.DONE
    assert done.report is not None
    assert not done.report.succeeded
    assert "foo.amd64:1.0-1+deb12u1" in done.report.error
    assert "disk full" in done.report.error


async def test_a_package_left_unpacked_again_is_nothing_to_restart_for(bench):
    """The plan says to configure it, and that failed: the version was there before."""
    broken = [_unpacked("foo"), *RELEASE[1:]]
    before = debian(broken, security=("foo 1.0-1+deb12u1",))
    run = await bench.begin(await bench.enrol(), Kind.INSTALL, reboot=REBOOT)
    plan = await run.resolve(await run.send(Phase.BEFORE, before))
    assert [(action.before, action.after) for action in plan.actions] == [("1.0-1+deb12u1", "1.0-1+deb12u1")]

    done = await run.send(
        Phase.AFTER,
        with_facts(before, observed_at=NOW + 9),
        failures={"foo.amd64": "postinst failed"},
        acted_boot_id="boot-1",
    )

    assert done.next is Next.DONE
    assert (await bench.states(run.node))["foo.amd64"] == "Failed"


def _unpacked(name):
    from core.made import package

    return package(f"{name} 1.0-1+deb12u1", "half-configured")


async def test_what_cannot_be_resolved_or_installed_has_failed_with_its_reason(bench):
    """The rest is installed, and the command says what failed (spec §3.3)."""
    run = await bench.begin(await bench.enrol(), Kind.INSTALL)
    await run.resolve(await run.send(Phase.BEFORE, OUTDATED), unresolved={"bar.amd64": "needs baz, which is held"})

    done = await run.send(Phase.AFTER, HALF, acted_boot_id="boot-1")

    assert done.report is not None
    assert not done.report.succeeded
    assert "needs baz, which is held" in done.report.error
    assert await bench.states(run.node) == {
        "bar.amd64": "Failed",
        "foo.amd64": "InstalledPendingReboot",
        "plain.amd64": "InstalledOther",
    }


async def test_unreadable_repositories_end_a_run_without_a_verdict(bench):
    """What was reported before stays, and the report names the repository."""
    from patchwright.core.facts import RepositoryProblem

    node = await bench.enrol()
    await bench.scan(node, OUTDATED)
    bench.clock.time += 60
    unread = with_facts(debian(RELEASE, security=()), problems=(RepositoryProblem("security", "404 Not Found"),))

    done = await bench.scan(node, unread)

    assert done.report is not None
    assert not done.report.succeeded
    assert "security: 404 Not Found" in done.report.error
    assert await bench.states(node) == MISSING


async def test_a_node_without_repositories_gets_no_verdict(bench):
    """It cannot know what it misses: Failed with the reason, what was reported stays, and the live verdict has its doubt."""
    node = await bench.enrol()
    await bench.scan(node, OUTDATED)
    bare = replace(with_facts(OUTDATED, slices=(), observed_at=NOW + 60), slices=())

    done = await bench.scan(node, bare)

    assert done.report is not None
    assert not done.report.succeeded
    assert "the node has no package repositories" in done.report.error
    assert await bench.states(node) == MISSING
    verdict = await bench.verdicts.live(bench.scope, node)
    assert (verdict.standing, verdict.doubts) == (Standing.UNKNOWN, (Doubt.NO_REPOSITORIES,))


async def test_facts_of_another_operating_system_are_refused(bench):
    """The baseline was chosen for the system the operation began on."""
    run = await bench.begin(await bench.enrol())
    await run.put(Phase.BEFORE, OUTDATED)
    await run.bodies(bodies_of(OUTDATED))

    with pytest.raises(OperationRefused, match="UBUNTU"):
        await run.put(Phase.BEFORE, with_facts(OUTDATED, operating_system=OperatingSystem.UBUNTU))
    with pytest.raises(OperationRefused, match="BEOS"):
        await bench.begin(run.node, operating_system="BEOS")

    assert (await bench.verdicts.live(bench.scope, run.node)).facts is None


async def test_facts_whose_bodies_are_of_another_kind_are_refused(bench):
    """A slice in place of the package set, a package set in place of a slice, and another manager's rows."""
    from dataclasses import replace

    from core import made
    from patchwright.core.facts import SliceRef
    from patchwright.core.package import Manager

    run = await bench.begin(await bench.enrol())
    foreign = made.view(["foo 1.0-1"], manager=Manager.DNF)
    await run.bodies({**bodies_of(OUTDATED), **bodies_of(foreign)})
    facts = OUTDATED.facts
    wrong = [
        replace(facts, package_set=facts.slices[0].digest),
        replace(facts, slices=(SliceRef(facts.package_set),)),
        replace(facts, notices=(facts.package_set,)),
        replace(facts, package_set=foreign.facts.package_set),
        replace(facts, manager=Manager.DNF),
    ]

    for one in wrong:
        with pytest.raises(MalformedFacts):
            await run.put(Phase.BEFORE, replace(OUTDATED, facts=one))

    assert (await bench.verdicts.live(bench.scope, run.node)).facts is None


async def test_facts_that_name_kept_facts_as_a_body_are_refused(bench):
    """What was said of a node is kept among the bodies, and is none that a node may name."""
    run = await bench.begin(await bench.enrol())
    await run.send(Phase.BEFORE, OUTDATED)
    digest = nodes.observation(run.node, OUTDATED.facts).digest
    again = await bench.begin(run.node)

    with pytest.raises(MalformedFacts, match="is no PackageSet"):
        await again.put(Phase.BEFORE, with_facts(OUTDATED, package_set=digest))


async def test_facts_that_would_take_long_to_judge_are_refused(bench, monkeypatch):
    """A slice named again and again costs the node nothing and would keep the database's writer busy for hours."""
    monkeypatch.setattr(operations, "ROWS_LIMIT", 10)
    many = with_facts(OUTDATED, slices=OUTDATED.facts.slices * 10)
    run = await bench.begin(await bench.enrol())

    with pytest.raises(MalformedFacts, match="50 offers together, more than the 10 allowed"):
        await run.send(Phase.BEFORE, many)

    assert (await run.send(Phase.BEFORE, OUTDATED)).report.succeeded


async def test_a_forged_body_is_refused_with_all_that_came_with_it(bench):
    """The digest is computed again here (design D2)."""
    run = await bench.begin(await bench.enrol())
    bodies = bodies_of(OUTDATED)
    forged = {**bodies, OUTDATED.facts.package_set: PATCHED.packages.canonical()}

    with pytest.raises(DigestMismatch):
        await run.bodies(forged)

    assert sorted((await run.put(Phase.BEFORE, OUTDATED)).missing) == sorted(bodies)


async def test_a_command_that_ends_early_ends_its_operation_without_a_verdict(bench):
    """Whatever comes later is told so and changes nothing."""
    run = await bench.begin(await bench.enrol(), Kind.INSTALL)
    directive = await run.send(Phase.BEFORE, OUTDATED)

    await bench.database.write(
        patching.close, bench.scope, run.node, run.command, now=NOW + 5, reason="The command's time ran out."
    )

    assert await bench.verdicts.last(bench.scope, [run.node]) == []
    late = await run.put(Phase.BEFORE, OUTDATED)
    assert late.next is Next.DONE
    assert late.report is not None
    assert (late.report.succeeded, late.report.error) == (False, "The command's time ran out.")
    with pytest.raises(OperationRefused):
        await run.resolve(directive)


async def test_what_a_run_installed_before_its_command_ended_waits_for_a_reboot(bench):
    """Whether or not it could still say what it did: the next Scan must not call it installed, nor the node compliant."""
    run = await bench.begin(await bench.enrol(), Kind.INSTALL)
    await run.resolve(await run.send(Phase.BEFORE, OUTDATED))
    await bench.database.write(patching.close, bench.scope, run.node, run.command, now=NOW + 5, reason="Too late.")

    await bench.scan(run.node, PATCHED)

    assert await bench.states(run.node) == PENDING
    await bench.scan(run.node, RESTARTED)
    assert await bench.states(run.node) == INSTALLED


async def test_the_facts_of_a_run_that_ended_too_late_show_live(bench):
    """The operation stays as it ended; how it left the node is known all the same."""
    run = await bench.begin(await bench.enrol(), Kind.INSTALL)
    await run.resolve(await run.send(Phase.BEFORE, OUTDATED))
    await bench.database.write(patching.close, bench.scope, run.node, run.command, now=NOW + 5, reason="Too late.")

    for _ in range(2):
        late = await run.send(Phase.AFTER, PATCHED, acted_boot_id="boot-1")
        assert (late.next, late.report.error) == (Next.DONE, "Too late.")

    assert await bench.live(run.node) == PENDING
    assert await bench.verdicts.last(bench.scope, [run.node]) == []


async def test_what_a_run_did_too_late_waits_for_a_restart_of_the_boot_it_was_done_in(bench):
    """The node was off until the command had timed out, then carried the plan out: its packages are not in force yet."""
    node = await bench.enrol()
    run = await bench.begin(node, Kind.INSTALL)
    await run.resolve(await run.send(Phase.BEFORE, OUTDATED))
    await bench.database.write(patching.close, bench.scope, run.node, run.command, now=NOW + 5, reason="Too late.")
    await run.send(Phase.AFTER, RESTARTED, acted_boot_id="boot-2")

    assert await bench.live(node) == PENDING
    await bench.scan(node, with_facts(RESTARTED, observed_at=NOW + 200))
    assert await bench.states(node) == PENDING


async def test_a_command_that_ends_while_the_node_restarts_keeps_what_was_reported(bench):
    """The states of the Install stand; the report says why it was cut short."""
    run = await bench.begin(await bench.enrol(), Kind.INSTALL, reboot=REBOOT)
    await run.resolve(await run.send(Phase.BEFORE, OUTDATED))
    await run.send(Phase.AFTER, PATCHED, acted_boot_id="boot-1")

    await bench.database.write(patching.close, bench.scope, run.node, run.command, now=NOW + 5, reason="Too late.")

    assert await bench.states(run.node) == PENDING
    last = (await bench.verdicts.live(bench.scope, run.node)).last
    assert last.operation.report is not None
    assert (last.operation.report.succeeded, last.operation.report.error) == (False, "Too late.")


async def test_closing_a_command_leaves_other_operations_alone(bench):
    """Another command's, and another node's."""
    run, other = await bench.begin(await bench.enrol()), await bench.begin(await bench.enrol())

    await bench.database.write(patching.close, bench.scope, run.node, other.command, now=NOW, reason="…")
    await bench.database.write(patching.close, bench.scope, other.node, run.command, now=NOW, reason="…")

    for one in (run, other):
        assert (await one.send(Phase.BEFORE, OUTDATED)).report.succeeded


async def test_a_node_has_one_operation_at_a_time(bench):
    """Beginning the next one ends what was left of the last."""
    first = await bench.begin(await bench.enrol(), Kind.INSTALL)
    await first.send(Phase.BEFORE, OUTDATED)

    second = await bench.begin(first.node)
    assert (await second.send(Phase.BEFORE, OUTDATED)).report.succeeded

    late = await first.put(Phase.BEFORE, OUTDATED)
    assert late.report is not None
    assert "began another operation" in late.report.error
    assert await bench.states(first.node) == MISSING


async def test_what_a_killed_installation_did_bring_waits_for_a_reboot(bench):
    """The node could only say that everything failed; its package database knows better (design D4)."""
    run = await bench.begin(await bench.enrol(), Kind.INSTALL)
    await run.resolve(await run.send(Phase.BEFORE, OUTDATED))
    killed = dict.fromkeys(("foo.amd64", "bar.amd64"), "the installation was killed")

    done = await run.send(Phase.AFTER, HALF, failures=killed, acted_boot_id="boot-1")

    assert done.report is not None
    assert "bar.amd64:2.0-1+deb12u1" in done.report.error
    assert "the installation was killed" in done.report.error
    assert await bench.states(run.node) == {
        "bar.amd64": "Failed",
        "foo.amd64": "InstalledPendingReboot",
        "plain.amd64": "InstalledOther",
    }


async def test_a_node_of_another_system_gets_that_systems_baseline(bench):
    """A group's baseline for Debian says nothing to an Ubuntu node of the group (spec §2.11)."""
    from patchwright.core.baseline import Baseline

    nothing = patching.Definition("nothing", Baseline(OperatingSystem.DEBIAN))
    baseline_id = await bench.baselines.create(bench.scope, nothing, own_tags={})
    await bench.baselines.register_group(bench.scope, baseline_id, "web")
    ubuntu = with_facts(OUTDATED, operating_system=OperatingSystem.UBUNTU, product="Ubuntu22.04")
    debian_node, ubuntu_node = await bench.enrol(group="web"), await bench.enrol(group="web")

    await bench.scan(debian_node, OUTDATED)
    await bench.scan(ubuntu_node, ubuntu, operating_system="UBUNTU", product="Ubuntu22.04")

    found = await bench.verdicts.last(bench.scope, [debian_node, ubuntu_node])
    baselines = {one.operation.instance_id: one.operation.baseline_id for one in found}
    assert baselines[debian_node] == baseline_id
    assert baselines[ubuntu_node].endswith("pb-0c7e89f711c3095f4")
    assert "Missing" not in (await bench.states(debian_node)).values()
    assert (await bench.states(ubuntu_node))["foo.amd64"] == "Missing"
