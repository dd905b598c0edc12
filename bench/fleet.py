# SPDX-License-Identifier: Apache-2.0
"""Nodes without a machine behind them: made-up Debian facts, and what an agent says from a delivery to its last reply."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from served import Served

from patchwright.agent.outbox import FINAL, STARTED, reply_id
from patchwright.core.facts import NodeFacts, SliceRef
from patchwright.core.package import Manager, Offer, OffersSlice, Origin, Package, PackageSet
from patchwright.core.protocol import FactsMessage, Phase
from patchwright.core.signing import Signer
from patchwright.core.system import OperatingSystem

MESSAGES = "EC2WindowsMessageDeliveryService"
STEP = "PatchLinux"
SECTIONS = ("libs", "admin", "utils", "net", "python", "devel", "kernel", "perl")
OUTSTANDING = 20  # packages for which the security archive has something newer
OLDER = 60  # packages of which the security archive has the version that is installed


@dataclass(frozen=True)
class Made:
    """Facts with the bodies they name, by digest."""

    facts: NodeFacts
    packages: PackageSet
    bodies: dict[str, bytes]


def debian(seed: int, packages: int) -> Made:
    """A Debian node with *packages* installed, three archives, OUTSTANDING security updates."""
    chance = random.Random(seed)
    names = sorted({f"{chance.choice(SECTIONS)}-{chance.randrange(10**6):06}" for _ in range(packages)})
    rows = [
        Package(
            name,
            chance.choice(("amd64", "amd64", "all")),
            f"{chance.randrange(9)}.{chance.randrange(30)}-{chance.randrange(1, 9)}",
        )
        for name in names
    ]
    offers = {"": [_offer(chance, row, row.version) for row in rows], "-security": [], "-updates": []}
    for number, row in enumerate(chance.sample(rows, OUTSTANDING + OLDER)):
        offers["-security"].append(_offer(chance, row, f"{row.version}{'+deb12u1' if number < OUTSTANDING else ''}"))
    offers["-updates"] = [_offer(chance, row, f"{row.version}+deb12u2") for row in chance.sample(rows, 4)]
    slices = [OffersSlice.of(Manager.APT, _origin(suffix), found) for suffix, found in offers.items()]
    installed = PackageSet.of(Manager.APT, rows)
    facts = NodeFacts(
        manager=Manager.APT,
        operating_system=OperatingSystem.DEBIAN,
        product="Debian12",
        package_set=installed.digest,
        slices=tuple(SliceRef(part.digest, 500, "deb.example") for part in slices),
        boot_id="6f1d5c1e-0000-4000-8000-000000000001",
        kernel="6.1.0-18-amd64",
        architecture="x86_64",
        refreshed_at=time.time(),
        observed_at=time.time(),
    )
    bodies = {part.digest: part.canonical() for part in slices} | {installed.digest: installed.canonical()}
    return Made(facts, installed, bodies)


def changed(made: Made, seed: int, count: int) -> Made:
    """The same node with *count* packages at another version."""
    chance = random.Random(seed)
    rows = list(made.packages.packages)
    for number in chance.sample(range(len(rows)), count):
        rows[number] = rows[number]._replace(version=f"{rows[number].version}+bench{seed % 100_000}")
    installed = PackageSet.of(Manager.APT, rows)
    kept = {digest: body for digest, body in made.bodies.items() if digest != made.facts.package_set}
    facts = replace(made.facts, package_set=installed.digest)
    return Made(facts, installed, {**kept, installed.digest: installed.canonical()})


def _offer(chance: random.Random, row: Package, version: str) -> Offer:
    return Offer(
        row.name,
        row.arch,
        version,
        section=row.name.partition("-")[0],
        priority=chance.choice(("optional", "important")),
    )


def _origin(suffix: str) -> Origin:
    label = "Debian-Security" if suffix == "-security" else "Debian"
    return Origin("Debian", label, f"oldstable{suffix}", f"bookworm{suffix}", "main")


class Conversation:
    """One command to every node, phase by phase: what all of them say next, as signed requests."""

    def __init__(self, served: Served, nodes: Sequence[Signer]) -> None:
        self._served = served
        self._nodes = nodes
        self._messages: list[str] = []
        self._operations: list[str] = []

    def send(self) -> None:
        """SendCommand: a Scan for every node."""
        ids = [node.key_id for node in self._nodes]
        for start in range(0, len(ids), 50):
            self._served.call(
                "AmazonSSM.SendCommand",
                DocumentName="AWS-RunPatchBaseline",
                InstanceIds=ids[start : start + 50],
                Parameters={"Operation": ["Scan"]},
                MaxConcurrency="100%",
            )

    def deliveries(self) -> list[bytes]:
        """GetMessages."""
        members = {"VisibilityTimeoutInSeconds": 60, "MessagesRequestId": "0" * 32}
        return [
            self._served.request(f"{MESSAGES}.GetMessages", {"Destination": node.key_id, **members}, signer=node)
            for node in self._nodes
        ]

    def delivered(self, answers: Sequence[dict[str, Any]]) -> None:
        """Take what GetMessages answered."""
        self._messages = [answer["Messages"][0]["MessageId"] for answer in answers]

    def acknowledgements(self) -> list[bytes]:
        """AcknowledgeMessage."""
        pairs = zip(self._nodes, self._messages, strict=True)
        return [
            self._served.request(f"{MESSAGES}.AcknowledgeMessage", {"MessageId": message}, signer=node)
            for node, message in pairs
        ]

    def begins(self) -> list[bytes]:
        """BeginOperation."""
        system = {"OperatingSystem": "DEBIAN", "Product": "Debian12", "AgentVersion": "0", "StepName": STEP}
        return [
            self._served.request(
                "Patchwright.BeginOperation", {"CommandId": message.split(".")[2], **system}, signer=node
            )
            for node, message in zip(self._nodes, self._messages, strict=True)
        ]

    def begun(self, answers: Sequence[dict[str, Any]]) -> None:
        """Take what BeginOperation answered."""
        self._operations = [answer["OperationId"] for answer in answers]

    def facts(self, made: Sequence[Made]) -> list[bytes]:
        """PutFacts, observed now."""
        requests = []
        for node, operation, one in zip(self._nodes, self._operations, made, strict=True):
            facts = replace(one.facts, observed_at=time.time(), refreshed_at=time.time())
            message = FactsMessage(operation, Phase.BEFORE, facts)
            requests.append(self._served.request("Patchwright.PutFacts", message.to_json(), signer=node))
        return requests

    def bodies(self, made: Sequence[Made], missing: Sequence[Sequence[str]]) -> list[bytes]:
        """PutBodies: what each PutFacts was told to send."""
        return [
            self._served.request(
                "Patchwright.PutBodies",
                {
                    "OperationId": operation,
                    "Bodies": [{"Digest": digest, "Body": one.bodies[digest].decode()} for digest in wanted],
                },
                signer=node,
                compress=True,
            )
            for node, operation, one, wanted in zip(self._nodes, self._operations, made, missing, strict=True)
            if wanted
        ]

    def replies(self, position: int) -> list[bytes]:
        """SendReply: STARTED, the step (1), or FINAL."""
        return [
            self._served.request(
                f"{MESSAGES}.SendReply",
                {"MessageId": message, "Payload": _payload(position), "ReplyId": reply_id(message, position)},
                signer=node,
            )
            for node, message in zip(self._nodes, self._messages, strict=True)
        ]


def _payload(position: int) -> str:
    moment = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
    text = "Debian 12: 20 patches missing.\n" * 10
    step = {
        "status": "Success",
        "code": 0,
        "name": "patchwright:patch",
        "output": text,
        "startDateTime": moment,
        "endDateTime": moment,
        "outputS3BucketName": "",
        "outputS3KeyPrefix": "",
        "stepName": STEP,
        "standardOutput": text,
        "standardError": "",
    }
    agent = {"lang": "en-US", "name": "patchwright-agent", "os": "linux", "osver": "12", "ver": "0"}
    counts = {} if position == STARTED else {"Success": 1}
    return json.dumps(
        {
            "additionalInfo": {"agent": agent, "dateTime": moment, "runId": "", "runtimeStatusCounts": counts},
            "documentStatus": "Success" if position == FINAL else "InProgress",
            "documentTraceOutput": "",
            "runtimeStatus": {} if position == STARTED else {STEP: step},
        }
    )
