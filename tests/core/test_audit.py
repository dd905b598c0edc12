# SPDX-License-Identifier: Apache-2.0
"""The chain of the audit trail: whatever is changed afterwards is found."""

from __future__ import annotations

import contextlib
import json
import os
import random
from dataclasses import replace

import pytest

from patchwright.core.audit import (
    CUT,
    CUTTER,
    GENESIS,
    Chain,
    Entry,
    Foreign,
    Head,
    MalformedTrail,
    Marked,
    Seal,
    cut_of,
    entry_id,
    line_of,
    read_lines,
    sealed,
)

START = 1_800_000_000.0


def entry(number, *, at=None, **more):
    """An entry; all members differ from number to number."""
    at = START + number if at is None else at
    made = Entry(
        id=entry_id(at, f"{number:012x}"),
        account="000000000001",
        region="us-east-1",
        at=at,
        since=at,
        calls=1,
        principal=f"arn:aws:iam::000000000001:user/{number}",
        key_id=f"AKIA{number}",
        source_ip="192.0.2.1",
        target="AmazonSSM.PutParameter",
        resources=(f"/app/{number}", "ü \u2028"),
        request_id=f"{number:036}",
        result="Succeeded",
    )
    return Marked(replace(made, **more), f"{number:064x}")


def trail(seals=4, each=3):
    """A chain of seals with their entries."""
    made, previous = [], GENESIS
    for number in range(1, seals + 1):
        members = [entry(number * 100 + place) for place in range(each)]
        moment = START + number * 100 + 50
        found = sealed(number, moment, previous, members)
        made.append((Seal(number, moment, each, previous, found, "m"), members))
        previous = found
    return made


def problems(parts, *, before=None, trusted=()):
    """What a chain finds in *parts*."""
    chain = Chain(before, trusted=trusted)
    return [one for seal, members in parts for one in chain.take(seal, members)] + chain.end()


def test_a_trail_as_it_was_written_has_no_findings():
    """From its beginning, and from any seal on."""
    parts = trail()

    assert problems(parts) == []
    assert problems(parts[2:], before=parts[1][0]) == []
    assert problems(parts, trusted=[Head(2, parts[1][0].hash), Head(4, parts[3][0].hash)]) == []


@pytest.mark.parametrize(
    "name",
    list(Entry.__annotations__),
)
def test_an_edit_of_any_member_of_any_entry_is_found(name):
    """And the seal it is under is named."""
    for place in range(3):
        parts = trail()
        one = parts[1][1][place]
        value = getattr(one.entry, name)
        changed = (*value, "x") if isinstance(value, tuple) else f"{value}x" if isinstance(value, str) else value + 1
        parts[1][1][place] = one._replace(entry=replace(one.entry, **{name: changed}))

        assert {found.seal for found in problems(parts)} == {2}


def test_an_edited_mark_is_found():
    """Marks are hashed like everything else, so that one cannot be put in the place of another."""
    parts = trail()
    parts[1][1][0] = parts[1][1][0]._replace(mark="f" * 64)

    assert [found.problem for found in problems(parts)] == ["edited: its entries are not those it was made over"]


def test_a_removed_entry_is_counted():
    """The first, the last, or one between."""
    for place in range(3):
        parts = trail()
        del parts[1][1][place]

        assert [found.problem for found in problems(parts)] == ["removed: 1 of its 3 entries are gone"]


def test_an_added_entry_is_counted():
    """Whatever it says."""
    parts = trail()
    parts[1][1].append(entry(299))

    assert [found.problem for found in problems(parts)] == ["added: it has 4 entries, and was made over 3"]


def test_a_removed_seal_is_missed():
    """With its entries; the first one too."""
    for place in range(3):
        parts = trail()
        del parts[place]
        assert problems(parts)[0].problem == f"removed or reordered: seal {place + 1} should come here"


def test_reordered_seals_are_found():
    """Whether they keep their numbers or not."""
    parts = trail()
    parts[1], parts[2] = parts[2], parts[1]
    assert "removed or reordered: seal 2 should come here" in [found.problem for found in problems(parts)]

    renumbered = [(seal._replace(number=number), members) for number, (seal, members) in enumerate(parts, 1)]
    assert problems(renumbered)


