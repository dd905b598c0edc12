# SPDX-License-Identifier: Apache-2.0
"""Who reads the stream of events in tests, over a real connection."""

from __future__ import annotations

import http.client
import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

PATH = "/events/stream"


def at_rest(value: Callable[[], Any], *, seconds: float = 0.7) -> Any:
    """*value* once there is one, and it has not changed for *seconds*."""
    found, since, deadline = value(), time.monotonic(), time.monotonic() + 30
    while not found or time.monotonic() - since < seconds:
        assert time.monotonic() < deadline
        time.sleep(0.02)
        if (now := value()) != found:
            found, since = now, time.monotonic()
    return found


@dataclass
class Told:
    """One message of a stream."""

    id: str = ""
    event: str = "message"
    data: str = ""
    comments: list[str] = field(default_factory=list)

    @property
    def json(self) -> Any:
        return json.loads(self.data)


class Reader:
    """A stream that is open, or what was answered instead."""

    def __init__(
        self, url: str, key: tuple[str, str], region: str, *, last: str = "", signing: bool = True, **query: str
    ) -> None:
        text = f"?{urlencode(query)}" if query else ""
        headers = {"amz-sdk-invocation-id": str(uuid.uuid4()), **({"Last-Event-ID": last} if last else {})}
        request = AWSRequest(method="GET", url=f"{url}{PATH}{text}", headers=headers)
        if signing:
            SigV4Auth(Credentials(*key), "patchwright", region).add_auth(request)
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
        self._connection.request("GET", f"{PATH}{text}", headers=dict(request.headers.items()))
        self.answer = self._connection.getresponse()
        self.status = self.answer.status

    @property
    def code(self) -> str:
        """The error that was answered."""
        found: str = json.loads(self.answer.read())["__type"]
        return found

    def next(self, *, seconds: float = 30.0) -> Told | None:
        """The next message, also one that says only where the reader stands; None: the stream has ended."""
        told, deadline = Told(), time.monotonic() + seconds
        while time.monotonic() < deadline:
            line = self.answer.readline()
            if not line:
                return None
            text = line.decode().rstrip("\n")
            name, _, value = text.partition(":")
            if not text:
                if told != Told():
                    return told
            elif name == "":
                told.comments.append(value.strip())
            elif name in {"id", "event", "data"}:
                setattr(told, name, value.removeprefix(" "))
        raise TimeoutError

    def events(self, count: int) -> list[Told]:
        """The next *count* messages that tell of something."""
        found: list[Told] = []
        while len(found) < count:
            told = self.next()
            if told is None:
                break
            if told.data:
                found.append(told)
        return found

    def close(self) -> None:
        """Go away."""
        self._connection.close()
