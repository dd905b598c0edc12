# SPDX-License-Identifier: Apache-2.0
"""Tests are sentences, and no test waits for time to pass."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from architecture.tree import ROOT, parsed, plant

TESTS = ROOT / "tests"


def speechless(tests: Path) -> list[str]:
    """Test functions without a docstring."""
    return [
        f"{path.relative_to(tests)}:{node.lineno} {node.name}"
        for path in sorted(tests.rglob("test_*.py"))
        for node in ast.walk(parsed(path))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        if node.name.startswith("test_") and not ast.get_docstring(node)
    ]


def sleepers(tests: Path) -> list[str]:
    """
    Places that wait for time instead of for a condition.

    In a test file no sleep stands at all (`asyncio.sleep(0)` gives way and is none). In the toolkits beside the tests
    a pause may stand inside a `while` or `for` loop: that is how a condition without an event is waited for.
    """
    found = []
    for path in sorted(tests.rglob("*.py")):
        tree = parsed(path)
        is_test = path.name.startswith("test_") or path.name == "conftest.py"
        allowed = set() if is_test else {id(inner) for loop in _loops(tree) for inner in ast.walk(loop)}
        found += [
            f"{path.relative_to(tests)}:{node.lineno}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and _sleeps(node) and id(node) not in allowed
        ]
    return found


def _loops(tree: ast.Module) -> list[ast.stmt]:
    return [node for node in ast.walk(tree) if isinstance(node, (ast.While, ast.For, ast.AsyncFor))]


def _sleeps(call: ast.Call) -> bool:
    function = call.func
    name = function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
    holder = function.value if isinstance(function, ast.Attribute) else None
    if name != "sleep" or (
        holder is not None and not (isinstance(holder, ast.Name) and holder.id in {"time", "asyncio"})
    ):
        return False
    first = call.args[0] if call.args else None
    return not (isinstance(first, ast.Constant) and first.value == 0)


def test_every_test_says_what_it_shows():
    """Each test function has a docstring: a sentence about behaviour."""
    assert speechless(TESTS) == []


def test_no_test_sleeps():
    """Waiting is for a condition, with a deadline."""
    assert sleepers(TESTS) == []


def test_a_test_without_a_sentence_is_found(tmp_path):
    """Functions, coroutines and methods are looked at."""
    plant(
        tmp_path,
        {"core/test_plan.py": "def test_a(): ...\nasync def test_b(): ...\nclass TestC:\n    def test_c(self): ...\n"},
    )

    assert [line.split()[-1] for line in speechless(tmp_path)] == ["test_a", "test_b", "test_c"]


@pytest.mark.parametrize(
    "line", ["time.sleep(1)", "asyncio.sleep(0.1)", "while True:\n    time.sleep(1)", "sleep(pause)"]
)
def test_a_sleeping_test_is_found(tmp_path, line):
    """A pause in a test file is seen, in a loop too."""
    plant(tmp_path, {"core/test_plan.py": line})

    assert len(sleepers(tmp_path)) == 1


def test_a_toolkit_may_pause_between_two_looks_only(tmp_path):
    """Outside a loop a pause waits for nothing; giving way to other coroutines and a fake clock's sleep are no pauses."""
    plant(
        tmp_path,
        {
            "farm/node.py": "while not ready():\n    time.sleep(0.01)\n",
            "farm/net.py": "time.sleep(1)\n",
            "core/test_plan.py": "asyncio.sleep(0)\nclock.sleep(60)\n",
        },
    )

    assert sleepers(tmp_path) == ["farm/net.py:1"]
