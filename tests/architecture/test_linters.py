# SPDX-License-Identifier: Apache-2.0
"""ruff, mypy and import-linter are tests, so that one command says whether the tree is in order."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from architecture.tree import PACKAGE, ROOT, plant

SILENCED = re.compile(r"# noqa: [A-Z]+[0-9]+(?:, ?[A-Z]+[0-9]+)* - \S+")
TOOLS = Path(sys.executable).parent
# Just enough of a house for the contracts to have something to look at.
BUILDINGS = ("agent", "cli", "core", "server")
ROOMS = (
    *("aws", "gateway", "wire", "windows", "reports", "outputs", "inventory", "compliance", "commands", "patching"),
    *("documents", "nodes", "parameters", "settings", "events", "tags", "accounts", "infra"),
)


def ruff(root: Path, *words: str) -> str:
    """Run ruff in *root* with the project's configuration; empty when there is nothing to say."""
    return _complaint([str(TOOLS / "ruff"), *words, "."], root)


def mypy(root: Path) -> str:
    """Run mypy in *root* with the project's configuration; empty when there is nothing to say."""
    return _complaint([sys.executable, "-m", "mypy", "--no-error-summary"], root)


def lint_imports(root: Path) -> str:
    """Run import-linter in *root* with the project's contracts; empty when all are kept."""
    return _complaint([str(TOOLS / "lint-imports"), "--no-cache"], root, PYTHONPATH=str(root / "src"))


def ignores_without_reason(pyproject: str) -> list[str]:
    """Lines of ruff's `ignore` that turn a rule off and do not say why."""
    inside, found = False, []
    for line in pyproject.splitlines():
        if line.startswith("ignore = [") or ('**" = [' in line or '.py" = [' in line):
            inside = True
            if line.rstrip().endswith("["):
                continue
        if inside and line.strip().startswith('"') and not line.partition("#")[2].strip():
            found.append(line.strip())
        if line.startswith("]") or not line.startswith(("    ", '"')):
            inside = False
    return found


def silenced_without_reason(src: Path) -> list[str]:
    """`noqa` comments that name no rule, or do not say why: `# noqa: BLE001 - every fault becomes an answer`."""
    return [
        f"{path.relative_to(src)}:{number}"
        for path in sorted(src.rglob("*.py"))
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if "# noqa" in line and not SILENCED.search(line)
    ]


