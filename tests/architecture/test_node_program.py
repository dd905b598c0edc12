# SPDX-License-Identifier: Apache-2.0
"""What runs on the node: the standard library of Python 3.8 and nothing else; one module starts processes."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from architecture.tree import PACKAGE, SRC, Module, imports, modules, plant

OLDEST_PYTHON = (3, 8)
# Modules that came to the standard library after Python 3.8.
TOO_NEW = {"graphlib", "tomllib", "zoneinfo"}
# Bindings of the platform: imported only where the distribution put them, and only by the provider that reads them.
BINDINGS = {"apt_pkg": f"{PACKAGE}.agent.providers.apt"}
# Names of `os` that start a process or become one.
# One process is two programs, and becomes the other: ADR 0012.
BECOMES = (f"{PACKAGE}.agent.baton", "execv")
STARTERS = ("fork", "forkpty", "popen", "posix_spawn", "posix_spawnp", "startfile", "system", "exec", "spawn")
# Attributes and functions that Python 3.8 does not have: (holder, name).
NEWER_CALLS = {("functools", "cache"), ("math", "lcm"), ("os", "waitstatus_to_exitcode"), ("random", "randbytes")}
NEWER_METHODS = {"removeprefix", "removesuffix", "is_relative_to", "with_stem", "hardlink_to"}


def on_the_node(src: Path) -> list[Module]:
    """The modules that the agent's one file carries."""
    buildings = (f"{PACKAGE}.core", f"{PACKAGE}.agent")
    return [m for m in modules(src) if m.name == PACKAGE or m.name.startswith(buildings)]


def foreign_imports(src: Path) -> list[str]:
    """Imports that the node's standard library cannot serve, and imports of the server or the command line."""
    found = []
    for module in on_the_node(src):
        for item in imports(module):
            top = item.module.partition(".")[0]
            if top == PACKAGE:
                ours = item.module if item.module != PACKAGE else f"{PACKAGE}.{item.name or '__version__'}"
                allowed = ours.startswith((f"{PACKAGE}.core", f"{PACKAGE}.agent", f"{PACKAGE}.__version__"))
            elif top in BINDINGS:
                allowed = module.name.startswith(BINDINGS[top])
            else:
                allowed = top in sys.stdlib_module_names and top not in TOO_NEW
            if not allowed:
                found.append(f"{module.name}:{item.line} imports {item.module} {item.name}".rstrip())
    return found


def unreadable(src: Path) -> list[str]:
    """Modules that Python 3.8 cannot parse, evaluate annotations of, or serve a call of."""
    found = []
    for module in on_the_node(src):
        try:
            ast.parse(module.path.read_text(encoding="utf-8"), feature_version=OLDEST_PYTHON)
        except SyntaxError as error:
            found.append(f"{module.name}:{error.lineno} is not Python 3.8: {error.msg}")
        if _has_code(module.tree) and not _postpones_annotations(module.tree):
            found.append(f"{module.name} lacks `from __future__ import annotations`")
        found += [f"{module.name}:{line} uses {what}, newer than Python 3.8" for line, what in _newer(module.tree)]
    return found


def process_starters(src: Path) -> list[str]:
    """Places on the node where a process could start without `subprocess` being imported; agent/shell.py is their home."""
    return [
        f"{module.name}:{node.lineno} calls os.{node.attr}"
        for module in on_the_node(src)
        if module.name != f"{PACKAGE}.agent.shell"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os"
        if node.attr in STARTERS or node.attr.startswith(("exec", "spawn"))
        if (module.name, node.attr) != BECOMES
    ]


def _has_code(tree: ast.Module) -> bool:
    return any(not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)) for node in tree.body) and any(
        isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.AnnAssign)) for node in ast.walk(tree)
    )


def _postpones_annotations(tree: ast.Module) -> bool:
    return any(
        isinstance(node, ast.ImportFrom)
        and node.module == "__future__"
        and any(alias.name == "annotations" for alias in node.names)
        for node in tree.body
    )


def _newer(tree: ast.Module) -> list[tuple[int, str]]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            holder = node.value.id if isinstance(node.value, ast.Name) else ""
            if node.attr in NEWER_METHODS or (holder, node.attr) in NEWER_CALLS:
                found.append((node.lineno, node.attr))
        elif isinstance(node, ast.ImportFrom):
            found += [(node.lineno, a.name) for a in node.names if (node.module or "", a.name) in NEWER_CALLS]
        elif isinstance(node, ast.Call):
            decorator = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            known = {"dataclass": {"slots", "kw_only", "match_args"}, "zip": {"strict"}}.get(decorator, set())
            found += [(node.lineno, f"{decorator}({k.arg}=)") for k in node.keywords if k.arg in known]
    return found


def test_the_node_program_needs_nothing_but_python():
    """core and agent import only each other and the standard library of Python 3.8."""
    assert foreign_imports(SRC) == []


def test_the_node_program_is_python_3_8():
    """core and agent parse as Python 3.8, postpone their annotations, and call nothing newer."""
    assert unreadable(SRC) == []


def test_one_module_starts_processes():
    """Only agent/shell.py starts processes on the node (import-linter watches `subprocess`, this watches `os`)."""
    assert process_starters(SRC) == []


@pytest.mark.parametrize(
    "line",
    [
        "import msgspec",
        "from msgspec import Struct",
        "import zoneinfo",
        "def late():\n    import yaml",
        "from patchwright.server import nodes",
        "from patchwright import cli",
        "import apt_pkg",
    ],
)
def test_a_foreign_import_is_found(tmp_path, line):
    """Third-party packages, later parts of the standard library and the other buildings are seen."""
    plant(tmp_path, {"patchwright/agent/loop.py": line})

    assert len(foreign_imports(tmp_path)) == 1


def test_the_apt_provider_may_use_the_platforms_binding(tmp_path):
    """apt_pkg is imported where the distribution ships it, by its provider alone."""
    plant(tmp_path, {"patchwright/agent/providers/apt.py": "import apt_pkg"})

    assert foreign_imports(tmp_path) == []


@pytest.mark.parametrize(
    "text",
    [
        "match 1:\n    case 1:\n        pass",
        "with (open('a') as a, open('b') as b):\n    pass",
        "def f(x: int | None): ...",
        "from __future__ import annotations\ndef f(x): return x.removeprefix('a')",
        "from __future__ import annotations\nfrom functools import cache\ndef f(): ...",
        "from __future__ import annotations\n@dataclass(slots=True)\nclass A:\n    a: int = 0",
        "from __future__ import annotations\ndef f(a, b): return zip(a, b, strict=True)",
    ],
)
def test_newer_python_is_found(tmp_path, text):
    """Syntax, annotations and calls that Python 3.8 would refuse are seen."""
    plant(tmp_path, {"patchwright/core/plan.py": text})

    assert unreadable(tmp_path) != []


@pytest.mark.parametrize(
    "call", ["os.fork()", "os.execv('/bin/sh', [])", "os.system('true')", "os.posix_spawn('', [], {})"]
)
def test_a_process_started_elsewhere_is_found(tmp_path, call):
    """A process started without the shell module is seen; in the shell module it is at home."""
    plant(
        tmp_path,
        {"patchwright/agent/steps.py": f"import os\n{call}", "patchwright/agent/shell.py": f"import os\n{call}"},
    )

    assert [text.partition(":")[0] for text in process_starters(tmp_path)] == ["patchwright.agent.steps"]
