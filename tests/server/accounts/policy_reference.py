# SPDX-License-Identifier: Apache-2.0
"""
A second reading of policies, plain and slow, on the JSON itself; and policies made up from small pools to compare on.

Nothing is shared with the evaluator: wildcards go back and try again, fields of an ARN are tried in every way, nothing is
compiled or remembered.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from typing import Any

from patchwright.server.accounts.policy import Asked

ACTIONS = ["ssm:SendCommand", "ssm:GetDocument", "ssm:GetDocuments", "SSM:getdocument", "iam:CreateUser", "*"]
ACTION_PATTERNS = [
    "*",
    "ssm:*",
    "ssm:Get*",
    "ssm:GetDocument",
    "SSM:SENDCOMMAND",
    "ssm:*Document?",
    "iam:*",
    "*:Create*",
]
ARNS = [
    "*",
    "arn:aws:ssm:us-east-1:111122223333:document/a",
    "arn:aws:ssm:us-east-1:111122223333:document/ab/c",
    "arn:aws:ssm:us-east-1::document/AWS-a",
    "arn:aws:ssm:eu-west-1:111122223333:automation-definition/a:1",
    "arn:aws:ssm:eu-west-1:111122223333:document/A",
    "arn:aws:iam::111122223333:user/ann",
]
RESOURCE_PATTERNS = [
    "*",
    "arn:aws:ssm:*",
    "arn:aws:ssm:*:document/a",
    "arn:aws:ssm:*:*:document/*",
    "arn:aws:ssm:us-east-1:111122223333:document/a",
    "arn:aws:ssm:us-east-1:111122223333:document/a*",
    "arn:aws:ssm:us-east-1:111122223333:document/a?*c",
    "arn:aws:ssm:*:*:*:1",
    "arn:aws:ssm:*-1:1111*3:*a",
    "arn:aws:ssm:u?-east-1:*:document/?",
    "arn:aws:iam::*:user/*n*",
    "arn:aws:ssm:us-east-1:111122223333:document/${aws:username}",
    "arn:aws:ssm:*:*:document/${aws:TagKeys, 'a'}*",
]
KEYS = ["aws:username", "aws:TagKeys", "ssm:resourceTag/env"]
VALUES = ["a", "A", "ab", "", "*", "1", "10", "${aws:username}", "b"]
PATTERNS = ["a", "A", "a*", "?", "*", "b", "1", "10", "", "a${*}"]
OPERATORS = [
    *("StringEquals", "StringNotEquals", "StringLike", "StringNotLike", "StringEqualsIgnoreCase"),
    *("StringNotEqualsIgnoreCase", "NumericLessThan", "NumericNotEquals", "NumericGreaterThanEquals"),
]


# ---------------------------------------------------------------------------------------------------------------- made up


def made_statement(source: random.Random, effect: str = "") -> dict[str, Any]:
    """A statement."""
    statement: dict[str, Any] = {
        "Effect": effect or source.choice(["Allow", "Allow", "Deny"]),
        source.choice(["Action", "Action", "Action", "NotAction"]): some(source, ACTION_PATTERNS),
        source.choice(["Resource", "Resource", "Resource", "NotResource"]): some(source, RESOURCE_PATTERNS),
    }
    if source.random() < 0.7:
        statement["Condition"] = {
            made_operator(source): {key: source.choice([["1"], ["5", "10"]]) for key in some(source, KEYS)}
            for _ in range(source.randint(1, 2))
        }
        for operator, keys in statement["Condition"].items():
            for key in keys:
                if "Null" in operator:
                    keys[key] = source.choice(["true", "false"])
                elif "String" in operator:
                    keys[key] = some(source, PATTERNS)
    return statement


def made_operator(source: random.Random) -> str:
    """An operator, with or without set operator and IfExists."""
    if source.random() < 0.15:
        return "Null"
    quantifier = source.choice(["", "", "ForAllValues:", "ForAnyValue:"])
    return f"{quantifier}{source.choice(OPERATORS)}{source.choice(['', '', 'IfExists'])}"


def made_policies(source: random.Random) -> list[dict[str, Any]]:
    """One to three policies."""
    return [
        {"Version": "2012-10-17", "Statement": [made_statement(source) for _ in range(source.randint(1, 3))]}
        for _ in range(source.randint(1, 3))
    ]


def made_question(source: random.Random) -> Asked:
    """Something that is asked."""
    context = {key: source.choices(VALUES, k=source.choice([0, 1, 1, 1, 2])) for key in KEYS if source.random() < 0.7}
    return Asked(source.choice(ACTIONS), source.choice(ARNS), context)


def some(source: random.Random, pool: Sequence[str]) -> list[str]:
    """One or two of a pool."""
    return source.sample(pool, source.choice([1, 1, 2]))


# ------------------------------------------------------------------------------------------------------------ read plainly


def decided_slowly(policies: Sequence[Mapping[str, Any]], asked: Asked) -> tuple[bool, bool]:
    """Whether it is allowed, and whether a statement said so."""
    applying = [one["Effect"] for policy in policies for one in policy["Statement"] if applies(one, asked)]
    return bool(applying) and "Deny" not in applying, bool(applying)


def applies(statement: Mapping[str, Any], asked: Asked) -> bool:
    """Whether a statement speaks of what is asked."""
    denies = statement["Effect"] == "Deny"
    name = asked.action.lower()
    named = any(like(pattern.lower(), name) for pattern in statement.get("Action") or statement["NotAction"])
    if named is not ("Action" in statement):
        return False
    about = [resource_named(pattern, asked) for pattern in statement.get("Resource") or statement["NotResource"]]
    if "Resource" in statement and True not in about:
        return False
    if "NotResource" in statement and (True in about or (None in about and not denies)):
        return False
    return all(
        condition_holds(operator, asked.context.get(key), values, denies=denies)
        for operator, keys in statement.get("Condition", {}).items()
        for key, values in keys.items()
    )


def like(pattern: str, text: str, *, stars: str = "*") -> bool:
    """Whether *pattern* fits, by trying every way; `\\0` and what follows it is the plain character."""
    if not pattern:
        return not text
    if pattern[0] == "\0":
        return text[:1] == pattern[1] and like(pattern[2:], text[1:])
    if pattern[0] in stars:
        return any(like(pattern[1:], text[cut:]) for cut in range(len(text) + 1))
    return bool(text) and pattern[0] in ("?", text[0]) and like(pattern[1:], text[1:])


def resource_named(pattern: str, asked: Asked) -> bool | None:
    """Whether a pattern names the resource; None where a variable has no value."""
    if pattern == "*":
        return True
    for variable, key, default in (
        ("${aws:username}", "aws:username", None),
        ("${aws:TagKeys, 'a'}", "aws:TagKeys", "a"),
    ):
        if variable in pattern:
            values = asked.context.get(key) or ([default] if default else [])
            if len(values) != 1:
                return None
            pattern = pattern.replace(variable, "".join(f"\0{letter}" for letter in values[0]))
    return fields_fit(pattern.split(":", 5), asked.resource.split(":"))


def fields_fit(patterns: Sequence[str], parts: Sequence[str]) -> bool:
    """Field by field; one that ends in a star may stand for several, the last for all the rest."""
    if len(patterns) == 1:
        return bool(parts) and like(patterns[0], ":".join(parts))
    if not parts or not like(patterns[0], parts[0]):
        return False
    used = range(1, len(parts)) if patterns[0].endswith("*") else [1]
    return any(fields_fit(patterns[1:], parts[number:]) for number in used)


def condition_holds(operator: str, given: Sequence[str] | None, values: Any, *, denies: bool) -> bool:
    """Whether one key of one operator holds."""
    if operator == "Null":
        return ("false" if given else "true") == values
    quantifier, _, name = operator.rpartition(":")
    exists, base = name.endswith("IfExists"), name.removesuffix("IfExists")
    negated = "Not" in base
    each = [one_fits(base.replace("Not", ""), value, values) for value in given or ()]
    holds = [(denies if fit is None else not fit) if negated else bool(fit) for fit in each]
    if quantifier == "ForAllValues":
        return not any(given or ()) or all(holds)
    if quantifier == "ForAnyValue":
        return exists if given is None else any(given) and any(holds)
    if not given:
        return exists or negated
    return any(holds) if denies else all(holds)


def one_fits(base: str, value: str, wanted: Sequence[str]) -> bool | None:
    """Whether a value of the request fits one of the policy's; None where it is no number and one is wanted."""
    if base.startswith("Numeric"):
        if not value.isdigit():
            return None
        relation = base.removeprefix("Numeric")
        return any(
            {
                "Equals": int(value) == int(one),
                "LessThan": int(value) < int(one),
                "GreaterThanEquals": int(value) >= int(one),
            }[relation]
            for one in wanted
        )
    texts = [one.replace("${*}", "\0*") for one in wanted]
    if base == "StringLike":
        return any(like(text, value) for text in texts)
    plain = [text.replace("\0", "") for text in texts]
    if base == "StringEqualsIgnoreCase":
        return value.lower() in [text.lower() for text in plain]
    return value in plain


def text_of(policies: Sequence[Mapping[str, Any]]) -> list[str]:
    """Policies as JSON."""
    return [json.dumps(policy) for policy in policies]
