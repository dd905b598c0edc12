# SPDX-License-Identifier: Apache-2.0
"""Reading repository metadata, however it is compressed. zstd is read with the system's own libzstd: librpm needs it too."""

from __future__ import annotations

import bz2
import ctypes
import lzma
import zlib
from ctypes.util import find_library
from pathlib import Path
from typing import Any, Callable, Iterator, Optional

from patchwright.agent.errors import MetadataUnreadable

CHUNK_BYTES = 256 * 1024
LIMIT_BYTES = 4 * 1024 * 1024 * 1024  # of one file, uncompressed; the largest known primary.xml has 600 MB


def pieces(path: Path, *, limit: int = LIMIT_BYTES) -> Iterator[bytes]:
    """
    The content of *path*, uncompressed by its suffix (.gz, .xz, .bz2, .zst, none), in pieces.

    Raises MetadataUnreadable where it cannot be read, or is longer than *limit* bytes.
    """
    total = 0
    try:
        with path.open("rb", buffering=0) as file:
            for piece in _uncompressed(path.suffix, lambda: file.read(CHUNK_BYTES)):
                total += len(piece)
                if total > limit:
                    raise MetadataUnreadable(f"{path.name} is longer than {limit} bytes")
                yield piece
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
        raise MetadataUnreadable(f"{path} cannot be read: {error}") from None


def content(path: Path, *, limit: int) -> bytes:
    """The whole content of *path*; raises as `pieces` does."""
    return b"".join(pieces(path, limit=limit))


def _uncompressed(suffix: str, read: Callable[[], Optional[bytes]]) -> Iterator[bytes]:
    if suffix in (".xml", ".yaml", ""):
        yield from iter(lambda: read() or b"", b"")
    elif suffix == ".gz":
        yield from _members(lambda: zlib.decompressobj(wbits=31), read)
    elif suffix == ".xz":
        yield from _members(lzma.LZMADecompressor, read)
    elif suffix == ".bz2":
        yield from _members(bz2.BZ2Decompressor, read)
    elif suffix == ".zst":
        yield from _zstd(read)
    else:
        raise ValueError(f"{suffix} is a compression that is not known here")


def _members(make: Callable[[], Any], read: Callable[[], Optional[bytes]]) -> Iterator[bytes]:
    """A file of one or several compressed members, one after the other."""
    decompressor, begun = make(), False
    while True:
        data = read()
        if not data:
            if begun and not decompressor.eof:
                raise EOFError("it ends in the middle")
            return
        while data:
            if decompressor.eof:
                decompressor = make()
            begun = True
            yield decompressor.decompress(data)
            data = decompressor.unused_data if decompressor.eof else b""


class _Buffer(ctypes.Structure):
    """ZSTD_inBuffer and ZSTD_outBuffer, which have the same members (zstd.h)."""

    _fields_ = (("data", ctypes.c_void_p), ("size", ctypes.c_size_t), ("pos", ctypes.c_size_t))


def _zstd(read: Callable[[], Optional[bytes]]) -> Iterator[bytes]:
    library = _zstd_library()
    stream = library.ZSTD_createDStream()
    if not stream:
        raise ValueError("libzstd has no memory")
    room = ctypes.create_string_buffer(CHUNK_BYTES)
    left = 0
    try:
        for data in iter(lambda: read() or b"", b""):
            kept = ctypes.create_string_buffer(data, len(data))
            given = _Buffer(ctypes.cast(kept, ctypes.c_void_p), len(data), 0)
            while True:
                taken = _Buffer(ctypes.cast(room, ctypes.c_void_p), CHUNK_BYTES, 0)
                left = library.ZSTD_decompressStream(stream, ctypes.byref(taken), ctypes.byref(given))
                if library.ZSTD_isError(left):
                    raise ValueError("it is no zstd data")
                if taken.pos:
                    yield room.raw[: taken.pos]
                if given.pos == given.size and taken.pos < CHUNK_BYTES:
                    break
        if left:
            raise EOFError("it ends in the middle")
    finally:
        library.ZSTD_freeDStream(stream)


def _zstd_library() -> Any:
    for name in ("libzstd.so.1", find_library("zstd")):
        try:
            library = ctypes.CDLL(name) if name else None
        except OSError:
            continue
        if library is not None:
            library.ZSTD_createDStream.restype = ctypes.c_void_p
            library.ZSTD_freeDStream.argtypes = (ctypes.c_void_p,)
            library.ZSTD_decompressStream.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
            library.ZSTD_decompressStream.restype = ctypes.c_size_t
            library.ZSTD_isError.argtypes = (ctypes.c_size_t,)
            return library
    raise ValueError("it is compressed with zstd, and there is no libzstd")
