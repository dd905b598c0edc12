# SPDX-License-Identifier: Apache-2.0
"""SQL is text that the source fixes; values travel as parameters."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from architecture.tree import PACKAGE, SRC, modules, plant

MAKERS = {"sql", "sql_each"}
# Calls that keep what they are given: fixed parts stay fixed, numbers are no text.
KEEPING = {"enumerate", "len", "range", "reversed", "sorted", "tuple", "zip"}
Function = ast.FunctionDef | ast.AsyncFunctionDef


def composed(src: Path) -> list[str]:
    """
    Statements whose text could hold something that is not written in the source.

    A text is fixed when it is made of literals, of constants (NAMES_IN_CAPITALS), of `placeholders(…)`, of local names
    that are only ever bound to such texts, and of parameters of a private function that all calls in its module give
    such texts. Anything else in a statement is refused, however harmless it looks: an identifier that must vary is a
    choice between literals.
    """
    return [
        f"{module.name}:{line}"
        for module in modules(src)
        if module.name.startswith(f"{PACKAGE}.server")
        for line in _Reader(module.tree).composed()
    ]


class _Reader:
    """One module's functions, what their names are bound to, and what they are called with."""

    def __init__(self, tree: ast.Module) -> None:
        self._functions = [node for node in ast.walk(tree) if isinstance(node, Function)]
        self._bound = {id(function): _bindings(function) for function in self._functions}

    def composed(self) -> list[int]:
        """Lines of the statements that are not fixed."""
        return sorted(
            {
                call.lineno
                for function in self._functions
                for call in _calls(function)
                if _name(call) in MAKERS and call.args and not self._fixed(call.args[0], function, frozenset())
            }
        )

    def _fixed(self, node: ast.expr, function: Function, seen: frozenset[tuple[int, str]]) -> bool:
        match node:
            case ast.Constant(value=str() | int()):
                return True
            case ast.Name(id=name) | ast.Attribute(attr=name) if name.isupper():
                return True
            case ast.Name(id=name) if (id(function), name) not in seen:
                return self._bound_to_fixed(name, function, seen | {(id(function), name)})
            case ast.FormattedValue(format_spec=None, conversion=-1):
                parts = [node.value]
            case ast.JoinedStr(values=parts) | ast.Tuple(elts=parts):
                pass
            case ast.BinOp(op=ast.Add()):
                parts = [node.left, node.right]
            case ast.IfExp():
                parts = [node.body, node.orelse]
            case ast.Subscript():
                parts = [node.value]
            case ast.GeneratorExp() | ast.ListComp():
                parts = [node.elt]
            case ast.Call(func=ast.Attribute(value=value, attr="join" | "split"), args=args):
                parts = [value, *args]
            case ast.Call(args=args) if _name(node) in KEEPING:
                parts = [] if _name(node) in {"len", "range"} else list(args)
            case _:
                return isinstance(node, ast.Call) and _name(node) == "placeholders"
        return all(self._fixed(part, function, seen) for part in parts)

    def _bound_to_fixed(self, name: str, function: Function, seen: frozenset[tuple[int, str]]) -> bool:
        values = self._bound[id(function)].get(name, [])
        if any(not self._fixed(value, function, seen) for value in values):
            return False
        parameters = [arg.arg for arg in (*function.args.posonlyargs, *function.args.args)]
        if name not in parameters:
            return bool(values)
        place = parameters.index(name)
        uses = [(caller, call) for caller in self._functions for call in _calls(caller) if _name(call) == function.name]
        return function.name.startswith("_") and all(
            len(call.args) > place and self._fixed(call.args[place], caller, seen) for caller, call in uses
        )


def _bindings(function: Function) -> dict[str, list[ast.expr]]:
    """What each local name is bound to: by assignment, or by going through something."""
    bound: dict[str, list[ast.expr]] = {}
    for node in ast.walk(function):
        match node:
            case ast.Assign(targets=targets, value=value):
                pass
            case ast.AnnAssign(target=target, value=ast.expr() as value) | ast.AugAssign(target=target, value=value):
                targets = [target]
            case ast.comprehension(target=target, iter=value) | ast.For(target=target, iter=value):
                targets = [target]
            case _:
                continue
        names = [name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]
        for name in names:
            bound.setdefault(name, []).append(value)
    return bound


def _calls(function: Function) -> list[ast.Call]:
    return [node for node in ast.walk(function) if isinstance(node, ast.Call)]


def _name(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else ""


def test_statements_are_fixed_texts():
    """No statement of the server is put together from values."""
    assert composed(SRC) == []


@pytest.mark.parametrize(
    "body",
    [
        "yield sql(f'SELECT 1 FROM node WHERE id = {node_id}')",
        "yield sql('SELECT 1 FROM node WHERE id = ' + node_id)",
        "yield sql('SELECT 1 FROM node WHERE id = %s' % node_id)",
        "yield sql('SELECT 1 FROM node WHERE id = {}'.format(node_id))",
        "yield sql(f'SELECT 1 FROM {TABLE} WHERE id = {node_id!r}')",
        "yield sql(node_id)",
        "text = f'SELECT {node_id}'\n    yield sql(text)",
        "text = 'SELECT 1'\n    text += node_id\n    yield sql(text)",
        "yield sql('SELECT ' + ', '.join(name for name in node_id))",
        "yield sql(f'SELECT {other(COLUMNS)}')",
        "yield _one('a = ' + node_id)\ndef _one(condition):\n    yield sql(f'SELECT 1 WHERE {condition}')",
    ],
)
def test_a_value_in_a_statement_is_found(tmp_path, body):
    """Every way of putting a value into the text is seen."""
    plant(tmp_path, {"patchwright/server/nodes/store.py": f"def find(node_id):\n    {body}\n"})

    assert len(composed(tmp_path)) == 1


@pytest.mark.parametrize(
    "body",
    [
        "yield sql('SELECT 1 FROM node WHERE id = $1', node_id)",
        "yield sql(f'SELECT {_COLUMNS} FROM node WHERE id IN ({placeholders(1, 3)})', node_id)",
        "more = ' AND x = 1' if node_id else ''\n    yield sql(f'SELECT 1 FROM node WHERE true{more}')",
        "yield sql(ORDERS[node_id])",
        "yield sql('UPDATE node SET ' + ', '.join(f'{name} = ${n}' for n, name in enumerate(_NAMES)))",
        "yield _one('a = $1')\ndef _one(condition):\n    yield sql(f'SELECT 1 WHERE {condition}')",
    ],
)
def test_constants_placeholders_and_choices_are_fixed(tmp_path, body):
    """What the source itself says may be put together."""
    plant(tmp_path, {"patchwright/server/nodes/store.py": f"def find(node_id):\n    {body}\n"})

    assert composed(tmp_path) == []
