# SPDX-License-Identifier: Apache-2.0
"""Which mounts a twin gets, by the mount tables of usual machines."""

from __future__ import annotations

import pytest
from demo.mounts import COPY_LIMIT_BYTES, How, Mount, Unisolated, is_essential, plan, read

SERVER = r"""
22 28 0:21 / /proc rw,nosuid,nodev,noexec,relatime shared:13 - proc proc rw
23 28 0:22 / /sys rw,nosuid,nodev,noexec,relatime shared:7 - sysfs sysfs rw
25 28 0:24 / /run rw,nosuid,nodev shared:5 - tmpfs tmpfs rw,size=800000k
28 1 259:3 / / rw,relatime shared:1 - ext4 /dev/nvme0n1p3 rw
31 28 259:4 / /var/lib rw,relatime shared:2 - xfs /dev/nvme0n1p4 rw
40 25 0:30 / /run/lock rw - tmpfs tmpfs rw
41 28 0:33 / /tmp rw,nosuid - tmpfs tmpfs rw
42 28 0:40 / /home/her\040files rw - nfs4 nas:/home rw
43 31 0:50 / /var/lib/docker/overlay2/1/merged rw - overlay overlay rw,lowerdir=/a,upperdir=/b
44 28 7:1 / /snap/core/1 ro,nodev - squashfs /dev/loop1 ro
30 28 259:2 / /boot rw,relatime - ext4 /dev/nvme0n1p2 rw
""".strip()


def how(text: str) -> dict[str, How]:
    """What becomes of each mount of a table."""
    return {layer.target: layer.how for layer in plan(read(text))}


def refused(mount: Mount) -> str:
    """The reasons against a twin with this mount."""
    with pytest.raises(Unisolated) as refusal:
        plan([Mount(1, "/", "ext4", "/dev/vda", True), mount])
    return str(refusal.value)


def test_writable_local_mounts_are_overlaid_and_others_hidden():
    """A server's disks are overlaid; its containers, network homes and read-only images are not there."""
    assert how(SERVER) == {
        "/": How.OVERLAY,
        "/boot": How.OVERLAY,
        "/var/lib": How.OVERLAY,
        "/home/her files": How.HIDDEN,
        "/var/lib/docker/overlay2/1/merged": How.HIDDEN,
        "/snap/core/1": How.HIDDEN,
    }


def test_what_every_twin_has_of_its_own_is_not_looked_at():
    """/proc, /sys, /dev, /run and /tmp are made anew, whatever is mounted there or below."""
    assert not {"/proc", "/sys", "/run", "/run/lock", "/tmp"} & set(how(SERVER))


def test_a_mount_comes_after_the_one_it_lies_in():
    """The order of the table does not matter: /var/lib is laid after /."""
    assert ["/", "/boot"] == [layer.target for layer in plan(read(SERVER))][:2]


def test_a_covered_mount_is_no_layer():
    """What another mount covers cannot be reached, so it is not overlaid."""
    layers = plan(read(SERVER), visible=lambda mount: mount.target != "/boot")

    assert "/boot" not in {layer.target for layer in layers}


def test_the_firmware_partition_is_copied():
    """overlayfs refuses vfat; a small one that packages write to becomes a copy."""
    layers = plan([Mount(1, "/boot/efi", "vfat", "/dev/sda1", True, used_bytes=6_000_000)])

    assert [How.COPY] == [layer.how for layer in layers]


@pytest.mark.parametrize(
    ("mount", "reason"),
    [
        (Mount(2, "/usr", "ext4", "/dev/vdb", False), "/usr is mounted read-only"),
        (Mount(2, "/var", "nfs4", "nas:/var", True), "/var is a nfs4 mount"),
        (Mount(2, "/boot/efi", "vfat", "/dev/sda1", True, used_bytes=COPY_LIMIT_BYTES + 1), "/boot/efi is a vfat"),
        (Mount(2, "/var/lib/dpkg", "fuse.sshfs", "far:/", True), "/var/lib/dpkg is a fuse.sshfs"),
    ],
)
def test_a_twin_without_what_packages_write_to_is_refused(mount, reason):
    """Nothing half-done: where packages or the package manager keep files, isolation is possible or there is no twin."""
    assert reason in refused(mount)


def test_every_reason_is_named_at_once():
    """Two faults, two sentences."""
    with pytest.raises(Unisolated) as refusal:
        plan([Mount(1, "/usr", "ext4", "a", False), Mount(2, "/etc", "nfs", "b", True)])

    assert len(refusal.value.reasons) == 2


def test_single_files_that_name_hosts_are_copied_and_others_hidden():
    """Containers mount /etc/resolv.conf; a mounted library is none of a package's files."""
    files = [
        Mount(1, "/etc/resolv.conf", "ext4", "/dev/vda", True, directory=False),
        Mount(2, "/usr/lib/libdriver.so", "ext4", "/dev/vda", False, directory=False),
    ]

    assert [How.COPY, How.HIDDEN] == [layer.how for layer in plan(files)]


def test_a_container_may_have_a_twin_of_its_overlay():
    """The root directory of a container is an overlay itself: another one fits on top."""
    assert how("1 0 0:50 / / rw - overlay overlay rw,lowerdir=/a,upperdir=/b,workdir=/c") == {"/": How.OVERLAY}


@pytest.mark.parametrize(
    ("target", "wanted"),
    [("/", True), ("/usr/share", True), ("/usr/local/data", False), ("/var/lib/docker", False), ("/home", False)],
)
def test_what_packages_write_to_is_essential(target, wanted):
    """Directories of packages and of the package manager; what an administrator adds is not."""
    assert wanted == is_essential(target)
