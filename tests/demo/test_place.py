# SPDX-License-Identifier: Apache-2.0
"""A demo's folder is private, and what a killed demo left behind is taken away by the next one."""

from __future__ import annotations

import subprocess
import sys

import pytest
from demo.place import KEPT, NoPlace, Place, sweep

from farm.commands import until


@pytest.fixture
def base(tmp_path):
    """A home for demos."""
    home = tmp_path / "demos"
    home.mkdir(mode=0o700)
    return home


def test_nothing_is_left_of_a_demo_that_ended(base):
    """Folder, lock and, with the last one, the home are gone."""
    place = Place(base)
    (place.folder / "file").write_text("x")
    place.close()

    assert not base.exists()


def test_two_demos_have_a_folder_each(base):
    """The second neither waits for the first nor takes its folder."""
    first, second = Place(base), Place(base)

    assert first.folder != second.folder
    assert second.swept == []


def test_a_home_that_goes_with_the_last_demo_is_made_again(base, monkeypatch):
    """The other one may end at any moment, also between this one's look at the home and its own folder there."""
    moments = iter([base.rmdir])

    def sweep_later(home):
        next(moments, list)()
        return sweep(home)

    monkeypatch.setattr("demo.place.sweep", sweep_later)
    place = Place(base)

    assert place.folder.is_dir()
    place.close()


def test_a_killed_demo_is_swept(base):
    """Its lock is free, so its folder goes, and so do processes that name the folder in their arguments."""
    (base / "7").mkdir()
    (base / "7.lock").touch()
    argv = [sys.executable, "-c", "import sys; sys.stdin.read()", f"{base}/7/state"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE) as process:
        other = subprocess.Popen([*argv[:-1], f"{base}/70/state"], stdin=subprocess.PIPE)
        until(lambda: str(base).encode() in _words(other.pid), what="the process to have its arguments")
        place = Place(base)

        assert place.swept == ["7"]
        assert process.wait(10) == -9
        assert other.poll() is None
        other.kill()
        other.wait()
    place.close()


def test_a_folder_whose_lock_was_lost_is_swept_too(base):
    """A demo that could not delete its folder has deleted its lock already."""
    (base / "3").mkdir()

    assert sweep(base) == ["3"]
    assert list(base.iterdir()) == []


def test_a_kept_folder_stays(base):
    """--keep means until somebody deletes it; new demos take other numbers."""
    place = Place(base)
    kept = place.folder
    place.close(keep=True)
    other = Place(base)

    assert (kept / KEPT).exists()
    assert other.folder != kept


def test_a_home_that_others_may_look_into_is_refused(base):
    """Credentials lie in it."""
    base.chmod(0o755)

    with pytest.raises(NoPlace, match="set it right"):
        Place(base)


def _words(pid: int) -> bytes:
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read()
