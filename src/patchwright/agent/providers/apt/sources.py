# SPDX-License-Identifier: Apache-2.0
"""
apt with the repositories of a baseline (spec §2.9) in the place of the node's own.

apt is told by options where its list of repositories is, and where it keeps what it fetched from them; keys are those that
the configuration names (`signed-by`), or the node's trusted ones.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Dict, List, Sequence

from patchwright.agent.providers import sources as files
from patchwright.agent.providers.words import without_secret
from patchwright.core.source import Source

# apt's own; what starts a program with words of the address (ssh, rsh) or asks for a disc is left out.
SCHEMES = (
    *("http", "https", "ftp", "file", "copy", "s3", "tor", "tor+http", "tor+https"),
    *("mirror", "mirror+http", "mirror+https", "mirror+file", "mirror+copy"),
)
LISTS, PARTS, ARCHIVES = "lists", "sources.list.d", "archives"

_COMMENT = re.compile(r"^((?:\[[^\]]*\]|[^#\[])*)#.*$")
_LINE = re.compile(r"(deb|deb-src)\s+(?:\[\s*([^\[\]]*?)\s*\]\s+)?(\S+)\s+(\S+)((?:\s+\S+)*)\Z")
_OPTION = re.compile(r"[A-Za-z][A-Za-z0-9-]*[+-]?=\S+\Z")
_FIELD = re.compile(r"([A-Za-z][A-Za-z0-9-]*):[ \t]*(.*)\Z")
_NEEDED = ("types", "uris", "suites")


def arrange(sources: Sequence[Source], directory: Path) -> None:
    """
    Make what apt needs below *directory*, as this process sees it; what is there is kept.

    Raises UnusableSource where a source is none that apt could read.
    """
    found = by_name(sources)
    for name in (LISTS, ARCHIVES):
        path = directory / name
        if not (path / "partial").is_dir():
            (path / "partial").mkdir(parents=True)  # apt makes it its own
            path.chmod(0o755)  # whatever the umask: apt fetches as another user
            os.utime(str(path), (0, 0))  # the time of the lists is that of the last refresh: none yet
    files.keep(directory / PARTS, found)


def options(directory: str) -> Sequence[str]:
    """The options by which apt works with what `arrange` made; *directory* as apt knows it."""
    return (
        "-oDir::Etc::sourcelist=/dev/null",
        f"-oDir::Etc::sourceparts={directory}/{PARTS}",
        f"-oDir::State::lists={directory}/{LISTS}",
        f"-oDir::Cache::archives={directory}/{ARCHIVES}",
        f"-oDir::Cache::pkgcache={directory}/pkgcache.bin",
        f"-oDir::Cache::srcpkgcache={directory}/srcpkgcache.bin",
    )


def by_name(sources: Sequence[Source]) -> Dict[str, str]:
    """The files' texts by name, in the order of *sources*; pure. Raises UnusableSource."""
    found = {}
    for number, source in enumerate(sources):
        lines = files.text_of(source).split("\n")
        meant = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
        if not meant:
            raise files.refusal(source, "names no repository")
        if _FIELD.match(meant[0]):
            found[f"{number:02d}.sources"] = _stanzas(source, lines)
        else:
            found[f"{number:02d}.list"] = "".join(_line(source, line) + "\n" for line in meant)
    return found


def _line(source: Source, line: str) -> str:
    """One line of the form `deb [option=value …] address suite component…`, without its comment."""
    text = _COMMENT.sub(r"\1", line).strip()
    match = _LINE.match(text)
    if match is None:
        raise files.refusal(
            source, f"has the line {_shown(text)}, which is not of the form 'deb ADDRESS SUITE COMPONENT'"
        )
    kind, given, address, suite, components = match.groups()
    chosen = (given or "").split()
    for option in chosen:
        if not _OPTION.match(option):
            raise files.refusal(source, f"has the option {_shown(option)}, which is not of the form NAME=VALUE")
    if suite.endswith("/") == bool(components.strip()):
        missing = "names components of" if components.strip() else "names no component of"
        raise files.refusal(source, f"{missing} the suite {_shown(suite)}")
    files.check_address(source, address, SCHEMES)
    return " ".join([kind, *([f"[{' '.join(chosen)}]"] if chosen else []), address, suite, *components.split()])


def _stanzas(source: Source, lines: Sequence[str]) -> str:
    """Stanzas of the form deb822, as they are (sources.list(5))."""
    for stanza in "\n".join(line for line in lines if not line.startswith("#")).split("\n\n"):
        fields: Dict[str, List[str]] = {}
        name = ""
        for line in filter(str.strip, stanza.split("\n")):
            match = _FIELD.match(line)
            if match:
                name = match.group(1).lower()
                fields[name] = match.group(2).split()
            elif line[0] in " \t" and name:
                fields[name] += line.split()
            else:
                raise files.refusal(source, f"has the line {_shown(line)}, which is no field 'NAME: VALUE'")
        absent = [needed for needed in _NEEDED if fields and not fields.get(needed)]
        if absent:
            raise files.refusal(source, "lacks the field {}".format(", ".join(absent)))
        for address in fields.get("uris", []):
            files.check_address(source, address, SCHEMES)
    return "\n".join(lines)


def _shown(text: str) -> str:
    return repr(without_secret(text)[: files.SHOWN])
