# SPDX-License-Identifier: Apache-2.0
"""Run Command (spec §1.5, §5)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from patchwright.core.invocation import Detail
from patchwright.core.protocol import truncate
from patchwright.server import commands, outputs
from patchwright.server.aws.authority import Warden, owner_of, require_own_bucket
from patchwright.server.aws.output_links import OutputLinks
from patchwright.server.aws.services import Services
from patchwright.server.commands import (
    Command,
    Invocation,
    LogGroup,
    Notification,
    Request,
    StepResult,
    Target,
    Waking,
)
from patchwright.server.infra import BucketOwners
from patchwright.server.wire import ApiError, Caller, Handler, Pager

# Where stdout and stderr of a step of an invocation are in full; empty: nowhere.
Urls = Callable[[Invocation, str], tuple[str, str]]

_OUTPUT_LIMIT = 2_500  # characters of Output in ListCommandInvocations (spec §5.5)
_DEFAULT_PAGE = 50
_BATCH = 50
_LOOKED_AT = 1000  # entries that one page of a filtered listing looks at: then it is short, and has a token
_STAGES = {"Executing": False, "Complete": True}
_OPEN_STEPS = frozenset({"Pending", "InProgress"})
_OF_STEPS = {Detail.DELAYED: Detail.PENDING, Detail.CANCELLING: Detail.IN_PROGRESS}  # as CommandPluginStatus has it


def operations(services: Services) -> Mapping[str, Handler]:
    """The operations served here, by target."""
    invoked = CommandOperations(
        services.commands,
        services.pager,
        services.waking,
        services.warden,
        printed=services.outputs,
        links=services.output_links,
        owners=services.owners,
    )
    return {
        "AmazonSSM.CancelCommand": invoked.cancel_command,
        "AmazonSSM.GetCommandInvocation": invoked.get_command_invocation,
        "AmazonSSM.ListCommandInvocations": invoked.list_command_invocations,
        "AmazonSSM.ListCommands": invoked.list_commands,
        "AmazonSSM.SendCommand": invoked.send_command,
    }


class CommandOperations:
    """One method per operation."""

    def __init__(
        self,
        service: commands.Service,
        pager: Pager,
        waking: Waking,
        warden: Warden,
        *,
        printed: outputs.Service,
        links: OutputLinks,
        owners: BucketOwners,
    ) -> None:
        self._owners = owners
        self._printed = printed
        self._links = links
        self._service = service
        self._pager = pager
        self._waking = waking
        self._warden = warden

    async def send_command(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """SendCommand."""
        if request.get("AlarmConfiguration"):
            msg = "AlarmConfiguration is not served: there are no alarms here that could stop a command."
            raise ApiError("InvalidParameters", msg)
        require_own_bucket(self._owners, caller.scope, request.get("OutputS3BucketName", ""))
        command, released = await self._service.send(
            caller.scope,
            caller.principal,
            _request(caller, request),
            permitted=await self._warden.permitted(caller, request),
            owner=owner_of(caller),
        )
        self._waking.wake(released)
        return {"Command": describe_command(command)}

    async def cancel_command(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """CancelCommand."""
        told = await self._service.cancel(caller.scope, request["CommandId"], request.get("InstanceIds", []))
        self._waking.wake(told)
        return {}

    async def list_commands(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """ListCommands, newest first."""
        filters = [_filter_of_commands(item["key"], item["value"]) for item in request.get("Filters", [])]
        instance_id = request.get("InstanceId", "")
        if command_id := request.get("CommandId", ""):
            command = await self._service.command(caller.scope, command_id)
            sent = not instance_id or (
                await self._service.invocations(caller.scope, command_id=command_id, instance_id=instance_id, limit=1)
            )
            shown = sent and all(matches(command) for matches in filters)
            return {"Commands": [describe_command(command)] if shown else []}
        limit = request.get("MaxResults", _DEFAULT_PAGE)
        cursor = self._pager.cursor(caller, request)
        before = (cursor[0], cursor[1]) if cursor else None
        found: list[Command] = []
        looked, ended = 0, False
        while len(found) <= limit and looked < _LOOKED_AT and not ended:
            batch = await self._service.commands(caller.scope, instance_id=instance_id, before=before, limit=_BATCH)
            found += [command for command in batch if all(matches(command) for matches in filters)]
            looked, ended = looked + len(batch), len(batch) < _BATCH
            before = (batch[-1].requested_at, batch[-1].id) if batch else before
        page = found[:limit]
        answer: dict[str, Any] = {"Commands": [describe_command(command) for command in page]}
        if len(found) > limit:
            before = (page[-1].requested_at, page[-1].id)
        if len(found) > limit or not ended:
            answer["NextToken"] = self._pager.token(caller, request, before)
        return answer

    async def get_command_invocation(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """GetCommandInvocation."""
        command, invocation = await self._service.invocation(caller.scope, request["CommandId"], request["InstanceId"])
        name, step = commands.step_result(command, invocation, request.get("PluginName", ""))
        status = _status_of(commands.step_names(command), invocation, name)
        stdout, stderr = (await self._urls([(command, invocation)]))(invocation, name)
        return {
            "CommandId": command.id,
            "InstanceId": invocation.instance_id,
            "Comment": command.request.comment,
            "DocumentName": command.request.document_name,
            "DocumentVersion": command.request.document_version,
            "PluginName": name,
            "ResponseCode": step.code if status.final else -1,
            "ExecutionStartDateTime": step.started,
            "ExecutionElapsedTime": elapsed(step) if status.final else "",
            "ExecutionEndDateTime": step.ended if status.final else "",
            "Status": status.status,
            "StatusDetails": status.value,
            "StandardOutputContent": step.stdout,
            "StandardOutputUrl": stdout,
            "StandardErrorContent": step.stderr or invocation.trace,
            "StandardErrorUrl": stderr,
            "CloudWatchOutputConfig": _log_group(command.request),
        }

    async def list_command_invocations(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """ListCommandInvocations, newest first."""
        limit = request.get("MaxResults", _DEFAULT_PAGE)
        cursor = self._pager.cursor(caller, request)
        before = (cursor[0], cursor[1], cursor[2]) if cursor else None
        filters = [_filter(item["key"], item["value"]) for item in request.get("Filters", [])]
        found: list[tuple[Command, Invocation]] = []
        looked, ended = 0, False
        while len(found) <= limit and looked < _LOOKED_AT and not ended:
            batch = await self._service.invocations(
                caller.scope,
                command_id=request.get("CommandId", ""),
                instance_id=request.get("InstanceId", ""),
                before=before,
                limit=_BATCH,
            )
            found += [pair for pair in batch if all(matches(*pair) for matches in filters)]
            looked, ended = looked + len(batch), len(batch) < _BATCH
            before = _cursor(batch[-1][1]) if batch else before
        details = request.get("Details", False)
        page = found[:limit]
        urls = await self._urls(page)
        steps = await self._service.steps(caller.scope, [command.id for command, _ in page]) if details else {}
        answer: dict[str, Any] = {
            "CommandInvocations": [
                describe_invocation(command, invocation, names=steps.get(command.id, ()), urls=urls)
                for command, invocation in page
            ]
        }
        if len(found) > limit:
            before = _cursor(page[-1][1])
        if len(found) > limit or not ended:
            answer["NextToken"] = self._pager.token(caller, request, before)
        return answer

    async def _urls(self, found: Sequence[tuple[Command, Invocation]]) -> Urls:
        """Where the outputs of invocations are in full."""
        kept = await self._printed.of_invocations(found[0][0].scope, found) if found else {}

        def urls(invocation: Invocation, step: str) -> tuple[str, str]:
            return self._links.urls(kept.get((invocation.command_id, invocation.instance_id), ()), step)

        return urls


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
        "InstanceIds": commands.named_nodes(request),
        "Targets": [{"Key": target.key, "Values": list(target.values)} for target in request.targets],
        "RequestedDateTime": command.requested_at,
        "Status": command.detail.status,
        "StatusDetails": command.detail.value,
        "OutputS3Region": request.output_region,
        "OutputS3BucketName": request.output_bucket,
        "OutputS3KeyPrefix": request.output_prefix,
        "MaxConcurrency": request.max_concurrency,
        "MaxErrors": request.max_errors,
        "TargetCount": command.target_count,
        "CompletedCount": command.completed_count,
        "ErrorCount": command.error_count,
        "DeliveryTimedOutCount": command.delivery_timed_out_count,
        "ServiceRole": request.service_role,
        "NotificationConfig": _notification(request),
        "CloudWatchOutputConfig": _log_group(request),
        "TimeoutSeconds": request.timeout_seconds,
    }


def describe_invocation(
    command: Command, invocation: Invocation, *, names: Sequence[str], urls: Urls
) -> dict[str, Any]:
    """
    An invocation in AWS's shape, with the steps that *names* has, in that order.

    A step that nothing was heard of when the invocation ended is left out: what it came to may be on its way.
    """
    request = command.request
    stdout, stderr = urls(invocation, next(iter(invocation.steps))) if len(invocation.steps) == 1 else ("", "")
    shown = [name for name in names if name in invocation.steps or not invocation.detail.final]
    shown += [name for name in invocation.steps if names and name not in names]  # of which only the node knows
    plugins = [
        _plugin(request, invocation, name, _status_of(names, invocation, name), urls(invocation, name))
        for name in shown
    ]
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
        "StandardOutputUrl": stdout,
        "StandardErrorUrl": stderr,
        "CommandPlugins": plugins,
        "ServiceRole": request.service_role,
        "NotificationConfig": _notification(request),
        "CloudWatchOutputConfig": _log_group(request),
    }


def elapsed(step: StepResult) -> str:
    """How long a step took as an ISO 8601 duration (`PT0.091S`), empty before it ended."""
    try:
        start, end = datetime.fromisoformat(step.started), datetime.fromisoformat(step.ended)
    except ValueError:
        return ""
    seconds = max((_utc(end) - _utc(start)).total_seconds(), 0.0)
    return f"PT{seconds:.3f}".rstrip("0").rstrip(".") + "S"


def _request(caller: Caller, request: dict[str, Any]) -> Request:
    role = request.get("ServiceRoleArn", "")
    if role and not re.match(rf"arn:aws:iam::{caller.account}:role/[\w+=,.@/-]+\Z", role, re.ASCII):
        raise ApiError("InvalidRole", f"{role[:256]!r} is no role of this account.")
    group = request.get("CloudWatchOutputConfig")
    return Request(
        document_name=request["DocumentName"],
        document_version=request.get("DocumentVersion", "$DEFAULT"),
        parameters=request.get("Parameters", {}),
        instance_ids=tuple(request.get("InstanceIds", [])),
        targets=tuple(
            Target(target.get("Key", ""), tuple(target.get("Values", []))) for target in request.get("Targets", [])
        ),
        comment=request.get("Comment", ""),
        timeout_seconds=request.get("TimeoutSeconds", commands.DEFAULT_TIMEOUT_SECONDS),
        max_concurrency=request.get("MaxConcurrency", "50"),
        max_errors=request.get("MaxErrors", "0"),
        document_hash=request.get("DocumentHash", ""),
        document_hash_type=request.get("DocumentHashType", "Sha256"),
        output_bucket=request.get("OutputS3BucketName", ""),
        output_prefix=request.get("OutputS3KeyPrefix", ""),
        output_region=request.get("OutputS3Region", ""),
        service_role=role,
        notification=_notified(request.get("NotificationConfig")),
        log_group=None
        if group is None
        else LogGroup(group.get("CloudWatchLogGroupName", ""), group.get("CloudWatchOutputEnabled", False)),
    )


def _notified(config: dict[str, Any] | None) -> Notification | None:
    """Who is to be told; None where nothing is given, or the empty placeholders that a Command shows."""
    given = {name: value for name, value in (config or {}).items() if value}
    if not given:
        return None
    return Notification(
        given.get("NotificationArn", ""),
        tuple(given.get("NotificationEvents", ())),
        given.get("NotificationType", "Command"),
    )


def _notification(request: Request) -> dict[str, Any]:
    told = request.notification or Notification("", (), "")
    return {"NotificationArn": told.arn, "NotificationEvents": list(told.events), "NotificationType": told.type}


def _log_group(request: Request) -> dict[str, Any]:
    group = request.log_group or LogGroup()
    return {"CloudWatchLogGroupName": group.name, "CloudWatchOutputEnabled": group.enabled}


def _status_of(names: Sequence[str], invocation: Invocation, name: str) -> Detail:
    """
    How a step stands, of those that *names* has in order: as the invocation, where it is the only one, or has ended without
    a word of this one; else as was heard, and the first that nothing was heard of is under way.
    """
    step = invocation.steps.get(name)
    unheard = step is None or step.status in _OPEN_STEPS
    if len(names) == 1 or (invocation.detail.final and unheard):
        return invocation.detail
    if step is not None:
        return Detail(step.status)
    first = next(one for one in names if one not in invocation.steps)
    return invocation.detail if name == first else Detail.PENDING


def _plugin(
    request: Request, invocation: Invocation, name: str, detail: Detail, urls: tuple[str, str]
) -> dict[str, Any]:
    step = invocation.steps.get(name, StepResult("Pending"))
    detail = _OF_STEPS.get(detail, detail)
    output = step.stdout + (f"\n----------ERROR-------\n{step.stderr}" if step.stderr else "")
    return {
        "Name": name,
        "Status": detail.status,
        "StatusDetails": detail.value,
        "ResponseCode": step.code if detail.final else -1,
        "ResponseStartDateTime": _moment(step.started),
        "ResponseFinishDateTime": _moment(step.ended) if detail.final else None,
        "Output": truncate(output, _OUTPUT_LIMIT),
        "StandardOutputUrl": urls[0],
        "StandardErrorUrl": urls[1],
        "OutputS3Region": request.output_region,
        "OutputS3BucketName": request.output_bucket,
        "OutputS3KeyPrefix": request.output_prefix,
    }


def _filter(key: str, value: str) -> Callable[[Command, Invocation], bool]:
    """What a filter asks of an invocation. Raises ApiError where there is none of this key, or its value is no time."""
    if key == "Status":
        return lambda _, invocation: value in {invocation.detail.status, invocation.detail.value}
    if key == "DocumentName":
        return lambda command, _: value == command.request.document_name
    when = _invoked(key, value)
    return lambda _, invocation: when(invocation.requested_at)


def _filter_of_commands(key: str, value: str) -> Callable[[Command], bool]:
    """What a filter asks of a command. Raises ApiError where there is none of this key, or its value is none."""
    if key == "Status":
        return lambda command: value in {command.detail.status, command.detail.value}
    if key == "DocumentName":
        return lambda command: value == command.request.document_name
    if key == "ExecutionStage":
        if value not in _STAGES:
            raise ApiError("InvalidFilterKey", f"ExecutionStage is Executing or Complete, not {value[:64]!r}.")
        return lambda command: command.detail.final is _STAGES[value]
    when = _invoked(key, value)
    return lambda command: when(command.requested_at)


def _invoked(key: str, value: str) -> Callable[[float], bool]:
    if key not in {"InvokedAfter", "InvokedBefore"}:
        raise ApiError("InvalidFilterKey", f"There is no filter {key} here.")
    moment = _moment(value)
    if moment is None:
        raise ApiError("InvalidFilterKey", f"{key} takes a time such as 2026-11-20T00:00:00Z, not {value!r}.")
    if key == "InvokedAfter":
        return lambda requested: requested >= moment
    return lambda requested: requested <= moment


def _moment(text: str) -> float | None:
    try:
        return _utc(datetime.fromisoformat(text)).timestamp()
    except ValueError:
        return None


def _utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _cursor(invocation: Invocation) -> tuple[float, str, str]:
    return invocation.requested_at, invocation.command_id, invocation.instance_id