def _complaint(command: list[str], root: Path, **environment: str) -> str:
    done = subprocess.run(
        command,
        cwd=root,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "200", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """An empty house with the project's configuration: a copy, so that a violation can be planted in it."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    rooms = [f"server/{room}" for room in ROOMS]
    return plant(tmp_path, {f"src/{PACKAGE}/{name}/__init__.py": "" for name in (*BUILDINGS, *rooms)})


def test_ruff_has_nothing_to_say():
    """Source, tests and scripts satisfy every selected rule."""
    assert ruff(ROOT, "check", "--quiet", "--no-fix") == ""


def test_the_tree_is_formatted():
    """`just fmt` was run."""
    assert ruff(ROOT, "format", "--check", "--quiet") == ""


def test_types_are_complete_and_right():
    """mypy --strict has nothing to say about the source."""
    assert mypy(ROOT) == ""


def test_import_contracts_are_kept():
    """The rules between buildings, floors and rooms hold."""
    assert lint_imports(ROOT) == ""


def test_every_rule_that_is_off_says_why():
    """Each ignored rule stands beside its reason."""
    assert ignores_without_reason((ROOT / "pyproject.toml").read_text()) == []


def test_every_silenced_line_says_why():
    """A rule silenced on a line is named there, with the reason."""
    assert silenced_without_reason(ROOT / "src") == []


@pytest.mark.parametrize(
    ("code", "where", "text"),
    [
        ("TID251", "server/nodes/service.py", "import datetime\n\nNOW = datetime.datetime.now(datetime.UTC)\n"),
        ("TID251", "server/nodes/service.py", "import time\n\nNOW = time.time()\n"),
        ("TID251", "core/plan.py", "import random\n\nDICE = random.SystemRandom()\n"),
        ("TID251", "agent/loop.py", "import time\n\ntime.sleep(1)\n"),
        ("DTZ005", "server/nodes/service.py", "import datetime\n\nNOW = datetime.datetime.now()\n"),
        ("BLE001", "agent/loop.py", "try:\n    x = 1\nexcept Exception:\n    x = 2\n"),
        ("S602", "agent/shell.py", "import subprocess\n\nsubprocess.run('ls ' + input(), shell=True, check=True)\n"),
        ("T201", "server/nodes/service.py", "print('here')\n"),
        ("TD003", "core/plan.py", "# TODO: later\n"),
        ("D103", "core/plan.py", '"""A module."""\n\n\ndef f():\n    return 1\n'),
        ("FA102", "core/plan.py", "def f(x: int | None) -> None: ...\n"),
        ("F401", "core/plan.py", "import json\n"),
    ],
)
def test_ruff_finds_what_it_is_there_for(house, code, where, text):
    """A clock read, a broad except, a shell, a print, an anonymous TODO: ruff names each with its code."""
    plant(house, {f"src/{PACKAGE}/{where}": text})

    assert f" {code} " in ruff(house, "check", "--no-fix", "--output-format", "concise")


def test_ruff_lets_the_clock_modules_read_the_clock(house):
    """The two modules that are clocks may do what others may not."""
    text = '"""A clock."""\n\nimport time\n\nNOW = time.time()\n'
    plant(house, {f"src/{PACKAGE}/{where}": text for where in ("agent/clock.py", "server/infra/clock.py")})

    assert "TID251" not in ruff(house, "check", "--no-fix", "--output-format", "concise")


def test_unformatted_code_is_found(house):
    """A file that the formatter would change is named."""
    plant(house, {f"src/{PACKAGE}/core/plan.py": "x = { 'a':1 }\n"})

    assert "plan.py" in ruff(house, "format", "--check")


@pytest.mark.parametrize("text", ["def f(x): return x\n", "def f(x: int) -> str:\n    return x\n"])
def test_mypy_finds_missing_and_wrong_types(house, text):
    """An untyped definition and a wrong return are both errors."""
    plant(house, {f"src/{PACKAGE}/core/plan.py": text})

    assert "plan.py" in mypy(house)


@pytest.mark.parametrize(
    ("rule", "where", "line"),
    [
        ("never each other", "agent/loop.py", "import patchwright.server.nodes"),
        ("never each other", "cli/nodes.py", "import patchwright.agent"),
        ("never each other", "server/app.py", "import patchwright.cli"),
        ("Core imports no I/O", "core/plan.py", "import os"),
        ("Core imports no I/O", "core/plan.py", "import time"),
        ("The agent imports only core", "agent/loop.py", "import msgspec"),
        ("Only agent/shell.py starts processes", "agent/steps.py", "import subprocess"),
        ("rooms on one floor", "server/commands/service.py", "import patchwright.server.patching"),
        ("rooms on one floor", "server/nodes/service.py", "import patchwright.server.patching"),
        ("rooms on one floor", "server/infra/leases.py", "import patchwright.server.accounts"),
        ("rooms on one floor", "server/wire/endpoint.py", "import patchwright.server.gateway"),
        ("rooms on one floor", "server/attic/__init__.py", ""),
        ("Only server/wire knows botocore", "server/aws/ssm/commands.py", "import botocore"),
        ("Only infra knows a database driver", "server/nodes/store.py", "import sqlite3"),
        ("Only infra knows a database driver", "cli/nodes.py", "import asyncpg"),
        ("in a circle", "core/plan.py", "import patchwright.core.patch"),
    ],
)
def test_a_broken_contract_is_found(house, rule, where, line):
    """One wrong import is enough to break the contract that forbids it."""
    plant(house, {f"src/{PACKAGE}/core/patch.py": "import patchwright.core.plan", f"src/{PACKAGE}/core/plan.py": ""})
    plant(house, {f"src/{PACKAGE}/{where}": line + "\n"})

    answer = " ".join(lint_imports(house).split())
    names = [contract["name"] for contract in _contracts() if rule in contract["name"]]

    assert len(names) == 1
    assert f"{names[0]} BROKEN" in answer


def test_the_empty_house_keeps_every_contract(house):
    """What is found above is the planted line and nothing else."""
    assert lint_imports(house) == ""


def test_permitted_places_keep_the_contracts(house):
    """botocore in the wire, drivers in infra and processes in the shell module are at home."""
    plant(
        house,
        {
            f"src/{PACKAGE}/server/wire/services.py": "import botocore.loaders\n",
            f"src/{PACKAGE}/server/infra/sqlite.py": "import sqlite3\n",
            f"src/{PACKAGE}/server/nodes/service.py": "import patchwright.server.infra.sqlite\n",
            f"src/{PACKAGE}/agent/shell.py": "import subprocess\n",
            f"src/{PACKAGE}/agent/steps.py": "import patchwright.agent.shell\n",
        },
    )

    assert lint_imports(house) == ""


def test_a_rule_off_without_a_reason_is_found():
    """An entry without a comment is seen, in the general list and in the list by file."""
    text = 'ignore = [\n    "E501",  # wraps\n    "S603",\n]\n"src/patchwright/cli/**" = ["T201"]\n'

    assert ignores_without_reason(text) == ['"S603",', '"src/patchwright/cli/**" = ["T201"]']


def test_a_silenced_line_without_a_reason_is_found(tmp_path):
    """A bare noqa, and one with a rule alone, are seen."""
    lines = ["a = 1  # noqa", "b = 1  # noqa: E501", "c = 1  # noqa: E501, S101 - a table"]
    plant(tmp_path, {"patchwright/core/plan.py": "\n".join(lines)})

    assert silenced_without_reason(tmp_path) == ["patchwright/core/plan.py:1", "patchwright/core/plan.py:2"]


def _contracts() -> list[dict[str, str]]:
    configuration = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts: list[dict[str, str]] = configuration["tool"]["importlinter"]["contracts"]
    return contracts
