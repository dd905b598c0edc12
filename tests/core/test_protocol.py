# SPDX-License-Identifier: Apache-2.0
"""The messages between agent and server, there and back."""

from __future__ import annotations

import json

import pytest

import patchwright.core.protocol as protocol_module
from patchwright.core.errors import MalformedFacts, MalformedMessage
from patchwright.core.facts import NodeFacts
from patchwright.core.package import Manager
from patchwright.core.plan import Action, Intent, Plan, Resolution, Wanted
from patchwright.core.protocol import (
    REASON_LIMIT,
    TRUNCATED,
    Begun,
    Directive,
    FactsMessage,
    Next,
    Phase,
    RebootOption,
    Report,
    command_of,
    intent_from_json,
    intent_to_json,
    message_id,
    plan_from_json,
    reasons,
    resolution_from_json,
    resolution_to_json,
    truncate,
)
from patchwright.core.system import OperatingSystem

BEGUN = Begun("op-1", "Install", "snapshot-1", RebootOption.NO_REBOOT)
FACTS = FactsMessage(
    "op-1",
    Phase.AFTER,
    NodeFacts(Manager.APT, OperatingSystem.DEBIAN, "Debian12", "set1:aa"),
    attempt=2,
    drift=("a.amd64: installed is 2, the plan says 1",),
    failures={"a.amd64": "postinst"},
    acted_boot_id="boot-1",
)
INTENT = Intent((Wanted("a", "amd64", "1", "2"),), ("bad",), ("lib",))
RESOLUTION = Resolution((Action("a", "amd64", "1", "2", True),), {"b.amd64": "held"})
PLAN = Plan(Manager.APT, "snapshot-1", RESOLUTION.actions)
DIRECTIVES = [
    Directive(Next.SEND_BODIES, missing=("set1:aa", "slice1:bb")),
    Directive(Next.RESOLVE, intent=INTENT),
    Directive(Next.REBOOT),
    Directive(Next.DONE, report=Report(False, "text", "error")),
]


def wire(data):
    """*data* as it arrives."""
    return json.loads(json.dumps(data))


def changed(data, **members):
    """The wire form with members replaced; Ellipsis leaves one out."""
    return {name: value for name, value in {**data, **members}.items() if value is not ...}


@pytest.mark.parametrize("message", [BEGUN, FACTS, *DIRECTIVES], ids=lambda message: type(message).__name__)
def test_a_message_is_read_back_as_it_was(message):
    """And members of a later version pass."""
    data = wire({**message.to_json(), "Later": [1]})

    assert type(message).from_json(data) == message


def test_intent_and_resolution_are_read_back_as_they_were():
    """Rows become records again."""
    assert intent_from_json(wire(intent_to_json(INTENT))) == INTENT
    assert resolution_from_json(wire(resolution_to_json(RESOLUTION))) == RESOLUTION


def test_what_may_be_left_out_has_a_default():
    """An agent that did nothing yet says little."""
    least = {"OperationId": "op-1", "Phase": "before", "Facts": FACTS.facts.to_json()}

    assert FactsMessage.from_json(wire(least)) == FactsMessage("op-1", Phase.BEFORE, FACTS.facts)
    assert Directive.from_json({"Next": "reboot"}) == Directive(Next.REBOOT)
    assert intent_from_json({"Wanted": []}) == Intent(())
    assert resolution_from_json({"Actions": []}) == Resolution((), {})


@pytest.mark.parametrize("data", [None, [], "text", 5, {}])
@pytest.mark.parametrize(
    "read",
    [
        Begun.from_json,
        FactsMessage.from_json,
        Directive.from_json,
        intent_from_json,
        resolution_from_json,
        plan_from_json,
    ],
)
def test_what_is_no_message_is_refused(read, data):
    """No object, or an empty one."""
    with pytest.raises(MalformedMessage):
        read(data)


