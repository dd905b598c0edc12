# SPDX-License-Identifier: Apache-2.0
"""Resources of every type, by what tags and policies call them (spec §1.19)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from patchwright.core.errors import PatchwrightError
from patchwright.server import documents, nodes, parameters, patching, tags, windows
from patchwright.server.accounts import Scope
from patchwright.server.infra import UnitOfWork
from patchwright.server.wire import ApiError


class UnknownResource(PatchwrightError):
    """The account has no resource of this type with this name that could be tagged."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"There is no {kind} {name[:300]} that could be tagged.")


def require(scope: Scope, kind: str, name: str) -> UnitOfWork[str]:
    """
    The id under which a resource of the account keeps its tags and policies; a unit of work. Errors: UnknownResource.

    What comes with the product is nobody's own; resources of a type that is not there yet do not exist. Raises ApiError for a
    type whose resources will never be here.
    """
    if kind in _NEVER:
        raise ApiError("InvalidResourceType", f"There are no resources of the type {kind} here.")
    find = _KINDS.get(kind)
    try:
        found = (yield from find(scope, name)) if find else ""
    except _UNKNOWN:
        found = ""
    if not found:
        raise UnknownResource(kind, name)
    return found


def _node(scope: Scope, name: str) -> UnitOfWork[str]:
    return (yield from nodes.require(scope, name)).id


def _baseline(scope: Scope, name: str) -> UnitOfWork[str]:
    baseline = yield from patching.require(scope, name)
    return "" if baseline.predefined else baseline.id


def _document(scope: Scope, name: str) -> UnitOfWork[str]:
    return (yield from documents.require(scope, name)).name


def _window(scope: Scope, name: str) -> UnitOfWork[str]:
    return (yield from windows.require(scope, name)).id


_KINDS: Mapping[str, Callable[[Scope, str], UnitOfWork[str]]] = {
    tags.DOCUMENT: _document,
    tags.MAINTENANCE_WINDOW: _window,
    tags.MANAGED_INSTANCE: _node,
    tags.PARAMETER: parameters.require,
    tags.PATCH_BASELINE: _baseline,
}
_NEVER = frozenset({"CloudConnector"})  # nodes of every cloud enrol with an activation
_UNKNOWN = (
    documents.ReadOnlyDocument,
    documents.UnknownDocument,
    nodes.UnknownNode,
    parameters.UnknownParameter,
    patching.MalformedBaselineId,
    patching.UnknownBaseline,
    windows.UnknownWindow,
)
