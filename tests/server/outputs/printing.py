# SPDX-License-Identifier: Apache-2.0
"""A node whose step prints."""

from __future__ import annotations

import base64
from typing import Any

STEP = "PatchLinux"


class Printer:
    """A command under way on a node of *house*, and what its step prints."""

    def __init__(self, house: Any) -> None:
        self.house = house

    async def begin(self, **members: Any) -> Printer:
        """Enrol a node, send it a command and let it take it."""
        self.node = await self.house.enrol()
        return await self.again(**members)

    async def again(self, **members: Any) -> Printer:
        """Another command for the same node."""
        self.command = (await self.house.send(self.node, **members))["CommandId"]
        await self.house.messages(self.node)
        return self

    def body(self, data: bytes, offset: int, **members: Any) -> dict[str, Any]:
        """The members of a PutOutput."""
        text = base64.b64encode(data).decode()
        return {
            "CommandId": self.command,
            "StepName": STEP,
            "Stream": "stdout",
            "Offset": offset,
            "Body": text,
            **members,
        }

    async def put(self, data: bytes, offset: int, **members: Any) -> tuple[int, bool]:
        """Send a piece; how far the stream is kept, and whether no more of it is."""
        answer = await self.house.ask("Patchwright.PutOutput", self.body(data, offset, **members), key=self.node)
        return answer["Offset"], answer["Full"]

    async def end(self, stdout: str = "done", status: str = "Success") -> None:
        """The step's result, and the command's."""
        step = {STEP: {"status": status, "code": int(status != "Success"), "standardOutput": stdout}}
        assert (await self.house.reply(self.node, self.command, status, runtimeStatus=step)).status == 200

    async def get(self, offset: int = 0, **members: Any) -> dict[str, Any]:
        """GetOutput, its body decoded."""
        asked = {"CommandId": self.command, "InstanceId": self.node.instance_id, "Offset": offset, **members}
        answer: dict[str, Any] = await self.house.ask("Patchwright.GetOutput", asked)
        return {**answer, "Body": base64.b64decode(answer["Body"])}

    async def whole(self, **members: Any) -> bytes:
        """All that is there, read as a client reads it."""
        found, offset = b"", 0
        while True:
            part = await self.get(offset, **members)
            found, offset = found + part["Body"], part["NextOffset"]
            if part["Ended"] or not part["Body"]:
                return found

    async def streams(self) -> list[dict[str, Any]]:
        """The streams of the command on the node, as listed."""
        answer = await self.house.ask("Patchwright.ListOutputs", {"CommandId": self.command})
        (one,) = answer["Invocations"]
        found: list[dict[str, Any]] = one["Streams"]
        return found
