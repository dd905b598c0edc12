# SPDX-License-Identifier: Apache-2.0
"""Access keys are looked up once for many requests in a row, and never believed for long."""

from __future__ import annotations

import pytest

from patchwright.server.wire import Credential, KnownKeys, known_keys
from server.clocks import FakeClock


class Directory:
    """Keys that can be made and revoked; counts how often it is asked."""

    def __init__(self) -> None:
        self.keys: dict[str, Credential] = {}
        self.asked = 0

    def add(self, key_id: str, secret: str = "s") -> None:
        """Make a key, or give it another secret."""
        self.keys[key_id] = Credential(key_id, secret, "000000000001", "arn:someone")

    async def find(self, key_id: str) -> Credential | None:
        """The lookup."""
        self.asked += 1
        return self.keys.get(key_id)


@pytest.fixture
def clock():
    """A clock that stands still."""
    return FakeClock(1000.0)


@pytest.fixture
def directory():
    """One key."""
    made = Directory()
    made.add("AKIA1")
    return made


async def test_many_requests_in_a_row_ask_once(directory, clock):
    """What was found a moment ago is found again."""
    keys = KnownKeys(directory.find, clock.monotonic)
    found = [await keys.find("AKIA1") for _ in range(5)]

    assert found == [directory.keys["AKIA1"]] * 5
    assert directory.asked == 1


async def test_a_revoked_key_is_refused_within_a_second(directory, clock):
    """However often it is used meanwhile."""
    keys = KnownKeys(directory.find, clock.monotonic)
    await keys.find("AKIA1")
    directory.keys.clear()
    clock.time += known_keys.LASTING_SECONDS * 0.9
    assert await keys.find("AKIA1") is not None

    clock.time += known_keys.LASTING_SECONDS * 0.2

    assert known_keys.LASTING_SECONDS <= 1
    assert await keys.find("AKIA1") is None


async def test_a_new_key_works_at_once(directory, clock):
    """That it was not there is not remembered."""
    keys = KnownKeys(directory.find, clock.monotonic)
    assert await keys.find("AKIA2") is None
    directory.add("AKIA2")

    assert await keys.find("AKIA2") == directory.keys["AKIA2"]


async def test_what_is_remembered_has_a_bound(directory, clock, monkeypatch):
    """The oldest goes first."""
    monkeypatch.setattr(known_keys, "_KEPT", 2)
    keys = KnownKeys(directory.find, clock.monotonic)
    for number in range(1, 4):
        directory.add(f"AKIA{number}")
        await keys.find(f"AKIA{number}")
    await keys.find("AKIA3")
    assert directory.asked == 3

    await keys.find("AKIA1")

    assert directory.asked == 4


async def test_sessions_are_remembered_by_key_and_token(clock):
    """As long as keys are; another token of the same key is another question, and so is the key without any."""
    asked = []

    async def sessions(key_id, token):
        asked.append((key_id, token))
        return Credential(key_id, "s", "000000000001", "arn:someone") if token == "right" else None

    async def nobody(_key_id):
        return None

    keys = KnownKeys(nobody, clock.monotonic, sessions=sessions)
    for _ in range(3):
        assert await keys.find_session("ASIA1", "right") is not None
    assert await keys.find_session("ASIA1", "wrong") is None
    assert await keys.find("ASIA1") is None
    assert asked == [("ASIA1", "right"), ("ASIA1", "wrong")]
    clock.time += known_keys.LASTING_SECONDS
    await keys.find_session("ASIA1", "right")
    assert len(asked) == 3
