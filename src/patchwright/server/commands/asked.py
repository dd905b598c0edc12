# SPDX-License-Identifier: Apache-2.0
"""What a step that a node asks about says, be it in the command's document or in one that this one runs (spec §5.9)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from patchwright.core import actions, document, run_document
from patchwright.core.errors import InvalidParameters, MalformedDocument
from patchwright.core.invocation import Detail
from patchwright.core.object_url import in_bucket
from patchwright.core.patch_step import BASELINE_OVERRIDE, INSTALL_OVERRIDE_LIST
from patchwright.server import documents
from patchwright.server.accounts import Scope
from patchwright.server.commands import invocation_store, runnable, store
from patchwright.server.commands.model import CommandsError, UnknownInvocation, UnknownStep
from patchwright.server.infra import UnitOfWork


def parameters_of_step(
    scope: Scope, command_id: str, instance_id: str, step: str, *, told: Mapping[str, Any] | None = None
) -> UnitOfWork[dict[str, object]]:
    """
    The inputs of a step of a command that was sent to the node; a unit of work.

    Args:
        step: Its name, after those of the steps that run the documents it stands in (`run_document.place`).
        told: What the node says its inputs are. That counts where it stands in a document that lies on the node, and nowhere else.

    Errors: UnknownInvocation, UnknownStep, InvalidParameters where *told* names an object of a bucket.
    """
    command = yield from store.find(scope, command_id)
    invocation = yield from invocation_store.find(scope, command_id, instance_id)
    if command is None or invocation is None or invocation.detail.final:
        msg = f"No command {command_id[:64]} is under way on {instance_id}."
        raise UnknownInvocation(msg)
    read = document.parse(command.content)
    steps = document.prepared(read, document.bind(read, command.parameters, checked=True))
    *leading, last = run_document.names(step)
    if len(leading) > run_document.MAX_DEPTH:
        raise _unknown(step)
    for name in leading:
        inner = _inner(step, _called(name, steps))
        if inner.kind == run_document.LOCAL_PATH:
            if not isinstance(told, Mapping):
                raise _unknown(step)
            return _own_word(told)
        steps = yield from _steps_of(scope, step, inner)
    found = _called(last, steps)
    if found is None:
        raise _unknown(step)
    return dict(found.inputs)


def wanted(scope: Scope, command_id: str, instance_id: str) -> UnitOfWork[tuple[bool, float]]:
    """Whether a node is to go on with a command, and when the command's time is up there, in epoch seconds; a unit of work."""
    invocation = yield from invocation_store.find(scope, command_id, instance_id)
    if invocation is None:
        return False, 0.0
    return not invocation.detail.final and invocation.detail is not Detail.CANCELLING, invocation.due_at


def _own_word(told: Mapping[str, Any]) -> dict[str, object]:
    """*told*; an object of a bucket is not in it: a node fetches those in the name of who sent the command, who named none."""
    for name in (INSTALL_OVERRIDE_LIST, BASELINE_OVERRIDE):
        if in_bucket(str(told.get(name) or "").strip()).startswith("s3:"):
            msg = f"{name} of a document that lies on the node cannot be an object of a bucket."
            raise InvalidParameters(msg)
    return dict(told)


def _called(name: str, steps: Iterable[document.Step]) -> document.Step | None:
    return next((one for one in steps if one.name == name), None)


def _inner(step: str, leading: document.Step | None) -> run_document.Inner:
    """The document that *leading* runs, in which what is called *step* stands."""
    if leading is None or leading.action != actions.RUN_DOCUMENT:
        raise _unknown(step)
    try:
        return run_document.read(leading.inputs)
    except InvalidParameters as error:
        raise _unknown(step, str(error)) from None


def _steps_of(scope: Scope, step: str, inner: run_document.Inner) -> UnitOfWork[tuple[document.Step, ...]]:
    """The steps of a document of the server's that is run within another."""
    name, version = run_document.named(inner.path)
    try:
        found = yield from documents.select(scope, name, version)
        _, read = runnable.parsed(found.version.content, found.version.format)
        return document.prepared(read, document.bind(read, inner.parameters))
    except (documents.DocumentsError, CommandsError, InvalidParameters, MalformedDocument) as error:
        raise _unknown(step, str(error)) from None


def _unknown(step: str, why: str = "") -> UnknownStep:
    return UnknownStep(f"The document has no step {step[:600]}." + (f" {why}" if why else ""))
