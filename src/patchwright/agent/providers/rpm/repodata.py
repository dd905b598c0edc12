# SPDX-License-Identifier: Apache-2.0
"""
Reading the metadata of an rpm repository: repomd.xml, primary, updateinfo, modules.

Pure but for reading files. A big distribution's primary.xml has 100 MB, of which one node needs a few hundred packages: only
these are taken apart.
"""

from __future__ import annotations

import datetime
import re
from html import unescape
from pathlib import Path
from typing import Container, Dict, Iterable, Iterator, List, NamedTuple, Optional, Set, Tuple
from xml.etree import ElementTree

from patchwright.agent.errors import MetadataUnreadable
from patchwright.agent.providers.rpm.compression import content, pieces
from patchwright.agent.providers.rpm.database import evr
from patchwright.core.advisory import Notice
from patchwright.core.errors import MalformedFacts

REPOMD_LIMIT_BYTES = 4 * 1024 * 1024
BLOCK_LIMIT_BYTES = 64 * 1024 * 1024  # of one package or one notice
TITLE_CHARACTERS = 500
SOURCES = ("src", "nosrc")
_DATA = re.compile(rb"<data\b[^>]*\btype=[\"']([^\"']+)[\"'][^>]*>(.*?)</data>", re.DOTALL)
_LOCATION = re.compile(rb"<location\b[^>]*\bhref=[\"']([^\"']+)[\"']")
_ARCH = re.compile(rb"<arch>([^<]*)</arch>")
_VERSION = re.compile(rb"<version\b([^>]*)>")
_TIME = re.compile(rb"<time\b([^>]*)>")
_ATTRIBUTE = re.compile(rb"\b(\w+)=[\"']([^\"']*)[\"']")
_PACKAGE_NAME = re.compile(rb"<package\b[^>]*?\bname=[\"']([^\"']*)[\"']")
_DAY = re.compile(r"\s*(\d{4}-\d{2}-\d{2})(?:[T ]|\s*\Z)")


class Available(NamedTuple):
    """One package that a repository has. *build_time* is in epoch seconds, 0 where it is not said."""

    name: str
    arch: str
    version: str
    build_time: int = 0


class Listed(NamedTuple):
    """A package that a notice names, and the module streams (`name:stream`) it is meant for; none: no module."""

    name: str
    arch: str
    version: str
    modules: Tuple[str, ...] = ()


class Advisory(NamedTuple):
    """A notice with the packages it names, as far as they were asked for."""

    notice: Notice
    packages: Tuple[Listed, ...]


def files(repodata: Path) -> Dict[str, Path]:
    """
    The metadata files by type (`primary`, `updateinfo`, `modules`, …), of a cached `repodata` directory.

    Empty where nothing was ever fetched; raises MetadataUnreadable where repomd.xml is no such file.
    """
    repomd = repodata / "repomd.xml"
    if not repomd.exists():
        return {}
    text = content(repomd, limit=REPOMD_LIMIT_BYTES)
    found = {}
    for kind, body in _DATA.findall(text):
        location = _LOCATION.search(body)
        if location:
            name = _text(location.group(1)).rpartition("/")[2]  # nothing outside the directory
            found[_text(kind)] = repodata / name
    if not found:
        raise MetadataUnreadable(f"{repomd} names no metadata")
    return found


def packages(primary: Iterable[bytes], names: Optional[Container[bytes]]) -> Iterator[Available]:
    """The packages of a primary.xml, given in pieces, whose name is one of *names* (None: all). No source packages."""
    for block in _blocks(primary, b"</package>"):
        begin = block.find(b"<name>") + 6
        name = block[begin : block.find(b"</name>", begin)]
        if begin > 5 and (names is None or name in names):
            found = _available(_text(name), block)
            if found:
                yield found


def _available(name: str, block: bytes) -> Optional[Available]:
    arch, version, time = _ARCH.search(block), _VERSION.search(block), _TIME.search(block)
    if not arch or not version or arch.group(1).decode("ascii", "replace") in SOURCES:
        return None
    parts = _attributes(version.group(1))
    built = _attributes(time.group(1)).get("build", "") if time else ""
    number = f"{parts.get('ver', '')}-{parts.get('rel', '')}"
    seconds = int(built) if built.isdigit() and len(built) < 12 else 0
    return Available(name, _text(arch.group(1)), evr(parts.get("epoch", ""), number), seconds)


