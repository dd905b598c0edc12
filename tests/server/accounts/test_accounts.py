# SPDX-License-Identifier: Apache-2.0
"""Access keys, sealed secrets, and the key that seals them (design §5, D6)."""

from __future__ import annotations

import configparser
import re
import stat

import pytest

from patchwright.server.accounts import (
    AccessKey,
    KeyTaken,
    MasterKey,
    Service,
    UnreadableMasterKey,
    root_arn,
    write_credentials,
)
from patchwright.server.infra import sql
from server.clocks import FakeClock

ACCOUNT = "000000000001"


@pytest.fixture
def master(tmp_path):
    """A master key of this test's own."""
    return MasterKey.load(tmp_path / "master.key")


@pytest.fixture
def accounts(database, master):
    """The room over a database of its own, once on each engine."""
    return Service(database, FakeClock(), master)


class Kept:
    """Keeps the keys that are to be written down."""

    def __init__(self):
        self.keys = []

    def __call__(self, key):
        self.keys.append(key)


async def test_the_first_start_makes_a_root_key_and_the_next_ones_none(accounts):
    """Shaped as AWS's, written down, and found again with its secret."""
    kept = Kept()
    made = await accounts.ensure_root(ACCOUNT, keep=kept)

    assert re.fullmatch(r"AKIA[A-Z2-7]{16}", made.id)
    assert re.fullmatch(r"[A-Za-z0-9+/]{40}", made.secret)
    assert made == AccessKey(made.id, ACCOUNT, root_arn(ACCOUNT), made.secret)
    assert await accounts.key(made.id) == made
    assert await accounts.ensure_root(ACCOUNT, keep=kept) is None
    assert kept.keys == [made]


async def test_a_root_key_is_written_down_before_it_is_stored(accounts, database):
    """A server that dies in between makes another one: nobody is locked out of a key that nobody knows."""

    def die(_key):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await accounts.ensure_root(ACCOUNT, keep=die)

    def count():
        return (yield sql("SELECT COUNT(*) FROM access_key"))

    assert await database.read(count) == [(0,)]
    assert await accounts.ensure_root(ACCOUNT, keep=Kept()) is not None


async def test_a_given_pair_is_stored_at_every_start(accounts):
    """A changed secret replaces the old one."""
    kept = Kept()
    for secret in ("first-secret", "second-secret", "second-secret"):
        await accounts.ensure_root(ACCOUNT, key_id="AKIAGIVEN", secret=secret, keep=kept)
        assert (await accounts.key("AKIAGIVEN")).secret == secret

    assert [key.secret for key in kept.keys] == ["first-secret", "second-secret", "second-secret"]


async def test_a_given_pair_of_another_account_is_refused(accounts):
    """The account id was changed, the pair was not: the start says so instead of writing credentials that do not work."""
    kept = Kept()
    await accounts.ensure_root(ACCOUNT, key_id="AKIAGIVEN", secret="secret", keep=kept)

    with pytest.raises(KeyTaken, match="AKIAGIVEN"):
        await accounts.ensure_root("000000000002", key_id="AKIAGIVEN", secret="other", keep=kept)

    assert (await accounts.key("AKIAGIVEN")).account == ACCOUNT
    assert [key.account for key in kept.keys] == [ACCOUNT]


async def test_unknown_and_inactive_keys_are_none(accounts, database):
    """Nobody signs with them."""
    await accounts.ensure_root(ACCOUNT, key_id="AKIAGIVEN", secret="secret", keep=Kept())

    def deactivate():
        yield sql("UPDATE access_key SET state = 'Inactive'")

    await database.write(deactivate)

    assert await accounts.key("AKIAGIVEN") is None
    assert await accounts.key("AKIAOTHER") is None


async def test_secrets_lie_in_the_database_sealed(accounts, database):
    """Neither they nor their reprs show."""
    key = await accounts.ensure_root(ACCOUNT, key_id="AKIAGIVEN", secret="very-secret", keep=Kept())

    def read():
        return (yield sql("SELECT * FROM access_key"))

    assert b"very-secret" not in str(await database.read(read)).encode()
    assert "very-secret" not in repr(key)


