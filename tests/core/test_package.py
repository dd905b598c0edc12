# SPDX-License-Identifier: Apache-2.0
"""Package sets, offers slices, their canonical forms and digests."""

from __future__ import annotations

import hashlib
import tracemalloc

import pytest

import patchwright.core.package as package_module
from core.made import MAIN, SECURITY
from patchwright.core.errors import DigestMismatch, MalformedFacts
from patchwright.core.package import (
    BUILD_TIME_LIMIT,
    FACTS_LIMIT_BYTES,
    FIELD_LIMIT,
    NOTICES_LIMIT,
    Manager,
    Offer,
    OffersSlice,
    Origin,
    Package,
    PackageSet,
    PackageState,
    check_digest,
    purl,
)
from patchwright.core.version import Scheme

OPENSSL = Package("openssl", "amd64", "3.0.15-1")
SET = b"set1\tapt\nbash\tamd64\t5.2-1\tinstalled\nopenssl\tamd64\t3.0.15-1\tinstalled\n"
SLICE = (
    b"slice1\tdnf\tRocky\tbaseos\t9\t\t\n"
    b"openssl\tx86_64\t1:3.0.7-27.el9\tlibs\t\t1700000000\tssl:1\tRLSA-2026:1,RLSA-2026:2\n"
)


def test_each_manager_has_its_version_order():
    """dpkg's for apt, rpm's for the others."""
    assert [manager.scheme for manager in Manager] == [Scheme.DPKG, Scheme.RPM, Scheme.RPM]


@pytest.mark.parametrize(
    ("state", "usable"),
    [
        (PackageState.INSTALLED, True),
        (PackageState.TRIGGERS_AWAITED, True),
        (PackageState.TRIGGERS_PENDING, True),
        (PackageState.UNPACKED, False),
        (PackageState.HALF_CONFIGURED, False),
        (PackageState.HALF_INSTALLED, False),
    ],
)
def test_a_package_is_usable_once_it_is_configured(state, usable):
    """Triggers are work of other packages."""
    assert state.usable is usable


def test_a_key_is_name_and_architecture():
    """What AWS calls KBId."""
    assert OPENSSL.key == Offer("openssl", "amd64", "1").key == "openssl.amd64"


def test_a_package_set_is_written_in_order_whatever_the_order_given():
    """Header, then a line a package; repeated packages count once; the digest is the SHA-256 of that."""
    bash = Package("bash", "amd64", "5.2-1")
    made = PackageSet.of(Manager.APT, [OPENSSL, bash, OPENSSL])

    assert made.canonical() == SET
    assert made.digest == "set1:" + hashlib.sha256(SET).hexdigest()
    assert made == PackageSet.of(Manager.APT, [bash, OPENSSL]) == PackageSet.parse(SET)


def test_an_offers_slice_is_written_in_order_with_its_origin():
    """Unknown build times are empty, notice ids sorted and joined by commas."""
    offer = Offer(
        "openssl", "x86_64", "1:3.0.7-27.el9", "libs", "", 1_700_000_000, "ssl:1", ("RLSA-2026:2", "RLSA-2026:1")
    )
    made = OffersSlice.of(Manager.DNF, Origin("Rocky", "baseos", "9"), [offer, offer])

    assert made.canonical() == SLICE
    assert made.digest == "slice1:" + hashlib.sha256(SLICE).hexdigest()
    assert OffersSlice.parse(SLICE) == made


