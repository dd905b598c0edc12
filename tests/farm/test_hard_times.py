# SPDX-License-Identifier: Apache-2.0
"""What befalls a node can be brought about on purpose, undone, and costs next to nothing."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from farm import CommandFailed, DebRepo, Farm, FarmError, Node, life
from farm.debfile import build

pytestmark = pytest.mark.farm
NewNode = Callable[..., Node]
MIB = 1 << 20
REFRESH = ["apt-get", "update", "--error-on=any"]
EAT = "import sys; len(bytearray(int(sys.argv[1])))"


# ------------------------------------------------------------------------------------------------------------ snapshots


def test_a_disk_goes_back_to_each_of_its_snapshots(debrepo: DebRepo, new_node: NewNode) -> None:
    """Files, deletions and the package database; while it runs or is off, back and forth, in a new boot."""
    debrepo.release("foo", "1.0-1", files={"/usr/share/foo/data": "x"})
    node = new_node("deb12", debrepo, installed=["foo"])
    node.write("/etc/note", "first")
    first = node.snapshot()
    before = node.boot_id()
    node.run(["apt-get", "--yes", "purge", "foo"])
    node.write("/etc/note", "second")
    node.poweroff()
    second = node.snapshot()
    node.start()

    node.rollback(first)
    assert node.installed()["foo.all"] == ("1.0-1", "ii")
    assert (node.read("/etc/note"), node.read("/usr/share/foo/data")) == ("first", "x")
    assert node.boot_id() != before
    node.rollback(second)
    assert "foo.all" not in node.installed()
    assert node.read("/etc/note") == "second"
    assert node.run(["test", "-e", "/usr/share/foo"], check=False).code == 1
    node.rollback(first)
    assert node.read("/etc/note") == "first"
    with pytest.raises(FarmError, match="no snapshot 9"):
        node.rollback(9)


def test_a_snapshot_does_not_disturb_a_running_node(new_node: NewNode) -> None:
    """Its processes go on where they stood."""
    node = new_node()
    sleeper = node.spawn(["sleep", "600"])
    node.snapshot()
    assert sleeper.poll() is None
    assert node.wait_running() == "running"
    assert node.boots == 1


# ------------------------------------------------------------------------------------------------------ disk and memory


def test_a_disk_is_full_until_it_is_freed(new_node: NewNode) -> None:
    """The node sees the limit and runs into it; what fills its disk is nothing that it could delete."""
    node = new_node(disk_bytes=64 * MIB)
    fill = ["dd", "if=/dev/zero", "of=/big", "bs=1M", "count=4"]
    node.fill_disk(leave_bytes=2 * MIB)
    with pytest.raises(CommandFailed, match="No space left on device"):
        node.run(fill)
    assert node.run(["df", "--output=size", "/"]).lines[-1].strip() == str(64 * 1024)
    node.free_disk()
    node.run(fill)
    with pytest.raises(FarmError, match="disk_bytes"):
        new_node().fill_disk()


def test_the_largest_process_is_killed_beyond_the_limit(new_node: NewNode) -> None:
    """The node itself lives, the limit outlasts a restart, and can be lifted."""
    node = new_node()
    node.limit_memory(64 * MIB)
    assert node.run(["python3", "-c", EAT, str(200 * MIB)], check=False).code == -9
    assert node.killed_for_memory() == 1
    node.reboot()
    assert node.run(["python3", "-c", EAT, str(200 * MIB)], check=False).code == -9
    assert node.wait_running() == "running"
    node.limit_memory(None)
    node.run(["python3", "-c", EAT, str(200 * MIB)])


# --------------------------------------------------------------------------------------------------------------- clocks


def test_a_clock_is_wrong_for_whom_it_should_be(new_node: NewNode) -> None:
    """For the chosen program and what it starts by its own name, durations right; the node's and the host's stay right."""
    node = new_node()
    python = node.skew("+3d")
    clocks = "import subprocess, sys, time; print(time.time(), time.monotonic(), flush=True); time.sleep(0.01);"
    again = "subprocess.run([sys.executable, '-Ic', 'import time; print(time.time())'], env={})"
    wall, monotonic, child = node.run([python, "-Ic", clocks + again]).stdout.split()
    assert abs(float(wall) - time.time() - 3 * 86_400) < 30
    assert abs(float(child) - time.time() - 3 * 86_400) < 30
    assert abs(float(monotonic) - time.monotonic()) < 30
    assert abs(int(node.run(["date", "+%s"], env=node.skewed("-90s")).stdout) - time.time() + 90) < 30
    assert abs(int(node.run(["date", "+%s"]).stdout) - time.time()) < 30
    with pytest.raises(ValueError, match="no offset"):
        node.skew("tomorrow")


def test_apt_can_have_the_wrong_clock_too(debrepo: DebRepo, new_node: NewNode) -> None:
    """Three days behind the lists are not valid yet, a month ahead they have expired."""
    node = new_node("deb12", debrepo)
    for offset, told in {"-3d": "not valid yet", "+30d": "expired"}.items():
        node.skew(offset, apt=True)
        assert told in node.run(REFRESH, check=False).stderr
    node.skew("+30d")
    node.run(REFRESH)


# ------------------------------------------------------------------------------------------------------------- archives


@pytest.mark.parametrize(
    ("fault", "told"),
    [("signature", "NO_PUBKEY"), ("tampered", "BADSIG"), ("expired", "is expired"), ("early", "not valid yet")],
)
def test_apt_does_not_believe_a_spoilt_archive(debrepo: DebRepo, new_node: NewNode, fault: str, told: str) -> None:
    """It says why, and believes it again when it is mended."""
    node = new_node("deb12", debrepo, start=True)
    debrepo.spoil(fault)
    assert told in node.run(REFRESH, check=False).stderr
    debrepo.mend()
    node.run(REFRESH)


def test_a_kernel_comes_with_its_meta_package(debrepo: DebRepo, new_node: NewNode) -> None:
    """The new image is installed beside the old one, and asks for a reboot."""
    debrepo.kernel("6.1.0-50", "6.1.176-1", suite="")
    debrepo.kernel("6.1.0-51", "6.1.192-1")
    node = new_node("deb12", debrepo, outstanding=["linux-image-amd64"])
    node.run(["apt-get", "--yes", "dist-upgrade"])
    assert node.run(["ls", "/boot"]).lines == ["vmlinuz-6.1.0-50-amd64", "vmlinuz-6.1.0-51-amd64"]
    assert node.read("/run/reboot-required.pkgs") == "linux-image-6.1.0-51-amd64\n"


def test_relations_phases_and_sizes_are_what_apt_sees(debrepo: DebRepo, new_node: NewNode) -> None:
    """A conflict is a removal, a phased update stays back, a size is needed on the disk, a download before that."""
    with debrepo.together():
        for name in ("old", "new", "phased", "big"):
            debrepo.release(name, "1.0-1")
        debrepo.security("new", "1.0-2", conflicts="old")
        debrepo.security("phased", "1.0-2", phased=0)
        big = debrepo.security("big", "1.0-2", size=8 * MIB)
        wide = debrepo.security("wide", "1.0-2", download=8 * MIB)
    node = new_node("deb12", debrepo, outstanding=["new", "phased", "big"], installed=["old"])
    plan = node.run(["apt-get", "--simulate", "dist-upgrade"]).stdout
    assert "Remv old [1.0-1]" in plan
    assert "Inst phased" not in plan
    assert len(big.content) < MIB < 8 * MIB < len(wide.content)
    node.run(["apt-get", "--yes", "install", "big", "wide"])
    assert node.run(["stat", "-c", "%s", "/usr/share/big/zeros", "/usr/share/wide/noise"]).lines == [str(8 * MIB)] * 2


def test_the_same_package_has_the_same_bytes() -> None:
    """Also where it is large and nothing makes it smaller."""
    one, two = (build("foo", "1.0-1", files={"/x": bytes([1, 2]) * MIB}) for _ in range(2))
    assert one.content == two.content


# ------------------------------------------------------------------------------------------------------------- baking


def test_what_is_installed_is_baked_once_for_all_archives(farm: Farm, new_node: NewNode) -> None:
    """A second archive with the same release shares the layer that the first one's node has brought about."""
    kept = "usr/share/baked/by"
    for version in ("1.0-2", "1.0-3"):
        repo = farm.debrepo()
        repo.release("baked", "1.0-1", files={f"/{kept}": "this test alone"})
        repo.security("baked", version)
        node = new_node("deb12", repo, outstanding=["baked"])
        assert f"({version} Debian-Security" in node.run(["apt-get", "--simulate", "dist-upgrade"]).stdout
        node.run(REFRESH)
        repo.close()
    assert len(list((life.HOME / farm.number / "layers").glob(f"*/upper/{kept}"))) == 1