def test_swapped_entries_are_found():
    """Within a seal, and between two."""
    parts = trail()
    members = parts[1][1]
    members[0], members[1] = members[1], members[0]
    assert problems(parts)

    parts = trail()
    parts[1][1][0], parts[2][1][0] = parts[2][1][0], parts[1][1][0]
    assert {found.seal for found in problems(parts)} >= {2, 3}


def test_a_chain_that_was_written_anew_is_not_the_one_that_was_written_down():
    """Who has every key can make a chain that holds; the head that somebody kept is not in it."""
    kept = Head(4, trail()[3][0].hash)
    forged, previous = [], GENESIS
    for seal, members in trail():
        members[0] = members[0]._replace(entry=replace(members[0].entry, principal="somebody else"))
        found = sealed(seal.number, seal.sealed_at, previous, members)
        forged.append((seal._replace(previous=previous, hash=found), members))
        previous = found

    assert problems(forged) == []
    assert [found.problem for found in problems(forged, trusted=[kept])] == [
        "edited: it is not the seal that was written down"
    ]


def test_a_trail_that_was_cut_off_does_not_reach_what_was_written_down():
    """And nothing else tells it from a short one."""
    parts = trail()
    kept = Head(4, parts[3][0].hash)

    assert problems(parts[:3]) == []
    (found,) = problems(parts[:3], trusted=[kept])
    assert found == (3, "", "removed: the trail ends here, and is known to reach seal 4")
    assert problems([], trusted=[kept])


def test_a_back_dated_entry_is_found_even_where_everything_else_holds():
    """Older than the seal before its own, by more than clocks and transactions explain."""
    parts = trail(2)
    last = parts[1][0].sealed_at
    for late, expected in ((-299.0, 0), (-301.0, 1)):
        one = entry(1, at=last + late)
        found = sealed(3, last + 100, parts[1][0].hash, [one])
        seal = Seal(3, last + 100, 1, parts[1][0].hash, found, "m")
        assert len(problems([*parts, (seal, [one])])) == expected
    assert "back-dated" in problems([*parts, (seal, [one])])[0].problem


def test_entries_and_seals_of_another_time_are_found():
    """From the future, and a seal older than the one before it."""
    parts = trail(1)
    seal, members = parts[0]
    early = sealed(1, START - 10_000, GENESIS, members)
    assert "post-dated" in problems([(seal._replace(sealed_at=START - 10_000, hash=early), members)])[0].problem

    late = sealed(2, START, seal.hash, [])
    assert "back-dated" in problems([parts[0], (Seal(2, START, 0, seal.hash, late, "m"), [])])[0].problem


def test_an_export_says_the_same_as_the_trail():
    """Line by line; of other accounts' entries the hash alone holds the chain together."""
    parts = trail()
    lines = []
    for seal, members in parts:
        lines += [line_of(one if place else Foreign(one.hash)) for place, one in enumerate(members)]
        lines.append(line_of(seal))

    read = list(read_lines(iter(lines)))

    assert [seal for seal, _ in read] == [seal for seal, _ in parts]
    assert [members[1:] for _, members in read] == [members[1:] for _, members in parts]
    assert problems(read) == []
    assert all(len(line.splitlines()) == 1 for line in lines)


def test_whatever_is_changed_in_an_export_is_found():
    """One character of it, drawn by the seed: a finding, or a line that cannot be read."""
    dice = random.Random(int(os.environ.get("PATCHWRIGHT_SEED", "1")))
    lines = [line_of(part) for seal, members in trail() for part in (*members, seal)]
    head = Head(4, trail()[3][0].hash)
    for _ in range(2000 if os.environ.get("PATCHWRIGHT_FULL") == "1" else 300):
        place = dice.randrange(len(lines))
        said = json.loads(lines[place])
        name = dice.choice(sorted(set(said) - {"kind", *(["mark"] if said["kind"] == "seal" else [])}))
        text = json.dumps(said[name])
        spot = dice.randrange(len(text))
        changed = text[:spot] + dice.choice("0123456789abcdefx") + text[spot + 1 :]
        line = lines[place].replace(f'"{name}": {text}', f'"{name}": {changed}')
        if line == lines[place]:
            continue
        try:
            same = json.loads(line) == said
        except ValueError:
            same = False
        if same:
            continue
        made = [*lines[:place], line, *lines[place + 1 :]]
        with contextlib.suppress(MalformedTrail):
            assert problems(read_lines(iter(made)), trusted=[head]), (name, text, changed)


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        "1",
        '{"kind": "seal"}',
        '{"kind": "entry"}',
        '{"id": "x"}',
        line_of(entry(1)).replace('"calls": 1', '"calls": true'),
        line_of(entry(1)).replace('"calls": 1', '"calls": "1"'),
        line_of(entry(1)).replace('"result"', '"more": 1, "result"'),
        line_of(trail(1)[0][0]).replace('"number": 1', '"number": "1"'),
    ],
)
def test_lines_that_are_none_are_refused(line):
    """With the number of the line, whatever they hold."""
    with pytest.raises(MalformedTrail, match="line 2 "):
        list(read_lines(iter(["", line])))


