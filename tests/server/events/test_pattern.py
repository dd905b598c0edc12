# SPDX-License-Identifier: Apache-2.0
"""Event patterns mean what EventBridge says that they mean."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from patchwright.server.events.pattern import DEEPEST, LONGEST, InvalidPattern, compiled

EVENT = {
    "version": "0",
    "detail-type": "EC2 Command Invocation Status-change Notification",
    "source": "aws.ssm",
    "region": "eu-central-1",
    "resources": ["arn:aws:ssm:eu-central-1:123456789012:managed-instance/mi-1", "arn:aws:x"],
    "detail": {
        "status": "Failed",
        "code": 7,
        "share": 0.5,
        "flag": True,
        "none": None,
        "empty": [],
        "text": "",
        "address": "10.1.2.3",
        "steps": [{"name": "a", "code": 0}, {"name": "b", "code": 1}],
        "deep": {"er": {"est": "x"}},
    },
}


def detail(name, *wanted):
    return {"detail": {name: list(wanted)}}


CASES = [
    ({"source": ["aws.ssm"]}, True),
    ({"source": ["aws.ec2"]}, False),
    ({"source": ["aws.ec2", "aws.ssm"]}, True),
    ({"source": ["aws.ssm"], "region": ["us-east-1"]}, False),
    ({"source": ["AWS.SSM"]}, False),
    ({"nothing": ["x"]}, False),
    ({"resources": ["arn:aws:x"]}, True),
    ({"resources": [{"prefix": "arn:aws:ssm:"}]}, True),
    ({"resources": ["arn:aws:y"]}, False),
    (detail("status", "Failed"), True),
    (detail("code", 7), True),
    (detail("code", 7.0), True),
    (detail("code", "7"), False),
    (detail("flag", True), True),
    (detail("flag", 1), False),
    (detail("flag", "true"), False),
    (detail("none", None), True),
    (detail("missing", None), False),
    (detail("text", ""), True),
    (detail("status", {"prefix": "Fa"}), True),
    (detail("status", {"prefix": "fa"}), False),
    (detail("status", {"prefix": {"equals-ignore-case": "fA"}}), True),
    (detail("status", {"suffix": "led"}), True),
    (detail("status", {"suffix": {"equals-ignore-case": "LED"}}), True),
    (detail("status", {"suffix": "Fai"}), False),
    (detail("code", {"prefix": "7"}), False),
    (detail("status", {"equals-ignore-case": "fAILED"}), True),
    (detail("status", {"wildcard": "F*d"}), True),
    (detail("status", {"wildcard": "*"}), True),
    (detail("text", {"wildcard": "*"}), True),
    (detail("status", {"wildcard": "F*i*l*d"}), True),
    (detail("status", {"wildcard": "Fail"}), False),
    (detail("status", {"wildcard": "Faile*ed"}), False),
    (detail("status", {"wildcard": "\\*"}), False),
    (detail("status", {"anything-but": "Success"}), True),
    (detail("status", {"anything-but": ["Success", "Failed"]}), False),
    (detail("missing", {"anything-but": "Success"}), False),
    (detail("status", {"anything-but": {"prefix": "Fa"}}), False),
    (detail("status", {"anything-but": {"prefix": ["Su", "Ca"]}}), True),
    (detail("status", {"anything-but": {"suffix": "led"}}), False),
    (detail("status", {"anything-but": {"equals-ignore-case": "FAILED"}}), False),
    (detail("status", {"anything-but": {"wildcard": "F*"}}), False),
    (detail("code", {"anything-but": [7, 8]}), False),
    (detail("code", {"anything-but": "7"}), True),
    (detail("deep", {"anything-but": "x"}), False),
    (detail("code", {"numeric": [">", 0, "<=", 7]}), True),
    (detail("code", {"numeric": [">", 7]}), False),
    (detail("code", {"numeric": ["=", 7]}), True),
    (detail("share", {"numeric": ["<", 1]}), True),
    (detail("status", {"numeric": [">", 0]}), False),
    (detail("flag", {"numeric": [">=", 0]}), False),
    (detail("code", {"exists": True}), True),
    (detail("code", {"exists": False}), False),
    (detail("missing", {"exists": True}), False),
    (detail("missing", {"exists": False}), True),
    (detail("none", {"exists": True}), True),
    (detail("deep", {"exists": True}), False),
    (detail("empty", {"exists": False}), True),
    (detail("missing", {"exists": False}, "x"), True),
    ({"absent": {"member": [{"exists": False}]}}, True),
    ({"absent": {"member": [{"exists": True}]}}, False),
    ({"source": {"member": [{"exists": False}]}}, True),
    ({"detail": {"deep": {"er": {"est": ["x"]}}}}, True),
    ({"detail": {"deep": {"er": {"est": ["y"]}}}}, False),
    ({"detail": {"deep": {"er": ["x"]}}}, False),
    ({"detail": {"steps": {"name": ["b"], "code": [1]}}}, True),
    ({"detail": {"steps": {"name": ["a"], "code": [1]}}}, False),
    ({"detail": {"steps": {"code": [{"numeric": [">", 5]}]}}}, False),
    (detail("address", {"cidr": "10.0.0.0/8"}), True),
    (detail("address", {"cidr": "192.0.2.0/24"}), False),
    (detail("status", {"cidr": "10.0.0.0/8"}), False),
    ({"$or": [{"source": ["x"]}, {"region": ["eu-central-1"]}]}, True),
    ({"$or": [{"source": ["x"]}, {"region": ["x"]}]}, False),
    ({"source": ["aws.ssm"], "$or": [{"source": ["x"]}, {"region": ["x"]}]}, False),
    ({"detail": {"$or": [{"status": ["Success"]}, {"code": [{"numeric": [">", 5]}]}]}}, True),
    ({"detail": {"status": ["Failed"], "$or": [{"code": [1]}, {"$or": [{"flag": [True]}]}]}}, True),
]


@pytest.mark.parametrize(("pattern", "wanted"), CASES, ids=[json.dumps(case[0])[:70] for case in CASES])
def test_a_pattern_matches_as_it_should(pattern, wanted):
    """One event, looked at in many ways."""
    assert compiled(json.dumps(pattern)).matches(EVENT) is wanted


REFUSED = [
    "",
    "[]",
    "{}",
    "nothing",
    '{"source": "aws.ssm"}',
    '{"source": 1}',
    '{"source": []}',
    '{"detail": {}}',
    '{"source": [["a"]]}',
    '{"source": [{}]}',
    '{"source": [{"prefix": "a", "suffix": "b"}]}',
    '{"source": [{"prefix": 1}]}',
    '{"source": [{"prefix": ""}]}',
    '{"source": [{"like": "a"}]}',
    '{"source": [{"wildcard": "a**b"}]}',
    '{"source": [{"wildcard": "a\\\\b"}]}',
    '{"source": [{"anything-but": []}]}',
    '{"source": [{"anything-but": [true]}]}',
    '{"source": [{"anything-but": {"numeric": [">", 1]}}]}',
    '{"source": [{"anything-but": {"prefix": []}}]}',
    '{"source": [{"numeric": []}]}',
    '{"source": [{"numeric": [">"]}]}',
    '{"source": [{"numeric": ["!", 1]}]}',
    '{"source": [{"numeric": [">", "1"]}]}',
    '{"source": [{"numeric": [">", true]}]}',
    '{"source": [{"numeric": ["<", 1, ">", 0]}]}',
    '{"source": [{"numeric": [">", 6e9]}]}',
    '{"source": [{"exists": "yes"}]}',
    '{"source": [{"cidr": "10.0.0.0/40"}]}',
    '{"$or": []}',
    '{"$or": {"source": ["a"]}}',
    '{"$or": [["a"]]}',
    '{"source": ["a"], "source": ["b"]}',
    '{"source": [NaN]}',
    '{"source": ["' + "a" * LONGEST + '"]}',
    '{"a":' * (DEEPEST + 1) + '["a"]' + "}" * (DEEPEST + 1),
    '{"$or":[' * (DEEPEST + 1) + '{"a": ["a"]}' + "]}" * (DEEPEST + 1),
    "[" * 4000,
]


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: text[:50] or "nothing")
def test_what_is_no_pattern_is_refused_with_its_reason(text):
    """A subscription never hears of nothing because its pattern was misread."""
    with pytest.raises(InvalidPattern) as refused:
        compiled(text)
    assert str(refused.value)


def test_a_refusal_says_where_the_pattern_is_wrong():
    """Whoever wrote it finds the place."""
    with pytest.raises(InvalidPattern, match=r"^detail\.status: there is no matcher 'like'"):
        compiled('{"detail": {"status": [{"like": "a"}]}}')


def test_a_wildcard_takes_no_time_however_it_is_written():
    """Many stars over a long text are found, or not, in one pass over it."""
    pattern = compiled(json.dumps(detail("text", {"wildcard": "*a" * 1000 + "b"})))
    assert not pattern.matches({"detail": {"text": "a" * 200_000}})


# The same words once more, as plain as can be: an event is flattened into paths and leaves, a pattern into alternatives.
leaves = st.one_of(st.sampled_from(["", "a", "ab", "b", "Ab"]), st.integers(-2, 2), st.booleans(), st.none())
names = st.sampled_from(["a", "b", "c"])
objects = st.recursive(
    st.dictionaries(names, st.one_of(leaves, st.lists(leaves, max_size=3)), max_size=3),
    lambda inner: st.dictionaries(names, st.one_of(leaves, inner), max_size=3),
    max_leaves=8,
)
matchers = st.one_of(
    leaves,
    st.sampled_from(
        [
            {"prefix": "a"},
            {"suffix": "b"},
            {"exists": True},
            {"exists": False},
            {"anything-but": ["a", 1]},
            {"anything-but": {"prefix": "a"}},
            {"numeric": [">=", 0, "<", 2]},
            {"equals-ignore-case": "AB"},
            {"wildcard": "*b"},
        ]
    ),
)
lists = st.lists(matchers, min_size=1, max_size=3)
patterns = st.recursive(
    st.dictionaries(names, lists, min_size=1, max_size=2),
    lambda inner: st.one_of(
        st.dictionaries(names, st.one_of(lists, inner), min_size=1, max_size=2),
        st.lists(inner, min_size=1, max_size=2).map(lambda found: {"$or": found}),
    ),
    max_leaves=5,
)


def told(pattern, event):
    """What EventBridge's documentation says of *pattern* and *event*, written down once more."""
    for name, wanted in pattern.items():
        if name == "$or":
            if not [one for one in wanted if told(one, event)]:
                return False
        elif isinstance(wanted, dict):
            inner = event.get(name) if isinstance(event, dict) else None
            if not told(wanted, inner if isinstance(inner, dict) else {}):
                return False
        else:
            there = name in event and event[name] != [] and not isinstance(event[name], dict)
            values = (event[name] if isinstance(event[name], list) else [event[name]]) if there else []
            if not any(said(matcher, values) for matcher in wanted):
                return False
    return True


