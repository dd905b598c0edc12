# SPDX-License-Identifier: Apache-2.0
"""
What a node reports about itself (design D2): digests of what it shares with others, and what is its own.

`View` is the same with the bodies behind the digests: what a baseline can be judged on.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Dict, List, Mapping, Tuple

from patchwright.core.advisory import Notice
from patchwright.core.errors import MalformedFacts
from patchwright.core.package import Manager, OffersSlice, Package, PackageSet
from patchwright.core.patch import Patch, patches
from patchwright.core.system import OperatingSystem
from patchwright.core.version import key as version_key

DEFAULT_PIN = 500
INSTALLED_PIN = 100  # what apt gives the installed version of a package (apt_preferences(5))
FORCE_DOWNGRADE_PIN = 1000
LIST_LIMIT = 20_000  # entries of one list of node facts
TEXT_LIMIT = 1024  # characters of one text
MESSAGE_LIMIT = 2_000  # characters of what a package manager says of a repository; more is cut
SECONDS_LIMIT = 2.0**53  # whole seconds beyond cannot be told apart
PIN_LIMIT = 2**31  # apt keeps priorities in 32 bits


@dataclass(frozen=True)
class SliceRef:
    """A repository's slice as one node uses it: which content, at what apt priority, from which address."""

    digest: str
    pin: int = DEFAULT_PIN
    address: str = ""


@dataclass(frozen=True)
class Pin:
    """An apt priority that the node's preferences give one version of one package."""

    name: str
    version: str
    priority: int


@dataclass(frozen=True)
class RepositoryProblem:
    """A repository that could not be read, and what the package manager said of it."""

    repository: str
    message: str


@dataclass(frozen=True)
class NodeFacts:
    """
    The facts of one node at one moment.

    *held* are `name.arch`; *stale_services* are units that still run replaced files; *reboot_reasons* say why the system
    itself asks for a reboot (empty: it does not). *observed_at* is the node's clock in epoch seconds, *clock_offset* what the
    node measured as server time minus its own, in seconds. *refreshed_at* is when repository metadata was last fetched,
    0 where unknown; *problems* are the repositories it could not be fetched from. *sources* is the digest of the repositories
    that stood in the place of the node's own (`core.source.digest`); empty where it was asked for its own.
    """

    manager: Manager
    operating_system: OperatingSystem
    product: str
    package_set: str
    slices: Tuple[SliceRef, ...] = ()
    notices: Tuple[str, ...] = ()
    pins: Tuple[Pin, ...] = ()
    boot_id: str = ""
    kernel: str = ""
    architecture: str = ""
    held: Tuple[str, ...] = ()
    modules: Tuple[str, ...] = ()
    stale_services: Tuple[str, ...] = ()
    reboot_reasons: Tuple[str, ...] = ()
    problems: Tuple[RepositoryProblem, ...] = ()
    refreshed_at: float = 0.0
    observed_at: float = 0.0
    clock_offset: float = 0.0
    sources: str = ""

    def to_json(self) -> Dict[str, Any]:
        """A JSON object; `from_json` reads it back to an equal value."""
        data = asdict(self)
        data["manager"] = self.manager.value
        data["operating_system"] = self.operating_system.value
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> NodeFacts:
        """
        Read what `to_json` wrote. Unknown members pass; mistyped ones raise MalformedFacts, and so does a node without its
        manager, operating system, product or package set. A problem's message is cut to its limit.
        """
        try:
            return cls(**_members(data))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise MalformedFacts(f"the node facts cannot be read: {error!r}") from None

    @property
    def digests(self) -> Tuple[str, ...]:
        """Every body these facts refer to: the package set, the slices, the notices."""
        return (self.package_set, *(ref.digest for ref in self.slices), *self.notices)


