# SPDX-License-Identifier: Apache-2.0
"""Reading what `apt-cache policy` says: priorities of repositories, pins of packages, candidates."""

from __future__ import annotations

import re
from typing import Dict, List, NamedTuple, Tuple

from patchwright.core.facts import Pin

_FILE = re.compile(r"^ *(-?\d+) (\S.*)$")
_PINNED = re.compile(r"^ +(\S+) -> (\S+) with priority (-?\d+)$")
_HEADER = re.compile(r"^(\S+):$")
_CANDIDATE = re.compile(r"^  Candidate: (\S+)$")
_VERSION = re.compile(r"^ (?:\*\*\*|   ) (\S+) (-?\d+)(?: |$)")


class Policy(NamedTuple):
    """The node's preferences: a priority for each package file, by description, and pins of single packages."""

    priorities: Dict[str, int]
    pins: Tuple[Pin, ...]


class Versions(NamedTuple):
    """What apt would do with one package: its candidate (empty: none) and the priority of each version it knows."""

    candidate: str
    priorities: Dict[str, int]


def policy(listing: str) -> Policy:
    """The preferences as `apt-cache policy` without arguments lists them."""
    priorities: Dict[str, int] = {}
    pins: List[Pin] = []
    files, _, pinned = listing.partition("\nPinned packages:")
    for line in files.splitlines()[1:]:
        found = _FILE.match(line)
        if found:
            priorities[found.group(2)] = int(found.group(1))
    for line in pinned.splitlines():
        found = _PINNED.match(line)
        if found:
            pins.append(Pin(bare(found.group(1)), found.group(2), int(found.group(3))))
    return Policy(priorities, tuple(pins))


def versions(listing: str) -> Dict[str, Versions]:
    """What `apt-cache policy NAME…` says of each package, by the name it prints: `name`, or `name:arch` of a foreign one."""
    result: Dict[str, Versions] = {}
    candidate, known = "", ""
    for line in listing.splitlines():
        header = _HEADER.match(line)
        if header:
            known, candidate = header.group(1), ""
            result[known] = Versions("", {})
            continue
        found = _CANDIDATE.match(line)
        if found and known:
            candidate = "" if found.group(1) == "(none)" else found.group(1)
            result[known] = Versions(candidate, {})
            continue
        entry = _VERSION.match(line)
        if entry and known:
            result[known].priorities[entry.group(1)] = int(entry.group(2))
    return result


def bare(name: str) -> str:
    """`name` of `name:arch`."""
    return name.partition(":")[0]
