# SPDX-License-Identifier: Apache-2.0
"""RPM packages in pure Python: lead, signature header, header, compressed cpio; the same bytes for the same input."""

from __future__ import annotations

import gzip
import hashlib
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .debfile import Content

BUILT = 1_704_067_200  # 1 January 2024, when nothing else is said
SENSES = {"": 0, "<": 2, ">": 4, "=": 8, "<=": 10, ">=": 12}
SCRIPTS = {"pre": (1023, 1085, 9), "post": (1024, 1086, 10), "preun": (1025, 1087, 11), "postun": (1026, 1088, 12)}
INTERPRETER, RPMLIB = 1 << 8, 1 << 24
RPMLIBS = (("CompressedFileNames", "3.0.4-1"), ("FileDigests", "4.6.0-1"), ("PayloadFilesHavePrefix", "4.0-1"))
# The kinds of values in a header.
INT16, INT32, STRING, BINARY, STRINGS, TRANSLATED = 3, 4, 6, 7, 8, 9
ALIGNMENT = {INT16: 2, INT32: 4}
Value = int | str | bytes | Sequence[int] | Sequence[str]
_RELATION = re.compile(r"(\S+)(?:\s+(<=|>=|<|>|=)\s+(\S+))?\Z")


@dataclass(frozen=True)
class Relation:
    """What a package provides, needs or does not go with: a name, and `""` or a comparison with a version."""

    name: str
    sense: str = ""
    version: str = ""

    @classmethod
    def parse(cls, text: str) -> Relation:
        """Read `libfoo` or `libfoo >= 1:2.0-1`."""
        match = _RELATION.match(text)
        if match is None:
            raise ValueError(f"{text!r} is no relation of packages")
        return cls(match[1], match[2] or "", match[3] or "")


@dataclass(frozen=True)
class Rpm:
    """One built package. `content` is the whole .rpm; `header_range` says where its header lies in it."""

    name: str
    epoch: int
    version: str
    release: str
    arch: str
    built: int
    provides: Sequence[Relation]
    requires: Sequence[Relation]
    conflicts: Sequence[Relation]
    obsoletes: Sequence[Relation]
    files: Sequence[str]
    size: int
    header_range: tuple[int, int]
    content: bytes = field(repr=False)

    @property
    def evr(self) -> str:
        """`epoch:version-release`, the epoch only where it is not 0."""
        return f"{self.epoch}:{self.version}-{self.release}" if self.epoch else f"{self.version}-{self.release}"

    @property
    def filename(self) -> str:
        """As in a repository; the epoch is left out there."""
        return f"{self.name}-{self.version}-{self.release}.{self.arch}.rpm"

    @property
    def sha256(self) -> str:
        """Hexadecimal digest of `content`."""
        return hashlib.sha256(self.content).hexdigest()


def split_evr(evr: str) -> tuple[int, str, str]:
    """`2:1.0-3` is (2, "1.0", "3"); without an epoch it is 0."""
    epoch, _, rest = evr.rpartition(":")
    version, dash, release = rest.partition("-")
    if not dash:
        raise ValueError(f"{evr!r} has no release: write VERSION-RELEASE")
    return int(epoch or 0), version, release


