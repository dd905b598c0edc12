# SPDX-License-Identifier: Apache-2.0
"""A client without a network: signs as botocore does, calls an ASGI application, returns what it answered."""

from __future__ import annotations

import asyncio
import datetime
import json
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from patchwright.server.wire import Caller, Credential, Endpoint, Handler, load_models
from server.clocks import FakeClock

NOW = 1_795_147_200.0  # 2026-11-20T04:00:00Z
USER_KEY = Credential("AKIAROOTROOTROOTROOT", "user-secret", "000000000001", "arn:aws:iam::000000000001:root")
NODE_KEY = Credential(
    "mi-0123456789abcdef0",
    "node-secret",
    "000000000001",
    "arn:aws:ssm:us-east-1:000000000001:managed-instance/mi-0123456789abcdef0",
    kind="node",
    region="us-east-1",
    instance_id="mi-0123456789abcdef0",
)
MODELS = load_models(strict=True)

Headers = dict[str, str]


@dataclass
class Answer:
    """A response, its body decoded."""

    status: int
    headers: Headers
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def code(self) -> str:
        return str(self.json.get("__type"))


class Log:
    """Keeps what was logged."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def info(self, event: str, **fields: Any) -> None:
        self.lines.append({"event": event, "level": "info", **fields})

    def error(self, event: str, **fields: Any) -> None:
        self.lines.append({"event": event, "level": "error", **fields})


@dataclass
class Bench:
    """An endpoint with a clock, a log and two keys; what its handlers were called with."""

    clock: FakeClock = field(default_factory=lambda: FakeClock(NOW))
    log: Log = field(default_factory=Log)
    lookups: list[str] = field(default_factory=list)
    seen: list[tuple[Caller, dict[str, Any]]] = field(default_factory=list)

    async def lookup(self, access_key_id: str) -> Credential | None:
        self.lookups.append(access_key_id)
        return {key.access_key_id: key for key in (USER_KEY, NODE_KEY)}.get(access_key_id)

    def endpoint(self, operations: Mapping[str, Any], **options: Any) -> Endpoint:
        """Serve *operations*: a handler, or an answer to give, by target."""
        handlers = {target: self._handler(answer) for target, answer in operations.items()}
        given = {"models": MODELS, "lookup": self.lookup, "clock": self.clock, "log": self.log, **options}
        return Endpoint(handlers, **given)

    def _handler(self, answer: Any) -> Handler:
        if callable(answer):
            return answer

        async def handle(caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
            self.seen.append((caller, request))
            if isinstance(answer, Exception):
                raise answer
            return answer

        return handle


def signed(
    target: str,
    body: bytes | str | dict[str, Any] = b"{}",
    *,
    key: Credential = USER_KEY,
    service: str | None = None,
    region: str = "us-east-1",
    at: float = NOW,
    more: Mapping[str, str] | None = None,
) -> tuple[Headers, bytes]:
    """Headers and body of a call as botocore signs it."""
    sent = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
    prefix = target.partition(".")[0]
    if service is None:
        known = MODELS.service(prefix)
        service = known.signing_name if known else "ssm"
    named = {"amz-sdk-invocation-id": str(uuid.uuid4())}  # which call of ours this is, as SDKs say
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": target, **named, **(more or {})}
    request = AWSRequest(method="POST", url="http://patchwright.test:8473/", headers=headers, data=sent)
    moment = datetime.datetime.fromtimestamp(at, datetime.UTC)
    with mock.patch("botocore.auth.get_current_datetime", return_value=moment.replace(tzinfo=None)):
        SigV4Auth(Credentials(key.access_key_id, key.secret), service, region).add_auth(request)
    result = {name.lower(): str(value) for name, value in request.headers.items()}
    return {"host": "patchwright.test:8473", "content-length": str(len(sent)), **result}, sent


async def call(
    endpoint: Callable[..., Any],
    headers: Mapping[str, str] | Iterable[tuple[str, str]],
    body: bytes | list[bytes] = b"{}",
    *,
    path: str = "/",
    method: str = "POST",
    query: str = "",
    gone: bool = False,
) -> Answer:
    """Call *endpoint*. A list of bodies arrives in as many pieces; with *gone* the client does not wait for the answer."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in pairs],
        "client": ("192.0.2.7", 4711),
    }
    pieces = list(body) if isinstance(body, list) else [body]
    answered: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if not pieces:
            if not gone and body != []:
                await asyncio.Event().wait()  # a client that listens says nothing more
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

    async def send(message: dict[str, Any]) -> None:
        answered.append(message)

    await endpoint(scope, receive, send)
    if not answered:
        return Answer(0, {}, b"")
    start, *rest = answered
    names = {name.decode(): value.decode() for name, value in start["headers"]}
    return Answer(start["status"], names, b"".join(part["body"] for part in rest))
