# SPDX-License-Identifier: Apache-2.0
"""The patch exchange (design D4), translated: messages of nodes to the patching room and back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from patchwright.core.errors import MalformedOverride
from patchwright.core.override import OverrideList
from patchwright.core.patch_check import Answer, PatchCheck
from patchwright.core.patch_step import BASELINE_OVERRIDE, INSTALL_OVERRIDE_LIST, PatchStep
from patchwright.core.protocol import OVERRIDE_LIMIT_BYTES, Begun, FactsMessage, resolution_from_json
from patchwright.core.system import OperatingSystem
from patchwright.server import commands, documents, patching
from patchwright.server.accounts import Scope
from patchwright.server.infra import Database, UnitOfWork
from patchwright.server.wire import Caller, Rate, Rates, throttled

_DAY_SECONDS = 86_400
_FACTS_BYTES = 4096  # that what is kept of one PutFacts is counted as

Baselines: TypeAlias = Callable[[str], Mapping[OperatingSystem, patching.GivenBaseline]]


class Exchange:
    """
    The messages by which a node carries out a patch step. A node may have *daily_bytes* kept in a day, in this process.

    *baselines* reads the text of a BaselineOverride.
    """

    def __init__(
        self,
        database: Database,
        operations: patching.Operations,
        *,
        monotonic: Callable[[], float],
        daily_bytes: int,
        baselines: Baselines,
    ) -> None:
        self._baselines = baselines
        self._database = database
        self._operations = operations
        self._kept = Rates(Rate(max(daily_bytes, 1) / _DAY_SECONDS, daily_bytes), monotonic)

    async def begin_operation(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """BeginOperation. What is to be done is the command's word: the node only says which step of which command."""
        scope, instance_id = caller.scope, str(caller.instance_id)
        inputs = await self._database.read(_inputs, scope, instance_id, request)
        step = PatchStep.read(request["StepName"], inputs)
        begun = await self._operations.begin(
            scope,
            instance_id,
            command_id=request["CommandId"],
            step=request["StepName"],
            kind=step.operation,
            snapshot_id=step.snapshot_id,
            reboot_option=step.reboot_option,
            operating_system=request["OperatingSystem"],
            product=request.get("Product", ""),
            files=step.files,
            association_id=step.association_id,
        )
        return await self._answer(scope, instance_id, request["CommandId"], begun)

    async def put_overrides(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """PutOverrides: what is in the files that the operation waits for."""
        files = {file["Name"]: file["Body"] for file in request["Files"]}
        self._count(caller, sum(map(len, files.values())))
        listed, given = await asyncio.to_thread(self._read_files, files)
        begun = await self._operations.put_overrides(
            caller.scope,
            str(caller.instance_id),
            request["OperationId"],
            product=request.get("Product", ""),
            listed=listed,
            given=given,
        )
        return begun.to_json()

    async def _answer(self, scope: Scope, instance_id: str, command_id: str, begun: Begun) -> dict[str, Any]:
        """What the node is told of its operation, and whether the command is wanted still."""
        wanted, not_after = await self._database.read(commands.wanted, scope, command_id, instance_id)
        return replace(begun, wanted=wanted, not_after=not_after).to_json()

    def _read_files(
        self, files: Mapping[str, str]
    ) -> tuple[OverrideList | None, Mapping[OperatingSystem, patching.GivenBaseline] | None]:
        """What the files say; None for one that is not there. Raises MalformedOverride, which names file and entry."""
        listed = given = None
        for name, text in files.items():
            try:
                if len(text.encode()) > OVERRIDE_LIMIT_BYTES:
                    msg = f"it has more than {OVERRIDE_LIMIT_BYTES} bytes"
                    raise MalformedOverride(msg)
                if name == INSTALL_OVERRIDE_LIST:
                    listed = OverrideList.read(documents.read_text(text, "YAML"))
                elif name == BASELINE_OVERRIDE:
                    given = self._baselines(text)
            except (MalformedOverride, documents.InvalidContent, UnicodeEncodeError) as error:
                msg = f"The {name} cannot be used: {error}"
                raise MalformedOverride(msg) from None
        return listed, given

    async def put_bodies(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """PutBodies: bodies of facts that the account does not have yet."""
        bodies = {body["Digest"]: body["Body"].encode() for body in request["Bodies"]}
        self._count(caller, sum(map(len, bodies.values())))
        await self._operations.put_bodies(caller.scope, str(caller.instance_id), request["OperationId"], bodies)
        return {}

    async def put_facts(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """PutFacts: the facts an operation starts from or ends with; the answer says what comes next."""
        self._count(caller, _FACTS_BYTES)
        message = FactsMessage.from_json(request)
        directive = await self._operations.put_facts(caller.scope, str(caller.instance_id), message)
        return directive.to_json()

    async def put_resolution(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """PutResolution: the node's closure; the answer is the plan."""
        plan = await self._operations.put_resolution(
            caller.scope,
            str(caller.instance_id),
            request["OperationId"],
            attempt=request["Attempt"],
            resolution=resolution_from_json(request["Resolution"]),
        )
        return {"Plan": plan.to_json(), "PlanDigest": plan.digest}

    async def get_patch_check(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """GetPatchCheck: whether the patch steps that come next have anything to do. What is asked is the command's word."""
        found = await self._database.read(_check, caller.scope, str(caller.instance_id), request)
        return {"Continue": found.goes_on, "Text": found.text}

    def _count(self, caller: Caller, size: int) -> None:
        """Count *size* bytes that are to be kept for a node. Raises ApiError (ThrottlingException)."""
        wait = self._kept.take(str(caller.instance_id), cost=size)
        if wait > 0:
            raise throttled("The node has sent more than is kept for one in a day.", seconds=wait)


def _check(scope: Scope, instance_id: str, request: Mapping[str, Any]) -> UnitOfWork[Answer]:
    inputs = yield from _inputs(scope, instance_id, request)
    return (yield from patching.check(scope, instance_id, PatchCheck.read(request["StepName"], inputs)))


def _inputs(scope: Scope, instance_id: str, request: Mapping[str, Any]) -> UnitOfWork[dict[str, object]]:
    """What the step says that a request is about."""
    command, step = request["CommandId"], request["StepName"]
    return (yield from commands.parameters_of_step(scope, command, instance_id, step, told=request.get("Inputs")))
