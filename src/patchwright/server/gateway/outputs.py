# SPDX-License-Identifier: Apache-2.0
"""What steps print, as the nodes send it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from patchwright.server import outputs
from patchwright.server.outputs import Stream
from patchwright.server.wire import Caller, Rate, Rates, throttled

_DAY_SECONDS = 86_400


class Outputs:
    """Takes output from nodes. A node may have *daily_bytes* kept in a day, in this process."""

    def __init__(self, service: outputs.Service, *, monotonic: Callable[[], float], daily_bytes: int) -> None:
        self._service = service
        self._kept = Rates(Rate(max(daily_bytes, 1) / _DAY_SECONDS, daily_bytes), monotonic)

    async def put_output(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """PutOutput: a piece of a stream; the answer says how far the stream is kept, where the node goes on."""
        body, node = request["Body"], str(caller.instance_id)
        self.charge(node, len(body))
        taken = await self._service.take(
            caller.scope,
            Stream(request["CommandId"], node, request["StepName"], request["Stream"]),
            body,
            position=request["Offset"],
            last=request.get("Last", False),
            cut=request.get("Truncated", False),
        )
        return {"Offset": taken.size, "Full": taken.full}

    def charge(self, instance_id: str, size: int) -> None:
        """Count *size* bytes that a node sends, by whichever way. Raises ApiError (ThrottlingException)."""
        wait = self._kept.take(instance_id, cost=size)
        if wait > 0:
            raise throttled("The node has sent more output than is kept for one in a day.", seconds=wait)
