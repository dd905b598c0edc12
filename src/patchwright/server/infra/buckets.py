# SPDX-License-Identifier: Apache-2.0
"""
Buckets: where the server writes what others read, objects by key. Writing an object again replaces it whole.

    open_buckets(directory, S3(endpoint, …))     the service, where there is one, else the directory

Two kinds: directories of this machine, and an S3-compatible service.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import hashlib
import http.client
import os
import re
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol
from urllib.parse import quote, unquote, urlsplit

from patchwright.core.signing import Signer
from patchwright.server.infra.clock import Clock, backoff
from patchwright.server.infra.content import PIECE_BYTES, Content, of_bytes, of_file
from patchwright.server.infra.errors import InfraError
from patchwright.server.infra.files import make_folder, write_atomically

LONGEST_KEY = 1024  # bytes
PROBE = "patchwright-write-test"
JSON = "application/json"

_BUCKET = re.compile(r"(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\Z")
_REGION = re.compile(r"[a-z0-9-]{1,64}\Z")
_KMS_KEY = re.compile(r"[\x21-\x7e]*\Z")
_LONGEST_LEVEL = 255  # bytes, of a file's name
_ATTEMPTS = 4
_SECONDS = 30.0
_LONGEST_ANSWER = 64 * 1024
_CODE = re.compile(rb"<Code>([A-Za-z0-9]{1,64})</Code>")
_LONGEST_LISTING = 8 * 1024 * 1024
_LISTED = re.compile(r"<Contents>(.*?)</Contents>", re.DOTALL)
_LISTED_KEY = re.compile(r"<Key>([^<]*)</Key>")
_LISTED_SIZE = re.compile(r"<Size>([0-9]{1,18})</Size>")
_DRAFT = re.compile(r"\.[0-9a-f]{32}\Z")  # a file that is being written
_AGAIN = frozenset({408, 429, 500, 502, 503, 504})


class BucketRefused(InfraError):
    """An object cannot be written there. The message says why, and is for people."""


class ObjectMissing(BucketRefused):
    """There is no such object."""


class Bucket(NamedTuple):
    """
    A bucket, the region it is in, and the key its objects are to be encrypted with; empty: as the bucket says. *account* is
    for whom it is used, empty for the server itself.
    """

    name: str
    region: str
    kms_key: str = ""
    account: str = ""


class Listed(NamedTuple):
    """An object in a listing."""

    key: str
    size: int


class Buckets(Protocol):
    """A store of objects."""

    async def put(self, bucket: Bucket, key: str, data: bytes, *, kind: str = JSON) -> None:
        """Write an object, durably; *kind* is its media type, where the store keeps one. Errors: BucketRefused."""
        ...

    async def get(self, bucket: Bucket, key: str, *, limit: int) -> bytes:
        """Read an object of at most *limit* bytes. Errors: ObjectMissing, BucketRefused."""
        ...

    async def open(self, bucket: Bucket, key: str, *, limit: int) -> Content:
        """
        An object of at most *limit* bytes, to be read piece by piece, and closed. Errors: ObjectMissing, BucketRefused; while it
        is read BucketRefused.
        """
        ...

    async def listed(self, bucket: Bucket, folder: str, *, after: str, limit: int) -> list[Listed]:
        """
        Up to *limit* objects below *folder* (empty, or with a slash at its end) whose keys come behind *after*, in the order of
        their bytes; none where there is no such folder. Errors: BucketRefused.
        """
        ...

    async def probe(self, bucket: Bucket, prefix: str) -> None:
        """See whether objects can be written under *prefix*, which may be empty; leaves nothing behind. Errors: BucketRefused."""
        ...


@dataclass(frozen=True)
class S3:
    """Where an S3-compatible service is, and who the server is there. The secret does not show in the repr."""

    endpoint: str
    key_id: str
    secret: str = field(repr=False)


def open_buckets(directory: Path, service: S3 | None, clock: Clock) -> Buckets:
    """The buckets of *service*, or those in *directory* where there is none."""
    return DirectoryBuckets(directory) if service is None else ServiceBuckets(service, clock)


class DirectoryBuckets:
    """Buckets as directories, keys as files in them: *root*/bucket/key. A bucket is made when it is first written to."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def put(self, bucket: Bucket, key: str, data: bytes, *, kind: str = JSON) -> None:
        """Write an object as a file; it is there whole or not at all, and survives a power cut."""
        path = self._path(bucket, key)
        await asyncio.to_thread(_write, path, data)

    async def get(self, bucket: Bucket, key: str, *, limit: int) -> bytes:
        """Read a file."""
        return await (await self.open(bucket, key, limit=limit)).whole()

    async def open(self, bucket: Bucket, key: str, *, limit: int) -> Content:
        """A file."""
        return await asyncio.to_thread(_open, self._path(bucket, key), limit)

    async def listed(self, bucket: Bucket, folder: str, *, after: str, limit: int) -> list[Listed]:
        """The files below a folder; a link to a folder is followed by nobody."""
        place = self._path(bucket, f"{folder}{PROBE}").parent
        return await asyncio.to_thread(_files, place, folder, after, limit)

    async def probe(self, bucket: Bucket, prefix: str) -> None:
        """Write a file under *prefix* and take it away again."""
        path = self._path(bucket, joined(prefix, PROBE))
        await asyncio.to_thread(_write, path, b"")
        await asyncio.to_thread(path.unlink, missing_ok=True)

    def _path(self, bucket: Bucket, key: str) -> Path:
        if bucket.kms_key:
            msg = "buckets are directories here, which have no keys to encrypt with"
            raise BucketRefused(msg)
        check_key(bucket, key)
        if any(len(level.encode()) > _LONGEST_LEVEL for level in key.split("/")):
            msg = f"a level of the key is longer than {_LONGEST_LEVEL} bytes"
            raise BucketRefused(msg)
        return self._root.joinpath(bucket.name, *key.split("/"))


