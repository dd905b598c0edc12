# SPDX-License-Identifier: Apache-2.0
"""Secrets are compared in constant time: how long a comparison takes tells nobody how much of a guess was right."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from .tree import SRC

# What is secret, or proves that somebody knows a secret. Digests of content are neither.
SECRET = re.compile(r"(?:\A|_)(?:secret|signature|mac|hmac|code_hash|password|passphrase|pin|master|key_material)\Z")
DIRECT = (ast.Eq, ast.NotEq, ast.In, ast.NotIn)


def name_of(node: ast.expr) -> str:
    """What an expression is called, as far as it is."""
    match node:
        case ast.Attribute(attr=name) | ast.Name(id=name) | ast.Subscript(slice=ast.Constant(value=str(name))):
            return name.lower()
        case ast.Call(func=called):
            return name_of(called)
        case _:
            return ""


def direct_comparisons(text: str) -> Iterator[str]:
    """Comparisons of a secret with something that is no constant, which are not made by `hmac.compare_digest`."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Compare) or not any(isinstance(one, DIRECT) for one in node.ops):
            continue
        sides = [node.left, *node.comparators]
        if any(isinstance(side, ast.Constant) for side in sides):
            continue  # whether there is one at all
        if any(SECRET.search(name_of(side)) for side in sides):
            yield f"{node.lineno}: {ast.unparse(node)}"


def test_secrets_are_compared_in_constant_time():
    """Everywhere: server, agent, command line."""
    found = [
        f"{path.relative_to(SRC)} {one}"
        for path in sorted(SRC.rglob("*.py"))
        for one in direct_comparisons(path.read_text(encoding="utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize(
    "text",
    [
        "given.secret == kept.secret",
        "if signature != expected: pass",
        "mac in known",
        "row['code_hash'] == code",
        "expected_mac() == got",
        "x = a == self._master",
    ],
)
def test_a_direct_comparison_would_be_found(text):
    """The test above looks where it says."""
    assert list(direct_comparisons(text))
    assert not list(direct_comparisons("secret == ''\nhmac.compare_digest(secret, given)\ndigest == other"))
