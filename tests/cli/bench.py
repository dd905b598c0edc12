# SPDX-License-Identifier: Apache-2.0
"""
A server and made-up nodes for the command line: real processes, on throw-away data.

    server = Server(tmp_path); server.start()
    node = Node(tmp_path / "node", server, name="web-1"); node.start()
    result = server.run("patch", "web-1", "--operation", "Scan")
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import boto3

import patchwright
from patchwright.cli.clock import Clock
from patchwright.cli.program import Setup, run

SRC = str(Path(patchwright.__file__).parents[1])
MADE_NODE = Path(__file__).parents[1] / "agent" / "made_node.py"
DEADLINE = 60.0
QUICK = {"backoff_cap_seconds": 0.1, "connect_seconds": 15, "poll_seconds": 5, "request_seconds": 20, "reserve_kib": 64}


class Result(NamedTuple):
    """What a command wrote, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class FakeClock(Clock):
    """A clock that stands still until someone sleeps on it."""

    time: float = 1_795_147_200.0  # 2026-11-20T04:00:00Z
    slept: list[float] = field(default_factory=list)

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds


def until(condition: Callable[[], Any], what: str) -> Any:
    """The first true value of *condition*; fails naming *what* when the deadline has passed."""
    deadline = time.monotonic() + DEADLINE
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.02)
    return found


def run_here(words: Sequence[str], setup: Setup | None = None) -> Result:
    """Run the command line in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(words, setup=setup or Setup(environment={}, home=Path("/nonexistent")))
    return Result(code, out.getvalue(), err.getvalue())


class Server:
    """A server on loopback, with its data below *directory*. *tls* are files of a certificate and its key."""

    def __init__(self, directory: Path, *, tls: tuple[Path, Path] | None = None, database: str = "") -> None:
        self._data = directory / "data"
        self._log = directory / "server.log"
        self._tls = tls
        self._database = database
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    def start(self, *, listen: str = "127.0.0.1:0", **told: str) -> None:
        """Start it, and wait until it serves. *told* are environment variables."""
        words = [sys.executable, "-m", "patchwright", "server", "--data-dir", str(self._data), "--listen", listen]
        words += ["--tls-cert", str(self._tls[0]), "--tls-key", str(self._tls[1])] if self._tls else []
        words += ["--database", self._database] if self._database else []
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PATCHWRIGHT_", "AWS_"))}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                words, stdout=subprocess.PIPE, stderr=log, text=True, env={**kept, "PYTHONPATH": SRC, **told}
            )
        assert self._process.stdout
        self.url = self._process.stdout.readline().split()[-1]
        until(self._accepts, "the server accepts connections")

    def _accepts(self) -> bool:
        host, port = self.url.rpartition("/")[2].split(":")
        with socket.socket() as probe:
            return probe.connect_ex((host, int(port))) == 0

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(DEADLINE)
            if self._process.stdout:
                self._process.stdout.close()
            self._process = None

    @property
    def environment(self) -> dict[str, str]:
        """What a command is told by its environment."""
        return {"PATCHWRIGHT_ENDPOINT_URL": self.url, "AWS_SHARED_CREDENTIALS_FILE": str(self._data / "credentials")}

    def run(self, *words: str, clock: Clock | None = None, **environment: str) -> Result:
        """Run the command line against this server, in this process."""
        told = {**self.environment, **environment}
        return run_here(words, Setup(clock=clock or Clock(), environment=told, home=Path("/nonexistent")))

    def client(self) -> Any:
        """boto3's client."""
        session = boto3.Session()
        lines = (self._data / "credentials").read_text().splitlines()
        pairs: Mapping[str, str] = dict(line.replace(" ", "").split("=", 1) for line in lines if "=" in line)
        return session.client(
            "ssm",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=pairs["aws_access_key_id"],
            aws_secret_access_key=pairs["aws_secret_access_key"],
        )


class Node:
    """A made-up node that is enrolled at *server*; its agent runs between `start` and `stop`."""

    def __init__(self, directory: Path, server: Server, *, name: str) -> None:
        self._directory = directory
        self._state_dir = directory / "state"
        self._state_dir.mkdir(parents=True, mode=0o700)
        self._process: subprocess.Popen[bytes] | None = None
        self._file = directory / "node.json"
        self._file.write_text(
            json.dumps(
                {
                    "installed": {"openssl": "3.0.1-1", "zlib1g": "1.2-2"},
                    "offers": {"openssl": ["3.0.1-1", "3.0.2-1"], "zlib1g": ["1.2-2"]},
                }
            )
        )
        (directory / "boot_id").write_text("boot-1")
        (self._state_dir / "agent.json").write_text(json.dumps(QUICK))
        activation = server.client().create_activation(IamRole="node", DefaultInstanceName=name)
        enrol = ["enroll", "--server", server.url, "--activation-id", activation["ActivationId"]]
        enrol += ["--activation-code", activation["ActivationCode"], "--state-dir", str(self._state_dir)]
        subprocess.run(self._words(*enrol), env=self._environment, check=True, capture_output=True, timeout=DEADLINE)
        self.id = str(json.loads((self._state_dir / "identity.json").read_text())["instance_id"])

    @property
    def _environment(self) -> dict[str, str]:
        own = {
            "PATCHWRIGHT_MADE_NODE": str(self._file),
            "PATCHWRIGHT_BOOT_ID_FILE": str(self._directory / "boot_id"),
        }
        return {**os.environ, **own}

    def _words(self, *words: str) -> list[str]:
        return [sys.executable, "-I", str(MADE_NODE), *words]

    def change(self, **changes: Any) -> None:
        """Change what is on the node."""
        self._file.write_text(json.dumps({**json.loads(self._file.read_text()), **changes}))

    def start(self) -> None:
        """Start the agent."""
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._words("run", "--state-dir", str(self._state_dir)), env=self._environment, stdout=log, stderr=log
            )

    def stop(self) -> None:
        """End the agent."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(DEADLINE)
            self._process = None
