# SPDX-License-Identifier: Apache-2.0
"""What a machine downloads before it is a node: the agent, and the script that installs it. Plain ASGI."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from importlib import resources
from pathlib import Path
from typing import Any

import patchwright
from patchwright.server.gateway.zipapp import build

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Downloads:
    """`GET /agent/…`. The agent is built once, from the code that is installed here."""

    def __init__(self, public_url: str) -> None:
        agent = build(Path(patchwright.__file__).parent)
        script = resources.files(__package__).joinpath("install.sh").read_text(encoding="utf-8")
        self.agent_digest = hashlib.sha256(agent).hexdigest()
        self._files = {
            "/agent/patchwright-agent.pyz": (b"application/octet-stream", agent),
            "/agent/install.sh": (
                b"text/x-shellscript; charset=utf-8",
                script.replace("@SERVER@", public_url).encode(),
            ),
        }

    def serves(self, path: str) -> bool:
        """Whether there is something to download at *path*."""
        return path in self._files

    async def __call__(self, scope: Mapping[str, Any], send: Send) -> None:
        """Answer a GET or HEAD for a path that is served."""
        kind, body = self._files[scope["path"]]
        headers = [
            (b"content-type", kind),
            (b"content-length", str(len(body)).encode()),
            (b"x-content-type-options", b"nosniff"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
