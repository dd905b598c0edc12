# SPDX-License-Identifier: Apache-2.0
"""
A command to a thousand nodes that hold control channels: time and server CPU until every result is stored and acknowledged.

The nodes are simulated in this process, each over a WebSocket of its own, and say what amazon-ssm-agent says: an
acknowledgement of the job, a reply that it began, a reply that has its output. The floor, in the same run, is a server that sends
and takes the same frames and does nothing but keep each batch of them by one durable commit (`channel_floor.py`).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import secrets
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import measure
import served
from measure import Bound, median, print_line, process_cpu, share, spread, tell

from patchwright.core.frames import JOB, JOB_ACK, JOB_REPLY, JOB_REPLY_ACK, Frame
from patchwright.core.signing import CALL_HEADER, Signer

TIMES_THE_FLOOR = 5
OUTPUT = "hello from the node\n" * 10
_BINARY, _TEXT = 2, 1
_DEADLINE = 120.0


class Node:
    """A simulated agent: its WebSocket, and what it has been through with the job of this round."""

    def __init__(self, port: int, signer: Signer) -> None:
        self._port = port
        self._signer = signer
        self.done = asyncio.Event()

    async def connect(self, *, token: bool) -> None:
        """Open the channel; where *token*, with one of CreateControlChannel."""
        path = f"/v1/control-channel/{self._signer.key_id}"
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        value = "none"
        if token:
            body = json.dumps({"MessageSchemaVersion": "1.0", "RequestId": str(uuid.uuid4())}).encode()
            self._writer.write(self._request("POST", path, body))
            head, rest = await self._answer()
            assert head.startswith(b"HTTP/1.1 201"), (head, rest)
            value = rest.decode().partition("<TokenValue>")[2].partition("<")[0]
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
        key = {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}
        self._writer.write(self._request("GET", path, b"", **upgrade, **key))
        head = await self._reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101"), head
        opening = {"MessageSchemaVersion": "1.0", "RequestId": str(uuid.uuid4()), "TokenValue": value}
        self._send(_TEXT, json.dumps(opening).encode())

    async def attend(self) -> None:
        """Take jobs and answer them until the connection ends."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                frame = await self._next()
                if frame is None:
                    continue
                content = json.loads(frame.payload)
                if frame.kind == JOB:
                    self._take(frame, content)
                elif frame.kind == JOB_REPLY_ACK and content["acknowledgedMessageId"] == self._last:
                    self.done.set()

    def close(self) -> None:
        """Hang up."""
        self._writer.close()

    def _take(self, frame: Frame, job: dict[str, Any]) -> None:
        identity = job["JobId"]
        self._say(JOB_ACK, {"jobId": identity, "acknowledgedMessageId": frame.message_id, "statusCode": 200})
        self._say(JOB_REPLY, _reply(identity, "InProgress", {}))
        step = {
            "status": "Success",
            "code": 0,
            "name": "aws:runShellScript",
            "standardOutput": OUTPUT,
            "output": OUTPUT,
        }
        step |= {"startDateTime": "2026-11-20T04:21:54.755Z", "endDateTime": "2026-11-20T04:21:54.765Z"}
        self._last = self._say(JOB_REPLY, _reply(identity, "Success", {"runShellScript": step}))

    def _say(self, kind: str, content: dict[str, Any]) -> str:
        message_id = str(uuid.UUID(bytes=os.urandom(16)))
        frame = Frame(kind, json.dumps(content).encode(), message_id=message_id, created_ms=int(time.time() * 1000))
        self._send(_BINARY, frame.pack())
        return message_id

    def _send(self, kind: int, data: bytes) -> None:
        size = len(data)
        head = bytes((0x80 | kind, 0x80 | size)) if size < 126 else bytes((0x80 | kind, 0xFE)) + size.to_bytes(2, "big")
        self._writer.write(head + b"\0\0\0\0" + data)  # masked, with a mask of zeros

    async def _next(self) -> Frame | None:
        first, second = await self._reader.readexactly(2)
        size = second & 0x7F
        if size > 125:
            size = int.from_bytes(await self._reader.readexactly(2 if size == 126 else 8), "big")
        data = await self._reader.readexactly(size)
        return Frame.unpack(data) if first & 0x0F == _BINARY else None

    async def _answer(self) -> tuple[bytes, bytes]:
        head = await self._reader.readuntil(b"\r\n\r\n")
        size = int(head.lower().partition(b"content-length:")[2].split()[0])
        return head, await self._reader.readexactly(size)

    def _request(self, method: str, path: str, body: bytes, **more: str) -> bytes:
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        signed = {"Host": f"127.0.0.1:{self._port}", "X-Amz-Date": moment, CALL_HEADER: secrets.token_hex(16)}
        headers = {**signed, **more, "Content-Length": str(len(body))}
        headers["Authorization"] = self._signer.authorization(
            signed, body, service="ssmmessages", moment=moment, method=method, path=path
        )
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def _reply(job: str, status: str, steps: dict[str, Any]) -> dict[str, Any]:
    agent = {"lang": "en-US", "name": "amazon-ssm-agent", "os": "linux", "osver": "1", "ver": "3.3.0.0"}
    told = {"agent": agent, "dateTime": "2026-11-20T04:21:54.755Z", "runId": "", "runtimeStatusCounts": {status: 1}}
    content = {
        "additionalInfo": told,
        "documentStatus": status,
        "documentTraceOutput": "",
        "runtimeStatus": steps,
    }
    return {"schemaVersion": 1, "jobId": job, "content": json.dumps(content), "topic": "aws.ssm.sendCommand"}


