# SPDX-License-Identifier: Apache-2.0
"""The server of the demo, this machine's agent, and patch operations through the API."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo import inside, kernel, twin
from demo.api import FINAL, Api, ApiRefused
from demo.tell import Teller

START_SECONDS = 60.0
SCAN_SECONDS = 600.0
INSTALL_SECONDS = 3600.0
DOCUMENT = "AWS-RunPatchBaseline"
_URL = re.compile(r"https?://\S+(?=\s)")


class StageFailed(Exception):
    """The server or an agent did not do its part."""


@dataclass(frozen=True)
class Operation:
    """One Scan or Install that has ended: the invocation as the API shows it, and how long it took from being sent."""

    invocation: dict[str, Any]
    seconds: float

    @property
    def succeeded(self) -> bool:
        """Whether it did what was asked."""
        return bool(self.invocation["Status"] == "Success")

    @property
    def output(self) -> str:
        """What it said, errors last."""
        return f"{self.invocation['StandardOutputContent']}\n{self.invocation['StandardErrorContent']}".strip()


class Server:
    """A server of the demo's own on a free port of 127.0.0.1. It ends with this process."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "server.log"
        words = ["server", "--data-dir", str(folder / "server"), "--listen", "127.0.0.1:0"]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PATCHWRIGHT_")}
        self._said = folder / "server.out"
        with self.log.open("wb") as log, self._said.open("wb") as said:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "patchwright", *words],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=log,
                env=environment,
                start_new_session=True,
                preexec_fn=kernel.die_with_parent,  # noqa: PLW1509 - one thread here
            )
        self.credentials = folder / "server/credentials"
        self.api = Api(self._announced(), self.credentials)
        self._wait_until_ready()

    def stop(self) -> None:
        """End it."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            with contextlib.suppress(OSError, ApiRefused):
                self.api.download("/healthz")
                return
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise StageFailed(f"the server does not answer; see {self.log}")
            time.sleep(0.02)

    def _announced(self) -> str:
        """The URL that the server prints first."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            match = _URL.search(self._said.read_text(encoding="utf-8", errors="replace"))
            if match is not None:
                return match[0]
            if self._process.poll() is not None:
                tail = self.log.read_text(encoding="utf-8", errors="replace")[-2000:]
                raise StageFailed(f"the server ended at once: {tail}")
            if time.monotonic() > deadline:
                raise StageFailed(f"the server did not start within {START_SECONDS:.0f} s; see {self.log}")
            time.sleep(0.02)


def activation(api: Api, name: str) -> list[str]:
    """The words with which an agent enrols as *name*."""
    made = api.call("CreateActivation", IamRole="unused", DefaultInstanceName=name, RegistrationLimit=1)
    identity = ["--activation-id", made["ActivationId"], "--activation-code", made["ActivationCode"]]
    return ["enroll", "--server", api.url, *identity]


def enrolled(output: str) -> str:
    """The node id in what `enroll` printed. Raises StageFailed."""
    match = re.search(r"\bmi-[0-9a-f]{17}\b", output)
    if match is None:
        raise StageFailed(f"the agent could not enrol: {output.strip()[-500:]}")
    return match[0]


def node_python() -> str:
    """The Python that a node would run the agent with: the system's where it will do, else the demo's own."""
    system = shutil.which("python3", path=twin.PATH)
    probe = [system or "", "-c", "import sys, json, ssl; sys.exit(sys.version_info < (3, 8))"]
    if system and subprocess.run(probe, stderr=subprocess.DEVNULL, check=False).returncode == 0:
        return system
    return sys.executable


