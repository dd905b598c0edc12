# SPDX-License-Identifier: Apache-2.0
"""Whether a node's last operation leaves anything to do: what documents ask between their steps (spec §3.8)."""

from __future__ import annotations

from patchwright.core.patch_check import Answer, PatchCheck
from patchwright.server.accounts import Scope
from patchwright.server.infra import UnitOfWork
from patchwright.server.patching import operation_store as store
from patchwright.server.patching.model import OperationRefused


def answer(scope: Scope, instance_id: str, check: PatchCheck) -> UnitOfWork[Answer]:
    """What *check* comes to on a node; a unit of work that only reads. Errors: OperationRefused where it was never scanned."""
    last = yield from store.last(scope, instance_id)
    if last is None:
        msg = f"{instance_id} has finished no patch operation that could be looked at; begin with a Scan."
        raise OperationRefused(msg)
    return check.answer(last.counts)
