# SPDX-License-Identifier: Apache-2.0
"""
Requests that are signed for S3: which operation they ask for, and how they are answered. Plain ASGI.

    https://HOST/BUCKET/KEY                                by path
    https://BUCKET.s3.REGION.DOMAIN/KEY                    by host, where DOMAIN is set
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import parse_qs, quote, unquote
from xml.sax.saxutils import escape

from patchwright.server.aws.streamed import send_content
from patchwright.server.infra import Content
from patchwright.server.wire import (
    ApiError,
    Caller,
    Disconnected,
    Endpoint,
    Handler,
    NotAdmitted,
    fold_headers,
    raw_path,
    read_body,
    signed_key,
    signed_service,
    throttled,
)

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

_BODY_SECONDS = 300.0
_AT_ONCE = 2  # objects of the largest size, or as many bytes of smaller ones, that one key may be sending
_UNSERVED = "s3.Unserved"
_XML = b"application/xml"
# Operations by method and the names of the parameters in the query; of objects all but the first.
_BY_QUERY: Mapping[tuple[str, tuple[str, ...]], str] = {
    ("GET", ("encryption",)): "s3.GetEncryptionConfiguration",
    ("DELETE", ("uploadId",)): "s3.AbortMultipartUpload",
    ("GET", ()): "s3.GetObject",
    ("HEAD", ()): "s3.GetObject",
    ("POST", ("uploadId",)): "s3.CompleteMultipartUpload",
    ("POST", ("uploads",)): "s3.CreateMultipartUpload",
    ("PUT", ()): "s3.PutObject",
    ("PUT", ("partNumber", "uploadId")): "s3.UploadPart",
}
_OF_LISTINGS = frozenset({
    "continuation-token", "encoding-type", "fetch-owner", "list-type", "marker", "max-keys", "prefix", "start-after",
    "x-id",
})  # fmt: skip
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})\Z")
_BY_HOST = re.compile(r"(?:(.+)\.)?s3[.-]([a-z0-9-]{1,64})\.(.+)\Z")
# What S3 calls the refusals that every service knows.
_CODES: Mapping[str, tuple[str, int]] = {
    "AccessDeniedException": ("AccessDenied", 403),
    "ExpiredTokenException": ("ExpiredToken", 400),
    "IncompleteSignatureException": ("AuthorizationHeaderMalformed", 400),
    "InternalServerError": ("InternalError", 500),
    "InvalidSignatureException": ("SignatureDoesNotMatch", 403),
    "MissingAuthenticationTokenException": ("AccessDenied", 403),
    "RequestEntityTooLargeException": ("EntityTooLarge", 400),
    "RequestTimeoutException": ("RequestTimeout", 400),
    "ServiceUnavailableException": ("ServiceUnavailable", 503),
    "ThrottlingException": ("SlowDown", 503),
    "UnrecognizedClientException": ("InvalidAccessKeyId", 403),
}


class _Reply(NamedTuple):
    """What is answered: *body*, or the part of *content* from *begin* on and before *end*."""

    status: int
    headers: Headers
    body: bytes = b""
    content: Content | None = None
    begin: int = 0
    end: int = 0


class Asked(NamedTuple):
    """The operation that a request asks for, by its target, and its members."""

    target: str
    members: dict[str, Any]


class BucketFront:
    """
    Answers requests that are signed for S3, with *operations*, to callers that *endpoint* knows.

    *domain*: buckets are also found as sub-domains of `s3.REGION.DOMAIN`. *largest* is how many bytes an object may have.
    """

    def __init__(
        self, endpoint: Endpoint, operations: Mapping[str, Handler], *, domain: str = "", largest: int
    ) -> None:
        self._endpoint = endpoint
        self._operations = operations
        self._domain = domain.lower()
        self._largest = largest
        self._arriving: Counter[str] = Counter()  # bytes that are being taken in, by key

    def serves(self, scope: Mapping[str, Any]) -> bool:
        """Whether a request says that it is signed for S3, or asks where a bucket is."""
        headers = dict(scope["headers"])
        return signed_service(headers) == "s3" or bool(self._region_asked(scope, headers))

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            headers = fold_headers(scope["headers"])
            if region := self._region_asked(scope, headers):
                reply = _Reply(403, [(b"x-amz-bucket-region", region.encode())])
            else:
                reply = await self._answer(scope, headers, receive)
        except Disconnected:
            return
        except NotAdmitted as refused:
            cause = refused.__cause__
            reply = _refusal(cause if isinstance(cause, ApiError) else _as_refused(refused), scope)
        except ApiError as error:
            reply = _refusal(error, scope)
        bodiless = scope["method"] == "HEAD"
        more = [*reply.headers, (b"x-content-type-options", b"nosniff")]
        if reply.content is not None:
            await send_content(
                send, reply.status, more, reply.content, begin=reply.begin, end=reply.end, bodiless=bodiless
            )
            return
        more.append((b"content-length", str(len(reply.body)).encode()))
        await send({"type": "http.response.start", "status": reply.status, "headers": more})
        await send({"type": "http.response.body", "body": b"" if bodiless else reply.body})

    async def _answer(
        self, scope: MutableMapping[str, Any], headers: Mapping[bytes, bytes], receive: Receive
    ) -> _Reply:
        asked = self._asked(scope, headers)
        with contextlib.ExitStack() as held:

            async def content() -> bytes:
                held.enter_context(self._room(headers))
                body = await read_body(receive, headers, limit=self._largest, seconds=_BODY_SECONDS)
                asked.members["Body"] = body
                return body

            caller = await self._endpoint.identify(scope, service="s3", target=asked.target, content=content)
            try:
                answer = await self._carried_out(asked, caller)
            except Exception as error:
                raise self._endpoint.refusal(error, caller, asked.members) from error
        return self._answered(asked, headers, caller, answer)

    @contextlib.contextmanager
    def _room(self, headers: Mapping[bytes, bytes]) -> Iterator[None]:
        """Room in memory for a body of whoever signed *headers*. Raises ApiError (ThrottlingException)."""
        declared, key = headers.get(b"content-length", b""), signed_key(headers)
        size = min(int(declared[:18]), self._largest) if declared.isdigit() else 0
        if b"transfer-encoding" in headers:  # it may be as long as it likes
            size = self._largest
        if self._arriving[key] + size > _AT_ONCE * self._largest:
            raise throttled("Too many objects are being sent with this key.", seconds=1.0)
        self._arriving[key] += size
        try:
            yield
        finally:
            self._arriving[key] -= size
            if not self._arriving[key]:
                del self._arriving[key]

    @staticmethod
    def _answered(asked: Asked, headers: Mapping[bytes, bytes], caller: Caller, answer: Mapping[str, Any]) -> _Reply:
        named = [(b"x-amz-request-id", caller.request_id.encode())]
        if asked.target == "s3.HeadBucket":
            return _Reply(200, [*named, (b"x-amz-bucket-region", answer["Region"].encode())])
        if asked.target == "s3.AbortMultipartUpload":
            return _Reply(204, named)
        if asked.target in {"s3.PutObject", "s3.UploadPart"}:
            return _Reply(200, [*named, (b"etag", f'"{answer["ETag"]}"'.encode())])
        if asked.target == "s3.ListObjects":
            return _Reply(200, [*named, (b"content-type", _XML)], _listed(asked.members, answer))
        if asked.target in {"s3.CreateMultipartUpload", "s3.CompleteMultipartUpload"}:
            return _Reply(200, [*named, (b"content-type", _XML)], _told(asked, answer))
        reply = _part(answer["Content"], headers.get(b"range", b"").decode("latin-1"))
        return reply._replace(headers=[*named, *reply.headers, (b"content-type", answer["Kind"].encode())])

    async def _carried_out(self, asked: Asked, caller: Caller) -> dict[str, Any]:
        handler = self._operations.get(asked.target)
        if handler is None:
            raise ApiError(
                "NotImplemented", "A header you provided implies functionality that is not implemented.", status=501
            )
        return await handler(caller, asked.members)

    def _asked(self, scope: Mapping[str, Any], headers: Mapping[bytes, bytes]) -> Asked:
        """What a request asks for. Only that of S3 which agents need has an operation."""
        method, query = scope["method"], scope.get("query_string", b"").decode("latin-1")
        try:
            path = unquote(raw_path(scope), errors="strict").removeprefix("/")
        except UnicodeDecodeError:
            raise ApiError("InvalidURI", "Couldn't parse the specified URI.") from None
        bucket, _ = self._place_of(headers)
        key = path
        if not bucket:
            bucket, _, key = path.partition("/")
        members = {"Bucket": bucket, "Key": key}
        try:
            given = parse_qs(query, keep_blank_values=True, max_num_fields=10)
        except ValueError:
            raise ApiError("InvalidURI", "Couldn't parse the specified URI.") from None
        target = _BY_QUERY.get((method, tuple(sorted(given.keys() - {"x-id"}))), _UNSERVED)
        if not key and target != "s3.GetEncryptionConfiguration":
            target = "s3.HeadBucket" if method == "HEAD" and not given else _UNSERVED
            if method == "GET" and given.keys() <= _OF_LISTINGS:
                members, target = {**members, **_listing(given)}, "s3.ListObjects"
        if not bucket or (key and target == "s3.GetEncryptionConfiguration"):
            target = _UNSERVED
        return Asked(target, {**members, "UploadId": given.get("uploadId", [""])[0]})

    def _region_asked(self, scope: Mapping[str, Any], headers: Mapping[bytes, bytes]) -> str:
        """
        The region of a bucket that somebody unknown asks for, or none.

        amazon-ssm-agent does before it writes, by a HEAD that it does not sign, and tries Amazon's hosts where it is not told.
        """
        if scope["method"] != "HEAD" or scope["path"] not in {"", "/"} or b"authorization" in headers:
            return ""
        bucket, region = self._place_of(headers)
        return region if bucket else ""

    def _place_of(self, headers: Mapping[bytes, bytes]) -> tuple[str, str]:
        """The bucket that is named by the host, and the region; empty where none is."""
        host = headers.get(b"host", b"").decode("latin-1").lower()
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        found = _BY_HOST.match(name)
        return (found[1] or "", found[2]) if found and self._domain and found[3] == self._domain else ("", "")


def _part(content: Content, wanted: str) -> _Reply:
    """The part of an object that a Range header asks for, or all of it."""
    found, size = _RANGE.match(wanted), content.size
    if not found or found[1] == found[2] == "":
        return _Reply(200, [(b"accept-ranges", b"bytes")], content=content, end=size)
    begin = int(found[1]) if found[1] else max(0, size - int(found[2]))
    last = min(int(found[2]) if found[1] and found[2] else size - 1, size - 1)
    if begin > last:
        content.close()
        raise ApiError("InvalidRange", "The requested range is not satisfiable", status=416)
    told = f"bytes {begin}-{last}/{size}".encode()
    return _Reply(206, [(b"content-range", told)], content=content, begin=begin, end=last + 1)


def _told(asked: Asked, answer: Mapping[str, Any]) -> bytes:
    """What the beginning and the end of an upload in parts is answered with."""
    name = asked.target.removeprefix("s3.").replace("Create", "Initiate")
    members = {"Bucket": asked.members["Bucket"], "Key": asked.members["Key"], **answer}
    inner = "".join(f"<{one}>{escape(str(value))}</{one}>" for one, value in members.items())
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{name}Result>{inner}</{name}Result>'.encode()


def _listing(given: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """What is asked of ListObjects, by its version. Raises ApiError (InvalidArgument)."""
    said = {name: values[0] for name, values in given.items()}
    most, version = said.get("max-keys", "1000"), 2 if said.get("list-type") == "2" else 1
    if not (most.isascii() and most.isdigit() and len(most) < 10):
        raise ApiError("InvalidArgument", "Provided max-keys not an integer or within integer range")
    after = said.get("marker", "") if version == 1 else said.get("continuation-token") or said.get("start-after", "")
    encoded = said.get("encoding-type") == "url"
    return {
        "Prefix": said.get("prefix", ""), "After": after, "MaxKeys": int(most), "Version": version, "Encoded": encoded,
    }  # fmt: skip


def _listed(asked: Mapping[str, Any], answer: Mapping[str, Any]) -> bytes:
    """A page of a listing."""

    def name(text: str) -> str:
        return quote(text, safe="/~") if asked["Encoded"] else escape(text)

    said = {"Name": escape(asked["Bucket"]), "Prefix": name(asked["Prefix"]), "MaxKeys": answer["MaxKeys"]}
    if asked["Encoded"]:
        said["EncodingType"] = "url"
    said["IsTruncated"] = "true" if answer["More"] else "false"
    if asked["Version"] == 1:
        said["Marker"] = name(asked["After"])
        if answer["More"]:
            said["NextMarker"] = name(answer["More"])
    else:
        said["KeyCount"] = len(answer["Objects"])
        if answer["More"]:
            said["NextContinuationToken"] = escape(answer["More"])
    inner = "".join(f"<{one}>{value}</{one}>" for one, value in said.items())
    inner += "".join(
        f"<Contents><Key>{name(one.key)}</Key><Size>{one.size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
        for one in answer["Objects"]
    )
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult>{inner}</ListBucketResult>'.encode()


def _as_refused(refused: NotAdmitted) -> ApiError:
    code = "ServiceUnavailableException" if refused.reply[0] == 503 else "InternalServerError"
    return ApiError(code, "We encountered an internal error. Please try again.")


def _refusal(error: ApiError, scope: Mapping[str, Any]) -> _Reply:
    code, status = _CODES.get(error.code, (error.code, error.status))
    resource = escape(scope["path"][:1024])
    text = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{escape(code)}</Code><Message>{escape(error.text)}</Message>'
        f"<Resource>{resource}</Resource></Error>"
    )
    return _Reply(status, [(b"content-type", _XML)], text.encode("utf-8", "replace"))
