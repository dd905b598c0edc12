# SPDX-License-Identifier: Apache-2.0
"""Session tokens: they say themselves what they are, end with their time, and open under the master key alone."""

from __future__ import annotations

import pytest

from patchwright.server.accounts import MasterKey, Principal, SessionExpired, open_access, root_arn
from patchwright.server.config import Quotas
from server.clocks import FakeClock

ACCOUNT = "000000000001"


@pytest.fixture
def clock():
    """A clock that stands still."""
    return FakeClock()


def opened(database, clock, master):
    """The room over a database, under a master key."""
    return open_access(database, clock, master, Quotas(), first=ACCOUNT)


@pytest.fixture
async def access(database, clock):
    """The room, with a root key."""
    made = opened(database, clock, MasterKey(b"k" * 32))
    await made.service.ensure_root(ACCOUNT, key_id="AKIAROOT", secret="s", keep=lambda _key: None)
    return made


@pytest.fixture
def root():
    """Root, with its access key."""
    return Principal(ACCOUNT, root_arn(ACCOUNT), "root", ACCOUNT, "AKIAROOT")


async def test_a_session_is_known_until_its_time_is_over(access, root, clock):
    """To the second; then it is told that it is expired, which is another thing than unknown."""
    given = await access.sessions.of_user(root, 900)
    assert given.session.expires_at == clock.now() + 900

    clock.time += 899.9
    principal, secret = await access.sessions.find(given.session.key_id, given.token)
    assert (principal.arn, principal.session, secret) == (root.arn, given.session, given.secret)
    clock.time += 0.1
    with pytest.raises(SessionExpired):
        await access.sessions.find(given.session.key_id, given.token)


async def test_another_process_with_the_same_master_key_knows_it_and_one_with_another_does_not(
    access, root, database, clock
):
    """Nothing of it is stored; a database alone opens nothing."""
    given = await access.sessions.of_user(root, 900)
    same, other = (opened(database, clock, MasterKey(key * 32)) for key in (b"k", b"l"))

    assert (await same.sessions.find(given.session.key_id, given.token))[1] == given.secret
    assert await other.sessions.find(given.session.key_id, given.token) is None


async def test_nothing_secret_shows_in_a_repr(access, root):
    """Neither secret nor token."""
    given = await access.sessions.of_user(root, 900)
    assert given.secret not in repr(given)
    assert given.token not in repr(given)


async def test_every_bit_of_a_token_counts(access, root):
    """Changed anywhere, cut or prolonged, it is nobody's; and so it is with another key's id."""
    given = await access.sessions.of_user(root, 900)
    key_id, token = given.session.key_id, given.token

    for place in {*range(0, len(token), 7), *range(len(token) - 4, len(token))}:
        changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        assert await access.sessions.find(key_id, changed) is None, place
    for wrong in (token[:-4], token + "AAAA", "", "=", "\u00e9", token * 2):
        assert await access.sessions.find(key_id, wrong) is None
    assert await access.sessions.find(key_id[:-1] + "x", token) is None


async def test_two_sessions_have_nothing_in_common(access, root):
    """Key, secret and token are drawn anew."""
    one, two = [await access.sessions.of_user(root, 900) for _ in range(2)]
    assert one.session.key_id != two.session.key_id
    assert one.secret != two.secret
    assert len(one.secret) == 40
    assert one.token[:40] != two.token[:40]
