# SPDX-License-Identifier: Apache-2.0
"""Use cases of activations and nodes."""

from __future__ import annotations

import hmac
import secrets
import string
from collections.abc import Mapping, Sequence

from patchwright.server.accounts import Scope
from patchwright.server.infra import Clock, Database, UnitOfWork, new_id, new_uuid
from patchwright.server.nodes import store
from patchwright.server.nodes.listing import EVERY_NODE, Listing, count_by
from patchwright.server.nodes.model import (
    DEFAULT_LIFE_SECONDS,
    MAX_LIFE_SECONDS,
    Activation,
    ActivationRefused,
    Identity,
    Machine,
    MissingRole,
    Node,
    UnknownActivation,
    UnknownNode,
    hash_code,
)

_CODE_CHARACTERS = 24
_CODE_ALPHABET = string.ascii_letters + string.digits
_WRONG = "The activation id or the activation code is wrong."


class Service:
    """Activations and managed nodes."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def create_activation(
        self,
        scope: Scope,
        *,
        role: str,
        description: str = "",
        default_name: str = "",
        tags: Mapping[str, str] | None = None,
        registration_limit: int = 1,
        expires_at: float | None = None,
    ) -> tuple[Activation, str]:
        """
        Make an activation; returns it and its code, which is shown this once.

        Args:
            scope: The account and region its nodes will belong to for ever.
            role: The role its nodes get.
            description: For people.
            default_name: The name of nodes that enrol with it.
            tags: Copied to each of them.
            registration_limit: How many nodes may enrol, 1 to 1000.
            expires_at: Epoch seconds; None: in a day. At most 30 days ahead.

        Raises:
            ActivationRefused: The expiry is in the past or too far ahead.
            MissingRole: The role has no name.
        """
        _check_role(role)
        now = self._clock.now()
        end = now + DEFAULT_LIFE_SECONDS if expires_at is None else expires_at
        if not now < end <= now + MAX_LIFE_SECONDS:
            msg = "The expiration date must be in the future, and at most 30 days from now."
            raise ActivationRefused(msg)
        code = "".join(secrets.choice(_CODE_ALPHABET) for _ in range(_CODE_CHARACTERS))
        activation = Activation(
            scope=scope,
            id=new_uuid(),
            code_hash=hash_code(code),
            role=role,
            description=description,
            default_name=default_name,
            tags=dict(tags or {}),
            registration_limit=registration_limit,
            registrations=0,
            expires_at=end,
            created_at=now,
        )
        await self._database.write(store.put_activation, activation)
        return activation, code

    async def activations(
        self, scope: Scope, narrowed: Mapping[str, Sequence[str]], *, after: str, limit: int
    ) -> list[Activation]:
        """
        Up to *limit* activations whose id comes after *after*, in order of id, used up and expired ones too.

        *narrowed*: alternatives by `id`, `default_name` or `role`, at least one each.
        """
        return await self._database.read(store.activations, scope, narrowed, after=after, limit=limit)

    async def delete_activation(self, scope: Scope, activation_id: str) -> None:
        """Delete an activation: it enrols nobody any more. Its nodes stay. Errors: UnknownActivation."""
        await self._database.write(_delete_activation, scope, activation_id)

    async def listed(self, scope: Scope, listing: Listing, *, after: str, limit: int) -> list[Node]:
        """Up to *limit* nodes of *listing* whose id comes after *after*, in order of id, without their tags."""
        return await self._database.read(store.page, scope, listing, after=after, limit=limit)

    async def counted(self, scope: Scope, listing: Listing, fields: Sequence[str]) -> list[tuple[tuple[str, ...], int]]:
        """How many nodes of *listing* there are for each combination of values of *fields*, in order of the values."""
        return await self._database.read(count_by, scope, listing, fields)

    async def set_role(self, scope: Scope, instance_id: str, role: str) -> None:
        """Give a node another role. Errors: UnknownNode, MissingRole."""
        _check_role(role)
        await self._database.write(_set_role, scope, instance_id, role)

    async def identity(self, instance_id: str) -> Identity | None:
        """Whose the node with this id is, or None."""
        return await self._database.read(store.find_identity, instance_id)

    async def ping(self, scope: Scope, instance_id: str, machine: Machine) -> None:
        """Note that the node was heard of just now, and what it says of itself."""
        await self._database.write(store.ping, scope, instance_id, machine, now=self._clock.now())


def enrol(
    activation_id: str, code: str, token: str, machine: Machine, *, now: float, fresh_id: str
) -> UnitOfWork[tuple[Identity, Activation | None]]:
    """
    Make a node of whoever holds an activation's code; a unit of work.

    The same *token* with the same activation gives the same node again, so that a lost answer costs no registration; then the
    activation returned is None. *fresh_id* is the id of the node if it is new.

    Raises:
        ActivationRefused: Unknown, wrong code, expired or used up. Unknown and wrong are told alike.
    """
    activation = yield from store.find_activation(activation_id)
    code_hash = hash_code(code)
    if activation is None or not hmac.compare_digest(code_hash, activation.code_hash):
        raise ActivationRefused(_WRONG)
    before = yield from store.enrolled(activation_id, hash_code(token))
    if before is not None:
        return before, None
    refusal = activation.refusal(code_hash, now)
    if refusal or not (yield from store.use_activation(activation_id)):
        raise ActivationRefused(refusal or "The activation has been used as often as it allows: create a new one.")
    node = Node(
        scope=activation.scope,
        id=fresh_id,
        activation_id=activation_id,
        role=activation.role,
        name=activation.default_name,
        machine=machine,
        registered_at=now,
        last_ping_at=now,
        facts_id=None,
    )
    yield from store.put_node(node, enrolment_hash=hash_code(token))
    return Identity(activation.scope, fresh_id, 1), activation


def known(scope: Scope, ids: Sequence[str]) -> UnitOfWork[list[Node]]:
    """The nodes with these ids, in order of id; unknown ones are passed over."""
    return (yield from store.find(scope, ids))


def existing(scope: Scope, ids: Sequence[str]) -> UnitOfWork[list[str]]:
    """Those of *ids* that are managed nodes, in order."""
    return (yield from store.existing(scope, ids))


def require(scope: Scope, instance_id: str) -> UnitOfWork[Node]:
    """The node with this id; raises UnknownNode."""
    found = yield from store.find(scope, [instance_id])
    if not found:
        raise UnknownNode(instance_id)
    return found[0]


def deregister(scope: Scope, instance_id: str) -> UnitOfWork[None]:
    """
    Forget a node, so that its key signs nothing any more; a unit of work. Errors: UnknownNode.

    Facts and operations stay: they are history. Other rooms forget on their own: tags, inventory, compliance, what is open.
    """
    if not (yield from store.remove(scope, instance_id)):
        raise UnknownNode(instance_id)


def page(scope: Scope, *, after: str, limit: int) -> UnitOfWork[list[Node]]:
    """Up to *limit* nodes whose id comes after *after*, in order of id; a unit of work."""
    return (yield from store.page(scope, EVERY_NODE, after=after, limit=limit))


def all_ids(scope: Scope) -> UnitOfWork[list[str]]:
    """Every node's id, in order."""
    return (yield from store.ids(scope))


def ids_after(scope: Scope, *, after: str, limit: int) -> UnitOfWork[list[str]]:
    """Up to *limit* ids of nodes after *after*, in order."""
    return (yield from store.ids_after(scope, after=after, limit=limit))


def fresh_node_id() -> str:
    """An id for a node that is about to enrol."""
    return new_id("mi")


def _delete_activation(scope: Scope, activation_id: str) -> UnitOfWork[None]:
    if not (yield from store.remove_activation(scope, activation_id)):
        raise UnknownActivation(activation_id)


def _set_role(scope: Scope, instance_id: str, role: str) -> UnitOfWork[None]:
    if not (yield from store.set_role(scope, instance_id, role)):
        raise UnknownNode(instance_id)


def _check_role(role: str) -> None:
    if not role.strip():
        raise MissingRole(role)
