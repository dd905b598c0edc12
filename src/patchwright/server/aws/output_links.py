# SPDX-License-Identifier: Apache-2.0
"""Where outputs can be read in full: the object in their bucket, or a link of ours."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any
from urllib.parse import quote

from patchwright.core.errors import PatchwrightError
from patchwright.server.accounts import Scope
from patchwright.server.aws.signed_links import SignedLinks
from patchwright.server.aws.streamed import send_content
from patchwright.server.infra import Clock, Content, InfraError, of_bytes
from patchwright.server.outputs import Output, Service, Stream

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PATH = "/outputs/"


class OutputLinks:
    """Makes and reads links under *url*, signed with *key* (the same in every process); *buckets* is the URL of buckets."""

    def __init__(self, url: str, key: bytes, clock: Clock, *, buckets: str) -> None:
        self._links = SignedLinks(url, PATH, key, clock, kind="output")
        self._buckets = buckets

    def urls(self, kept: Sequence[Output], step: str) -> tuple[str, str]:
        """
        Where stdout and stderr of a step are in full, of what is *kept* of its invocation: in the bucket that its command names,
        else here; empty where there is no more than the answer to the call itself shows.
        """
        found = {one.stream.name: self._address(one) for one in kept if one.stream.step == step}
        return found.get("stdout", ""), found.get("stderr", "")

    def read(self, path: str, query: str) -> tuple[Scope, Stream] | None:
        """What a link asks for; None unless this server made it and its day is not over."""
        said = self._links.read(path, query)
        return None if said is None else (Scope(said[0], said[1]), Stream(*said[2:]))

    def _address(self, output: Output) -> str:
        place = output.place
        if place.bucket:
            return f"{self._buckets}/{place.bucket}/{quote(place.key)}"
        return self._links.link([*output.scope, *output.stream])


class OutputDownloads:
    """`GET /outputs/…`, plain ASGI: an output as text, as far as there is any."""

    def __init__(self, service: Service, links: OutputLinks) -> None:
        self._service = service
        self._links = links

    def serves(self, path: str) -> bool:
        """Whether *path* is one of a link."""
        return path.startswith(PATH)

    async def __call__(self, scope: Mapping[str, Any], send: Send) -> None:
        """Answer a GET or HEAD: 403 for a link that is none or has ended, 404 for what is no longer there."""
        status, content = await self._answer(scope["path"], scope.get("query_string", b"").decode("latin-1"))
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"cache-control", b"private, no-store"),
            (b"content-security-policy", b"sandbox"),
            (b"x-content-type-options", b"nosniff"),
        ]
        bodiless = scope["method"] == "HEAD"
        await send_content(send, status, headers, content, begin=0, end=content.size, bodiless=bodiless)

    async def _answer(self, path: str, query: str) -> tuple[int, Content]:
        asked = self._links.read(path, query)
        if asked is None:
            return 403, of_bytes(b"The link is none of this server's, or its 24 hours are over: ask for another.\n")
        try:
            return 200, await self._service.open(*asked)
        except InfraError:
            return 503, of_bytes(b"The output cannot be read now; try again.\n")
        except PatchwrightError:
            return 404, of_bytes(b"The output is no longer kept.\n")
