# SPDX-License-Identifier: Apache-2.0
"""Debian packages in pure Python: an ar archive of two tarballs, the same bytes for the same input."""

from __future__ import annotations

import gzip
import hashlib
import io
import random
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field

Content = str | bytes
PACKED_UP_TO = 1 << 20  # bytes of content; what is larger would cost seconds to compress, and is left as it is


@dataclass(frozen=True)
class Deb:
    """One built package. `control` is the text of its control file, `content` the whole .deb."""

    name: str
    version: str
    arch: str
    control: str = field(repr=False)
    content: bytes = field(repr=False)

    @property
    def filename(self) -> str:
        """As in the pool of an archive; the epoch is left out there."""
        return f"{self.name}_{self.version.rpartition(':')[2]}_{self.arch}.deb"

    @property
    def sha256(self) -> str:
        """Hexadecimal digest of `content`."""
        return hashlib.sha256(self.content).hexdigest()


def build(
    name: str,
    version: str,
    *,
    arch: str = "all",
    section: str = "misc",
    priority: str = "optional",
    files: Mapping[str, Content] | None = None,
    conffiles: Mapping[str, Content] | None = None,
    scripts: Mapping[str, str] | None = None,
    fields: Mapping[str, str] | None = None,
) -> Deb:
    """
    Build a package.

    Args:
        files: Absolute path → content. Content that begins with `#!` is installed executable.
        conffiles: The same, and dpkg asks before it replaces a changed one.
        scripts: preinst, postinst, prerm, postrm → shell commands; `#!/bin/sh` and `set -e` are put before them.
        fields: More control fields (Depends, Provides, Phased-Update-Percentage …).
    """
    conffiles = conffiles or {}
    contents = {f"/usr/share/doc/{name}/version": f"{version}\n", **(files or {}), **conffiles}
    size = sum(len(_raw(content)) for content in contents.values()) // 1024 + 1
    control = {
        "Package": name,
        "Version": version,
        "Architecture": arch,
        "Maintainer": "Test Farm <farm@invalid>",
        "Installed-Size": str(size),
        **{key: value for key, value in (fields or {}).items() if value},
        "Section": section,
        "Priority": priority,
        "Description": f"made-up package {name}\n It exists in a test farm only.",
    }
    text = "".join(f"{key}: {value}\n" for key, value in control.items())
    meta: dict[str, Content] = {"/control": text}
    if conffiles:
        meta["/conffiles"] = "".join(f"{path}\n" for path in sorted(conffiles))
    for script, body in (scripts or {}).items():
        meta[f"/{script}"] = body if body.startswith("#!") else f"#!/bin/sh\nset -e\n{body}\n"
    data, noisy = _tar(contents), any(len(content) > PACKED_UP_TO and any(content) for content in contents.values())
    members = (
        ("debian-binary", b"2.0\n"),
        ("control.tar.gz", _gzip(_tar(meta))),
        ("data.tar", data) if noisy else ("data.tar.gz", _gzip(data)),
    )
    return Deb(name, version, arch, text, b"!<arch>\n" + b"".join(_member(*member) for member in members))


def _raw(content: Content) -> bytes:
    return content.encode() if isinstance(content, str) else content


def _member(name: str, content: bytes) -> bytes:
    head = f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode()
    return head + content + b"\n" * (len(content) % 2)


def noise(size: int, seed: str) -> bytes:
    """*size* bytes that no compression makes smaller, the same for the same *seed*: a block, repeated beyond any window."""
    block = random.Random(seed).randbytes(min(size, 4 << 20))
    return (block * (size // len(block) + 1))[:size] if size else b""


def _gzip(raw: bytes) -> bytes:
    return gzip.compress(raw, 1, mtime=0)


def _tar(contents: Mapping[str, Content]) -> bytes:
    """A tar of *contents*, with the directories that lead to them, all of root's and of 1970."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.GNU_FORMAT) as tar:
        folders: set[str] = set()
        for path, content in sorted(contents.items()):
            parts = path.strip("/").split("/")
            for depth in range(len(parts)):
                folder = "./" + "".join(part + "/" for part in parts[:depth])
                if folder not in folders:
                    folders.add(folder)
                    entry = tarfile.TarInfo(folder)
                    entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                    tar.addfile(entry)
            data = _raw(content)
            entry = tarfile.TarInfo("./" + "/".join(parts))
            entry.size, entry.mode = len(data), 0o755 if data.startswith(b"#!") else 0o644
            tar.addfile(entry, io.BytesIO(data))
    return raw.getvalue()
