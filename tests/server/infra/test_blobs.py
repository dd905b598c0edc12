# SPDX-License-Identifier: Apache-2.0
"""Blobs in a directory."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
from pathlib import Path

import pytest

from patchwright.server.infra import BlobDamaged, BlobNotFound, BlobTooLarge, DirectoryBlobs, Unavailable


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


async def test_bytes_come_back_under_their_digest(tmp_path: Path) -> None:
    """The digest is the SHA-256 of the content, the empty blob included."""
    blobs = DirectoryBlobs(tmp_path / "blobs")
    for data in (b"", b"some output", os.urandom(100_000)):
        digest = await blobs.put(data)
        assert digest == hashlib.sha256(data).hexdigest()
        assert await blobs.get(digest) == data


async def test_the_same_bytes_are_kept_once(tmp_path: Path) -> None:
    """Many writers of one blob leave one file and no draft."""
    blobs = DirectoryBlobs(tmp_path)
    digests = set(await asyncio.gather(*(blobs.put(b"x" * 10_000) for _ in range(8))))

    assert len(digests) == 1
    assert files(tmp_path) == sorted(digests)


async def test_a_blob_is_private(tmp_path: Path) -> None:
    """Outputs may hold anything: mode 0600, in directories of mode 0700."""
    digest = await DirectoryBlobs(tmp_path).put(b"x")

    assert (tmp_path / digest[:2] / digest).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / digest[:2]).stat().st_mode & 0o777 == 0o700


async def test_too_many_bytes_are_refused(tmp_path: Path) -> None:
    """The limit itself passes; one byte more does not, and leaves nothing."""
    blobs = DirectoryBlobs(tmp_path, limit_bytes=10)
    await blobs.put(b"x" * 10)
    with pytest.raises(BlobTooLarge) as caught:
        await blobs.put(b"y" * 11)

    assert (caught.value.size, caught.value.limit) == (11, 10)
    assert len(files(tmp_path)) == 1


@pytest.mark.parametrize("word", ["0" * 64, "../" * 21 + "x", "", "A" * 64, "/etc/passwd", "0" * 63 + "\n"])
async def test_what_was_never_stored_is_not_found(tmp_path: Path, word: str) -> None:
    """Neither an unknown digest nor a word that is no digest; no word leads out of the directory."""
    with pytest.raises(BlobNotFound):
        await DirectoryBlobs(tmp_path).get(word)


async def test_altered_bytes_are_noticed(tmp_path: Path) -> None:
    """A blob that no longer is what its digest names is not handed out."""
    blobs = DirectoryBlobs(tmp_path)
    digest = await blobs.put(b"true")
    (tmp_path / digest[:2] / digest).write_bytes(b"fals")

    with pytest.raises(BlobDamaged):
        await blobs.get(digest)


async def test_a_full_disk_leaves_no_half_blob(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unavailable, nothing under the digest, no draft; with room again the blob is stored."""
    blobs = DirectoryBlobs(tmp_path)

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(Unavailable, match="No space left"):
            await blobs.put(b"x" * 1000)
    assert files(tmp_path) == []

    assert await blobs.get(await blobs.put(b"x" * 1000)) == b"x" * 1000
