# SPDX-License-Identifier: Apache-2.0
"""Servers as processes of their own, and a client that loads them with requests made and signed beforehand."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measure import ROOT, process_cpu

from patchwright.core.signing import CALL_HEADER, Signer
from patchwright.server.gateway.zipapp import build

HEADERS = {"Content-Type": "application/x-amz-json-1.1"}
SERVICES = {"AmazonSSM": "ssm", "EC2WindowsMessageDeliveryService": "ec2messages", "Patchwright": "patchwright"}
READY_SECONDS = 60
ACCEPT_SECONDS = 0.02  # until a server has taken in connections
KEY_ID, SECRET, REGION = "AKIABENCHBENCHBENCH0", "made-up-secret-of-the-benchmarks-00000000", "us-east-1"
ROOT_SIGNER = Signer(KEY_ID, SECRET, REGION)


@dataclass
class Answer:
    """What came back."""

    status: int
    body: bytes

    @property
    def members(self) -> dict[str, Any]:
        """The body as JSON; raises AssertionError where it is an error."""
        assert self.status == 200, f"{self.status}: {self.body[:500]!r}"
        found: dict[str, Any] = json.loads(self.body or b"{}")
        return found


@dataclass
class Served:
    """A server that runs: where, and as which process."""

    port: int
    pid: int
    directory: Path
    certificate: Any = None

    @property
    def host(self) -> str:
        """What its clients call it."""
        return f"127.0.0.1:{self.port}"

    def cpu(self) -> float:
        """Seconds of CPU it has used so far."""
        return process_cpu(self.pid)

    def request(
        self, target: str, members: dict[str, Any], *, signer: Signer | None = ROOT_SIGNER, compress: bool = False
    ) -> bytes:
        """A request to `Prefix.Operation`, signed now, as bytes for the wire."""
        body = json.dumps(members, separators=(",", ":")).encode()
        headers = {**HEADERS, "X-Amz-Target": target}
        if compress:
            body, headers["Content-Encoding"] = gzip.compress(body, 6), "gzip"
        if signer is not None:
            moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
            headers["X-Amz-Date"] = moment
            headers[CALL_HEADER] = secrets.token_hex(16)  # a server accepts a signature once
            service = SERVICES[target.partition(".")[0]]
            signed = {"Host": self.host, **headers}
            headers["Authorization"] = signer.authorization(signed, body, service=service, moment=moment)
        lines = ["POST / HTTP/1.1", f"Host: {self.host}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body

    def get(self, path: str) -> bytes:
        """A GET, as bytes for the wire."""
        return f"GET {path} HTTP/1.1\r\nHost: {self.host}\r\n\r\n".encode()

    def load(self, requests: Sequence[bytes], *, connections: int = 16) -> list[Answer]:
        """Send *requests* over *connections*, each as soon as the one before it is answered; answers in their order."""
        return self.measured(requests, connections=connections)[0]

    def measured(self, requests: Sequence[bytes], *, connections: int = 16) -> tuple[list[Answer], float, float]:
        """As `load`, and the seconds of the server's CPU and of wall time from the first request to the last answer."""
        answers, cpu, wall = run(_load(self.port, requests, connections=connections, cpu=self.cpu))
        return answers, cpu, wall

    def call(self, target: str, **members: Any) -> dict[str, Any]:
        """One call with the root key. Over TLS too: it is for setting up and not measured."""
        request = self.request(target, members)
        if self.certificate is None:
            return self.load([request], connections=1)[0].members
        return run(_secured(self.port, request, str(self.certificate.chain))).members


def run(coroutine: Any) -> Any:
    """Run a coroutine on the quickest loop there is."""
    import uvloop

    return uvloop.run(coroutine)


