# SPDX-License-Identifier: Apache-2.0
"""Targets and tasks of maintenance windows (spec §1.4, §4.1, §4.3)."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from patchwright.server import windows
from patchwright.server.aws.authority import owner_of
from patchwright.server.aws.members import filters_of, paged, token_of
from patchwright.server.aws.services import Services
from patchwright.server.aws.ssm.windows import describe_targets, targets_of
from patchwright.server.windows import WindowTarget, WindowTask
from patchwright.server.wire import Caller, Handler, Pager, validation

_MEMBER_OF_TYPE = {
    "RUN_COMMAND": "RunCommand",
    "AUTOMATION": "Automation",
    "STEP_FUNCTIONS": "StepFunctions",
    "LAMBDA": "Lambda",
}
_TARGET = {"OwnerInformation": "owner_information", "Name": "name", "Description": "description"}
_TASK = {
    "TaskArn": "arn",
    "ServiceRoleArn": "service_role",
    "Priority": "priority",
    "MaxConcurrency": "max_concurrency",
    "MaxErrors": "max_errors",
    "Name": "name",
    "Description": "description",
    "CutoffBehavior": "cutoff_behavior",
}
_KEPT = (
    "TaskParameters",
    "LoggingInfo",
    "AlarmConfiguration",
)  # stored to be shown; LoggingInfo and TaskParameters are deprecated
_PLACEHOLDER = "1"  # what AWS shows for the rates of a task without targets


def operations(services: Services) -> Mapping[str, Handler]:
    """The operations served here, by target."""
    own = ContentOperations(services.maintenance, services.pager)
    return {
        "AmazonSSM.DeregisterTargetFromMaintenanceWindow": own.deregister_target_from_maintenance_window,
        "AmazonSSM.DeregisterTaskFromMaintenanceWindow": own.deregister_task_from_maintenance_window,
        "AmazonSSM.DescribeMaintenanceWindowTargets": own.describe_maintenance_window_targets,
        "AmazonSSM.DescribeMaintenanceWindowTasks": own.describe_maintenance_window_tasks,
        "AmazonSSM.GetMaintenanceWindowTask": own.get_maintenance_window_task,
        "AmazonSSM.RegisterTargetWithMaintenanceWindow": own.register_target_with_maintenance_window,
        "AmazonSSM.RegisterTaskWithMaintenanceWindow": own.register_task_with_maintenance_window,
        "AmazonSSM.UpdateMaintenanceWindowTarget": own.update_maintenance_window_target,
        "AmazonSSM.UpdateMaintenanceWindowTask": own.update_maintenance_window_task,
    }


class ContentOperations:
    """One method per operation."""

    def __init__(self, service: windows.Service, pager: Pager) -> None:
        self._service = service
        self._pager = pager

    async def register_target_with_maintenance_window(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """RegisterTargetWithMaintenanceWindow."""
        given = {name: request[member] for member, name in _TARGET.items() if member in request}
        target = WindowTarget(
            scope=caller.scope,
            window_id=request["WindowId"],
            id="",
            resource_type=request["ResourceType"],
            targets=targets_of(request["Targets"]),
            **given,
        )
        return {"WindowTargetId": await self._service.add_target(target, token=token_of(caller, request))}

    async def update_maintenance_window_target(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """UpdateMaintenanceWindowTarget: with Replace, what is absent is reset."""
        given: dict[str, Any] = {name: request[member] for member, name in _TARGET.items() if member in request}
        if request.get("Replace"):
            if "Targets" not in request:
                raise validation("With Replace, Targets must be given.")
            given = {name: given.get(name, "") for name in _TARGET.values()}
        if "Targets" in request:
            given["targets"] = targets_of(request["Targets"])
        target = await self._service.update_target(
            caller.scope, request["WindowId"], request["WindowTargetId"], lambda old: replace(old, **given)
        )
        answer = _target(target)
        del answer["ResourceType"]
        # Here, and not in the listing, AWS's pages show what is not set as empty text.
        return {**answer, "OwnerInformation": target.owner_information, "Description": target.description}

    async def deregister_target_from_maintenance_window(
        self, caller: Caller, request: dict[str, Any]
    ) -> dict[str, Any]:
        """DeregisterTargetFromMaintenanceWindow: with Safe, not while a task names it."""
        window_id, target_id = request["WindowId"], request["WindowTargetId"]
        await self._service.remove_target(caller.scope, window_id, target_id, safe=request.get("Safe", False))
        return {"WindowId": window_id, "WindowTargetId": target_id}

    async def describe_maintenance_window_targets(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """DescribeMaintenanceWindowTargets, oldest first."""
        found = await self._service.targets(caller.scope, request["WindowId"])
        rows = [_target(target) for target in found]
        columns = {"Type": "ResourceType", "WindowTargetId": "WindowTargetId", "OwnerInformation": "OwnerInformation"}
        return paged(self._pager, caller, request, "Targets", _filtered(request, rows, columns))

    async def register_task_with_maintenance_window(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """RegisterTaskWithMaintenanceWindow."""
        task = WindowTask(
            scope=caller.scope, window_id=request["WindowId"], id="", type=request["TaskType"], arn=request["TaskArn"]
        )
        made = replace(_changed(task, request), owner=owner_of(caller))
        return {"WindowTaskId": await self._service.add_task(made, token=token_of(caller, request))}

    async def update_maintenance_window_task(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """UpdateMaintenanceWindowTask: TaskInvocationParameters are replaced whole; with Replace, what is absent is reset."""

        def change(old: WindowTask) -> WindowTask:
            if request.get("Replace"):
                if "TaskArn" not in request:
                    raise validation("With Replace, TaskArn must be given.")
                blank = WindowTask(
                    old.scope, old.window_id, old.id, type=old.type, arn=old.arn, created_at=old.created_at
                )
                old = blank
            changed = replace(_changed(old, request), owner=owner_of(caller))
            return changed if changed.targets else _without_placeholders(changed)

        task = await self._service.update_task(caller.scope, request["WindowId"], request["WindowTaskId"], change)
        answer = _task(task)
        del answer["TaskType"]
        return answer

    async def get_maintenance_window_task(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """GetMaintenanceWindowTask."""
        return _task(await self._service.task(caller.scope, request["WindowId"], request["WindowTaskId"]))

    async def deregister_task_from_maintenance_window(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """DeregisterTaskFromMaintenanceWindow."""
        window_id, task_id = request["WindowId"], request["WindowTaskId"]
        await self._service.remove_task(caller.scope, window_id, task_id)
        return {"WindowId": window_id, "WindowTaskId": task_id}

    async def describe_maintenance_window_tasks(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """DescribeMaintenanceWindowTasks, by priority, then oldest first."""
        rows = []
        for task in await self._service.tasks(caller.scope, request["WindowId"]):
            row = _task(task)
            row["Type"] = row.pop("TaskType")
            row.pop("TaskInvocationParameters")
            rows.append(row)
        columns = {"WindowTaskId": "WindowTaskId", "TaskArn": "TaskArn", "Priority": "Priority", "TaskType": "Type"}
        return paged(self._pager, caller, request, "Tasks", _filtered(request, rows, columns))


def _changed(task: WindowTask, request: Mapping[str, Any]) -> WindowTask:
    """*task* with the members that *request* gives. Raises ApiError where the parameters are of another type."""
    given: dict[str, Any] = {name: request[member] for member, name in _TASK.items() if member in request}
    if "Targets" in request:
        given["targets"] = targets_of(request["Targets"])
    if "TaskInvocationParameters" in request:
        wanted = _MEMBER_OF_TYPE[task.type]
        invocation = request["TaskInvocationParameters"]
        if set(invocation) - {wanted}:
            raise validation(f"TaskInvocationParameters of a task of type {task.type} have the one member {wanted}.")
        given["invocation"] = _storable(invocation)
    kept = {member: request[member] for member in _KEPT if member in request}
    return replace(task, **given, extra={**task.extra, **kept})


def _without_placeholders(task: WindowTask) -> WindowTask:
    """A task without targets, whose rates may come back as they were shown: who changes one member often sends them all."""
    rates: dict[str, Any] = {
        name: "" for name in ("max_concurrency", "max_errors") if getattr(task, name) == _PLACEHOLDER
    }
    return replace(task, **rates)


def _storable(invocation: Mapping[str, Any]) -> dict[str, Any]:
    """TaskInvocationParameters as JSON can hold them: the payload, which is bytes, as base64."""
    payload = invocation.get("Lambda", {}).get("Payload")
    if payload is None:
        return dict(invocation)
    return {"Lambda": {**invocation["Lambda"], "Payload": base64.b64encode(payload).decode()}}


def _shown(invocation: Mapping[str, Any]) -> dict[str, Any]:
    payload = invocation.get("Lambda", {}).get("Payload")
    if payload is None:
        return dict(invocation)
    return {"Lambda": {**invocation["Lambda"], "Payload": base64.b64decode(payload)}}


def _target(target: WindowTarget) -> dict[str, Any]:
    return {
        "WindowId": target.window_id,
        "WindowTargetId": target.id,
        "ResourceType": target.resource_type,
        "Targets": describe_targets(target.targets),
        "OwnerInformation": target.owner_information or None,
        "Name": target.name or None,
        "Description": target.description or None,
    }


def _task(task: WindowTask) -> dict[str, Any]:
    placeholder = None if task.targets else _PLACEHOLDER
    return {
        "WindowId": task.window_id,
        "WindowTaskId": task.id,
        "Targets": describe_targets(task.targets),
        "TaskArn": task.arn,
        "ServiceRoleArn": task.service_role or None,
        "TaskType": task.type,
        "TaskParameters": task.extra.get("TaskParameters", {}),
        "TaskInvocationParameters": _shown(task.invocation) or None,
        "Priority": task.priority,
        "MaxConcurrency": task.max_concurrency or placeholder,
        "MaxErrors": task.max_errors or placeholder,
        "LoggingInfo": task.extra.get("LoggingInfo"),
        "Name": task.name or None,
        "Description": task.description or None,
        "CutoffBehavior": task.cutoff_behavior or None,
        "AlarmConfiguration": task.extra.get("AlarmConfiguration"),
    }


def _filtered(
    request: Mapping[str, Any], rows: list[dict[str, Any]], columns: Mapping[str, str]
) -> list[dict[str, Any]]:
    """The rows that match every filter of the request."""
    for key, values in filters_of(request.get("Filters", [])):
        if key not in columns:
            raise validation(f"There is no filter {key}; use {', '.join(columns)}.")
        rows = [row for row in rows if row[columns[key]] is not None and str(row[columns[key]]) in values]
    return rows