def test_an_empty_set_and_an_empty_slice_have_digests_too():
    """A machine without packages, a repository that offers nothing for the installed names."""
    assert PackageSet.parse(b"set1\tapt\n").packages == ()
    assert OffersSlice.parse(b"slice1\tapt\t\t\t\t\t\n") == OffersSlice.of(Manager.APT, Origin(), [])


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"", "does not start as set1"),
        (b"set2\tapt\n", "does not start as set1"),
        (b"set1\n", "does not start as set1"),
        (b"set1\tapt", "does not end with a line end"),
        (b"set1\tpacman\n", "'pacman' is no package manager"),
        (b"set1\tapt\nbash\tamd64\t1\n", "a line of 3 fields"),
        (b"set1\tapt\n\n", "a line of 1 fields"),
        (b"set1\tapt\nbash\tamd64\t1\tbroken\n", "the unknown state 'broken'"),
        (b"set1\tapt\nb\tamd64\t1\tinstalled\na\tamd64\t1\tinstalled\n", "not in canonical order"),
        (b"set1\tapt\na\tamd64\t1\tinstalled\na\tamd64\t1\tinstalled\n", "not in canonical order"),
        (b"set1\tapt\nba\xffsh\tamd64\t1\tinstalled\n", "not UTF-8"),
        (b"set1\tapt\nba\x00sh\tamd64\t1\tinstalled\n", "control character"),
        (b"set1\tapt\nbash\tamd64\t1\r\tinstalled\n", "control character"),
        (b"set1\tapt\n\tamd64\t1\tinstalled\n", "without a name"),
        (b"set1\tapt\nbash\t\t1\tinstalled\n", "without a name"),
        (b"set1\tapt\nbash\tamd64\t\tinstalled\n", "without a name"),
        (b"set1\tapt\nbash\tamd64\t" + b"1" * (FIELD_LIMIT + 1) + b"\tinstalled\n", "a field of 513 characters"),
        (b"set1\tapt\n" + b"a," * FIELD_LIMIT + b"\tamd64\t1\tinstalled\n", "a field of 1024 characters"),
    ],
)
def test_a_body_that_is_no_package_set_is_refused(body, complaint):
    """Wrong header, wrong order, wrong state, an unprintable, an overlong or a missing field."""
    with pytest.raises(MalformedFacts, match=complaint):
        PackageSet.parse(body)


def row(**changed: str) -> bytes:
    """A slice of one offer with some fields changed."""
    fields = {
        "name": "a",
        "arch": "amd64",
        "version": "1",
        "section": "",
        "priority": "",
        "time": "",
        "module": "",
        "ids": "",
    }
    return ("slice1\tapt\t\t\t\t\t\n" + "\t".join({**fields, **changed}.values()) + "\n").encode()


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"slice1\tapt\n", "does not start as slice1"),
        (b"slice1\tapk\t\t\t\t\t\n", "no package manager"),
        (b"slice1\tapt\t\x1b\t\t\t\t\n", "control character"),
        (b"slice1\tapt\t\t\t\t\t\na\tamd64\t1\n", "a line of 3 fields"),
        (row(time="soon"), "the build time 'soon' of a"),
        (row(time="-1"), "the build time '-1' of a"),
        (row(time="٣"), "the build time"),
        (row(time="1" * 16), "the build time"),
        (row(time=str(BUILD_TIME_LIMIT)), "the build time"),
        (row(time="007"), "not in canonical order"),
        (row(time="0"), "not in canonical order"),
        (row(ids="b,a"), "not in canonical order"),
        (row(ids="a,a"), "not in canonical order"),
        (row(ids=","), "'' is no notice id"),
        (row(ids="a\x7f"), "is no notice id"),
        (row(ids="x" * (NOTICES_LIMIT + 1)), "longer than the"),
        (row(name=""), "without a name"),
        (row(version=""), "without a name"),
        (row(section="é" * (FIELD_LIMIT + 1)), "a field of 513 characters"),
        (row(module="\u2028"), "control character"),
    ],
)
def test_a_body_that_is_no_offers_slice_is_refused(body, complaint):
    """As for sets, and numbers and notice ids must be written as we write them."""
    with pytest.raises(MalformedFacts, match=complaint):
        OffersSlice.parse(body)


@pytest.mark.parametrize(
    "offer",
    [
        Offer("a", "amd64", "1", notices=("a,b",)),
        Offer("a", "amd64", "1", notices=("",)),
        Offer("a", "amd64", "1", build_time=-1),
        Offer("a", "amd64", "1", build_time=BUILD_TIME_LIMIT),
        Offer("a", "amd64", "1\tx"),
    ],
)
def test_an_offer_that_would_be_read_back_differently_is_refused(offer):
    """Two slices that differ never have one digest."""
    with pytest.raises(MalformedFacts):
        OffersSlice.of(Manager.APT, MAIN, [offer])


def test_a_body_is_refused_by_size_before_it_is_read():
    """The limit holds for any bytes."""
    with pytest.raises(MalformedFacts, match="more than the"):
        PackageSet.parse(b"\xff" * (FACTS_LIMIT_BYTES + 1))


