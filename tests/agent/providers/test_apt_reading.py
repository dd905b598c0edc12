# SPDX-License-Identifier: Apache-2.0
"""Reading dpkg's database and apt's indexes from bytes."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchwright.agent.errors import MetadataUnreadable
from patchwright.agent.providers import words
from patchwright.agent.providers.apt import lists, status
from patchwright.agent.providers.resolver import Answer, Request, Simulated, largest
from patchwright.core.package import Offer, Origin

STATUS = """\
Package: foo
Status: install ok installed
Priority: optional
Architecture: amd64
Version: 1:2.0-1
Description: one
 Version: not this one
 .
 Package: nor this

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1.0

Package: held
Status: hold ok half-configured
Architecture: all
Version: 3

Package: wreck
Status: install reinstreq half-installed
Architecture: all
Version: 4
"""


def test_states_flags_and_holds_are_read(tmp_path):
    """Removed packages are left out; everything else comes with its state."""
    (tmp_path / "status").write_text(STATUS)
    rows = status.read(tmp_path / "status")

    assert {key: row.package[2:] for key, row in rows.items()} == {
        "foo.amd64": ("1:2.0-1", "installed"),
        "held.all": ("3", "half-configured"),
        "wreck.all": ("4", "half-installed"),
    }
    assert [key for key, row in rows.items() if row.held] == ["held.all"]
    assert [key for key, row in rows.items() if row.done] == ["foo.amd64"]


def test_unmerged_changes_win_in_their_order(tmp_path):
    """What a killed dpkg left beside its status file is newer than the file; a removal there removes."""
    (tmp_path / "status").write_text(STATUS)
    (tmp_path / "updates").mkdir()
    stanza = "Package: {}\nStatus: {}\nArchitecture: {}\nVersion: {}\n"
    (tmp_path / "updates/0002").write_text(stanza.format("foo", "install ok unpacked", "amd64", "3"))
    (tmp_path / "updates/0001").write_text(stanza.format("foo", "install ok half-installed", "amd64", "1:2.0-1"))
    (tmp_path / "updates/0003").write_text(stanza.format("held", "deinstall ok not-installed", "all", ""))
    (tmp_path / "updates/tmp.i").write_text("rubbish")
    rows = status.read(tmp_path / "status")

    assert rows["foo.amd64"].package[2:] == ("3", "unpacked")
    assert "held.all" not in rows
    assert status.is_interrupted(tmp_path / "status")


def test_a_database_that_cannot_be_read_is_an_error(tmp_path):
    """No status file, and a state that nobody knows."""
    with pytest.raises(MetadataUnreadable, match="cannot be read"):
        status.read(tmp_path / "status")
    (tmp_path / "status").write_text(STATUS.replace("ok installed", "ok sideways"))
    with pytest.raises(MetadataUnreadable, match=r"'sideways' of foo\.amd64"):
        status.read(tmp_path / "status")


@pytest.mark.parametrize(
    ("damaged", "message"),
    [
        (STATUS[:-3], "ends in the middle of a line"),
        (
            STATUS.replace("Package: wreck", "%$&/ garbage\nPackage: wreck"),
            "line 21 of .*status is none that dpkg writes",
        ),
        ("garbage\n" + STATUS, "line 1 of"),
        (STATUS.replace("Description", "Desc\0iption"), "line 6 of"),
        (STATUS.replace(" Package: nor", " \0 nor"), "is none that dpkg writes"),
        (STATUS.replace("Version: 1:2.0-1\n", ""), r"which version of foo\.amd64 is installed"),
        (STATUS.replace("Version: 3", "Version:"), r"which version of held\.all"),
        (STATUS.replace("Architecture: amd64\nVersion: 1:2", "Version: 1:2"), r"which version of foo\. is installed"),
        (STATUS.replace("install ok installed", "install ok"), r"says 'ok' of foo\.amd64"),
    ],
)
def test_a_damaged_database_is_an_error(tmp_path, damaged, message):
    """What dpkg itself would refuse to read is not taken for a list of fewer packages."""
    (tmp_path / "status").write_text(damaged)
    with pytest.raises(MetadataUnreadable, match=message):
        status.read(tmp_path / "status")


@pytest.mark.parametrize("left", [0, 1, 3])
def test_packages_lost_from_the_database_are_an_error(tmp_path, left):
    """A database cut between two packages, or emptied, reads well; the lists of their files betray them."""
    (tmp_path / "info").mkdir()
    for name in ("foo:amd64.list", "gone.list", "held.list", "wreck.list", "foo.md5sums", "nobody.postinst"):
        (tmp_path / "info" / name).write_text("")
    (tmp_path / "status").write_text(STATUS)
    assert len(status.read(tmp_path / "status")) == 3

    (tmp_path / "status").write_text("".join(part + "\n\n" for part in STATUS.split("\n\n")[:left]))
    with pytest.raises(MetadataUnreadable, match=r"has lost (foo:amd64 and 3 more|gone and 2 more|wreck)"):
        status.read(tmp_path / "status")


def test_a_dpkg_that_merges_its_changes_meanwhile_has_lost_nothing(tmp_path, monkeypatch):
    """It writes the status file anew and removes what stood beside it, between our reading of the one and of the other."""
    new = "Package: new\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n"
    for name in ("info", "updates"):
        (tmp_path / name).mkdir()
    (tmp_path / "info/new.list").write_text("")
    (tmp_path / "status").write_text(STATUS)
    (tmp_path / "updates/0001").write_text(new)
    read = Path.read_bytes

    def read_bytes(path):
        content = read(path)
        if (tmp_path / "updates/0001").exists():
            (tmp_path / "updates/0001").unlink()
            (tmp_path / "status-new").write_text(f"{STATUS}\n{new}")
            (tmp_path / "status-new").rename(tmp_path / "status")
        return content

    monkeypatch.setattr(Path, "read_bytes", read_bytes)

    assert "new.all" in status.read(tmp_path / "status")


def test_a_package_that_must_be_unpacked_again_is_half_installed(tmp_path):
    """Whatever state stands beside the flag, dpkg does nothing with it before."""
    (tmp_path / "status").write_text(STATUS.replace("install ok installed", "install reinstreq installed"))
    assert status.read(tmp_path / "status")["foo.amd64"].package.state == "half-installed"


def test_an_update_that_is_no_stanza_is_an_error(tmp_path):
    """What a killed dpkg left half-written is not passed over."""
    (tmp_path / "status").write_text(STATUS)
    (tmp_path / "updates").mkdir()
    (tmp_path / "updates/0001").write_text("garbage")
    with pytest.raises(MetadataUnreadable, match="updates/0001"):
        status.read(tmp_path / "status")


def test_all_and_the_machines_own_architecture_are_one():
    """A newer version built for the other of the two is an update of what is installed, under the name that this has."""
    index = b"".join(
        b"Package: %s\nArchitecture: %s\nVersion: 2\n\n" % (name, arch)
        for name in (b"foo", b"bar")
        for arch in (b"amd64", b"all", b"i386")
    )
    found = lists.scan([index], {b"foo": ["all", "i386"], b"bar": ["amd64"]}, "amd64")

    assert {(offer.name, offer.arch) for offer in found.offers} == {("foo", "all"), ("foo", "i386"), ("bar", "amd64")}
    assert lists.counterpart("i386", ["all", "amd64"], "amd64") == ""
    assert lists.counterpart("all", ["i386"], "amd64") == ""


RELEASE = "Origin: Debian\nLabel: Debian-Security\nSuite: stable-security\nCodename: bookworm-security\nSHA256:\n abc\n"


def test_a_repository_without_packages_is_one_all_the_same(tmp_path):
    """apt keeps its Release file and no index; what is configured no more does not count."""
    for name in ("a_dists_x_InRelease", "a_dists_x-security_InRelease", "gone_dists_x_Release", "lock"):
        (tmp_path / name).write_text(f"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n{RELEASE}")
    there = lists.Target("", "/lists/a_dists_x_main_binary-amd64_Packages", Origin())
    stems = lists.bare_releases(tmp_path, [there])
    assert stems == ["a_dists_x-security", "gone_dists_x"]

    configured = "Filename: /lists/a_dists_x{}_main_binary-amd64_Packages\n"
    listing = "\n".join(f"MetaKey: k\n{configured.format(name)}Created-By: Packages\n" for name in ("", "-security"))
    (origin,) = lists.empty(tmp_path, stems, listing)
    assert origin == Origin("Debian", "Debian-Security", "stable-security", "bookworm-security")
    assert origin.is_security
    assert lists.bare_releases(tmp_path / "nowhere", []) == []


INDEX = b"""\
Package: foo
Version: 2.0-1
Architecture: amd64
Section: net
Priority: important
Description: says
 Package: bar

