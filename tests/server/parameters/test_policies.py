# SPDX-License-Identifier: Apache-2.0
"""Policies of a parameter: what they may say."""

from __future__ import annotations

import json

import pytest

from patchwright.server import parameters
from patchwright.server.parameters import policies

NOW = 1_800_000_000.0  # 2027-01-15T08:00:00Z


def policy(kind, **attributes):
    """One policy."""
    return {"Type": kind, "Version": "1.0", "Attributes": attributes}


def read(*given):
    """Policies as a request carries them."""
    return policies.read(json.dumps(given), now=NOW)


@pytest.mark.parametrize(
    ("timestamp", "moment"),
    [
        ("2027-01-15T08:00:01.000Z", NOW + 1),
        ("2027-01-15T08:00:01Z", NOW + 1),
        ("2027-01-15T18:30:01+10:30", NOW + 1),
        ("2027-01-15T08:00:00.250Z", NOW + 0.25),
    ],
)
def test_an_expiration_names_a_moment(timestamp, moment):
    """ISO_INSTANT or ISO_OFFSET_DATE_TIME."""
    texts = read(policy("Expiration", Timestamp=timestamp))

    assert policies.expiry(texts) == moment
    assert policies.kind(texts[0]) == "Expiration"


def test_the_text_of_a_policy_is_as_given_without_spaces():
    """As AWS lists it; the members keep their order."""
    text = '[ {"Type": "NoChangeNotification", "Version": "1.0", "Attributes": {"After": "60", "Unit": "Days"}} ]'

    texts = policies.read(text, now=NOW)

    assert texts == ('{"Type":"NoChangeNotification","Version":"1.0","Attributes":{"After":"60","Unit":"Days"}}',)
    assert policies.expiry(texts) is None


@pytest.mark.parametrize("text", ["[]", "[{}]", " [ {} , {} ] "])
def test_empty_policies_are_none(text):
    """Which is how policies are taken away."""
    assert policies.read(text, now=NOW) == ()


@pytest.mark.parametrize("text", ["", "{}", "null", "[[]]", '["Expiration"]', "[" * 2000, '[{"Type":"Expiration"'])
def test_what_is_no_array_of_objects_is_refused(text):
    """Whatever else it is."""
    with pytest.raises(parameters.InvalidPolicies, match="JSON array"):
        policies.read(text, now=NOW)


@pytest.mark.parametrize(
    "given",
    [
        policy("Expiration", Timestamp="2027-01-15T08:00:00Z"),  # not in the future
        policy("Expiration", Timestamp="2027-02-30T08:00:00Z"),
        policy("Expiration", Timestamp="2027-02-03T08:00:00"),  # of which zone?
        policy("Expiration", Timestamp="9999-12-31T23:59:59-14:00x"),
        policy("Expiration", Timestamp=1_900_000_000),
        policy("Expiration", Before="1", Unit="Days"),
        policy("Expiration", Timestamp="2027-02-03T08:00:00Z", Unit="Days"),
        policy("ExpirationNotification", Before="0", Unit="Days"),
        policy("ExpirationNotification", Before="-1", Unit="Days"),
        policy("ExpirationNotification", Before=5, Unit="Days"),
        policy("ExpirationNotification", Before="5", Unit="Weeks"),
        policy("NoChangeNotification", After="5"),
        {"Type": "Expiration", "Version": "1.1", "Attributes": {"Timestamp": "2027-02-03T08:00:00Z"}},
        {"Type": "Expiration", "Version": "1.0", "Attributes": []},
        {**policy("NoChangeNotification", After="5", Unit="Hours"), "More": 1},
    ],
)
def test_attributes_that_cannot_be_are_refused(given):
    """InvalidPolicyAttribute."""
    with pytest.raises(parameters.InvalidPolicyAttribute):
        read(given)


@pytest.mark.parametrize("kind", ["expiration", "", None, 1, [], {}, "Teapot"])
def test_there_are_three_types(kind):
    """UnknownPolicyType for every other."""
    with pytest.raises(parameters.UnknownPolicyType):
        read({"Type": kind, "Version": "1.0", "Attributes": {}})


def test_policies_that_contradict_each_other_are_refused():
    """Two moments to expire, one policy twice, more than ten."""
    notice = [policy("NoChangeNotification", After=str(number), Unit="Hours") for number in range(1, 12)]
    with pytest.raises(parameters.IncompatiblePolicies):
        read(*(policy("Expiration", Timestamp=f"2028-01-0{day}T00:00:00Z") for day in (1, 2)))
    with pytest.raises(parameters.IncompatiblePolicies):
        read(notice[0], notice[0])
    with pytest.raises(parameters.TooManyPolicies):
        read(*notice)
    assert len(read(*notice[:10])) == 10
