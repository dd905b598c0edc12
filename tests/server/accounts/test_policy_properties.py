# SPDX-License-Identifier: Apache-2.0
"""What holds for every policy and every question."""

from __future__ import annotations

import contextlib
import copy
import itertools
import os
import random
from collections import Counter
from collections.abc import Mapping

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from effort import cpu_seconds
from patchwright.server.accounts import policy
from patchwright.server.accounts.policy.decide import _ACTIONS, _RESOURCES
from patchwright.server.accounts.policy.match import ResourcePattern, glob, tokens
from patchwright.server.accounts.policy.parse import _REMEMBERED
from server.accounts.policy_cases import read
from server.accounts.policy_reference import (
    decided_slowly,
    fields_fit,
    like,
    made_policies,
    made_question,
    made_statement,
    text_of,
)

FULL = os.environ.get("PATCHWRIGHT_FULL", "") not in ("", "0")
SEED = int(os.environ.get("PATCHWRIGHT_SEED", "20261120"))
COUNT = 10_000 if FULL else 1_000
QUESTIONS = 4
EXAMPLES = settings(max_examples=2_000 if FULL else 100, deadline=None)
ANY = st.text(max_size=12)
TEXTS = [text for case in read() if "malformed" not in case.data and not case.trust for text in case.documents]


def rule(*policies):
    """The evaluator of these policies."""
    return policy.Evaluator(policy.parse(one) for one in policies)


def answer(evaluator, asked):
    """What counts of a ruling."""
    ruling = evaluator.decide(asked)
    return ruling.allowed, ruling.explicit


def cases(number):
    """Policies and questions by number, the same ones for a seed for ever."""
    source = random.Random(f"{SEED}/{number}")
    return source, made_policies(source), [made_question(source) for _ in range(QUESTIONS)]


def test_the_evaluator_agrees_with_a_plain_reading():
    """On policies and questions that are made up; every answer comes up often enough to count."""
    seen = Counter()
    for number in range(COUNT):
        _, policies, questions = cases(number)
        evaluator = rule(*policies)
        for asked in questions:
            wanted = decided_slowly(policies, asked)
            seen[wanted] += 1

            assert answer(evaluator, asked) == wanted, (SEED, number, policies, asked)

    assert min(seen[True, True], seen[False, True], seen[False, False]) > COUNT * QUESTIONS / 20


def test_an_added_deny_never_grants_and_an_added_allow_never_takes_away():
    """Whatever the deny says, in the same policy or in another one."""
    for number in range(COUNT):
        source, policies, questions = cases(number)
        for effect in ("Deny", "Allow"):
            more = copy.deepcopy(policies)
            source.choice(more)["Statement"].append(made_statement(source, effect))
            for asked in questions:
                before, after = rule(*policies).decide(asked), rule(*more).decide(asked)

                assert not (after.allowed and not before.allowed) or effect == "Allow", (SEED, number)
                assert not (before.allowed and not after.allowed) or effect == "Deny", (SEED, number)


def test_order_never_matters():
    """Of policies, statements, actions, resources, operators, keys and values."""
    for number in range(COUNT):
        source, policies, questions = cases(number)
        mixed = shuffled(source, copy.deepcopy(policies))
        for asked in questions:
            assert answer(rule(*policies), asked) == answer(rule(*mixed), asked), (SEED, number)


def shuffled(source, value):
    """*value* with every list and every object in another order."""
    if isinstance(value, dict):
        return {key: shuffled(source, inner) for key, inner in source.sample(sorted(value.items()), len(value))}
    if isinstance(value, list):
        return [shuffled(source, one) for one in source.sample(value, len(value))]
    return value


