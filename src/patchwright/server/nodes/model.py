# SPDX-License-Identifier: Apache-2.0
"""Activations and managed nodes."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from patchwright.core.errors import PatchwrightError
from patchwright.server.accounts import Scope

DEFAULT_LIFE_SECONDS = 24 * 3600.0  # of an activation (spec §11.2)
MAX_LIFE_SECONDS = 30 * 24 * 3600.0
# How long sessions of a replaced key go on: the agent asks for its next one when half the time of the last is over.
GRACE_SECONDS = 2400.0
MANAGED_INSTANCE = "ManagedInstance"  # what every node is: there are no others here
OWN_SOURCE = "AWS::SSM::ManagedInstance"  # the source of a machine that names no cloud


class NodesError(PatchwrightError):
    """The root of this room's errors."""


class ActivationRefused(NodesError):
    """An activation that cannot be made, or that enrols nobody (any more)."""


class UnknownActivation(NodesError):
    """No activation with this id in this account and region."""

    def __init__(self, activation_id: str) -> None:
        super().__init__(f"There is no activation {activation_id}: it may have been deleted.")
        self.activation_id = activation_id


class MissingRole(NodesError):
    """Nodes are to have a role, and it has no name."""

    def __init__(self, role: str) -> None:
        super().__init__(f"Not existing role: {role!r}")


class WrongFingerprint(NodesError):
    """The agent's key is used on another machine than the one it was registered on."""

    def __init__(self, instance_id: str) -> None:
        super().__init__(
            f"{instance_id} was registered on another machine, or its hardware changed: register this one with an activation."
        )


class UnknownNode(NodesError):
    """No managed node with this id in this account and region."""

    def __init__(self, instance_id: str) -> None:
        super().__init__(f"There is no managed node {instance_id}.")
        self.instance_id = instance_id


@dataclass(frozen=True)
class Activation:
    """Time- and count-limited permission to enrol nodes. Only the hash of its code is kept."""

    scope: Scope
    id: str
    code_hash: str
    role: str
    description: str
    default_name: str
    tags: Mapping[str, str]
    registration_limit: int
    registrations: int
    expires_at: float
    created_at: float

    def expired(self, now: float) -> bool:
        """Whether its time is over at *now* (epoch seconds)."""
        return now >= self.expires_at

    def refusal(self, code_hash: str, now: float) -> str:
        """Why this activation enrols nobody with that code at *now* (epoch seconds); empty if it does."""
        if not hmac.compare_digest(code_hash, self.code_hash):
            return "The activation id or the activation code is wrong."
        if self.expired(now):
            return "The activation has expired: create a new one."
        if self.registrations >= self.registration_limit:
            return "The activation has been used as often as it allows: create a new one."
        return ""


@dataclass(frozen=True)
class Machine:
    """What an agent says of the machine it runs on."""

    machine_id: str = ""
    computer_name: str = ""
    platform_type: str = "Linux"
    platform_name: str = ""
    platform_version: str = ""
    agent_name: str = "patchwright-agent"
    agent_version: str = ""
    ip_address: str = ""
    source_id: str = ""  # what the cloud it runs in calls it
    source_type: str = ""
    source_location: str = ""
    availability_zone: str = ""
    availability_zone_id: str = ""


@dataclass(frozen=True)
class NodeKey:
    """
    The RSA key that a node signs with (spec agent-protocol §3.3), as the DER of its SubjectPublicKeyInfo.

    *next_public_key* counts as well, until the node has used it; from then on it counts alone. Empty: there is none. The
    *fingerprint* is what the agent calls the machine that it registered on.
    """

    public_key: bytes
    key_id: str
    fingerprint: str
    made_at: float
    next_public_key: bytes = b""
    former_key_id: str = ""

    @property
    def public_keys(self) -> tuple[bytes, ...]:
        """What counts now."""
        return (self.public_key, *([self.next_public_key] if self.next_public_key else []))


@dataclass(frozen=True)
class Identity:
    """
    Which node a key id is: what is needed to check what it signs, and to know whose it is.

    A node without a *key* signs with a secret, which is derived from its *generation*.
    """

    scope: Scope
    instance_id: str
    generation: int
    key: NodeKey | None = None

    @property
    def arn(self) -> str:
        """What the node is called where it acts."""
        account, region = self.scope
        return f"arn:aws:ssm:{region}:{account}:managed-instance/{self.instance_id}"

    @property
    def origin(self) -> str:
        """What the node's sessions begin with: the key it signs with, or the generation of its secret."""
        return f"generation {self.generation}" if self.key is None else self.key.key_id

    def vouches(self, origin: str, now: float) -> bool:
        """Whether a session that began with *origin* still counts at *now* (epoch seconds)."""
        if origin == self.origin:
            return True
        former = self.key is not None and origin and origin == self.key.former_key_id
        return bool(former) and self.key is not None and now < self.key.made_at + GRACE_SECONDS


@dataclass(frozen=True)
class Node:
    """A managed node. Times are epoch seconds; *facts_id* names its newest facts, None before the first."""

    scope: Scope
    id: str
    activation_id: str
    role: str
    name: str
    machine: Machine
    registered_at: float
    last_ping_at: float
    facts_id: str | None

    @property
    def source(self) -> tuple[str, str]:
        """Id and type of what it is where it runs: what it says of that, else its own id."""
        return self.machine.source_id or self.id, self.machine.source_type or OWN_SOURCE

    def online(self, since: float) -> bool:
        """Whether it was heard of at or after *since* (epoch seconds)."""
        return self.last_ping_at >= since


def hash_code(text: str) -> str:
    """The hash under which a code or token is stored. They are long and random: no salt, no stretching."""
    return hashlib.sha256(text.encode()).hexdigest()
