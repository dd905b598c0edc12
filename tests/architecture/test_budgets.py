# SPDX-License-Identifier: Apache-2.0
"""Budgets on the tail: the longest function, file, class and parameter list. There is no list of exceptions."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from architecture.tree import ROOT, SRC, plant

FUNCTION_LINES = 60  # without the docstring
FILE_LINES = 600
PUBLIC_METHODS = 15
POSITIONAL_PARAMETERS = 5
VAGUE_NAMES = {"utils", "util", "common", "helpers", "helper", "interfaces", "managers", "misc"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def oversized(root: Path, *, shapes: bool = True) -> list[str]:
    """
    What exceeds a budget below *root*.

    *shapes* (methods and parameters) is off for tests: they take fixtures as parameters, and a toolkit's node is a list
    of verbs. Lengths hold everywhere.
    """
    found = []
    for path in sorted(root.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        where = path.relative_to(root)
        lines = text.count("\n") + (not text.endswith("\n"))
        if lines > FILE_LINES:
            found.append(f"{where} has {lines} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                found += [f"{where}:{node.lineno} {node.name} {what}" for what in _function(node, shapes=shapes)]
            elif shapes and isinstance(node, ast.ClassDef):
                count = sum(1 for item in node.body if _is_public_method(item))
                if count > PUBLIC_METHODS:
                    found.append(f"{where}:{node.lineno} {node.name} has {count} public methods")
    return found


def vague(root: Path) -> list[str]:
    """Modules and packages whose name says nothing."""
    return [str(path.relative_to(root)) for path in sorted(root.rglob("*")) if path.stem in VAGUE_NAMES]


def _function(node: Function, *, shapes: bool) -> list[str]:
    found = []
    lines = (node.end_lineno or node.lineno) - node.lineno + 1 - _docstring_lines(node)
    if lines > FUNCTION_LINES:
        found.append(f"has {lines} lines")
    positional = [arg.arg for arg in (*node.args.posonlyargs, *node.args.args)]
    if positional[:1] in (["self"], ["cls"]):
        positional = positional[1:]
    if shapes and len(positional) > POSITIONAL_PARAMETERS:
        found.append(f"takes {len(positional)} positional parameters")
    return found


def _docstring_lines(node: Function) -> int:
    first = node.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        return (first.end_lineno or first.lineno) - first.lineno + 1
    return 0


def _is_public_method(item: ast.stmt) -> bool:
    return isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef)) and not item.name.startswith("_")


def test_the_source_keeps_its_budgets():
    """Function ≤ 60 lines, file ≤ 600, class ≤ 15 public methods, ≤ 5 positional parameters."""
    assert oversized(SRC) == []


def test_the_tests_keep_their_budgets():
    """Tests are read too: functions ≤ 60 lines, files ≤ 600."""
    assert oversized(ROOT / "tests", shapes=False) == []


def test_no_module_has_a_vague_name():
    """A module is named after what it does; there is no place where anything may go."""
    assert vague(SRC) == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("def f():\n" + "    x = 1\n" * 60, "f has 61 lines"),
        ("async def f():\n" + "    x = 1\n" * 60, "f has 61 lines"),
        ("x = 1\n" * 601, "has 601 lines"),
        ("class A:\n" + "".join(f"    def m{n}(self): ...\n" for n in range(16)), "A has 16 public methods"),
        ("def f(a, b, c, d, e, g): ...\n", "f takes 6 positional parameters"),
        ("class A:\n    def f(self, a, b, c, d, e, /, g): ...\n", "f takes 6 positional parameters"),
    ],
)
def test_an_overdrawn_budget_is_found(tmp_path, text, complaint):
    """One line, method or parameter too many is seen."""
    plant(tmp_path, {"patchwright/core/plan.py": text})

    assert [line.endswith(complaint) for line in oversized(tmp_path)] == [True]


@pytest.mark.parametrize(
    "text",
    [
        'def f():\n    """\n' + "    Words.\n" * 30 + '    """\n' + "    x = 1\n" * 59,
        "class A:\n" + "".join(f"    def m{n}(self): ...\n" for n in range(15)) + "    def _own(self): ...\n",
        "class A:\n    def f(self, a, b, c, d, e, *, g, h): ...\n",
    ],
)
def test_docstrings_private_methods_and_keywords_are_free(tmp_path, text):
    """Docstrings do not count as lines, private methods and keyword-only parameters not at all."""
    plant(tmp_path, {"patchwright/core/plan.py": text})

    assert oversized(tmp_path) == []


def test_a_vague_name_is_found(tmp_path):
    """A module called utils, and a package called common, are seen."""
    plant(tmp_path, {"patchwright/core/utils.py": "", "patchwright/server/common/__init__.py": ""})

    assert len(vague(tmp_path)) == 2
