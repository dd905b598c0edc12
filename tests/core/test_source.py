# SPDX-License-Identifier: Apache-2.0
"""Sources: their wire form, what is refused of it, and the digest that facts taken with them carry."""

from __future__ import annotations

import pytest

from patchwright.core import source
from patchwright.core.errors import MalformedMessage
from patchwright.core.facts import NodeFacts
from patchwright.core.protocol import Begun, RebootOption
from patchwright.core.source import Source

OURS = Source("ours", "deb https://user:hush@example.org stable main")
THEIRS = Source("theirs", "deb https://example.net stable main")


def test_the_answer_to_begin_carries_them():
    """They read back as they were said; an answer without any, as servers of the first protocol give it, has none."""
    begun = Begun("o-1", "Scan", "s-1", RebootOption.NO_REBOOT, (OURS, THEIRS))
    assert Begun.from_json(begun.to_json()) == begun

    data = begun.to_json()
    del data["Sources"]
    assert Begun.from_json(data).sources == ()


@pytest.mark.parametrize(
    "data",
    [
        None,
        {},
        "deb",
        ["deb"],
        [{}],
        [{"Name": "x"}],
        [{"Name": "x", "Configuration": 7}],
        [{"Name": "", "Configuration": "deb"}],
        [{"Name": "x", "Configuration": ""}],
        [{"Name": "x", "Configuration": "y" * 1025}],
        [{"Name": "x", "Configuration": "y"}] * 21,
    ],
)
def test_anything_else_is_refused(data):
    """Mistyped members, too many, too long."""
    with pytest.raises(MalformedMessage):
        source.from_json(data)


def test_the_digest_names_names_texts_and_their_order():
    """No sources have the empty digest; whatever differs gives another one, wherever it stands."""
    digests = {
        source.digest(some)
        for some in ((), (OURS,), (THEIRS,), (OURS, THEIRS), (THEIRS, OURS), (OURS._replace(name="x"),))
    }
    assert len(digests) == 6
    assert source.digest(()) == ""
    assert source.digest((OURS,)) == source.digest([Source(*OURS)])


def test_what_may_be_secret_is_not_shown():
    """Neither alone nor inside of what holds it."""
    begun = Begun("o-1", "Scan", "s-1", RebootOption.NO_REBOOT, (OURS,))
    assert "hush" not in f"{OURS!r} {OURS} {begun!r} {source.digest([OURS])}"


def test_facts_say_with_which_they_were_taken():
    """The digest is a fact; facts of agents that knew no sources were taken with the node's own repositories."""
    data = {"manager": "apt", "operating_system": "DEBIAN", "product": "Debian12", "package_set": "set1:0"}
    assert NodeFacts.from_json(data).sources == ""
    facts = NodeFacts.from_json({**data, "sources": source.digest((OURS,))})
    assert NodeFacts.from_json(facts.to_json()) == facts
    assert facts.sources == source.digest((OURS,))
