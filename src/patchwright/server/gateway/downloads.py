# SPDX-License-Identifier: Apache-2.0
"""What a machine downloads before it is a node: the agent, and the script that installs it. Plain ASGI."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from importlib import resources
from pathlib import Path
from typing import Any

import patchwright
from patchwright.core.actions import PATCH_CHECK
from patchwright.server.gateway import node_script
from patchwright.server.gateway.zipapp import build
from patchwright.server.wire import Caller

_AGENT = "/agent/patchwright-agent.pyz"
_SCRIPT = "/agent/install.sh"
_HOST = re.compile(r"([A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?\Z")

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Downloads:
    """
    `GET /agent/…`. The agent is built once, from the code that is installed here.

    install.sh names the server it came from: *url*, or with *by_host* the host that the request asked for, since a server
    that listens on every address does not know under which of them it is reached.
    """

    def __init__(self, url: str, *, by_host: bool = False) -> None:
        self._agent = build(Path(patchwright.__file__).parent)
        here = resources.files(__package__)
        unit = here.joinpath("patchwright-agent.service").read_text(encoding="utf-8")
        self._script = here.joinpath("install.sh").read_text(encoding="utf-8").replace("@UNIT@", unit.strip())
        self._url = url
        self._by_host = by_host
        self.agent_digest = hashlib.sha256(self._agent).hexdigest()

    async def describe_agent(self, _caller: Caller, _request: dict[str, Any]) -> dict[str, Any]:
        """DescribeAgent: which agent this server hands out, and where; its digest is what a download is held to."""
        return {"Version": patchwright.__version__, "Sha256": self.agent_digest, "Path": _AGENT}

    def script(self, action: str, step: str, *, within: bool = False) -> str:
        """What amazon-ssm-agent runs in the place of a step of ours, which is called *step*; *within*: see `script_of`."""
        word = node_script.CHECK if action == PATCH_CHECK else node_script.PATCH
        return node_script.script_of(step, self._url + _AGENT, self.agent_digest, word=word, within=within)

    def serves(self, path: str) -> bool:
        """Whether there is something to download at *path*."""
        return path in {_AGENT, _SCRIPT}

    async def __call__(self, scope: Mapping[str, Any], send: Send) -> None:
        """Answer a GET or HEAD for a path that is served."""
        if scope["path"] == _AGENT:
            kind, body = b"application/octet-stream", self._agent
        else:
            kind, body = (
                b"text/x-shellscript; charset=utf-8",
                self._script.replace("@SERVER@", self._asked(scope)).encode(),
            )
        headers = [
            (b"content-type", kind),
            (b"content-length", str(len(body)).encode()),
            (b"x-content-type-options", b"nosniff"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    def _asked(self, scope: Mapping[str, Any]) -> str:
        """The server's URL. A Host that is no plain name and port never gets into a script."""
        host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
        if self._by_host and _HOST.match(host):
            return f"{self._url.partition(':')[0]}://{host}"
        return self._url