def test_the_number_of_rows_is_limited(monkeypatch):
    """Sets and slices alike."""
    monkeypatch.setattr(package_module, "ROWS_LIMIT", 1)
    PackageSet.of(Manager.APT, [OPENSSL])
    with pytest.raises(MalformedFacts, match="2 rows, more than the 1 allowed"):
        PackageSet.of(Manager.APT, [OPENSSL, OPENSSL._replace(arch="i386")])
    with pytest.raises(MalformedFacts, match="2 rows, more than the 1 allowed"):
        OffersSlice.of(Manager.APT, MAIN, [Offer("a", "amd64", "1"), Offer("a", "amd64", "2")])


@pytest.mark.parametrize(
    ("read", "body", "message"),
    [
        (PackageSet.parse, b"set1\tapt\n" + b"\n" * 3_000_000, "3000000 rows, more than the"),
        (PackageSet.parse, b"set1\tapt\n" + b"\t" * 10_000_000 + b"\n", "a line of more fields"),
        (PackageSet.parse, b"set1" + b"\t" * 10_000_000 + b"\n", "does not start as"),
        (OffersSlice.parse, SLICE.replace(b"RLSA-2026:1", b"," * 10_000_000), "longer than the 32768 characters"),
    ],
    ids=["rows", "fields", "header", "notices"],
)
def test_a_body_that_would_grow_in_memory_is_refused_before_it_is_taken_apart(read, body, message):
    """Every separator costs an object of fifty bytes and more: a few kilobytes on the wire would fill the server's memory."""
    tracemalloc.start()
    try:
        with pytest.raises(MalformedFacts, match=message):
            read(body)
        assert tracemalloc.get_traced_memory()[1] < 5 * len(body)
    finally:
        tracemalloc.stop()


def test_versions_side_by_side_share_a_key():
    """Kernels on rpm systems."""
    kernels = [Package("kernel", "x86_64", version) for version in ("5.14-1", "5.14-2")]
    made = PackageSet.of(Manager.DNF, [*kernels, Package("bash", "x86_64", "5-1")])

    assert made.by_key() == {"kernel.x86_64": tuple(kernels), "bash.x86_64": (Package("bash", "x86_64", "5-1"),)}


@pytest.mark.parametrize(
    ("origin", "security"),
    [
        (SECURITY, True),
        (MAIN, False),
        (Origin("Debian", "Debian-Security", "oldoldstable", "buster/updates", "updates/main"), True),
        (Origin("Debian", "Other", "", "bookworm-security"), True),
        (Origin("Ubuntu", "Ubuntu", "jammy-security", "jammy", "main"), True),
        (Origin("Ubuntu", "Ubuntu", "jammy-updates", "jammy", "main"), False),
        (Origin("Raspbian", "Raspbian", "bookworm-security", "bookworm"), True),
        (Origin("Example", "Example", "jammy-security", "jammy"), False),
        (Origin(), False),
    ],
)
def test_a_security_archive_is_known_by_who_publishes_it(origin, security):
    """A third party's suite that merely calls itself security is none."""
    assert origin.is_security is security


def test_a_body_is_bound_to_its_digest():
    """The right body passes; another body, another format and a bare hash do not."""
    check_digest("set1:" + hashlib.sha256(SET).hexdigest(), SET)
    for claimed in ("set1:" + "0" * 64, hashlib.sha256(SET).hexdigest(), ""):
        with pytest.raises(DigestMismatch) as caught:
            check_digest(claimed, SET)
        assert caught.value.claimed == claimed


@pytest.mark.parametrize(
    ("manager", "namespace", "expected"),
    [
        (Manager.APT, "debian", "pkg:deb/debian/openssl@3.0.15-1?arch=amd64"),
        (Manager.DNF, "", "pkg:rpm/openssl@3.0.15-1?arch=amd64"),
        (Manager.ZYPPER, "suse", "pkg:rpm/suse/openssl@3.0.15-1?arch=amd64"),
    ],
)
def test_a_package_has_a_purl(manager, namespace, expected):
    """Type by manager, namespace only where given."""
    assert purl(manager, OPENSSL, namespace=namespace) == expected


def test_a_purl_escapes_what_an_address_may_not_hold():
    """Plus signs and carets of versions, not the colon after an epoch."""
    package = Package("libstdc++6", "amd64", "1:12.2.0-14+deb12u1^git~é")

    assert purl(Manager.APT, package) == "pkg:deb/libstdc%2B%2B6@1:12.2.0-14%2Bdeb12u1%5Egit~%C3%A9?arch=amd64"