@contextlib.contextmanager
def serve(*, tls_for: str = "") -> Iterator[Served]:
    """Our server on loopback, as `patchwright server` runs it, with a data directory of its own; ended with the block."""
    folder = Path(tempfile.mkdtemp(prefix="patchwright-bench-"))
    port, certificate = free_port(), None
    argv = [sys.executable, "-m", "patchwright", "server", "--data-dir", str(folder / "data")]
    argv += ["--listen", f"127.0.0.1:{port}"]
    if tls_for:
        from patchwright.server.wire import Certificate

        (folder / "tls").mkdir()
        certificate = Certificate.self_made(folder / "tls", host=tls_for, public_url="")
        argv += ["--tls-cert", str(certificate.chain), "--tls-key", str(certificate.key)]
    environment = {
        **os.environ,
        "PATCHWRIGHT_ROOT_ACCESS_KEY_ID": KEY_ID,
        "PATCHWRIGHT_ROOT_SECRET_ACCESS_KEY": SECRET,
        "PYTHONPATH": str(ROOT / "src"),
        # The bounds are checked, and far above what is measured.
        **{f"PATCHWRIGHT_{who}_REQUESTS_PER_SECOND": "999999" for who in ("USER", "NODE", "STRANGER")},
        "PATCHWRIGHT_QUOTA_NODE_BYTES_PER_DAY": "1000000000",
    }
    with started(argv, folder / "server.log", environment) as process:
        wait_for_port(port, process, folder / "server.log")
        try:
            yield Served(port, process.pid, folder, certificate)
        finally:
            end(process)
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def started(argv: Sequence[str], log: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process that ends with the block, its output in *log*."""
    with log.open("ab") as out:
        process = subprocess.Popen(argv, stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=environment)
    try:
        yield process
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process and wait for it."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until somebody answers on a port of loopback; raises RuntimeError with the log where nobody will."""
    deadline = time.monotonic() + READY_SECONDS
    while True:
        if process.poll() is not None or time.monotonic() > deadline:
            msg = f"{process.args!r} does not serve:\n{log.read_text(errors='replace')[-2000:]}"
            raise RuntimeError(msg)
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)


def free_port() -> int:
    """A port of loopback that nobody uses now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def per_request(served: Served, requests: Sequence[bytes], *, connections: int = 16) -> tuple[float, float]:
    """Microseconds of the server's CPU, and of wall time, for each of *requests*, all of which must be answered 200."""
    answers, cpu, wall = served.measured(requests, connections=connections)
    bad = [answer for answer in answers if answer.status != 200]
    assert not bad, f"{len(bad)} of {len(answers)}: {bad[0].status} {bad[0].body[:300]!r}"
    return cpu / len(requests) * 1e6, wall / len(requests) * 1e6


# ------------------------------------------------------------------------------------------------------------- client


async def _load(
    port: int, requests: Sequence[bytes], *, connections: int, cpu: Callable[[], float]
) -> tuple[list[Answer], float, float]:
    """See `Served.measured`. The connections are open, and accepted, before anything counts."""
    waiting = iter(enumerate(requests))
    answers: list[Answer | None] = [None] * len(requests)

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> asyncio.StreamWriter:
        for number, request in waiting:
            writer.write(request)
            answers[number], keep = await _answer(reader)
            if not keep:
                writer.close()
                reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**22)
        return writer

    opened = [
        await asyncio.open_connection("127.0.0.1", port, limit=2**22) for _ in range(min(connections, len(requests)))
    ]
    await asyncio.sleep(ACCEPT_SECONDS)
    used, begun = cpu(), time.perf_counter()
    writers = await asyncio.gather(*(one(*pair) for pair in opened))
    used, took = cpu() - used, time.perf_counter() - begun
    for writer in writers:
        writer.close()
    return [answer for answer in answers if answer is not None], used, took


async def _answer(reader: asyncio.StreamReader) -> tuple[Answer, bool]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    keep = head[0].startswith("HTTP/1.1") and headers.get("connection", "").lower() != "close"
    return Answer(int(head[0].split()[1]), body), keep


async def _secured(port: int, request: bytes, authority: str) -> Answer:
    import ssl

    context = ssl.create_default_context(cafile=authority)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
    writer.write(request)
    answer, _ = await _answer(reader)
    writer.close()
    return answer


# -------------------------------------------------------------------------------------------------------------- nodes


def agent_program() -> bytes:
    """The node program, as the server serves it."""
    return build(ROOT / "src/patchwright")


def enrol(served: Served, count: int) -> list[Signer]:
    """*count* nodes without a machine behind them: what they sign with."""
    signers: list[Signer] = []
    while len(signers) < count:
        part = min(1000, count - len(signers))
        activation = served.call("AmazonSSM.CreateActivation", IamRole="bench", RegistrationLimit=part)
        members = {"ActivationId": activation["ActivationId"], "ActivationCode": activation["ActivationCode"]}
        members |= {"PlatformType": "Linux", "PlatformName": "Debian GNU/Linux", "PlatformVersion": "12"}
        requests = [
            served.request("Patchwright.Enroll", {**members, "EnrollmentToken": secrets.token_hex(24)}, signer=None)
            for _ in range(part)
        ]
        rows = [answer.members for answer in served.load(requests)]
        signers += [Signer(row["InstanceId"], row["Secret"], row["Region"]) for row in rows]
    return signers


def until(condition: Callable[[], Any], *, what: str, seconds: float = 300, every: float = 0.05) -> Any:
    """Ask until the answer is true and return it."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        if time.monotonic() > deadline:
            msg = f"waited {seconds:.0f} s in vain until {what}"
            raise TimeoutError(msg)
        time.sleep(every)
    return answer
