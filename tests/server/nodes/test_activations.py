# SPDX-License-Identifier: Apache-2.0
"""Activations: who may become a node, and how often (spec §11.2)."""

from __future__ import annotations

import asyncio

import pytest

from patchwright.server import nodes
from patchwright.server.accounts import Scope
from patchwright.server.infra import sql
from patchwright.server.nodes import ActivationRefused, Machine, MissingRole, UnknownActivation
from server.clocks import FakeClock

NOW = 1_795_147_200.0
DAY = 24 * 3600.0
USED_UP = "used as often as it allows"


@pytest.fixture
def clock():
    """A clock that stands still."""
    return FakeClock(NOW)


@pytest.fixture
def directory(shared_database, clock):
    """The room's service."""
    return nodes.Service(shared_database, clock)


@pytest.fixture
def enrol(shared_database, clock):
    """Enrol with an activation; returns identity and activation."""

    async def write(activation_id, code, token="token-of-32-characters-or-more-xx", machine=None):
        return await shared_database.write(
            nodes.enrol,
            activation_id,
            code,
            token,
            machine or Machine(),
            now=clock.now(),
            fresh_id=nodes.fresh_node_id(),
        )

    return write


async def registrations(database, activation_id):
    """How often an activation was used."""

    def read():
        rows = yield sql("SELECT registrations FROM activation WHERE id = $1", activation_id)
        return rows[0][0]

    return await database.read(read)


async def test_an_activation_makes_nodes_of_its_account_and_region(directory, enrol, shared_database, scope):
    """With its role, its name, and what the machine says of itself."""
    activation, code = await directory.create_activation(scope, role="fleet", default_name="web", registration_limit=2)
    machine = Machine("m-1", "host.example", "Linux", "Debian GNU/Linux", "12", "patchwright-agent", "0.1", "192.0.2.7")

    identity, used = await enrol(activation.id, code, machine=machine)
    (node,) = await shared_database.read(nodes.known, scope, [identity.instance_id])

    assert (identity.scope, identity.generation, used) == (scope, 1, activation)
    assert (node.activation_id, node.role, node.name, node.machine) == (activation.id, "fleet", "web", machine)
    assert (node.registered_at, node.last_ping_at, node.facts_id) == (NOW, NOW, None)
    assert await directory.identity(identity.instance_id) == identity


async def test_the_code_is_stored_as_a_hash_only(directory, shared_database, scope):
    """Nor does the activation's repr show it."""
    activation, code = await directory.create_activation(scope, role="fleet")

    def read():
        return (yield sql("SELECT * FROM activation WHERE id = $1", activation.id))

    assert code not in str(await shared_database.read(read))
    assert code not in repr(activation)
    assert len(code) >= 20


async def test_an_activation_is_good_for_its_limit_and_no_more(directory, enrol, shared_database, scope):
    """By default for one node; of many at once, exactly as many as it allows get in."""
    single, code = await directory.create_activation(scope, role="fleet")
    await enrol(single.id, code, "a" * 32)
    with pytest.raises(ActivationRefused, match=USED_UP):
        await enrol(single.id, code, "b" * 32)

    several, code = await directory.create_activation(scope, role="fleet", registration_limit=3)
    results = await asyncio.gather(
        *(enrol(several.id, code, f"token-{number}" * 5) for number in range(7)), return_exceptions=True
    )

    assert sorted(type(one).__name__ for one in results) == ["ActivationRefused"] * 4 + ["tuple"] * 3
    assert await registrations(shared_database, several.id) == 3


async def test_the_same_token_gets_the_same_node_and_costs_no_registration(
    directory, enrol, shared_database, scope, clock
):
    """An answer that was lost can be asked for again, even when the activation is used up or has expired meanwhile."""
    activation, code = await directory.create_activation(scope, role="fleet")
    results = await asyncio.gather(*(enrol(activation.id, code) for _ in range(4)))

    clock.time += 2 * DAY
    again, used = await enrol(activation.id, code)

    assert {identity.instance_id for identity, _ in results} == {again.instance_id}
    assert [used for _, used in results].count(None) == 3
    assert used is None
    assert await registrations(shared_database, activation.id) == 1


async def test_a_token_is_worth_nothing_with_another_activation_or_a_wrong_code(directory, enrol, scope):
    """It only tells one attempt of the same holder from another."""
    first, code = await directory.create_activation(scope, role="fleet")
    second, other_code = await directory.create_activation(scope, role="fleet")
    identity, _ = await enrol(first.id, code)

    assert (await enrol(second.id, other_code))[0].instance_id != identity.instance_id
    with pytest.raises(ActivationRefused, match="wrong"):
        await enrol(first.id, other_code)


