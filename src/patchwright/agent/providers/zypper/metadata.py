# SPDX-License-Identifier: Apache-2.0
"""
Reading the metadata that libzypp keeps of a repository: what it offers for the installed names, and its patches.

A product of SUSE has tens of thousands of packages and thousands of patches, of which a node needs a few hundred each. Both
lists are cut at the start of an element, chunk by chunk, and only what names an installed package is looked into.
"""

from __future__ import annotations

import datetime
import html
import re
from dataclasses import replace
from typing import Collection, Dict, Iterable, Iterator, Mapping, NamedTuple, Optional
from xml.etree import ElementTree

from patchwright.agent.errors import MetadataUnreadable
from patchwright.core.advisory import Fixed, Notice
from patchwright.core.package import FIELD_LIMIT, Offer
from patchwright.core.version import MAX_LENGTH, Scheme, compare

ELEMENT_LIMIT_BYTES = 16 * 1024 * 1024  # the longest patch of SLES is under 1 MB
PACKAGES_LIMIT = 5_000  # of one notice; a release of TeX on four architectures has twice that
TITLE_LIMIT = 500  # characters

_PACKAGE = re.compile(
    rb"\s*<name>([^<]*)</name>\s*<arch>([^<]*)</arch>\s*<version\s([^>]*?)/>.*?<time\s([^>]*?)/>", re.DOTALL
)
_ATTRIBUTE = re.compile(rb"([\w:-]+)=(?:\"([^\"]*)\"|'([^']*)')")
_NAMES = re.compile(rb"<package\s[^>]*?\bname=[\"']([^\"']*)")
_NAME_END = b"</name>"
_LOCATION = re.compile(r"<location\s[^>]*?\bhref=[\"']([^\"']+)[\"']")
_DATA = re.compile(r"<data\s[^>]*?\btype=[\"']([\w-]+)[\"'].*?</data>", re.DOTALL)
_DAY = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_NO = ("false", "0", "no")


class Found(NamedTuple):
    """One patch: its notice, its edition, and whether the package manager has to be started anew after it."""

    notice: Notice
    edition: str
    restarts_manager: bool


def locations(index: str) -> Dict[str, str]:
    """Where the lists of a repository are, by kind (`primary`, `updateinfo`), as its repomd.xml names them."""
    found = {}
    for data in _DATA.finditer(index):
        location = _LOCATION.search(data.group(0))
        parts = location.group(1).split("/") if location else []
        if location and parts[0] and ".." not in parts:
            found[data.group(1)] = html.unescape(location.group(1))
    return found


def offers(chunks: Iterable[bytes], installed: Mapping[bytes, Collection[bytes]]) -> Iterator[Offer]:
    """
    What a repository's primary list offers for what is installed, without notices.

    Args:
        chunks: The list, uncompressed, in pieces of any size.
        installed: Architectures by name.
    """
    for part in _elements(chunks, b"<package "):
        begin = part.find(b"<name>") + 6
        if part[begin : part.find(_NAME_END, begin)] not in installed:
            continue
        found = _PACKAGE.search(part, part.find(b">") + 1)
        if found is None or found.group(2) not in installed[found.group(1)]:
            continue
        version, time = _attributes(found.group(3)), _attributes(found.group(4))
        text = edition(version.get("epoch", ""), version.get("ver", ""), version.get("rel", ""))
        built = time.get("build", "")
        if text and len(text) <= MAX_LENGTH and text.isprintable():
            name, arch = found.group(1).decode("utf-8", "replace"), found.group(2).decode("ascii", "replace")
            yield Offer(name, arch, text, build_time=int(built) if built.isdigit() and len(built) < 12 else 0)


def patches(chunks: Iterable[bytes], names: Collection[bytes]) -> Iterator[Found]:
    """
    The patches of a repository's updateinfo that name at least one of *names*.

    One that cannot be read is left out: a vendor's slip must not hide all the others. One with more than `PACKAGES_LIMIT`
    packages keeps those of *names*: no notice may be longer than the server takes.
    """
    wanted = frozenset(names)
    for part in _elements(chunks, b"<update "):
        if wanted.isdisjoint(_NAMES.findall(part)):
            continue
        end = part.rfind(b"</update>")
        try:
            element = ElementTree.fromstring(b"<update " + part[: end + 9])  # noqa: S314 - cut out: no DTD, no entities
        except (ElementTree.ParseError, ValueError):
            continue
        found = _patch(element)
        if found is not None and len(found.notice.packages) > PACKAGES_LIMIT:
            packages = tuple(one for one in found.notice.packages if one.name.encode() in wanted)
            found = found._replace(notice=replace(found.notice, packages=packages))
        if found is not None:
            yield found


