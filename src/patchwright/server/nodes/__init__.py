# SPDX-License-Identifier: Apache-2.0
"""
Managed nodes: activations, enrolment, identity, facts.

The door. `Service` has the use cases that stand alone; the functions are units of work that other rooms compose into their
own transaction with `yield from`.
"""

from __future__ import annotations

from patchwright.server.nodes.facts import (
    Observation,
    Observed,
    Packed,
    Recorded,
    former,
    latest,
    load,
    missing,
    observation,
    pack,
    put_bodies,
    record,
    since,
)
from patchwright.server.nodes.model import (
    Activation,
    ActivationRefused,
    Identity,
    Machine,
    Node,
    UnknownNode,
    tagged,
)
from patchwright.server.nodes.service import Service, all_ids, enrol, fresh_node_id, known, page, require

__all__ = [
    "Activation",
    "ActivationRefused",
    "Identity",
    "Machine",
    "Node",
    "Observation",
    "Observed",
    "Packed",
    "Recorded",
    "Service",
    "UnknownNode",
    "all_ids",
    "enrol",
    "former",
    "fresh_node_id",
    "known",
    "latest",
    "load",
    "missing",
    "observation",
    "pack",
    "page",
    "put_bodies",
    "record",
    "require",
    "since",
    "tagged",
]