async def test_unknown_activation_and_wrong_code_are_told_alike(directory, enrol, scope):
    """Nobody learns which activations there are; a wrong code costs nothing."""
    activation, code = await directory.create_activation(scope, role="fleet")
    refusals = []
    for activation_id, tried in (("00000000-0000-0000-0000-000000000000", code), (activation.id, code[:-1] + "!")):
        with pytest.raises(ActivationRefused) as refused:
            await enrol(activation_id, tried)
        refusals.append(str(refused.value))

    assert refusals[0] == refusals[1]
    await enrol(activation.id, code)


async def test_an_activation_expires(directory, enrol, scope, clock):
    """A day after it was made, unless told otherwise; at the very second it is over."""
    activation, code = await directory.create_activation(scope, role="fleet", registration_limit=9)
    clock.time = NOW + DAY - 0.001
    await enrol(activation.id, code, "a" * 32)
    clock.time = NOW + DAY

    with pytest.raises(ActivationRefused, match="expired"):
        await enrol(activation.id, code, "b" * 32)


@pytest.mark.parametrize("ahead", [-1.0, 0.0, 30 * DAY + 1, 1e12])
async def test_an_expiry_in_the_past_or_beyond_30_days_is_refused(directory, scope, ahead):
    """Spec §11.2."""
    with pytest.raises(ActivationRefused, match="30 days"):
        await directory.create_activation(scope, role="fleet", expires_at=NOW + ahead)


async def test_an_expiry_of_up_to_30_days_is_taken(directory, scope):
    """The last moment included."""
    for ahead in (0.001, 30 * DAY):
        activation, _ = await directory.create_activation(scope, role="fleet", expires_at=NOW + ahead)
        assert activation.expires_at == NOW + ahead


async def test_nodes_have_ids_of_their_own(directory, enrol, scope):
    """`mi-` and 17 hexadecimal digits (spec §0.4)."""
    activation, code = await directory.create_activation(scope, role="fleet", registration_limit=5)

    ids = {(await enrol(activation.id, code, f"token-{number}" * 5))[0].instance_id for number in range(5)}

    assert len(ids) == 5
    assert all(len(one) == 20 and one.startswith("mi-") and int(one[3:], 16) >= 0 for one in ids)


async def test_activations_are_listed_by_what_they_are(directory, scope):
    """In order of id, page by page, used up and expired ones too; another account or region sees none."""
    made = [(await directory.create_activation(scope, role=f"role-{n % 2}", default_name=f"n{n}"))[0] for n in range(5)]
    made.sort(key=lambda one: one.id)

    async def listed(narrowed=None, *, after="", limit=50, where=scope):
        return await directory.activations(where, narrowed or {}, after=after, limit=limit)

    assert await listed() == made
    assert await listed(limit=2) == made[:2]
    assert await listed(after=made[1].id) == made[2:]
    assert await listed({"role": ["role-1"]}) == [one for one in made if one.role == "role-1"]
    assert await listed({"id": [made[3].id, made[0].id, "x"]}) == [made[0], made[3]]
    assert await listed({"role": ["role-0", "role-1"], "default_name": ["n1", "n2"]}) == [
        one for one in made if one.default_name in {"n1", "n2"}
    ]
    assert await listed({"default_name": ["n1"], "id": ["x"]}) == []
    for where in (Scope(scope.account, "eu-west-1"), Scope("9" + scope.account[1:], scope.region)):
        assert await listed(where=where) == []


async def test_an_activation_that_is_deleted_enrols_nobody(directory, enrol, shared_database, scope):
    """Its nodes stay; it cannot be deleted twice, nor by anybody else."""
    activation, code = await directory.create_activation(scope, role="fleet", registration_limit=9)
    identity, _ = await enrol(activation.id, code)
    with pytest.raises(UnknownActivation):
        await directory.delete_activation(Scope(scope.account, "eu-west-1"), activation.id)

    await directory.delete_activation(scope, activation.id)

    with pytest.raises(ActivationRefused, match="wrong"):
        await enrol(activation.id, code, "b" * 32)
    with pytest.raises(UnknownActivation):
        await directory.delete_activation(scope, activation.id)
    assert await shared_database.read(nodes.known, scope, [identity.instance_id])


@pytest.mark.parametrize("role", ["", " "])
async def test_a_role_has_a_name(directory, scope, role):
    """Terraform waits for roles that are not there yet by these words."""
    with pytest.raises(MissingRole, match="Not existing role"):
        await directory.create_activation(scope, role=role)
