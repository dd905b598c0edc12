# SPDX-License-Identifier: Apache-2.0
"""How whoever sent a command follows it and holds it back; units of work."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from patchwright.core.invocation import Detail
from patchwright.server.accounts import Scope
from patchwright.server.commands import store
from patchwright.server.commands.service import settle
from patchwright.server.infra import UnitOfWork


def detail(scope: Scope, command_id: str) -> UnitOfWork[Detail | None]:
    """How a command stands; None for an unknown one."""
    command = yield from store.find_command(scope, command_id)
    return None if command is None else command.detail


def withdraw(scope: Scope, command_id: str, *, now: float, fresh_ids: Iterator[str]) -> UnitOfWork[None]:
    """End what no node has begun of a command, as cancelled; what has begun runs to its end."""
    for left in (yield from store.waiting(scope, command_id)):
        ended = replace(left, detail=Detail.CANCELLED, ended_at=now)
        yield from store.put(ended, before=left.detail, event_id=next(fresh_ids), reason="withdrawn", now=now)
    yield from settle(scope, command_id, now=now, fresh_ids=fresh_ids)
