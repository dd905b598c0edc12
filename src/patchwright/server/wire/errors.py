# SPDX-License-Identifier: Apache-2.0
"""
What a client is told when it is refused, and how that looks on the wire.

    PatchwrightError
    ├── ApiError          a refusal with an AWS error code
    └── WireMismatch      a handler's answer, or a model file, that does not fit the model (our fault, never the client's)

Rooms raise their own errors; the endpoint maps them to codes by the table its composer gives it. Source: spec §0.4, §1.18.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from patchwright.core.errors import PatchwrightError

# AWS answers 400 to everything a caller did wrong, with these exceptions.
STATUS: Mapping[str, int] = {
    "InternalServerError": 500,
    "MethodNotAllowedException": 405,
    "NotFoundException": 404,
    "RequestEntityTooLargeException": 413,
    "RequestTimeoutException": 408,
    "ServiceUnavailableException": 503,
}


class ApiError(PatchwrightError):
    """
    A refusal the client is told.

    *code* is the shape's name in the service model, or one of AWS's unmodelled codes (`ValidationException`, …).
    *status* defaults to what belongs to the code: 400 unless `STATUS` says otherwise; a status in the service's model wins,
    and REST and Query services have their own for errors that every service knows. *members* are further members of
    the modelled error shape. *retry_after*: in how many seconds asking again may help.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: int | None = None,
        members: Mapping[str, Any] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = STATUS.get(code, 400) if status is None else status
        self.members = dict(members or {})
        self.retry_after = retry_after

    @property
    def text(self) -> str:
        """The message, fit to be sent: one that quotes a file name of the operating system may hold lone surrogates."""
        return self.message.encode("utf-8", "replace").decode("utf-8")

    def body(self, members: Mapping[str, Any]) -> bytes:
        """The JSON body, *members* and all. SDKs read `__type`; the message is spelled both ways, since models use either."""
        text = self.text
        return msgspec.json.encode({"__type": self.code, "message": text, "Message": text, **members})


class WireMismatch(PatchwrightError):
    """A handler's answer or a model file that does not fit the service model. The message names the member's path."""


def validation(message: str) -> ApiError:
    """Input that is well formed but breaks a rule."""
    return ApiError("ValidationException", message)


def serialization(message: str) -> ApiError:
    """Input that cannot be read, or has a value of the wrong JSON type."""
    return ApiError("SerializationException", message)


def access_denied(message: str) -> ApiError:
    """A known caller who may not do this."""
    return ApiError("AccessDeniedException", message)


def unrecognized_client() -> ApiError:
    """An access key that does not exist, or not here. AWS says the same for both, and so do we."""
    return ApiError("UnrecognizedClientException", "The security token included in the request is invalid.")


def expired_token() -> ApiError:
    """A session whose time is over."""
    return ApiError("ExpiredTokenException", "The security token included in the request is expired")


def invalid_signature(message: str) -> ApiError:
    """A signature that is wrong, out of time, or of the wrong scope."""
    return ApiError("InvalidSignatureException", message)


def incomplete_signature(message: str) -> ApiError:
    """An Authorization header that lacks a part, or cannot be read."""
    return ApiError("IncompleteSignatureException", message)


def throttled(message: str, *, seconds: float) -> ApiError:
    """A caller who asks too often, and may ask again in *seconds*. SDKs do so by themselves."""
    return ApiError("ThrottlingException", message, retry_after=seconds)


def too_large(limit: int) -> ApiError:
    """A body of more than *limit* bytes."""
    return ApiError("RequestEntityTooLargeException", f"The request body is larger than {limit} bytes.")
