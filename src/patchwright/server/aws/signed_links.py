# SPDX-License-Identifier: Apache-2.0
"""
Links that need no key (spec §1.19).

A link says all that is asked for and when it ends, signed: whoever has it may download for a day, and nobody can make one.
"""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs

from patchwright.server.infra import Clock

_LIFE_SECONDS = 86_400
_LONGEST = 4_096  # characters of what a link says


class SignedLinks:
    """
    Makes and reads links to *path* under *url*, signed with *key*, which is the same in every process.

    *kind* keeps links to one thing from being taken for links to another.
    """

    def __init__(self, url: str, path: str, key: bytes, clock: Clock, *, kind: str) -> None:
        self._begins = url + path
        self._path = path
        self._key = key
        self._clock = clock
        self._kind = kind

    def link(self, said: Sequence[Any]) -> str:
        """A URL that asks for what is *said*, texts and numbers, for 24 hours."""
        ends = int(self._clock.now()) + _LIFE_SECONDS
        text = base64.urlsafe_b64encode(json.dumps([*said, ends], separators=(",", ":")).encode()).decode().rstrip("=")
        return f"{self._begins}{text}?X-Amz-Expires={_LIFE_SECONDS}&X-Amz-Signature={self._sign(text)}"

    def read(self, path: str, query: str) -> list[Any] | None:
        """What a link says; None unless this server made it and its day is not over."""
        text = path.removeprefix(self._path)
        signature = parse_qs(query[:_LONGEST]).get("X-Amz-Signature", [""])[0]
        if len(text) > _LONGEST or not text.isascii() or not signature.isascii():
            return None
        if not hmac.compare_digest(self._sign(text), signature):
            return None
        *said, ends = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        return None if self._clock.now() >= ends else said

    def _sign(self, text: str) -> str:
        return hmac.digest(self._key, f"{self._kind}\n{text}".encode(), "sha256").hex()
