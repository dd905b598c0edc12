# SPDX-License-Identifier: Apache-2.0
"""Tables of the audit trail, in the accounts room. Rows of entries are added and sealed once, and never change otherwise."""

from __future__ import annotations

from sqlalchemy import Column, Index, PrimaryKeyConstraint

from patchwright.server.infra.tables.columns import MOMENT, OCTETS, TEXT, WHOLE, owned

AUDIT_ENTRY = owned(  # account and region are empty where nobody knows whose call it was
    "audit_entry",
    Column("id", TEXT, nullable=False),  # begins with its moment: ids sort as times do
    Column("at", MOMENT, nullable=False),
    Column("since", MOMENT, nullable=False),  # of several refusals alike: the first one
    Column("calls", WHOLE, nullable=False),
    Column("principal", TEXT, nullable=False),
    Column("key_id", TEXT, nullable=False),
    Column("source_ip", TEXT, nullable=False),
    Column("target", TEXT, nullable=False),
    Column("resources", TEXT, nullable=False),  # a JSON list
    Column("request_id", TEXT, nullable=False),
    Column("result", TEXT, nullable=False),
    Column("mark", OCTETS, nullable=False),  # keyed: who has the database alone cannot make one
    Column("seal", WHOLE, nullable=False),  # the number of the seal it is under; 0: of none yet
    PrimaryKeyConstraint("account", "id"),
)
Index("ix_audit_entry_seal", AUDIT_ENTRY.c.seal, AUDIT_ENTRY.c.id)

AUDIT_WORD = owned(  # what sealed entries are found by: principals and resources
    "audit_word",
    Column("word", TEXT, nullable=False),
    Column("entry", TEXT, nullable=False),
    PrimaryKeyConstraint("account", "word", "entry"),
)

AUDIT_SEAL = owned(  # one chain for the whole installation: account and region are empty
    "audit_seal",
    Column("number", WHOLE, nullable=False),
    Column("sealed_at", MOMENT, nullable=False),
    Column("entries", WHOLE, nullable=False),
    Column("previous", TEXT, nullable=False),  # the hash of the seal before
    Column("hash", TEXT, nullable=False),
    Column("mark", OCTETS, nullable=False),
    PrimaryKeyConstraint("number"),
)

USED_SIGNATURE = owned(  # what has changed something, where several processes serve: nothing is accepted twice
    "used_signature",
    Column("number", TEXT, nullable=False),  # its first 64 bits, hexadecimal
    Column("call", TEXT, nullable=False),  # which call of its signer's SDK it was
    Column("source", TEXT, nullable=False),
    Column("used_at", MOMENT, nullable=False),
    PrimaryKeyConstraint("number", "call"),
)
Index("ix_used_signature_used_at", USED_SIGNATURE.c.used_at)