def test_how_policies_are_divided_never_matters():
    """All statements in one policy, or each in a policy of its own."""
    for number in range(COUNT // 4):
        _, policies, questions = cases(number)
        statements = [one for each in policies for one in each["Statement"]]
        together = rule({"Version": "2012-10-17", "Statement": statements})
        apart = rule(*({"Version": "2012-10-17", "Statement": one} for one in statements))
        for asked in questions:
            assert answer(together, asked) == answer(apart, asked) == answer(rule(*policies), asked), (SEED, number)


def test_what_was_asked_before_never_matters():
    """An evaluator that has answered others answers as a new one does, also past what it can remember."""
    source = random.Random(SEED)
    policies = made_policies(source)
    old = rule(*policies)
    for number in range(3_000):
        asked = made_question(source)
        old.decide(policy.Asked(f"ssm:Action{number}", asked.resource))
        old.decide(asked._replace(resource=f"arn:aws:ssm:us-east-1:111122223333:document/{number}"))

        assert answer(old, asked) == answer(rule(*policies), asked)

    assert len(old._by_action) <= _ACTIONS
    assert all(len(one._by_resource) <= _RESOURCES for one in old._by_action.values())


def test_an_unparsable_policy_grants_nothing():
    """A document cut or changed anywhere is read, or refused as malformed; what is in force denies everything then."""
    source = random.Random(SEED)
    refused = 0
    for _ in range(COUNT):
        text = list(source.choice([*TEXTS, *text_of(made_policies(source))]))
        for _ in range(source.randint(1, 3)):
            place = source.randrange(len(text) + 1)
            text[place : place + source.randint(0, 3)] = source.choice(
                ["", '"', "{", "]", "*", "${", ":", "0", "\0", "é"]
            )
        broken = "".join(text)
        try:
            policy.parse(broken)
        except policy.MalformedPolicy:
            refused += 1
            everything = policy.parse(policy.READY["administrator"])
            ruling = policy.Evaluator([everything, policy.parse_stored(broken)]).decide(made_question(source))

            assert not ruling.allowed
            assert ruling.explicit

    assert refused > COUNT // 2


@EXAMPLES
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | ANY, lambda inner: st.lists(inner) | st.dictionaries(ANY, inner)
    )
)
def test_what_is_no_policy_is_refused_as_malformed(value):
    """Whatever JSON it is, as an object or inside a statement."""
    for given_ in (value, {"Statement": value}, {"Statement": {"Effect": "Allow", "Action": value, "Resource": value}}):
        with contextlib.suppress(policy.MalformedPolicy):
            policy.parse(given_)


@EXAMPLES
@given(st.text(max_size=40))
def test_what_is_no_json_is_refused_as_malformed(text):
    """Any text at all, half of a surrogate pair as well."""
    with pytest.raises(policy.MalformedPolicy):
        policy.parse(text)


@EXAMPLES
@given(
    ANY,
    ANY,
    st.dictionaries(ANY, st.lists(ANY, max_size=3), max_size=4),
    st.lists(ANY, max_size=2),
    st.integers(0, 2**32),
)
def test_a_decision_is_made_on_anything(action, resource, context, principals, number):
    """No action, resource, key or value makes it raise."""
    source = random.Random(number)
    asked = policy.Asked(action, resource, context, principals)
    policies = [policy.parse(one) for one in made_policies(source)]

    for each in (policies, [policy.parse(source.choice(TEXTS))]):
        assert policy.Evaluator(each).decide(asked).allowed in (True, False)


@EXAMPLES
@given(st.text("ab*?", max_size=9), st.text("ab", max_size=12))
def test_wildcards_fit_as_a_plain_reading_says(pattern, text):
    """Every pattern of stars, question marks and letters."""
    assert glob(tokens(pattern, wildcards=True, variables=False))(text) == like(pattern, text)


@EXAMPLES
@given(st.text("a:*?", max_size=8), st.text("a:", max_size=10))
@example("*:a", "a:a")
@example("*:a", "a:a:a:a")
@example("*:a:a", "a:a:a:a")
def test_arns_fit_as_a_plain_reading_says(pattern, resource):
    """Every field, and every star that may stand for several."""
    with contextlib.suppress(policy.MalformedPolicy):
        wanted = ResourcePattern(tokens(f"arn:aws:s:{pattern}", wildcards=True, variables=False))
        parts = ["arn", "aws", "s", *resource.split(":", 2)]

        named = wanted.matches(f"arn:aws:s:{resource}", parts, {})

        assert named == fields_fit(f"arn:aws:s:{pattern}".split(":", 5), f"arn:aws:s:{resource}".split(":"))


