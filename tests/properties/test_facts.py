# SPDX-License-Identifier: Apache-2.0
"""Digests, canonical forms and hostile bodies: one content, one digest, one error."""

from __future__ import annotations

import contextlib
import json
import random

from hypothesis import example, given
from hypothesis import strategies as st

from patchwright.core.advisory import Notice
from patchwright.core.baseline import decide
from patchwright.core.compliance import judge
from patchwright.core.errors import MalformedFacts
from patchwright.core.facts import NodeFacts, Pin, RepositoryProblem, SliceRef, View
from patchwright.core.package import (
    Manager,
    Offer,
    OffersSlice,
    Origin,
    Package,
    PackageSet,
    PackageState,
    check_digest,
)
from patchwright.core.system import Family, OperatingSystem
from properties.generated import TODAY, case

WORDS = st.text(st.characters(exclude_categories=["C", "Z"]) | st.just(" "), max_size=8)
NAMED = WORDS.filter(bool)
SHORT = st.sampled_from(["a", "b", "1", "2"])
PACKAGES = st.builds(
    Package, SHORT | NAMED, SHORT | NAMED, SHORT | NAMED, st.sampled_from([state.value for state in PackageState])
)
IDS = st.lists(NAMED.filter(lambda text: "," not in text), max_size=3).map(tuple)
OFFERS = st.builds(
    Offer, SHORT | NAMED, SHORT, SHORT, WORDS, WORDS, st.integers(0, 253_402_300_799) | st.just(0), WORDS, IDS
)
MANAGERS = st.sampled_from(Manager)
MANAGER_OF = {Family.APT: Manager.APT, Family.RPM: Manager.DNF, Family.ZYPP: Manager.ZYPPER}
ORIGINS = st.builds(Origin, WORDS, WORDS, WORDS, WORDS, WORDS)
SETS = st.builds(PackageSet.of, MANAGERS, st.lists(PACKAGES, max_size=5))
SLICES = st.builds(OffersSlice.of, MANAGERS, ORIGINS, st.lists(OFFERS, max_size=5))
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
DAYS = st.just("") | st.dates().map(str)
NOTICES = st.builds(
    Notice,
    NAMED.filter(lambda text: "," not in text),
    TEXTS,
    TEXTS,
    TEXTS,
    issued=DAYS,
    updated=DAYS,
    cves=st.lists(TEXTS, max_size=2).map(tuple),
    bugzillas=st.lists(TEXTS, max_size=2).map(tuple),
    reboot_suggested=st.booleans(),
    packages=st.lists(st.tuples(SHORT | NAMED, SHORT | NAMED, SHORT | NAMED), max_size=3).map(tuple),
)
SECONDS = st.floats(-1e12, 1e12)
FACTS = st.builds(
    NodeFacts,
    MANAGERS,
    st.sampled_from(OperatingSystem),
    TEXTS,
    TEXTS,
    slices=st.lists(st.builds(SliceRef, TEXTS, st.integers(-(2**31), 2**31 - 1), TEXTS), max_size=2).map(tuple),
    notices=st.lists(TEXTS, max_size=2).map(tuple),
    pins=st.lists(st.builds(Pin, TEXTS, TEXTS, st.integers(-1, 1001)), max_size=2).map(tuple),
    boot_id=TEXTS,
    held=st.lists(TEXTS, max_size=2).map(tuple),
    problems=st.lists(st.builds(RepositoryProblem, TEXTS, TEXTS), max_size=2).map(tuple),
    refreshed_at=SECONDS,
    observed_at=SECONDS,
    clock_offset=SECONDS,
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
READERS = [PackageSet.parse, OffersSlice.parse, Notice.parse]


@given(SETS | SLICES | NOTICES)
def test_a_canonical_form_is_read_back_as_it_was(made: PackageSet | OffersSlice | Notice) -> None:
    """And its digest names it."""
    body = made.canonical()

    assert type(made).parse(body) == made
    check_digest(made.digest, body)


@given(st.lists(SETS | SLICES | NOTICES, min_size=2, max_size=4))
def test_digests_are_equal_exactly_where_contents_are(made: list) -> None:
    """Among sets, slices and notices."""
    for one in made:
        for other in made:
            assert (one.digest == other.digest) == (one == other)


@given(st.lists(PACKAGES, max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_a_set_makes_no_difference(packages: list[Package], source: random.Random) -> None:
    """Nor do repetitions."""
    mixed = source.sample(packages * 2, len(packages) * 2)

    assert PackageSet.of(Manager.APT, mixed).digest == PackageSet.of(Manager.APT, packages).digest


def broken(body: bytes, source: random.Random) -> bytes:
    """*body* with a few bytes put in, taken away or replaced."""
    data = bytearray(body)
    for _ in range(source.randint(1, 3)):
        at = source.randint(0, len(data))
        piece = source.choice(
            [b"\t", b"\n", b"\0", b"\xff", b",", b"a", b"9", b'"', b"{", b"[", b"\\ud800", b"\xe2\x80\xa8"]
        )
        data[at : at + source.randint(0, 2)] = piece
    return bytes(data)


@given(st.binary(max_size=60))
@example(b"[" * 100_000)
@example(b'{"id":' * 50_000)
def test_bytes_at_random_raise_malformed_facts_only(body: bytes) -> None:
    """Whoever reads them."""
    for read in READERS:
        with contextlib.suppress(MalformedFacts):
            assert read(body).canonical() == body


@given(SETS | SLICES | NOTICES, st.randoms(use_true_random=False))
def test_a_damaged_body_is_refused_or_is_another_one(
    made: PackageSet | OffersSlice | Notice, source: random.Random
) -> None:
    """What is read at all is exactly what was sent."""
    body = broken(made.canonical(), source)
    with contextlib.suppress(MalformedFacts):
        assert type(made).parse(body).canonical() == body


@given(
    st.lists(OFFERS, max_size=4), st.lists(PACKAGES, max_size=4), st.lists(NOTICES, max_size=2), st.integers(0, 10**6)
)
def test_whatever_is_read_can_be_judged(
    offers: list[Offer], packages: list[Package], notices: list[Notice], number: int
) -> None:
    """A body that passes its reader never fails a decision, however odd its versions and days."""
    baseline = case(random.Random(number)).baseline
    manager = MANAGER_OF[baseline.operating_system.family]
    ids = tuple(sorted({notice.id for notice in notices}))
    named = [offer._replace(notices=ids) for offer in offers]
    part = OffersSlice.parse(OffersSlice.of(manager, Origin("Debian"), named).canonical())
    made = PackageSet.parse(PackageSet.of(manager, packages).canonical())
    facts = NodeFacts(manager, baseline.operating_system, "", made.digest, (SliceRef(part.digest),))
    view = View(facts, made, (part,), {notice.id: Notice.parse(notice.canonical()) for notice in notices})
    judgement = judge(baseline, view, lambda patch: decide(baseline, patch, TODAY))

    if manager is Manager.ZYPPER:
        assert len(judgement.items) <= len({*notices}) + len({package.key for package in packages})
    else:
        assert len(judgement.items) == len({package.key for package in packages})


@given(FACTS)
def test_facts_are_read_back_as_they_were(facts: NodeFacts) -> None:
    """Through JSON text, with a member of a later version beside them."""
    data = json.loads(json.dumps({**facts.to_json(), "later": [1]}))

    assert NodeFacts.from_json(data) == facts


@given(FACTS, st.data())
def test_facts_with_any_other_value_in_them_raise_malformed_facts_only(facts: NodeFacts, data: st.DataObject) -> None:
    """In a member, or in a member of an entry."""
    wire = json.loads(json.dumps(facts.to_json()))
    name = data.draw(st.sampled_from(sorted(wire)))
    value = data.draw(JSON)
    entries = wire[name]
    if isinstance(entries, list) and entries and isinstance(entries[0], dict) and data.draw(st.booleans()):
        entries[0][data.draw(st.sampled_from(sorted(entries[0])))] = value
    else:
        wire[name] = value
    with contextlib.suppress(MalformedFacts):
        read = NodeFacts.from_json(wire)
        assert NodeFacts.from_json(json.loads(json.dumps(read.to_json()))) == read


@given(JSON)
def test_any_json_raises_malformed_facts_only(data: object) -> None:
    """No object at all, or an object of anything."""
    with contextlib.suppress(MalformedFacts):
        NodeFacts.from_json(data)
