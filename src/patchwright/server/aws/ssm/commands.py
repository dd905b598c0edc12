# SPDX-License-Identifier: Apache-2.0
"""Run Command (spec §1.5, §5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from patchwright.core.invocation import Detail
from patchwright.core.protocol import truncate
from patchwright.server import commands
from patchwright.server.aws.authority import Warden
from patchwright.server.aws.services import Services
from patchwright.server.commands import Command, Invocation, Request, StepResult, Target, Waking
from patchwright.server.wire import ApiError, Caller, Handler, Pager

_OUTPUT_LIMIT = 2_500  # characters of Output in ListCommandInvocations (spec §5.5)
_DEFAULT_PAGE = 50
_BATCH = 50
_NO_NOTIFICATION = {"NotificationArn": "", "NotificationEvents": [], "NotificationType": ""}
_NO_CLOUDWATCH = {"CloudWatchLogGroupName": "", "CloudWatchOutputEnabled": False}
_UNSERVED = (
    "AlarmConfiguration",
    "CloudWatchOutputConfig",
    "NotificationConfig",
    "OutputS3BucketName",
    "OutputS3KeyPrefix",
    "ServiceRoleArn",
)


def operations(services: Services) -> Mapping[str, Handler]:
    """The operations served here, by target."""
    invoked = CommandOperations(services.commands, services.pager, services.waking, services.warden)
    return {
        "AmazonSSM.GetCommandInvocation": invoked.get_command_invocation,
        "AmazonSSM.ListCommandInvocations": invoked.list_command_invocations,
        "AmazonSSM.SendCommand": invoked.send_command,
    }


class CommandOperations:
    """One method per operation."""

    def __init__(self, service: commands.Service, pager: Pager, waking: Waking, warden: Warden) -> None:
        self._service = service
        self._pager = pager
        self._waking = waking
        self._warden = warden

    async def send_command(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """SendCommand."""
        for member in _UNSERVED:
            if request.get(member):
                raise ApiError("InvalidParameters", f"{member} is not served yet; send the command without it.")
        command, released = await self._service.send(
            caller.scope,
            caller.principal,
            Request(
                document_name=request["DocumentName"],
                document_version=request.get("DocumentVersion", "$DEFAULT"),
                parameters=request.get("Parameters", {}),
                instance_ids=tuple(request.get("InstanceIds", [])),
                targets=tuple(
                    Target(target.get("Key", ""), tuple(target.get("Values", [])))
                    for target in request.get("Targets", [])
                ),
                comment=request.get("Comment", ""),
                timeout_seconds=request.get("TimeoutSeconds", 3600),
                max_concurrency=request.get("MaxConcurrency", "50"),
                max_errors=request.get("MaxErrors", "0"),
                document_hash=request.get("DocumentHash", ""),
                document_hash_type=request.get("DocumentHashType", "Sha256"),
            ),
            permitted=await self._warden.permitted(caller, request),
        )
        self._waking.wake(released)
        return {"Command": describe_command(command)}

    async def get_command_invocation(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """GetCommandInvocation."""
        command, invocation = await self._service.invocation(caller.scope, request["CommandId"], request["InstanceId"])
        name, step = commands.step_result(command, invocation, request.get("PluginName", ""))
        return {
            "CommandId": command.id,
            "InstanceId": invocation.instance_id,
            "Comment": command.request.comment,
            "DocumentName": command.request.document_name,
            "DocumentVersion": command.request.document_version,
            "PluginName": name,
            "ResponseCode": step.code if invocation.detail.final else -1,
            "ExecutionStartDateTime": step.started,
            "ExecutionElapsedTime": elapsed(step),
            "ExecutionEndDateTime": step.ended,
            "Status": invocation.detail.status,
            "StatusDetails": invocation.detail.value,
            "StandardOutputContent": step.stdout,
            "StandardOutputUrl": "",
            "StandardErrorContent": step.stderr or invocation.trace,
            "StandardErrorUrl": "",
            "CloudWatchOutputConfig": _NO_CLOUDWATCH,
        }

    async def list_command_invocations(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """ListCommandInvocations, newest first."""
        limit = request.get("MaxResults", _DEFAULT_PAGE)
        cursor = self._pager.cursor(caller, request)
        before = (cursor[0], cursor[1], cursor[2]) if cursor else None
        filters = [_filter(item["key"], item["value"]) for item in request.get("Filters", [])]
        found: list[tuple[Command, Invocation]] = []
        while len(found) <= limit:
            batch = await self._service.invocations(
                caller.scope,
                command_id=request.get("CommandId", ""),
                instance_id=request.get("InstanceId", ""),
                before=before,
                limit=_BATCH,
            )
            found += [pair for pair in batch if all(matches(*pair) for matches in filters)]
            if len(batch) < _BATCH:
                break
            before = _cursor(batch[-1][1])
        details = request.get("Details", False)
        page = found[:limit]
        answer: dict[str, Any] = {"CommandInvocations": [describe_invocation(*pair, details=details) for pair in page]}
        if len(found) > limit:
            answer["NextToken"] = self._pager.token(caller, request, _cursor(page[-1][1]))
        return answer


def describe_command(command: Command) -> dict[str, Any]:
    """A command in AWS's shape, unset members as its empty placeholders (spec §5.1)."""
    request = command.request
    return {
        "CommandId": command.id,
        "DocumentName": request.document_name,
        "DocumentVersion": request.document_version,
        "Comment": request.comment,
        "ExpiresAfter": command.expires_at,
        "Parameters": {name: list(values) for name, values in request.parameters.items()},
        "InstanceIds": list(request.instance_ids),
        "Targets": [{"Key": target.key, "Values": list(target.values)} for target in request.targets],
        "RequestedDateTime": command.requested_at,
        "Status": command.detail.status,
        "StatusDetails": command.detail.value,
        "OutputS3Region": "",
        "OutputS3BucketName": "",
        "OutputS3KeyPrefix": "",
        "MaxConcurrency": request.max_concurrency,
        "MaxErrors": request.max_errors,
        "TargetCount": command.target_count,
        "CompletedCount": command.completed_count,
        "ErrorCount": command.error_count,
        "DeliveryTimedOutCount": command.delivery_timed_out_count,
        "ServiceRole": "",
        "NotificationConfig": _NO_NOTIFICATION,
        "CloudWatchOutputConfig": _NO_CLOUDWATCH,
        "TimeoutSeconds": request.timeout_seconds,
    }


