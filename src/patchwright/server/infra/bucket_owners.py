# SPDX-License-Identifier: Apache-2.0
"""
Which accounts a bucket is for (docs/adr/0037).

    owners = BucketOwners({"logs": frozenset({"000000000002"})}, first="000000000001", reserved="blobs")
    buckets = OwnedBuckets(opened, owners)      what rooms read and write through: it refuses what is another account's
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Set

from patchwright.server.infra.buckets import JSON, Bucket, BucketRefused, Buckets, Listed
from patchwright.server.infra.content import Content

EVERYBODY = "*"
_SUFFIX = re.compile(r".+-([0-9]{12})\Z")


class BucketOwners:
    """
    Says whose a bucket is: nobody's where it is *reserved* for the server, the accounts' for which it is *named*, that of the
    account whose id its name ends with (`logs-000000000002`), and else the installation's *first* account's.
    """

    def __init__(self, named: Mapping[str, Set[str]], *, first: str, reserved: str = "") -> None:
        self._named = named
        self._first = first
        self._reserved = reserved

    def has(self, account: str, bucket: str) -> bool:
        """Whether *account* may use the bucket of this name; whether there is one, nobody asks."""
        if bucket == self._reserved:
            return False
        named = self._named.get(bucket)
        if named is not None:
            return account in named or EVERYBODY in named
        found = _SUFFIX.match(bucket)
        return account == (found[1] if found else self._first)


class OwnedBuckets:
    """Buckets through which nobody gets at what is another account's: `Bucket.account` says for whom something is done."""

    def __init__(self, inner: Buckets, owners: BucketOwners) -> None:
        self._inner = inner
        self._owners = owners

    async def put(self, bucket: Bucket, key: str, data: bytes, *, kind: str = JSON) -> None:
        """Write an object, unless the bucket is another's."""
        self._require(bucket)
        await self._inner.put(bucket, key, data, kind=kind)

    async def get(self, bucket: Bucket, key: str, *, limit: int) -> bytes:
        """Read an object, unless the bucket is another's."""
        self._require(bucket)
        return await self._inner.get(bucket, key, limit=limit)

    async def open(self, bucket: Bucket, key: str, *, limit: int) -> Content:
        """An object, unless the bucket is another's."""
        self._require(bucket)
        return await self._inner.open(bucket, key, limit=limit)

    async def listed(self, bucket: Bucket, folder: str, *, after: str, limit: int) -> list[Listed]:
        """Objects of a folder, unless the bucket is another's."""
        self._require(bucket)
        return await self._inner.listed(bucket, folder, after=after, limit=limit)

    async def probe(self, bucket: Bucket, prefix: str) -> None:
        """See whether objects can be written, which they cannot where the bucket is another's."""
        self._require(bucket)
        await self._inner.probe(bucket, prefix)

    def _require(self, bucket: Bucket) -> None:
        if not self._owners.has(bucket.account, bucket.name):
            msg = f"Access Denied: the bucket is not for account {bucket.account}"
            raise BucketRefused(msg)
