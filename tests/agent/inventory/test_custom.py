# SPDX-License-Identifier: Apache-2.0
"""Custom inventory: files that people leave on the node."""

from __future__ import annotations

import json
import os

import pytest

from patchwright.agent.inventory import custom

RACK = {"SchemaVersion": "1.0", "TypeName": "Custom:Rack", "Content": {"Row": "7"}}


def test_a_file_says_one_row_or_several(tmp_path):
    """Numbers and truth values become texts; other files and other places are looked at in order."""
    (tmp_path / "b.json").write_text(json.dumps(RACK))
    (tmp_path / "a.json").write_text(
        json.dumps({**RACK, "TypeName": "Custom:Disks", "Content": [{"GB": 20, "SSD": True}, {"GB": 1.5}]})
    )
    (tmp_path / "notes.txt").write_text("{")
    (tmp_path / "second").mkdir()
    (tmp_path / "second/c.json").write_text(json.dumps({**RACK, "Content": {"Row": "8"}}))

    found, complete = custom.read([tmp_path, tmp_path / "nowhere", tmp_path / "second"])

    assert complete
    assert found == {
        "Custom:Disks": custom.Custom("Custom:Disks", "1.0", [{"GB": "20", "SSD": "true"}, {"GB": "1.5"}]),
        "Custom:Rack": custom.Custom("Custom:Rack", "1.0", [{"Row": "7"}]),
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"TypeName": "AWS:Application"},
        {"TypeName": "Custom:"},
        {"TypeName": "custom:rack"},
        {"TypeName": "Custom:" + "x" * 94},
        {"TypeName": "Custom:a\nb"},
        {"TypeName": 7},
        {"SchemaVersion": "1"},
        {"SchemaVersion": 1.0},
        {"SchemaVersion": "1.0\n"},
        {"Content": None},
        {"Content": "text"},
        {"Content": [7]},
        {"Content": {"a": {"b": "c"}}},
        {"Content": {"a": None}},
        {"Content": {"": "x"}},
        {"Content": {"a\0": "x"}},
        {"Content": {"x" * 65: "x"}},
        {"Content": {f"a{n}": "x" for n in range(51)}},
        {"Content": [{}] * 10_001},
    ],
)
def test_a_file_that_makes_no_sense_is_passed_over(tmp_path, changes, capsys):
    """The log says which and why, without what is in it; the others count."""
    (tmp_path / "a.json").write_text(json.dumps({**RACK, **changes}))
    (tmp_path / "b.json").write_text(json.dumps({**RACK, "TypeName": "Custom:Good"}))

    found, complete = custom.read([tmp_path])

    assert (set(found), complete) == ({"Custom:Good"}, False)
    assert "a.json" in capsys.readouterr().err


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b'"x"', b" " * (1024 * 1024 + 1)])
def test_a_file_that_is_no_json_object_is_passed_over(tmp_path, text):
    """Whatever it is."""
    (tmp_path / "a.json").write_bytes(text)
    assert custom.read([tmp_path]) == ({}, False)


def test_what_is_no_file_is_not_waited_for(tmp_path):
    """A pipe, a directory, a link to nowhere."""
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "directory.json").mkdir()
    (tmp_path / "link.json").symlink_to(tmp_path / "nowhere")
    assert custom.read([tmp_path]) == ({}, False)


def test_texts_are_what_the_server_takes(tmp_path):
    """Cut to length, without characters that no text has."""
    (tmp_path / "a.json").write_text(
        '{"SchemaVersion": "1.0", "TypeName": "Custom:T", "Content": {"a": "x\\u0000y\\ud800z", "b": "%s"}}'
        % ("b" * 5000)
    )
    found, _ = custom.read([tmp_path])
    assert found["Custom:T"].rows == [{"a": "xyz", "b": "b" * 4096}]
