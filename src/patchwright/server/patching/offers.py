# SPDX-License-Identifier: Apache-2.0
"""
SQL of what nodes' repositories offer: which offers there are, and facts that name each (design D3).

Offers are named `SYSTEM/PRODUCT/DIGEST`: nodes that see the same repositories through the same names have the same, so a
fleet has few of them, and finding them takes one step of the index each.
"""

from __future__ import annotations

import hashlib
import json
from typing import NamedTuple

from patchwright.core.facts import NodeFacts
from patchwright.server.accounts import Scope
from patchwright.server.infra import UnitOfWork, sql


class Offers(NamedTuple):
    """What some nodes are offered: their operating system and product, the name of it all, and facts that show it."""

    operating_system: str
    product: str
    name: str
    facts_id: str


def note(scope: Scope, instance_id: str, facts_id: str, facts: NodeFacts) -> UnitOfWork[None]:
    """Remember what a node is offered as of *facts*; where these name no repository, what was known of it stays."""
    if not facts.slices:
        return
    parts = [sorted({ref.digest for ref in facts.slices}), sorted(set(facts.notices))]
    digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    yield sql(
        "INSERT INTO offered (account, region, instance_id, offers, facts_id) VALUES ($1, $2, $3, $4, $5)"
        " ON CONFLICT (account, region, instance_id) DO UPDATE SET offers = excluded.offers, facts_id = excluded.facts_id",
        *scope,
        instance_id,
        f"{facts.operating_system.value}/{facts.product}/{digest}",
        facts_id,
    )


def of(scope: Scope, instance_id: str) -> UnitOfWork[Offers | None]:
    """What a node is offered, or None before its first facts."""
    rows = yield sql(
        "SELECT offers, facts_id FROM offered WHERE account = $1 AND region = $2 AND instance_id = $3",
        *scope,
        instance_id,
    )
    return _offers(*rows[0]) if rows else None


def forget(scope: Scope, instance_id: str) -> UnitOfWork[None]:
    """Let a node that goes away be offered nothing."""
    yield sql("DELETE FROM offered WHERE account = $1 AND region = $2 AND instance_id = $3", *scope, instance_id)


def distinct(scope: Scope) -> UnitOfWork[list[Offers]]:
    """Everything that nodes are offered, each once, in order of name."""
    rows = yield sql(
        "WITH RECURSIVE step (name) AS ("
        " SELECT MIN(offers) FROM offered WHERE account = $1 AND region = $2"
        " UNION ALL SELECT (SELECT MIN(offers) FROM offered WHERE account = $1 AND region = $2 AND offers > step.name)"
        " FROM step WHERE step.name IS NOT NULL)"
        " SELECT step.name, (SELECT o.facts_id FROM offered o"
        " WHERE o.account = $1 AND o.region = $2 AND o.offers = step.name LIMIT 1)"
        " FROM step WHERE step.name IS NOT NULL ORDER BY step.name",
        *scope,
    )
    return [_offers(*row) for row in rows]


def _offers(name: str, facts_id: str) -> Offers:
    system, _, rest = name.partition("/")
    return Offers(system, rest.rpartition("/")[0], name, facts_id)
