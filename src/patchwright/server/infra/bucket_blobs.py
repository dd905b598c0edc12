# SPDX-License-Identifier: Apache-2.0
"""Blobs as objects of a bucket, for processes on several machines."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from patchwright.server.infra.blobs import DEFAULT_LIMIT_BYTES
from patchwright.server.infra.buckets import Bucket, BucketRefused, Buckets, ObjectMissing
from patchwright.server.infra.errors import BlobDamaged, BlobNotFound, BlobTooLarge, Unavailable

_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)
_KIND = "application/octet-stream"


class BucketBlobs:
    """
    Blobs under `blobs/ab/abcdef…` in *bucket*.

    They are never collected from here: a rule of the bucket's own deletes what was last written longer ago than anything is kept.
    """

    def __init__(self, buckets: Buckets, bucket: Bucket, *, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        self._buckets = buckets
        self._bucket = bucket
        self._limit_bytes = limit_bytes

    async def put(self, data: bytes) -> str:
        """Write an object; one that is there is written again, and has a new time by that."""
        if len(data) > self._limit_bytes:
            raise BlobTooLarge(len(data), self._limit_bytes)
        digest = hashlib.sha256(data).hexdigest()
        try:
            await self._buckets.put(self._bucket, _key(digest), data, kind=_KIND)
        except BucketRefused as cause:
            msg = f"a blob of {len(data)} bytes cannot be stored in the bucket {self._bucket.name}: {cause}"
            raise Unavailable(msg) from cause
        return digest

    async def get(self, digest: str) -> bytes:
        """Read an object. A word that is no digest is not found."""
        if not _DIGEST.fullmatch(digest):
            raise BlobNotFound(digest)
        try:
            data = await self._buckets.get(self._bucket, _key(digest), limit=self._limit_bytes)
        except ObjectMissing:
            raise BlobNotFound(digest) from None
        except BucketRefused as cause:
            msg = f"the blob {digest} cannot be read from the bucket {self._bucket.name}: {cause}"
            raise Unavailable(msg) from cause
        if hashlib.sha256(data).hexdigest() != digest:
            raise BlobDamaged(digest)
        return data

    async def old(self, shard: int, *, older_than: float) -> list[str]:
        """None: the bucket forgets by itself."""
        return []

    async def remove(self, digests: Sequence[str], *, older_than: float) -> int:
        """Deletes nothing."""
        return 0


def _key(digest: str) -> str:
    return f"blobs/{digest[:2]}/{digest}"
