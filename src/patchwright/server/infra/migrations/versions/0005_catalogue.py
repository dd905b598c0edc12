# SPDX-License-Identifier: Apache-2.0
"""Defaults, each node's last operation and offers, and what is kept of overriding baselines."""

from __future__ import annotations

import hashlib
import json
import zlib

import sqlalchemy as sa
from alembic import op

revision = "0005_catalogue"
down_revision = "0004_compliance"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT: sa.Double[float] = sa.Double().with_variant(sa.REAL(), "sqlite")
OCTETS = sa.LargeBinary()


def upgrade() -> None:
    """Bring the schema from `down_revision` to `revision`."""
    _default_baseline()
    _last_operation()
    _fill_last_operation()
    _offered()
    _fill_offered()
    _override_snapshot()
    _tag()


def _default_baseline() -> None:
    op.create_table(
        "default_baseline",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("operating_system", TEXT, nullable=False),
        sa.Column("baseline_id", TEXT, nullable=False),
        sa.Column("registered_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("account", "region", "operating_system", name=op.f("pk_default_baseline")),
        sqlite_strict=True,
    )


def _last_operation() -> None:
    op.create_table(
        "last_operation",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("instance_id", TEXT, nullable=False),
        sa.Column("operation_id", TEXT, nullable=False),
        sa.Column("ended_at", MOMENT, nullable=False),
        sa.Column("no_reboot_install_at", MOMENT, nullable=True),
        sa.Column("installed", WHOLE, nullable=False),
        sa.Column("installed_other", WHOLE, nullable=False),
        sa.Column("installed_pending_reboot", WHOLE, nullable=False),
        sa.Column("installed_rejected", WHOLE, nullable=False),
        sa.Column("missing", WHOLE, nullable=False),
        sa.Column("failed", WHOLE, nullable=False),
        sa.Column("not_applicable", WHOLE, nullable=False),
        sa.Column("available_security_update", WHOLE, nullable=False),
        sa.Column("critical", WHOLE, nullable=False),
        sa.Column("security", WHOLE, nullable=False),
        sa.Column("other", WHOLE, nullable=False),
        sa.PrimaryKeyConstraint("account", "region", "instance_id", name=op.f("pk_last_operation")),
        sqlite_strict=True,
    )


def _offered() -> None:
    op.create_table(
        "offered",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("instance_id", TEXT, nullable=False),
        sa.Column("offers", TEXT, nullable=False),
        sa.Column("facts_id", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("account", "region", "instance_id", name=op.f("pk_offered")),
        sqlite_strict=True,
    )
    op.create_index("ix_offered_offers", "offered", ["account", "region", "offers"], unique=False)


def _override_snapshot() -> None:
    op.create_table(
        "override_snapshot",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("digest", TEXT, nullable=False),
        sa.Column("content", TEXT, nullable=False),
        sa.Column("day", TEXT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("account", "region", "digest", name=op.f("pk_override_snapshot")),
        sqlite_strict=True,
    )
    op.create_index("ix_override_snapshot_created", "override_snapshot", ["created_at"], unique=False)


def _tag() -> None:
    op.drop_index(op.f("ix_tag_value"), table_name="tag")
    op.create_index(
        "ix_tag_value", "tag", ["account", "region", "resource_type", "key", "value", "resource_id"], unique=False
    )


_COUNTERS = {
    "installed": "Installed",
    "installed_other": "InstalledOther",
    "installed_pending_reboot": "InstalledPendingReboot",
    "installed_rejected": "InstalledRejected",
    "missing": "Missing",
    "failed": "Failed",
    "not_applicable": "NotApplicable",
    "available_security_update": "AvailableSecurityUpdate",
    "critical": "critical",
    "security": "security",
    "other": "other",
}


def _fill_last_operation() -> None:
    """Each node's last operation, from the operations that are there."""
    connection = op.get_bind()
    names = ["account", "region", "instance_id", "operation_id", "ended_at", "no_reboot_install_at", *_COUNTERS]
    changed = ", ".join(f"{name} = excluded.{name}" for name in names[3:])
    put = sa.text(
        f"INSERT INTO last_operation ({', '.join(names)}) VALUES ({', '.join(f':{name}' for name in names)})"
        f" ON CONFLICT (account, region, instance_id) DO UPDATE SET {changed}"
    )
    rows = connection.execute(
        sa.text(
            "SELECT account, region, instance_id, id, ended_at, kind, reboot_option, counts FROM operation"
            " WHERE state = 'finished' ORDER BY ended_at, id DESC"
        )
    )
    without_reboot: dict[tuple[str, ...], float] = {}
    for *node, operation_id, ended_at, kind, reboot_option, counts in rows.fetchall():
        if (kind, reboot_option) == ("Install", "NoReboot"):
            without_reboot[tuple(node)] = ended_at
        counted = json.loads(counts)
        values = [*node, operation_id, ended_at, without_reboot.get(tuple(node))]
        values += [counted.get(counter, 0) for counter in _COUNTERS.values()]
        connection.execute(put, dict(zip(names, values, strict=True)))


def _fill_offered() -> None:
    """What each node is offered, from its newest facts."""
    connection = op.get_bind()
    put = sa.text(
        "INSERT INTO offered (account, region, instance_id, offers, facts_id)"
        " VALUES (:account, :region, :instance_id, :offers, :facts_id)"
    )
    newest = connection.execute(sa.text("SELECT account, region, id, facts_id FROM node WHERE facts_id IS NOT NULL"))
    for account, region, instance_id, facts_id in newest.fetchall():
        where = {"account": account, "region": region, "facts_id": facts_id}
        content = connection.execute(
            sa.text(
                "SELECT b.content FROM facts f JOIN body b"
                " ON b.account = f.account AND b.region = f.region AND b.digest = f.digest"
                " WHERE f.account = :account AND f.region = :region AND f.id = :facts_id"
            ),
            where,
        ).scalar_one()
        facts = json.loads(zlib.decompress(content))
        if facts["slices"]:
            parts = [sorted({one["digest"] for one in facts["slices"]}), sorted(set(facts["notices"]))]
            digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
            name = f"{facts['operating_system']}/{facts['product']}/{digest}"
            connection.execute(put, {**where, "instance_id": instance_id, "offers": name})
