# SPDX-License-Identifier: Apache-2.0
"""
Which signatures have changed something, for all processes that share a database.

Each process remembers the signatures that it accepted (wire, docs/adr/0024). What one of them accepted is new to the others;
so a signature that changes something is noted in the transaction of the change, and what was captured changes nothing a
second time, wherever it is sent.
"""

from __future__ import annotations

from typing import NamedTuple

from patchwright.core.errors import PatchwrightError
from patchwright.core.signing import SIGN_AGAIN
from patchwright.server.infra import Clock, Database, UnitOfWork, sql

GRACE_SECONDS = 2.0  # in which an SDK may sign two requests that are alike, and clocks of processes may differ
SWEEP_SECONDS = 300.0
_BATCH = 1000


class SignatureReused(PatchwrightError):
    """A request that changed something before was sent again."""


class Signed(NamedTuple):
    """Of a signature: its first 64 bits (hexadecimal), which call of its signer's SDK it was used for, and from where."""

    number: str
    call: str
    source: str


def use(account: str, region: str, signed: Signed, *, now: float) -> UnitOfWork[None]:
    """
    Note that *signed* changes something; a unit of work.

    Within `GRACE_SECONDS` another call from the same address may have the same signature. Raises SignatureReused.
    """
    rows = yield sql("SELECT call, source, used_at FROM used_signature WHERE number = $1", signed.number)
    for call, source, used_at in rows:
        if signed.call in {"", call} or source != signed.source or not -GRACE_SECONDS <= now - used_at <= GRACE_SECONDS:
            raise SignatureReused(SIGN_AGAIN)
    noted = yield sql(
        "INSERT INTO used_signature (account, region, number, call, source, used_at) VALUES ($1, $2, $3, $4, $5, $6)"
        " ON CONFLICT (number, call) DO NOTHING RETURNING number",
        account,
        region,
        *signed,
        now,
    )
    if not noted:
        raise SignatureReused(SIGN_AGAIN)


async def forget(database: Database, clock: Clock, *, window: float) -> None:
    """Forget the signatures that no server accepts any more: those are good for *window* seconds to either side."""
    before = clock.now() - 2 * window - GRACE_SECONDS
    while await database.write(_forget, before) == _BATCH:
        pass


def _forget(before: float) -> UnitOfWork[int]:
    rows = yield sql(
        "DELETE FROM used_signature WHERE (number, call) IN"
        " (SELECT number, call FROM used_signature WHERE used_at < $1 LIMIT $2) RETURNING number",
        before,
        _BATCH,
    )
    return len(rows)