@pytest.mark.parametrize(
    ("read", "data"),
    [
        (Begun.from_json, changed(BEGUN.to_json(), RebootOption="Always")),
        (Begun.from_json, changed(BEGUN.to_json(), OperationId="")),
        (Begun.from_json, changed(BEGUN.to_json(), SnapshotId=5)),
        (Begun.from_json, changed(BEGUN.to_json(), Operation=...)),
        (FactsMessage.from_json, changed(FACTS.to_json(), Phase="during")),
        (FactsMessage.from_json, changed(FACTS.to_json(), Attempt="1")),
        (FactsMessage.from_json, changed(FACTS.to_json(), Attempt=-1)),
        (FactsMessage.from_json, changed(FACTS.to_json(), Attempt=float("inf"))),
        (FactsMessage.from_json, changed(FACTS.to_json(), Attempt=True)),
        (FactsMessage.from_json, changed(FACTS.to_json(), Drift="text")),
        (FactsMessage.from_json, changed(FACTS.to_json(), Drift=[5])),
        (FactsMessage.from_json, changed(FACTS.to_json(), Failures=[])),
        (FactsMessage.from_json, changed(FACTS.to_json(), Failures={"a": 5})),
        (FactsMessage.from_json, changed(FACTS.to_json(), ActedBootId=5)),
        (FactsMessage.from_json, changed(FACTS.to_json(), Facts=...)),
        (Directive.from_json, changed(DIRECTIVES[0].to_json(), Next="wait")),
        (Directive.from_json, changed(DIRECTIVES[0].to_json(), Missing="set1:aa")),
        (Directive.from_json, changed(DIRECTIVES[0].to_json(), Missing=[1])),
        (Directive.from_json, changed(DIRECTIVES[3].to_json(), Report={})),
        (Directive.from_json, changed(DIRECTIVES[3].to_json(), Report="done")),
        (Directive.from_json, changed(DIRECTIVES[3].to_json(), Report={"Succeeded": 1, "Text": "", "Error": ""})),
        (Directive.from_json, changed(DIRECTIVES[1].to_json(), Intent={})),
        (Directive.from_json, changed(DIRECTIVES[1].to_json(), Intent=[])),
        (intent_from_json, {"Wanted": {}}),
        (intent_from_json, {"Wanted": ["abcd"]}),
        (intent_from_json, {"Wanted": [["a", "amd64", "1"]]}),
        (intent_from_json, {"Wanted": [["a", "amd64", "1", 2]]}),
        (intent_from_json, {"Wanted": [], "Blocked": "a"}),
        (resolution_from_json, {"Actions": [["a"]]}),
        (resolution_from_json, {"Actions": [], "Unresolved": []}),
    ],
)
def test_a_mistyped_member_is_refused(read, data):
    """Nothing is turned into what it might have been."""
    with pytest.raises(MalformedMessage):
        read(data)


def test_unreadable_facts_are_named_as_such():
    """The message itself is sound."""
    with pytest.raises(MalformedFacts):
        FactsMessage.from_json(changed(FACTS.to_json(), Facts={}))


def test_the_error_names_the_message():
    """So that the answer says what was wrong."""
    with pytest.raises(MalformedMessage, match="the answer to BeginOperation cannot be read: KeyError"):
        Begun.from_json({})


def test_another_mistake_is_not_disguised():
    """Only what reading can raise becomes a malformed message."""

    class Broken(dict):
        def __getitem__(self, name):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Begun.from_json(Broken())


def test_a_plan_is_read_only_if_it_is_what_its_digest_names():
    """The node carries out nothing else."""
    answer = wire({"Plan": PLAN.to_json(), "PlanDigest": PLAN.digest})

    assert plan_from_json(answer) == PLAN
    with pytest.raises(MalformedMessage, match="not the one its digest"):
        plan_from_json({**answer, "PlanDigest": "plan1:" + "0" * 64})


def test_reasons_are_cut_and_limited(monkeypatch):
    """Long texts are cut; too many are refused."""
    assert reasons({"a": "x" * (REASON_LIMIT + 1)}) == {"a": "x" * REASON_LIMIT}
    monkeypatch.setattr(protocol_module, "REASONS_LIMIT", 1)
    with pytest.raises(MalformedMessage, match="at most 1 entries"):
        reasons({"a": "", "b": ""})


def test_drift_is_cut_and_limited(monkeypatch):
    """What a node says of drift is for people; the rest is dropped."""
    monkeypatch.setattr(protocol_module, "REASONS_LIMIT", 1)
    message = FactsMessage.from_json(changed(FACTS.to_json(), Drift=["x" * (REASON_LIMIT + 1), "second"]))

    assert message.drift == ("x" * REASON_LIMIT,)


def test_a_message_id_holds_its_command():
    """As Amazon's agent reads it."""
    made = message_id("6f0b", "mi-1")

    assert (made, command_of(made)) == ("aws.ssm.6f0b.mi-1", "6f0b")
    for other in ("", "6f0b", "aws.ssm.6f0b", "aws.ec2.6f0b.mi-1", "aws.ssm.6f0b.mi-1.x", "aws.ssm..mi-1"):
        with pytest.raises(MalformedMessage):
            command_of(other)


def test_truncated_output_says_so_and_keeps_its_limit():
    """Not a character more than allowed, the mark included."""
    assert truncate("x" * 30, 30) == "x" * 30
    assert truncate("x" * 31, 30) == "x" * 10 + TRUNCATED