class ServiceBuckets:
    """Buckets of an S3-compatible service, addressed by path; requests are signed, and asked again where that may help."""

    def __init__(self, service: S3, clock: Clock) -> None:
        self._service = service
        self._clock = clock
        url = urlsplit(service.endpoint)
        self._host, self._port = url.hostname or "", url.port
        self._tls = ssl.create_default_context() if url.scheme == "https" else None
        self._authority = url.netloc.rpartition("@")[2]
        self._idle: list[http.client.HTTPConnection] = []  # of which each thread takes one for itself

    async def put(self, bucket: Bucket, key: str, data: bytes, *, kind: str = JSON) -> None:
        """Write an object."""
        check_key(bucket, key)
        more = {"Content-Type": kind}
        if bucket.kms_key:
            more["X-Amz-Server-Side-Encryption"] = "aws:kms"
            more["X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id"] = bucket.kms_key
        (await self._ask("PUT", bucket, key, data, more)).close()

    async def get(self, bucket: Bucket, key: str, *, limit: int) -> bytes:
        """Read an object."""
        return await (await self.open(bucket, key, limit=limit)).whole()

    async def open(self, bucket: Bucket, key: str, *, limit: int) -> Content:
        """An object, as the service sends it."""
        check_key(bucket, key)
        return _bounded(await self._ask("GET", bucket, key, b"", {}), limit)

    async def listed(self, bucket: Bucket, folder: str, *, after: str, limit: int) -> list[Listed]:
        """What the service lists."""
        check_key(bucket, f"{folder}{PROBE}")
        asked = {
            "encoding-type": "url", "list-type": "2", "max-keys": str(limit), "prefix": folder, "start-after": after,
        }  # fmt: skip
        query = "&".join(f"{name}={quote(value, safe='~')}" for name, value in asked.items() if value)
        answer = _bounded(await self._ask("GET", bucket, "", b"", {}, query=query), _LONGEST_LISTING)
        text = (await answer.whole()).decode("utf-8", "replace")
        found = [
            Listed(unquote(key[1]), int(size[1]))
            for one in _LISTED.findall(text)
            if (key := _LISTED_KEY.search(one)) and (size := _LISTED_SIZE.search(one))
        ]
        return sorted(found, key=lambda one: one.key.encode())

    async def probe(self, bucket: Bucket, prefix: str) -> None:
        """Write an object under *prefix* and take it away again; whoever may write but not delete keeps an empty one."""
        key = joined(prefix, PROBE)
        await self.put(bucket, key, b"")
        try:
            (await self._ask("DELETE", bucket, key, b"", {})).close()
        except BucketRefused:
            return

    async def _ask(
        self, method: str, bucket: Bucket, key: str, data: bytes, more: Mapping[str, str], *, query: str = ""
    ) -> Content:
        """What the service answers, which is to be read or closed. Errors: ObjectMissing, BucketRefused."""
        path = quote(f"/{bucket.name}/{key}", safe="/~")
        target = f"{path}?{query}" if query else path
        for attempt in range(1, _ATTEMPTS + 1):
            headers = self._signed(method, bucket, path, data, more, query=query)
            try:
                status, answer = await asyncio.to_thread(self._exchange, method, target, data, headers)
                if status in {200, 204}:
                    return answer
                body = await answer.whole()
            except (OSError, http.client.HTTPException) as error:
                reason = f"the service cannot be reached: {type(error).__name__}"
            else:
                code = _CODE.search(body)
                reason = f"the service answers {code[1].decode() if code else status}"
                if status == 404:
                    raise ObjectMissing(reason)
                if status not in _AGAIN:
                    raise BucketRefused(reason)
            if attempt < _ATTEMPTS:
                await self._clock.sleep(backoff(attempt, first=0.5, most=8.0))
        raise BucketRefused(reason)

    def _signed(
        self, method: str, bucket: Bucket, path: str, data: bytes, more: Mapping[str, str], *, query: str
    ) -> Mapping[str, str]:
        moment = datetime.datetime.fromtimestamp(self._clock.now(), datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
        headers = {
            "Host": self._authority,
            "X-Amz-Content-Sha256": hashlib.sha256(data).hexdigest(),
            "X-Amz-Date": moment,
            **more,
        }
        signer = Signer(self._service.key_id, self._service.secret, bucket.region)
        made = signer.authorization(headers, data, service="s3", moment=moment, method=method, path=path, query=query)
        return {**headers, "Authorization": made, "Content-Length": str(len(data))}

    def _exchange(self, method: str, path: str, data: bytes, headers: Mapping[str, str]) -> tuple[int, Content]:
        """One request; status and body, of a refusal no more than its beginning."""
        connection = self._connection()
        try:
            connection.request(method, path, body=data, headers=dict(headers))
            answer = connection.getresponse()
        except BaseException:
            connection.close()
            raise
        if answer.status == 200 and method == "GET":
            return 200, self._arriving(connection, answer)
        try:
            body = answer.read(_LONGEST_ANSWER)
        finally:
            self._let_go(connection, answer)
        return answer.status, of_bytes(body)

    def _arriving(self, connection: http.client.HTTPConnection, answer: http.client.HTTPResponse) -> Content:
        """The body of *answer* as it comes."""

        async def read(begin: int, end: int) -> AsyncIterator[bytes]:
            position = 0
            while position < end:
                most = (
                    begin - position if position < begin else end - position
                )  # what is before it, arrives all the same
                piece = await asyncio.to_thread(answer.read, min(PIECE_BYTES, most))
                if not piece:
                    raise EOFError
                position += len(piece)
                if position > begin:
                    yield piece

        if answer.length is None:
            connection.close()
            msg = "the service does not say how long the object is"
            raise BucketRefused(msg)
        return Content(answer.length, read, close=lambda: self._let_go(connection, answer))

    def _let_go(self, connection: http.client.HTTPConnection, answer: http.client.HTTPResponse) -> None:
        """Keep *connection* for what comes next, where it has nothing left to say."""
        if answer.length == 0 and not answer.isclosed():
            answer.close()
        if answer.isclosed() and not answer.will_close and not answer.length:
            self._idle.append(connection)
        else:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        try:
            return self._idle.pop()
        except IndexError:
            pass
        if self._tls is None:
            return http.client.HTTPConnection(self._host, self._port, timeout=_SECONDS)
        return http.client.HTTPSConnection(self._host, self._port, timeout=_SECONDS, context=self._tls)


def check_key(bucket: Bucket, key: str) -> None:
    """Raise BucketRefused unless the bucket's name is one, and *key* is a path of levels that leads nowhere else."""
    if not _BUCKET.match(bucket.name):
        msg = "a bucket's name has 3 to 63 small letters, digits, dots and hyphens"
        raise BucketRefused(msg)
    if not _REGION.match(bucket.region) or not _KMS_KEY.match(bucket.kms_key):
        msg = "a region has small letters, digits and hyphens, a key's ARN no spaces"
        raise BucketRefused(msg)
    if len(key.encode()) > LONGEST_KEY or not key.isprintable():
        msg = f"a key has up to {LONGEST_KEY} bytes of printable characters"
        raise BucketRefused(msg)
    if any(level in {"", ".", ".."} for level in key.split("/")):
        msg = "a key has no empty levels, and none that is . or .."
        raise BucketRefused(msg)


def joined(prefix: str, key: str) -> str:
    """*key* under *prefix*, which may be empty or end with a slash."""
    return f"{prefix.rstrip('/')}/{key}" if prefix.rstrip("/") else key


def _too_large(limit: int) -> BucketRefused:
    return BucketRefused(f"the object is larger than {limit} bytes")


def _open(path: Path, limit: int) -> Content:
    try:
        content = of_file(path)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        msg = "there is no such object"
        raise ObjectMissing(msg) from None
    except OSError as error:
        msg = f"the file cannot be read: {error.strerror}"
        raise BucketRefused(msg) from error
    return _bounded(content, limit)


def _files(place: Path, folder: str, after: str, limit: int) -> list[Listed]:
    found: list[Listed] = []
    waiting = [(place, folder)]
    while waiting and len(found) < limit:
        path, key = waiting.pop()
        if not key.endswith("/") and key:
            if key.encode() > after.encode():
                with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
                    found.append(Listed(key, path.stat().st_size))
        elif not after or key.encode() > after.encode() or after.startswith(key):
            waiting += sorted(_within(path, key), key=lambda one: one[1].encode(), reverse=True)
    return found


def _within(path: Path, key: str) -> list[tuple[Path, str]]:
    """The files and the folders in a folder, with their keys; those of folders end with a slash."""
    try:
        with os.scandir(path) as entries:
            return [
                (Path(one.path), f"{key}{one.name}/" if one.is_dir(follow_symlinks=False) else f"{key}{one.name}")
                for one in entries
                if one.is_dir(follow_symlinks=False) or (one.is_file() and not _DRAFT.match(one.name))
            ]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        msg = f"the folder cannot be read: {error.strerror}"
        raise BucketRefused(msg) from error


def _bounded(content: Content, limit: int) -> Content:
    """*content*, unless it is larger than *limit* bytes; what goes wrong while it is read is BucketRefused."""
    if content.size > limit:
        content.close()
        raise _too_large(limit)

    async def read(begin: int, end: int) -> AsyncIterator[bytes]:
        try:
            async for piece in content.read(begin, end):
                yield piece
        except (OSError, EOFError, http.client.HTTPException) as error:
            msg = f"the object ended before its end: {type(error).__name__}"
            raise BucketRefused(msg) from error

    return Content(content.size, read, close=content.close)


def _write(path: Path, data: bytes) -> None:
    try:
        make_folder(path.parent, mode=0o750)
        write_atomically(path, data, mode=0o640)
    except OSError as error:
        msg = f"the file cannot be written: {error.strerror}"
        raise BucketRefused(msg) from error
