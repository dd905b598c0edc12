# SPDX-License-Identifier: Apache-2.0
"""dnf's own files, as far as its commands do not tell: priorities of repositories, module choices, version locks, sources."""

from __future__ import annotations

import configparser
import contextlib
import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Dict, Iterable, List, NamedTuple, Sequence, Set, Tuple

from patchwright.agent.providers.rpm.modules import Chosen
from patchwright.core.facts import DEFAULT_PIN
from patchwright.core.source import Source

FILE_LIMIT_BYTES = 1024 * 1024
DEFAULT_PRIORITY = 99  # dnf.conf(5): a lower number goes before a higher one
REPOSITORY_DIRECTORIES = ("etc/yum.repos.d", "etc/yum/repos.d", "etc/distro.repos.d", "etc/dnf/repos.override.d")
LOCK_LISTS = ("etc/dnf/plugins/versionlock.list", "etc/yum/pluginconf.d/versionlock.list")
LOCK_TOML = "etc/dnf/versionlock.toml"
MODULES_TOML = "usr/lib/sysimage/libdnf5/modules.toml"
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}\Z")
_OPTION = re.compile(r"[a-z][a-z0-9_]{0,49}\Z")
_NEVRA_GLOB = re.compile(r"(?P<name>.+)-(?:[\d*]+:)?[^-:]+-[^-]+\Z")
_TRUE = ("1", "yes", "true", "on")


class Repository(NamedTuple):
    """What the configuration says of one repository. *pin* is its priority as core's facts count: higher goes first."""

    pin: int = DEFAULT_PIN
    module_hotfixes: bool = False


def read_ini(path: Path) -> configparser.RawConfigParser:
    """A file of dnf's form; what cannot be read of it is left out, as dnf does."""
    parser = configparser.RawConfigParser(
        strict=False, default_section="\0", comment_prefixes=("#", ";"), delimiters=("=",)
    )
    with contextlib.suppress(configparser.Error):
        parser.read_string(_text(path))
    return parser


def option(root: Path, name: str) -> str:
    """An option of the main configuration; empty where it is not set."""
    for path in ("etc/dnf/dnf.conf", "etc/yum.conf"):
        found = read_ini(root / path).get("main", name, fallback="")
        if found:
            return found.strip()
    return ""


def repositories(directories: Sequence[Path]) -> Dict[str, Repository]:
    """What the files of *directories* say, by repository id; later files win."""
    found: Dict[str, Repository] = {}
    for directory in directories:
        for path in sorted(directory.glob("*.repo")) if directory.is_dir() else []:
            parser = read_ini(path)
            for section in parser.sections():
                before = found.get(section, Repository())
                priority = parser.get(section, "priority", fallback="").strip()
                pin = DEFAULT_PIN + DEFAULT_PRIORITY - int(priority) if _is_number(priority) else before.pin
                hotfixes = parser.get(section, "module_hotfixes", fallback="").strip().lower()
                found[section] = Repository(pin, hotfixes in _TRUE if hotfixes else before.module_hotfixes)
    return found


def chosen_modules(root: Path) -> Chosen:
    """Which module streams the node has enabled and which modules disabled, as dnf 4 or dnf 5 keeps it."""
    enabled: Dict[str, str] = {}
    disabled: Set[str] = set()
    directory = root / "etc/dnf/modules.d"
    for path in sorted(directory.glob("*.module")) if directory.is_dir() else []:
        parser = read_ini(path)
        for name in parser.sections():
            stream, state = (parser.get(name, key, fallback="").strip() for key in ("stream", "state"))
            if state in ("enabled", "1") and stream:
                enabled[name] = stream
            elif state == "disabled":
                disabled.add(name)
    for section, values in _toml(_text(root / MODULES_TOML)):
        name = section[len("modules.") :].strip('"')
        if section.startswith("modules.") and values.get("state", "").lower() == "enabled":
            enabled[name] = values.get("enabled_stream", "")
        elif section.startswith("modules.") and values.get("state", "").lower() == "disabled":
            disabled.add(name)
    return Chosen({name: stream for name, stream in enabled.items() if stream}, disabled)


def locked(root: Path, names: Iterable[str]) -> Set[str]:
    """Those of *names* that a version lock keeps at what they are."""
    patterns: List[str] = []
    for path in LOCK_LISTS:
        for line in _text(root / path).splitlines():
            text = line.partition("#")[0].strip()
            if text and not text.startswith("!"):  # those leave out one version, and let the others through
                patterns.append(_locked_name(text))
    patterns.extend(_locked_by_toml(_text(root / LOCK_TOML)))
    return {name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)}


def _locked_name(entry: str) -> str:
    """The name in an entry such as `foo-0:1.0-1.el9.*`, `foo-1.0-1.el9.x86_64` or `foo`."""
    found = _NEVRA_GLOB.match(entry.rpartition(".")[0] if "." in entry else "")
    return found.group("name") if found else entry


def _locked_by_toml(text: str) -> List[str]:
    """The names that dnf 5 keeps at one version; what only bounds versions is left to dnf's own resolver."""
    names: List[str] = []
    current = ""
    for section, values in _toml(text):
        if section == "packages":
            current = values.get("name", "")
        elif section == "packages.conditions" and current and values.get("key") == "evr":
            names.extend([current] if values.get("comparator") in ("=", "==") else [])
    return names


def _toml(text: str) -> List[Tuple[str, Dict[str, str]]]:
    """The tables of a file as dnf 5 writes it: one scalar a line."""
    tables: List[Tuple[str, Dict[str, str]]] = [("", {})]
    for line in text.splitlines():
        head = re.match(r"\s*\[+\s*([^\]]+?)\s*\]+\s*\Z", line)
        if head:
            tables.append((head.group(1), {}))
            continue
        name, equals, value = line.partition("=")
        if equals:
            tables[-1][1][name.strip()] = value.strip().strip("\"'")
    return tables


def source_files(sources: Sequence[Source]) -> Dict[str, str]:
    """
    The repository file of each source, by file name.

    A section that is called `main`, as AWS's own examples have it, becomes a repository called as its source. Only options
    in dnf's form are taken over: what a source says is not trusted.
    """
    files: Dict[str, str] = {}
    for number, source in enumerate(sources):
        parser = configparser.RawConfigParser(
            strict=False, default_section="\0", comment_prefixes=("#", ";"), delimiters=("=",)
        )
        try:
            parser.read_string(source.configuration)
        except configparser.Error:
            continue
        lines: List[str] = []
        for section in parser.sections():
            name = source.name if section.lower() == "main" else section
            name = re.sub(r"[^A-Za-z0-9_.:-]", "-", name)
            if not _ID.match(name) or name.lower() == "main":
                continue
            options = {key: " ".join(value.split()) for key, value in parser.items(section) if _OPTION.match(key)}
            options.setdefault("name", source.name)
            lines.append(f"[{name}]")
            lines.extend(f"{key}={value}" for key, value in options.items())
        files[f"{number:02d}.repo"] = "\n".join(lines) + "\n"
    return files


def _is_number(text: str) -> bool:
    return re.match(r"-?\d{1,6}\Z", text) is not None


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(FILE_LIMIT_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
