# SPDX-License-Identifier: Apache-2.0
"""Listings of nodes: every kind of condition, alone and together, said to both engines."""

from __future__ import annotations

import pytest

from patchwright.server import nodes, tags
from patchwright.server.accounts import Scope
from patchwright.server.nodes import Condition, Listing, Machine, Relation
from server.clocks import FakeClock
from server.nodes.made import enrol

NOW = 1_795_147_200.0
EQUAL, DIFFERS, BEGINS, LESS, GREATER = Relation
FLEET = {
    "old": (
        Machine("1", "old.example", "Linux", "Debian GNU/Linux", "11", "patchwright-agent", "3.9", "192.0.2.1"),
        {"role": "web", "env": "prod"},
    ),
    "new": (
        Machine("2", "new.example", "Linux", "Debian GNU/Linux", "12.5", "amazon-ssm-agent", "3.10", "192.0.2.2"),
        {"role": "web-2", "env": ""},
    ),
    "win": (
        Machine(
            "3",
            "win.example",
            "Windows",
            "Windows Server",
            "10.0.20348",
            "amazon-ssm-agent",
            "3.10.1",
            "192.0.2.3",
            source_id="i-0123456789abcdef0",
            source_type="AWS::EC2::Instance",
            source_location="somewhere",
            availability_zone="us-east-1a",
            availability_zone_id="use1-az1",
        ),
        {},
    ),
}


@pytest.fixture
def directory(shared_database):
    """The room's service."""
    return nodes.Service(shared_database, FakeClock(NOW))


@pytest.fixture
async def fleet(shared_database, directory, scope):
    """Ids by name; the old one was heard of an hour before the others."""
    found = {}
    for name, (machine, own_tags) in FLEET.items():
        clock = FakeClock(NOW - 3600 if name == "old" else NOW)
        found[name] = await enrol(shared_database, clock, scope, **own_tags)
        await nodes.Service(shared_database, clock).ping(scope, found[name], machine)
    return found


@pytest.fixture
def names(directory, scope, fleet):
    """The names of the nodes that meet every condition."""

    async def read(*conditions, where=scope):
        listing = Listing(tuple(Condition(*one) for one in conditions), NOW - 60)
        page = await directory.listed(where, listing, after="", limit=50)
        assert [node.id for node in page] == sorted(node.id for node in page)
        return sorted(name for name, node_id in fleet.items() if node_id in {node.id for node in page})

    return read


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (("platform_type", ("Linux",)), ["new", "old"]),
        (("platform_type", ("Linux", "Windows")), ["new", "old", "win"]),
        (("platform_type", ("Linux",), DIFFERS), ["win"]),
        (("platform_type", ("linux",)), []),
        (("platform_name", ("Debian", "x"), BEGINS), ["new", "old"]),
        (("platform_name", ("",), BEGINS), ["new", "old", "win"]),
        (("platform_name", ("%",), BEGINS), []),
        (("agent_version", ("3.10",), LESS), ["old"]),
        (("agent_version", ("3.9",), GREATER), ["new", "win"]),
        (("agent_version", ("3.10", "x"), EQUAL), ["new"]),
        (("agent_version", ("9",), GREATER), []),
        (("agent_version", ("\ud7ff" * 600,), GREATER), []),
        (("platform_version", ("12",), GREATER), ["new"]),
        (("computer_name", ("o",), LESS), ["new"]),
        (("ping_status", ("Online",)), ["new", "win"]),
        (("ping_status", ("ConnectionLost", "Inactive")), ["old"]),
        (("status", ("Active",), DIFFERS), ["old"]),
        (("resource_type", ("ManagedInstance",)), ["new", "old", "win"]),
        (("resource_type", ("EC2Instance",)), []),
        (("source_id", ("i-0123456789abcdef0",)), ["win"]),
        (("source_type", ("AWS::SSM::ManagedInstance",)), ["new", "old"]),
        (("source_location", ("some",), BEGINS), ["win"]),
        (("availability_zone", ("us-east-1a",)), ["win"]),
        (("availability_zone_id", ("use1-az1",), DIFFERS), ["new", "old"]),
        (("managed", ("Managed",)), ["new", "old", "win"]),
        (("nothing", ("x",)), []),
        (("nothing", ("x",), DIFFERS), ["new", "old", "win"]),
        (("region", ("us-east-1",)), ["new", "old", "win"]),
        (("role", ("node",)), ["new", "old", "win"]),
        (("name", ("'; DROP TABLE node; --", '"', "\\", "$1")), []),
        (("tag:role", ("web",)), ["old"]),
        (("tag:role", ("web",), BEGINS), ["new", "old"]),
        (("tag:role", ("web",), DIFFERS), ["new", "win"]),
        (("tag:env", ("",)), ["new"]),
        (("tag:Role", ("web",)), []),
        (("tag:' OR 1=1 --", ("web",)), []),
        (("tag-key", ("env", "none")), ["new", "old"]),
        (("tag-key", ("env",), DIFFERS), ["win"]),
    ],
)
async def test_a_condition_is_what_nodes_have_in_common(names, condition, expected):
    """Values are alternatives; case counts; versions are in the order of versions."""
    assert await names(condition) == expected


