# SPDX-License-Identifier: Apache-2.0
"""Snapshots for those who download them: frozen by the first asker, for runs of nodes and for those who only look."""

from __future__ import annotations

import pytest

from patchwright.core.baseline import Baseline
from patchwright.core.system import OperatingSystem
from patchwright.server.infra import sql
from patchwright.server.nodes import Machine, Service, UnknownNode
from patchwright.server.patching import Definition, Deployable, Snapshots, UnsupportedSystem
from server.patching.bench import OUTDATED
from server.patching.test_baselines import DEBIAN
from server.patching.test_snapshots import RUN, block_foo, grouped, wanted

DAY = 24 * 3600.0


@pytest.fixture
def room(bench):
    """The snapshots of the bench's account."""
    return Snapshots(bench.database, bench.clock)


async def plain_node(bench, name="Debian GNU/Linux", version="12", **more):
    """A node that said what it runs, and nothing more."""
    node = await bench.enrol(**more)
    machine = Machine(platform_name=name, platform_version=version)
    await Service(bench.database, bench.clock).ping(bench.scope, node, machine)
    return node


def given(*rejected):
    """What makes a baseline that is no resource."""
    return lambda system: Definition("BaselineOverride", Baseline(system, rejected=rejected))


async def kept(bench):
    """How many overriding baselines are kept."""

    def count():
        rows = yield sql("SELECT COUNT(*) FROM override_snapshot WHERE account = $1", bench.scope.account)
        return rows[0][0]

    return await bench.database.read(count)


async def test_the_first_who_asks_freezes_the_run_for_everyone(bench, room):
    """A run that begins later gets what was downloaded, and the other way round (design D13)."""
    baseline_id = await grouped(bench, "web")
    first, second = await plain_node(bench, group="web"), await bench.enrol(group="web")

    found = await room.deploy(bench.scope, first, RUN)
    before = await room.content(bench.scope, found)
    await bench.baselines.update(bench.scope, baseline_id, block_foo)

    assert found == Deployable(first, RUN, DEBIAN, "Debian12", "web")
    assert before.baseline_id == baseline_id
    assert await wanted(bench, second, snapshot_id=RUN) == ["bar.amd64", "foo.amd64"]
    bench.clock.time += 30 * DAY
    assert await room.content(bench.scope, await room.deploy(bench.scope, first, RUN)) == before


async def test_a_snapshot_outlives_its_baseline(bench, room):
    """Deleted, it is still what the run was frozen with."""
    baseline_id = await grouped(bench, "web")
    found = await room.deploy(bench.scope, await plain_node(bench, group="web"), RUN)
    before = await room.content(bench.scope, found)
    await bench.baselines.deregister_group(bench.scope, baseline_id, "web")
    await bench.baselines.delete(bench.scope, baseline_id)

    assert await room.content(bench.scope, found) == before


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (("Debian GNU/Linux", "12"), ("DEBIAN", "Debian12")),
        (("Ubuntu", "22.04"), ("UBUNTU", "Ubuntu22.04")),
        (("Red Hat Enterprise Linux", "9.4"), ("REDHAT_ENTERPRISE_LINUX", "RedhatEnterpriseLinux9.4")),
        (("Red Hat Enterprise Linux Server", "7.9"), ("REDHAT_ENTERPRISE_LINUX", "RedhatEnterpriseLinux7.9")),
        (("CentOS Stream", "9"), ("CENTOS", "CentOS9-Stream")),
        (("CentOS Linux", "7"), ("CENTOS", "CentOS7")),
        (("Oracle Linux Server", "8.9"), ("ORACLE_LINUX", "OracleLinux8.9")),
        (("Rocky Linux", "9.4"), ("ROCKY_LINUX", "RockyLinux9.4")),
        (("AlmaLinux", "8.10"), ("ALMA_LINUX", "AlmaLinux8.10")),
        (("SLES", "15.6"), ("SUSE", "Suse15.6")),
        (("Raspbian GNU/Linux", "11"), ("RASPBIAN", "RaspberryPiOS11")),
        (("Amazon Linux", "2"), ("AMAZON_LINUX_2", "AmazonLinux2")),
        (("Amazon Linux", "2023"), ("AMAZON_LINUX_2023", "AmazonLinux2023")),
        (("Amazon Linux AMI", "2018.03"), ("AMAZON_LINUX", "AmazonLinux2018.03")),
        (("Microsoft Windows Server 2019 Datacenter", "10.0.17763"), ("WINDOWS", "WindowsServer2019")),
        (("Microsoft Windows Server 2012 R2 Standard", "6.3.9600"), ("WINDOWS", "WindowsServer2012R2")),
        (("macOS", "13.1"), ("MACOS", "MacOS13.1")),
    ],
)
async def test_before_its_first_facts_a_node_is_what_its_agent_says(bench, room, said, found):
    """Amazon's agent, which sends no facts, asks too."""
    answer = await room.deploy(bench.scope, await plain_node(bench, *said), RUN)

    assert (answer.operating_system.value, answer.product) == found


