# SPDX-License-Identifier: Apache-2.0
"""Messages, documents and the life of an invocation, whatever is sent."""

from __future__ import annotations

import contextlib
import json
import random
import re

from hypothesis import given
from hypothesis import strategies as st

from patchwright.core.document import bind, interpolate, parse
from patchwright.core.errors import (
    ImpossibleTransition,
    InvalidParameters,
    MalformedDocument,
    MalformedFacts,
    MalformedMessage,
)
from patchwright.core.facts import NodeFacts
from patchwright.core.invocation import FINAL, TRANSITIONS, Detail, advance, aggregate
from patchwright.core.package import Manager
from patchwright.core.plan import Action, Intent, Plan, Resolution, Wanted
from patchwright.core.protocol import (
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
    resolution_from_json,
    resolution_to_json,
    truncate,
)
from patchwright.core.system import OperatingSystem

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
PLAIN = st.text(st.characters(exclude_categories=["C", "Z"]), max_size=8)
IDS = PLAIN.filter(bool)
LISTS = st.lists(TEXTS, max_size=3).map(tuple)
REASONS = st.dictionaries(TEXTS, TEXTS, max_size=3)
ACTIONS = st.lists(st.builds(Action, PLAIN, PLAIN, PLAIN, PLAIN, st.booleans()), max_size=3).map(tuple)
INTENTS = st.builds(
    Intent, st.lists(st.builds(Wanted, TEXTS, TEXTS, TEXTS, TEXTS), max_size=3).map(tuple), LISTS, LISTS
)
RESOLUTIONS = st.builds(Resolution, ACTIONS, REASONS)
PLANS = st.builds(
    Plan, st.sampled_from(Manager), TEXTS, ACTIONS, REASONS.map(lambda found: tuple(sorted(found.items())))
)
FACTS = st.just(NodeFacts(Manager.APT, OperatingSystem.DEBIAN, "Debian12", "set1:aa"))
MESSAGES = st.one_of(
    st.builds(Begun, IDS, IDS, IDS, st.sampled_from(RebootOption)),
    st.builds(
        FactsMessage,
        IDS,
        st.sampled_from(Phase),
        FACTS,
        attempt=st.integers(0, 2),
        drift=LISTS,
        failures=REASONS,
        acted_boot_id=TEXTS,
    ),
    st.builds(
        Directive,
        st.sampled_from(Next),
        LISTS,
        st.none() | INTENTS,
        st.none() | st.builds(Report, st.booleans(), TEXTS, TEXTS),
    ),
    PLANS,
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
READERS = [
    Begun.from_json,
    FactsMessage.from_json,
    Directive.from_json,
    Plan.from_json,
    intent_from_json,
    resolution_from_json,
    plan_from_json,
]


@given(MESSAGES)
def test_a_message_is_read_back_as_it_was(message: Begun | FactsMessage | Directive | Plan) -> None:
    """Through JSON text, with a member of a later version beside it."""
    assert type(message).from_json(json.loads(json.dumps({**message.to_json(), "Later": {}}))) == message


@given(INTENTS, RESOLUTIONS, PLANS)
def test_intent_resolution_and_plan_are_read_back_as_they_were(
    intent: Intent, resolution: Resolution, plan: Plan
) -> None:
    """A plan only under its own digest."""
    assert intent_from_json(json.loads(json.dumps(intent_to_json(intent)))) == intent
    assert resolution_from_json(json.loads(json.dumps(resolution_to_json(resolution)))) == resolution
    assert plan_from_json({"Plan": json.loads(plan.canonical()), "PlanDigest": plan.digest}) == plan


@given(st.lists(PLANS, min_size=2, max_size=2))
def test_plans_have_one_digest_exactly_where_they_are_equal(plans: list[Plan]) -> None:
    """A plan approved by digest is that plan."""
    assert (plans[0].digest == plans[1].digest) == (plans[0] == plans[1])


@given(JSON)
def test_any_json_raises_malformed_messages_only(data: object) -> None:
    """Whoever reads it."""
    for read in READERS:
        with contextlib.suppress(MalformedMessage, MalformedFacts):
            read(data)


@given(MESSAGES, st.data())
def test_a_message_with_any_other_value_in_it_raises_malformed_messages_only(
    message: Begun | FactsMessage | Directive | Plan, data: st.DataObject
) -> None:
    """One member replaced by anything that JSON can write."""
    wire = json.loads(json.dumps(message.to_json()))
    wire[data.draw(st.sampled_from(sorted(wire)))] = data.draw(JSON)
    with contextlib.suppress(MalformedMessage, MalformedFacts):
        type(message).from_json(wire)


@given(IDS.filter(lambda text: "." not in text), IDS.filter(lambda text: "." not in text))
def test_a_command_is_found_in_the_id_of_its_message(command: str, node: str) -> None:
    """Ids have no dots."""
    assert command_of(message_id(command, node)) == command


@given(st.text(max_size=80), st.integers(20, 60))
def test_truncated_text_keeps_to_its_limit(text: str, limit: int) -> None:
    """And is untouched where it fits."""
    assert len(truncate(text, limit)) == min(len(text), limit)


# ----------------------------------------------------------------------------------------------------------- invocations

DETAILS = st.sampled_from(Detail)


@given(st.lists(DETAILS, max_size=12))
def test_nothing_leads_out_of_a_final_state(reports: list[Detail]) -> None:
    """Whatever is reported, in whatever order, the first final state stays, and nothing starts over."""
    current, ended = Detail.PENDING, None
    for report in reports:
        with contextlib.suppress(ImpossibleTransition):
            current = advance(current, report)
        assert ended is None or current is ended
        ended = ended or (current if current.final else None)


def test_every_invocation_can_end_from_wherever_it_stands() -> None:
    """No state that is not final is a trap, and every path is finite."""
    reach: dict[Detail, set[Detail]] = {detail: {detail} for detail in Detail}
    for _ in Detail:
        for detail, following in TRANSITIONS.items():
            reach[detail] |= {last for one in following for last in reach[one]}

    assert all(reach[detail] & FINAL for detail in Detail)
    assert all(reach[detail] == {detail} for detail in FINAL)
    assert all(detail not in reach[one] for detail in TRANSITIONS for one in TRANSITIONS[detail])


@given(st.lists(DETAILS, max_size=8), st.integers(0, 3), st.booleans(), st.randoms(use_true_random=False))
def test_a_command_does_not_depend_on_the_order_of_its_nodes(
    details: list[Detail], max_errors: int, cancelling: bool, source: random.Random
) -> None:
    """And it is final exactly when all of them are."""
    mixed = source.sample(details, len(details))
    found = aggregate(details, max_errors=max_errors, cancelling=cancelling)

    assert aggregate(mixed, max_errors=max_errors, cancelling=cancelling) is found
    assert found.final == all(detail.final for detail in details)


# ------------------------------------------------------------------------------------------------------------- documents

VALUES = st.text(st.sampled_from(list("{} abSs:$`;\n|&\\1.")), max_size=20)


def document(pattern: str = "") -> object:
    """A document with the parameters `a` (String) and `b` (StringList)."""
    parameters = {"a": {"type": "String", "allowedPattern": pattern}, "b": {"type": "StringList"}}
    return parse({"schemaVersion": "2.2", "parameters": parameters, "mainSteps": [{"name": "s", "action": "x"}]})


@given(VALUES, st.lists(VALUES, max_size=3))
def test_a_value_arrives_letter_by_letter_whatever_it_looks_like(text: str, texts: list[str]) -> None:
    """References, shell signs and backslashes in a value are neither expanded nor run nor escaped."""
    values = bind(document(), {"a": [text], "b": texts})
    written = json.dumps(texts, separators=(",", ":"), ensure_ascii=False)

    assert interpolate("{{ a }}", values) == text
    assert interpolate("{{b}}", values) == texts
    assert interpolate("<{{ a }}|{{ b }}|{{ c }}>", values) == f"<{text}|{written}|{{{{ c }}}}>"


@given(st.lists(st.sampled_from(["{{ a }}", "{{b}}", "{{ c }}", "x", "{{", "}}", " "]), max_size=6), VALUES)
def test_every_reference_is_replaced_exactly_once(pieces: list[str], text: str) -> None:
    """As if each reference of the author's text were cut out and filled in, never looking at what was put in."""
    template = "x" + "".join(pieces)
    values = {"a": text, "b": ["{{ a }}", "y"]}
    parts = re.split(r"(\{\{ *[abc] *\}\})", template)
    filled = {"a": text, "b": '["{{ a }}","y"]'}
    names = [part.strip("{} ") if place % 2 else "" for place, part in enumerate(parts)]
    expected = "".join(filled.get(name, part) for name, part in zip(names, parts, strict=True))

    assert interpolate(template, values) == expected


@given(JSON)
def test_any_json_is_a_document_or_malformed(data: object) -> None:
    """Nothing else is raised."""
    for content in (
        data,
        {"schemaVersion": "2.2", "mainSteps": data},
        {"schemaVersion": "1.2", "runtimeConfig": data},
        {"schemaVersion": "2.2", "mainSteps": [{"name": "a", "action": "b", "precondition": data, "inputs": data}]},
        {"schemaVersion": "2.2", "parameters": {"a": data}},
    ):
        with contextlib.suppress(MalformedDocument):
            parse(content)


@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), st.lists(VALUES | st.integers(), max_size=2)))
def test_any_lists_are_bound_or_refused(given_values: dict) -> None:
    """Nothing else is raised, and what is bound keeps to the pattern."""
    with contextlib.suppress(InvalidParameters):
        values = bind(document("^[ab]*$"), given_values)
        assert set(values["a"]) <= {"a", "b"}