@dataclass(frozen=True)
class View:
    """A node's facts with the bodies they name. *slices* stand in the order of `facts.slices`."""

    facts: NodeFacts
    packages: PackageSet
    slices: Tuple[OffersSlice, ...]
    notices: Mapping[str, Notice] = field(default_factory=dict)

    def patches(self) -> Tuple[Patch, ...]:
        """Every patch the node's repositories offer for what it has installed and enabled; made once for each view."""
        return self._patches

    @cached_property
    def _patches(self) -> Tuple[Patch, ...]:
        return patches(
            self.facts.operating_system.family,
            self.facts.product,
            self.slices,
            self.notices,
            modules=self.facts.modules,
            installed={package.key for package in self.packages.packages},
        )

    def candidates(self) -> Dict[str, str]:
        """
        By `name.arch`, the version apt would install or keep: the highest priority wins, then the highest version.

        This is apt's own rule (apt_preferences(5)): no version below the installed one unless its priority is 1000 or more,
        none whose priority is 0 or less. Held packages have a candidate all the same.
        """
        ranked: Dict[str, List[Tuple[int, bytes, str]]] = {}
        scheme = self.packages.manager.scheme
        installed = {package.key: version_key(scheme, package.version) for package in self.packages.packages}
        for (name, arch, version), priority in self._priorities().items():
            key, order = f"{name}.{arch}", version_key(scheme, version)
            current = installed.get(key)
            if priority <= 0 or (current is not None and order < current and priority < FORCE_DOWNGRADE_PIN):
                continue
            ranked.setdefault(key, []).append((priority, order, version))
        return {key: max(choices)[2] for key, choices in ranked.items()}

    def _priorities(self) -> Dict[Tuple[str, str, str], int]:
        """The highest priority of each version, installed ones included; a pin of its own replaces the repositories'."""
        result = {package[:3]: INSTALLED_PIN for package in self.packages.packages}
        for ref, part in zip(self.facts.slices, self.slices):
            for offer in part.offers:
                if offer.module and offer.module not in self.facts.modules:
                    continue  # another stream's, which the package manager does not see
                identity = offer[:3]
                result[identity] = max(result.get(identity, ref.pin), ref.pin)
        if self.facts.pins:
            own = {(pin.name, pin.version): pin.priority for pin in self.facts.pins}
            result = {item: own.get((item[0], item[2]), priority) for item, priority in result.items()}
        return result

    def installed(self) -> Dict[str, Tuple[Package, ...]]:
        """Installed packages by `name.arch`."""
        return self.packages.by_key()

    def newest(self) -> Dict[str, Package]:
        """By `name.arch` the newest installed version, where several stand side by side."""
        scheme = self.packages.manager.scheme
        return {
            key: max(packages, key=lambda package: version_key(scheme, package.version))
            for key, packages in self.installed().items()
        }


def _members(data: Mapping[str, Any]) -> Dict[str, Any]:
    result: Dict[str, Any] = {
        "manager": Manager(data["manager"]),
        "operating_system": OperatingSystem(data["operating_system"]),
        "product": _text(data["product"]),
        "package_set": _text(data["package_set"]),
    }
    result["slices"] = tuple(
        SliceRef(_text(ref["digest"]), _priority(ref["pin"]), _text(ref["address"])) for ref in _list(data, "slices")
    )
    result["pins"] = tuple(
        Pin(_text(pin["name"]), _text(pin["version"]), _priority(pin["priority"])) for pin in _list(data, "pins")
    )
    result["problems"] = tuple(
        RepositoryProblem(_text(item["repository"]), _message(item["message"])) for item in _list(data, "problems")
    )
    for name in ("notices", "held", "modules", "stale_services", "reboot_reasons"):
        result[name] = tuple(_text(item) for item in _list(data, name))
    for name in ("boot_id", "kernel", "architecture", "sources"):
        result[name] = _text(data.get(name, ""))
    for name in ("refreshed_at", "observed_at", "clock_offset"):
        result[name] = _seconds(data.get(name, 0.0))
    return result


def _list(data: Mapping[str, Any], name: str) -> List[Any]:
    value = data.get(name, [])
    if not isinstance(value, (list, tuple)) or len(value) > LIST_LIMIT:
        raise ValueError(f"{name} is no list of at most {LIST_LIMIT} entries")
    return list(value)


def _text(value: Any, limit: int = TEXT_LIMIT) -> str:
    if not isinstance(value, str) or len(value) > limit:
        raise ValueError(f"a {type(value).__name__} where a text of at most {limit} characters belongs")
    if "\0" in value:
        raise ValueError("a text contains NUL")
    value.encode()  # a lone surrogate, which JSON can write and no database can hold, is a ValueError
    return value


def _message(value: Any) -> str:
    return _text(value[:MESSAGE_LIMIT] if isinstance(value, str) else value, MESSAGE_LIMIT)


def _priority(value: Any) -> int:
    if type(value) is not int or not -PIN_LIMIT <= value < PIN_LIMIT:
        raise ValueError("a priority is a whole number of 32 bits")
    return value


def _seconds(value: Any) -> float:
    if type(value) not in (int, float) or not abs(value) < SECONDS_LIMIT:
        raise ValueError("a moment is a number of seconds")
    return float(value)
