# SPDX-License-Identifier: Apache-2.0
"""
Reading apt's lists: which package indexes there are, and what they offer for the installed names.

An index of Debian has 63,000 stanzas of which a node needs under a thousand. It is cut at `\\n\\nPackage: ` chunk by chunk
(50 ms CPU for 50 MB, 15 MB of memory), and only the stanzas of installed names are looked into.
"""

from __future__ import annotations

import contextlib
import re
import stat
from pathlib import Path
from typing import Collection, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Set, Tuple

from patchwright.agent.providers.words import without_secret
from patchwright.core.package import Offer, Origin

CHUNK_BYTES = 1024 * 1024
STANZA_LIMIT_BYTES = 4 * 1024 * 1024  # the longest of Debian 12 has 38 KB
COMPRESSED = (".lz4", ".gz", ".xz", ".bz2", ".zst", ".lzma")

_FIELD = re.compile(
    rb"^(Package|Architecture|Version|Section|Priority|Phased-Update-Percentage):[ \t]*(.*?)[ \t]*$", re.MULTILINE
)
_RELEASE = re.compile(r"^(Origin|Label|Suite|Codename):[ \t]*(.*?)[ \t]*$", re.MULTILINE)
_RELEASE_FILES = ("_InRelease", "_Release")
RELEASE_HEAD_BYTES = 16 * 1024  # what a repository says of itself stands before its thousands of checksums
_CUT = b"\n\nPackage: "


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


def targets(listing: str) -> List[Target]:
    """The package indexes among what `apt-get indextargets` lists, in its order."""
    found = []
    for block in listing.split("\n\n"):
        fields = dict(line.partition(": ")[::2] for line in block.splitlines())
        if fields.get("Created-By") == "Packages" and fields.get("Filename"):
            names = (fields.get(name, "") for name in ("Origin", "Label", "Suite", "Codename", "Component"))
            found.append(Target(fields.get("Description", ""), fields["Filename"], Origin(*names)))
    return found


def bare_releases(directory: Path, found: Collection[Target]) -> List[str]:
    """
    The names of the Release files in apt's lists to which there is no index among *found*, without `_InRelease`: apt keeps no
    index of a repository that has no package for this machine.
    """
    try:
        names = [path.name for path in directory.iterdir() if path.name.endswith(_RELEASE_FILES)]
    except OSError:
        return []
    indexes = [target.filename.rpartition("/")[2] for target in found]
    stems = {name.rpartition("_")[0] for name in names}
    return sorted(stem for stem in stems if not any(index.startswith(stem + "_") for index in indexes))


def forget_emptied(directory: Path) -> None:
    """
    Delete indexes without a byte in them, so that apt-get update fetches them anew.

    It would take one that lost its content for the one that it fetched, for as long as its archive has nothing new. One that
    is rightly empty costs a small request each time.
    """
    for file in directory.glob("*_Packages"):
        with contextlib.suppress(OSError):  # gone, or not ours to delete
            if stat.S_ISREG(file.lstat().st_mode) and not file.stat().st_size:
                file.unlink()


def empty(directory: Path, stems: Collection[str], listing: str) -> List[Origin]:
    """
    The repositories that were fetched and are empty, which count as repositories all the same.

    Args:
        directory: apt's lists.
        stems: What `bare_releases` found there; a Release file may be left of a repository that is configured no more.
        listing: What `apt-get indextargets --no-release-info` lists: every index of the configured repositories.
    """
    configured = [line.rpartition("/")[2] for line in listing.splitlines() if line.startswith("Filename: ")]
    fetched = [stem for stem in stems if any(name.startswith(stem + "_") for name in configured)]
    return [origin for stem in fetched for origin in _origins(directory / (stem + end) for end in _RELEASE_FILES)]


def _origins(paths: Iterable[Path]) -> Iterator[Origin]:
    """What the first of *paths* that can be read says of its repository."""
    for path in paths:
        try:
            with path.open("rb") as file:
                head = file.read(RELEASE_HEAD_BYTES).decode("utf-8", "replace")
        except OSError:
            continue
        fields = dict(_RELEASE.findall(head))
        yield Origin(*(fields.get(name, "") for name in ("Origin", "Label", "Suite", "Codename")))
        return


def counterpart(arch: str, archs: Collection[str], native: str) -> str:
    """
    Under which of *archs*, those a name is installed for, a record for *arch* counts; empty where under none.

    To apt, `all` and the machine's own architecture are one: a newer version may be built for the other of the two, and is an
    update of the package all the same.
    """
    if arch in archs:
        return arch
    one = ("all", native)
    return next((other for other in archs if other in one), "") if arch in one else ""


def scan(chunks: Iterable[bytes], installed: Mapping[bytes, Collection[str]], native: str = "") -> Scan:
    """
    The offers of one index for what is installed.

    Args:
        chunks: The index, uncompressed, in pieces of any size.
        installed: Architectures by name. A record counts where its own architecture is among them, or its `counterpart`, as
            an offer for which it then stands.
        native: The machine's own architecture.
    """
    offers, phased = [], set()
    for stanza in _stanzas(chunks, installed):
        fields = {name: value.decode("utf-8", "replace") for name, value in _FIELD.findall(stanza)}
        name, arch, version = (fields.get(field, "") for field in (b"Package", b"Architecture", b"Version"))
        arch = counterpart(arch, installed.get(name.encode(), ()), native)
        if not version or not arch:
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
