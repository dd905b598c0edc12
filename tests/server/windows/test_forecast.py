# SPDX-License-Identifier: Apache-2.0
"""Whether what a window does fits into it: percentiles, what a node does, and the order in which nodes begin."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchwright.server.windows.forecast import (
    Basis,
    Bounds,
    Due,
    Errand,
    Length,
    Parts,
    Past,
    Round,
    Task,
    Verdict,
    errand,
    expected,
    foretell,
    length_of,
    parts,
    ranked,
    schedule,
    usual,
)

HOUR = 3600.0
WIDE = Bounds(cutoff=2 * HOUR, closes=3 * HOUR)
SECONDS = st.floats(0.0, 1e5, allow_nan=False)
NEEDS = st.lists(SECONDS, max_size=12)


def due(*lengths):
    """Nodes that take so long, None: nobody knows."""
    return [
        Due(f"n-{number}", None) if length is None else Due(f"n-{number}", Length(*length), Basis.OWN)
        for number, length in enumerate(lengths)
    ]


def patching(*rounds, at_once=1, priority=1, cancels=False):
    """A task that patches the nodes of some rounds."""
    return Task(f"task-{priority}", priority, [Round(nodes, at_once) for nodes in rounds], cancels=cancels)


def verdicts(outlook):
    """Of each node, in order."""
    return [one.verdict.value for one in outlook.nodes]


def starts(outlook):
    """When each node begins at the latest."""
    return [one.starts for one in outlook.nodes]


@pytest.mark.parametrize(
    ("values", "p50", "p95"),
    [
        ([7.0], 7.0, 7.0),
        ([3.0, 1.0], 1.0, 3.0),
        ([5.0, 1.0, 3.0], 3.0, 5.0),
        ([float(number) for number in range(1, 21)], 10.0, 19.0),  # one in twenty may be anything
        ([float(number) for number in range(1, 101)], 50.0, 95.0),
    ],
)
def test_percentiles_are_values_that_were_seen(values, p50, p95):
    """Nearest rank: the smallest value that so many percent do not exceed."""
    assert length_of(values) == Length(p50, p95)


@given(st.lists(SECONDS, min_size=1, max_size=40), st.integers(1, 100))
def test_a_percentile_is_the_smallest_that_is_enough(values, percent):
    """So many percent of the values are at most it, and of nothing smaller."""
    found = ranked(values, percent)

    assert found in values
    assert sum(one <= found for one in values) * 100 >= percent * len(values)
    assert sum(one < found for one in values) * 100 < percent * len(values)


@pytest.mark.parametrize(
    ("values", "counts"),
    [
        ([60.0, 60.0, 60.0, 60.0, 86_400.0], [60.0] * 4),  # switched off for a day, once
        ([86_400.0, 60.0, 60.0, 86_400.0, 60.0], None),  # twice is a habit
        ([60.0, 60.0, 60.0, 86_400.0], None),  # too few to tell
        ([10.0, 20.0, 30.0, 40.0, 160.0], None),
        ([10.0, 20.0, 30.0, 40.0, 160.1], [10.0, 20.0, 30.0, 40.0]),
        ([0.0] * 5, None),
    ],
)
def test_one_that_is_far_beyond_all_others_does_not_count(values, counts):
    """From five on the largest is left out where it is more than four times the next one."""
    assert list(usual(values)) == (values if counts is None else counts)
    assert expected(Parts(1), Past(values), [None] * 3)[0].p95 == max(values if counts is None else counts)


@pytest.mark.parametrize(
    ("document", "parameters", "asked"),
    [
        ("AWS-RunPatchBaseline", {"Operation": ["Scan"]}, Errand(False, False, False)),
        ("AWS-RunPatchBaseline", {"Operation": ["Install"]}, Errand(True, True, False)),
        ("AWS-RunPatchBaseline", {"Operation": ["Install"], "RebootOption": ["NoReboot"]}, Errand(True, False, False)),
        ("arn:aws:ssm:us-east-1::document/AWS-RunPatchBaselineWithHooks", {"Operation": ["Install"]}, Errand(True, True, True)),
        ("AWS-RunShellScript", {"commands": ["true"]}, None),
        ("AWS-RunPatchBaseline", {}, Errand(False, False, False)),
    ],
)  # fmt: skip
def test_what_a_command_asks_is_read_from_its_document(document, parameters, asked):
    """Known are the documents that patch, by name or ARN."""
    assert errand(document, parameters) == asked


@pytest.mark.parametrize(
    ("asked", "missing", "pending", "does"),
    [
        (Errand(False, False, False), 9, 9, Parts(1)),
        (Errand(True, True, False), 0, 0, Parts(1)),  # nothing is due: it only looks
        (Errand(True, True, False), 2, 0, Parts(1, 1, 1)),
        (Errand(True, False, False), 2, 1, Parts(1, 1)),
        (Errand(True, True, False), 0, 1, Parts(1, 0, 1)),
        (Errand(True, False, False), 0, 1, Parts(1)),
        (Errand(False, False, True), 2, 2, Parts(1)),
        (Errand(True, True, True), 0, 0, Parts(1)),
        (Errand(True, True, True), 2, 0, Parts(3, 1, 1)),
        (Errand(True, False, True), 2, 0, Parts(2, 1)),
        (Errand(True, True, True), 0, 1, Parts(3, 0, 1)),
    ],
)
def test_a_node_does_what_is_due_on_it(asked, missing, pending, does):
    """A Scan scans; an Install installs what is missing, and restarts for what was installed or waits for that."""
    assert parts(asked, missing=missing, pending=pending) == does


def test_a_nodes_own_history_goes_before_that_of_its_like():
    """Three runs of a kind are enough; below that those of its operating system count, and without any nothing is known."""
    own = Past([2.0, 2.0, 4.0], [100.0], [])
    like = [Length(9.0, 9.0), Length(50.0, 80.0), Length(20.0, 30.0)]

    assert expected(Parts(1), own, like) == (Length(2.0, 4.0), Basis.OWN)
    assert expected(Parts(1, 1, 1), own, like) == (Length(72.0, 114.0), Basis.PLATFORM)
    assert expected(Parts(3, 0, 1), own, like) == (Length(26.0, 42.0), Basis.PLATFORM)
    assert expected(Parts(1, 1, 1), own, [None, None, None]) == (None, Basis.NONE)
    assert expected(Parts(1), own, [None, None, None]) == (Length(2.0, 4.0), Basis.OWN)


def test_nodes_begin_in_their_order_as_places_get_free():
    """Two at a time: the third begins when the first of them has ended."""
    assert schedule([10.0, 4.0, 3.0, 3.0], 2, 100.0) == [100.0, 100.0, 104.0, 107.0]


@given(NEEDS, st.integers(1, 6), SECONDS)
def test_more_at_once_is_never_later(needs, at_once, begins):
    """One more place lets no node begin later."""
    fewer, more = schedule(needs, at_once, begins), schedule(needs, at_once + 1, begins)

    assert all(one >= other for one, other in zip(fewer, more, strict=True))


@given(st.lists(st.tuples(SECONDS, SECONDS), max_size=12), st.integers(1, 6))
def test_longer_work_is_never_earlier(both, at_once):
    """Where each node takes as long as before, or longer, none begins earlier."""
    shorter = schedule([min(pair) for pair in both], at_once, 0.0)
    longer = schedule([max(pair) for pair in both], at_once, 0.0)

    assert all(one <= other for one, other in zip(shorter, longer, strict=True))


@given(NEEDS, st.integers(1, 6), SECONDS)
def test_no_more_are_under_way_than_may_be_and_no_place_is_left_free(needs, at_once, begins):
    """When one begins there is a place, and had there been one before it would have begun then."""
    found = schedule(needs, at_once, begins)
    spans = [(start, start + need) for start, need in zip(found, needs, strict=True)]

    assert found == sorted(found)
    for place, start in enumerate(found):
        under_way = sum(one <= start < end for one, end in spans[:place])
        assert under_way < at_once
        assert start == begins or any(end == start for _, end in spans[:place])


def test_what_ends_in_time_fits():
    """A node fits that begins before the cutoff, and has ended when the window closes."""
    lengths = [(1 * HOUR, 1.5 * HOUR), (0.4 * HOUR, 0.6 * HOUR), (10.0, 10.0), (10.0, 0.9 * HOUR)]
    (told,) = foretell([patching(due(*lengths), at_once=1)], WIDE)

    assert starts(told) == [0.0, 1.5 * HOUR, 2.1 * HOUR, pytest.approx(2.1 * HOUR + 10.0)]
    assert verdicts(told) == ["FITS", "FITS", "DOES_NOT_FIT", "DOES_NOT_FIT"]  # these begin behind the cutoff
    assert told.ends == Length(pytest.approx(1.4 * HOUR + 20.0), pytest.approx(3.0 * HOUR + 10.0))


def test_what_begins_in_time_and_ends_late_does_not_fit():
    """The cutoff lets it begin, the end of the window comes too early."""
    (told,) = foretell([patching(due((1.0, 3 * HOUR), (1.0, 3 * HOUR + 1.0)), at_once=2)], WIDE)

    assert verdicts(told) == ["FITS", "DOES_NOT_FIT"]


def test_tasks_come_by_priority_and_side_by_side():
    """Those of one priority begin together; the next begin when the last of them has ended."""
    first, beside = patching(due((10.0, 20.0))), patching(due((30.0, 40.0)))
    after = patching(due((1.0, 2.0)), priority=5)
    told = foretell([after, first, beside], WIDE)

    assert [one.starts for one in told] == [0.0, 0.0, 40.0]
    assert [one.ends for one in told] == [Length(10.0, 20.0), Length(30.0, 40.0), Length(31.0, 42.0)]


def test_registrations_of_one_task_come_one_after_the_other():
    """The second begins when the last node of the first has ended, with places of its own."""
    (told,) = foretell([patching(due((1.0, 10.0), (1.0, 30.0)), due((1.0, 5.0)), at_once=2)], WIDE)

    assert starts(told) == [0.0, 0.0, 30.0]


def test_a_task_behind_the_cutoff_is_not_begun():
    """What comes after a task that ends behind the cutoff does not fit, known or not."""
    long, late = patching(due((1.0, 2 * HOUR))), patching(due((1.0, 1.0), None), priority=2)
    told = foretell([long, late], WIDE)

    assert verdicts(told[0]) == ["FITS"]
    assert (told[1].starts, told[1].ends, verdicts(told[1])) == (None, None, ["DOES_NOT_FIT"] * 2)


def test_a_task_that_is_cancelled_at_the_cutoff_begins_nothing_then():
    """It ends at the cutoff, with what had begun still under way."""
    (told,) = foretell([patching(due((1.0, 2.5 * HOUR), (1.0, 1.0)), cancels=True)], WIDE)

    assert starts(told) == [0.0, None]
    assert verdicts(told) == ["FITS", "DOES_NOT_FIT"]
    assert told.ends == Length(2.0, WIDE.cutoff)


def test_a_node_of_which_nothing_is_known_counts_as_the_slowest_of_its_task():
    """It is said to be unknown; those behind it are told as if it took what nineteen in twenty of the others take."""
    (told,) = foretell([patching(due(None, (10.0, 20.0), (5.0, 30.0)))], WIDE)

    assert starts(told) == [0.0, 30.0, 50.0]
    assert verdicts(told) == ["UNKNOWN", "FITS", "FITS"]
    assert told.certain


def test_behind_a_task_of_which_nothing_is_known_only_the_worst_is_certain():
    """What would not fit even if that took no time does not fit; whether the rest does nobody knows."""
    unknown = Task("script", 0, patches=False)
    told = foretell([unknown, patching(due((1.0, 4 * HOUR), (1.0, 1.0)), at_once=2)], WIDE)

    assert not told[0].certain
    assert verdicts(told[1]) == ["DOES_NOT_FIT", "UNKNOWN"]
    assert verdicts(foretell([patching(due(None))], WIDE)[0]) == ["UNKNOWN"]
    nobody = patching([], priority=0)
    assert verdicts(foretell([nobody, patching(due((1.0, 1.0)))], WIDE)[1]) == ["FITS"]


def test_another_task_takes_as_long_as_it_took_before():
    """Of a task that is no patching the whole counts."""
    script = Task("script", 0, whole=Length(60.0, 600.0), patches=False)
    told = foretell([script, patching(due((1.0, 2.0)))], WIDE)

    assert [one.ends for one in told] == [Length(60.0, 600.0), Length(61.0, 602.0)]
    assert told[1].starts == 600.0
    late = Task("late", 2, whole=Length(1.0, 1.0), patches=False)
    assert foretell([Task("slow", 1, whole=Length(1.0, 2 * HOUR), patches=False), late], WIDE)[1].ends is None


def test_where_late_work_is_refused_the_next_node_takes_the_place():
    """What would end behind the window is not begun and takes no time; a node that nobody knows is begun until it closes."""
    bounds = WIDE._replace(refuses=True)
    nodes = due((1.0, 2 * HOUR), (1.0, 1.5 * HOUR), (1.0, 0.5 * HOUR), None, None)
    (told,) = foretell([patching(nodes)], bounds)

    assert starts(told) == [0.0, None, 2 * HOUR, 2.5 * HOUR, None]
    assert verdicts(told) == ["FITS", "DOES_NOT_FIT", "DOES_NOT_FIT", "DOES_NOT_FIT", "DOES_NOT_FIT"]


@given(
    st.lists(st.one_of(st.none(), st.tuples(SECONDS, SECONDS).map(sorted)), max_size=10),
    st.integers(1, 4),
    st.booleans(),
    st.booleans(),
)
def test_every_node_has_one_verdict_that_its_times_bear_out(lengths, at_once, cancels, refuses):
    """What fits begins before the cutoff and ends by the close; what is refused would not have."""
    bounds = WIDE._replace(refuses=refuses)
    (told,) = foretell([patching(due(*lengths), at_once=at_once, cancels=cancels)], bounds)

    assert len(told.nodes) == len(lengths)
    for one in told.nodes:
        if one.verdict is Verdict.FITS:
            assert one.starts < bounds.cutoff
            assert one.ends <= bounds.closes
        elif one.verdict is Verdict.UNKNOWN:
            assert one.due.length is None
        elif one.starts is not None:
            assert one.starts >= bounds.cutoff or one.ends > bounds.closes
            assert not (cancels and one.starts >= bounds.cutoff)
        if refuses and one.starts is not None and one.due.length is not None:
            assert one.starts + one.due.length.p95 <= math.nextafter(bounds.closes, math.inf)
