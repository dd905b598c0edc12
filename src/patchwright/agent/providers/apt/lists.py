# SPDX-License-Identifier: Apache-2.0
"""
Reading apt's lists: which package indexes there are, and what they offer for the installed names.

An index of Debian has 63,000 stanzas of which a node needs under a thousand. It is cut at `\\n\\nPackage: ` chunk by chunk
(50 ms CPU for 50 MB, 15 MB of memory), and only the stanzas of installed names are looked into.
"""

from __future__ import annotations

import re
from typing import Collection, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Set, Tuple

from patchwright.core.package import Offer, Origin

CHUNK_BYTES = 1024 * 1024
STANZA_LIMIT_BYTES = 4 * 1024 * 1024  # the longest of Debian 12 has 38 KB
COMPRESSED = (".lz4", ".gz", ".xz", ".bz2", ".zst", ".lzma")

_FIELD = re.compile(
    rb"^(Package|Architecture|Version|Section|Priority|Phased-Update-Percentage):[ \t]*(.*?)[ \t]*$", re.MULTILINE
)
_CUT = b"\n\nPackage: "
_SECRET = re.compile(r"(?<=://)[^/@\s]+@")


class Target(NamedTuple):
    """One package index that is on the disk. *description* is how `apt-cache policy` names it."""

    description: str
    filename: str
    origin: Origin

    @property
    def address(self) -> str:
        """The repository's address and suite, without credentials: `http://archive.example/debian bookworm/main`."""
        return without_secret(self.description.rpartition(" Packages")[0].rpartition(" ")[0])


class Scan(NamedTuple):
    """What one index offers for the installed names; *phased* are offers that reach only some machines yet."""

    offers: List[Offer]
    phased: Set[Tuple[str, str]]  # (name, version)


def without_secret(text: str) -> str:
    """*text* with user names and passwords taken out of its addresses."""
    return _SECRET.sub("", text)


def targets(listing: str) -> List[Target]:
    """The package indexes among what `apt-get indextargets` lists, in its order."""
    found = []
    for block in listing.split("\n\n"):
        fields = dict(line.partition(": ")[::2] for line in block.splitlines())
        if fields.get("Created-By") == "Packages" and fields.get("Filename"):
            names = (fields.get(name, "") for name in ("Origin", "Label", "Suite", "Codename", "Component"))
            found.append(Target(fields.get("Description", ""), fields["Filename"], Origin(*names)))
    return found


def scan(chunks: Iterable[bytes], installed: Mapping[bytes, Collection[str]]) -> Scan:
    """
    The offers of one index for what is installed.

    Args:
        chunks: The index, uncompressed, in pieces of any size.
        installed: Architectures by name. A record counts where its own architecture is among them.
    """
    offers, phased = [], set()
    for stanza in _stanzas(chunks, installed):
        fields = {name: value.decode("utf-8", "replace") for name, value in _FIELD.findall(stanza)}
        name, arch, version = (fields.get(field, "") for field in (b"Package", b"Architecture", b"Version"))
        if not version or arch not in installed.get(name.encode(), ()):
            continue
        offers.append(Offer(name, arch, version, fields.get(b"Section", ""), fields.get(b"Priority", "")))
        if fields.get(b"Phased-Update-Percentage", "100") != "100":
            phased.add((name, version))
    return Scan(offers, phased)


def _stanzas(chunks: Iterable[bytes], names: Collection[bytes]) -> Iterator[bytes]:
    """The stanzas whose name is among *names*; those of the rest are cut off and dropped."""
    rest: Optional[bytes] = None
    cut = _CUT
    for chunk in chunks:
        if rest is None:
            # Every archive tool known writes Package first. Where one does not, cut at every empty line instead.
            cut = _CUT if chunk.lstrip(b"\n").startswith(_CUT[2:]) else b"\n\n"
            rest = b"\n\n"
        parts = (rest + chunk).split(cut)
        rest = cut + parts.pop()
        if len(rest) > STANZA_LIMIT_BYTES:
            rest = cut  # no stanza of a package is that long: what follows is not an index
        yield from _chosen(parts, cut, names)
    if rest:
        yield from _chosen([rest[len(cut) :]], cut, names)


def _chosen(parts: List[bytes], cut: bytes, names: Collection[bytes]) -> Iterator[bytes]:
    if cut == _CUT:
        return (b"Package: " + part for part in parts if part[: part.find(b"\n")].rstrip() in names)
    return (part for part in parts if _name(part) in names)


def _name(stanza: bytes) -> bytes:
    for name, value in _FIELD.findall(stanza):
        if name == b"Package":
            return bytes(value)
    return b""
