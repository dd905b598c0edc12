# SPDX-License-Identifier: Apache-2.0
"""
Files that are given for one operation: a list of what to install, a baseline to judge by (spec §3.6).

The node fetches them and sends what is in them; what they say is kept once by content. Units of work.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import replace

from patchwright.core.compliance import Judgement
from patchwright.core.facts import View
from patchwright.core.override import OverrideList, intend_listed, with_failures
from patchwright.core.patch_step import BASELINE_OVERRIDE, INSTALL_OVERRIDE_LIST
from patchwright.core.plan import Intent, Resolution
from patchwright.core.protocol import intent_from_json
from patchwright.core.system import OperatingSystem
from patchwright.server.accounts import Scope
from patchwright.server.infra import UnitOfWork, sql, today
from patchwright.server.patching import baseline_store as baselines
from patchwright.server.patching import operation_store as store
from patchwright.server.patching.model import (
    UNUSED,
    Definition,
    GivenBaseline,
    Operation,
    OperationRefused,
    Override,
    Snapshot,
)

KEPT_SECONDS = 3 * 24 * 3600.0
_ID = re.compile(r"[A-Za-z0-9_:/-]{20,128}\Z")  # what the API shows as the id of a baseline
_REJECTED = "which the baseline rejects"
_PINNED = "of which the InstallOverrideList allows no newer version"


def keep(
    operation: Operation,
    listed: OverrideList | None,
    given: Mapping[OperatingSystem, GivenBaseline] | None,
    *,
    now: float,
) -> UnitOfWork[Operation]:
    """
    The operation with what was in its files, which it waits for; None for one that was not sent.

    Errors: OperationRefused where others were sent than it waits for.
    """
    sent = {name for name, value in ((INSTALL_OVERRIDE_LIST, listed), (BASELINE_OVERRIDE, given)) if value is not None}
    if sent != set(operation.overrides):
        msg = f"The operation waits for {' and '.join(sorted(operation.overrides)) or 'no file'}."
        raise OperationRefused(msg)
    overrides = dict(operation.overrides)
    if listed is not None:
        digest = yield from _put_list(operation.scope, listed, now=now)
        overrides[INSTALL_OVERRIDE_LIST] = Override(overrides[INSTALL_OVERRIDE_LIST].url, digest)
    if given is not None:
        one = given.get(operation.operating_system)
        digest = (
            UNUSED
            if one is None
            else (yield from freeze(operation.scope, operation.snapshot_id, one.definition, now=now))
        )
        overrides[BASELINE_OVERRIDE] = Override(overrides[BASELINE_OVERRIDE].url, digest)
        if one is not None:
            named = one.id if _ID.match(one.id) else f"override:{digest[:32]}"
            operation = replace(operation, baseline_id=named)
    operation = replace(operation, overrides=overrides)
    yield from store.put_given(operation)
    return operation


def freeze(scope: Scope, snapshot_id: str, definition: Definition, *, now: float) -> UnitOfWork[str]:
    """Keep a baseline that is no resource, as of today, for the run *snapshot_id*; answers its digest."""
    digest = hashlib.sha256(f"{snapshot_id}\n{baselines.dump(definition)}".encode()).hexdigest()
    yield from baselines.put_override(scope, digest, definition, today(now), now=now, until=now - KEPT_SECONDS)
    return digest


def snapshot(operation: Operation) -> UnitOfWork[Snapshot | None]:
    """The baseline that was given for the operation, as frozen for its run; None where it is there no longer."""
    kept = yield from baselines.find_override(operation.scope, operation.baseline_override)
    if kept is None:
        return None
    return Snapshot(operation.snapshot_id, operation.patch_group, operation.baseline_id, 0, *kept)


def intend(operation: Operation, view: View) -> UnitOfWork[Intent]:
    """The intent of an operation that has a list."""
    rows = yield sql(
        "SELECT content FROM override_list WHERE account = $1 AND region = $2 AND digest = $3",
        *operation.scope,
        operation.listed,
    )
    return intend_listed(OverrideList.from_json(json.loads(rows[0][0])), view)


def attempted(operation: Operation) -> dict[str, str]:
    """By `name.arch` the version that a list wanted: of another one nothing failed."""
    wanted = intent_from_json(operation.intent).wanted if operation.listed and operation.intent else ()
    return {wish.key: wish.version for wish in wanted}


def told(operation: Operation, judgement: Judgement) -> Judgement:
    """*judgement* with what the operation's list wanted and did not get."""
    if not operation.listed or not operation.intent:
        return judgement
    wanted = intent_from_json(operation.intent).wanted
    return with_failures(judgement, wanted, operation.failures, operation.operating_system.family)


def reworded(operation: Operation, resolution: Resolution) -> Resolution:
    """*resolution* in whose reasons nothing is laid at the baseline's door: with a list it rejects nothing."""
    if not operation.listed:
        return resolution
    reasons = {key: reason.replace(_REJECTED, _PINNED) for key, reason in resolution.unresolved.items()}
    return replace(resolution, unresolved=reasons)


def may_fetch(scope: Scope, instance_id: str, url: str) -> UnitOfWork[str]:
    """The command whose operation is under way on the node and waits for the file at *url*; empty where there is none."""
    under_way = yield from store.unfinished(scope, instance_id)
    return next((operation.command_id for operation in under_way if url in operation.awaited.values()), "")


def _put_list(scope: Scope, listed: OverrideList, *, now: float) -> UnitOfWork[str]:
    content = json.dumps(listed.to_json(), separators=(",", ":"))
    digest = hashlib.sha256(content.encode()).hexdigest()
    yield sql(
        "INSERT INTO override_list (account, region, digest, content, created_at) VALUES ($1, $2, $3, $4, $5)"
        " ON CONFLICT (account, region, digest) DO NOTHING",
        *scope,
        digest,
        content,
        now,
    )
    return digest
