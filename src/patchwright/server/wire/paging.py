# SPDX-License-Identifier: Apache-2.0
"""NextToken, which IAM calls Marker: opaque to clients, and good only for the request that it continues."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

import msgspec

from .caller import Caller
from .errors import ApiError, validation
from .services import Models

_MAC_BYTES = 16
_TOKENS = ("NextToken", "nextToken", "Marker")  # what services call it
_FREE_MEMBERS = frozenset(
    {*_TOKENS, "MaxResults", "maxResults", "MaxItems", "Limit", "limit"}
)  # may differ between pages
_LONGEST = 4096  # characters of a token


class Pager:
    """
    Issues and reads NextTokens, sealed with *key* (16 bytes or more, the same in every process).

    A token holds a cursor (JSON-able, typically the last key of the page; clients could read it, so nothing secret) and
    is bound to account, region, operation and every other member of the request.
    """

    def __init__(self, key: bytes, models: Models) -> None:
        if len(key) < _MAC_BYTES:
            raise ValueError(f"a paging key has at least {_MAC_BYTES} bytes")
        self._key = key
        self._models = models

    def token(self, caller: Caller, request: Mapping[str, Any], cursor: Any) -> str:
        """The NextToken of the page that starts after *cursor*."""
        payload = msgspec.json.encode(cursor)
        sealed = self._seal(caller, request, payload) + payload
        return base64.urlsafe_b64encode(sealed).decode().rstrip("=")

    def cursor(self, caller: Caller, request: Mapping[str, Any]) -> Any:
        """
        The cursor in *request*'s NextToken; None on the first page.

        Raises ApiError, InvalidNextToken where the operation declares it and ValidationException elsewhere, for a token
        that this server did not issue for this very request.
        """
        token = next((request[name] for name in _TOKENS if request.get(name)), None)
        if token is None:
            return None
        try:
            if len(token) > _LONGEST:
                raise ValueError(token)
            sealed = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except ValueError:
            raise self._refusal(caller) from None
        mac, payload = sealed[:_MAC_BYTES], sealed[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._seal(caller, request, payload)):
            raise self._refusal(caller)
        return msgspec.json.decode(payload)

    def _seal(self, caller: Caller, request: Mapping[str, Any], payload: bytes) -> bytes:
        bound = {name: value for name, value in request.items() if name not in _FREE_MEMBERS}
        context = [caller.account, caller.region, caller.target, bound]
        digest = hashlib.sha256(msgspec.json.encode(context, order="sorted")).digest()
        return hmac.digest(self._key, b"NextToken" + digest + payload, "sha256")[:_MAC_BYTES]

    def _refusal(self, caller: Caller) -> ApiError:
        operation = self._models.operation(caller.target)
        message = "The specified token isn't valid."
        if operation is not None and "InvalidNextToken" in operation.errors:
            return ApiError("InvalidNextToken", message)
        return validation(message)
