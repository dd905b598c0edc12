# SPDX-License-Identifier: Apache-2.0
"""The proof that the machine did not change sees a change where there is one."""

from __future__ import annotations

import os

from demo.proof import Before, Part

from demo import proof


def compared(old: dict[str, str], new: dict[str, str], unit: str = "files") -> proof.Finding:
    """What is found when a part was *old* and is *new*."""
    parts = iter([Part("it", old, unit), Part("it", new, unit)])
    before = Before()
    before.watch(lambda: next(parts))
    return before.compare()[0]


def test_what_is_as_before_is_said_with_its_digest():
    """A reader can compare digests of two runs."""
    finding = compared({"a": "1"}, {"a": "1"})

    assert finding.same
    assert "not one changed (sha256 " in finding.text


def test_changes_of_every_kind_are_named():
    """Changed, gone and new files each make the proof fail."""
    finding = compared({"a": "1", "b": "1", "c": "1"}, {"a": "2", "c": "1", "d": "1"})

    assert not finding.same
    assert "changed: a, gone: b, new: d" in finding.text


def test_a_service_that_came_in_addition_is_no_change():
    """Somebody may start something meanwhile; what ran before has to run on, as the same process."""
    assert compared({"a": "1"}, {"a": "1", "b": "1"}, "processes").same
    assert not compared({"a": "1"}, {"a": "2"}, "processes").same


def test_only_the_first_differences_are_listed():
    """A package database that is gone is not a thousand lines."""
    assert "and 15 more" in compared({str(number): "" for number in range(20)}, {}).text


def test_a_set_clock_is_seen():
    """The time that passed on both clocks has to be the same."""
    before = Before()
    before._epoch -= proof.CLOCK_TOLERANCE_SECONDS + 1

    assert not before.compare()[-1].same


def test_a_rewritten_file_is_seen_by_content_and_by_place(tmp_path, monkeypatch):
    """/boot is read in full; of packaged files the inode, size and time are enough."""
    (tmp_path / "info").mkdir()
    file = tmp_path / "file"
    (tmp_path / "info/foo:amd64.list").write_text(f"{tmp_path}\n{file}\n")
    file.write_text("before")
    monkeypatch.setattr(proof, "_DPKG", tmp_path)
    look = proof.packaged_files(["foo.amd64"])
    before = (proof._contents(file), look().members)
    file.write_text("after!")
    os.utime(file, ns=(1, 1))

    assert before[0] != proof._contents(file)
    assert before[1] != look().members


def test_this_machine_has_something_to_look_at():
    """The looks themselves work here: boot id, host name, the first process."""
    assert proof.identity().members["boot id"]
    assert proof.services().members["1 (init)"] != "gone"
