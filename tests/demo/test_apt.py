# SPDX-License-Identifier: Apache-2.0
"""Reading what apt itself says, so that the demo's comparison is apt's word and not ours."""

from __future__ import annotations

import fcntl

import pytest

from demo import apt

SIMULATION = """\
Reading package lists...
The following packages have been kept back:
  linux-image-amd64
  phased
The following packages will be upgraded:
  bash openssl
Inst bash [5.2.15-2+b8] (5.2.15-2+b13 Debian:12.15/oldstable [amd64])
Inst libgcrypt20 [1.10.1-3] (1.10.1-3+deb12u1 Debian:12.15/oldstable, Debian-Security:12/oldstable-security [amd64]) []
Inst libc6:i386 [2.36-9] (2.36-9+deb12u9 Debian-Security:12/stable-security [i386])
Inst tzdata [2025b] (2026f Ubuntu:24.04/noble-updates, Ubuntu:24.04/noble-security [all])
Inst brand-new (1.0 Debian-Security:12/stable-security [amd64])
Conf bash (5.2.15-2+b13 Debian:12.15/oldstable [amd64])
"""
POLICY = """\
linux-image-amd64:
  Installed: 6.1.1
  Candidate: 6.1.2
  Version table:
     6.1.2 500
        500 http://archive.test/debian-security bookworm-security/main amd64 Packages
 *** 6.1.1 100
        100 /var/lib/dpkg/status
phased:
  Installed: 1
  Candidate: 3
  Version table:
     3 500
        500 http://archive.test/debian bookworm-updates/main amd64 Packages
     2 500
        500 http://archive.test/debian-security bookworm-security/main amd64 Packages
 *** 1 100
        100 /var/lib/dpkg/status
"""


def test_security_updates_are_told_by_their_archive():
    """Debian's label or suite, Ubuntu's suite; a package that is not installed yet is no update."""
    updates, _ = apt.read_simulation(SIMULATION)

    assert [update.key for update in updates if update.security] == ["libgcrypt20.amd64", "libc6.i386", "tzdata.all"]


def test_other_updates_are_seen_too():
    """bash comes from a point release, not from the security archive."""
    updates, _ = apt.read_simulation(SIMULATION)

    assert [(update.key, update.old, update.new) for update in updates if not update.security] == [
        ("bash.amd64", "5.2.15-2+b8", "5.2.15-2+b13")
    ]


def test_kept_back_packages_are_named():
    """apt installs none of them, but they are missing all the same."""
    assert ["linux-image-amd64", "phased"] == apt.read_simulation(SIMULATION)[1]


def test_the_candidates_archive_decides_on_a_kept_back_package():
    """Another version in the security archive does not make the candidate a security update."""
    assert apt.read_policy(POLICY) == {"linux-image-amd64": True}


def test_the_package_database_is_held_while_a_twin_lies_on_it(tmp_path, monkeypatch):
    """Another package manager finds the lock taken, as with any frontend; afterwards it is free."""
    taken = []
    monkeypatch.setattr(apt, "DPKG", tmp_path)
    monkeypatch.setattr(fcntl, "lockf", lambda descriptor, operation: taken.append(operation))
    with apt.hold():
        assert taken == [fcntl.LOCK_EX | fcntl.LOCK_NB] * 2


def test_a_busy_package_manager_is_not_waited_for_for_ever(tmp_path, monkeypatch):
    """The refusal says what to do."""

    def busy(_descriptor: int, _operation: int) -> None:
        raise BlockingIOError

    monkeypatch.setattr(apt, "DPKG", tmp_path)
    monkeypatch.setattr(fcntl, "lockf", busy)
    with pytest.raises(apt.AptFailed, match="try again"), apt.hold(wait_seconds=0):
        pytest.fail("the lock was not free")
