# SPDX-License-Identifier: Apache-2.0
"""What entries of explicit lists name; and that nodes can ask without carrying the decisions along."""

from __future__ import annotations

import subprocess
import sys

import pytest

from patchwright.core.entries import matches, names_package, rpm_file
from patchwright.core.system import Family


@pytest.mark.parametrize(
    ("family", "entry", "named"),
    [
        (Family.APT, "openssl", True),
        (Family.APT, "openssl*", False),
        (Family.APT, "*", False),
        (Family.APT, "openssl-3.0-1.x86_64", False),
        (Family.RPM, "openssl", False),
        (Family.RPM, "openssl-3.0-1.x86_64", True),
        (Family.RPM, "openssl-1:3.0-1.x86_64", True),
        (Family.RPM, "openssl-0:3.0-1.x86_64", False),
        (Family.RPM, "openssl-*", True),
        (Family.RPM, "*.x86_64", True),
        (Family.RPM, "*", True),
        (Family.RPM, "openssl-3.0*0-1.x86_64", False),
        (Family.RPM, "openssl-3.0-1.x86_64*openssl-3.0-1.x86_64", False),
        (Family.RPM, "open*-3*", False),
        (Family.RPM, "**", False),
        (Family.RPM, "openssl-3.0-1.i686", False),
        (Family.ZYPP, "openssl-3.0-1.x86_64.rpm", True),
        (Family.ZYPP, "openssl-1:3.0-1.x86_64.rpm", False),
        (Family.ZYPP, "openssl-3.0-1.x86_64", False),
        (Family.ZYPP, "openssl", False),
        (Family.ZYPP, "open*", True),
        (Family.ZYPP, "openssl-*.rpm", True),
        (Family.ZYPP, "bash", False),
    ],
)
def test_an_entry_names_packages_as_its_family_writes_them(family, entry, named):
    """The bare name on apt; the full name, with or without the epoch or with one star, on rpm; whole strings only."""
    assert names_package(family, entry, "openssl", "x86_64", "1:3.0-1") is named


def test_a_version_without_an_epoch_also_goes_by_epoch_0():
    """Both spellings of one package."""
    for entry in ("a-1-1.noarch", "a-0:1-1.noarch"):
        assert names_package(Family.RPM, entry, "a", "noarch", "1-1")


@pytest.mark.parametrize(
    ("version", "file"), [("1-2", "a-1-2.noarch.rpm"), ("3:1-2", "a-1-2.noarch.rpm"), ("0:1-2", "a-1-2.noarch.rpm")]
)
def test_the_name_of_an_rpm_file_shows_no_epoch(version, file):
    """Only name, version, release and architecture."""
    assert rpm_file("a", "noarch", version) == file


@pytest.mark.parametrize(
    ("entry", "text", "is_so"),
    [
        ("a*c", "abc", True),
        ("a*c", "ac", True),
        ("ab*bc", "abc", False),
        ("*", "", True),
        ("**", "a", False),
        ("A", "a", False),
        ("a", "ab", False),
    ],
)
def test_one_star_stands_for_anything(entry, text, is_so):
    """Nothing included; both ends must be there side by side, and case counts."""
    assert matches(entry, text) is is_so


def test_a_node_asks_without_the_modules_that_decide():
    """What the agent imports of core brings neither baselines nor judgements (design D12: it is to stay small)."""
    code = (
        "import sys; import patchwright.core.entries, patchwright.core.facts, patchwright.core.plan,"
        " patchwright.core.protocol; print([name for name in sys.modules if name.startswith('patchwright.core.')])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout

    for name in ("baseline", "compliance", "planning", "predefined", "families"):
        assert f"patchwright.core.{name}'" not in found
