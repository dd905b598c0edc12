# SPDX-License-Identifier: Apache-2.0
"""
Policies and what they say, as data, written from the page of AWS's IAM user guide that `doc` names (`ours` where AWS leaves
it open, and the answer is the one that grants less).

    name        a sentence; unique
    statement   one statement as JSON, or `statements`; `version` of the language where it is not 2012-10-17;
                or `policies`, whole documents; or `when`, the Condition of an Allow (`effect`) of everything;
                or `trust`, statements of a trust policy
    context     condition keys of the request: {KEY = [VALUE, …]}
    allow       ["ACTION RESOURCE", …] that are allowed; `deny`: explicitly denied; `no`: not allowed, no statement says so
    holds       contexts in which the statement with `when` applies, `fails`: in which it does not
    trusts      lists of names of callers that may take the role, `distrusts`: that may not
    malformed   instead of answers: which element is named in the refusal
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from patchwright.server.accounts import policy

ACTION = "ssm:SendCommand"
FILES = sorted(Path(__file__).parent.glob("*.toml"))
KNOWN = {
    *("name", "doc", "statement", "statements", "version", "policies", "when", "effect", "trust", "context"),
    *("allow", "deny", "no", "holds", "fails", "trusts", "distrusts", "malformed"),
}


class Question(NamedTuple):
    """What is asked, and what is answered."""

    asked: policy.Asked
    allowed: bool
    explicit: bool


class Case:
    """One case."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.data = data
        self.name: str = data["name"]
        self.trust = "trust" in data

    @cached_property
    def documents(self) -> list[str]:
        """Its policies as text."""
        if "policies" in self.data:
            return list(self.data["policies"])
        if "when" in self.data:
            effect = json.dumps(self.data.get("effect", "Allow"))
            texts = [f'{{"Effect": {effect}, "Action": "*", "Resource": "*", "Condition": {self.data["when"]}}}']
        else:
            one = self.data.get("statement")
            texts = [one] if one else self.data.get("statements") or self.data["trust"]
        version = json.dumps(self.data.get("version", "2012-10-17"))
        return [f'{{"Version": {version}, "Statement": [{", ".join(texts)}]}}']

    def policies(self) -> list[policy.Policy]:
        """Its policies, read."""
        return [policy.parse(text, trust=self.trust) for text in self.documents]

    def questions(self) -> Iterator[Question]:
        """All that is asked in it."""
        context = self.data.get("context", {})
        for word, allowed, explicit in (("allow", True, True), ("deny", False, True), ("no", False, False)):
            for text in self.data.get(word, ()):
                action, resource = text.split(" ", 1)
                yield Question(policy.Asked(action, resource, context), allowed, explicit)
        allows = self.data.get("effect", "Allow") == "Allow"
        for word, holds in (("holds", True), ("fails", False)):
            for given in self.data.get(word, ()):
                yield Question(policy.Asked(ACTION, "*", given), holds and allows, holds)
        for word, trusted in (("trusts", True), ("distrusts", False)):
            for names in self.data.get(word, ()):
                yield Question(policy.Asked("sts:AssumeRole", "*", context, names), trusted, trusted)


def read() -> list[Case]:
    """Every case of every file."""
    return [Case(data) for path in FILES for data in tomllib.loads(path.read_text(encoding="utf-8"))["case"]]