Package: foobar
Version: 1
Architecture: amd64

Package: foo
Architecture: arm64
Version: 2.0-1

Package: bar
Version: 7
Architecture: all
Section: contrib/net
Priority: optional
Phased-Update-Percentage: 20
"""
INSTALLED = {b"foo": ["amd64"], b"bar": ["all", "arm64"]}
WANTED = [Offer("foo", "amd64", "2.0-1", "net", "important"), Offer("bar", "all", "7", "contrib/net", "optional")]


@given(st.lists(st.integers(min_value=0, max_value=len(INDEX)), max_size=30))
def test_where_an_index_is_cut_into_pieces_does_not_matter(cuts):
    """Whatever pieces it comes in, an index gives the same offers."""
    edges = [0, *sorted(cuts), len(INDEX)]
    pieces = [INDEX[a:b] for a, b in itertools.pairwise(edges) if a < b]

    assert lists.scan(pieces, INSTALLED) == lists.Scan(WANTED, {("bar", "7")})


@pytest.mark.parametrize(
    "index",
    [
        INDEX.rstrip(b"\n"),
        b"\n" + INDEX + b"\n\n",
        INDEX.replace(b"Package: foo\nVersion: 2.0-1\n", b"Version: 2.0-1\nPackage: foo\n"),
        INDEX.replace(b"Architecture:", b"Architecture:   "),
    ],
    ids=["no line end", "empty lines", "another order", "spaces"],
)
def test_untidy_indexes_are_read_too(index):
    """A missing line end, empty lines, spaces, and archives that do not write Package first."""
    assert lists.scan([index], INSTALLED).offers == WANTED


def test_what_is_no_index_offers_nothing():
    """Rubbish, however long, is passed over with bounded memory."""
    assert lists.scan([], INSTALLED).offers == []
    assert lists.scan([b"\0" * 3_000_000] * 3, INSTALLED).offers == []


def test_credentials_are_cut_from_addresses():
    """Only the part between the slashes and the at sign goes."""
    assert (
        words.without_secret("see https://u:p@host/x and http://host/a@b") == "see https://host/x and http://host/a@b"
    )


@given(
    st.integers(min_value=0, max_value=24).flatmap(
        lambda count: st.tuples(
            st.just(count), st.sets(st.integers(0, max(0, count - 1))), st.sets(st.integers(0, max(0, count - 1)))
        )
    )
)
def test_the_largest_part_is_found_whoever_is_blamed(case):
    """With any packages bad by themselves and any of the rest blamed, exactly the bad ones are left out, with a reason."""
    count, bad, blamed = case
    requests = [Request(f"p{number}", "all", "2") for number in range(count)]
    wrong = {f"p{number}.all" for number in bad if number < count}
    asked = []

    def simulate(batch):
        asked.append(len(batch))
        if any(request.key in wrong for request in batch):
            return Answer((), "no", {f"p{number}.all": f"blamed {number}" for number in blamed})
        return Answer(tuple(Simulated(request.name, "all", "1", "2") for request in batch))

    found = largest(requests, simulate)

    assert {request.key for request in found.requests} == {request.key for request in requests} - wrong
    assert {item.key for item in found.closure} == {request.key for request in found.requests}
    assert set(found.reasons) == wrong
    assert all(found.reasons.values())


def test_blame_makes_the_search_short():
    """One bad package that is named among a hundred costs three simulations, not fourteen."""
    requests = [Request(f"p{number}", "all", "2") for number in range(100)]
    asked = []

    def simulate(batch):
        asked.append(len(batch))
        bad = any(request.name == "p50" for request in batch)
        return Answer((), "no", {"p50.all": "because"}) if bad else Answer((Simulated("x", "all", "", "1"),))

    assert largest(requests, simulate).reasons == {"p50.all": "because"}
    assert asked == [100, 99, 100]


def test_two_that_exclude_each_other_leave_one():
    """When either can be done but not both, the first stays."""
    requests = [Request(name, "all", "2") for name in ("a", "b")]

    def simulate(batch):
        return Answer((), "they conflict") if len(batch) == 2 else Answer((Simulated(batch[0].name, "all", "1", "2"),))

    found = largest(requests, simulate)

    assert [request.name for request in found.requests] == ["a"]
    assert found.reasons == {"b.all": "they conflict"}
