# SPDX-License-Identifier: Apache-2.0
"""What a task is carried out by: to whom, and of type RUN_COMMAND with which parameters (spec §4.3, §4.7)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from patchwright.server import commands
from patchwright.server.commands import LogGroup, Notification, Target
from patchwright.server.infra import UnitOfWork
from patchwright.server.windows import store
from patchwright.server.windows.model import LAMBDA, Execution, InvalidWindow, Invocation, TaskExecution, WindowTarget
from patchwright.server.windows.resolving import reached_by

_OF_ONE_SNAPSHOT = ("AWS-RunPatchBaseline", "AWS-RunPatchBaselineWithHooks")


def invocations_of(
    task: TaskExecution, registered: Sequence[WindowTarget], fresh_ids: Iterator[str]
) -> list[Invocation]:
    """The invocations of a task: one for each registration it names, one for nodes that it names itself; a call has one in any case."""
    by_id = {target.id: target for target in registered}
    wanted: list[tuple[str, tuple[Target, ...], str]] = []
    for target in task.task.targets:
        if target.key == "WindowTargetIds":
            # A registration that was removed since reaches nobody.
            chosen = [by_id[value] for value in target.values if value in by_id]
            wanted += [(one.id, one.targets, one.owner_information) for one in chosen]
        else:
            wanted.append(("", (target,), ""))
    if not task.task.targets and task.task.type == LAMBDA:
        wanted.append(("", (), ""))
    return [
        Invocation(task.scope, task.execution_id, task.id, next(fresh_ids), position, target_id, targets, owner)
        for position, (target_id, targets, owner) in enumerate(wanted)
    ]


def request_of(
    execution: Execution, task: TaskExecution, invocation: Invocation
) -> UnitOfWork[tuple[commands.Request, str]]:
    """The command of an invocation, and the JSON that the API shows of it. Errors: InvalidWindow."""
    settings = task.task.invocation.get("RunCommand", {})
    ids = (yield from _associated(task, invocation)) if not invocation.window_target_id else ()
    words = words_of(execution, task, invocation)
    parameters = {
        name: [_filled(value, words) for value in values] for name, values in settings.get("Parameters", {}).items()
    }
    bare = task.task.arn.rpartition("/")[2]
    if bare in _OF_ONE_SNAPSHOT and not any(parameters.get("SnapshotId", [])):
        parameters["SnapshotId"] = [execution.id]  # all nodes of one window see the same baseline (design D13)
    request = commands.Request(
        document_name=task.task.arn,
        document_version=settings.get("DocumentVersion", "$DEFAULT"),
        parameters=parameters,
        instance_ids=ids,
        targets=() if ids else invocation.targets,
        comment=settings.get("Comment", ""),
        timeout_seconds=settings.get("TimeoutSeconds", commands.DEFAULT_TIMEOUT_SECONDS),
        max_concurrency=task.task.max_concurrency,
        max_errors=task.task.max_errors,
        document_hash=settings.get("DocumentHash", ""),
        document_hash_type=settings.get("DocumentHashType", "Sha256"),
        output_bucket=settings.get("OutputS3BucketName", ""),
        output_prefix=settings.get("OutputS3KeyPrefix", ""),
        service_role=settings.get("ServiceRoleArn", ""),
        notification=_notification(settings.get("NotificationConfig", {})),
        log_group=_log_group(settings.get("CloudWatchOutputConfig", {})),
    )
    return request, _shown(request)


def _notification(config: Mapping[str, Any]) -> Notification | None:
    """Who is told of a task's commands; None where nothing is given but empty placeholders."""
    if not any(config.values()):
        return None
    told = tuple(config.get("NotificationEvents", ()))
    return Notification(config.get("NotificationArn", ""), told, config.get("NotificationType") or "Command")


def _log_group(config: Mapping[str, Any]) -> LogGroup | None:
    if not any(config.values()):
        return None
    return LogGroup(config.get("CloudWatchLogGroupName", ""), config.get("CloudWatchOutputEnabled", False))


def _associated(task: TaskExecution, invocation: Invocation) -> UnitOfWork[tuple[str, ...]]:
    """The nodes that a task names itself: those that belong to the window, where it asks that they do."""
    named = invocation.targets[0].values
    window = yield from store.find(task.scope, task.task.window_id)
    if window is None:
        msg = "The window was deleted, and with it what says which nodes belong to it."
        raise InvalidWindow(msg)
    if window.allow_unassociated_targets:
        return named
    reached = yield from reached_by(task.scope, (yield from store.targets(task.scope, task.task.window_id)))
    found = tuple(instance_id for instance_id in named if instance_id in reached)
    if not found:
        msg = "None of the nodes that the task names belongs to a target of the window."
        raise InvalidWindow(msg)
    return found


def words_of(execution: Execution, task: TaskExecution, invocation: Invocation) -> dict[str, str]:
    """The pseudo parameters of every task (spec §4.7); of a command the node itself is implicit."""
    return {
        "{{WINDOW_ID}}": execution.window_id,
        "{{WINDOW_TASK_ID}}": task.task.id,
        "{{WINDOW_TARGET_ID}}": invocation.window_target_id,
        "{{WINDOW_EXECUTION_ID}}": execution.id,
        "{{TASK_EXECUTION_ID}}": task.id,
        "{{INVOCATION_ID}}": invocation.id,
        "{{TARGET_TYPE}}": "INSTANCE",
    }


def _filled(value: str, words: dict[str, str]) -> str:
    for word, meaning in words.items():
        value = value.replace(word, meaning)
    return value


def _shown(request: commands.Request) -> str:
    shown: dict[str, Any] = {
        "documentName": request.document_name,
        "documentVersion": request.document_version,
        "parameters": request.parameters,
        "maxConcurrency": request.max_concurrency,
        "maxErrors": request.max_errors,
        "timeoutSeconds": request.timeout_seconds,
    }
    if request.comment:
        shown["comment"] = request.comment
    if request.instance_ids:
        shown["instanceIds"] = list(request.instance_ids)
    else:
        shown["targets"] = [{"key": target.key, "values": list(target.values)} for target in request.targets]
    return json.dumps(shown, sort_keys=True)
