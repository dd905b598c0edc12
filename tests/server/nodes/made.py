# SPDX-License-Identifier: Apache-2.0
"""Nodes that never were machines."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from patchwright.server import nodes, tags
from patchwright.server.accounts import Scope
from patchwright.server.infra import Clock, Database
from patchwright.server.nodes import Machine

_tokens = itertools.count(1)


async def enrol(database: Database, clock: Clock, scope: Scope, **own_tags: str) -> str:
    """The id of a new node of *scope*."""
    (found,) = await enrol_many(database, clock, scope, 1, own_tags=own_tags)
    return found


async def enrol_many(
    database: Database, clock: Clock, scope: Scope, number: int, *, own_tags: Mapping[str, str] | None = None
) -> list[str]:
    """The ids of *number* new nodes of *scope*, in order of id."""
    activation, code = await nodes.Service(database, clock).create_activation(
        scope, role="node", registration_limit=number
    )
    found = []
    for _ in range(number):
        identity, _ = await database.write(
            nodes.enrol,
            activation.id,
            code,
            f"token-{next(_tokens)}",
            Machine(),
            now=clock.now(),
            fresh_id=nodes.fresh_node_id(),
        )
        found.append(identity.instance_id)
        if own_tags:
            await database.write(tags.add, scope, tags.MANAGED_INSTANCE, identity.instance_id, own_tags)
    return sorted(found)
