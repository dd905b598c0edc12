# SPDX-License-Identifier: Apache-2.0
"""
Links to baseline snapshots (spec §1.19).

A link says all that is asked for and when it ends, signed: whoever has it may download for a day, and nobody can make one.
"""

from __future__ import annotations

import base64
import hmac
import json
from urllib.parse import parse_qs

from patchwright.core.system import OperatingSystem
from patchwright.server.accounts import Scope
from patchwright.server.infra import Clock
from patchwright.server.patching import Deployable

PATH = "/snapshots/"
_LIFE_SECONDS = 86_400
_LONGEST = 4_096  # characters of what a link says


class SnapshotLinks:
    """Makes and reads links under *url*, signed with *key* (the same in every process)."""

    def __init__(self, url: str, key: bytes, clock: Clock) -> None:
        self._url = url
        self._key = key
        self._clock = clock

    def link(self, scope: Scope, what: Deployable) -> str:
        """A URL that downloads *what* for 24 hours."""
        ends = int(self._clock.now()) + _LIFE_SECONDS
        said = json.dumps([*scope, *what, ends], separators=(",", ":")).encode()
        text = base64.urlsafe_b64encode(said).decode().rstrip("=")
        signature = self._sign(text)
        return f"{self._url}{PATH}{text}?X-Amz-Expires={_LIFE_SECONDS}&X-Amz-Signature={signature}"

    def read(self, path: str, query: str) -> tuple[Scope, Deployable] | None:
        """What a link asks for; None unless this server made it and its day is not over."""
        text = path.removeprefix(PATH)
        signature = parse_qs(query[:_LONGEST]).get("X-Amz-Signature", [""])[0]
        if len(text) > _LONGEST or not text.isascii() or not signature.isascii():
            return None
        if not hmac.compare_digest(self._sign(text), signature):
            return None
        said = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        account, region, instance_id, snapshot_id, system, *rest, ends = said
        if self._clock.now() >= ends:
            return None
        return Scope(account, region), Deployable(instance_id, snapshot_id, OperatingSystem(system), *rest)

    def _sign(self, text: str) -> str:
        return hmac.digest(self._key, f"snapshot\n{text}".encode(), "sha256").hex()
