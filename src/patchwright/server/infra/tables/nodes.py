# SPDX-License-Identifier: Apache-2.0
"""Tables of the nodes room: activations, nodes, facts."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, PrimaryKeyConstraint, UniqueConstraint

from patchwright.server.infra.tables.columns import MOMENT, OCTETS, TEXT, WHOLE, owned

ACTIVATION = owned(
    "activation",
    Column("id", TEXT, nullable=False),
    Column("code_hash", TEXT, nullable=False),
    Column("role", TEXT, nullable=False),
    Column("description", TEXT, nullable=False),
    Column("default_name", TEXT, nullable=False),
    Column("tags", TEXT, nullable=False),  # JSON object, copied to each node that enrols
    Column("registration_limit", WHOLE, nullable=False),
    Column("registrations", WHOLE, nullable=False),
    Column("expires_at", MOMENT, nullable=False),
    Column("created_at", MOMENT, nullable=False),
    PrimaryKeyConstraint("account", "region", "id"),
    UniqueConstraint("id"),
    CheckConstraint("registrations BETWEEN 0 AND registration_limit", name="registrations"),
)

NODE = owned(
    "node",
    Column("id", TEXT, nullable=False),
    Column("activation_id", TEXT, nullable=False),
    Column("enrolment_hash", TEXT, nullable=False),  # of the token that the node made: the same token, the same node
    Column("generation", WHOLE, nullable=False),  # of its secret
    Column("role", TEXT, nullable=False),
    Column("name", TEXT, nullable=False),
    Column("machine_id", TEXT, nullable=False),
    Column("agent_name", TEXT, nullable=False),
    Column("agent_version", TEXT, nullable=False),
    Column("platform_type", TEXT, nullable=False),
    Column("platform_name", TEXT, nullable=False),
    Column("platform_version", TEXT, nullable=False),
    Column("computer_name", TEXT, nullable=False),
    Column("ip_address", TEXT, nullable=False),
    Column("registered_at", MOMENT, nullable=False),
    Column("last_ping_at", MOMENT, nullable=False),
    Column("facts_id", TEXT),  # the newest facts
    Column("first_facts_at", MOMENT),  # when the first were recorded
    Column("source_id", TEXT, nullable=False, server_default=""),  # what the cloud calls the machine, as i-…
    Column("source_type", TEXT, nullable=False, server_default=""),
    Column("source_location", TEXT, nullable=False, server_default=""),
    Column("availability_zone", TEXT, nullable=False, server_default=""),
    Column("availability_zone_id", TEXT, nullable=False, server_default=""),
    PrimaryKeyConstraint("account", "region", "id"),
    UniqueConstraint("id"),
    UniqueConstraint("activation_id", "enrolment_hash", name="uq_node_enrolment"),
)

NODE_KEY = owned(  # of nodes that sign with a key of their own, as amazon-ssm-agent does (spec agent-protocol §3)
    "node_key",
    Column("instance_id", TEXT, nullable=False),
    Column("public_key", OCTETS, nullable=False),  # SubjectPublicKeyInfo, DER
    Column("key_id", TEXT, nullable=False),  # SHA-256 of it: what the node's sessions begin with
    Column("next_public_key", OCTETS, nullable=False),  # counts as well, and alone once it is used; empty: none
    Column("former_key_id", TEXT, nullable=False),  # of the key before; empty: this is the first
    Column("fingerprint", TEXT, nullable=False),  # what the agent calls the machine
    Column("made_at", MOMENT, nullable=False),  # when the node began to use this key
    PrimaryKeyConstraint("account", "region", "instance_id"),
    UniqueConstraint("instance_id"),
)

BODY = owned(
    "body",
    Column("digest", TEXT, nullable=False),
    Column("size", WHOLE, nullable=False),  # bytes of the canonical form
    Column("content", OCTETS, nullable=False),  # the canonical form, zlib
    Column("created_at", MOMENT, nullable=False),
    PrimaryKeyConstraint("account", "region", "digest"),
)

FACTS = owned(  # append-only: what a node looked like is never overwritten
    "facts",
    Column("id", TEXT, nullable=False),
    Column("instance_id", TEXT, nullable=False),
    Column("digest", TEXT, nullable=False),  # of a body: all of NodeFacts but the moments
    Column("package_set", TEXT, nullable=False),
    Column("refreshed_at", MOMENT, nullable=False),  # the node's clock
    Column("observed_at", MOMENT, nullable=False),  # the node's clock
    Column("clock_offset", MOMENT, nullable=False),  # server's time minus the node's, as the node measured it
    Column("recorded_at", MOMENT, nullable=False),  # ours
    Column("sources", TEXT, nullable=False, server_default=""),  # digest of those they were taken with; empty: none
    PrimaryKeyConstraint("account", "region", "id"),
)

FORMER_FACTS = owned(  # a node's last facts with each sources but those of its newest
    "former_facts",
    Column("instance_id", TEXT, nullable=False),
    Column("sources", TEXT, nullable=False),
    Column("facts_id", TEXT, nullable=False),
    PrimaryKeyConstraint("account", "region", "instance_id", "sources"),
)

PACKAGE_CHANGE = owned(  # what appeared or changed between two sets of one node; gives InstalledTime
    "package_change",
    Column("instance_id", TEXT, nullable=False),
    Column("recorded_at", MOMENT, nullable=False),
    Column("package", TEXT, nullable=False),  # name.arch
    Column("version", TEXT, nullable=False),  # empty: removed
    PrimaryKeyConstraint("account", "region", "instance_id", "package", "recorded_at", "version"),
)
