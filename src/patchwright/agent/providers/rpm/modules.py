# SPDX-License-Identifier: Apache-2.0
"""
Module streams: which a repository has, which of them a node uses, and what that hides.

The documents are YAML as libmodulemd writes it; of that only what is needed here is read, by its indentation. dnf shows the
packages of a module's active stream alone, and of the names in it nothing that belongs to no module (a repository marked
`module_hotfixes` excepted).
"""

from __future__ import annotations

import json
import re
from typing import Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Set, Tuple

from patchwright.agent.providers.rpm.database import evr

_NEVRA = re.compile(r"(?P<name>.+)-(?:(?P<epoch>\d+):)?(?P<version>[^-:]+-[^-]+)\.(?P<arch>[^.-]+)\Z")
_FIELD = re.compile(r"  (\w+): *(.*)\Z")


class Stream(NamedTuple):
    """One stream of one module, and the (name, architecture, version) of its packages."""

    module: str  # `name:stream`
    packages: Tuple[Tuple[str, str, str], ...]


class Modules(NamedTuple):
    """What documents say. *defaults*: the stream of a module that is used where the node chooses none."""

    streams: Tuple[Stream, ...]
    defaults: Mapping[str, str]


class Chosen(NamedTuple):
    """What a node chose: by module name the enabled stream, and the modules that are disabled."""

    enabled: Mapping[str, str]
    disabled: Set[str]


class Active(NamedTuple):
    """What is in effect. *modules* are `name:stream`, sorted; *owners* say by package which streams have it."""

    modules: Tuple[str, ...]
    owners: Mapping[Tuple[str, str, str], Tuple[str, ...]]
    names: Set[str]  # of the packages of active streams

    def owner(self, package: Tuple[str, str, str]) -> str:
        """The stream of a package, an active one first; empty where it belongs to no module."""
        owners = self.owners.get(package, ())
        return next((module for module in owners if module in self.modules), owners[0] if owners else "")

    def hides(self, package: Tuple[str, str, str]) -> bool:
        """Whether a package that belongs to no module stands in the shadow of an active stream."""
        return package not in self.owners and package[0] in self.names


def parse(text: str) -> Modules:
    """Read a modules.yaml; documents of other kinds are passed over."""
    streams: List[Stream] = []
    defaults: Dict[str, str] = {}
    for document in re.split(r"^---.*$", text, flags=re.MULTILINE):
        kind, fields, artifacts = _json(document) if document.lstrip().startswith("{") else _yaml(document)
        if kind == "modulemd-defaults" and fields.get("module") and fields.get("stream"):
            defaults[fields["module"]] = fields["stream"]
        elif kind in ("modulemd", "modulemd-stream") and fields.get("name") and fields.get("stream"):
            found = (split_nevra(artifact) for artifact in artifacts)
            packages = tuple(package for package in found if package and package[1] not in ("src", "nosrc"))
            streams.append(Stream(f"{fields['name']}:{fields['stream']}", packages))
    return Modules(tuple(streams), defaults)


_Document = Tuple[str, Mapping[str, str], List[str]]  # its kind, the plain members of `data`, the artifacts


def _json(document: str) -> _Document:
    """JSON is YAML too, and what some programs write."""
    try:
        body = json.loads(document.strip().rstrip("."))
        data = body.get("data") or {}
        plain = {name: str(value) for name, value in data.items() if isinstance(value, (str, int, float))}
        return str(body.get("document")), plain, [str(item) for item in (data.get("artifacts") or {}).get("rpms") or ()]
    except (ValueError, AttributeError, TypeError, RecursionError):
        return "", {}, []


def _yaml(document: str) -> _Document:
    kind = re.search(r"^document: *(\S+)", document, re.MULTILINE)
    return kind.group(1) if kind else "", dict(_fields(document)), list(_artifacts(document))


def _fields(document: str) -> Iterator[Tuple[str, str]]:
    """The plain members of `data`."""
    for line in document.splitlines():
        found = _FIELD.match(line)
        if found:
            yield found.group(1), _scalar(found.group(2))


def _scalar(text: str) -> str:
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1]
    return text.partition(" #")[0].rstrip()


def _artifacts(document: str) -> Iterator[str]:
    inside = False
    for line in document.splitlines():
        if re.match(r"  \w", line):
            inside = line.startswith("  artifacts:")
        elif inside and line.lstrip().startswith("- "):
            yield _scalar(line.lstrip()[2:])


def split_nevra(text: str) -> Optional[Tuple[str, str, str]]:
    """(name, architecture, version) of `name-epoch:version-release.arch`; None where it is none."""
    found = _NEVRA.match(text)
    if not found:
        return None
    return found.group("name"), found.group("arch"), evr(found.group("epoch") or "", found.group("version"))


def active(documents: Iterable[Modules], chosen: Chosen, names: Set[str]) -> Active:
    """What *chosen* makes of the modules of all repositories; *owners* are kept for packages called one of *names*."""
    defaults: Dict[str, str] = {}
    streams: List[Stream] = []
    for document in documents:
        defaults.update(document.defaults)
        streams.extend(document.streams)
    known = {stream.module for stream in streams}
    used = {f"{name}:{stream}" for name, stream in chosen.enabled.items()}
    for name, stream in defaults.items():
        if name not in chosen.enabled and name not in chosen.disabled and f"{name}:{stream}" in known:
            used.add(f"{name}:{stream}")
    owners: Dict[Tuple[str, str, str], Set[str]] = {}
    visible: Set[str] = set()
    for one in streams:
        if one.module in used:
            visible.update(package[0] for package in one.packages)
        for package in one.packages:
            if package[0] in names:
                owners.setdefault(package, set()).add(one.module)
    return Active(tuple(sorted(used)), {package: tuple(sorted(found)) for package, found in owners.items()}, visible)
