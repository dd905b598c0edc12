# SPDX-License-Identifier: Apache-2.0
"""
Lists of patches that are given for one Install in the place of what the baseline approves (spec §3.6).

The list says what is installed; what that is worth, the baseline says. Nothing here reads a file: it gets the values of one.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Dict, List, Mapping, Sequence, Set, Tuple

from patchwright.core.compliance import Item, Judgement, PatchState, outstanding_packages
from patchwright.core.entries import rpm_file
from patchwright.core.errors import MalformedOverride
from patchwright.core.facts import View
from patchwright.core.package import Package, PackageState
from patchwright.core.patch import title
from patchwright.core.plan import Intent, Wanted
from patchwright.core.system import Family
from patchwright.core.version import MAX_LENGTH, compare
from patchwright.core.version import key as version_key

ENTRIES_LIMIT = 5_000
WILD_LIMIT = 200  # entries whose id has a wildcard: each is compared with every package
ANY = "*"


@dataclass(frozen=True)
class Listed:
    """
    One entry. Both texts may have any number of `*`.

    *id* is matched with a package's name and its `name.arch`, *title* with its `name.arch`, which stands for every version, and
    with `name.arch:version`, on rpm and SUSE with the epoch or without one that is 0.
    """

    id: str
    title: str

    def allows(self, package: str, arch: str, version: str) -> bool:
        """Whether the title allows this version of a package that the entry names."""
        return any(glob(self.title, text) for text in _spellings(f"{package}.{arch}", version))

    def concerns(self, key: str) -> bool:
        """Whether the title speaks of `name.arch` at all, in whatever version."""
        return glob(self.title.partition(":")[0], key)

    @property
    def any_version(self) -> bool:
        """Whether the title says nothing of a version."""
        return ":" not in self.title


@dataclass(frozen=True)
class OverrideList:
    """The entries, in their order."""

    entries: Tuple[Listed, ...]
    _exact: Mapping[str, Sequence[Listed]] = field(init=False, repr=False, compare=False)
    _wild: Sequence[Listed] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        exact: Dict[str, List[Listed]] = {}
        for entry in self.entries:
            if ANY not in entry.id:
                exact.setdefault(entry.id, []).append(entry)
        object.__setattr__(self, "_exact", exact)
        object.__setattr__(self, "_wild", [entry for entry in self.entries if ANY in entry.id])

    @classmethod
    def read(cls, value: Any) -> OverrideList:
        """
        The list that a file's *value* is: `{"patches": [{"id": …, "title": …}]}`; other members of an entry are passed over.

        Raises MalformedOverride, which names the entry.
        """
        if not isinstance(value, dict) or not isinstance(value.get("patches"), list):
            raise MalformedOverride("it has no list called patches")
        rows = value["patches"]
        if not 1 <= len(rows) <= ENTRIES_LIMIT:
            raise MalformedOverride(f"its patches are {len(rows)}; a list has 1 to {ENTRIES_LIMIT}")
        entries = tuple(_entry(number, row) for number, row in enumerate(rows, 1))
        if sum(ANY in entry.id for entry in entries) > WILD_LIMIT:
            raise MalformedOverride(f"more than {WILD_LIMIT} of its entries have an id with a wildcard")
        return cls(entries)

    def to_json(self) -> List[List[str]]:
        """JSON; `from_json` reads it back to an equal value."""
        return [[entry.id, entry.title] for entry in self.entries]

    @classmethod
    def from_json(cls, rows: Sequence[Sequence[str]]) -> OverrideList:
        """Read what `to_json` wrote."""
        return cls(tuple(Listed(*row) for row in rows))

    def of(self, *names: str) -> List[Listed]:
        """The entries whose id is one of *names*."""
        exact = [entry for name in names for entry in self._exact.get(name, ())]
        return exact + [entry for entry in self._wild if any(glob(entry.id, name) for name in names)]


def intend_listed(listed: OverrideList, view: View) -> Intent:
    """
    The intent of an Install that a list decides: of every installed package that it names, the newest version above the
    installed one that it allows; on SUSE also what a patch brings that it names.

    On apt that is the candidate, where the list allows it, and another version only where the list names versions. What the
    list names in versions of which none is above the installed one stays: newer ones are blocked, for whatever needs them.
    """
    bench = _Bench(listed, view)
    wanted = {wish.key: wish for wish in bench.of_patches()}
    blocked: Set[str] = set()
    for key, package in view.newest().items():
        entries = [entry for entry in listed.of(package.name, key) if entry.concerns(key)]
        if not entries:
            continue
        version = bench.choice(package, entries)
        if version:
            wanted[key] = Wanted(package.name, package.arch, package.version, version)
        elif key not in wanted:
            blocked.update(bench.held_back(package, entries))
    return Intent(tuple(wanted[key] for key in sorted(wanted)), blocked=tuple(sorted(blocked)))


def with_failures(
    judgement: Judgement, wanted: Sequence[Wanted], failures: Mapping[str, str], family: Family
) -> Judgement:
    """*judgement*, in which what a list wanted and could not be installed is Failed, whether or not the baseline approves it."""
    items = {item.key: item for item in judgement.items}
    told = {key for item in judgement.items if item.state is PatchState.FAILED for key in item.packages}
    for wish in wanted:
        if wish.key in failures and wish.key not in told:
            fresh = Item(wish.key, "", PatchState.FAILED, wish.installed, wish.version)
            items[wish.key] = replace(
                items.get(wish.key, fresh),
                state=PatchState.FAILED,
                version=wish.version,
                title=title(family, wish.key, wish.version),
                reason=failures[wish.key],
            )
    return replace(judgement, items=tuple(items[key] for key in sorted(items)))


def glob(pattern: str, text: str) -> bool:
    """Whether *pattern*, in which each `*` stands for anything, is all of *text*. Takes linear time in the text for each `*`."""
    first, *middle = pattern.split(ANY)
    if not middle:
        return pattern == text
    last = middle.pop()
    if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
        return False
    at, end = len(first), len(text) - len(last)
    for part in middle:
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


class _Bench:
    """One list over one node."""

    def __init__(self, listed: OverrideList, view: View) -> None:
        self.listed = listed
        self.view = view
        self.family = view.facts.operating_system.family
        self.scheme = view.packages.manager.scheme
        self.candidates = view.candidates() if self.family is Family.APT else {}
        self.offered: Dict[str, Set[str]] = {}
        for part in view.slices:
            for offer in part.offers:
                if not offer.module or offer.module in view.facts.modules:
                    self.offered.setdefault(f"{offer.name}.{offer.arch}", set()).add(offer.version)

    def choice(self, package: Package, entries: Sequence[Listed]) -> str:
        """The version that the package is to be brought to, its own where it is to be finished; empty where it stays."""
        allowed = [version for version in self.newer(package) if self.allowed(package, entries, version)]
        if self.family is Family.APT:
            candidate = self.candidates.get(package.key, "")
            named = [entry for entry in entries if not entry.any_version]
            if candidate not in allowed:
                allowed = [version for version in allowed if self.allowed(package, named, version)]
            else:
                allowed = [candidate]
        if allowed:
            return max(allowed, key=lambda version: version_key(self.scheme, version))
        unfinished = not PackageState(package.state).usable
        return package.version if unfinished and self.allowed(package, entries, package.version) else ""

    def held_back(self, package: Package, entries: Sequence[Listed]) -> List[str]:
        """What is not to be installed of a package of which the list allows no newer version, as entries of a rejected list."""
        refused = [one for one in self.newer(package) if not self.allowed(package, entries, one)]
        if self.family is Family.APT:
            return [package.name] if refused else []
        if self.family is Family.ZYPP:
            return [rpm_file(package.name, package.arch, version) for version in refused]
        return [f"{package.name}-{version}.{package.arch}" for version in refused]

    def newer(self, package: Package) -> List[str]:
        """The versions that are offered above the installed one."""
        offered = self.offered.get(package.key, ())
        return [version for version in offered if compare(self.scheme, version, package.version) > 0]

    @staticmethod
    def allowed(package: Package, entries: Sequence[Listed], version: str) -> bool:
        return any(entry.allows(package.name, package.arch, version) for entry in entries)

    def of_patches(self) -> List[Wanted]:
        """What the SUSE patches that the list names by their own name bring: each package in the highest version."""
        if self.family is not Family.ZYPP:
            return []
        newest = self.view.newest()
        highest: Dict[str, Wanted] = {}
        for patch in self.view.patches():
            if not any(glob(entry.title, patch.name) for entry in self.listed.of(patch.name)):
                continue
            for fixed in outstanding_packages(patch, newest, self.scheme):
                before = highest.get(fixed.key)
                if before is None or compare(self.scheme, before.version, fixed.version) < 0:
                    highest[fixed.key] = Wanted(fixed.name, fixed.arch, newest[fixed.key].version, fixed.version)
        return list(highest.values())


def _spellings(key: str, version: str) -> List[str]:
    """How a title may spell a package in a version."""
    epoch, colon, bare = version.partition(":")
    if not colon:
        return [key, f"{key}:{version}", f"{key}:0:{version}"]
    return [key, f"{key}:{version}", f"{key}:{bare}"] if epoch == "0" else [key, f"{key}:{version}"]


def _entry(number: int, row: Any) -> Listed:
    if not isinstance(row, dict):
        raise MalformedOverride(f"entry {number} of its patches is no mapping of id and title")
    texts = []
    for name in ("id", "title"):
        text = row.get(name)
        if not isinstance(text, str) or not text.strip():
            raise MalformedOverride(f"entry {number} of its patches has no {name}")
        if len(text) > MAX_LENGTH + 1 or not text.isprintable():
            raise MalformedOverride(
                f"the {name} of entry {number} of its patches is longer than any package's, or unprintable"
            )
        texts.append(text.strip())
    return Listed(*texts)
