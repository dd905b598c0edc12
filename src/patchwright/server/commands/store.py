# SPDX-License-Identifier: Apache-2.0
"""SQL of commands."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from patchwright.core.invocation import FINAL, Detail
from patchwright.server.accounts import Scope
from patchwright.server.commands import tally_store
from patchwright.server.commands.model import Command, LogGroup, Notification, Request, Target
from patchwright.server.infra import Row, UnitOfWork, placeholders, sql

_CONTENT = "content"
_NAMES = (
    "account, region, id, document_name, document_version, parameters, targets, instance_ids, comment, principal, owner,"
    " timeout_seconds, execution_seconds, max_concurrency, max_errors, requested_at, expires_at, detail, target_count,"
    " options, resolved"
)
_COLUMNS = tuple(name.strip() for name in _NAMES.split(","))
_ONE = "account = $1 AND region = $2 AND id = $3"
_OPEN = sorted(detail.value for detail in set(Detail) - FINAL)


def put(command: Command) -> UnitOfWork[None]:
    """Store a new command."""
    request = command.request
    resolved = None if command.resolved is None else {name: list(values) for name, values in command.resolved.items()}
    yield sql(
        f"INSERT INTO command ({_NAMES}, {_CONTENT}) VALUES ({placeholders(1, len(_COLUMNS) + 1)})",
        *command.scope,
        command.id,
        request.document_name,
        request.document_version,
        json.dumps({name: list(values) for name, values in request.parameters.items()}),
        json.dumps(request.targets),
        json.dumps(request.instance_ids),
        request.comment,
        command.principal,
        command.owner,
        request.timeout_seconds,
        command.execution_seconds,
        request.max_concurrency,
        request.max_errors,
        command.requested_at,
        command.expires_at,
        command.detail.value,
        command.target_count,
        json.dumps(_options(request)),
        "" if resolved is None else json.dumps(resolved),
        json.dumps(command.content),
    )


def find(scope: Scope, command_id: str) -> UnitOfWork[Command | None]:
    """The command without its counts, or None."""
    rows = yield sql(f"SELECT {_NAMES}, {_CONTENT} FROM command WHERE {_ONE}", *scope, command_id)
    return _command(rows[0]) if rows else None


def find_with_counts(scope: Scope, command_id: str) -> UnitOfWork[Command | None]:
    """The command with its counts, or None."""
    found = yield from find(scope, command_id)
    return None if found is None else (yield from _counted(scope, [found]))[0]


def heads(scope: Scope, command_ids: Sequence[str]) -> UnitOfWork[dict[str, Command]]:
    """Commands by id, without content and without counts; unknown ones are passed over."""
    if not command_ids:
        return {}
    rows = yield sql(
        f"SELECT {_NAMES} FROM command"
        f" WHERE account = $1 AND region = $2 AND id IN ({placeholders(3, len(command_ids))})",
        *scope,
        *command_ids,
    )
    return {command.id: command for command in map(_command, rows)}


def contents(scope: Scope, command_ids: Sequence[str]) -> UnitOfWork[dict[str, Mapping[str, Any]]]:
    """The documents of commands by id; unknown ones are passed over."""
    if not command_ids:
        return {}
    rows = yield sql(
        f"SELECT id, {_CONTENT} FROM command"
        f" WHERE account = $1 AND region = $2 AND id IN ({placeholders(3, len(command_ids))})",
        *scope,
        *command_ids,
    )
    return {row[0]: json.loads(row[1]) for row in rows}


def page(scope: Scope, *, instance_id: str, before: tuple[float, str] | None, limit: int) -> UnitOfWork[list[Command]]:
    """
    Up to *limit* commands with their counts and without content, newest first; those to a node, if one is given.

    *before* is (requested_at, id) of the last one seen.
    """
    requested, last = before or (9e15, "")
    shown = ", ".join(f"c.{name}" for name in _COLUMNS)
    of_node = ""
    if instance_id:
        of_node = (
            " JOIN invocation i ON i.account = c.account AND i.region = c.region AND i.command_id = c.id"
            " AND i.instance_id = $6"
        )
    rows = yield sql(
        f"SELECT {shown} FROM command c{of_node} WHERE c.account = $1 AND c.region = $2 AND c.requested_at <= $3"
        " AND (c.requested_at < $3 OR c.id > $4) ORDER BY c.requested_at DESC, c.id LIMIT $5",
        *scope,
        requested,
        last,
        limit,
        *([instance_id] if instance_id else []),
    )
    return (yield from _counted(scope, [_command(row) for row in rows]))


def sizes(scope: Scope, *, before: tuple[float, str], limit: int) -> UnitOfWork[list[tuple[str, int]]]:
    """Up to *limit* commands, newest first: id, and how many targets it has. *before* is as of `page`."""
    rows = yield sql(
        "SELECT id, target_count FROM command WHERE account = $1 AND region = $2 AND requested_at <= $3"
        " AND (requested_at < $3 OR id > $4) ORDER BY requested_at DESC, id LIMIT $5",
        *scope,
        *before,
        limit,
    )
    return [(row[0], row[1]) for row in rows]


def document_of(scope: Scope, command_id: str) -> UnitOfWork[tuple[str, str]]:
    """Name and version of a command's document; both empty without the command."""
    rows = yield sql(f"SELECT document_name, document_version FROM command WHERE {_ONE}", *scope, command_id)
    return (rows[0][0], rows[0][1]) if rows else ("", "")


