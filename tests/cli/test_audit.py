# SPDX-License-Identifier: Apache-2.0
"""`patchwright audit`: who did what, and whether anybody changed the answer; over a server that is really one."""

from __future__ import annotations

import contextlib
import sqlite3

import pytest

from cli.bench import run_here, until


@pytest.fixture
def busy(own_server):
    """A server of this test's own on which three activations were made, each sealed."""
    own_server.start()
    for number in range(1, 4):
        assert own_server.run("activation", "create", "--name", str(number)).code == 0
        until(lambda: sealed(own_server) == number, "it is sealed")  # noqa: B023 - asked within the turn
    return own_server


def sealed(server):
    """How many entries of root are under a seal: those that a search finds."""
    return len(server.run("audit", "list", "--user", "root", "--json").json)


@contextlib.contextmanager
def database(server):
    """The server's database, as somebody else opens it."""
    with contextlib.closing(sqlite3.connect(server._data / "patchwright.db")) as connection, connection:
        yield connection


def head_of(result):
    """The head that a verification shows."""
    return next(line.split()[-1] for line in result.out.splitlines() if line.split()[:1] == ["head"])


def test_what_was_done_is_listed(busy):
    """Who, from where, what, on what, and what came of it; by every filter; and what was refused."""
    lines = busy.run("audit", "list").out.splitlines()
    assert lines[0].split() == ["time", "who", "from", "operation", "on", "result"]
    assert len(lines) == 4
    assert all("AmazonSSM.CreateActivation" in line and "Succeeded" in line for line in lines[1:])
    assert all(":root" in line and "127.0.0.1" in line for line in lines[1:])

    made = busy.run("audit", "list", "--json").json
    assert busy.run("audit", "list", "--resource", made[1]["Resources"][0], "--json").json == [made[1]]
    assert busy.run("audit", "list", "--limit", "2", "--json").json == made[:2]
    assert busy.run("audit", "list", "--operation", "SendCommand", "--json").json == []
    for words in (("--since", "2100-01-01"), ("--until", "2001-01-01T00:00:00Z"), ("--in-region", "eu-west-1")):
        assert busy.run("audit", "list", *words, "--json").json == []
    assert busy.run("audit", "list", "--since", "yesterday").code == 2

    assert busy.run("node", "list", "--region", "no/region").code != 0
    assert busy.run("baseline", "register", "pb-00000000000000000", "--patch-group", "x").code == 1
    found = until(
        lambda: busy.run("audit", "list", "--operation", "RegisterPatchBaselineForPatchGroup", "--json").json,
        "the refusal is written",
    )
    assert [(one["Result"], one["Resources"]) for one in found] == [
        ("DoesNotExistException", ["pb-00000000000000000", "x"])
    ]


def test_a_trail_is_verified_by_the_server_and_an_export_by_anybody(busy, tmp_path):
    """The head that both show is the same; who has the export needs neither server nor credentials."""
    verified = busy.run("audit", "verify")
    assert (verified.code, "as it was written" in verified.out) == (0, True), verified.out

    path = tmp_path / "trail.jsonl"
    assert busy.run("audit", "export", "--output", str(path)).code == 0
    assert busy.run("audit", "export").out == path.read_text()
    offline = run_here(["audit", "verify", str(path), "--head", head_of(verified)])
    assert (offline.code, head_of(offline)) == (0, head_of(verified)), offline

    lines = path.read_text().splitlines(keepends=True)
    for name, changed in (
        ("removed", lines[1:]),
        ("edited", [lines[0].replace(":root", ":user/scapegoat"), *lines[1:]]),
        ("reordered", [*lines[-2:], *lines[:-2]]),
        ("cut", lines[:2]),
    ):
        path.write_text("".join(changed))
        result = run_here(["audit", "verify", str(path), "--head", head_of(verified)])
        assert result.code == 1, name
        assert "findings" in result.out
    path.write_text("nonsense\n")
    result = run_here(["audit", "verify", str(path)])
    assert (result.code, "line 1 is no line" in result.err) == (1, True)
    assert run_here(["audit", "verify", str(path), "--head", "x"]).code == 2


def test_whoever_changes_the_database_is_found_out(busy):
    """Exit code 1, and which entry of which seal; also after the server was killed and started again."""
    head = head_of(busy.run("audit", "verify"))
    busy.stop()  # by SIGKILL
    busy.start()
    assert busy.run("audit", "verify", "--head", head).code == 0

    with database(busy) as connection:
        (entry,) = connection.execute("SELECT id FROM audit_entry ORDER BY id LIMIT 1").fetchone()
        connection.execute("UPDATE audit_entry SET source_ip = '192.0.2.1' WHERE id = ?", (entry,))
    result = busy.run("audit", "verify")
    assert result.code == 1
    assert f"seal 1, entry {entry}: edited or added: the server did not write it" in result.out
    found = busy.run("audit", "verify", "--json")
    assert (found.code, {one["seal"] for one in found.json["Findings"]}) == (1, {1})

    with database(busy) as connection:
        connection.execute("DELETE FROM audit_entry")
        connection.execute("DELETE FROM audit_seal")
    result = busy.run("audit", "verify")
    assert (result.code, "removed: the trail ends here" in result.out) == (1, True)
