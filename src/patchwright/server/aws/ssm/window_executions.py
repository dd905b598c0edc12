# SPDX-License-Identifier: Apache-2.0
"""What was executed of maintenance windows (spec §1.4, §4.5)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from patchwright.server import commands, windows
from patchwright.server.aws.members import filters_of, paged
from patchwright.server.aws.services import Services
from patchwright.server.windows import Execution, Invocation, TaskExecution
from patchwright.server.wire import ApiError, Caller, Handler, Pager, validation

_PAGE = 100
_BATCH = 200
_LONGEST_DETAILS = 250  # characters, by the model
_NODES = 1000  # that are named in the parameters of a task


def operations(services: Services) -> Mapping[str, Handler]:
    """The operations served here, by target."""
    own = ExecutionOperations(services.executions, services.commands, services.pager)
    return {
        "AmazonSSM.CancelMaintenanceWindowExecution": own.cancel_maintenance_window_execution,
        "AmazonSSM.DescribeMaintenanceWindowExecutionTaskInvocations": own.describe_invocations,
        "AmazonSSM.DescribeMaintenanceWindowExecutionTasks": own.describe_tasks,
        "AmazonSSM.DescribeMaintenanceWindowExecutions": own.describe_executions,
        "AmazonSSM.GetMaintenanceWindowExecution": own.get_execution,
        "AmazonSSM.GetMaintenanceWindowExecutionTask": own.get_task,
        "AmazonSSM.GetMaintenanceWindowExecutionTaskInvocation": own.get_invocation,
    }


class ExecutionOperations:
    """One method per operation."""

    def __init__(self, executions: windows.Executions, sent: commands.Service, pager: Pager) -> None:
        self._executions = executions
        self._commands = sent
        self._pager = pager

    async def describe_executions(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """DescribeMaintenanceWindowExecutions, newest first; of an unknown window there are none."""
        bounds = []
        for key, values in filters_of(request.get("Filters", [])):
            if key not in {"ExecutedBefore", "ExecutedAfter"} or len(values) != 1:
                raise validation("Filters are ExecutedBefore and ExecutedAfter, with one value each.")
            bounds.append((key == "ExecutedBefore", windows.moment(values[0]) or 0.0))
        limit = request.get("MaxResults", _PAGE)
        cursor = self._pager.cursor(caller, request)
        before = (cursor[0], cursor[1]) if cursor else None
        found: list[Execution] = []
        while len(found) <= limit:
            batch = await self._executions.page(caller.scope, request["WindowId"], before=before, limit=_BATCH)
            found += [
                one
                for one in batch
                if all(one.started_at < at if earlier else one.started_at > at for earlier, at in bounds)
            ]
            if len(batch) < _BATCH:
                break
            before = (batch[-1].started_at, batch[-1].id)
        answer: dict[str, Any] = {"WindowExecutions": [_execution(one) for one in found[:limit]]}
        if len(found) > limit:
            last = found[limit - 1]
            answer["NextToken"] = self._pager.token(caller, request, [last.started_at, last.id])
        return answer

    async def get_execution(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """GetMaintenanceWindowExecution."""
        execution, tasks = await self._executions.get(caller.scope, request["WindowExecutionId"])
        shown = _execution(execution)
        del shown["WindowId"]
        return {**shown, "TaskIds": [task.id for task in tasks]}

    async def describe_tasks(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """DescribeMaintenanceWindowExecutionTasks, by priority."""
        _, tasks = await self._executions.get(caller.scope, request["WindowExecutionId"])
        rows = [
            {
                **_standing(task),
                "TaskArn": task.task.arn,
                "TaskType": task.task.type,
                "AlarmConfiguration": task.task.extra.get("AlarmConfiguration"),
            }
            for task in tasks
        ]
        return paged(self._pager, caller, request, "WindowExecutionTaskIdentities", _of_status(request, rows))

    async def get_task(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """GetMaintenanceWindowExecutionTask: with the parameters that were sent, and to whom."""
        task, invocations = await self._executions.task(caller.scope, request["WindowExecutionId"], request["TaskId"])
        given = {**task.task.extra.get("TaskParameters", {}), **(await self._sent(caller, invocations))}
        return {
            **_standing(task),
            "TaskArn": task.task.arn,
            "ServiceRole": task.task.service_role or None,
            "Type": task.task.type,
            "TaskParameters": [given] if given else [],
            "Priority": task.task.priority,
            "MaxConcurrency": task.task.max_concurrency or "1",
            "MaxErrors": task.task.max_errors or "1",
            "AlarmConfiguration": task.task.extra.get("AlarmConfiguration"),
        }

    async def _sent(self, caller: Caller, invocations: Sequence[Invocation]) -> dict[str, Any]:
        """What the document was given, defaults included, and the first thousand nodes that it was sent to (spec §4.5)."""
        sent = [one for one in invocations if one.command_id]
        if not sent:
            return {}
        found: dict[str, Any] = {}
        reached: list[str] = []
        for one in sent:
            try:
                command = await self._commands.command(caller.scope, one.command_id)
            except commands.UnknownCommand:  # forgotten sooner than the execution
                continue
            for name, declared in command.content.get("parameters", {}).items():
                if "default" in declared:
                    found.setdefault(name, {"Values": _texts(declared["default"])})
            found.update({name: {"Values": list(values)} for name, values in command.request.parameters.items()})
            left = _NODES - len(reached)
            if left > 0:
                batch = await self._commands.invocations(caller.scope, command_id=one.command_id, limit=left)
                reached += [invocation.instance_id for _, invocation in batch]
        return {**found, **({"aws:InstanceId": {"Values": reached}} if reached else {})}

    async def describe_invocations(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """DescribeMaintenanceWindowExecutionTaskInvocations, in the order in which they are carried out."""
        task, invocations = await self._executions.task(caller.scope, request["WindowExecutionId"], request["TaskId"])
        rows = [_invocation(task, one) for one in invocations]
        return paged(self._pager, caller, request, "WindowExecutionTaskInvocationIdentities", _of_status(request, rows))

    async def get_invocation(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """GetMaintenanceWindowExecutionTaskInvocation."""
        task, invocations = await self._executions.task(caller.scope, request["WindowExecutionId"], request["TaskId"])
        for one in invocations:
            if one.id == request["InvocationId"]:
                return _invocation(task, one)
        raise ApiError("DoesNotExistException", f"Invocation {request['InvocationId']} does not exist")

    async def cancel_maintenance_window_execution(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """CancelMaintenanceWindowExecution: what is under way runs to its end; one that has ended stays as it ended."""
        await self._executions.cancel(caller.scope, request["WindowExecutionId"])
        return {"WindowExecutionId": request["WindowExecutionId"]}


def _texts(default: Any) -> list[str]:
    """The default of a document's parameter as values are written."""
    values = default if isinstance(default, list) else [default]
    return [value if isinstance(value, str) else json.dumps(value) for value in values]


