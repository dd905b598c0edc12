# SPDX-License-Identifier: Apache-2.0
"""Nodes with a past: how long scans, installations and restarts took on them, without waiting for it."""

from __future__ import annotations

from patchwright.server.infra import sql
from patchwright.server.patching.durations import entry
from server.patching.bench import OUTDATED, PATCHED


async def remember(house, node, *, scans=(), installs=(), restarts=(), missing=1, pending=0):
    """*node* has scanned, and from now on has this past: seconds, newest first."""
    await house.scan(node, OUTDATED if missing else PATCHED)
    texts = ["".join(map(entry, past)) for past in (scans, installs, restarts)]
    await house.wired.database.write(_put, house.account, node.instance_id, missing, pending, *texts)


def _put(account, node, missing, pending, *texts):
    yield sql(
        "UPDATE last_operation SET missing = $3, failed = 0, installed_pending_reboot = $4, scans = $5, installs = $6,"
        " restarts = $7 WHERE account = $1 AND instance_id = $2",
        account,
        node,
        missing,
        pending,
        *texts,
    )
