# SPDX-License-Identifier: Apache-2.0
"""Blobs in a bucket, which processes on several machines share."""

from __future__ import annotations

import hashlib

import pytest

from patchwright.server.infra import (
    BlobDamaged,
    BlobNotFound,
    BlobTooLarge,
    Bucket,
    BucketBlobs,
    BucketRefused,
    Unavailable,
    open_buckets,
)
from server.clocks import FakeClock

HERE = Bucket("some-bucket", "us-east-1")


@pytest.fixture
def buckets(tmp_path):
    """Buckets that are directories."""
    return open_buckets(tmp_path, None, FakeClock())


async def test_what_one_process_has_put_another_gets(buckets):
    """Under the digest of its content, however often it is put."""
    one, other = BucketBlobs(buckets, HERE), BucketBlobs(buckets, HERE)
    for data in (b"", b"some output", bytes(300_000)):
        digest = await one.put(data)
        assert digest == await other.put(data) == hashlib.sha256(data).hexdigest()
        assert await other.get(digest) == data
    assert await one.old(0, older_than=9e9) == []
    assert await one.remove([digest], older_than=9e9) == 0
    assert await one.get(digest) == bytes(300_000)


async def test_what_is_not_there_or_not_whole_is_told(buckets, tmp_path):
    """A digest that was never put, a word that is none, an object that somebody changed, bytes that are too many."""
    blobs = BucketBlobs(buckets, HERE, limit_bytes=10)
    for digest in ("0" * 64, "../x", ""):
        with pytest.raises(BlobNotFound):
            await blobs.get(digest)
    with pytest.raises(BlobTooLarge):
        await blobs.put(bytes(11))
    digest = await blobs.put(b"whole")
    (tmp_path / HERE.name / "blobs" / digest[:2] / digest).write_bytes(b"other")
    with pytest.raises(BlobDamaged):
        await blobs.get(digest)


async def test_a_bucket_that_refuses_is_tried_later(buckets, monkeypatch):
    """As a database is that cannot be reached."""
    blobs = BucketBlobs(buckets, HERE)
    digest = await blobs.put(b"x")

    async def refuse(*_, **__):
        raise BucketRefused("the service cannot be reached")

    monkeypatch.setattr(buckets, "put", refuse)
    monkeypatch.setattr(buckets, "get", refuse)
    with pytest.raises(Unavailable, match="some-bucket: the service cannot be reached"):
        await blobs.put(b"y")
    with pytest.raises(Unavailable):
        await blobs.get(digest)
