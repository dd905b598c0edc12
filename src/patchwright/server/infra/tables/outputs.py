# SPDX-License-Identifier: Apache-2.0
"""Tables of the outputs room: what steps of commands have printed."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Index, PrimaryKeyConstraint, text

from patchwright.server.infra.tables.columns import MOMENT, OCTETS, TEXT, WHOLE, owned

OUTPUT = owned(  # a stream of a step of a command on a node
    "output",
    Column("command_id", TEXT, nullable=False),
    Column("instance_id", TEXT, nullable=False),
    Column("step", TEXT, nullable=False),
    Column("stream", TEXT, nullable=False),
    Column("size", WHOLE, nullable=False),  # bytes that are kept
    Column("ended", WHOLE, nullable=False),  # 1: nothing more comes
    Column("cut", WHOLE, nullable=False),  # 1: more was printed than is kept
    Column("began_at", MOMENT, nullable=False),
    Column("heard_at", MOMENT, nullable=False),
    Column("bucket", TEXT, nullable=False),  # where it is written when it has ended; empty: nowhere
    Column("bucket_region", TEXT, nullable=False),
    Column("key", TEXT, nullable=False),
    Column("write_at", MOMENT),  # when that is to be tried; none: not yet, or not any more
    Column("attempts", WHOLE, nullable=False),
    Column("written_at", MOMENT),
    Column("reason", TEXT, nullable=False),  # why the last attempt failed
    PrimaryKeyConstraint("account", "region", "command_id", "instance_id", "step", "stream"),
    CheckConstraint("stream IN ('stdout', 'stderr')", name="stream"),
)
Index(
    "ix_output_write",
    OUTPUT.c.write_at,
    sqlite_where=text("write_at IS NOT NULL"),
    postgresql_where=text("write_at IS NOT NULL"),
)
Index(
    "ix_output_open",
    OUTPUT.c.heard_at,
    sqlite_where=text("ended = 0"),
    postgresql_where=text("ended = 0"),
)
Index("ix_output_began", OUTPUT.c.began_at)
Index(
    "ix_output_object",
    OUTPUT.c.account,
    OUTPUT.c.bucket,
    OUTPUT.c.key,
    sqlite_where=text("key != ''"),
    postgresql_where=text("key != ''"),
)

OUTPUT_PIECE = owned(  # its bytes, in pieces
    "output_piece",
    Column("command_id", TEXT, nullable=False),
    Column("instance_id", TEXT, nullable=False),
    Column("step", TEXT, nullable=False),
    Column("stream", TEXT, nullable=False),
    Column("position", WHOLE, nullable=False),  # of its first byte in the stream
    Column("size", WHOLE, nullable=False),
    Column("body", OCTETS, nullable=False),  # empty: it is a blob
    Column("digest", TEXT, nullable=False),  # of the blob
    PrimaryKeyConstraint("account", "region", "command_id", "instance_id", "step", "stream", "position"),
)
Index(
    "ix_output_piece_digest",
    OUTPUT_PIECE.c.digest,
    sqlite_where=text("digest != ''"),
    postgresql_where=text("digest != ''"),
)
