# SPDX-License-Identifier: Apache-2.0
"""
zypper with the repositories of a baseline (spec §2.9) in the place of the node's own.

zypper is told by options where its repositories are configured, and where it keeps what it fetched from them; keys are those
that the node trusts.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Dict, Sequence

from patchwright.agent.providers import sources as files
from patchwright.agent.providers.zypper.configuration import sections, written
from patchwright.core.source import Source

# Of libzypp's own, those that neither start programs (plugin) nor mount anything (cd, iso, nfs, smb).
SCHEMES = ("http", "https", "ftp", "tftp", "file", "dir")
KEYS = frozenset(
    [
        "name",
        "enabled",
        "autorefresh",
        "baseurl",
        "mirrorlist",
        "gpgkey",
        "gpgcheck",
        "repo_gpgcheck",
        "pkg_gpgcheck",
        "type",
        "path",
        "priority",
        "keeppackages",
    ]
)
ADDRESSES = ("baseurl", "mirrorlist", "gpgkey")
REPOSITORIES, CACHE = "repos.d", "cache"

_HEADING = re.compile(r"^\s*\[.*\]\s*$", re.MULTILINE)
_ALIAS = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:+-]*\Z")


def arrange(sources: Sequence[Source], directory: Path) -> None:
    """
    Make what zypper needs below *directory*, as this process sees it; what is there is kept.

    Raises UnusableSource where a source is none that zypper could read.
    """
    files.keep(directory / REPOSITORIES, by_name(sources))


def options(directory: str) -> Sequence[str]:
    """The options by which zypper works with what `arrange` made; *directory* as zypper knows it."""
    return ("--reposd-dir", f"{directory}/{REPOSITORIES}", "--cache-dir", f"{directory}/{CACHE}")


def by_name(sources: Sequence[Source]) -> Dict[str, str]:
    """The files' texts by name, in the order of *sources*; pure. Raises UnusableSource."""
    found: Dict[str, str] = {}
    taken: Dict[str, str] = {}
    for number, source in enumerate(sources):
        text = files.text_of(source)
        known = sections(text if _HEADING.search(text) else f"[{_alias(source, '')}]\n{text}")
        if not known:
            raise files.refusal(source, "names no repository")
        block: Dict[str, Dict[str, str]] = {}
        for heading, values in known.items():
            alias = _alias(source, heading)
            while alias in taken:
                alias += "_"  # two sources may call theirs the same
            taken[alias] = block.setdefault(alias, _checked(source, heading, values)).get("baseurl", "")
        found[f"{number:02d}.repo"] = written(block)
    return found


def _checked(source: Source, heading: str, values: Dict[str, str]) -> Dict[str, str]:
    """One repository's assignments, enabled unless they say no."""
    unknown = sorted(set(values) - KEYS)
    if unknown:
        raise files.refusal(
            source,
            f"has the field {unknown[0][: files.SHOWN]!r} in [{heading[: files.SHOWN]}], which is none of a repository",
        )
    if not (values.get("baseurl") or values.get("mirrorlist")):
        raise files.refusal(source, f"has no address (baseurl) in [{heading[: files.SHOWN]}]")
    for name in ADDRESSES:
        for address in values.get(name, "").split():
            files.check_address(source, address, SCHEMES)
    spread = {name: values[name].replace(" ", "\n  ") for name in ADDRESSES if name in values}
    return {"enabled": "1", "autorefresh": "1", **values, **spread}


def _alias(source: Source, heading: str) -> str:
    """The alias of a repository: its heading; the source's name where there is none, or `[main]`, as the API's examples say."""
    if heading and heading != "main" and _ALIAS.match(heading):
        return heading
    return re.sub(r"[^A-Za-z0-9_.-]", "_", source.name).lstrip(".-") or "source"
