# SPDX-License-Identifier: Apache-2.0
"""Resource policies: versions that are not overwritten unseen (spec §1.15)."""

from __future__ import annotations

import asyncio
import itertools
import json

import pytest

from patchwright.server import tags
from patchwright.server.accounts import Scope
from patchwright.server.infra import new_uuid
from patchwright.server.tags import InvalidPolicyParameter, MalformedPolicy, PolicyConflict, PolicyLimit, UnknownPolicy

NOW = 1_795_147_200.0
KIND, NAME = tags.PARAMETER, "/x"


def policy(sid="one"):
    """A policy document."""
    statement = {
        "Sid": sid,
        "Effect": "Allow",
        "Principal": {"AWS": "000000000002"},
        "Action": "ssm:GetParameter",
        "Resource": "arn:aws:ssm:us-east-1:000000000001:parameter/x",
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.fixture
def put(shared_database, scope):
    """Put a policy of the resource."""
    numbers = itertools.count()

    async def write(text=None, *, policy_id="", policy_hash="", limit=3):
        fresh = tags.new_policy(text or policy(), fresh_id=new_uuid(), salt=str(next(numbers)), now=NOW)
        return await shared_database.write(
            tags.put_policy, scope, KIND, NAME, fresh, replaces=(policy_id, policy_hash), limit=limit
        )

    return write


@pytest.fixture
def listed(shared_database, scope):
    """The policies of the resource."""

    async def read(*, after="", limit=50, where=scope, kind=KIND, name=NAME):
        return await shared_database.read(tags.policies, where, kind, name, after=after, limit=limit)

    return read


@pytest.fixture
def remove(shared_database, scope):
    """Remove a policy of the resource."""

    async def write(policy_id, policy_hash):
        await shared_database.write(tags.remove_policy, scope, KIND, NAME, policy_id, policy_hash)

    return write


async def test_policies_are_put_replaced_and_removed(put, listed, remove):
    """A new version has a new hash and the old id; the same text put again is a version of its own."""
    first = await put(policy("a"))
    second = await put(policy("b"))
    again = await put(policy("a"), policy_id=first.id, policy_hash=first.hash)

    assert (again.id, again.hash != first.hash) == (first.id, True)
    assert sorted(one.id for one in await listed()) == sorted({first.id, second.id})
    await remove(second.id, second.hash)
    assert await listed() == [again]


async def test_a_version_that_is_not_the_newest_replaces_and_removes_nothing(put, listed, remove):
    """Of many who change the same version at once, one does."""
    first = await put()
    results = await asyncio.gather(
        *(put(policy(f"n{n}"), policy_id=first.id, policy_hash=first.hash) for n in range(5)), return_exceptions=True
    )
    (kept,) = await listed()

    assert sorted(type(one).__name__ for one in results) == ["PolicyConflict"] * 4 + ["ResourcePolicy"]
    assert kept in results
    with pytest.raises(PolicyConflict):
        await remove(first.id, first.hash)
    assert await listed() == [kept]


async def test_an_unknown_policy_is_told_apart_from_another_version(put, listed, remove):
    """And an id without hash, or a hash without id, from both."""
    first = await put()
    with pytest.raises(UnknownPolicy):
        await put(policy_id="x", policy_hash=first.hash)
    with pytest.raises(UnknownPolicy):
        await remove("", first.hash)
    for given in ({"policy_id": first.id}, {"policy_hash": first.hash}):
        with pytest.raises(InvalidPolicyParameter) as refused:
            await put(**given)
        assert refused.value.names[0] in {"PolicyId", "PolicyHash"}
    assert await listed() == [first]


async def test_a_resource_has_so_many_policies_and_no_more(put, listed):
    """Replacing is always possible. Of many at once as many get in as there may be."""
    results = await asyncio.gather(*(put() for _ in range(5)), return_exceptions=True)
    made = [one for one in results if not isinstance(one, Exception)]

    assert len(made) == 3
    await put(policy_id=made[0].id, policy_hash=made[0].hash)
    with pytest.raises(PolicyLimit) as refused:
        await put()
    assert (refused.value.limit, refused.value.what) == (3, "PoliciesPerResource")
    with pytest.raises(PolicyLimit):
        await put(limit=1)
    assert len(await listed()) == 3


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "null",
        "[]",
        "{}",
        '{"Statement": []}',
        '{"Statement": [7]}',
        '{"Statement": {"Effect": "Maybe", "Principal": "*", "Action": "*"}}',
        '{"Statement": {"Effect": "Allow", "Action": "*"}}',
        '{"Statement": {"Effect": "Allow", "Principal": "*"}}',
        '{"Statement": {"Effect": [], "Principal": "*", "Action": "*"}}',
        "[" * 1000,
    ],
)
async def test_what_is_no_policy_document_is_refused(put, listed, text):
    """And changes nothing."""
    with pytest.raises(MalformedPolicy):
        await put(text)

    assert await listed() == []


async def test_a_policy_has_a_size(put, listed):
    """In bytes, not in characters."""
    room = 1024 - len(policy("").encode())
    await put(policy("x" * room))
    with pytest.raises(PolicyLimit) as refused:
        await put(policy("x" * room + "x"))
    with pytest.raises(PolicyLimit):
        await put(json.dumps({**json.loads(policy()), "Id": "é" * room}, ensure_ascii=False))

    assert (refused.value.limit, refused.value.what) == (1024, "PolicySize")
    assert len(await listed()) == 1


async def test_policies_are_of_one_resource_of_one_account_and_paged_by_id(scope, put, listed):
    """The same name elsewhere, or of another type, is another resource."""
    ids = sorted([(await put()).id for _ in range(3)])

    assert [one.id for one in await listed(limit=2)] == ids[:2]
    assert [one.id for one in await listed(after=ids[1])] == ids[2:]
    assert await listed(name=NAME + "y") == await listed(kind=tags.PATCH_BASELINE) == []
    assert await listed(where=Scope("9" + scope.account[1:], scope.region)) == []


async def test_a_resource_that_goes_takes_its_policies_along(shared_database, scope, put, listed):
    """A later one of the same name has none."""
    await put()
    await shared_database.write(tags.forget, scope, KIND, NAME)

    assert await listed() == []