def build(
    name: str,
    evr: str,
    *,
    arch: str = "noarch",
    built: int = BUILT,
    requires: Sequence[str] = (),
    provides: Sequence[str] = (),
    conflicts: Sequence[str] = (),
    obsoletes: Sequence[str] = (),
    files: Mapping[str, Content] | None = None,
    scripts: Mapping[str, str] | None = None,
    module: str = "",
) -> Rpm:
    """
    Build a package.

    Args:
        evr: `VERSION-RELEASE` or `EPOCH:VERSION-RELEASE`.
        built: When it was built, epoch seconds.
        requires, provides, conflicts, obsoletes: `libfoo` or `libfoo >= 1.0-2`.
        files: Absolute path → content. Content that begins with `#!` is installed executable.
        scripts: pre, post, preun, postun → shell commands, run by /bin/sh.
        module: The modularity label, `name:stream:version:context`.
    """
    epoch, version, release = split_evr(evr)
    contents = dict(sorted({f"/usr/share/farm/{name}-{version}-{release}": f"{evr}\n", **(files or {})}.items()))
    raw = {path: text.encode() if isinstance(text, str) else text for path, text in contents.items()}
    payload = gzip.compress(_cpio(raw), 1, mtime=0)
    relations = {
        "provides": [Relation(name, "=", evr), *map(Relation.parse, provides)],
        "requires": [*map(Relation.parse, requires), *([Relation("/bin/sh")] if scripts else [])],
        "conflicts": list(map(Relation.parse, conflicts)),
        "obsoletes": list(map(Relation.parse, obsoletes)),
    }
    size = sum(map(len, raw.values()))
    tags = _identity(
        name, (epoch, version, release), arch, built=built, size=size, digest=hashlib.sha256(payload).hexdigest()
    )
    if module:
        tags[5096] = (STRING, module)
    tags.update(_relations(relations, scripts or {}))
    tags.update(_files(raw, built))
    header = _header(63, tags)
    lead = struct.pack(
        ">4sBBHH66sHH16x", b"\xed\xab\xee\xdb", 3, 0, 0, 1, f"{name}-{version}-{release}".encode()[:65], 1, 5
    )
    signature = _header(
        62,
        {
            269: (STRING, hashlib.sha1(header).hexdigest()),  # noqa: S324 - the format has it
            273: (STRING, hashlib.sha256(header).hexdigest()),
            1000: (INT32, [len(header) + len(payload)]),
            1004: (BINARY, hashlib.md5(header + payload).digest()),  # noqa: S324 - the format has it
        },
    )
    front = lead + signature + b"\0" * (-len(signature) % 8)
    return Rpm(
        name, epoch, version, release, arch, built, **relations, files=tuple(raw), size=size,
        header_range=(len(front), len(front) + len(header)), content=front + header + payload,
    )  # fmt: skip


Tags = dict[int, tuple[int, Value]]


def _identity(name: str, evr: tuple[int, str, str], arch: str, *, built: int, size: int, digest: str) -> Tags:
    epoch, version, release = evr
    return {
        100: (STRINGS, ["C"]),
        1000: (STRING, name),
        1001: (STRING, version),
        1002: (STRING, release),
        **({1003: (INT32, [epoch])} if epoch else {}),
        1004: (TRANSLATED, [f"made-up package {name}"]),
        1005: (TRANSLATED, ["It exists in a test farm only."]),
        1006: (INT32, [built]),
        1007: (STRING, "farm.invalid"),
        1009: (INT32, [size]),
        1011: (STRING, "Test Farm"),
        1014: (STRING, "Apache-2.0"),
        1016: (TRANSLATED, ["Unspecified"]),
        1021: (STRING, "linux"),
        1022: (STRING, arch),
        1044: (STRING, f"{name}-{version}-{release}.src.rpm"),
        1064: (STRING, "4.18.0"),
        1124: (STRING, "cpio"),
        1125: (STRING, "gzip"),
        1126: (STRING, "1"),
        5062: (STRING, "utf-8"),
        5092: (STRINGS, [digest]),
        5093: (INT32, [8]),
    }


