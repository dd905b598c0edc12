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
from patchwright.server.nodes.keys import check_fingerprint, give_key, holder, offer_key, settle_key
from patchwright.server.nodes.listing import TAG, TAG_KEY, Condition, Listing, Relation
from patchwright.server.nodes.model import (
    MANAGED_INSTANCE,
    Activation,
    ActivationRefused,
    Identity,
    Machine,
    MissingRole,
    Node,
    NodeKey,
    NodesError,
    UnknownActivation,
    UnknownNode,
    WrongFingerprint,
)
from patchwright.server.nodes.service import (
    Service,
    all_ids,
    deregister,
    enrol,
    existing,
    fresh_node_id,
    ids_after,
    known,
    page,
    require,
)

__all__ = [
    "MANAGED_INSTANCE",
    "TAG",
    "TAG_KEY",
    "Activation",
    "ActivationRefused",
    "Condition",
    "Identity",
    "Listing",
    "Machine",
    "MissingRole",
    "Node",
    "NodeKey",
    "NodesError",
    "Observation",
    "Observed",
    "Packed",
    "Recorded",
    "Relation",
    "Service",
    "UnknownActivation",
    "UnknownNode",
    "WrongFingerprint",
    "all_ids",
    "check_fingerprint",
    "deregister",
    "enrol",
    "existing",
    "former",
    "fresh_node_id",
    "give_key",
    "holder",
    "ids_after",
    "known",
    "latest",
    "load",
    "missing",
    "observation",
    "offer_key",
    "pack",
    "page",
    "put_bodies",
    "record",
    "require",
    "settle_key",
    "since",
]
