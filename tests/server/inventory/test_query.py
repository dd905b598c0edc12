# SPDX-License-Identifier: Apache-2.0
"""What filters and aggregators mean (spec §7.2)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchwright.server.inventory.aggregate import Path, Tally, values_of
from patchwright.server.inventory.query import Filter, Operator, any_row, fits, known_types, split

KNOWN = {**known_types([]), "Custom:a": {"b", "b.c", "d.e.f"}, "Custom:a.b": {"c"}}


def one(operator, *values, attribute="v"):
    """A filter by the attribute v."""
    return Filter("T", attribute, operator, values)


@pytest.mark.parametrize(
    ("less", "more"),
    [
        ("9", "10"),
        ("3.2.9", "3.2.10"),
        ("3.2", "3.2.1"),
        ("007", "8"),
        ("1.0-1+deb12u1", "1.0-1+deb12u2"),
        ("a9", "a10"),
        ("2400.5", "2400.75"),
        ("9" * 4300, "1" + "0" * 4300),
        ("", "0"),
        ("٣", "٤"),
    ],
)
def test_texts_stand_where_their_numbers_stand(less, more):
    """LessThan and GreaterThan, whatever the number of digits; digits of other scripts are letters."""
    assert fits([one(Operator.LESS_THAN, more)], {"v": less})
    assert fits([one(Operator.GREATER_THAN, less)], {"v": more})
    assert not fits([one(Operator.LESS_THAN, less)], {"v": less})
    assert not fits([one(Operator.GREATER_THAN, more)], {"v": less})


@given(st.text(max_size=20), st.text(max_size=20))
def test_a_text_is_less_more_or_takes_the_same_place(left, right):
    """Never two of them, for any texts."""
    less = fits([one(Operator.LESS_THAN, right)], {"v": left})
    more = fits([one(Operator.GREATER_THAN, right)], {"v": left})
    assert not (less and more)
    if left == right:
        assert not less
        assert not more
    assert less == fits([one(Operator.GREATER_THAN, left)], {"v": right})


def test_what_a_row_does_not_have_is_only_not_equal():
    """No other operator speaks of it."""
    for operator in set(Operator) - {Operator.NOT_EQUAL, Operator.EXISTS}:
        assert not fits([one(operator, "")], {"w": "1"})
    assert fits([one(Operator.NOT_EQUAL, "")], {"w": "1"})


def test_not_equal_alone_speaks_of_every_row():
    """No row may have the value; beside another filter it is the same row that has to have another."""
    rows = [{"v": "a", "w": "1"}, {"v": "b", "w": "2"}]
    assert not any_row([one(Operator.NOT_EQUAL, "a")], rows)
    assert any_row([one(Operator.NOT_EQUAL, "c")], rows)
    assert any_row([one(Operator.NOT_EQUAL, "a")], [])
    assert any_row([one(Operator.EQUAL, "b"), one(Operator.NOT_EQUAL, "1", attribute="w")], rows)
    assert not any_row([one(Operator.EQUAL, "a"), one(Operator.NOT_EQUAL, "1", attribute="w")], rows)


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("AWS:Application.Name", ("AWS:Application", "Name")),
        ("Custom:a.b", ("Custom:a", "b")),
        ("Custom:a.b.c", ("Custom:a", "b.c")),
        ("Custom:a.d.e.f", ("Custom:a", "d.e.f")),
        ("Custom:a.x", None),
        ("AWS:Application", None),
        ("", None),
        ("." * 1000, None),
    ],
)
def test_expressions_are_taken_apart_where_a_type_ends(expression, found):
    """Names of custom types and of their attributes may have dots."""
    assert split(expression, KNOWN) == found


def test_attributes_of_one_type_are_those_of_one_row():
    """And those of different types are combined, in the order of the path, whatever the order of the types."""
    path = Path((("A", "x"), ("B", "u"), ("A", "y")))
    tally = Tally(path)
    rows = [{"x": "1", "y": "2"}, {"x": "3", "y": "4"}, {"x": "no y"}]
    tally.see(((("digest", ()),), values_of(("u",), [{"u": "p"}, {"u": "q"}])))

    found = tally.rows(lambda key, names: key if isinstance(key, frozenset) else values_of(names, rows))

    assert list(tally.stored()) == [(("digest", ()), ("x", "y"))]
    assert {(row["x"], row["u"], row["y"], row["Count"]) for row in found} == {
        ("1", "p", "2", "1"),
        ("1", "q", "2", "1"),
        ("3", "p", "4", "1"),
        ("3", "q", "4", "1"),
    }
    assert list(found[0]) == ["Count", "x", "u", "y"]


def test_an_attribute_called_count_keeps_its_value():
    """Under its whole name, beside the number of nodes."""
    tally = Tally(Path((("Custom:T", "Count"),)))
    tally.see((frozenset({("7",)}),))
    assert tally.rows(lambda key, _: key) == [{"Count": "1", "Custom:T.Count": "7"}]
