# SPDX-License-Identifier: Apache-2.0
"""SQL of activations and nodes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from patchwright.server.accounts import Scope
from patchwright.server.infra import Row, UnitOfWork, placeholders, sql
from patchwright.server.nodes import listing
from patchwright.server.nodes.listing import MACHINE_COLUMNS, NODE_COLUMNS, Listing
from patchwright.server.nodes.model import Activation, Identity, Machine, Node, NodeKey

_ACTIVATION = (
    "account, region, id, code_hash, role, description, default_name, tags,"
    " registration_limit, registrations, expires_at, created_at"
)


def put_activation(activation: Activation) -> UnitOfWork[None]:
    """Store a new activation."""
    yield sql(
        f"INSERT INTO activation ({_ACTIVATION}) VALUES ({placeholders(1, 12)})",
        *activation.scope,
        activation.id,
        activation.code_hash,
        activation.role,
        activation.description,
        activation.default_name,
        json.dumps(dict(activation.tags), sort_keys=True),
        activation.registration_limit,
        activation.registrations,
        activation.expires_at,
        activation.created_at,
    )


def find_activation(activation_id: str) -> UnitOfWork[Activation | None]:
    """The activation, in whatever account and region it was made."""
    rows = yield sql(f"SELECT {_ACTIVATION} FROM activation WHERE id = $1", activation_id)
    return _activation(rows[0]) if rows else None


def activations(
    scope: Scope, narrowed: Mapping[str, Sequence[str]], *, after: str, limit: int
) -> UnitOfWork[list[Activation]]:
    """
    Up to *limit* activations whose id comes after *after*, in order of id.

    *narrowed* has the values that are wanted, by column: `id`, `default_name`, `role`.
    """
    params: list[Any] = [*scope, after, limit]
    wanted = ""
    for column in ("id", "default_name", "role"):
        if column in narrowed:
            wanted += f" AND {column} IN ({placeholders(len(params) + 1, len(narrowed[column]))})"
            params += narrowed[column]
    rows = yield sql(
        f"SELECT {_ACTIVATION} FROM activation WHERE account = $1 AND region = $2 AND id > $3{wanted} ORDER BY id LIMIT $4",
        *params,
    )
    return [_activation(row) for row in rows]


def remove_activation(scope: Scope, activation_id: str) -> UnitOfWork[bool]:
    """Delete an activation; false if there is none."""
    rows = yield sql(
        "DELETE FROM activation WHERE account = $1 AND region = $2 AND id = $3 RETURNING id", *scope, activation_id
    )
    return bool(rows)


def use_activation(activation_id: str) -> UnitOfWork[bool]:
    """Count one registration; false if the limit is reached."""
    rows = yield sql(
        "UPDATE activation SET registrations = registrations + 1"
        " WHERE id = $1 AND registrations < registration_limit RETURNING id",
        activation_id,
    )
    return bool(rows)


def put_node(node: Node, *, enrolment_hash: str) -> UnitOfWork[None]:
    """Store a new node of generation 1."""
    yield sql(
        f"INSERT INTO node ({NODE_COLUMNS}, enrolment_hash, generation) VALUES ({placeholders(1, 22)}, $23, 1)",
        *node.scope,
        node.id,
        node.activation_id,
        node.role,
        node.name,
        *_columns(node.machine),
        node.registered_at,
        node.last_ping_at,
        node.facts_id,
        enrolment_hash,
    )


def enrolled(activation_id: str, enrolment_hash: str) -> UnitOfWork[Identity | None]:
    """The node that enrolled with this token before."""
    rows = yield sql(
        "SELECT account, region, id, generation FROM node WHERE activation_id = $1 AND enrolment_hash = $2",
        activation_id,
        enrolment_hash,
    )
    return _identity(rows)


def find_identity(instance_id: str) -> UnitOfWork[Identity | None]:
    """Whose the node is, by its id alone."""
    rows = yield sql(
        "SELECT n.account, n.region, n.id, n.generation, k.public_key, k.key_id, k.fingerprint, k.made_at,"
        " k.next_public_key, k.former_key_id"
        " FROM node n LEFT JOIN node_key k ON k.instance_id = n.id WHERE n.id = $1",
        instance_id,
    )
    found = _identity(rows)
    return found if found is None or rows[0][4] is None else replace(found, key=NodeKey(*rows[0][4:]))


def put_key(scope: Scope, instance_id: str, key: NodeKey) -> UnitOfWork[None]:
    """Store the key a node signs with, in the place of the one before."""
    yield sql(
        "INSERT INTO node_key (account, region, instance_id, public_key, key_id, fingerprint, made_at, next_public_key,"
        " former_key_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
        " ON CONFLICT (account, region, instance_id) DO UPDATE SET public_key = excluded.public_key,"
        " key_id = excluded.key_id, made_at = excluded.made_at, next_public_key = excluded.next_public_key,"
        " former_key_id = excluded.former_key_id",
        *scope,
        instance_id,
        key.public_key,
        key.key_id,
        key.fingerprint,
        key.made_at,
        key.next_public_key,
        key.former_key_id,
    )


def find(scope: Scope, ids: Sequence[str]) -> UnitOfWork[list[Node]]:
    """The nodes with these ids, in order of id; unknown ones are passed over."""
    if not ids:
        return []
    rows = yield sql(
        f"SELECT {NODE_COLUMNS} FROM node"
        f" WHERE account = $1 AND region = $2 AND id IN ({placeholders(3, len(ids))}) ORDER BY id",
        *scope,
        *ids,
    )
    return [_node(row) for row in rows]


def page(scope: Scope, listed: Listing, *, after: str, limit: int) -> UnitOfWork[list[Node]]:
    """Up to *limit* nodes of a listing whose id comes after *after*, in order of id."""
    rows = yield from listing.page(scope, listed, after=after, limit=limit)
    return [_node(row) for row in rows]


def existing(scope: Scope, ids: Sequence[str]) -> UnitOfWork[list[str]]:
    """Those of *ids* that are nodes, in order."""
    if not ids:
        return []
    rows = yield sql(
        f"SELECT id FROM node WHERE account = $1 AND region = $2 AND id IN ({placeholders(3, len(ids))}) ORDER BY id",
        *scope,
        *ids,
    )
    return [row[0] for row in rows]


def ids(scope: Scope) -> UnitOfWork[list[str]]:
    """Every node's id, in order."""
    rows = yield sql("SELECT id FROM node WHERE account = $1 AND region = $2 ORDER BY id", *scope)
    return [row[0] for row in rows]


