# SPDX-License-Identifier: Apache-2.0
"""
How a machine becomes a node, and what it signs with from then on (spec agent-protocol §3).

Our agent enrols and gets a secret. amazon-ssm-agent registers an RSA key of its own; what it signs with that key is a request
for a session, and the session's key signs the rest.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

from patchwright.server import nodes, tags
from patchwright.server.accounts import NODE_PRINCIPAL, MasterKey, Principal, Sessions, is_active, public_keys
from patchwright.server.gateway.machines import said
from patchwright.server.infra import Clock, Database, UnitOfWork
from patchwright.server.nodes import Identity, Machine
from patchwright.server.wire import Caller, Credential, access_denied, unrecognized_client

AMAZON_AGENT = "amazon-ssm-agent"  # what Amazon's agent calls itself
_DAY_SECONDS = 86_400.0


class Registration:
    """
    Makes nodes of machines, and knows them again.

    A key that has been used for *key_days* is to be replaced: amazon-ssm-agent is asked to; 0: never.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        master: MasterKey,
        *,
        directory: nodes.Service,
        sessions: Sessions,
        key_days: float = 0.0,
    ) -> None:
        self._database = database
        self._clock = clock
        self._master = master
        self._directory = directory
        self._sessions = sessions
        self._key_seconds = key_days * _DAY_SECONDS

    async def credential(self, instance_id: str) -> Credential | None:
        """What a node signs with: a key that it registered, or a secret that is derived and never stored (design D6)."""
        identity = await self._directory.identity(instance_id)
        if identity is None:
            return None
        scope = identity.scope
        return Credential(
            access_key_id=instance_id,
            secret=self._secret(identity) if identity.key is None else "",
            account=scope.account,
            principal=identity.arn,
            kind="node",
            region=scope.region,
            instance_id=instance_id,
            identity=_principal(identity),
            public_keys=() if identity.key is None else identity.key.public_keys,
        )

    async def enroll(self, _caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """Patchwright.Enroll: an activation becomes a node, once for each token."""
        identity = await self._made(request, Machine(**said(request)), token=request["EnrollmentToken"], then=_nothing)
        return {
            "InstanceId": identity.instance_id,
            "Secret": self._secret(identity),
            "Region": identity.scope.region,
            "Account": identity.scope.account,
        }

    async def register_managed_instance(self, _caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """
        AmazonSSM.RegisterManagedInstance: an activation becomes a node, once for each key.

        The agent sends it again where it got no answer, with the same key: that is the same node.
        """
        public_key, now = public_keys.read_public_key(request["PublicKey"]), self._clock.now()

        def give(identity: Identity) -> UnitOfWork[None]:
            return nodes.give_key(identity, public_key, request["Fingerprint"], now=now)

        token = f"register/{public_keys.key_id(public_key)}"
        identity = await self._made(request, Machine(agent_name=AMAZON_AGENT), token=token, then=give)
        return {"InstanceId": identity.instance_id}

    async def request_managed_instance_role_token(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """AmazonSSM.RequestManagedInstanceRoleToken: a session for an hour, for a machine that is the one it was."""
        _with_its_key(caller)
        identity = await self._signed_by(caller)
        nodes.check_fingerprint(identity, request["Fingerprint"])
        given = self._sessions.of_node(_principal(identity), identity.scope.region, origin=identity.origin)
        return {
            "AccessKeyId": given.session.key_id,
            "SecretAccessKey": given.secret,
            "SessionToken": given.token,
            "TokenExpirationDate": int(given.session.expires_at),
            "UpdateKeyPair": self._outworn(identity),
        }

    async def update_managed_instance_public_key(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """AmazonSSM.UpdateManagedInstancePublicKey: the key that the node signs with from now on."""
        _with_its_key(caller)
        fresh = public_keys.read_public_key(request["NewPublicKey"])
        instance_id, now = str(caller.instance_id), self._clock.now()
        await self._database.write(nodes.offer_key, instance_id, fresh, used=caller.public_key, now=now)
        return {}

    async def _signed_by(self, caller: Caller) -> Identity:
        """The node that signed; where it used the key that it is to change to, it has changed now."""
        identity = await self._directory.identity(str(caller.instance_id))
        if identity is not None and identity.key is not None and caller.public_key != identity.key.key_id:
            identity = await self._database.write(
                nodes.settle_key, str(caller.instance_id), used=caller.public_key, now=self._clock.now()
            )
        if identity is None:  # it was deregistered a moment ago
            raise unrecognized_client()
        return identity

    def _outworn(self, identity: Identity) -> bool:
        """Whether the agent is to make itself another key."""
        key = identity.key
        return key is not None and 0 < self._key_seconds <= self._clock.now() - key.made_at

    def _secret(self, identity: Identity) -> str:
        return base64.b64encode(self._master.node_secret(identity.instance_id, identity.generation)).decode()

    async def _made(
        self, request: Mapping[str, Any], machine: Machine, *, token: str, then: Callable[[Identity], UnitOfWork[None]]
    ) -> Identity:
        now, fresh_id = self._clock.now(), nodes.fresh_node_id()
        return await self._database.write(_enrol, request, machine, token=token, then=then, now=now, fresh_id=fresh_id)


def _with_its_key(caller: Caller) -> None:
    """Raise unless the node signed with what it has for good: whoever got hold of a session has it for an hour, no longer."""
    if caller.identity is not None and caller.identity.session is not None:
        raise access_denied(f"{caller.principal} asks for this with its own key, not within a session.")


def _enrol(
    request: Mapping[str, Any],
    machine: Machine,
    *,
    token: str,
    then: Callable[[Identity], UnitOfWork[None]],
    now: float,
    fresh_id: str,
) -> UnitOfWork[Identity]:
    """Make a node of a machine, and where it is new do *then* what else belongs to it."""
    identity, activation = yield from nodes.enrol(
        request["ActivationId"], request["ActivationCode"], token, machine, now=now, fresh_id=fresh_id
    )
    if not (yield from is_active(identity.scope.account)):
        msg = "The account of this activation is disabled."
        raise nodes.ActivationRefused(msg)
    if activation is None:
        return identity
    yield from then(identity)
    if activation.tags:
        yield from tags.add(identity.scope, tags.MANAGED_INSTANCE, identity.instance_id, activation.tags)
    return identity


def _nothing(_identity: Identity) -> UnitOfWork[None]:
    """Nothing more belongs to a node of ours."""
    yield from ()


def _principal(identity: Identity) -> Principal:
    node = identity.instance_id
    return Principal(identity.scope.account, identity.arn, NODE_PRINCIPAL, node, node)