def test_an_export_that_ends_within_a_seal_is_refused():
    """It was cut off while it was written."""
    with pytest.raises(MalformedTrail, match="ends within"):
        list(read_lines(iter([line_of(entry(1))])))


@pytest.mark.parametrize(
    "text", ["", "1", "1:", "x:" + "0" * 64, "-1:" + "0" * 64, "1:" + "0" * 63, "9" * 19 + ":" + "0" * 64]
)
def test_a_head_is_a_number_and_a_hash(text):
    """And reads as it is shown."""
    assert Head.parse(str(Head(7, "a" * 64))) == Head(7, "a" * 64)
    with pytest.raises(MalformedTrail):
        Head.parse(text)


def cut_trail(gone, *, told, seals=6, **more):
    """A trail whose last seal has an entry that says that it let go of everything up to seal *told*; *gone* seals are."""
    parts = trail(seals)
    made = parts[told - 1][0]
    says = {"target": CUT, "principal": CUTTER, "resources": (f"{made.number}:{made.hash}",), **more}
    last, members = parts.pop()
    members = [*members, entry(last.number * 100 + 40, **says)]
    found = sealed(last.number, last.sealed_at, last.previous, members)
    return [*parts, (last._replace(entries=len(members), hash=found), members)][gone:]


def test_a_trail_that_says_what_it_has_let_go_of_has_no_findings():
    """Whether all of that is gone already, some of it, or nothing; verified with the entry known beforehand or not."""
    for gone in range(4):
        parts = cut_trail(gone, told=3)
        assert problems(parts) == []
        chain = Chain(cut=Head(3, trail()[2][0].hash))
        assert [one for seal, members in parts for one in (*chain.take(seal, members), *chain.begun())] == []
        assert chain.end() == []


def test_what_is_gone_beyond_what_was_let_go_of_is_found():
    """More seals than were told, one in the middle, and a trail that does not follow the seal that is named."""
    beyond = problems(cut_trail(4, told=3))
    assert beyond == [(5, "", "removed or reordered: seal 4 should come here")]
    first, *rest = cut_trail(1, told=3)
    assert "removed or reordered: seal 3 should come here" in [one.problem for one in problems([first, *rest[1:]])]
    other = cut_trail(3, told=3, resources=(f"3:{'a' * 64}",))
    assert problems(other) == [(4, "", "edited: it does not follow the seal before it")]


@pytest.mark.parametrize(
    "more",
    [
        {"principal": "arn:aws:iam::000000000001:user/x"},
        {"target": "Patchwright.CutAuditTrail"},
        {"result": "AccessDeniedException"},
        {"resources": ()},
        {"resources": ("3",)},
    ],
)
def test_an_entry_of_something_else_lets_nothing_go(more):
    """Its operation, who did it and its result say that it is one, and its resource is a head."""
    assert cut_of(cut_trail(0, told=3, **more)[-1][1][-1].entry) is None
    assert problems(cut_trail(3, told=3, **more))[0].problem == "removed or reordered: seal 1 should come here"


def test_a_cut_that_names_a_seal_to_come_lets_nothing_go():
    """It was written before that one was made."""
    parts = cut_trail(3, told=3, resources=(f"9:{'a' * 64}",))
    assert problems(parts)[0].problem == "removed or reordered: seal 1 should come here"
