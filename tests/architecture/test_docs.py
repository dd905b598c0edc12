# SPDX-License-Identifier: Apache-2.0
"""The documents are held by the tree: links lead somewhere, and what is named exists."""

from __future__ import annotations

import re
from pathlib import Path

from architecture.tree import PACKAGE, ROOT, plant, project_files

LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
NAMED_FILE = re.compile(r"`((?:core|agent|server|cli)/[\w/]+\.py)`")
SECTIONS = ("Context", "Decision", "Consequence")


def dead_links(root: Path) -> list[str]:
    """Relative links of Markdown files that lead to no file."""
    return [
        f"{path.relative_to(root)}: {target}"
        for path in project_files(root)
        if path.suffix == ".md"
        for target in LINK.findall(path.read_text())
        if "://" not in target and not target.startswith("mailto:") and not (path.parent / target).exists()
    ]


def unknown_files(root: Path) -> list[str]:
    """Source files that ARCHITECTURE.md names and the tree lacks."""
    named = NAMED_FILE.findall((root / "ARCHITECTURE.md").read_text())
    return [name for name in sorted(set(named)) if not (root / "src" / PACKAGE / name).is_file()]


def odd_decisions(root: Path) -> list[str]:
    """Decision records that lack a section, their number in the title, or a row in the index."""
    folder = root / "docs" / "adr"
    index = (folder / "README.md").read_text()
    found = []
    for path in sorted(folder.glob("[0-9]*.md")):
        text = path.read_text()
        found += [f"{path.name} lacks {name}" for name in SECTIONS if f"\n## {name}\n" not in text]
        if not text.startswith(f"# {path.name[:4]}. "):
            found.append(f"{path.name} has another number in its title")
        if f"]({path.name})" not in index:
            found.append(f"{path.name} is not in the index")
    return found


def test_links_between_documents_lead_somewhere():
    """No document points to a file that is not there."""
    assert dead_links(ROOT) == []


def test_the_map_names_what_exists():
    """ARCHITECTURE.md sends nobody to a file that is not there."""
    assert unknown_files(ROOT) == []


def test_decisions_have_one_form_and_an_index():
    """Context, decision, consequence; listed where a reader starts."""
    assert odd_decisions(ROOT) == []


def test_a_dead_link_and_an_unknown_file_are_found(tmp_path):
    """A link to nowhere and a file that moved are seen; addresses of other sites are not followed."""
    plant(
        tmp_path,
        {
            "README.md": "[a](ARCHITECTURE.md#floors) [b](gone.md) [c](https://example.test/gone.md)",
            "ARCHITECTURE.md": "`core/plan.py` and `core/gone.py`",
            "src/patchwright/core/plan.py": "",
        },
    )

    assert dead_links(tmp_path) == ["README.md: gone.md"]
    assert unknown_files(tmp_path) == ["core/gone.py"]


def test_an_odd_decision_is_found(tmp_path):
    """A record without a section, with another's number, and outside the index is seen three times."""
    plant(tmp_path, {"docs/adr/README.md": "", "docs/adr/0001-a.md": "# 0002. A\n\n## Context\n\n## Decision\n"})

    assert odd_decisions(tmp_path) == [
        "0001-a.md lacks Consequence",
        "0001-a.md has another number in its title",
        "0001-a.md is not in the index",
    ]
