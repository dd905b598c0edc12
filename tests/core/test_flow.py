# SPDX-License-Identifier: Apache-2.0
"""Which step comes next, and what steps add up to: the rules of spec §5.9, agent-protocol §8.4 and §9, as data."""

from __future__ import annotations

import random
import re

import pytest

from patchwright.core.document import Step
from patchwright.core.flow import (
    FINAL,
    STATUSES,
    Done,
    Outcome,
    Run,
    Skip,
    document_status,
    following,
    of_exit,
    settled,
)

OUTCOMES = {
    "ok": Outcome("Success"),
    "bad": Outcome("Failed", 1),
    "code0": Outcome("Failed", 0),
    "7": Outcome("Failed", 7),
    "late": Outcome("TimedOut", 137),
    "stopped": Outcome("Cancelled", 137),
    "skipped": Outcome("Skipped"),
    "reboot": Outcome("SuccessAndReboot", 194),
    "running": Outcome("InProgress"),
    "168": Outcome("Success", 168),
    "169": Outcome("Failed", 169),
}
MODIFIERS = {"!": {"on_failure": "exit"}, "?": {"on_failure": "successAndExit"}, "+": {"on_success": "exit"}}


def steps_of(text):
    """Steps from words: a name, then `!` exit on failure, `?` success and exit on failure, `+` exit on success, `$` finally."""
    made = []
    for word in text.split():
        name, marks = re.fullmatch(r"([a-z]+)([!?+$]*)", word).groups()
        options = {key: value for mark in marks if mark != "$" for key, value in MODIFIERS[mark].items()}
        made.append(Step(name, "aws:runShellScript", {}, finally_step="$" in marks, **options))
    return made


def run(text, results):
    """What every step of a document came to, as one letter each, and the document's status; `-` for one that was not run."""
    steps, left, outcomes, trail = steps_of(text), results.split(), [], ""
    while True:
        answer = following(steps, outcomes)
        if isinstance(answer, Done):
            assert not left, "steps that should have run did not"
            return trail, answer.status
        if isinstance(answer, Skip):
            outcomes.append(Outcome(answer.status))
            trail += "c" if answer.status == "Cancelled" else "-"
            continue
        outcome = settled(steps[answer.position], OUTCOMES[left.pop(0)])
        outcomes[answer.position :] = [outcome]
        trail += outcome.status[0]