def describe_invocation(command: Command, invocation: Invocation, *, details: bool) -> dict[str, Any]:
    """An invocation in AWS's shape; *details* adds its steps."""
    plugins = [_plugin(name, step) for name, step in invocation.steps.items()] if details else []
    return {
        "CommandId": command.id,
        "InstanceId": invocation.instance_id,
        "InstanceName": "",
        "Comment": command.request.comment,
        "DocumentName": command.request.document_name,
        "DocumentVersion": command.request.document_version,
        "RequestedDateTime": invocation.requested_at,
        "Status": invocation.detail.status,
        "StatusDetails": invocation.detail.value,
        "TraceOutput": invocation.trace,
        "StandardOutputUrl": "",
        "StandardErrorUrl": "",
        "CommandPlugins": plugins,
        "ServiceRole": "",
        "NotificationConfig": _NO_NOTIFICATION,
        "CloudWatchOutputConfig": _NO_CLOUDWATCH,
    }


def elapsed(step: StepResult) -> str:
    """How long a step took as an ISO 8601 duration (`PT0.091S`), empty before it ended."""
    try:
        start, end = datetime.fromisoformat(step.started), datetime.fromisoformat(step.ended)
    except ValueError:
        return ""
    seconds = max((_utc(end) - _utc(start)).total_seconds(), 0.0)
    return f"PT{seconds:.3f}".rstrip("0").rstrip(".") + "S"


def _plugin(name: str, step: StepResult) -> dict[str, Any]:
    detail = Detail(step.status)
    output = step.stdout + (f"\n----------ERROR-------\n{step.stderr}" if step.stderr else "")
    return {
        "Name": name,
        "Status": detail.status,
        "StatusDetails": detail.value,
        "ResponseCode": step.code,
        "ResponseStartDateTime": _moment(step.started),
        "ResponseFinishDateTime": _moment(step.ended),
        "Output": truncate(output, _OUTPUT_LIMIT),
        "StandardOutputUrl": "",
        "StandardErrorUrl": "",
        "OutputS3Region": "",
        "OutputS3BucketName": "",
        "OutputS3KeyPrefix": "",
    }


def _filter(key: str, value: str) -> Callable[[Command, Invocation], bool]:
    """What a filter asks of an invocation. Raises ApiError where there is none of this key, or its value is no time."""
    if key == "Status":
        return lambda _, invocation: value in {invocation.detail.status, invocation.detail.value}
    if key == "DocumentName":
        return lambda command, _: value == command.request.document_name
    if key not in {"InvokedAfter", "InvokedBefore"}:
        raise ApiError("InvalidFilterKey", f"There is no filter {key} here.")
    moment = _moment(value)
    if moment is None:
        raise ApiError("InvalidFilterKey", f"{key} takes a time such as 2026-11-20T00:00:00Z, not {value!r}.")
    if key == "InvokedAfter":
        return lambda _, invocation: invocation.requested_at >= moment
    return lambda _, invocation: invocation.requested_at <= moment


def _moment(text: str) -> float | None:
    try:
        return _utc(datetime.fromisoformat(text)).timestamp()
    except ValueError:
        return None


def _utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _cursor(invocation: Invocation) -> tuple[float, str, str]:
    return invocation.requested_at, invocation.command_id, invocation.instance_id