def advisories(updateinfo: Iterable[bytes], wanted: Container[Tuple[str, str, str]]) -> Iterator[Advisory]:
    """
    The notices of an updateinfo.xml, given in pieces, that name one of *wanted* (name, architecture, version).

    A notice that cannot be read is none: the package then has no notice (spec §2.5, well-formed).
    """
    names = {name for name, _, _ in wanted} if isinstance(wanted, (set, frozenset, dict)) else None
    encoded = {name.encode() for name in names} if names is not None else None
    for block in _blocks(updateinfo, b"</update>"):
        if encoded is not None and encoded.isdisjoint(_PACKAGE_NAME.findall(block)):
            continue
        begin = re.search(rb"<update\b(?!s)", block)
        if begin is None:
            continue
        try:
            element = ElementTree.fromstring(block[begin.start() :] + b"</update>")  # noqa: S314 - no DTD in a fragment
            listed = tuple(item for item in _listed(element) if item[:3] in wanted)
            if listed:
                yield Advisory(_notice(element), listed)
        except (ElementTree.ParseError, ValueError, MalformedFacts):
            continue


def _listed(update: ElementTree.Element) -> Iterator[Listed]:
    for collection in update.iter("collection"):
        modules = tuple(f"{item.get('name')}:{item.get('stream')}" for item in collection.findall("module"))
        for package in collection.findall("package"):
            number = f"{package.get('version', '')}-{package.get('release', '')}"
            version = evr(package.get("epoch") or "", number)
            yield Listed(package.get("name", ""), package.get("arch", ""), version, modules)


def _notice(update: ElementTree.Element) -> Notice:
    references = [(item.get("type", "").lower(), item.get("id", "")) for item in update.iter("reference")]
    notice = Notice(
        id=_line(update.findtext("id")),
        classification=_line(update.get("type")),
        severity=_line(update.findtext("severity")),
        title=_line(update.findtext("title"))[:TITLE_CHARACTERS],
        issued=day(_dated(update, "issued")),
        updated=day(_dated(update, "updated")),
        cves=tuple(sorted({name.strip().upper() for kind, name in references if kind == "cve" and name.strip()})),
        bugzillas=tuple(sorted({name.strip() for kind, name in references if kind == "bugzilla" and name.strip()})),
        reboot_suggested=any(
            (item.text or "").strip().lower() in ("true", "1") for item in update.iter("reboot_suggested")
        ),
    )
    return Notice.parse(notice.canonical())


def _dated(update: ElementTree.Element, name: str) -> str:
    element = update.find(name)
    return (element.get("date") or element.text or "") if element is not None else ""


def day(text: str) -> str:
    """The UTC day of a date as vendors write it: `2024-02-01 10:00:00`, `2024-02-01`, epoch seconds; empty for others."""
    found = _DAY.match(text)
    try:
        if found:
            return datetime.date.fromisoformat(found.group(1)).isoformat()
        if text.strip().isdigit() and 8 < len(text.strip()) < 12:
            return datetime.datetime.fromtimestamp(int(text), datetime.timezone.utc).date().isoformat()
    except (ValueError, OverflowError):
        pass
    return ""


def read_packages(path: Path, names: Optional[Container[bytes]]) -> List[Available]:
    """`packages` of a file."""
    return list(packages(pieces(path), names))


def read_advisories(path: Path, wanted: Set[Tuple[str, str, str]]) -> List[Advisory]:
    """`advisories` of a file."""
    return list(advisories(pieces(path), wanted))


def _blocks(text: Iterable[bytes], end: bytes) -> Iterator[bytes]:
    """What stands before each *end*."""
    rest = b""
    for piece in text:
        parts = (rest + piece).split(end)
        rest = parts.pop()
        if len(rest) > BLOCK_LIMIT_BYTES:
            raise MetadataUnreadable("repository metadata with an entry of more than 64 MB")
        yield from parts


def _attributes(text: bytes) -> Dict[str, str]:
    return {name.decode("ascii", "replace"): _text(value) for name, value in _ATTRIBUTE.findall(text)}


def _text(value: bytes) -> str:
    text = value.decode("utf-8", "replace")
    return unescape(text) if "&" in text else text


def _line(text: Optional[str]) -> str:
    return " ".join((text or "").split())
