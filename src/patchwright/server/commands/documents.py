# SPDX-License-Identifier: Apache-2.0
"""The documents that are served: owned, read-only, ours in content under AWS's names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from patchwright.core import document
from patchwright.server.commands.model import UnknownDocument, UnknownDocumentVersion

OWNED = ("AWS-RunPatchBaseline",)
VERSION = "1"
_VERSIONS = ("", "$DEFAULT", "$LATEST", VERSION)


def load(name: str, version: str) -> tuple[Mapping[str, Any], document.Document]:
    """
    Content and reading of the document *name*, which may be its ARN.

    Errors: UnknownDocument, UnknownDocumentVersion.
    """
    bare = name.rpartition("/")[2] if name.startswith("arn:") else name
    if bare not in OWNED:
        msg = f"Document {name} does not exist. This version serves {', '.join(OWNED)}."
        raise UnknownDocument(msg)
    if version not in _VERSIONS:
        msg = f"Document {bare} has no version {version}."
        raise UnknownDocumentVersion(msg)
    return _read(bare)


@cache
def _read(name: str) -> tuple[Mapping[str, Any], document.Document]:
    text = resources.files(__package__).joinpath("documents", f"{name}.json").read_text(encoding="utf-8")
    content = json.loads(text)
    return content, document.parse(content)