async def test_conditions_are_all_met(names, scope):
    """However many there are of one field; and nodes of others are none of ours."""
    several = (("platform_type", ("Linux",)), ("ping_status", ("Online",)), ("tag-key", ("role",)))

    assert await names() == ["new", "old", "win"]
    assert await names(*several) == ["new"]
    assert await names(*several, ("agent_version", ("3.10",), DIFFERS)) == []
    assert await names(*[("platform_type", ("Linux",))] * 50) == ["new", "old"]
    assert await names(where=Scope(scope.account, "eu-west-1")) == []


async def test_pages_of_a_listing_have_every_node_once(directory, shared_database, scope):
    """Whatever their size, with nodes between them that do not belong."""
    clock = FakeClock(NOW)
    wanted = sorted([await enrol(shared_database, clock, scope, role="web") for _ in range(7)])
    for _ in range(5):
        await enrol(shared_database, clock, scope, role="db")
    listing = Listing((Condition("tag:role", ("web",)),))

    for size in (1, 3, 7, 8):
        found: list[str] = []
        while page := await directory.listed(scope, listing, after=found[-1] if found else "", limit=size):
            found += [node.id for node in page]
        assert found == wanted


async def test_nodes_are_counted_by_what_they_are(directory, fleet, scope):
    """One field or several; of the nodes of a listing; in order."""

    async def counted(*fields, conditions=()):
        return await directory.counted(scope, Listing(tuple(conditions), NOW - 60), fields)

    assert await counted("platform_type") == [(("Linux",), 2), (("Windows",), 1)]
    assert await counted("platform_type", "agent_version") == [
        (("Linux", "3.10"), 1),
        (("Linux", "3.9"), 1),
        (("Windows", "3.10.1"), 1),
    ]
    assert await counted("resource_type", "region") == [(("ManagedInstance", "us-east-1"), 3)]
    assert await counted("ping_status") == [(("ConnectionLost",), 1), (("Online",), 2)]
    online = [Condition("ping_status", ("Online",)), Condition("agent_version", ("3.9",), GREATER)]
    assert await counted("ping_status", "source_type", conditions=online) == [
        (("Online", "AWS::EC2::Instance"), 1),
        (("Online", "AWS::SSM::ManagedInstance"), 1),
    ]
    assert await counted("platform_type", conditions=[Condition("nothing", ("x",))]) == []


async def test_a_node_says_what_it_is_where_it_runs(directory, fleet, scope):
    """Else it is its own source."""
    listed = {node.id: node for node in await directory.listed(scope, Listing(), after="", limit=9)}

    assert listed[fleet["win"]].source == ("i-0123456789abcdef0", "AWS::EC2::Instance")
    assert listed[fleet["old"]].source == (fleet["old"], "AWS::SSM::ManagedInstance")
    assert [listed[fleet[name]].online(NOW - 60) for name in ("old", "new")] == [False, True]


def test_the_order_of_relations_is_what_this_file_unpacks():
    """So that a new one does not change the meaning of the names above."""
    assert (EQUAL, GREATER) == (Relation.EQUAL, Relation.GREATER)
    assert tags.MANAGED_INSTANCE == nodes.MANAGED_INSTANCE
