# SPDX-License-Identifier: Apache-2.0
"""
Large bytes, kept outside the database under the SHA-256 of their content.

Blobs are immutable. Store the bytes first and the row that names them second: a blob nobody names is collected late,
a row that names nothing would be a lie.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from patchwright.server.infra.errors import BlobDamaged, BlobNotFound, BlobTooLarge, Unavailable
from patchwright.server.infra.files import make_folder, write_atomically

DEFAULT_LIMIT_BYTES = 64 * 1024 * 1024

_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


class Blobs(Protocol):
    """A store of immutable bytes. Digests are SHA-256 in lower-case hexadecimal."""

    async def put(self, data: bytes) -> str:
        """Keep *data* durably; returns its digest. Errors: BlobTooLarge, Unavailable."""
        ...

    async def get(self, digest: str) -> bytes:
        """The bytes stored under *digest*, verified. Errors: BlobNotFound, BlobDamaged, Unavailable."""
        ...

    async def old(self, shard: int, *, older_than: float) -> list[str]:
        """The blobs of a shard (0 to 255: their first byte) that were put last before *older_than* (epoch seconds)."""
        ...

    async def remove(self, digests: Sequence[str], *, older_than: float) -> int:
        """Delete blobs that nobody names; one that was put again since *older_than* stays. Returns how many are gone."""
        ...


class DirectoryBlobs:
    """Blobs as files: *root*/ab/abcdef… (mode 0600)."""

    def __init__(self, root: Path, *, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        self._root = root
        self._limit_bytes = limit_bytes

    async def put(self, data: bytes) -> str:
        """Keep *data*; when this returns it survives a power cut. Of a blob already there only the time is renewed."""
        if len(data) > self._limit_bytes:
            raise BlobTooLarge(len(data), self._limit_bytes)
        return await asyncio.to_thread(self._put, data)

    async def get(self, digest: str) -> bytes:
        """The bytes stored under *digest*. A word that is no digest is not found."""
        if not _DIGEST.fullmatch(digest):
            raise BlobNotFound(digest)
        return await asyncio.to_thread(self._get, digest)

    async def old(self, shard: int, *, older_than: float) -> list[str]:
        """The blobs in one of the 256 folders by the time of their files."""
        return await asyncio.to_thread(self._old, shard, older_than)

    async def remove(self, digests: Sequence[str], *, older_than: float) -> int:
        """Unlink files, the time of each looked at once more."""
        return await asyncio.to_thread(self._remove, digests, older_than)

    def _old(self, shard: int, older_than: float) -> list[str]:
        folder = self._root / f"{shard:02x}"
        try:
            return sorted(
                path.name
                for path in folder.iterdir()
                if _DIGEST.fullmatch(path.name) and path.stat().st_mtime < older_than
            )
        except FileNotFoundError:
            return []

    def _remove(self, digests: Sequence[str], older_than: float) -> int:
        gone = 0
        for digest in digests:
            path = self._path(digest)
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < older_than:
                    path.unlink()
                    gone += 1
        return gone

    def _put(self, data: bytes) -> str:
        digest = hashlib.sha256(data).hexdigest()
        path = self._path(digest)
        try:
            try:
                os.utime(path)  # it is wanted again: whoever collects leaves it alone
            except FileNotFoundError:
                make_folder(path.parent)
                write_atomically(path, data)
        except OSError as cause:
            msg = f"a blob of {len(data)} bytes cannot be stored: {cause.strerror}"
            raise Unavailable(msg) from cause
        return digest

    def _get(self, digest: str) -> bytes:
        try:
            data = self._path(digest).read_bytes()
        except FileNotFoundError:
            raise BlobNotFound(digest) from None
        except OSError as cause:
            msg = f"the blob {digest} cannot be read: {cause.strerror}"
            raise Unavailable(msg) from cause
        if hashlib.sha256(data).hexdigest() != digest:
            raise BlobDamaged(digest)
        return data

    def _path(self, digest: str) -> Path:
        return self._root / digest[:2] / digest
