# SPDX-License-Identifier: Apache-2.0
"""A session whose time is over: ExpiredTokenException, so that SDKs ask for another one."""

from __future__ import annotations

import pytest

from patchwright.server.accounts import Principal, root_arn
from patchwright.server.wire import Credential

LIST = "AmazonSSM.DescribePatchBaselines"


@pytest.fixture
async def session(house):
    """A session of root for 900 seconds, and what a request of it is signed with."""
    root = Principal(house.account, root_arn(house.account), "root", house.account, house.root.access_key_id)
    given = await house.wired.access.sessions.of_user(root, 900)
    signer = Credential(given.session.key_id, given.secret, house.account, root.arn)
    return {"key": signer, "more": {"X-Amz-Security-Token": given.token}}


async def test_a_session_is_told_that_it_is_over(house, session):
    """Even where its key was looked up a moment before."""
    await house.ask(LIST, {}, **session)
    house.clock.time += 899.8
    await house.ask(LIST, {}, **session)
    house.clock.time += 0.3
    assert await house.code(LIST, {}, **session) == "ExpiredTokenException"
    house.clock.time += 86_400
    assert await house.code(LIST, {}, **session) == "ExpiredTokenException"


async def test_a_token_has_to_be_signed_as_well(house, session):
    """One that was put to a signed request belongs to nobody; nor does the key without its token."""
    assert await house.code(LIST, {}, key=session["key"]) == "UnrecognizedClientException"
    answer = await house.call(LIST, {}, key=session["key"], more={"X-Amz-Security-Token": "x"})
    assert answer.code == "UnrecognizedClientException"