@pytest.mark.parametrize(
    ("resource", "asked"),
    [
        ("document/" + "*a" * 2_000 + "b", "document/" + "a" * 6_000),
        ("document/" + "*?a" * 1_500 + "b", "document/" + "a" * 6_000),
        ("document/*" + "?" * 4_000 + "b*c", "document/" + "a" * 6_000),
        ("document/*" + "a?" * 2_000 + "b*c", "document/" + "a" * 6_000),
        ("*:*:*:*:" + "*a" * 2_000, ":" * 3_000),
        ("*" * 9_000, "a" * 6_000),
    ],
)
def test_no_pattern_takes_long(resource, asked):
    """What goes back and tries again would not end within a lifetime; two thirds of a second is the slowest machine."""
    evaluator = rule(
        {
            "Version": "2012-10-17",
            "Statement": {"Effect": "Allow", "Action": "*", "Resource": f"arn:aws:ssm:*:*:{resource}"},
        }
    )
    numbers = itertools.count()  # so that no answer is remembered

    def decide():
        resource = f"arn:aws:ssm:us-east-1:111122223333:{asked}{next(numbers)}"
        evaluator.decide(policy.Asked("ssm:GetDocument", resource))

    assert cpu_seconds(decide, enough=0.66) < 0.66


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"Statement": ' * 1_000,
        '{"a":' * 100_000,
        '{"Statement": "' + "a" * 200_000 + '"}',
        '{"Statement": "' + "${" * 5_000 + '"}',
        '{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "arn:aws:ssm:*:*:'
        + "${a" * 3_000
        + '"}}',
        '{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "arn:aws:ssm:*:*:'
        + "${a, '" * 1_500
        + '"}}',
        " " * 200_000,
    ],
)
def test_no_document_takes_long_to_refuse(text):
    """Deep, long or full of beginnings: refused at once."""

    def parse():
        with pytest.raises(policy.MalformedPolicy):
            policy.parse(text)

    assert cpu_seconds(parse, enough=0.66) < 0.66


def test_the_size_of_a_document_is_counted_without_white_space():
    """The widest quota is the largest that is read, however it is indented."""
    text = '{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*", "Sid": "%s"}}'
    length = 10_240 - policy.size(text % "")

    assert policy.parse(" " * 5_000 + text % ("a" * length)).statements
    assert policy.parse_stored(text % ("a" * (length + 1))) is policy.DENY_ALL


def test_what_was_read_is_remembered_within_bounds():
    """The same text is the same policy, for as long as there is room; a hundred long ones of others do not fill the memory."""
    text = '{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}' + " " * 100_000
    first = policy.parse(text)
    kept = policy.parse(text)
    for number in range(100):
        policy.parse(f"{text} " + " " * number)

    assert kept is first
    assert policy.parse(text) is not first
    assert _REMEMBERED._length == sum(len(key[0]) for key in _REMEMBERED._policies) <= 1_000_000


def test_a_mapping_that_is_no_json_is_refused():
    """Cycles, and values that JSON does not have."""
    cycle: dict = {}
    cycle["Statement"] = cycle

    for value in (cycle, {"Statement": object()}, {"Statement": float("inf")}, {1: {2: b""}}):
        with pytest.raises(policy.MalformedPolicy):
            policy.parse(value)


def test_a_ruling_says_which_statement_decided():
    """By its Sid, else by its place."""
    evaluator = rule(
        {
            "Statement": [
                {"Effect": "Allow", "Action": "ssm:*", "Resource": "*"},
                {"Sid": "NoDeleting", "Effect": "Deny", "Action": "ssm:Delete*", "Resource": "*"},
            ]
        }
    )

    reasons = [
        evaluator.decide(policy.Asked(action, "*")).reason
        for action in ("ssm:GetDocument", "ssm:DeleteDocument", "iam:CreateUser")
    ]

    assert reasons == [
        "allowed by statement 1",
        "explicit deny by Sid NoDeleting",
        "no statement allows iam:CreateUser",
    ]


def test_a_request_is_asked_only_where_a_statement_asks():
    """What needs not be known is not looked up: a context may be dear to put together."""

    class Dear(Mapping):
        def __getitem__(self, key):
            pytest.fail("it was looked at")

        __iter__ = __len__ = __getitem__

    allow = {"Effect": "Allow", "Action": "ssm:*", "Resource": "*"}
    asking = {**allow, "Condition": {"StringEquals": {"ssm:resourceTag/env": "dev"}}}
    deny = {"Effect": "Deny", "Action": "ssm:Delete*", "Resource": "*"}
    evaluator = rule({"Statement": [asking, allow, {**deny, "Condition": asking["Condition"]}, deny]})

    answers = [
        evaluator.decide(policy.Asked(action, "*", Dear())).allowed
        for action in ("ssm:GetDocument", "ssm:DeleteDocument", "iam:GetUser")
    ]

    assert answers == [True, False, False]


def test_a_context_is_folded_once_and_extended_for_each_resource():
    """Names in any case; a text in place of a list is one value, not its letters."""
    request = policy.Context({"aws:UserName": ["ann"], "aws:SourceIp": "10.0.0.1"})
    resource = request.extended({"ssm:resourceTag/Env": ["dev"], "AWS:USERNAME": ["eve"]})

    assert request == {"aws:username": ["ann"], "aws:sourceip": ("10.0.0.1",)}
    assert resource["ssm:resourcetag/env"] == ["dev"]
    assert list(resource["aws:username"]) == ["ann", "eve"]
