# SPDX-License-Identifier: Apache-2.0
"""The node program inside a booted node, for code of a test that runs there."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import patchwright
from farm import Node

SRC = Path(patchwright.__file__).parents[1]


def carry(node: Node) -> None:
    """Put core and agent into the node as one file."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path in [SRC / "patchwright/__init__.py", *sorted((SRC / "patchwright").glob("[ac]*/**/*.py"))]:
            archive.write(path, path.relative_to(SRC))
    (node.root / "opt/patchwright.pyz").write_bytes(content.getvalue())


def python(code: str, *arguments: str) -> list[str]:
    """An argument list that runs *code* with the node program at hand."""
    return ["env", "PYTHONPATH=/opt/patchwright.pyz", "python3", "-c", code, *arguments]
