# SPDX-License-Identifier: Apache-2.0
"""Where a request leads: by its target (JSON), by its method and path (REST), by its form (Query)."""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from .caller import Handler
from .errors import ApiError, WireMismatch
from .protocol import Operation
from .query import action_of
from .services import ANONYMOUS, Models, Service
from .sigv4 import signed_service

_LONGEST = 128  # characters of a path that are repeated
# A path that clients sign in another form than they send it could be read in two ways.
_TWO_WAYS = re.compile(rb"//|/\.{1,2}(?:/|\Z)")


@dataclass(frozen=True, slots=True)
class Limits:
    """
    How much a request may carry, in bytes as sent, and how long its body may take.

    *bulk* is for services that accept gzip; *inflated* is what such a body may become, *documents* what it may become where
    it holds free-form documents, which take long to look through. *by_target* wins over the rest.
    """

    body: int = 1024 * 1024
    bulk: int = 16 * 1024 * 1024
    inflated: int = 64 * 1024 * 1024
    documents: int = 4 * 1024 * 1024
    anonymous: int = 64 * 1024
    seconds: float = 30.0
    by_target: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Route:
    """Where a request leads. *operation* is None while only its form, which is not read yet, says which."""

    service: Service
    operation: Operation | None
    handler: Handler | None
    audience: str
    limit: int
    inflated: int


class Router:
    """Finds routes to *operations*, by target. Raises WireMismatch for one without model, or not spoken here."""

    def __init__(
        self, operations: Mapping[str, Handler], models: Models, *, audience: Mapping[str, str], limits: Limits
    ) -> None:
        unmodelled = sorted(target for target in operations if models.operation(target) is None)
        if unmodelled:
            raise WireMismatch(f"no service model has the operations {', '.join(unmodelled)}")
        self._operations = operations
        self._models = models
        self._audience = audience
        self._limits = limits
        self._routes: dict[str, Route] = {}

    def by_target(self, target: str) -> Route:
        """The route of a target such as `AmazonSSM.SendCommand`. Raises ApiError (UnknownOperationException)."""
        found = self._routes.get(target)
        if found is None:
            key = target.partition(".")[0]
            service, operation = self._models.service(key), self._models.operation(target)
            if service is None or operation is None:
                raise ApiError("UnknownOperationException", f"There is no operation '{target[:_LONGEST]}'.")
            found = self._routes[target] = self._made(service, operation)
        return found

    def service_of(self, headers: Mapping[bytes, bytes]) -> Service | None:
        """The REST or Query service that a request without a target is signed for. Nothing is proved yet."""
        name = signed_service(headers)
        service = None if name is None else self._models.service(name)
        return None if service is None or service.protocol == "json" else service

    def by_path(self, service: Service, scope: MutableMapping[str, Any]) -> tuple[Route, Mapping[str, str]]:
        """
        The route of a request to *service*, which is not of JSON, and the labels in its path.

        Raises ApiError: UnknownOperationException, and for Query also MethodNotAllowedException.
        """
        if service.protocol == "query":
            check_address(scope)
            return self._made(service, None), {}
        method, path = scope["method"], raw_path(scope)
        if not _TWO_WAYS.search(path.encode("latin-1")):
            found = service.paths.find(method, path, scope.get("query_string", b"").decode("latin-1"))
            if found is not None:
                name, labels = found
                return self.by_target(f"{service.key}.{name}"), labels
        raise ApiError("UnknownOperationException", f"There is no operation at '{method} {path[:_LONGEST]}'.")

    def by_form(self, service: Service, content: bytes) -> tuple[Route, Operation]:
        """The route of a request to a Query *service*, by its form, and its operation. Raises ApiError (UnknownOperationException)."""
        action, version = action_of(content)
        operation = service.operation(action) if version == service.version else None
        if operation is None:
            raise ApiError("UnknownOperationException", f"Could not find operation {action} for version {version}")
        return self.by_target(operation.target), operation

    def _made(self, service: Service, operation: Operation | None) -> Route:
        limits, target = self._limits, "" if operation is None else operation.target
        audience = self._audience.get(target) or self._audience.get(service.key, "user")
        limit = limits.anonymous if audience == ANONYMOUS else limits.bulk if service.accepts_gzip else limits.body
        inflated = limits.inflated
        if operation is not None and operation.input.holds_documents:
            limit, inflated = min(limit, limits.documents), min(inflated, limits.documents)
        limit = limits.by_target.get(target, limit)
        return Route(service, operation, self._operations.get(target), audience, limit, inflated)


def check_address(scope: Mapping[str, Any]) -> None:
    """Refuse what is not `POST /`. Raises ApiError (NotFoundException, MethodNotAllowedException)."""
    if scope["path"] not in {"", "/"}:
        raise ApiError("NotFoundException", "There is nothing here. The API is at '/'.")
    if scope["method"] != "POST":
        raise ApiError("MethodNotAllowedException", "Operations are called with POST.")


def raw_path(scope: Mapping[str, Any]) -> str:
    """The path as sent, percent-encoded."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    return raw.partition(b"?")[0].decode("latin-1")
