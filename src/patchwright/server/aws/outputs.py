# SPDX-License-Identifier: Apache-2.0
"""Operations of our own on outputs: what AWS keeps in buckets alone, as it comes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from patchwright.server import commands, outputs
from patchwright.server.aws.services import Services
from patchwright.server.commands import Invocation
from patchwright.server.outputs import Output, Stream
from patchwright.server.wire import Caller, Handler, Pager

PARKED = frozenset({"Patchwright.GetOutput"})
_PAGE = 50


def operations(services: Services) -> Mapping[str, Handler]:
    """The operations served here, by target."""
    own = OutputOperations(services.outputs, services.commands, services.pager)
    return {
        "Patchwright.GetOutput": own.get_output,
        "Patchwright.ListOutputs": own.list_outputs,
    }


class OutputOperations:
    """One method per operation."""

    def __init__(self, service: outputs.Service, sent: commands.Service, pager: Pager) -> None:
        self._service = service
        self._commands = sent
        self._pager = pager

    async def get_output(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """GetOutput: bytes of a stream from an offset on, waited for where there are none yet."""
        name = request.get("Stream", "stdout")
        asked = Stream(request["CommandId"], request["InstanceId"], request.get("StepName", ""), name)
        wait = float(request.get("WaitSeconds", 0))
        stream, part = await self._service.read(caller.scope, asked, position=request.get("Offset", 0), wait=wait)
        return {
            "CommandId": stream.command_id,
            "InstanceId": stream.instance_id,
            "StepName": stream.step,
            "Stream": stream.name,
            "Offset": part.position,
            "NextOffset": part.position + len(part.data),
            "Body": part.data,
            "Ended": part.ended,
            "Truncated": part.cut,
        }

    async def list_outputs(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """ListOutputs: which output of a command there is, and where it is written."""
        limit, cursor = request.get("MaxResults", _PAGE), self._pager.cursor(caller, request)
        found = await self._commands.invocations(
            caller.scope,
            command_id=request["CommandId"],
            instance_id=request.get("InstanceId", ""),
            before=(cursor[0], cursor[1], cursor[2]) if cursor else None,
            limit=limit,
        )
        kept = await self._service.of_invocations(caller.scope, found)
        answer: dict[str, Any] = {
            "Invocations": [
                _describe(invocation, kept.get((command.id, invocation.instance_id), ()))
                for command, invocation in found
            ]
        }
        if len(found) == limit:
            last = found[-1][1]
            position = (last.requested_at, last.command_id, last.instance_id)
            answer["NextToken"] = self._pager.token(caller, request, position)
        return answer


def _describe(invocation: Invocation, kept: Sequence[Output]) -> dict[str, Any]:
    apart = {one.stream.step for one in kept}
    told = [
        _reported(name, stream, text, ended=result.status not in {"Pending", "InProgress"})
        for name, result in invocation.steps.items()
        if name not in apart
        for stream, text in (("stdout", result.stdout), ("stderr", result.stderr))
    ]
    return {
        "InstanceId": invocation.instance_id,
        "Status": invocation.detail.status,
        "StatusDetails": invocation.detail.value,
        "Ended": invocation.detail.final,
        "Streams": [*told, *map(_kept, kept)],
    }


def _reported(step: str, stream: str, text: str, *, ended: bool) -> dict[str, Any]:
    """A stream that came with its step's result alone."""
    return {"StepName": step, "Stream": stream, "Size": len(text.encode()) if ended else 0, "Ended": ended}


def _kept(output: Output) -> dict[str, Any]:
    place = output.place
    return {
        "StepName": output.stream.step,
        "Stream": output.stream.name,
        "Size": output.size,
        "Ended": output.ended,
        "Truncated": output.cut,
        "BeganAt": output.began_at,
        "BucketName": place.bucket or None,
        "Key": place.key or None,
        "WrittenAt": output.written_at,
        "Attempts": output.attempts if place.bucket else None,
        "Reason": output.reason or None,
    }
