# SPDX-License-Identifier: Apache-2.0
"""What a step of the action aws:runDocument asks for (spec §5.9), and what steps of documents within documents are called."""

from __future__ import annotations

import json
from typing import Any, Dict, List, Mapping, NamedTuple, Tuple

from patchwright.core.errors import InvalidParameters
from patchwright.core.parameter import given

SSM_DOCUMENT, LOCAL_PATH = "SSMDocument", "LocalPath"
MAX_DEPTH = 3  # documents that run one another, the command's own not counted


class Inner(NamedTuple):
    """The document that a step runs. *kind* is SSM_DOCUMENT or LOCAL_PATH, *parameters* as `document.bind` takes them."""

    kind: str
    path: str
    parameters: Mapping[str, List[str]]


def read(inputs: Mapping[str, Any]) -> Inner:
    """What the step with these inputs runs. Raises InvalidParameters."""
    kind, path = str(inputs.get("documentType") or ""), str(inputs.get("documentPath") or "")
    if not path:
        raise InvalidParameters("the step has no documentPath")
    if kind not in (SSM_DOCUMENT, LOCAL_PATH):
        raise InvalidParameters(f"the documentType of the step is SSMDocument or LocalPath, not {kind[:40]!r}")
    return Inner(kind, path, _parameters(inputs.get("documentParameters")))


def named(path: str) -> Tuple[str, str]:
    """Name or ARN, and version (empty where there is none), of *path*: `name` or `name:version`."""
    if not path.startswith("arn:"):
        name, _, version = path.partition(":")
    elif path.count(":") > 5:
        name, _, version = path.rpartition(":")
    else:
        name, version = path, ""
    return name, version


def place(*names: str) -> str:
    """What a step is called to the server: the names of the steps that lead to it, and its own; the last may be such a place."""
    return "/".join(names)


def names(step: str) -> List[str]:
    """The names that `place` made *step* of."""
    return step.split("/")


def _parameters(found: Any) -> Mapping[str, List[str]]:
    """documentParameters: an object, or one written in JSON; empty for none. Raises InvalidParameters."""
    if found in (None, ""):
        return {}
    try:
        members: Any = json.loads(found) if isinstance(found, str) else found
    except (ValueError, RecursionError):
        members = None
    if not isinstance(members, dict):
        raise InvalidParameters("the documentParameters of the step are no object")
    values: Dict[str, List[str]] = {name: given(value) for name, value in members.items()}
    return values