async def test_facts_are_believed_before_the_agent(bench, room):
    """They are what runs are decided on."""
    node = await plain_node(bench, "Ubuntu", "22.04")
    await bench.scan(node, OUTDATED)

    assert (await room.deploy(bench.scope, node, RUN)).operating_system is OperatingSystem.DEBIAN


async def test_what_no_baseline_covers_has_no_snapshot(bench, room):
    """And neither has a node that is not there."""
    with pytest.raises(UnsupportedSystem, match="Slackware"):
        await room.deploy(bench.scope, await plain_node(bench, "Slackware", "15"), RUN)
    with pytest.raises(UnsupportedSystem, match="unknown"):
        await room.deploy(bench.scope, await bench.enrol(), RUN)
    node = await plain_node(bench)
    for scope, name in ((bench.scope, "mi-00000000000000000"), (bench.elsewhere, node), (bench.stranger, node)):
        with pytest.raises(UnknownNode):
            await room.deploy(scope, name, RUN)


async def test_a_baseline_given_for_a_run_is_frozen_beside_the_others(bench, room):
    """Two of them do not meet, the group's stays what it is, and no baseline appears in the account."""
    await grouped(bench, "web")
    node = await plain_node(bench, group="web")

    one, other = [await room.deploy(bench.scope, node, RUN, given(name)) for name in ("foo", "bar")]
    again = await room.deploy(bench.scope, node, RUN, given("foo"))
    own = await room.deploy(bench.scope, node, RUN)

    assert one == again
    assert len({one, other, own}) == 3
    contents = [await room.content(bench.scope, each) for each in (one, other, own)]
    assert [each.definition.baseline.rejected for each in contents] == [("foo",), ("bar",), ()]
    assert contents[0].definition.baseline.operating_system is DEBIAN
    assert len((await bench.baselines.listed(bench.scope, owner="Self"))[0]) == 1
    assert await room.content(bench.elsewhere, one) is await room.content(bench.stranger, one) is None


async def test_the_day_of_a_given_baseline_is_that_of_the_first_who_asked(bench, room):
    """As of a stored one."""
    node = await plain_node(bench)
    first = await room.content(bench.scope, await room.deploy(bench.scope, node, RUN, given("foo")))
    bench.clock.time += DAY

    assert await room.content(bench.scope, await room.deploy(bench.scope, node, RUN, given("foo"))) == first


async def test_given_baselines_are_kept_for_three_days(bench, room):
    """Then the next one that is given clears them away."""
    node = await plain_node(bench)
    old = await room.deploy(bench.scope, node, RUN, given("foo"))
    bench.clock.time += 3 * DAY + 1

    await room.deploy(bench.scope, node, RUN, given("bar"))

    assert await kept(bench) == 1
    assert await room.content(bench.scope, old) is None


async def test_what_refuses_a_given_baseline_changes_nothing(bench, room):
    """Its error comes through."""
    node = await plain_node(bench)

    def refuse(system):
        raise ValueError(system)

    with pytest.raises(ValueError, match="DEBIAN"):
        await room.deploy(bench.scope, node, RUN, refuse)
    assert await kept(bench) == 0
