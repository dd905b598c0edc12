# SPDX-License-Identifier: Apache-2.0
"""SQL of operations, plans and patch states."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from patchwright.core.compliance import Operation as Kind
from patchwright.core.plan import Plan
from patchwright.core.protocol import RebootOption, Report
from patchwright.core.system import OperatingSystem
from patchwright.server.accounts import Scope
from patchwright.server.infra import Row, UnitOfWork, sql
from patchwright.server.patching.model import Operation, OperationState

_COLUMNS = (
    "account, region, id, instance_id, command_id, step, kind, reboot_option, patch_group, operating_system,"
    " snapshot_id, baseline_id, started_at, state, attempt, drift, intent, plan_digest, acted_boot_id, failures,"
    " before_facts, after_facts, states_digest, counts, report, ended_at"
)
_NAMES = [name.strip() for name in _COLUMNS.split(",")]
_KEY = ("account", "region", "id")


def put(operation: Operation) -> UnitOfWork[None]:
    """Store an operation as it stands now, new or known."""
    numbers = ", ".join(f"${number}" for number in range(1, len(_NAMES) + 1))
    sets = ", ".join(f"{name} = excluded.{name}" for name in _NAMES if name not in _KEY)
    yield sql(
        f"INSERT INTO operation ({_COLUMNS}) VALUES ({numbers}) ON CONFLICT (account, region, id) DO UPDATE SET {sets}",
        *_row(operation),
    )


def find(scope: Scope, operation_id: str) -> UnitOfWork[Operation | None]:
    """The operation with this id, or None."""
    return (yield from _one(scope, "id = $3", operation_id))


def of_step(scope: Scope, instance_id: str, command_id: str, step: str) -> UnitOfWork[Operation | None]:
    """The operation that a command's step began on a node, or None."""
    return (yield from _one(scope, "instance_id = $3 AND command_id = $4 AND step = $5", instance_id, command_id, step))


def unfinished(scope: Scope, instance_id: str) -> UnitOfWork[list[Operation]]:
    """The node's operations that have not ended, oldest first."""
    rows = yield sql(
        f"SELECT {_COLUMNS} FROM operation"
        " WHERE account = $1 AND region = $2 AND instance_id = $3 AND ended_at IS NULL ORDER BY started_at, id",
        *scope,
        instance_id,
    )
    return [_operation(row) for row in rows]


def last(scope: Scope, instance_id: str) -> UnitOfWork[Operation | None]:
    """The node's last operation that finished (one that failed has no verdict), or None."""
    return (
        yield from _one(
            scope, "instance_id = $3 AND state = 'finished' ORDER BY ended_at DESC, id LIMIT 1", instance_id
        )
    )


def last_no_reboot_install(scope: Scope, instance_id: str) -> UnitOfWork[float | None]:
    """When the node's last Install with NoReboot ended, or None."""
    rows = yield sql(
        "SELECT MAX(ended_at) FROM operation WHERE account = $1 AND region = $2 AND instance_id = $3"
        " AND state = 'finished' AND kind = 'Install' AND reboot_option = 'NoReboot'",
        *scope,
        instance_id,
    )
    return rows[0][0]  # type: ignore[no-any-return]


def plans_of_boot(scope: Scope, instance_id: str, boot_id: str) -> UnitOfWork[list[tuple[Plan, dict[str, str]]]]:
    """The plans that were carried out on the node while it ran as *boot_id*, oldest first, each with what failed of it."""
    rows = yield sql(
        "SELECT p.content, o.failures FROM operation o JOIN plan p"
        " ON p.account = o.account AND p.region = o.region AND p.digest = o.plan_digest"
        " WHERE o.account = $1 AND o.region = $2 AND o.instance_id = $3 AND o.acted_boot_id = $4"
        " ORDER BY o.started_at, o.id",
        *scope,
        instance_id,
        boot_id,
    )
    return [(Plan.from_json(json.loads(plan)), json.loads(failures)) for plan, failures in rows]


def put_plan(scope: Scope, plan: Plan, *, now: float) -> UnitOfWork[None]:
    """Store a plan under its digest; one that is there stays."""
    yield sql(
        "INSERT INTO plan (account, region, digest, content, created_at) VALUES ($1, $2, $3, $4, $5)"
        " ON CONFLICT (account, region, digest) DO NOTHING",
        *scope,
        plan.digest,
        plan.canonical().decode(),
        now,
    )


def find_plan(scope: Scope, digest: str) -> UnitOfWork[Plan]:
    """The plan with this digest, which is known to exist."""
    rows = yield sql("SELECT content FROM plan WHERE account = $1 AND region = $2 AND digest = $3", *scope, digest)
    return Plan.from_json(json.loads(rows[0][0]))


def put_states(scope: Scope, digest: str, body: bytes, *, now: float) -> UnitOfWork[None]:
    """Store the rows of a judgement under their digest; what is there stays."""
    yield sql(
        "INSERT INTO patch_states (account, region, digest, content, created_at) VALUES ($1, $2, $3, $4, $5)"
        " ON CONFLICT (account, region, digest) DO NOTHING",
        *scope,
        digest,
        zlib.compress(body),
        now,
    )


def find_states(scope: Scope, digest: str) -> UnitOfWork[bytes]:
    """The rows of a judgement by their digest, which is known to exist."""
    rows = yield sql(
        "SELECT content FROM patch_states WHERE account = $1 AND region = $2 AND digest = $3", *scope, digest
    )
    return zlib.decompress(rows[0][0])


def _one(scope: Scope, condition: str, *params: Any) -> UnitOfWork[Operation | None]:
    rows = yield sql(
        f"SELECT {_COLUMNS} FROM operation WHERE account = $1 AND region = $2 AND {condition}", *scope, *params
    )
    return _operation(rows[0]) if rows else None


def _row(operation: Operation) -> Sequence[Any]:
    return (
        *operation.scope,
        operation.id,
        operation.instance_id,
        operation.command_id,
        operation.step,
        operation.kind.value,
        operation.reboot_option.value,
        operation.patch_group,
        operation.operating_system.value,
        operation.snapshot_id,
        operation.baseline_id,
        operation.started_at,
        operation.state.value,
        operation.attempt,
        json.dumps(list(operation.drift)),
        json.dumps(dict(operation.intent)) if operation.intent else "",
        operation.plan_digest,
        operation.acted_boot_id,
        json.dumps(dict(operation.failures), sort_keys=True),
        operation.before_facts,
        operation.after_facts,
        operation.states_digest,
        json.dumps(dict(operation.counts)),
        json.dumps(asdict(operation.report)) if operation.report else "",
        operation.ended_at,
    )


def _operation(row: Row) -> Operation:
    values = dict(zip(_NAMES, row, strict=True))
    scope = Scope(values.pop("account"), values.pop("region"))
    values["kind"] = Kind(values["kind"])
    values["reboot_option"] = RebootOption(values["reboot_option"])
    values["operating_system"] = OperatingSystem(values["operating_system"])
    values["state"] = OperationState(values["state"])
    values["drift"] = tuple(json.loads(values["drift"]))
    values["failures"] = json.loads(values["failures"])
    values["counts"] = json.loads(values["counts"])
    values["intent"] = json.loads(values["intent"]) if values["intent"] else {}
    values["report"] = Report(**json.loads(values["report"])) if values["report"] else None
    return Operation(scope=scope, **values)