def ids_after(scope: Scope, *, after: str, limit: int) -> UnitOfWork[list[str]]:
    """Up to *limit* ids of nodes after *after*, in order."""
    rows = yield sql(
        "SELECT id FROM node WHERE account = $1 AND region = $2 AND id > $3 ORDER BY id LIMIT $4", *scope, after, limit
    )
    return [row[0] for row in rows]


def set_role(scope: Scope, instance_id: str, role: str) -> UnitOfWork[bool]:
    """Give a node another role; false if there is no such node."""
    rows = yield sql(
        "UPDATE node SET role = $4 WHERE account = $1 AND region = $2 AND id = $3 RETURNING id",
        *scope,
        instance_id,
        role,
    )
    return bool(rows)


def remove(scope: Scope, instance_id: str) -> UnitOfWork[bool]:
    """
    Delete a node, its key and what says which facts are its newest; false if there is none.

    Its facts, and what they said had changed, stay: they are history.
    """
    rows = yield sql(
        "DELETE FROM node WHERE account = $1 AND region = $2 AND id = $3 RETURNING id", *scope, instance_id
    )
    yield sql("DELETE FROM node_key WHERE account = $1 AND region = $2 AND instance_id = $3", *scope, instance_id)
    yield sql("DELETE FROM former_facts WHERE account = $1 AND region = $2 AND instance_id = $3", *scope, instance_id)
    return bool(rows)


def ping(scope: Scope, instance_id: str, machine: Machine, *, now: float) -> UnitOfWork[None]:
    """Note that the node was heard of, and what it says of itself; empty members keep what is known."""
    members = MACHINE_COLUMNS.split(", ")[1:]
    sets = ", ".join(f"{name} = COALESCE(NULLIF(${n}, ''), {name})" for n, name in enumerate(members, start=5))
    yield sql(
        f"UPDATE node SET last_ping_at = $4, {sets} WHERE account = $1 AND region = $2 AND id = $3",
        *scope,
        instance_id,
        now,
        *_columns(machine)[1:],
    )


def _activation(row: Row) -> Activation:
    values = dict(zip(_ACTIVATION.split(", "), row, strict=True))
    scope = Scope(values.pop("account"), values.pop("region"))
    values["tags"] = json.loads(values["tags"])
    return Activation(scope=scope, **values)


def _columns(machine: Machine) -> tuple[str, ...]:
    """The values of the columns in `MACHINE_COLUMNS`, in that order."""
    return tuple(getattr(machine, name) for name in MACHINE_COLUMNS.split(", "))


def _identity(rows: list[Row]) -> Identity | None:
    return Identity(Scope(*rows[0][:2]), *rows[0][2:4]) if rows else None


def _node(row: Row) -> Node:
    return Node(Scope(*row[:2]), row[2], row[3], row[4], row[5], Machine(*row[6:19]), *row[19:])
