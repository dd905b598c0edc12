# SPDX-License-Identifier: Apache-2.0
"""
Outputs that come in several parts: amazon-ssm-agent sends what is larger than 5 MB so.

Nothing is remembered of an upload. A part is a blob, its ETag the blob's digest under a signature; the request that completes the
upload brings the ETags back. Parts that nobody completes are collected with all blobs that no row names.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from patchwright.server.aws.s3.taking import Charge, take_whole
from patchwright.server.infra import BlobNotFound, Blobs
from patchwright.server.outputs import Service, Stream
from patchwright.server.wire import ApiError, Caller, Handler

Own = Callable[[Caller, Mapping[str, Any]], Awaitable[Stream]]

_MOST_PARTS = 1_000
_LONGEST_LIST = 512 * 1024  # bytes
_NUMBER = re.compile(rb"<PartNumber>\s*([0-9]{1,5})\s*</PartNumber>")
_ETAG = re.compile(rb"<ETag>\s*(?:\"|&quot;|&#34;)?([0-9a-f]{64})-([0-9a-f]{64})(?:\"|&quot;|&#34;)?\s*</ETag>")


class Uploads:
    """
    One method per operation. *own* finds the output of the caller that a request is about, or refuses; *charge* counts what a
    node sends.
    """

    def __init__(self, own: Own, *, printed: Service, blobs: Blobs, key: bytes, charge: Charge) -> None:
        self._own = own
        self._charge = charge
        self._printed = printed
        self._blobs = blobs
        self._key = key

    def operations(self) -> Mapping[str, Handler]:
        """The operations served here, by target."""
        return {
            "s3.AbortMultipartUpload": self.abort,
            "s3.CompleteMultipartUpload": self.complete,
            "s3.CreateMultipartUpload": self.create,
            "s3.UploadPart": self.upload_part,
        }

    async def create(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """CreateMultipartUpload: its id says what it is for."""
        return {"UploadId": self._sign("upload", await self._own(caller, request))}

    async def upload_part(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """UploadPart: a blob, and its ETag."""
        stream = await self._of(caller, request)
        self._charge(stream.instance_id, len(request["Body"]))
        digest = await self._blobs.put(request["Body"])
        return {"ETag": f"{digest}-{self._sign(f'part {digest}', stream)}"}

    async def complete(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """CompleteMultipartUpload: the parts in the order of their numbers are the output."""
        stream = await self._of(caller, request)
        listed: bytes = request["Body"]
        texts = listed.split(b"</Part>")[:-1] if len(listed) <= _LONGEST_LIST else []
        parts = sorted(self._part(text.rpartition(b"<Part>")[2], stream) for text in texts)
        if not 0 < len(parts) <= _MOST_PARTS:
            raise ApiError("MalformedXML", "The XML you provided was not well-formed.")
        try:
            bodies = [partial(self._blobs.get, digest) for _, digest in parts]
            await take_whole(self._printed, caller.scope, stream, bodies)
        except BlobNotFound:
            raise _invalid_part() from None
        return {"ETag": f"{self._sign('whole', stream)}-{len(parts)}"}

    async def abort(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """AbortMultipartUpload: nothing is remembered of it anyway."""
        await self._of(caller, request)
        return {}

    async def _of(self, caller: Caller, request: dict[str, Any]) -> Stream:
        stream = await self._own(caller, request)
        if not hmac.compare_digest(self._sign("upload", stream).encode(), request["UploadId"].encode()):
            raise ApiError("NoSuchUpload", "The specified upload does not exist.", status=404)
        return stream

    def _part(self, text: bytes, stream: Stream) -> tuple[int, str]:
        number, etag = _NUMBER.search(text), _ETAG.search(text)
        if number is None or etag is None:
            raise _invalid_part()
        digest = etag[1].decode()
        if not hmac.compare_digest(self._sign(f"part {digest}", stream), etag[2].decode()):
            raise _invalid_part()
        return int(number[1]), digest

    def _sign(self, what: str, stream: Stream) -> str:
        said = "\n".join(("s3", what, *stream))
        return hmac.digest(self._key, said.encode(), "sha256").hex()


def _invalid_part() -> ApiError:
    return ApiError("InvalidPart", "One or more of the specified parts could not be found.")