def _relations(relations: Mapping[str, Sequence[Relation]], scripts: Mapping[str, str]) -> Tags:
    tags: Tags = {}
    bits = sum(1 << SCRIPTS[script][2] for script in scripts)
    needed = [
        (r.name, SENSES[r.sense] | (INTERPRETER | bits if r.name == "/bin/sh" else 0), r.version)
        for r in relations["requires"]
    ]
    needed += [(f"rpmlib({lib})", SENSES["<="] | RPMLIB, version) for lib, version in RPMLIBS]
    rows = {kind: [(r.name, SENSES[r.sense], r.version) for r in found] for kind, found in relations.items()}
    numbers = {
        "provides": (1047, 1112, 1113),
        "requires": (1049, 1048, 1050),
        "conflicts": (1054, 1053, 1055),
        "obsoletes": (1090, 1114, 1115),
    }
    for kind, (names, senses, versions) in numbers.items():
        row = needed if kind == "requires" else rows[kind]
        if row:
            tags[names] = (STRINGS, [name for name, _, _ in row])
            tags[senses] = (INT32, [sense for _, sense, _ in row])
            tags[versions] = (STRINGS, [version for _, _, version in row])
    for script, body in scripts.items():
        text, program, _ = SCRIPTS[script]
        tags[text] = (STRING, body + "\n")
        tags[program] = (STRING, "/bin/sh")
    return tags


def _mode(content: bytes) -> int:
    return 0o100755 if content.startswith(b"#!") else 0o100644


def _files(raw: Mapping[str, bytes], built: int) -> Tags:
    folders = sorted({path.rpartition("/")[0] + "/" for path in raw})
    many = len(raw)
    return {
        1028: (INT32, [len(content) for content in raw.values()]),
        1030: (INT16, [_mode(content) for content in raw.values()]),
        1033: (INT16, [0] * many),
        1034: (INT32, [built] * many),
        1035: (STRINGS, [hashlib.sha256(content).hexdigest() for content in raw.values()]),
        1036: (STRINGS, [""] * many),
        1037: (INT32, [0] * many),
        1039: (STRINGS, ["root"] * many),
        1040: (STRINGS, ["root"] * many),
        1045: (INT32, [0xFFFFFFFF] * many),
        1095: (INT32, [1] * many),
        1096: (INT32, list(range(1, many + 1))),
        1097: (STRINGS, [""] * many),
        1116: (INT32, [folders.index(path.rpartition("/")[0] + "/") for path in raw]),
        1117: (STRINGS, [path.rpartition("/")[2] for path in raw]),
        1118: (STRINGS, folders),
        5011: (INT32, [8]),
    }


def _header(region: int, tags: Tags) -> bytes:
    """A header whose region is all of it: index entries sorted by tag, then the values they point to."""
    store, index = b"", b""
    for tag, (kind, value) in sorted(tags.items()):
        data, count = _encoded(kind, value)
        store += b"\0" * (-len(store) % ALIGNMENT.get(kind, 1))
        index += struct.pack(">IIII", tag, kind, len(store), count)
        store += data
    entries = len(tags) + 1
    trailer = struct.pack(">IIiI", region, BINARY, -16 * entries, 16)
    index = struct.pack(">IIII", region, BINARY, len(store), 16) + index
    return b"\x8e\xad\xe8\x01\0\0\0\0" + struct.pack(">II", entries, len(store) + 16) + index + store + trailer


def _encoded(kind: int, value: Value) -> tuple[bytes, int]:
    if isinstance(value, bytes):
        return value, len(value)
    if isinstance(value, str):
        return value.encode() + b"\0", 1
    assert not isinstance(value, int)
    if kind in ALIGNMENT:
        return struct.pack(f">{len(value)}{'H' if kind == INT16 else 'I'}", *value), len(value)
    return b"".join(str(text).encode() + b"\0" for text in value), len(value)


def _cpio(raw: Mapping[str, bytes]) -> bytes:
    """The files in the `newc` form of cpio, of root's and of 1970."""
    archive = b""
    members = [(f".{path}", content, _mode(content)) for path, content in raw.items()]
    for number, (path, content, mode) in enumerate([*members, ("TRAILER!!!", b"", 0)], start=1):
        name = path.encode() + b"\0"
        fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name), 0)
        entry = b"070701" + b"".join(b"%08x" % value for value in fields) + name
        archive += entry + b"\0" * (-len(entry) % 4) + content + b"\0" * (-len(content) % 4)
    return archive