def _execution(execution: Execution) -> dict[str, Any]:
    return {
        "WindowId": execution.window_id,
        "WindowExecutionId": execution.id,
        "Status": execution.status.value,
        "StatusDetails": _details(execution.details),
        "StartTime": execution.started_at,
        "EndTime": execution.ended_at,
    }


def _standing(task: TaskExecution) -> dict[str, Any]:
    return {
        "WindowExecutionId": task.execution_id,
        "TaskExecutionId": task.id,
        "Status": task.status.value,
        "StatusDetails": _details(task.details),
        "StartTime": task.started_at,
        "EndTime": task.ended_at,
    }


def _invocation(task: TaskExecution, invocation: Invocation) -> dict[str, Any]:
    return {
        "WindowExecutionId": invocation.execution_id,
        "TaskExecutionId": task.id,
        "InvocationId": invocation.id,
        "ExecutionId": _carried_out_by(task, invocation),
        "TaskType": task.task.type,
        "Parameters": invocation.parameters or None,
        "Status": invocation.status.value,
        "StatusDetails": _details(invocation.details),
        "StartTime": invocation.started_at,
        "EndTime": invocation.ended_at,
        "OwnerInformation": invocation.owner_information or None,
        "WindowTargetId": invocation.window_target_id or None,
    }


def _carried_out_by(task: TaskExecution, invocation: Invocation) -> str | None:
    """The command's id; of a call that of what was sent, which is the invocation's own (spec §4.5)."""
    called = task.task.type == windows.LAMBDA and bool(invocation.parameters)
    return invocation.id if called else invocation.command_id or None


def _details(text: str) -> str | None:
    return text[:_LONGEST_DETAILS] or None


def _of_status(request: Mapping[str, Any], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for key, values in filters_of(request.get("Filters", [])):
        if key.upper() != "STATUS":
            raise validation(f"There is no filter {key}; use STATUS.")
        rows = [row for row in rows if row["Status"] in values]
    return rows