class ThisMachine:
    """
    This machine as a node, for scanning only.

    Its agent sits behind glass: it sees everything and can write nothing but apt's lists and caches, so that no command,
    however it got there, could install anything. Needs root.
    """

    def __init__(self, folder: Path, archive: Path) -> None:
        self._state = folder / "this-machine"
        self._state.mkdir(mode=0o700)
        self._archive = archive
        self._log = folder / "this-machine.log"
        self.node = ""

    def enroll(self, api: Api) -> str:
        """Make it a node; answers its id. Raises StageFailed."""
        code, output = self._agent(activation(api, "this machine"))
        if code != 0:
            raise StageFailed(f"this machine's agent could not enrol: {output[-500:]}")
        self.node = enrolled(output)
        return self.node

    def scan(self, api: Api) -> Operation:
        """Scan through the API; the agent runs as long as that takes. Raises StageFailed."""
        begun = time.monotonic()
        command = send(api, self.node, "Scan")
        code, output = self._agent(["run", "--once"])
        if code != 0:
            raise StageFailed(f"this machine's agent ended with {code}: {output[-500:]}")
        return Operation(invocation(api, command, self.node), time.monotonic() - begun)

    def _agent(self, words: list[str]) -> tuple[int, str]:
        argv = [node_python(), str(self._archive), words[0], "--state-dir", str(self._state), *words[1:]]
        spec = {"kind": "glass", "writable": [str(self._state)], "argv": argv, "env": twin.environment()}
        with self._log.open("ab") as log:
            begin = log.tell()
            process = twin.launch(spec, log.fileno())
        try:
            code = process.wait(SCAN_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise StageFailed(f"this machine's agent did not end within {SCAN_SECONDS:.0f} s") from None
        output = self._log.read_bytes()[begin:].decode("utf-8", "replace")
        if code == inside.EXIT_NOT_MADE and inside.NOT_MADE in output:
            raise StageFailed(f"the glass was not made: {output.partition(inside.NOT_MADE)[2].strip()}")
        return code, output


def scan_offline() -> dict[str, Any]:
    """This machine's live verdict by the lists that are there, taken without a server. Raises StageFailed."""
    argv = [sys.executable, "-m", "patchwright", "scan", "--no-refresh", "--json"]
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SCAN_SECONDS, check=False
    )
    if done.returncode != 0:
        raise StageFailed(done.stderr.strip()[-500:])
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def send(api: Api, node: str, operation: str, **parameters: str) -> str:
    """SendCommand with AWS-RunPatchBaseline; answers the command's id."""
    values = {"Operation": [operation], **{name: [value] for name, value in parameters.items()}}
    sent = api.call("SendCommand", DocumentName=DOCUMENT, InstanceIds=[node], Parameters=values)
    return str(sent["Command"]["CommandId"])


def invocation(api: Api, command: str, node: str) -> dict[str, Any]:
    """GetCommandInvocation."""
    return api.call("GetCommandInvocation", CommandId=command, InstanceId=node)


def wait_until_heard_of(tell: Teller, api: Api, node: str, *, since: float) -> None:
    """
    Wait until a node has told the server that it is there, at *since* (seconds since the epoch) or later.

    A command that is sent sooner may go to the connection of an agent that is no more, and is delivered anew after 10 s.
    """

    def heard() -> bool | None:
        nodes = api.every("DescribeInstanceInformation", "InstanceInformationList")
        return any(one["InstanceId"] == node and one["LastPingDateTime"] >= since for one in nodes) or None

    tell.wait("waiting for the agent", heard, seconds=START_SECONDS)


class Sent:
    """An operation that was sent to a twin's agent, which waits for it."""

    def __init__(self, api: Api, node: str, operation: str, **parameters: str) -> None:
        self._api, self._node, self._operation = api, node, operation
        self._begun = time.monotonic()
        self._command = send(api, node, operation, **parameters)

    def follow(self, tell: Teller, one: twin.Twin, log: Path) -> Operation:
        """Wait for its end. Raises TimeoutError, or TwinFailed where the agent (which writes *log*) has ended."""

        def ended() -> dict[str, Any] | None:
            one.check_alive(log)
            try:
                shown = invocation(self._api, self._command, self._node)
            except ApiRefused:  # not delivered yet
                return None
            return shown if shown["Status"] in FINAL else None

        seconds = SCAN_SECONDS if self._operation == "Scan" else INSTALL_SECONDS
        shown = tell.wait(f"{self._operation} under way", ended, seconds=seconds)
        return Operation(shown, time.monotonic() - self._begun)


def verdict(api: Api, node: str) -> dict[str, Any]:
    """The live verdict on a node, with a reason for every patch."""
    answer: dict[str, Any] = json.loads(api.call("GetVerdict", InstanceId=node)["Document"])
    return answer


def states(api: Api, node: str) -> dict[str, str]:
    """The state of every patch by its id, as the last operation reported it (DescribeInstancePatches)."""
    return {one["KBId"]: one["State"] for one in api.every("DescribeInstancePatches", "Patches", InstanceId=node)}
