# SPDX-License-Identifier: Apache-2.0
"""What the world hears of commands: events (spec §7.7) and notifications (spec §5.8), in the transaction of the change."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from typing import Any

from patchwright.core.invocation import Detail
from patchwright.server import events
from patchwright.server.accounts import Scope
from patchwright.server.commands.model import Command, Notification
from patchwright.server.commands.targets import named_nodes
from patchwright.server.events import iso_millis
from patchwright.server.infra import UnitOfWork

_OURS = uuid.UUID("5f0e8b8e-6c9b-5d35-9d0a-3f6a1c1f4b52")  # what ids of these events are made under
_ALL = "All"


def event_id(scope: Scope, command_id: str, detail: Detail) -> str:
    """The id of the event that a command as a whole became *detail*, the same whenever it is told."""
    name = "/".join((*scope, command_id, "", detail.value))
    digits = hashlib.sha1(_OURS.bytes + name.encode()).hexdigest()  # noqa: S324 - a UUID of version 5, four times as fast
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-5{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:32]}"


def tell_command(command: Command, detail: Detail, *, now: float) -> UnitOfWork[None]:
    """Say that a command as a whole became *detail*."""
    scope, request = command.scope, command.request
    identity = event_id(scope, command.id, detail)
    shown = {
        "command-id": command.id,
        "document-name": request.document_name,
        "expire-after": iso_millis(command.expires_at),
        "parameters": {name: list(values) for name, values in request.parameters.items()},
        "requested-date-time": iso_millis(command.requested_at),
        "status": detail.status,
    }
    resources = [events.node_arn(scope, one) for one in named_nodes(request)]
    yield from events.emit(scope, events.COMMAND, resources, shown, now=now, id=identity, subject=command.id)
    if _wanted(request.notification, "Command", detail):
        body = {
            **_common(command, detail, now),
            "instanceIds": named_nodes(request),
            "expiresAfter": iso_millis(command.expires_at),
            "outputS3BucketName": request.output_bucket,
            "outputS3KeyPrefix": request.output_prefix,
        }
        yield from _notify(command, body, now=now, identity=identity)


def tell_invocations(command: Command, instance_ids: Sequence[str], detail: Detail, *, now: float) -> UnitOfWork[None]:
    """Say that the invocations of a command on some nodes became *detail*."""
    scope, request = command.scope, command.request
    id_of = events.ids_in_time(now, *scope, command.id, detail.value)
    ids = {one: id_of(one) for one in instance_ids}
    shown = {
        "command-id": command.id,
        "document-name": request.document_name,
        "requested-date-time": iso_millis(command.requested_at),
        "status": detail.status,
    }
    subjects = [(one, events.node_arn(scope, one), identity) for one, identity in ids.items()]
    kind = events.COMMAND_INVOCATION
    yield from events.emit_of_each(scope, kind, subjects, shown, member="instance-id", now=now)
    if _wanted(request.notification, "Invocation", detail):
        for instance_id, identity in ids.items():
            body = {**_common(command, detail, now), "instanceId": instance_id}
            yield from _notify(command, body, now=now, identity=identity)


def _common(command: Command, detail: Detail, now: float) -> dict[str, Any]:
    return {
        "commandId": command.id,
        "documentName": command.request.document_name,
        "requestedDateTime": iso_millis(command.requested_at),
        "status": detail.status,
        "statusDetails": detail.value,
        "eventTime": iso_millis(now),
    }


def _wanted(notification: Notification | None, kind: str, detail: Detail) -> bool:
    if notification is None or notification.type != kind:
        return False
    return bool({_ALL, detail.status} & set(notification.events or (_ALL,)))


def _notify(command: Command, body: dict[str, Any], *, now: float, identity: str) -> UnitOfWork[None]:
    notification = command.request.notification
    if notification is not None:
        name = events.topic_of(command.scope, notification.arn)
        yield from events.notify(command.scope, name, body, now=now, id=identity)
