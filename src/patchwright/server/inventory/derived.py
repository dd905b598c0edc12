# SPDX-License-Identifier: Apache-2.0
"""What nodes show of each type: what they reported, and what the server knows itself and makes on read (spec §7.2, §7.3)."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from patchwright.core import inventory as core
from patchwright.core.inventory import SCHEMAS
from patchwright.server import nodes, tags
from patchwright.server.accounts import Scope
from patchwright.server.infra import UnitOfWork
from patchwright.server.inventory import store
from patchwright.server.inventory.model import DERIVED_TYPES, OWN_TYPES, Item, Reported
from patchwright.server.nodes import Node


@dataclass(frozen=True)
class Shown:
    """A node, and by type what it shows."""

    node: Node
    types: Mapping[str, Reported] = field(default_factory=dict)


@dataclass(frozen=True)
class Moment:
    """When the question is asked (epoch seconds), and for how long silence means nothing."""

    now: float
    online_seconds: float


def page(scope: Scope, types: Collection[str], *, after: str, limit: int, moment: Moment) -> UnitOfWork[list[Shown]]:
    """Up to *limit* nodes whose id comes after *after*, in order of id, with what they show of *types*."""
    found = yield from nodes.page(scope, after=after, limit=limit)
    return (yield from shown(scope, found, types, moment=moment))


def shown(scope: Scope, found: Sequence[Node], types: Collection[str], *, moment: Moment) -> UnitOfWork[list[Shown]]:
    """These nodes with what they show of *types*, contents that are stored by digest; a few statements for all of them."""
    wanted, ids = frozenset(types), [node.id for node in found]
    by_node: dict[str, dict[str, Reported]] = {node.id: {} for node in found}
    for item in (yield from store.items_of_each(scope, ids, wanted - OWN_TYPES)):
        by_node[item.instance_id][item.type_name] = _stored(item)
    if wanted & DERIVED_TYPES:
        if core.INSTANCE_INFORMATION in wanted:
            for node in found:
                by_node[node.id][core.INSTANCE_INFORMATION] = _information(node, moment)
        if core.TAG in wanted:
            carried = yield from tags.of_each(scope, tags.MANAGED_INSTANCE, ids)
            for node_id, own in carried.items():
                if own:
                    rows = [{"Key": key, "Value": value} for key, value in own.items()]
                    by_node[node_id][core.TAG] = made(core.TAG, rows, moment.now)
    return [Shown(node, by_node[node.id]) for node in found]


def made(type_name: str, rows: Iterable[Mapping[str, str]], captured_at: float) -> Reported:
    """What the server says of a node itself, of what was so at *captured_at* (epoch seconds)."""
    return Reported(type_name, SCHEMAS[type_name].version, iso(captured_at), rows=tuple(rows))


def iso(moment: float) -> str:
    """`2026-11-20T04:21:54Z`."""
    return datetime.datetime.fromtimestamp(int(moment), datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _stored(item: Item) -> Reported:
    return Reported(item.type_name, item.version, item.capture_time, item.content_hash, item.digest)


def _information(node: Node, moment: Moment) -> Reported:
    machine = node.machine
    status = "Active" if node.online(moment.now - moment.online_seconds) else "ConnectionLost"
    row = {
        "AgentStatus": status,
        "AgentType": machine.agent_name,
        "AgentVersion": machine.agent_version,
        "ComputerName": machine.computer_name,
        "InstanceId": node.id,
        "InstanceStatus": status,
        "IpAddress": machine.ip_address,
        "PlatformName": machine.platform_name,
        "PlatformType": machine.platform_type,
        "PlatformVersion": machine.platform_version,
        "ResourceType": nodes.MANAGED_INSTANCE,
    }
    return made(core.INSTANCE_INFORMATION, [row], node.last_ping_at)
