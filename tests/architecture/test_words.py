# SPDX-License-Identifier: Apache-2.0
"""What stands in the files themselves: licence lines, paths, hosts, and the reason for every dependency."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from architecture.tree import ROOT, plant, project_files, text_of

SPDX = "SPDX-License-Identifier: Apache-2.0"
# Somebody's own directories. `[/]` keeps these lines from finding themselves.
OWN_PATH = re.compile(
    r"[/](?:home|Users)[/][a-z][\w.-]*[/]|[/]work[/](?:main|shared)|[/]root[/]\.(?:cache|config|local|pyenv|ssh)|[/]tmp[/]brief"
)
ADDRESS = re.compile(r"https?:|--(?:extra-)?index-url|--find-links|--trusted-host|file:/")
REQUIREMENT = re.compile(r"^([A-Za-z0-9][\w.-]*)==(\S+) \\$")
SOURCES = {".py", ".sh", ".toml", ".js", ".css", ".html"}
DEPENDENCY_RECORD = Path("docs/adr/0014-dependencies.md")


def personal_paths(root: Path) -> list[str]:
    """Places that name a directory of the machine somebody worked on."""
    found = []
    for path in project_files(root):
        for number, line in enumerate((text_of(path) or "").splitlines(), 1):
            if OWN_PATH.search(line):
                found.append(f"{path.relative_to(root)}:{number}")
    return found


def lock_faults(root: Path) -> list[str]:
    """What a lock file must not have (an address) and must have (two hashes or more for each requirement)."""
    found = []
    for path in sorted(root.glob("requirements*.lock")):
        hashes: dict[str, int] = {}
        current = ""
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if ADDRESS.search(line):
                found.append(f"{path.name}:{number} holds an address")
            if match := REQUIREMENT.match(line):
                current = match[1]
                hashes[current] = 0
            elif line.strip().startswith("--hash=sha256:"):
                hashes[current] += 1
        # One hash would be one file: a wheel of one machine, not what was published.
        found += [f"{path.name}: {name} has {count} hashes" for name, count in hashes.items() if count < 2]
        if not hashes:
            found.append(f"{path.name} locks nothing")
    return found


def unlocked(root: Path) -> list[str]:
    """Dependencies of pyproject.toml that a lock file lacks."""
    runtime, dev = _dependencies(root)
    found = []
    for lock, wanted in (("requirements.lock", runtime), ("requirements-dev.lock", runtime | dev)):
        lines = (root / lock).read_text().splitlines()
        locked = {_canonical(match[1]) for match in map(REQUIREMENT.match, lines) if match}
        found += [f"{lock} lacks {name}" for name in sorted(wanted - locked)]
    return found


def unexplained(root: Path) -> list[str]:
    """Dependencies without a row in the record, and rows for what is no longer a dependency."""
    runtime, dev = _dependencies(root)
    record = (root / DEPENDENCY_RECORD).read_text()
    rows = {_canonical(name) for name in re.findall(r"^\| \*\*([\w.-]+)\*\* \|", record, re.MULTILINE)}
    missing = [f"{name} has no reason" for name in sorted((runtime | dev) - rows)]
    return missing + [f"{name} is no dependency" for name in sorted(rows - runtime - dev)]


def unlicensed(root: Path) -> list[str]:
    """Source files whose first two lines do not name the licence."""
    found = []
    for path in project_files(root):
        where = path.relative_to(root)
        is_script = where.parts[0] in {"bin", ".ci"} or where.name == "justfile"
        if path.suffix not in SOURCES and not is_script:
            continue
        text = text_of(path)
        if text and SPDX not in "\n".join(text.splitlines()[:2]):
            found.append(str(where))
    return found


def _dependencies(root: Path) -> tuple[set[str], set[str]]:
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    extras = [name for group in project.get("optional-dependencies", {}).values() for name in group]
    return {_name(text) for text in project.get("dependencies", [])}, {_name(text) for text in extras}


def _name(requirement: str) -> str:
    return _canonical(re.split(r"[<>=!~;\[ ]", requirement, maxsplit=1)[0])


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_no_file_names_somebodys_directory():
    """The tree means the same on every machine."""
    assert personal_paths(ROOT) == []


def test_lock_files_hold_hashes_and_no_addresses():
    """What is installed is fixed by hash; where it comes from is the installer's configuration."""
    assert lock_faults(ROOT) == []


def test_lock_files_hold_every_dependency():
    """pyproject.toml asks for nothing that a lock file does not fix."""
    assert unlocked(ROOT) == []


def test_every_dependency_has_a_reason():
    """The dependency record names what is used, and nothing else."""
    assert unexplained(ROOT) == []


def test_every_source_file_names_its_licence():
    """One SPDX line, at the top (below the interpreter line of a script)."""
    assert unlicensed(ROOT) == []


@pytest.mark.parametrize("path", ["/home/" + "ada/x", "/Users/" + "ada/x", "/work" + "/main", "/root/" + ".ssh"])
def test_a_personal_path_is_found(tmp_path, path):
    """A home directory in any file is seen."""
    plant(tmp_path, {"docs/howto.md": f"look\nin {path}/y\n"})

    assert personal_paths(tmp_path) == ["docs/howto.md:2"]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            "--index-url https://packages.test/simple\na==1 \\\n  --hash=sha256:0\n  --hash=sha256:1\n",
            "holds an address",
        ),
        ("a==1 \\\n    --hash=sha256:0\n", "a has 1 hashes"),
        ("a==1\n", "locks nothing"),
    ],
)
def test_a_faulty_lock_is_found(tmp_path, text, fault):
    """An address, a single hash and a missing hash are seen."""
    plant(tmp_path, {"requirements.lock": text})

    assert any(line.endswith(fault) for line in lock_faults(tmp_path))


def test_an_unlocked_and_an_unexplained_dependency_are_found(tmp_path):
    """A name in pyproject.toml alone is seen twice: no lock, no reason; a stale row is seen too."""
    plant(
        tmp_path,
        {
            "pyproject.toml": '[project]\ndependencies = ["One_Thing>=1"]\n',
            "requirements.lock": "",
            "requirements-dev.lock": "one-thing==1 \\\n",
            str(DEPENDENCY_RECORD): "| **gone** | why |\n",
        },
    )

    assert unlocked(tmp_path) == ["requirements.lock lacks one-thing"]
    assert unexplained(tmp_path) == ["one-thing has no reason", "gone is no dependency"]


def test_a_missing_licence_line_is_found(tmp_path):
    """A script below bin/ and a module without the line are seen; below the interpreter line it counts."""
    plant(tmp_path, {"bin/demo": "#!/bin/sh\n", "bin/setup": f"#!/bin/sh\n# {SPDX}\n", "src/a.py": "import os\n"})

    assert unlicensed(tmp_path) == ["bin/demo", "src/a.py"]