def newest(found: Iterable[Found]) -> Dict[str, Found]:
    """By name the highest edition of each patch, as libzypp chooses; equal ones of several repositories become one."""
    best: Dict[str, Found] = {}
    for one in found:
        other = best.get(one.notice.id)
        order = 1 if other is None else compare(Scheme.RPM, one.edition or "0", other.edition or "0")
        if other is None or order > 0:
            best[one.notice.id] = one
        elif order == 0 and one.notice.packages != other.notice.packages:
            # In the order of repositories, so that every node that has the same ones comes to the same notice.
            packages = (*other.notice.packages, *one.notice.packages)
            best[one.notice.id] = other._replace(notice=replace(other.notice, packages=packages))
    return best


def edition(epoch: str, version: str, release: str) -> str:
    """`epoch:version-release`, the epoch only where it is not 0; empty where there is no version."""
    prefix = f"{epoch}:" if epoch.strip("0") else ""
    return f"{prefix}{version}-{release}" if version and release else prefix + version if version else ""


def _elements(chunks: Iterable[bytes], start: bytes) -> Iterator[bytes]:
    """What follows each *start*, up to the next one."""
    rest, begun = b"", False
    for chunk in chunks:
        parts = (rest + chunk).split(start)
        rest = parts.pop()
        if len(rest) > ELEMENT_LIMIT_BYTES:
            raise MetadataUnreadable(f"a repository's list has an element of more than {ELEMENT_LIMIT_BYTES} bytes")
        yield from parts if begun else parts[1:]  # what stands before the first element is none
        begun = begun or bool(parts)
    if begun:
        yield rest


def _attributes(text: bytes) -> Dict[str, str]:
    return {
        name.decode("ascii", "replace"): html.unescape((one or other).decode("utf-8", "replace"))
        for name, one, other in _ATTRIBUTE.findall(text)
    }


def _patch(element: ElementTree.Element) -> Optional[Found]:
    name = _text(element, "id")
    if not name or "," in name or not name.isprintable() or len(name) > FIELD_LIMIT:
        return None
    packages = tuple(_packages(element))
    references = [(one.get("type", ""), one.get("id", "")) for one in element.iter("reference")]
    notice = Notice(
        id=name,
        classification=_clean(element.get("type", "")).capitalize(),
        severity=_clean(_text(element, "severity")).capitalize(),
        title=_clean(_text(element, "title"))[:TITLE_LIMIT],
        issued=_day(element, "issued"),
        updated=_day(element, "updated"),
        cves=tuple(sorted({_clean(text).upper() for kind, text in references if kind == "cve" and text})),
        bugzillas=tuple(sorted({_clean(text) for kind, text in references if kind == "bugzilla" and text})),
        reboot_suggested=_says(element, "reboot_suggested"),
        packages=packages,
    )
    return Found(notice, element.get("version", ""), _says(element, "restart_suggested"))


def _packages(element: ElementTree.Element) -> Iterator[Fixed]:
    for package in element.iter("package"):
        name, arch = package.get("name", ""), package.get("arch", "")
        version = edition(package.get("epoch", ""), package.get("version", ""), package.get("release", ""))
        fields = (name, arch, version)
        if arch not in ("src", "nosrc") and all(0 < len(one) <= FIELD_LIMIT and one.isprintable() for one in fields):
            yield Fixed(name, arch, version)


def _says(element: ElementTree.Element, tag: str) -> bool:
    """Whether the patch or one of its packages carries a flag; an empty one counts as set."""
    return any((one.text or "").strip().lower() not in _NO for one in element.iter(tag))


def _text(element: ElementTree.Element, tag: str) -> str:
    return (element.findtext(tag) or "").strip()


def _clean(text: str) -> str:
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())


def _day(element: ElementTree.Element, tag: str) -> str:
    """The UTC day of `issued` or `updated`: seconds since 1970, or a date with or without a time."""
    found = element.find(tag)
    text = (found.get("date", "") if found is not None else "").strip()
    try:
        if text.isdigit() and len(text) < 12:
            return datetime.datetime.fromtimestamp(int(text), datetime.timezone.utc).date().isoformat()
        day = _DAY.match(text)
        return datetime.date(*(int(part) for part in day.groups())).isoformat() if day else ""
    except (ValueError, OverflowError, OSError):
        return ""