async def test_a_database_with_another_master_key_is_not_served(accounts, database, tmp_path):
    """A second process needs the first one's master.key; the start says so, not every single request."""
    other = Service(database, FakeClock(), MasterKey.load(tmp_path / "other.key"))
    await other.check_master_key()
    await accounts.ensure_root(ACCOUNT, keep=Kept())

    await accounts.check_master_key()
    with pytest.raises(UnreadableMasterKey, match=r"master\.key"):
        await other.check_master_key()


def test_a_master_key_is_made_once_and_for_its_owner_only(tmp_path):
    """The same file gives the same key."""
    path = tmp_path / "master.key"

    first, second = MasterKey.load(path), MasterKey.load(path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.stat().st_size == 32
    assert first.node_secret("mi-1", 1) == second.node_secret("mi-1", 1)
    assert first.paging == second.paging
    assert second.unseal(first.seal("x", label="a"), label="a") == "x"


def test_secrets_are_bound_to_their_label():
    """A sealed secret moved to another key's row opens nothing; nor does a damaged one."""
    master = MasterKey(b"k" * 32)
    sealed = master.seal("secret", label="AKIA1")

    for bad, label in ((sealed, "AKIA2"), (sealed[:-1] + b"\0", "AKIA1"), (b"", "AKIA1"), (sealed[:12], "AKIA1")):
        with pytest.raises(UnreadableMasterKey):
            master.unseal(bad, label=label)
    assert master.seal("secret", label="AKIA1") != sealed


def test_every_node_and_generation_has_a_secret_of_its_own():
    """Derived, 32 bytes, and not the paging key (design D6)."""
    master, other = MasterKey(b"k" * 32), MasterKey(b"l" * 32)

    secrets = {master.node_secret(node, generation) for node in ("mi-1", "mi-11") for generation in (1, 2, 11)}

    assert len(secrets) == 6
    assert {len(secret) for secret in secrets} == {32}
    assert master.node_secret("mi-1", 1) != other.node_secret("mi-1", 1)
    assert master.paging not in secrets
    assert b"k" * 32 not in {master.paging, *secrets}


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 31, b"x" * 33])
def test_a_damaged_master_key_stops_the_start(tmp_path, content):
    """It is never overwritten: the old one may be in a backup."""
    path = tmp_path / "master.key"
    path.write_bytes(content)

    with pytest.raises(UnreadableMasterKey, match="backup"):
        MasterKey.load(path)

    assert path.read_bytes() == content


def test_the_credentials_file_is_what_aws_clients_read(tmp_path):
    """Profile default, for its owner only, replaced as a whole."""
    path = tmp_path / "credentials"
    path.write_text("old", encoding="utf-8")
    path.chmod(0o644)

    write_credentials(path, AccessKey("AKIA1", ACCOUNT, root_arn(ACCOUNT), "s/e+c"), region="eu-west-1")

    parser = configparser.RawConfigParser()
    parser.read(path)
    assert dict(parser["default"]) == {
        "aws_access_key_id": "AKIA1",
        "aws_secret_access_key": "s/e+c",
        "region": "eu-west-1",
    }
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["credentials"]


def test_a_master_key_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    """A disk that fails while it is written leaves nothing behind that a later start would stumble over."""
    path = tmp_path / "master.key"

    def fail(handle: int) -> None:
        raise OSError(28, "no space left")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", fail)
        with pytest.raises(OSError, match="no space left"):
            MasterKey.load(path)

    assert list(tmp_path.iterdir()) == []
    made = MasterKey.load(path)
    assert (stat.S_IMODE(path.stat().st_mode), path.stat().st_size) == (0o600, 32)
    assert MasterKey.load(path).node_secret("mi-1", 1) == made.node_secret("mi-1", 1)
