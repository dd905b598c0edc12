# SPDX-License-Identifier: Apache-2.0
"""Managed nodes: whose they are, what they say of themselves, and how they are listed."""

from __future__ import annotations

import pytest

from patchwright.server import nodes
from patchwright.server.accounts import Scope
from patchwright.server.infra import sql
from patchwright.server.nodes import Machine, MissingRole, UnknownNode
from server.clocks import FakeClock
from server.nodes.made import enrol, enrol_many

NOW = 1_795_147_200.0
QUIET = Machine(platform_type="", agent_name="")


@pytest.fixture
def clock():
    """A clock that stands still."""
    return FakeClock(NOW)


@pytest.fixture
def directory(shared_database, clock):
    """The room's service."""
    return nodes.Service(shared_database, clock)


async def test_a_node_belongs_to_one_account_and_region(directory, shared_database, clock, scope):
    """To all others it is unknown; its id alone says whose it is."""
    node = await enrol(shared_database, clock, scope)

    assert (await directory.identity(node)).scope == scope
    assert await directory.identity("mi-00000000000000000") is None
    for where in (Scope(scope.account, "eu-west-1"), Scope("9" + scope.account[1:], scope.region)):
        with pytest.raises(UnknownNode):
            await shared_database.read(nodes.require, where, node)
        assert await shared_database.read(nodes.known, where, [node]) == []
        assert await shared_database.read(nodes.all_ids, where) == []
        assert await shared_database.read(nodes.page, where, after="", limit=9) == []


async def test_a_ping_says_that_a_node_is_there_and_what_it_is(directory, shared_database, clock, scope):
    """What it does not say stays as it is known."""
    node = await enrol(shared_database, clock, scope)
    clock.time += 60
    said = Machine("ignored", "host", "Windows", "Windows Server", "2022", "amazon-ssm-agent", "3.3", "192.0.2.7")

    await directory.ping(scope, node, said)
    clock.time += 60
    await directory.ping(scope, node, QUIET)

    found = await shared_database.read(nodes.require, scope, node)
    assert found.last_ping_at == NOW + 120
    assert found.registered_at == NOW
    assert found.machine == Machine(
        "", "host", "Windows", "Windows Server", "2022", "amazon-ssm-agent", "3.3", "192.0.2.7"
    )


async def test_nobody_pings_for_a_node_elsewhere(directory, shared_database, clock, scope):
    """The scope of the caller counts."""
    node = await enrol(shared_database, clock, scope)
    clock.time += 60

    await directory.ping(Scope(scope.account, "eu-west-1"), node, Machine(computer_name="stolen"))

    found = await shared_database.read(nodes.require, scope, node)
    assert (found.last_ping_at, found.machine.computer_name) == (NOW, "")


async def test_nodes_are_paged_by_id(shared_database, clock, scope):
    """Every node once, in order."""
    ids = await enrol_many(shared_database, clock, scope, 7)
    found: list[str] = []
    while page := await shared_database.read(nodes.page, scope, after=found[-1] if found else "", limit=3):
        found += [node.id for node in page]

    assert found == ids
    assert await shared_database.read(nodes.all_ids, scope) == ids


async def test_known_nodes_come_in_order_and_unknown_ones_are_passed_over(shared_database, clock, scope):
    """Whatever order they were asked for in."""
    first, second = await enrol_many(shared_database, clock, scope, 2)

    found = await shared_database.read(nodes.known, scope, [second, "mi-00000000000000000", first])

    assert [node.id for node in found] == [first, second]
    assert await shared_database.read(nodes.known, scope, []) == []


async def test_a_node_gets_another_role(directory, shared_database, clock, scope):
    """One that has a name; of a node that is there."""
    node = await enrol(shared_database, clock, scope)
    await directory.set_role(scope, node, "other")

    assert (await shared_database.read(nodes.require, scope, node)).role == "other"
    with pytest.raises(MissingRole):
        await directory.set_role(scope, node, "")
    for where, name in ((scope, "mi-00000000000000000"), (Scope(scope.account, "eu-west-1"), node)):
        with pytest.raises(UnknownNode):
            await directory.set_role(where, name, "stolen")
    assert (await shared_database.read(nodes.require, scope, node)).role == "other"


async def test_a_node_that_is_deregistered_is_unknown(directory, shared_database, clock, scope):
    """Its key is nobody's, its pings are nothing, its neighbours stay; what it looked like is history, and stays."""
    gone, other = await enrol_many(shared_database, clock, scope, 2)
    facts = "INSERT INTO former_facts (account, region, instance_id, sources, facts_id) VALUES ($1, $2, $3, '', 'f')"

    def keep():
        yield sql(facts, *scope, gone)

    def bindings():
        return (yield sql("SELECT instance_id FROM former_facts WHERE account = $1", scope.account))

    await shared_database.write(keep)
    with pytest.raises(UnknownNode):
        await shared_database.write(nodes.deregister, Scope(scope.account, "eu-west-1"), gone)
    await shared_database.write(nodes.deregister, scope, gone)
    await directory.ping(scope, gone, Machine(computer_name="ghost"))

    assert await directory.identity(gone) is None
    assert await shared_database.read(nodes.all_ids, scope) == [other]
    assert await shared_database.read(bindings) == []
    with pytest.raises(UnknownNode):
        await shared_database.write(nodes.deregister, scope, gone)