def detail_of(scope: Scope, command_id: str) -> UnitOfWork[Detail | None]:
    """How a command stands, or None."""
    rows = yield sql(f"SELECT detail FROM command WHERE {_ONE}", *scope, command_id)
    return Detail(rows[0][0]) if rows else None


def set_detail(scope: Scope, command_id: str, detail: Detail) -> UnitOfWork[bool]:
    """Store what the invocations add up to; false if it was that before."""
    rows = yield sql(
        f"UPDATE command SET detail = $4 WHERE {_ONE} AND detail <> $4 RETURNING id", *scope, command_id, detail.value
    )
    return bool(rows)


def count_targets(scope: Scope, command_id: str, more: int) -> UnitOfWork[int]:
    """Note that *more* targets were found; returns how many that makes."""
    rows = yield sql(
        f"UPDATE command SET target_count = target_count + $4 WHERE {_ONE} RETURNING target_count",
        *scope,
        command_id,
        more,
    )
    return int(rows[0][0])


def oldest_ended(*, before: float) -> UnitOfWork[tuple[Scope, str] | None]:
    """The command of any account that was sent first, if that was before *before* and it has ended."""
    rows = yield sql(
        "SELECT account, region, id FROM command"
        f" WHERE requested_at < $1 AND detail NOT IN ({placeholders(2, len(_OPEN))}) ORDER BY requested_at LIMIT 1",
        before,
        *_OPEN,
    )
    return (Scope(*rows[0][:2]), rows[0][2]) if rows else None


def forget(scope: Scope, command_id: str, *, limit: int) -> UnitOfWork[None]:
    """Delete a command with all that hangs on it; first up to *limit* of its invocations, while there are any."""
    rows = yield sql(
        "DELETE FROM invocation WHERE account = $1 AND region = $2 AND command_id = $3 AND instance_id IN"
        " (SELECT instance_id FROM invocation WHERE account = $1 AND region = $2 AND command_id = $3 LIMIT $4)"
        " RETURNING instance_id",
        *scope,
        command_id,
        limit,
    )
    if len(rows) == limit:
        return
    for table in ("invocation_event", "command_tally"):
        yield sql(f"DELETE FROM {table} WHERE account = $1 AND region = $2 AND command_id = $3", *scope, command_id)
    yield sql(f"DELETE FROM command WHERE {_ONE}", *scope, command_id)


def _counted(scope: Scope, found: Sequence[Command]) -> UnitOfWork[list[Command]]:
    stands = yield from tally_store.of_each(scope, [command.id for command in found])
    return [
        replace(
            command,
            completed_count=stands[command.id].completed,
            error_count=stands[command.id].errors,
            delivery_timed_out_count=stands[command.id].ended[Detail.DELIVERY_TIMED_OUT],
        )
        for command in found
    ]


def _options(request: Request) -> dict[str, Any]:
    """What is seldom given, and nobody looks for."""
    options = {
        "output_bucket": request.output_bucket,
        "output_prefix": request.output_prefix,
        "output_region": request.output_region,
        "service_role": request.service_role,
        "notification": None if request.notification is None else list(request.notification),
        "log_group": None if request.log_group is None else list(request.log_group),
    }
    return {name: value for name, value in options.items() if value}


def _request(row: dict[str, Any]) -> Request:
    options = json.loads(row["options"])
    told, group = options.pop("notification", None), options.pop("log_group", None)
    return Request(
        document_name=row["document_name"],
        document_version=row["document_version"],
        parameters=json.loads(row["parameters"]),
        targets=tuple(Target(key, tuple(values)) for key, values in json.loads(row["targets"])),
        instance_ids=tuple(json.loads(row["instance_ids"])),
        comment=row["comment"],
        timeout_seconds=row["timeout_seconds"],
        max_concurrency=row["max_concurrency"],
        max_errors=row["max_errors"],
        notification=None if told is None else Notification(told[0], tuple(told[1]), told[2]),
        log_group=None if group is None else LogGroup(*group),
        **options,
    )


def _command(columns: Row) -> Command:
    row = dict(zip((*_COLUMNS, _CONTENT), columns, strict=False))
    return Command(
        scope=Scope(row["account"], row["region"]),
        id=row["id"],
        request=_request(row),
        content=json.loads(row.get(_CONTENT, "{}")),
        principal=row["principal"],
        owner=row["owner"],
        requested_at=row["requested_at"],
        expires_at=row["expires_at"],
        execution_seconds=row["execution_seconds"],
        detail=Detail(row["detail"]),
        target_count=row["target_count"],
        resolved=json.loads(row["resolved"]) if row["resolved"] else None,
    )
