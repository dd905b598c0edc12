# SPDX-License-Identifier: Apache-2.0
"""Which documents can be sent to nodes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from patchwright.core import actions, document
from patchwright.core.errors import MalformedDocument
from patchwright.core.patch_check import PatchCheck
from patchwright.core.patch_step import PatchStep
from patchwright.server import documents
from patchwright.server.commands.model import Request, UnservedDocument
from patchwright.server.documents import Found

_PLATFORM = "Linux"  # of every node that there can be
_DIGESTS = {"Sha256": hashlib.sha256, "Sha1": hashlib.sha1}


def read(found: Found, request: Request) -> tuple[Mapping[str, Any], document.Document]:
    """
    Content and reading of the document that *request* sends.

    Errors: UnservedDocument where it is of another type or schema, its steps or attachments are not served, or its hash is
    not the one that was named; TooLarge.
    """
    version = found.version
    _check_hash(version.content, request)
    if found.document.type != documents.COMMAND:
        msg = (
            f"{found.document.reference} is of type {found.document.type}; a command takes a document of type Command."
        )
        raise UnservedDocument(msg)
    size = len(version.content.encode()) + len(json.dumps(request.parameters).encode())
    if size > documents.LIMIT_BYTES:
        msg = f"Document and parameters have {size} bytes together; they may have {documents.LIMIT_BYTES}."
        raise documents.TooLarge(msg)
    if version.attachments:
        msg = f"{found.document.reference} has attachments, which this version cannot hand to nodes."
        raise UnservedDocument(msg)
    content, reading = parsed(version.content, version.format)
    if beyond := unserved(reading):
        raise refused(found.document.reference, beyond)
    return content, reading


def check(parsed: document.Document, given: Mapping[str, Sequence[str]]) -> None:
    """See to it that every step can be begun with the parameters *given*. Errors: InvalidParameters."""
    values = document.bind(parsed, given)
    for step in document.prepared(parsed, values):
        if document.ruling(parsed, step, _PLATFORM, values).status:
            continue
        if step.action == actions.PATCH:
            PatchStep.read(step.name, step.inputs)
        elif step.action == actions.PATCH_CHECK:
            PatchCheck.read(step.name, step.inputs)


def unserved(parsed: document.Document, agent: str = "") -> list[str]:
    """
    The actions that a node with this *agent* (empty: any node) would come to and could not run.

    Steps that are skipped there, or fail whatever their action is, may have any.
    """
    return sorted(
        {
            step.action
            for step in parsed.steps
            if document.may_run_on(step, _PLATFORM)
            and not step.fault
            and _PLATFORM in actions.platforms_of(step.action, schema=parsed.schema_version)
            and not actions.is_served(step.action, agent)
        }
    )


def refused(name: str, beyond: Sequence[str]) -> UnservedDocument:
    """What is said of a document whose actions *beyond* none of the nodes runs."""
    return UnservedDocument(f"{name} has steps that these nodes do not run: {', '.join(beyond)}."[:1000])


def _check_hash(content: str, request: Request) -> None:
    if not request.document_hash:
        return
    digest = _DIGESTS[request.document_hash_type](content.encode()).hexdigest()
    if digest != request.document_hash.lower():
        msg = f"The document's {request.document_hash_type} hash is another than {request.document_hash}."
        raise UnservedDocument(msg)


@lru_cache(maxsize=32)
def parsed(content: str, form: str) -> tuple[Mapping[str, Any], document.Document]:
    """What the *content* of a document of type Command says, and its reading. Errors: UnservedDocument."""
    values = documents.values(documents.COMMAND, content, form)
    try:
        return values, document.parse(values)
    except MalformedDocument as error:
        msg = f"The document cannot be run by this version's nodes: {error}."
        raise UnservedDocument(msg) from None
