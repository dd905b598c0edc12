# SPDX-License-Identifier: Apache-2.0
"""Nodes that sign with a key of their own, as amazon-ssm-agent does (spec agent-protocol §3); units of work."""

from __future__ import annotations

from dataclasses import replace

from patchwright.server.accounts import NODE_PRINCIPAL, Principal, Session, UnusableKey, public_keys
from patchwright.server.infra import UnitOfWork
from patchwright.server.nodes import store
from patchwright.server.nodes.model import Identity, NodeKey, WrongFingerprint


def give_key(identity: Identity, public_key: bytes, fingerprint: str, *, now: float) -> UnitOfWork[None]:
    """Let a node that has just enrolled sign with *public_key*."""
    key = NodeKey(public_key, public_keys.key_id(public_key), fingerprint, now)
    yield from store.put_key(identity.scope, identity.instance_id, key)


def offer_key(instance_id: str, public_key: bytes, *, used: str, now: float) -> UnitOfWork[None]:
    """
    Let a node sign with *public_key* as well, and with nothing else once it has used it.

    An answer that is lost on its way costs nothing so: the node goes on with the key it has. *used* is the key that the node
    signed with just now. Raises UnusableKey for a node that signs with a secret.
    """
    identity = yield from settle_key(instance_id, used=used, now=now)
    if identity is None or identity.key is None:
        msg = f"{instance_id} signs with a secret, and has no key to replace."
        raise UnusableKey(msg)
    following = b"" if public_key == identity.key.public_key else public_key
    yield from store.put_key(identity.scope, instance_id, replace(identity.key, next_public_key=following))


def settle_key(instance_id: str, *, used: str, now: float) -> UnitOfWork[Identity | None]:
    """What a node signs with, now that it has *used* a key: where that is the one it was to change to, it has changed."""
    identity = yield from store.find_identity(instance_id)
    key = None if identity is None else identity.key
    if identity is None or key is None or not key.next_public_key or used != public_keys.key_id(key.next_public_key):
        return identity
    changed = NodeKey(key.next_public_key, used, key.fingerprint, now, former_key_id=key.key_id)
    yield from store.put_key(identity.scope, instance_id, changed)
    return replace(identity, key=changed)


def check_fingerprint(identity: Identity, fingerprint: str) -> None:
    """Raise WrongFingerprint where a node's key is used on another machine than the one it was made on: that is a copy."""
    if identity.key is not None and fingerprint != identity.key.fingerprint:
        raise WrongFingerprint(identity.instance_id)


def holder(session: Session, now: float) -> UnitOfWork[Principal | None]:
    """Whose a node's session is at *now*; None where the node is gone, or has had another key for too long."""
    identity = yield from store.find_identity(session.owner)
    if identity is None or identity.scope != (session.account, session.region):
        return None
    if not identity.vouches(session.origin, now):
        return None
    return Principal(session.account, identity.arn, NODE_PRINCIPAL, session.owner, session.key_id, session)
