# SPDX-License-Identifier: Apache-2.0
"""
The mixture that the service of the control channel speaks (spec agent-protocol §7): REST-JSON in, XML out.

An error is an element named after its code: `<AccessDeniedException>` in the answer to CreateControlChannel is what tells
amazon-ssm-agent to poll instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from .errors import ApiError
from .protocol import Operation, Reply
from .query import XmlWriter, xml_text
from .rest import RestDialect, RestOperation
from .shapes import Shapes
from .validation import require_conformity

_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'


class XmlAnsweredOperation(RestOperation):
    """One operation whose answer is XML."""

    def serialize(self, output: Mapping[str, Any]) -> bytes:
        """The response body of *output*: an element named after the operation."""
        if self._strict:
            require_conformity(self._shapes, self._output, output)
        shape = self._shapes[self._output] if self._output else {"members": {}}
        inside = "".join(XmlWriter(self._shapes).members(shape, output))
        return f"{_DECLARATION}<{self.name}Response>{inside}</{self.name}Response>".encode()


class XmlAnsweredDialect(RestDialect):
    """How such a service answers, and how it refuses."""

    operation: ClassVar[type[Operation]] = XmlAnsweredOperation

    def __init__(self, model: Mapping[str, Any], shapes: Shapes, *, strict: bool = False) -> None:
        super().__init__(model, shapes, strict=strict)
        self.content_type = b"application/xml"

    def refusal(self, error: ApiError, request_id: str) -> Reply:
        """What a client is told of *error*."""
        status, headers, _ = super().refusal(error, request_id)
        text = f"{_DECLARATION}<{error.code}><message>{xml_text(error.text)}</message></{error.code}>"
        return status, headers, text.encode()
