# SPDX-License-Identifier: Apache-2.0
"""Which command makes a node fetch a file of a bucket."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from patchwright.core import actions, document
from patchwright.core.object_url import in_bucket
from patchwright.server.accounts import Scope
from patchwright.server.commands import invocation_store, store
from patchwright.server.infra import UnitOfWork

_IN_BUCKET = re.compile(r"s3://[^/]+(/.*)?\Z", re.DOTALL)
_LOOKED_AT = 20  # commands that are open on one node


def fetched_by(scope: Scope, instance_id: str, url: str) -> UnitOfWork[str]:
    """
    The command under way on a node with a step that fetches *url* (`s3://bucket/key`), or a folder that it is in; a folder has a
    slash at its end. Empty where there is none.

    A unit of work. What documents fetch that a command's document runs is not known here.
    """
    for invocation in (yield from invocation_store.open_of(scope, instance_id))[:_LOOKED_AT]:
        command = yield from store.find(scope, invocation.command_id)
        if command is None:
            continue
        read = document.parse(command.content)
        steps = document.prepared(read, document.bind(read, command.parameters, checked=True))
        if any(step.action == actions.DOWNLOAD_CONTENT and _has(_place(step.inputs), url) for step in steps):
            return command.id
    return ""


def _has(place: str, url: str) -> bool:
    """Whether *url* is the object that a step names, or below what may be a folder."""
    return place == url or (_IN_BUCKET.match(place) is not None and url.startswith(place.rstrip("/") + "/"))


def _place(inputs: Mapping[str, Any]) -> str:
    """The object that a step fetches, empty for what is in no bucket."""
    info = inputs.get("sourceInfo")
    try:
        found = json.loads(info) if isinstance(info, str) else info
    except (ValueError, RecursionError):
        return ""
    path = found.get("path") if isinstance(found, dict) else None
    return in_bucket(path) if inputs.get("sourceType") == "S3" and isinstance(path, str) else ""
