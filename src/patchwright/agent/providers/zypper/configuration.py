# SPDX-License-Identifier: Apache-2.0
"""Reading libzypp's configuration: zypp.conf, the files of its repositories, and its locks."""

from __future__ import annotations

import fnmatch
import re
from pathlib import Path
from typing import Dict, Iterable, List, Mapping, NamedTuple, Sequence, Tuple

from patchwright.agent.providers.words import without_secret
from patchwright.core.version import Scheme, compare

DEFAULT_PRIORITY = 99
Sections = Dict[str, Dict[str, str]]

_SECTION = re.compile(r"\[(.+)\]\s*\Z")
_EDITION = re.compile(r"(==|=|!=|<=|>=|<|>)\s*(\S+)\Z")


class Repository(NamedTuple):
    """One configured repository. *address* is without credentials; 1 is the highest priority, 99 the usual one."""

    alias: str
    enabled: bool
    priority: int
    address: str
    name: str = ""

    @property
    def directory(self) -> str:
        """The name of its directory in libzypp's cache."""
        return self.alias.replace("/", "_")


class Lock(NamedTuple):
    """One lock of packages. *pattern* matches names; *relation* and *edition* narrow it where they are not empty."""

    pattern: str
    match_type: str = "glob"
    case_sensitive: bool = True
    relation: str = ""
    edition: str = ""

    def covers(self, name: str, version: str) -> bool:
        """Whether this lock keeps *name* in *version* as it is."""
        if not self._names(name):
            return False
        if not self.relation:
            return True
        order = compare(Scheme.RPM, version if "-" in self.edition else version.rpartition("-")[0], self.edition)
        return {"<": order < 0, "<=": order <= 0, ">": order > 0, ">=": order >= 0, "!=": order != 0}.get(
            self.relation, order == 0
        )

    def _names(self, name: str) -> bool:
        pattern, flags = self.pattern, 0 if self.case_sensitive else re.IGNORECASE
        if self.match_type == "glob":
            return re.match(fnmatch.translate(pattern), name, flags) is not None
        if self.match_type == "regex":
            try:
                return re.search(pattern, name, flags) is not None
            except re.error:
                return False
        one, other = (name, pattern) if self.case_sensitive else (name.lower(), pattern.lower())
        return other in one if self.match_type == "substring" else one == other


def sections(text: str) -> Sections:
    """The assignments of an ini file by section, the last one counting; what is none is passed over, as libzypp does."""
    found: Sections = {}
    current: Dict[str, str] = {}
    key = ""
    for line in text.splitlines():
        bare = line.strip()
        heading = _SECTION.match(bare)
        if not bare or bare.startswith(("#", ";")):
            continue
        if heading:
            current, key = found.setdefault(heading.group(1), {}), ""
        elif line[0].isspace() and key:
            current[key] += " " + bare  # more of the line above: further addresses of one repository
        elif "=" in bare:
            key = bare.partition("=")[0].strip()
            current[key] = bare.partition("=")[2].strip()
    return found


def merged(texts: Iterable[str]) -> Sections:
    """Several configuration files as one; what comes later counts."""
    result: Sections = {}
    for text in texts:
        for name, values in sections(text).items():
            result.setdefault(name, {}).update(values)
    return result


def written(configuration: Mapping[str, Mapping[str, str]]) -> str:
    """A configuration as a file."""
    lines: List[str] = []
    for name, values in configuration.items():
        lines.append(f"[{name}]")
        lines.extend(f"{key} = {value}" for key, value in values.items())
    return "\n".join(lines) + "\n"


def repositories(directory: Path) -> List[Repository]:
    """Every repository that the files of *directory* configure, sorted by alias; a file that cannot be read is none."""
    found: Dict[str, Repository] = {}
    try:
        paths = sorted(path for path in directory.iterdir() if path.suffix == ".repo")
    except OSError:
        paths = []
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        for alias, values in sections(text).items():
            found.setdefault(alias, _repository(alias, values))
    return sorted(found.values())


def _repository(alias: str, values: Mapping[str, str]) -> Repository:
    priority = values.get("priority", "")
    addresses = (values.get("baseurl") or values.get("mirrorlist") or "").split()
    return Repository(
        alias=alias,
        enabled=values.get("enabled", "1").lower() in ("1", "yes", "true", "on"),
        priority=int(priority) if priority.isdigit() and 0 < int(priority) < 2**31 else DEFAULT_PRIORITY,
        address=without_secret(addresses[0]).partition("?")[0][:500] if addresses else "",
        name=values.get("name", alias),
    )


def locks(text: str) -> List[Lock]:
    """The locks of packages that a locks file holds; locks of patches, patterns and products are not among them."""
    found = []
    for stanza in re.split(r"\n\s*\n", text):
        fields: Dict[str, str] = {}
        for line in stanza.splitlines():
            key, _, value = line.partition(":")
            fields.setdefault(key.strip(), value.strip())
        pattern = fields.get("solvable_name") or fields.get("query_string", "")
        if not pattern or fields.get("type", "package") != "package":
            continue
        narrowed = _EDITION.match(fields.get("version", ""))
        relation, edition = (narrowed.group(1), narrowed.group(2)) if narrowed else ("", "")
        sensitive = fields.get("case_sensitive", "on") in ("on", "yes", "true", "1")
        found.append(Lock(pattern, fields.get("match_type", "glob"), sensitive, relation, edition))
    return found


def lock_text(locked: Sequence[Tuple[str, str]]) -> str:
    """A locks file that keeps these versions (name, version) of packages from being installed."""
    stanza = "type: package\nmatch_type: exact\ncase_sensitive: on\nsolvable_name: {}\nversion: == {}\n"
    return "\n".join(stanza.format(*one) for one in locked)
