# SPDX-License-Identifier: Apache-2.0
"""Resource policies: versions that are not overwritten unseen (spec §1.15)."""

from __future__ import annotations

import asyncio
import json

import pytest

from patchwright.server import settings
from patchwright.server.accounts import Scope
from patchwright.server.config import Quotas
from patchwright.server.settings import (
    InvalidPolicyParameter,
    MalformedPolicy,
    PolicyConflict,
    PolicyLimit,
    Resource,
    UnknownPolicy,
)
from server.clocks import FakeClock

NOW = 1_795_147_200.0
ARN = "arn:aws:ssm:us-east-1:000000000001:parameter/x"


def policy(sid="one"):
    """A policy document."""
    statement = {
        "Sid": sid,
        "Effect": "Allow",
        "Principal": {"AWS": "000000000002"},
        "Action": "ssm:GetParameter",
        "Resource": ARN,
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def parameter():
    """A parameter that exists."""
    return Resource.PARAMETER
    yield


def group():
    """The group of the account's items."""
    return Resource.OPS_ITEM_GROUP
    yield


def gone():
    """A resource that does not exist."""
    raise LookupError
    yield


@pytest.fixture
def service(shared_database):
    """The room's service."""
    return settings.Service(shared_database, FakeClock(NOW), Quotas(policies_per_resource=3))


@pytest.fixture
def put(service, scope):
    """Put a policy."""

    async def write(text=None, *, require=parameter, **names):
        return await service.put_policy(scope, ARN, text or policy(), require=require, **names)

    return write


@pytest.fixture
def listed(service, scope):
    """The policies of the resource."""

    async def read(*, after="", limit=50, where=scope, arn=ARN):
        return await service.policies(where, arn, require=parameter, after=after, limit=limit)

    return read


async def test_policies_are_put_replaced_and_removed(service, scope, put, listed):
    """A new version has a new hash and the old id; the same text put again is a version of its own."""
    first = await put(policy("a"))
    second = await put(policy("b"))
    again = await put(policy("a"), policy_id=first.id, policy_hash=first.hash)

    assert (again.id, again.hash != first.hash) == (first.id, True)
    assert sorted(one.id for one in await listed()) == sorted({first.id, second.id})
    await service.delete_policy(scope, ARN, require=parameter, policy_id=second.id, policy_hash=second.hash)
    assert await listed() == [again]


async def test_a_version_that_is_not_the_newest_replaces_and_removes_nothing(service, scope, put, listed):
    """Of many who change the same version at once, one does."""
    first = await put()
    results = await asyncio.gather(
        *(put(policy(f"n{n}"), policy_id=first.id, policy_hash=first.hash) for n in range(5)), return_exceptions=True
    )
    (kept,) = await listed()

    assert sorted(type(one).__name__ for one in results) == ["PolicyConflict"] * 4 + ["ResourcePolicy"]
    assert kept in results
    with pytest.raises(PolicyConflict):
        await service.delete_policy(scope, ARN, require=parameter, policy_id=first.id, policy_hash=first.hash)
    assert await listed() == [kept]


async def test_an_unknown_policy_is_told_apart_from_another_version(service, scope, put, listed):
    """And an id without hash, or a hash without id, from both."""
    first = await put()
    with pytest.raises(UnknownPolicy):
        await put(policy_id="x", policy_hash=first.hash)
    with pytest.raises(UnknownPolicy):
        await service.delete_policy(scope, ARN, require=parameter, policy_id="", policy_hash=first.hash)
    for given in ({"policy_id": first.id}, {"policy_hash": first.hash}):
        with pytest.raises(InvalidPolicyParameter) as refused:
            await put(**given)
        assert refused.value.names[0] in {"PolicyId", "PolicyHash"}
    assert await listed() == [first]


async def test_a_resource_has_so_many_policies_and_no_more(put, listed):
    """A group of items has one; replacing is always possible. Of many at once as many get in as there may be."""
    results = await asyncio.gather(*(put() for _ in range(5)), return_exceptions=True)
    made = [one for one in results if not isinstance(one, Exception)]

    assert len(made) == 3
    await put(policy_id=made[0].id, policy_hash=made[0].hash)
    with pytest.raises(PolicyLimit) as refused:
        await put()
    assert (refused.value.limit, refused.value.what) == (3, "PoliciesPerResource")
    with pytest.raises(PolicyLimit):
        await put(require=group)
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


async def test_policies_are_of_one_resource_of_one_account_and_paged_by_id(service, scope, put, listed):
    """The same ARN in another account is another resource."""
    ids = sorted([(await put()).id for _ in range(3)])

    assert [one.id for one in await listed(limit=2)] == ids[:2]
    assert [one.id for one in await listed(after=ids[1])] == ids[2:]
    assert await listed(arn=ARN + "y") == []
    assert await listed(where=Scope("9" + scope.account[1:], scope.region)) == []


async def test_what_does_not_exist_has_no_policies(service, scope, put):
    """Whoever asks says how that is called."""
    first = await put()
    with pytest.raises(LookupError):
        await put(require=gone)
    with pytest.raises(LookupError):
        await service.policies(scope, ARN, require=gone, after="", limit=1)
    with pytest.raises(LookupError):
        await service.delete_policy(scope, ARN, require=gone, policy_id=first.id, policy_hash=first.hash)


async def test_a_resource_that_goes_takes_its_policies_along(shared_database, scope, put, listed):
    """A later one of the same name has none."""
    await put()
    await shared_database.write(settings.forget, scope, ARN)

    assert await listed() == []
