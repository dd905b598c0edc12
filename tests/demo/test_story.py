# SPDX-License-Identifier: Apache-2.0
"""`bin/demo` from outside: told to its end, killed in the middle, and without root."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from demo import place, twin
from farm.commands import until

DEMO = twin.PROJECT / "bin/demo"


def processes_below(folder: Path) -> list[int]:
    """Processes with an argument in *folder*."""
    return place._using(folder)


def folder_of(pid: int) -> Path:
    """The folder of the demo that is process *pid*, which holds the lock beside it. Other demos may run as well."""
    base, locks = place.HOME / f"patchwright-demo-{os.geteuid()}", []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):  # closed in the meantime
            locks += [file for file in [descriptor.readlink()] if file.parent == base and file.suffix == ".lock"]
    (lock,) = locks
    return lock.with_suffix("")


@pytest.mark.skipif(shutil.which("dash") is None, reason="dash is not installed")
def test_the_script_is_plain_shell():
    """/bin/sh may be dash."""
    assert subprocess.run(["dash", "-n", str(DEMO)], check=False).returncode == 0


def test_words_it_does_not_know_are_usage_errors():
    """Exit 2, and nothing was started."""
    done = subprocess.run(
        [sys.executable, "-m", "demo", "--forever"], cwd=twin.PROJECT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 2
    assert "--once" in done.stderr


@pytest.mark.real
@pytest.mark.timeout(1800)
def test_the_demo_ends_well_and_leaves_nothing(layers):
    """Every check holds on this machine, with its own outstanding updates; folder, mounts and processes are gone."""
    done = subprocess.run([str(DEMO), "--once"], capture_output=True, text=True, timeout=1700, check=False)

    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "LEFT OUT" not in done.stdout
    assert "[FAILED]" not in done.stdout
    said = re.search(r"(\d+) of (\d+) are Installed\n", done.stdout)
    assert said
    assert said[1] == said[2]
    assert "\n[ok] 0 Missing\n" in done.stdout
    assert str(place.HOME / "patchwright-demo") not in Path("/proc/self/mountinfo").read_text()


@pytest.mark.real
@pytest.mark.timeout(600)
def test_a_demo_killed_in_mid_install_leaves_files_alone(layers, tmp_path):
    """After kill -9 no process and no mount of it is left, and the next demo takes its folder away."""
    log = tmp_path / "log"
    with log.open("wb") as output:
        story = subprocess.Popen(
            [sys.executable, "-m", "demo", "--once"], cwd=twin.PROJECT, stdout=output, stderr=output
        )
    try:
        until(
            lambda: "is sent AWS-RunPatchBaseline" in log.read_text() or story.poll() is not None,
            what="the install",
            timeout=500,
        )
        assert story.poll() is None, log.read_text()
        folder = folder_of(story.pid)
    finally:
        story.kill()
        story.wait()
    until(lambda: not processes_below(folder), what="the server and the twin to be gone")

    assert str(folder) not in Path("/proc/self/mountinfo").read_text()
    assert folder.exists()
    place.Place().close()  # the next demo; another one that runs beside this test may have been faster
    until(lambda: not folder.exists(), what="the folder to be swept")


@pytest.mark.farm
def test_without_root_it_says_what_it_leaves_out():
    """The scan is told by the lists that are there, the twin is left out, and the demo ends well."""
    if os.geteuid() == 0 and not _others_may_read():
        pytest.skip("an ordinary user may not read this interpreter")
    story = (
        "import os, sys; os.geteuid() or (os.setgid(65534), os.setuid(65534))\n"
        "from demo.story import Options, tell_story; sys.exit(tell_story(Options(once=True)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", story], cwd=twin.PROJECT, capture_output=True, text=True, timeout=200, check=False
    )

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "LEFT OUT: enrolling it" in done.stdout
    assert "making a twin needs root" in done.stdout


def _others_may_read() -> bool:
    probe = "import os, sys; os.setuid(65534); os.execv(sys.executable, [sys.executable, '-c', 'import msgspec'])"
    return subprocess.run([sys.executable, "-c", probe], capture_output=True, check=False).returncode == 0
