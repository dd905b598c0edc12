# SPDX-License-Identifier: Apache-2.0
"""A NextToken continues the request it was issued for, and no other."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchwright.server.wire import ApiError, Caller, Pager
from server.wire.client import MODELS

PAGER = Pager(b"k" * 32, MODELS)
CALLER = Caller("000000000001", "us-east-1", "arn", "user", None, "r", "192.0.2.1", "AmazonSSM.DescribeInstancePatches")
ASKED = {"InstanceId": "mi-0123456789abcdef0", "Filters": [{"Key": "State", "Values": ["Missing"]}], "MaxResults": 10}


def refusal(token: object, caller: Caller = CALLER, asked: dict = ASKED, pager: Pager = PAGER) -> str:
    with pytest.raises(ApiError) as refused:
        pager.cursor(caller, {**asked, "NextToken": token})
    return refused.value.code


@pytest.mark.parametrize("request_", [ASKED, {**ASKED, "NextToken": ""}])
def test_the_first_page_has_no_cursor(request_):
    """An empty token is none."""
    assert PAGER.cursor(CALLER, request_) is None


@given(
    st.recursive(
        st.none() | st.integers(-(2**60), 2**60) | st.text(), lambda one: st.lists(one, max_size=4), max_leaves=8
    )
)
def test_a_token_gives_its_cursor_back(cursor):
    """Whatever JSON it is made of; the page size may change and another principal of the account may go on."""
    token = PAGER.token(CALLER, ASKED, cursor)
    later = {**ASKED, "MaxResults": 50, "NextToken": token}

    assert PAGER.cursor(replace(CALLER, principal="other", request_id="r2"), later) == cursor


def test_every_process_with_the_key_reads_the_token():
    """The key is all there is to know."""
    assert Pager(b"k" * 32, MODELS).cursor(CALLER, {**ASKED, "NextToken": PAGER.token(CALLER, ASKED, 7)}) == 7
    assert refusal(PAGER.token(CALLER, ASKED, 7), pager=Pager(b"j" * 32, MODELS)) == "InvalidNextToken"


@pytest.mark.parametrize(
    ("caller", "asked"),
    [
        (replace(CALLER, account="000000000002"), ASKED),
        (replace(CALLER, region="eu-west-1"), ASKED),
        (replace(CALLER, target="AmazonSSM.DescribeInstanceInformation"), ASKED),
        (CALLER, {**ASKED, "InstanceId": "mi-0123456789abcdef1"}),
        (CALLER, {**ASKED, "Filters": []}),
        (CALLER, {"InstanceId": ASKED["InstanceId"]}),
    ],
)
def test_a_token_of_another_request_is_refused(caller, asked):
    """Another account, region, operation or filter."""
    assert refusal(PAGER.token(CALLER, ASKED, ["a", 1]), caller, asked) == "InvalidNextToken"


@given(position=st.integers(0, 200), letter=st.sampled_from("ABab01-_=+/é"))
def test_a_changed_token_is_refused(position, letter):
    """Any character of it."""
    token = PAGER.token(CALLER, ASKED, ["openssl", 3])
    place = position % len(token)
    changed = token[:place] + letter + token[place + 1 :]
    raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))

    try:
        same = base64.b64decode(changed + "=" * (-len(changed) % 4), altchars=b"-_", validate=True) == raw
    except ValueError:
        same = False
    assert same or refusal(changed) == "InvalidNextToken"


@pytest.mark.parametrize(
    "token", ["x", "AAAA", "A" * 100_000, "\ud7ff", "é", "====", "0", base64.b64encode(b"\0" * 16).decode()]
)
def test_a_made_up_token_is_refused(token):
    """With InvalidNextToken where the operation declares it, with ValidationException elsewhere."""
    undeclared = replace(CALLER, target="AmazonSSM.DescribePatchBaselines")

    assert refusal(token) == "InvalidNextToken"
    assert refusal(token, undeclared) == "ValidationException"


def test_a_short_key_is_refused():
    """A seal needs a key."""
    with pytest.raises(ValueError, match="at least"):
        Pager(b"short", MODELS)


@pytest.mark.parametrize(("name", "size"), [("nextToken", "maxResults"), ("Marker", "MaxItems")])
def test_a_token_goes_by_the_name_that_the_service_has_for_it(name, size):
    """nextToken in REST services, Marker in IAM; the page size may differ from page to page."""
    asked = {"pathPrefix": "/a", size: 10}
    token = PAGER.token(CALLER, asked, ["anna"])

    assert PAGER.cursor(CALLER, asked) is None
    assert PAGER.cursor(CALLER, {**asked, name: token, size: 7}) == ["anna"]
    assert refusal(token, CALLER, {**asked, name: token, "pathPrefix": "/b"}) == "InvalidNextToken"
