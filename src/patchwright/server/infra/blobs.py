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
import secrets
from pathlib import Path
from typing import Protocol

from patchwright.server.infra.errors import BlobDamaged, BlobNotFound, BlobTooLarge, Unavailable

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


class DirectoryBlobs:
    """Blobs as files: *root*/ab/abcdef… (mode 0600)."""

    def __init__(self, root: Path, *, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        self._root = root
        self._limit_bytes = limit_bytes

    async def put(self, data: bytes) -> str:
        """Keep *data*; when this returns it survives a power cut. A blob already there is left alone."""
        if len(data) > self._limit_bytes:
            raise BlobTooLarge(len(data), self._limit_bytes)
        return await asyncio.to_thread(self._put, data)

    async def get(self, digest: str) -> bytes:
        """The bytes stored under *digest*. A word that is no digest is not found."""
        if not _DIGEST.fullmatch(digest):
            raise BlobNotFound(digest)
        return await asyncio.to_thread(self._get, digest)

    def _put(self, data: bytes) -> str:
        digest = hashlib.sha256(data).hexdigest()
        path = self._path(digest)
        try:
            if not path.exists():
                self._make_folder(path.parent)
                _write_atomically(path, data)
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

    def _make_folder(self, folder: Path) -> None:
        if not folder.is_dir():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _sync_folder(folder.parent)


def _write_atomically(path: Path, data: bytes) -> None:
    """Write *data* beside *path*, sync it, and give it its name. Two writers of one blob do not disturb each other."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make the names in *folder* durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
