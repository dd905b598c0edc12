# SPDX-License-Identifier: Apache-2.0
"""Durable writes, the reserve, and locks that end with their holder."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys

import pytest

from patchwright.agent import disk as disk_module
from patchwright.agent.clock import Clock
from patchwright.agent.disk import Damaged, Disk, DiskFull, Lock, read_json


@pytest.fixture
def full(monkeypatch):
    """Makes the disk full until the file *reserve* is gone, or for ever."""

    def make(disk: Disk, *, forever: bool = False) -> None:
        write = disk_module._write

        def failing(path, data):
            if forever or (disk.root / "reserve").exists():
                raise OSError(errno.ENOSPC, "No space left on device")
            write(path, data)

        monkeypatch.setattr(disk_module, "_write", failing)

    return make


def test_what_is_written_is_read_back(tmp_path):
    """A JSON object, mode 0600, and nothing else left in the directory."""
    Disk(tmp_path).write_json(tmp_path / "a.json", {"b": "ü"})

    assert read_json(tmp_path / "a.json") == {"b": "ü"}
    assert stat.S_IMODE((tmp_path / "a.json").stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["a.json"]


def test_content_and_name_are_synced_before_the_write_returns(tmp_path, monkeypatch):
    """The file is synced before it gets its name, the directory after."""
    events = []
    sync, rename = os.fsync, type(tmp_path).rename
    monkeypatch.setattr(os, "fsync", lambda fd: (events.append("sync"), sync(fd)))
    monkeypatch.setattr(type(tmp_path), "rename", lambda self, to: (events.append("rename"), rename(self, to)))

    Disk(tmp_path).write(tmp_path / "a", b"1")
    assert events == ["sync", "rename", "sync"]


def test_a_new_directory_is_durable_with_all_above_it(tmp_path, monkeypatch):
    """Every name on the way is synced: after a power cut a task's directory is not gone with the one above it."""
    synced = []
    sync = disk_module.sync_directory
    monkeypatch.setattr(disk_module, "sync_directory", lambda path: (synced.append(path), sync(path)))

    made = Disk(tmp_path).directory("work", "command", "step")
    assert made == tmp_path / "work" / "command" / "step"
    assert synced == [tmp_path, tmp_path / "work", tmp_path / "work" / "command"]


def test_a_write_that_fails_leaves_the_old_content(tmp_path, monkeypatch):
    """An error half-way: the old file is whole and nothing lies beside it."""
    disk = Disk(tmp_path)
    disk.write(tmp_path / "a", b"old")

    def broken(fd):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="Input/output"):
        disk.write(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'"text"'])
def test_what_is_no_object_is_damaged(tmp_path, content):
    """Cut short, not UTF-8, or other JSON: Damaged, naming the file."""
    (tmp_path / "a.json").write_bytes(content)

    with pytest.raises(Damaged, match=r"a\.json"):
        read_json(tmp_path / "a.json")


def test_the_reserve_takes_room_and_is_made_once(tmp_path):
    """Real blocks are allocated, and a second call changes nothing."""
    disk = Disk(tmp_path, 64 * 1024)

    assert disk.keep_reserve()
    before = (tmp_path / "reserve").stat()
    assert disk.keep_reserve()
    assert before.st_size == 64 * 1024
    assert before.st_blocks * 512 >= 64 * 1024
    assert (tmp_path / "reserve").stat().st_mtime_ns == before.st_mtime_ns


def test_a_full_disk_costs_the_reserve_first(tmp_path, full):
    """The write that found the disk full succeeds in the room the reserve had."""
    disk = Disk(tmp_path, 4096)
    disk.keep_reserve()
    full(disk)
    disk.write(tmp_path / "a", b"1")

    assert os.listdir(tmp_path) == ["a"]


def test_a_disk_that_stays_full_is_said(tmp_path, full):
    """Without a reserve left: DiskFull, naming the file."""
    disk = Disk(tmp_path, 4096)
    full(disk, forever=True)

    with pytest.raises(DiskFull, match="the disk is full"):
        disk.write(tmp_path / "a", b"1")


def test_no_room_for_the_reserve(tmp_path, monkeypatch):
    """Where the reserve does not fit, nothing of it stays."""

    def no_room(fd, offset, length):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", no_room)
    assert Disk(tmp_path, 4096).keep_reserve() is False
    assert os.listdir(tmp_path) == []


def test_room_is_the_reserve_and_as_much_again(tmp_path, monkeypatch):
    """What is free counts after the reserve has been put back: a disk that holds nothing else has no room to begin."""
    disk = Disk(tmp_path, reserve_bytes=4096)
    assert disk.has_room()
    left = os.statvfs(tmp_path)
    free = {True: 2 * 4096, False: 4096}  # by whether the reserve is still to be made

    def statvfs(_path):
        blocks = free[not (tmp_path / "reserve").exists()] // left.f_frsize
        return os.statvfs_result((*left[:4], blocks, *left[5:]))

    monkeypatch.setattr(os, "statvfs", statvfs)
    assert disk.has_room()
    free[False] = 0
    disk.release_reserve()
    assert not disk.has_room()


def test_a_lock_excludes_and_ends_with_its_holder(tmp_path):
    """Held by another process: not to be had; that process killed: free at once."""
    lock = Lock(tmp_path / "lock")
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path; from patchwright.agent.disk import Lock\n"
        "lock = Lock(Path(sys.argv[2])); print(lock.take(), flush=True); sys.stdin.read()"
    )
    source = str(disk_module.__file__).partition("/patchwright/")[0]
    with subprocess.Popen(
        [sys.executable, "-I", "-c", script, source, str(tmp_path / "lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "True\n"
        assert lock.held()
        assert not lock.take()
        holder.kill()
    assert not lock.held()
    assert lock.take()
    lock.release()


def test_a_lock_is_not_inherited(tmp_path):
    """A program started while the lock is held does not keep it."""
    lock = Lock(tmp_path / "lock")
    assert lock.take()
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, close_fds=False) as child:
        lock.release()
        assert not lock.held()
        child.kill()


def test_a_look_at_a_lock_keeps_nobody_out(tmp_path):
    """Looking takes the lock for a moment; who wants it is patient for longer than that, and not for ever."""
    looker, taker = Lock(tmp_path / "lock"), Lock(tmp_path / "lock")
    waits = []

    class Looking(Clock):
        def sleep(self, seconds):
            waits.append(seconds)
            looker.release()

    assert looker.take()
    assert taker.take_from_lookers(Looking())
    assert len(waits) == 1
    taker.release()


def test_a_lock_that_is_really_held_is_not_had(tmp_path):
    """The patience ends."""
    holder = Lock(tmp_path / "lock")
    assert holder.take()

    assert not Lock(tmp_path / "lock").take_from_lookers(Clock())
    holder.release()
