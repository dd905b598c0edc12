# SPDX-License-Identifier: Apache-2.0
"""
The whole server in this process, as `app.build` wires it, with callers who sign and nodes that are made up.

    node = await house.enrol(tags={"Patch Group": "web"})
    answer = await house.call("AmazonSSM.SendCommand", {…})             # as root
    answer = await house.call("Patchwright.BeginOperation", {…}, key=node)
    await house.scan(node, OUTDATED)                                    # SendCommand to the last reply
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from structlog.testing import capture_logs

from patchwright.core.facts import View
from patchwright.core.protocol import FactsMessage, Phase, message_id
from patchwright.server import app
from patchwright.server.config import Config, load
from patchwright.server.infra import UnitOfWork, sql
from patchwright.server.infra.tables import metadata
from patchwright.server.wire import Credential
from server.clocks import FakeClock
from server.patching.bench import NOW, bodies_of
from server.wire.client import Answer, call, signed

SECRET = "made-up-root-secret"
DOCUMENT = "AWS-RunPatchBaseline"


def configure(directory: Path, database_url: str, account: str, **more: str) -> Config:
    """The settings of a house of *account*."""
    environment = {
        "PATCHWRIGHT_ROOT_ACCESS_KEY_ID": f"AKIAROOT{account}",
        "PATCHWRIGHT_ROOT_SECRET_ACCESS_KEY": SECRET,
        "PATCHWRIGHT_ACCOUNT_ID": account,
    }
    return load({"data_dir": str(directory), "database": database_url, **more}, environment)


@dataclass
class House:
    """A server that answers, and what it logged. *root* signs for its account."""

    wired: app.House
    clock: FakeClock
    account: str
    lines: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.root = Credential(f"AKIAROOT{self.account}", SECRET, self.account, f"arn:aws:iam::{self.account}:root")
        self._numbers = itertools.count(1)

    async def call(self, target: str, body: Any, *, key: Credential | None = None, **how: Any) -> Answer:
        """Sign and call; *how* is `region`, `at`, `more`, `service`."""
        signer = key or self.root
        given = {"region": signer.region or "us-east-1", "at": self.clock.now(), **how}
        headers, sent = signed(target, body, key=signer, **given)
        return await self.knock(headers, sent)

    async def knock(self, headers: Any, body: Any = b"{}", **how: Any) -> Answer:
        """Call with *headers* as they are."""
        with capture_logs() as lines:
            answer = await call(self.wired.application, headers, body, **how)
        self.lines = lines
        return answer

    async def ask(self, target: str, body: Any, *, key: Credential | None = None, **how: Any) -> dict[str, Any]:
        """The answer to a call that is to succeed."""
        answer = await self.call(target, body, key=key, **how)
        assert answer.status == 200, (target, answer.body, self.lines)
        return answer.json

    async def code(self, target: str, body: Any, *, key: Credential | None = None, **how: Any) -> str:
        """The error code of a call that is to be refused."""
        answer = await self.call(target, body, key=key, **how)
        assert answer.status >= 400, (target, answer.body)
        return answer.code

    async def enrol(
        self, *, region: str = "us-east-1", tags: Mapping[str, str] | None = None, **said: str
    ) -> Credential:
        """A new node, and what it signs with."""
        given = [{"Key": key, "Value": value} for key, value in (tags or {}).items()]
        activation = await self.ask("AmazonSSM.CreateActivation", {"IamRole": "node", "Tags": given}, region=region)
        identity = await self.ask(
            "Patchwright.Enroll",
            {**activation, "EnrollmentToken": f"{self.account}-{next(self._numbers):040}", **said},
        )
        return Credential(
            identity["InstanceId"],
            identity["Secret"],
            identity["Account"],
            f"arn:aws:ssm:{region}:{self.account}:managed-instance/{identity['InstanceId']}",
            kind="node",
            region=identity["Region"],
            instance_id=identity["InstanceId"],
        )

    async def send(self, *nodes: Credential, operation: str = "Scan", **members: Any) -> dict[str, Any]:
        """SendCommand; returns the command."""
        parameters = {"Operation": [operation], "RebootOption": ["NoReboot"], **members.pop("Parameters", {})}
        body = {
            "DocumentName": DOCUMENT,
            "InstanceIds": [node.instance_id for node in nodes],
            "Parameters": parameters,
            **members,
        }
        region = (nodes[0].region if nodes else None) or "us-east-1"
        answer = await self.ask("AmazonSSM.SendCommand", body, region=region)
        found: dict[str, Any] = answer["Command"]
        return found

    async def messages(self, node: Credential) -> list[dict[str, Any]]:
        """GetMessages of a node for which something waits."""
        body = {"Destination": node.instance_id, "MessagesRequestId": "1", "VisibilityTimeoutInSeconds": 10}
        answer = await self.ask("EC2WindowsMessageDeliveryService.GetMessages", body, key=node)
        found: list[dict[str, Any]] = answer["Messages"]
        return found

    async def reply(self, node: Credential, command_id: str, status: str, **members: Any) -> Answer:
        """SendReply."""
        payload = {"documentStatus": status, "runtimeStatus": {}, **members}
        body = {
            "MessageId": message_id(command_id, str(node.instance_id)),
            "Payload": json.dumps(payload),
            "ReplyId": f"reply-{next(self._numbers)}",
        }
        return await self.call("EC2WindowsMessageDeliveryService.SendReply", body, key=node)

    async def begin(self, node: Credential, command_id: str, *, step: str = "PatchLinux") -> str:
        """BeginOperation; returns its id."""
        body = {"CommandId": command_id, "StepName": step, "OperatingSystem": "DEBIAN", "Product": "Debian12"}
        answer = await self.ask("Patchwright.BeginOperation", body, key=node)
        return str(answer["OperationId"])

    async def put_facts(
        self, node: Credential, operation_id: str, view: View, *, phase: Phase = Phase.BEFORE, **members: Any
    ) -> dict[str, Any]:
        """PutFacts, with the bodies that are asked for."""
        message = FactsMessage(operation_id, phase, view.facts, **members).to_json()
        answer = await self.ask("Patchwright.PutFacts", message, key=node)
        if answer["Next"] == "send-bodies":
            bodies = bodies_of(view)
            await self.ask(
                "Patchwright.PutBodies",
                {
                    "OperationId": operation_id,
                    "Bodies": [{"Digest": digest, "Body": bodies[digest].decode()} for digest in answer["Missing"]],
                },
                key=node,
            )
            answer = await self.ask("Patchwright.PutFacts", message, key=node)
        return answer

    async def scan(self, node: Credential, view: View) -> str:
        """A whole Scan, from SendCommand to the last reply; returns the command's id."""
        self.clock.time += 1
        command_id = str((await self.send(node))["CommandId"])
        await self.messages(node)
        answer = await self.put_facts(node, await self.begin(node, command_id), view)
        step = {"PatchLinux": {"status": "Success", "code": 0, "standardOutput": answer["Report"]["Text"]}}
        assert (await self.reply(node, command_id, "Success", runtimeStatus=step)).status == 200
        return command_id

    async def dump(self) -> dict[str, list[str]]:
        """Every row of the account, by table: what is written is what differs between two of them."""
        return await self.wired.database.read(_everything, self.account)

    async def close(self) -> None:
        """Let go of the database."""
        await self.wired.news.courier.close()
        await self.wired.database.close()


def _everything(account: str) -> UnitOfWork[dict[str, list[str]]]:
    found = {}
    for table in metadata.sorted_tables:
        rows = yield sql(f"SELECT * FROM {table.name} WHERE account = $1", account)
        found[table.name] = sorted(map(repr, rows))
    return found


async def build(
    directory: Path, database_url: str, account: str, *, clock: FakeClock | None = None, **settings: str
) -> House:
    """A house in *directory*, answers held to the models."""
    clock = clock or FakeClock(NOW)
    config = configure(directory, database_url, account, **settings)
    return House(await app.build(config, clock=clock, strict=True), clock, account)
