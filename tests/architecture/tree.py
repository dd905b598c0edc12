# SPDX-License-Identifier: Apache-2.0
"""Reading the tree: its files, its modules, and small trees made up for a test."""

from __future__ import annotations

import ast
import functools
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SRC = ROOT / "src"
PACKAGE = "patchwright"


@dataclass(frozen=True)
class Module:
    """One parsed source file. `name` is dotted and names the package itself for an `__init__.py`."""

    path: Path
    name: str
    tree: ast.Module

    @property
    def is_door(self) -> bool:
        """Whether this is the `__init__.py` of a package."""
        return self.path.name == "__init__.py"

    @property
    def package(self) -> str:
        """The package that a relative import of one dot starts from."""
        return self.name if self.is_door else self.name.rpartition(".")[0]


@dataclass(frozen=True)
class Import:
    """One imported name: `from module import name`, or `import module` with an empty name."""

    line: int
    module: str
    name: str


def modules(src: Path) -> list[Module]:
    """Every module below *src*, in the order of their paths."""
    result = []
    for path in sorted(src.rglob("*.py")):
        parts = path.relative_to(src).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        result.append(Module(path, name, parsed(path)))
    return result


def parsed(path: Path) -> ast.Module:
    """The file's syntax tree, which many look at and nobody changes: read once for each text."""
    return _parsed(path.read_text(encoding="utf-8"), str(path))


@functools.lru_cache(maxsize=4096)
def _parsed(text: str, path: str) -> ast.Module:
    return ast.parse(text, path)


def imports(module: Module) -> Iterator[Import]:
    """Every import of *module*, those inside functions included; relative ones made absolute."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(node.lineno, alias.name, "")
        elif isinstance(node, ast.ImportFrom):
            target = node.module or ""
            if node.level:
                base = module.package.split(".")
                base = base[: len(base) - (node.level - 1)]
                target = ".".join([*base, target] if target else base)
            for alias in node.names:
                yield Import(node.lineno, target, alias.name)


def project_files(root: Path) -> list[Path]:
    """The files that belong to the project: what git knows or would add; without git, everything but what tools leave."""
    if (root / ".git").exists() and shutil.which("git"):
        answer = subprocess.run(
            ["git", "-c", f"safe.directory={root}", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=root,
            capture_output=True,
            check=True,
        )
        names = sorted({name for name in answer.stdout.decode().split("\0") if name})
        return [path for path in (root / name for name in names) if path.is_file()]
    left_over = {".venv", "__pycache__", ".git", "build", "dist"}
    found = (path for path in sorted(root.rglob("*")) if path.is_file())
    return [
        path
        for path in found
        if not any(part in left_over or part.endswith(("_cache", ".egg-info")) for part in path.relative_to(root).parts)
    ]


def text_of(path: Path) -> str | None:
    """The file as text; None when it is binary."""
    data = path.read_bytes()
    return None if b"\0" in data[:4096] else data.decode("utf-8", errors="replace")


def plant(root: Path, files: Mapping[str, str]) -> Path:
    """Write *files* (path below *root* → text) with every package on the way made a package, and return *root*."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        for parent in path.relative_to(root).parents:
            if PACKAGE in parent.parts:
                (root / parent / "__init__.py").touch()
    return root