class Side:
    """One server with its nodes connected to it, and what each round cost: seconds, and milliseconds of its CPU."""

    def __init__(self, port: int, pid: int, signers: list[Signer], *, token: bool) -> None:
        self._pid = pid
        self._token = token
        self._nodes = [Node(port, signer) for signer in signers]
        self._tasks: list[asyncio.Task[None]] = []
        self.seconds: list[float] = []
        self.cpu_ms: list[float] = []

    async def connect(self) -> float:
        """Connect every node, twenty at a time; returns milliseconds of the server's CPU for each."""
        turns, used = asyncio.Semaphore(20), process_cpu(self._pid)

        async def one(node: Node) -> None:
            async with turns:
                await node.connect(token=self._token)
            self._tasks.append(asyncio.create_task(node.attend()))

        await asyncio.gather(*(one(node) for node in self._nodes))
        await asyncio.sleep(1)
        return (process_cpu(self._pid) - used) * 1000 / len(self._nodes)

    async def round(self, begin: Any) -> None:
        """*begin* sends a job to everybody; wait until all have their last acknowledgement."""
        for node in self._nodes:
            node.done.clear()
        used, started = process_cpu(self._pid), time.perf_counter()
        await begin()
        async with asyncio.timeout(_DEADLINE):
            await asyncio.gather(*(node.done.wait() for node in self._nodes))
        self.seconds.append(time.perf_counter() - started)
        self.cpu_ms.append((process_cpu(self._pid) - used) * 1000)

    async def close(self) -> None:
        """Hang up."""
        for node in self._nodes:
            node.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def figures(self) -> dict[str, Any]:
        """What the line shows."""
        return {
            "seconds": median(self.seconds),
            "seconds_range": spread(self.seconds),
            "cpu_ms": median(self.cpu_ms),
            "cpu_ms_range": spread(self.cpu_ms),
            "cpu_us_each_node": median(self.cpu_ms) * 1000 / len(self._nodes),
        }


def main() -> int:
    """Measure and print the line."""
    parser = measure.words(__doc__ or "", rounds=5)
    parser.add_argument("--nodes", type=int, default=0, help="how many (default 1000)")
    options = measure.read(parser)
    options.nodes = options.nodes or (50 if options.quick else 1000)
    with served.serve() as server, _floor() as (port, pid):
        signers = served.enrol(server, options.nodes)
        served.run(_measure(options, server, signers, port, pid))
    return 0


async def _measure(
    options: argparse.Namespace, server: served.Served, signers: list[Signer], port: int, pid: int
) -> None:
    ours = Side(server.port, server.pid, signers, token=True)
    floor = Side(port, pid, signers, token=False)
    connecting = [await side.connect() for side in (ours, floor)]
    commands: list[str] = []

    async def send() -> None:
        answer = await _post(server.port, _command(server))
        commands.append(answer["Command"]["CommandId"])

    async def go() -> None:
        await _get(port, "/go")

    for number in range(options.rounds + 1):
        await ours.round(send)
        await floor.round(go)
        if number == 0:  # what is done once for a connection or a document
            for side in (ours, floor):
                side.seconds.clear()
                side.cpu_ms.clear()
    await _check(server, commands[-1], len(signers))
    await ours.close()
    await floor.close()
    mine, least = ours.figures(), floor.figures()
    ratio = share(mine["cpu_ms"], least["cpu_ms"])
    print_line(
        "channel",
        options,
        ours={**mine, "nodes": len(signers), "connecting_cpu_ms": connecting[0]},
        peer={**least, "connecting_cpu_ms": connecting[1]},
        ratio=ratio,
        bounds={
            "cpu_times_floor": Bound(ratio, TIMES_THE_FLOOR),
            "seconds_times_floor": Bound(share(mine["seconds"], least["seconds"]), TIMES_THE_FLOOR),
        },
    )


def _command(server: served.Served) -> bytes:
    return server.request(
        "AmazonSSM.SendCommand",
        {
            "DocumentName": "AWS-RunShellScript",
            "Targets": [{"Key": "InstanceIds", "Values": ["*"]}],
            "Parameters": {"commands": ["echo hello"]},
            "MaxConcurrency": "100%",
        },
    )


async def _check(server: served.Served, command_id: str, nodes: int) -> None:
    """Every result is stored, with its output."""
    command = (await _post(server.port, server.request("AmazonSSM.ListCommands", {"CommandId": command_id})))[
        "Commands"
    ][0]
    assert (command["Status"], command["TargetCount"], command["CompletedCount"]) == ("Success", nodes, nodes), command
    found: list[dict[str, Any]] = []
    token = {}
    while True:
        asked = {"CommandId": command_id, "Details": True, **token}
        page = await _post(server.port, server.request("AmazonSSM.ListCommandInvocations", asked))
        found += page["CommandInvocations"]
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}
    assert len(found) == nodes
    assert {one["Status"] for one in found} == {"Success"}
    assert all(one["CommandPlugins"][0]["Output"].startswith("hello") for one in found)


async def _post(port: int, request: bytes) -> dict[str, Any]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**24)
    writer.write(request)
    answer, _ = await served._answer(reader)
    writer.close()
    return answer.members


async def _get(port: int, path: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    writer.close()


@contextlib.contextmanager
def _floor() -> Iterator[tuple[int, int]]:
    """The floor's server: its port and its process."""
    port = served.free_port()
    with tempfile.TemporaryDirectory() as folder:
        argv = [sys.executable, str(Path(__file__).with_name("channel_floor.py")), str(port), f"{folder}/floor.db"]
        log = Path(folder) / "floor.log"
        with served.started(argv, log, {**os.environ, "PYTHONPATH": str(measure.ROOT / "src")}) as process:
            served.wait_for_port(port, process, log)
            yield port, process.pid


if __name__ == "__main__":
    tell("a command to nodes that hold channels")
    sys.exit(main())
