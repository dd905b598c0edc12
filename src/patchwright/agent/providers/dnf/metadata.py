# SPDX-License-Identifier: Apache-2.0
"""What the enabled repositories offer, from the metadata that dnf has fetched: offers with their module stream and notices."""

from __future__ import annotations

from pathlib import Path
from typing import Collection, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from patchwright.agent.providers.dnf import configuration
from patchwright.agent.providers.dnf.configuration import Repository
from patchwright.agent.providers.dnf.tool import Tool
from patchwright.agent.providers.rpm import modules, repodata
from patchwright.agent.providers.rpm.compression import content
from patchwright.agent.providers.rpm.database import sort_key
from patchwright.agent.providers.rpm.modules import Active
from patchwright.agent.providers.rpm.repodata import Advisory, Available
from patchwright.core.advisory import Notice
from patchwright.core.package import Offer

MODULES_LIMIT_BYTES = 256 * 1024 * 1024
Identity = Tuple[str, str, str]  # name, architecture, version


class Offered(NamedTuple):
    """What one enabled repository offers. *fetched_at* is when its metadata was last known to be current, 0: never."""

    repository: str
    pin: int
    offers: Tuple[Offer, ...]
    fetched_at: float = 0.0


class Everything(NamedTuple):
    """All repositories, the notices their offers name, and the module streams that are in effect."""

    repositories: Tuple[Offered, ...]
    notices: Tuple[Notice, ...]
    modules: Tuple[str, ...]


class Metadata:
    """The cached metadata of a node's enabled repositories."""

    def __init__(self, tool: Tool) -> None:
        self._tool = tool

    def read(self, names: Collection[str]) -> Everything:
        """What is offered under *names*, with notices."""
        found = self._files()
        settings = configuration.repositories(self._tool.repository_directories)
        active = self._active(found, set(names))
        available = {
            repository: _visible(available, active, settings.get(repository, Repository()))
            for repository, available in self._available(found, names)
        }
        identities = {package[:3] for packages in available.values() for package in packages}
        advisories = self._advisories(found, identities)
        ids = _ids(advisories, active)
        offered = [
            Offered(
                repository,
                settings.get(repository, Repository()).pin,
                tuple(_offer(package, active, ids) for package in packages),
                fetched_at(self._tool.metadata(repository)),
            )
            for repository, packages in available.items()
        ]
        named = {notice for part in offered for offer in part.offers for notice in offer.notices}
        return Everything(tuple(offered), _notices(advisories, named), active.modules)

    def candidates(self, names: Collection[str], installed: Mapping[str, str]) -> Dict[str, str]:
        """By `name.arch` what dnf would install now: of the repositories that go first the newest version."""
        best: Dict[str, Tuple[int, bytes, str]] = {}
        for pin, package in self._usable(names):
            key = f"{package.name}.{package.arch}"
            mine = (pin, sort_key(package.version), package.version)
            if key not in best or mine[:2] > best[key][:2]:
                best[key] = mine
        found = {key: version for key, (_, _, version) in best.items()}
        for key, version in installed.items():
            if key in found and sort_key(found[key]) < sort_key(version):
                found[key] = version
        return found

    def identities(self, names: Optional[Collection[str]]) -> Set[Identity]:
        """Every package that some enabled repository has under *names* (None: under any)."""
        found = self._files()
        return {package[:3] for _, packages in self._available(found, names) for package in packages}

    def notices_of(self, wanted: Set[Identity]) -> List[Advisory]:
        """The notices that name one of *wanted*."""
        return [advisory for _, advisory in self._advisories(self._files(), wanted)]

    def fetched_at(self) -> float:
        """When all enabled repositories were last known to be current; 0 where one never was."""
        times = [fetched_at(self._tool.metadata(repository)) for repository in self._tool.enabled()]
        return min(times, default=0.0)

    def _usable(self, names: Collection[str]) -> Iterator[Tuple[int, Available]]:
        """Every package that modules let be seen, with the priority of its repository."""
        found = self._files()
        settings = configuration.repositories(self._tool.repository_directories)
        active = self._active(found, set(names))
        for repository, packages in self._available(found, names):
            own = settings.get(repository, Repository())
            for package in _visible(packages, active, own):
                owner = active.owner(package[:3])
                if not owner or owner in active.modules:
                    yield own.pin, package

    def _files(self) -> Dict[str, Dict[str, Path]]:
        """The metadata files by repository and type."""
        found = {}
        for repository in sorted(self._tool.enabled()):
            directory = self._tool.metadata(repository)
            found[repository] = repodata.files(directory) if directory else {}
        return found

    def _available(
        self, found: Mapping[str, Mapping[str, Path]], names: Optional[Collection[str]]
    ) -> Iterator[Tuple[str, List[Available]]]:
        encoded = {name.encode() for name in names} if names is not None else None
        for repository, files in found.items():
            packages = repodata.read_packages(files["primary"], encoded) if "primary" in files else []
            yield repository, packages

    def _active(self, found: Mapping[str, Mapping[str, Path]], names: Set[str]) -> Active:
        documents = [
            modules.parse(content(files["modules"], limit=MODULES_LIMIT_BYTES).decode("utf-8", "replace"))
            for files in found.values()
            if "modules" in files
        ]
        return modules.active(documents, configuration.chosen_modules(self._tool.root), names)

    def _advisories(self, found: Mapping[str, Mapping[str, Path]], wanted: Set[Identity]) -> List[Tuple[str, Advisory]]:
        return [
            (repository, advisory)
            for repository, files in found.items()
            if "updateinfo" in files and wanted
            for advisory in repodata.read_advisories(files["updateinfo"], wanted)
        ]


def _visible(packages: Sequence[Available], active: Active, settings: Repository) -> List[Available]:
    if settings.module_hotfixes or not active.names:
        return list(packages)
    return [package for package in packages if not active.hides(package[:3])]


def _ids(advisories: Sequence[Tuple[str, Advisory]], active: Active) -> Dict[Identity, Set[str]]:
    """The ids of the notices by package: one that is meant for a module stream names packages of that stream alone."""
    ids: Dict[Identity, Set[str]] = {}
    for _, advisory in advisories:
        for listed in advisory.packages:
            if not listed.modules or active.owner(listed[:3]) in listed.modules:
                ids.setdefault(listed[:3], set()).add(advisory.notice.id)
    return ids


def _offer(package: Available, active: Active, ids: Mapping[Identity, Set[str]]) -> Offer:
    identity = package[:3]
    return Offer(
        *identity,
        build_time=package.build_time,
        module=active.owner(identity),
        notices=tuple(sorted(ids.get(identity, ()))),
    )


def _notices(advisories: Sequence[Tuple[str, Advisory]], named: Set[str]) -> Tuple[Notice, ...]:
    """Each of the *named* notices once; of several with one id the one that was changed last."""
    found: Dict[str, Notice] = {}
    for _, advisory in advisories:
        notice = advisory.notice
        known = found.get(notice.id)
        if notice.id in named and (known is None or _order(notice) > _order(known)):
            found[notice.id] = notice
    return tuple(found[name] for name in sorted(found))


def _order(notice: Notice) -> Tuple[str, str]:
    return notice.updated or notice.issued, notice.digest


def fetched_at(directory: Optional[Path]) -> float:
    """When the metadata in *directory* was last known to be current, which `refresh` writes down as the file's time."""
    try:
        return (directory / "repomd.xml").stat().st_mtime if directory else 0.0
    except OSError:
        return 0.0