def said(matcher, values):
    """Whether one of *values* is what *matcher* says; none: nothing is there."""
    texts = [value for value in values if isinstance(value, str)]
    if not isinstance(matcher, dict):
        return any(json.dumps(value) == json.dumps(matcher) for value in values)
    [(name, wanted)] = matcher.items()
    return {
        "prefix": lambda: any(text[: len(wanted)] == wanted for text in texts),
        "suffix": lambda: any(text.endswith(wanted) for text in texts),
        "exists": lambda: bool(values) == wanted,
        "numeric": lambda: any(value in (0, 1) and not isinstance(value, bool) for value in values),
        "equals-ignore-case": lambda: any(text.lower() == wanted.lower() for text in texts),
        "wildcard": lambda: any(text[-1:] == "b" for text in texts),
        "anything-but": lambda: any(
            not (isinstance(value, str) and value.startswith("a"))
            if isinstance(wanted, dict)
            else value != "a" and (value != 1 or isinstance(value, bool))
            for value in values
        ),
    }[name]()


@seed(int(os.environ.get("PATCHWRIGHT_SEED", "20261120")))
@settings(
    max_examples=20_000 if os.environ.get("PATCHWRIGHT_FULL") else 300,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(pattern=patterns, event=objects)
def test_two_readings_of_the_documentation_agree(pattern, event):
    """Whatever is asked of whatever happened, a second implementation says the same."""
    assert compiled(json.dumps(pattern)).matches(event) is told(pattern, event)
