# SPDX-License-Identifier: Apache-2.0
"""The journal's stages, and what a crash between two files means."""

from __future__ import annotations

import shutil

import pytest

from patchwright.agent.disk import Damaged, Disk
from patchwright.agent.journal import Journal
from patchwright.core.errors import MalformedMessage


@pytest.fixture
def journal(tmp_path):
    """An empty journal."""
    return Journal(Disk(tmp_path))


def accept(journal, command_id, now=1.0):
    """Accept a command."""
    return journal.accept(command_id, message_id=f"aws.ssm.{command_id}.mi-1", payload="{}", now=now)


def test_a_command_is_accepted_once(journal):
    """A second delivery changes nothing at any stage."""
    assert accept(journal, "a")
    assert not accept(journal, "a")
    entry = journal.read("a")
    journal.write(entry)
    assert not accept(journal, "a")
    journal.finish({**entry, "final": {}}, now=2.0)
    assert not accept(journal, "a")
    assert journal.stage("a") == "done"


def test_the_begun_command_comes_first_and_then_the_oldest(journal):
    """After a restart the interrupted command goes on before others begin."""
    for number, command in enumerate(["c", "b", "a"]):
        accept(journal, command, now=float(number))
    journal.write(journal.read("a"))

    assert journal.unfinished() == ["a", "c", "b"]
    assert journal.has_work()


def test_of_two_stages_the_later_counts(journal, tmp_path):
    """A crash after the later file was written and before the earlier was removed."""
    accept(journal, "a")
    pending = tmp_path / "commands" / "pending" / "a.json"
    shutil.copy(pending, tmp_path / "kept")
    journal.write({**journal.read("a"), "runs": 1})
    shutil.copy(tmp_path / "kept", pending)
    assert journal.read("a")["runs"] == 1
    assert journal.unfinished() == ["a"]

    journal.finish({**journal.read("a"), "final": {"status": "Success"}}, now=2.0)
    shutil.copy(tmp_path / "kept", pending)
    assert journal.unfinished() == []
    assert not pending.exists()


def test_another_commands_journal_is_damage(journal, tmp_path):
    """A file whose content belongs to another command is not believed."""
    accept(journal, "a")
    shutil.copy(tmp_path / "commands" / "pending" / "a.json", tmp_path / "commands" / "pending" / "b.json")

    with pytest.raises(Damaged, match="another command"):
        journal.read("b")


@pytest.mark.parametrize("command_id", ["", "../x", "a/b", "a.json", "x" * 65, "a\n"])
def test_an_id_that_is_none_touches_no_file(journal, command_id):
    """Ids become file names: anything but letters, digits and dashes is refused."""
    with pytest.raises(MalformedMessage):
        accept(journal, command_id)
    with pytest.raises(MalformedMessage):
        journal.request_cancel(command_id)


def test_what_is_done_keeps_its_reply_and_little_else(journal):
    """The done entry holds the final reply; the payload is gone."""
    accept(journal, "a")
    journal.finish({**journal.read("a"), "payload": "x" * 1000, "final": {"payload": "reply"}}, now=2.0)

    entry = journal.read("a")
    assert entry["final"] == {"payload": "reply"}
    assert entry["payload"] == ""


def test_a_cancellation_ends_with_its_command(journal):
    """The mark is there until the command is done, and not made after that."""
    accept(journal, "a")
    journal.request_cancel("a")
    assert journal.cancel_requested("a")
    journal.finish({**journal.read("a"), "final": {}}, now=2.0)
    journal.request_cancel("a")
    assert not journal.cancel_requested("a")
