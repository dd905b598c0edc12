# SPDX-License-Identifier: Apache-2.0
"""
A server as a process of its own, a client that is boto3, and nodes of the farm that run the agent.

    station = Station(tmp_path); station.start()
    station.enrol(node, tags={"Patch Group": "web"})        # the agent runs as a unit of the node
    done = station.patch(node, "Scan")                      # SendCommand, waits for the end
    station.states(node)                                    # {"foo.all": "Missing", …} of DescribeInstancePatches
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

import patchwright
from farm import Farm, Node, until
from patchwright.core.signing import CALL_HEADER
from patchwright.server.gateway.zipapp import build
from patchwright.server.wire import Certificate
from ports import free_port

from .interposer import Interposer
from .starter import Started, the_starter

AGENT = "/opt/patchwright-agent.pyz"
STATE_DIR = "/var/lib/patchwright-agent"
FOR_THE_BOOT = "RuntimeDirectory=patchwright-agent\nRuntimeDirectoryMode=0700\nRuntimeDirectoryPreserve=yes\n"
FINAL = {"Success", "Failed", "TimedOut", "Cancelled"}
ENGINES = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]  # of the fixture `database`
# A test has no time for patience, and what stands between nodes and server passes on requests, no channels. Taking the
# inventory, at the first start and after every operation, costs as much as a Scan: stories about it say WITH_INVENTORY.
QUICK = {"backoff_cap_seconds": 0.3, "control_channel": 0, "inventory_hours": 0}
WITH_INVENTORY = {"inventory_hours": 24}
KEY_ID, SECRET = "AKIATESTTESTTESTTEST", "made-up-secret-of-the-end-to-end-tests-00"


def there(node: Node, path: str) -> bool:
    """Whether a path exists in the booted node."""
    return node.run(["test", "-e", path], check=False).code == 0


def lines(node: Node, path: str) -> list[str]:
    """The lines of a file of the booted node; none where there is no such file."""
    return node.run(["cat", path], check=False).stdout.splitlines()


@dataclass
class Station:
    """One server with its data directory, behind an interposer that the nodes' requests pass through."""

    directory: Path
    farm: Farm
    database: str = ""
    certificate: Certificate | None = None
    ids: dict[str, str] = field(default_factory=dict)
    _server: Started | None = None
    _client: Any = None

    def __post_init__(self) -> None:
        self.port = free_port()
        self.interposer = Interposer(self.port)
        # What stands between cannot read TLS: such a server is reached directly.
        self.lan = self.farm.expose(self.port if self.certificate else self.interposer.port)
        self.words = ["--public-url", f"{'https' if self.certificate else 'http'}://{self.lan}"]

    @property
    def url(self) -> str:
        """Where the host's clients reach the API."""
        return f"{'https' if self.certificate else 'http'}://127.0.0.1:{self.port}"

    @property
    def running(self) -> bool:
        """Whether the server was started and not stopped since."""
        return self._server is not None

    def start(self) -> None:
        """Start the server, or start it again on the same port and data."""
        data = self.directory / "data"
        words = ["--data-dir", str(data), "--listen", f"127.0.0.1:{self.port}"]
        words += ["--database", self.database] if self.database else []
        words += self.words
        if self.certificate:
            words += ["--tls-cert", str(self.certificate.chain), "--tls-key", str(self.certificate.key)]
        environment = {
            **os.environ,
            "PATCHWRIGHT_ROOT_ACCESS_KEY_ID": KEY_ID,
            "PATCHWRIGHT_ROOT_SECRET_ACCESS_KEY": SECRET,
            "PYTHONPATH": str(Path(patchwright.__file__).parents[1]),
        }
        if not self.database and not data.exists():
            the_starter().migrated(data)
        self._server = the_starter().start(words, environment, self.directory / "server.log")
        until(self._ready, what="the server is ready")

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End the server with a signal."""
        if self._server is not None:
            self._server.end(number, timeout=60)
            self._server = None

    def close(self) -> None:
        """End what runs."""
        self.stop(signal.SIGKILL)
        self.interposer.close()

    def log(self) -> list[dict[str, Any]]:
        """The server's log lines."""
        lines = (self.directory / "server.log").read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def put_object(self, url: str, text: str) -> None:
        """An object of one of the server's own buckets: `s3://BUCKET/KEY`."""
        path = self.directory / "data" / "buckets" / url.removeprefix("s3://")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def client(self) -> Any:
        """An ssm client of boto3 with nothing but the endpoint changed; made once, for the asking of it costs more than a call."""
        if self._client is None:
            self._client = boto3.client(
                "ssm",
                endpoint_url=self.url,
                region_name="us-east-1",
                aws_access_key_id=KEY_ID,
                aws_secret_access_key=SECRET,
                verify=str(self.certificate.chain) if self.certificate else None,
                config=Config(retries={"max_attempts": 0}),
            )
            self._client.meta.events.register("before-send.*", _on_its_own)
        return self._client

    def enrol(
        self,
        node: Node,
        *,
        tags: Mapping[str, str] | None = None,
        settings: Mapping[str, Any] | None = None,
        trust: Sequence[str] = ("--insecure-http",),
        python: str = "/usr/bin/python3",
    ) -> str:
        """
        Make *node* a managed node through an activation, start the agent as its unit; returns its id.

        *settings* of the agent are added to `QUICK`; *trust* are the words that say which server it may believe; *python*
        runs it: `node.skew("+3d")` under a wrong clock.
        """
        activation = self.client().create_activation(
            IamRole="node", Tags=[{"Key": key, "Value": value} for key, value in (tags or {}).items()]
        )
        archive = self.directory / "agent.pyz"
        if not archive.exists():
            archive.write_bytes(build(Path(patchwright.__file__).parent))
        node.push(archive, AGENT)
        node.write(f"{STATE_DIR}/agent.json", json.dumps({**QUICK, **(settings or {})}))
        scheme = "https" if self.certificate else "http"
        enrol = [python, "-I", AGENT, "enroll", "--server", f"{scheme}://{self.lan}", *trust]
        enrol += ["--activation-id", activation["ActivationId"], "--activation-code", activation["ActivationCode"]]
        node.run(enrol)
        identity = json.loads(node.read(f"{STATE_DIR}/identity.json"))
        self.ids[node.name] = str(_find(identity, "mi-"))
        node.unit(
            "agent",
            f"{python} -I {AGENT} run",
            restart="always",
            lines="RestartSec=100ms\nKillMode=process\nStartLimitInterval=0\n" + FOR_THE_BOOT,
        )
        return self.ids[node.name]

    def send(self, node: Node, operation: str, *, reboot: str = "NoReboot", **more: Any) -> str:
        """Send AWS-RunPatchBaseline; returns the command's id."""
        parameters: dict[str, Sequence[str]] = {"Operation": [operation], "RebootOption": [reboot]}
        parameters.update(more.pop("parameters", {}))
        command = self.client().send_command(
            DocumentName="AWS-RunPatchBaseline", InstanceIds=[self.ids[node.name]], Parameters=parameters, **more
        )
        return str(command["Command"]["CommandId"])

    def make_documents(self, contents: Mapping[str, Mapping[str, Any]]) -> None:
        """Make command documents of the test's own, by name, where they are not there yet."""
        client = self.client()
        for name, content in contents.items():
            with contextlib.suppress(client.exceptions.DocumentAlreadyExists):
                client.create_document(Name=name, Content=json.dumps(content), DocumentType="Command")

    def send_document(self, node: Node, name: str, parameters: Mapping[str, Sequence[str]] | None = None) -> str:
        """Send any document; returns the command's id."""
        command = self.client().send_command(
            DocumentName=name, InstanceIds=[self.ids[node.name]], Parameters=dict(parameters or {})
        )
        return str(command["Command"]["CommandId"])

    def invocation(self, node: Node, command_id: str) -> dict[str, Any]:
        """ListCommandInvocations of one command on one node, with its steps in order."""
        answer = self.client().list_command_invocations(
            CommandId=command_id, InstanceId=self.ids[node.name], Details=True
        )
        found: list[dict[str, Any]] = answer["CommandInvocations"]
        return found[0]

    def result(self, node: Node, command_id: str, step: str = "") -> dict[str, Any]:
        """GetCommandInvocation as it is now; of a *step* where there are several."""
        answer: dict[str, Any] = self.client().get_command_invocation(
            CommandId=command_id, InstanceId=self.ids[node.name], **({"PluginName": step} if step else {})
        )
        return answer

    def wait(self, node: Node, command_id: str, *, timeout: float = 120) -> dict[str, Any]:
        """The invocation once it has ended."""

        def ended() -> dict[str, Any] | None:
            answer = self.result(node, command_id)
            return answer if answer["Status"] in FINAL else None

        return until(ended, what=f"command {command_id} on {node.name} ends", timeout=timeout) or {}

    def patch(self, node: Node, operation: str, *, reboot: str = "NoReboot", **more: Any) -> dict[str, Any]:
        """Send AWS-RunPatchBaseline and wait for its end."""
        return self.wait(node, self.send(node, operation, reboot=reboot, **more))

    def patches(self, node: Node) -> dict[str, dict[str, Any]]:
        """DescribeInstancePatches by KBId."""
        pages = self.client().get_paginator("describe_instance_patches").paginate(InstanceId=self.ids[node.name])
        return {patch["KBId"]: patch for page in pages for patch in page["Patches"]}

    def states(self, node: Node, *names: str) -> dict[str, str]:
        """The states of the last operation by KBId; of *names* only, if any are given."""
        rows = self.patches(node)
        return {key: row["State"] for key, row in rows.items() if not names or key in names}

    def with_state(self, node: Node, *states: str) -> dict[str, str]:
        """Titles by KBId of what the last operation reports in one of *states*."""
        return {key: row["Title"] for key, row in self.patches(node).items() if row["State"] in states}

    def summary(self, node: Node) -> dict[str, Any]:
        """DescribeInstancePatchStates of one node."""
        answer = self.client().describe_instance_patch_states(InstanceIds=[self.ids[node.name]])
        found: list[dict[str, Any]] = answer["InstancePatchStates"]
        return found[0] if found else {}

    def verdict(self, node: Node) -> dict[str, Any]:
        """The live verdict, as `patchwright node show --json` prints it."""
        environment = {
            **os.environ,
            "AWS_ACCESS_KEY_ID": KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "PYTHONPATH": str(Path(patchwright.__file__).parents[1]),
        }
        words = [sys.executable, "-m", "patchwright", "--endpoint-url", self.url]
        words += ["node", "show", self.ids[node.name], "--json"]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    def live(self, node: Node) -> dict[str, Any]:
        """The live verdict as the API tells it, `Patches` by KBId: quicker than `verdict`, which starts the command."""
        body = json.dumps({"InstanceId": self.ids[node.name]}).encode()
        headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "Patchwright.GetVerdict"}
        headers[CALL_HEADER] = secrets.token_hex(16)
        request = AWSRequest("POST", f"{self.url}/", headers=headers, data=body)
        SigV4Auth(Credentials(KEY_ID, SECRET), "patchwright", "us-east-1").add_auth(request)
        signed = urllib.request.Request(f"{self.url}/", body, dict(request.headers.items()))
        with urllib.request.urlopen(signed, timeout=30, context=self._trust()) as answer:
            document = json.loads(json.load(answer)["Document"])
        live: dict[str, Any] = document["LiveVerdict"]
        return {**live, "Patches": {patch["KBId"]: patch for patch in live["Patches"]}}

    def final_replies(self, command_id: str) -> list[dict[str, Any]]:
        """The payloads of the replies that ended a command, as often as nodes sent them to a server that was there."""
        sent = [body for body in self.interposer.sent("SendReply") if command_id in body["MessageId"]]
        payloads = [json.loads(body["Payload"]) for body in sent]
        return [payload for payload in payloads if payload["documentStatus"] in FINAL]

    def _trust(self) -> ssl.SSLContext | None:
        return ssl.create_default_context(cafile=str(self.certificate.chain)) if self.certificate else None

    def _ready(self) -> bool:
        assert self._server is not None
        if not self._server.is_running():
            raise AssertionError((self.directory / "server.log").read_text()[-2000:])
        try:
            with urllib.request.urlopen(f"{self.url}/healthz", timeout=5, context=self._trust()) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


def _find(data: Mapping[str, Any], prefix: str) -> str:
    return next(value for value in data.values() if isinstance(value, str) and value.startswith(prefix))


def _on_its_own(request: Any, **_: Any) -> None:
    """A connection for this request alone: one that waits for the next may be closed by the server at that moment."""
    request.headers["Connection"] = "close"
