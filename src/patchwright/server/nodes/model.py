# SPDX-License-Identifier: Apache-2.0
"""Activations and managed nodes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from patchwright.core.errors import PatchwrightError
from patchwright.server.accounts import Scope

DEFAULT_LIFE_SECONDS = 24 * 3600.0  # of an activation (spec §11.2)
MAX_LIFE_SECONDS = 30 * 24 * 3600.0


class NodesError(PatchwrightError):
    """The root of this room's errors."""


class ActivationRefused(NodesError):
    """An activation that cannot be made, or that enrols nobody (any more)."""


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

    def refusal(self, code_hash: str, now: float) -> str:
        """Why this activation enrols nobody with that code at *now* (epoch seconds); empty if it does."""
        if code_hash != self.code_hash:
            return "The activation id or the activation code is wrong."
        if now >= self.expires_at:
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


@dataclass(frozen=True)
class Identity:
    """Which node a key id is: what is needed to derive its secret and to know whose it is."""

    scope: Scope
    instance_id: str
    generation: int


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
    tags: Mapping[str, str] = field(default_factory=dict)


def tagged(node: Node, tags: Mapping[str, str]) -> Node:
    """*node* with its tags."""
    return replace(node, tags=dict(tags))


def hash_code(text: str) -> str:
    """The hash under which a code or token is stored. They are long and random: no salt, no stretching."""
    return hashlib.sha256(text.encode()).hexdigest()
