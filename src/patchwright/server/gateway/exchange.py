# SPDX-License-Identifier: Apache-2.0
"""The patch exchange (design D4), translated: messages of nodes to the patching room and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from patchwright.core.patch_step import PatchStep
from patchwright.core.protocol import FactsMessage, resolution_from_json
from patchwright.server import commands, patching
from patchwright.server.infra import Database
from patchwright.server.wire import Caller, Rate, Rates, throttled

_DAY_SECONDS = 86_400
_FACTS_BYTES = 4096  # that what is kept of one PutFacts is counted as


class Exchange:
    """The four messages by which a node carries out a patch step. A node may have *daily_bytes* kept in a day, in this process."""

    def __init__(
        self, database: Database, operations: patching.Operations, *, monotonic: Callable[[], float], daily_bytes: int
    ) -> None:
        self._database = database
        self._operations = operations
        self._kept = Rates(Rate(max(daily_bytes, 1) / _DAY_SECONDS, daily_bytes), monotonic)

    async def begin_operation(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """BeginOperation. What is to be done is the command's word: the node only says which step of which command."""
        scope, instance_id = caller.scope, str(caller.instance_id)
        inputs = await self._database.read(
            commands.parameters_of_step, scope, request["CommandId"], instance_id, request["StepName"]
        )
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
        )
        return begun.to_json()

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

    def _count(self, caller: Caller, size: int) -> None:
        """Count *size* bytes that are to be kept for a node. Raises ApiError (ThrottlingException)."""
        wait = self._kept.take(str(caller.instance_id), cost=size)
        if wait > 0:
            raise throttled("The node has sent more than is kept for one in a day.", seconds=wait)
