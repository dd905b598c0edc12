# SPDX-License-Identifier: Apache-2.0
"""Reading dpkg's database and apt's indexes from bytes."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchwright.agent.errors import MetadataUnreadable
from patchwright.agent.providers.apt import lists, status
from patchwright.agent.providers.apt.resolver import Answer, Request, largest
from patchwright.agent.providers.apt.transcript import Simulated
from patchwright.core.package import Offer

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
        lists.without_secret("see https://u:p@host/x and http://host/a@b") == "see https://host/x and http://host/a@b"
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
