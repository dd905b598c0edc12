# SPDX-License-Identifier: Apache-2.0
"""Collecting: every type of the node's inventory, each cut to what the server takes."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Sequence

from patchwright.agent import log, providers
from patchwright.agent.errors import AgentError
from patchwright.agent.inventory import applications, custom, network, processor, services
from patchwright.agent.shell import Shell
from patchwright.core import inventory as core
from patchwright.core.inventory import MAX_BYTES, MAX_ROWS, MAX_VALUE, SCHEMAS, Row

# What may go from large items, the least telling first.
_EXPENDABLE = ("Summary", "URL", "Publisher", "PackageId", "DependentServices", "ServicesDependedOn", "ApplicationType")


class Found(NamedTuple):
    """The rows of one type, in an order of their own, and their hash."""

    type_name: str
    version: str
    rows: List[Row]
    hash: str


class Collected(NamedTuple):
    """What was found, by type. *complete*: every custom type that is not among them is not there any more."""

    types: Dict[str, Found]
    complete: bool


def collect(shell: Shell, custom_directories: Sequence[Path], root: Path = Path("/")) -> Collected:
    """
    Everything that can be found out, by type.

    A type that cannot be found out now is left out: the server keeps what it has.
    """
    found: Dict[str, Found] = {}
    installed: List[Row] = []

    def gather(type_name: str, rows: Callable[[], List[Row]]) -> List[Row]:
        try:
            taken = rows()
        except (AgentError, OSError, ValueError, TypeError, KeyError) as error:
            log.warning(f"inventory: {type_name} is left out: {error}")
            return []
        found[type_name] = of(type_name, SCHEMAS[type_name].version, taken)
        return taken

    manager = providers.detect(root)
    if manager is not None:
        installed = gather(core.APPLICATION, lambda: applications.installed(shell, manager))
    gather(core.COMPONENT, lambda: applications.components(installed))
    gather(core.NETWORK, lambda: network.interfaces(shell, root))
    gather(core.DETAILED_INFORMATION, lambda: processor.detailed_information(root))
    gather(core.SERVICE, lambda: services.services(shell, root))
    own, complete = custom.read(custom_directories)
    for one in own.values():
        found[one.type_name] = of(one.type_name, one.version, one.rows)
    return Collected(found, complete)


def of(type_name: str, version: str, rows: Sequence[Row]) -> Found:
    """*rows* as they are sent: values of the length the server takes, an item of the size."""
    short = core.sort_rows([{name: value[:MAX_VALUE] for name, value in row.items()} for row in rows])[:MAX_ROWS]
    return _found(type_name, version, _fitting(type_name, short))


def nothing(type_name: str, version: str) -> Found:
    """What is sent of a type that is not there any more."""
    return _found(type_name, version, [])


def _found(type_name: str, version: str, rows: List[Row]) -> Found:
    return Found(type_name, version, rows, core.content_hash(rows))


def _fitting(type_name: str, rows: List[Row]) -> List[Row]:
    """*rows* without what makes them too large: attributes that tell least, then rows."""
    for expendable in _EXPENDABLE:
        if len(core.canonical(rows)) <= MAX_BYTES:
            return rows
        log.warning(f"inventory: {type_name} is too large: {expendable} is left out")
        rows = [{name: value for name, value in row.items() if name != expendable} for row in rows]
    while len(core.canonical(rows)) > MAX_BYTES:
        log.warning(f"inventory: {type_name} is too large: of {len(rows)} rows half are left out")
        rows = rows[: len(rows) // 2]
    return rows