@pytest.mark.parametrize(
    ("text", "results", "trail", "status"),
    [
        # nothing special
        ("a", "ok", "S", "Success"),
        ("a", "bad", "F", "Failed"),
        ("a", "late", "T", "TimedOut"),
        ("a", "stopped", "C", "Cancelled"),
        ("a", "skipped", "S", "Success"),
        ("a b c", "ok ok ok", "SSS", "Success"),
        # a failed step does not stop the following ones
        ("a b", "bad ok", "FS", "Failed"),
        ("a b c", "bad bad ok", "FFS", "Failed"),
        ("a b", "ok bad", "SF", "Failed"),
        ("a b", "late ok", "TS", "TimedOut"),
        ("a b", "bad late", "FT", "Failed"),
        ("a b", "late bad", "TF", "Failed"),
        ("a b", "code0 ok", "FS", "Failed"),
        ("a b", "skipped ok", "SS", "Success"),
        ("a b", "skipped bad", "SF", "Failed"),
        # exit on failure
        ("a! b", "ok ok", "SS", "Success"),
        ("a! b", "bad", "F-", "Failed"),
        ("a! b c", "7", "F--", "Failed"),
        ("a! b", "code0", "F-", "Failed"),
        ("a! b", "late", "T-", "TimedOut"),
        ("a! b", "skipped ok", "SS", "Success"),
        ("a b! c", "ok bad", "SF-", "Failed"),
        ("a b! c", "bad ok ok", "FSS", "Failed"),
        ("a b! c", "late bad", "TF-", "Failed"),
        # success and exit on failure
        ("a? b", "ok ok", "SS", "Success"),
        ("a? b", "bad", "S-", "Success"),
        ("a? b", "late", "S-", "Success"),
        ("a b? c", "ok 7", "SS-", "Success"),
        ("a b? c", "bad 7", "FS-", "Failed"),
        # exit on success
        ("a+ b", "ok", "S-", "Success"),
        ("a+ b", "bad ok", "FS", "Failed"),
        ("a+ b", "skipped ok", "SS", "Success"),
        ("a+ b", "late ok", "TS", "TimedOut"),
        ("a b+ c", "bad ok", "FS-", "Failed"),
        ("a!+ b", "bad", "F-", "Failed"),
        ("a!+ b", "ok", "S-", "Success"),
        # exit codes 168 and 169
        ("a b", "168", "S-", "Success"),
        ("a b", "169", "F-", "Failed"),
        ("a b c", "bad 168", "FS-", "Failed"),
        ("a b c", "ok 169", "SF-", "Failed"),
        ("a? b", "169", "F-", "Failed"),
        ("a! b", "168", "S-", "Success"),
        ("a b", "ok 168", "SS", "Success"),
        ("a b", "ok 169", "SF", "Failed"),
        # finallyStep, the last
        ("a b$", "ok ok", "SS", "Success"),
        ("a! b c$", "bad ok", "F-S", "Failed"),
        ("a? b c$", "bad ok", "S-S", "Success"),
        ("a? b c$", "bad bad", "S-F", "Failed"),
        ("a+ b c$", "ok ok", "S-S", "Success"),
        ("a b c$", "168 ok", "S-S", "Success"),
        ("a b c$", "169 ok", "F-S", "Failed"),
        ("a! b c$", "late bad", "T-F", "Failed"),
        ("a b$", "bad bad", "FF", "Failed"),
        ("a$", "ok", "S", "Success"),
        # finallyStep elsewhere means nothing
        ("a! b$ c", "bad", "F--", "Failed"),
        ("a! b$ c$", "bad ok", "F-S", "Failed"),
        ("a$ b", "ok ok", "SS", "Success"),
        # cancelled: nothing more, not even the last
        ("a b", "stopped", "Cc", "Cancelled"),
        ("a b c$", "stopped", "Ccc", "Cancelled"),
        ("a b c", "bad stopped", "FCc", "Failed"),
        ("a! b c$", "bad stopped", "F-C", "Failed"),
        ("a b", "late stopped", "TC", "TimedOut"),
        # a restart: the same step again, then the later ones
        ("a b", "reboot ok ok", "SSS", "Success"),
        ("a b c", "ok reboot reboot ok ok", "SSSSS", "Success"),
        ("a b", "reboot bad ok", "SFS", "Failed"),
        ("a! b", "reboot bad", "SF-", "Failed"),
        ("a+ b", "reboot ok", "SS-", "Success"),
        ("a b c$", "168 reboot ok", "S-SS", "Success"),
        # again after an interruption
        ("a b", "running ok ok", "ISS", "Success"),
        ("a b", "ok running bad", "SIF", "Failed"),
    ],
)
def test_a_document_goes_from_step_to_step(text, results, trail, status):
    """Every step is run, run again or skipped as its document says, and the document comes to one status."""
    assert run(text, results) == (trail, status)


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ("", "InProgress"),
        ("running", "InProgress"),
        ("ok running", "InProgress"),
        ("ok skipped", "Success"),
        ("stopped ok", "Cancelled"),
        ("late stopped", "TimedOut"),
        ("bad late stopped", "Failed"),
        ("reboot bad late stopped ok", "SuccessAndReboot"),
        ("bad running", "Failed"),
    ],
)
def test_the_worst_step_is_what_the_document_came_to(words, status):
    """SuccessAndReboot > Failed > TimedOut > Cancelled > Success, and Success is of all."""
    assert document_status([OUTCOMES[word] for word in words.split()]) == status


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (0, Outcome("Success", 0)),
        (1, Outcome("Failed", 1)),
        (137, Outcome("Failed", 137)),
        (168, Outcome("Success", 168)),
        (169, Outcome("Failed", 169)),
        (194, Outcome("SuccessAndReboot", 194)),
        (3010, Outcome("Failed", 3010)),
        (-9, Outcome("Failed", -9)),
    ],
)
def test_an_exit_code_has_its_meaning(code, outcome):
    """Three of them are more than success or failure."""
    assert of_exit(code) == outcome


def test_a_failure_has_a_code_that_says_so():
    """Failed with code 0 is sent as 1; what else came of it stays."""
    (plain,) = steps_of("a")

    assert settled(plain, Outcome("Failed", 0)) == Outcome("Failed", 1)
    assert settled(plain, Outcome("Failed", 168)) == Outcome("Success", 168)
    for outcome in OUTCOMES.values():
        if outcome != Outcome("Failed", 0):
            assert settled(plain, outcome) == outcome


def test_any_document_ends_whatever_its_steps_come_to():
    """No step is run twice but for a restart or an interruption, none is forgotten, and asking again changes nothing."""
    chance = random.Random(7)
    for _ in range(2_000):
        steps = steps_of(
            " ".join("s" + chance.choice(["", "!", "?", "+", "$", "!$", "+!"]) for _ in range(chance.randint(1, 6)))
        )
        outcomes = []
        while not isinstance(answer := following(steps, outcomes), Done):
            assert answer == following(steps, list(outcomes))
            assert answer.position == len(outcomes) or outcomes[answer.position].status not in FINAL
            status = chance.choice(STATUSES) if isinstance(answer, Run) else answer.status
            code = chance.choice([0, 1, 168, 169, 194]) if isinstance(answer, Run) else 0
            outcomes[answer.position :] = [settled(steps[answer.position], Outcome(status, code))]
        assert len(outcomes) == len(steps)
        assert answer.status in FINAL
