# SPDX-License-Identifier: Apache-2.0
"""
A server that speaks the agent's protocol over real HTTP, in the test's process, and fails on request.

Signatures are verified with botocore's signer, which is not ours. Repetitions are answered as the first time, as the protocol
promises; what was said twice is counted.
"""

from __future__ import annotations

import base64
import calendar
import gzip
import hashlib
import json
import secrets
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from email.message import Message
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from patchwright.core import source
from patchwright.core.facts import NodeFacts, View
from patchwright.core.package import OffersSlice, PackageSet, check_digest
from patchwright.core.plan import Intent, Plan, Wanted
from patchwright.core.planning import settle
from patchwright.core.protocol import (
    MAX_REPLANS,
    Begun,
    Directive,
    FactsMessage,
    Next,
    Phase,
    RebootOption,
    Report,
    message_id,
    resolution_from_json,
)

REGION, ACCOUNT = "eu-central-1", "000000000001"
PREFIXES = {
    "EC2WindowsMessageDeliveryService": "ec2messages",
    "AmazonSSM": "ssm",
    "Patchwright": "patchwright",
}
DOCUMENT = {
    "schemaVersion": "2.2",
    "description": "A patch operation.",
    "parameters": {
        "Operation": {"type": "String", "allowedValues": ["Scan", "Install"]},
        "RebootOption": {"type": "String", "default": "RebootIfNeeded"},
    },
    "mainSteps": [
        {
            "name": "Patch",
            "action": "patchwright:patch",
            "inputs": {"Operation": "{{ Operation }}", "RebootOption": "{{ RebootOption }}"},
        }
    ],
}
NO_CHANNELS = b"<AccessDeniedException><message>There are no channels.</message></AccessDeniedException>"


class Refusal(Exception):
    """An error the simulator answers with."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


class Simulator:
    """The server. Faults: `down`, `lose`, `refuse`; history: `calls`, `replies`, `problems`."""

    def __init__(self, *, certificate: tuple[Path, Path] | None = None) -> None:
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.activations = {"11111111-2222-3333-4444-555555555555": "a-code-of-twenty-characters"}
        self.nodes: dict[str, str] = {}
        self.enrolled: dict[str, str] = {}  # token -> instance id
        self.queue: dict[str, dict[str, Any]] = {}
        self.sent: list[dict[str, Any]] = []
        self.visible: dict[str, float] = {}
        self.deliveries: Counter[str] = Counter()
        self.visibility = 0.5
        self.hold = 0.3
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.raw: list[dict[str, str]] = []
        self.replies: list[tuple[str, str, dict[str, Any]]] = []  # message id, reply id, payload; the first of each id
        self.repeated: list[str] = []
        self.problems: list[str] = []
        self.operations: dict[str, Operation] = {}
        self.outputs: dict[tuple[str, str, str], bytearray] = {}  # by command, step and stream
        self.ended: set[tuple[str, str, str]] = set()  # those of which nothing more comes
        self.bodies: dict[str, bytes] = {}
        self.inventory: dict[str, dict[str, Any]] = {}  # by node and type, the last whole item
        self.down = False
        self.time_offset = 0.0
        self.sources: source.Sources = ()
        self.files: dict[str, str] = {}  # what BeginOperation asks for
        self.documents: dict[tuple[str, str], dict[str, Any]] = {}  # by name and version, as they are asked for
        self.wanted: Callable[[], bool] = lambda: True  # whether operations are wanted still
        self.not_after = 0.0  # until when they are
        self.document_type = "Command"
        self.goes_on: bool | None = True  # what checks of patches are answered
        self.associations: list[dict[str, Any]] = []
        self.agent: dict[str, str] = {"Version": "0.0.0", "Sha256": "0" * 64, "Path": "/agent/patchwright-agent.pyz"}
        self.served: dict[str, list[tuple[int, bytes]]] = {}  # by path, what a GET gets; the last of them for ever
        self.losing: Counter[str] = Counter()
        self.refusing: dict[str, Refusal] = {}
        self.before: dict[str, Callable[[], None]] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        scheme = "http"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(str(certificate[0]), str(certificate[1]))
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            scheme = "https"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        """Stop serving."""
        self.down = True
        self._server.shutdown()
        self._server.server_close()

    def add_node(self) -> tuple[str, str]:
        """A node that is enrolled already: its id and secret."""
        instance_id, secret = f"mi-{secrets.token_hex(9)[:17]}", base64.b64encode(secrets.token_bytes(32)).decode()
        self.nodes[instance_id] = secret
        return instance_id, secret

    def send(self, instance_id: str, operation: str, *, reboot: str = "RebootIfNeeded", **changes: Any) -> str:
        """Queue AWS-RunPatchBaseline for a node; answers the command id. *changes* replace members of the payload."""
        command_id = "-".join(secrets.token_hex(size) for size in (4, 2, 2, 2, 6))
        payload = {
            "Parameters": {"Operation": operation, "RebootOption": reboot},
            "DocumentContent": DOCUMENT,
            "CommandId": command_id,
            "DocumentName": "AWS-RunPatchBaseline",
            **changes,
        }
        self.deliver(message_id(command_id, instance_id), "aws.ssm.sendCommand.test.1", json.dumps(payload))
        return command_id

    def cancel(self, instance_id: str, command_id: str) -> None:
        """Queue a cancellation."""
        payload = json.dumps({"CancelMessageId": message_id(command_id, instance_id)})
        self.deliver(secrets.token_hex(16), "aws.ssm.cancelCommand.test.1", payload)

    def deliver(self, message: str, topic: str, payload: str) -> None:
        """Queue any message."""
        with self.changed:
            self.queue[message] = {
                "MessageId": message,
                "Topic": topic,
                "Payload": payload,
                "CreatedDate": "2026-11-20T04:24:15.035Z",
                "Destination": message.rpartition(".")[2],
                "PayloadDigest": hashlib.sha256(payload.encode()).hexdigest(),
            }
            self.sent.append(self.queue[message])
            self.visible[message] = 0.0
            self.changed.notify_all()

    def object(self, path: str) -> tuple[int, bytes]:
        """What a GET of *path* gets."""
        self.calls.append(("GET", {"Path": path}))
        answers = self.served.get(path, [(404, b"<Code>NoSuchKey</Code>")])
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def replies_of(self, command_id: str) -> list[dict[str, Any]]:
        """The replies to a command in order of arrival, repetitions left out."""
        with self.lock:
            return [payload for message, _, payload in self.replies if f".{command_id}." in message]

    def final(self, command_id: str) -> dict[str, Any]:
        """The one final reply to a command."""
        finals = [reply for reply in self.replies_of(command_id) if reply["documentStatus"] != "InProgress"]
        assert len(finals) == 1, f"{len(finals)} final replies"
        return finals[0]

    def count(self, operation: str) -> int:
        """How often an operation was called and processed."""
        with self.lock:
            return sum(1 for name, _ in self.calls if name == operation)

    def handle(self, operation: str, caller: str, members: dict[str, Any]) -> dict[str, Any]:
        """Answer one call."""
        with self.lock:
            self.calls.append((operation, members))
            hook = self.before.pop(operation, None)
        if hook:
            hook()
        if operation in self.refusing:
            raise self.refusing[operation]
        if operation == "GetMessages":
            return self._get_messages(caller)
        with self.lock:
            return dict(getattr(self, f"_on_{operation}")(caller, members))

    def _get_messages(self, caller: str) -> dict[str, Any]:
        deadline = time.monotonic() + self.hold
        with self.changed:
            while True:
                now = time.monotonic()
                ready = [
                    message
                    for name, message in self.queue.items()
                    if self.visible[name] <= now and (message["Destination"] == caller or "." not in name)
                ]
                if ready or now >= deadline or self.down:
                    break
                self.changed.wait(min(deadline - now, 0.05))
            for message in ready:
                self.visible[message["MessageId"]] = time.monotonic() + self.visibility
                self.deliveries[message["MessageId"]] += 1
            return {"Messages": ready, "Destination": caller, "MessagesRequestId": "x"}

    def _on_UpdateInstanceInformation(self, caller: str, members: dict[str, Any]) -> dict[str, Any]:
        return {}

    def _on_PutOutput(self, caller: str, members: dict[str, Any]) -> dict[str, Any]:
        key = (members["CommandId"], members["StepName"], members["Stream"])
        kept, data = self.outputs.setdefault(key, bytearray()), base64.b64decode(members["Body"])
        if key not in self.ended and members["Offset"] <= len(kept):
            kept += data[len(kept) - members["Offset"] :]
            self.ended |= {key} if members["Last"] else set()
        return {"Offset": len(kept), "Full": key in self.ended}

    def _on_PutInventory(self, caller: str, members: dict[str, Any]) -> dict[str, Any]:
        kept = self.inventory.setdefault(caller, {})
        for item in members["Items"]:
            if "Content" not in item and kept.get(item["TypeName"], {}).get("ContentHash") != item["ContentHash"]:
                raise Refusal("ItemContentMismatchException", item["TypeName"])
        kept.update((item["TypeName"], item) for item in members["Items"] if "Content" in item)
        return {}

    def _on_AcknowledgeMessage(self, caller: str, members: dict[str, Any]) -> dict[str, Any]:
        self.queue.pop(members["MessageId"], None)
        return {}

    def _on_FailMessage(self, caller: str, members: dict[str, Any]) -> dict[str, Any]:
        return self._on_AcknowledgeMessage(caller, members)

    def _on_SendReply(self, caller: str, members: dict[str, Any]) -> dict[str, Any]:
        known = {reply_id: payload for _, reply_id, payload in self.replies}
        payload = json.loads(members["Payload"])
        if members["ReplyId"] in known:
            self.repeated.append(members["ReplyId"])
            if payload["documentStatus"] != known[members["ReplyId"]]["documentStatus"]:
                self.problems.append(f"the reply {members['ReplyId']} changed its status")
        else:
            self.replies.append((members["MessageId"], members["ReplyId"], payload))
        return {}

    def _on_Enroll(self, caller: str, members: dict[str, Any]) -> dict[str, Any]:
        if self.activations.get(members["ActivationId"]) != members["ActivationCode"]:
            raise Refusal("InvalidActivation", "The activation is not valid.")
        token = members["EnrollmentToken"]
        if token not in self.enrolled:
            self.enrolled[token] = self.add_node()[0]
        instance_id = self.enrolled[token]
        return {"InstanceId": instance_id, "Secret": self.nodes[instance_id], "Region": REGION, "Account": ACCOUNT}

    def _on_BeginOperation(self, caller: str, members: dict[str, Any]) -> dict[str, Any]:
        command_id, step = members["CommandId"], members["StepName"]
        for operation in self.operations.values():
            if (operation.command_id, operation.step) == (command_id, step):
                return replace(operation.begun, wanted=self.wanted(), not_after=self.not_after).to_json()
        payload = next(
            json.loads(message["Payload"])
            for message in self.sent
            if message["MessageId"] == message_id(command_id, caller)
        )
        values = members.get("Inputs") or self._values(payload, step)
        begun = Begun(
            secrets.token_hex(8),
            values["Operation"],
            command_id,
            RebootOption(values.get("RebootOption", "RebootIfNeeded")),
            () if self.files else self.sources,
            self.files,
            self.wanted(),
            self.not_after,
        )
        self.operations[begun.operation_id] = Operation(command_id, begun, step)
        return begun.to_json()

    def _values(self, payload: dict[str, Any], step: str) -> dict[str, Any]:
        """The parameters of the document that a step stands in; its own inputs are called the same."""
        document, values = payload["DocumentContent"], payload["Parameters"]
        for name in step.split("/")[:-1]:
            inputs = next(one["inputs"] for one in document["mainSteps"] if one["name"] == name)
            document = self.documents[inputs["documentPath"], ""]
            values = {
                key: values.get(text.strip("{} "), text) for key, text in inputs.get("documentParameters", {}).items()
            }
        return values

    def _on_GetDocument(self, caller: str, members: dict[str, Any]) -> dict[str, Any]:
        if members["DocumentFormat"] != "JSON":
            raise Refusal("ValidationException", "not in a format that a node can read")
        document = self.documents.get((members["Name"], members.get("DocumentVersion", "")))
        if document is None:
            raise Refusal("InvalidDocument", "Document with name {} does not exist.".format(members["Name"]))
        return {"Name": members["Name"], "Content": json.dumps(document), "DocumentType": self.document_type}

    def _on_GetPatchCheck(self, caller: str, members: dict[str, Any]) -> dict[str, Any]:
        if self.goes_on is None:
            raise Refusal("InvalidOperationException", "nothing was scanned")
        return {"Continue": self.goes_on, "Text": f"3 patches to install, says {members['StepName']}"}

    def _on_ListInstanceAssociations(self, caller: str, members: dict[str, Any]) -> dict[str, Any]:
        return {"Associations": self.associations}

    def _on_DescribeAgent(self, caller: str, members: dict[str, Any]) -> dict[str, Any]:
        return self.agent

    def _on_PutOverrides(self, caller: str, members: dict[str, Any]) -> dict[str, Any]:
        operation = self.operations[members["OperationId"]]
        operation.files = operation.files or {row["Name"]: row["Body"] for row in members["Files"]}
        operation.begun = replace(operation.begun, sources=self.sources, files={})
        return operation.begun.to_json()

    def _on_PutFacts(self, caller: str, members: dict[str, Any]) -> dict[str, Any]:
        message = FactsMessage.from_json(members)
        operation = self.operations[message.operation_id]
        if message.facts.sources != source.digest(operation.begun.sources):
            raise Refusal("InvalidOperationException", "these facts were taken with other repositories")
        missing = tuple(digest for digest in message.facts.digests if digest not in self.bodies)
        if missing:
            return Directive(Next.SEND_BODIES, missing=missing).to_json()
        return operation.facts(message, self._view(message.facts))

    def _on_PutBodies(self, caller: str, members: dict[str, Any]) -> dict[str, Any]:
        for body in members["Bodies"]:
            check_digest(body["Digest"], body["Body"].encode())
            self.bodies[body["Digest"]] = body["Body"].encode()
        return {}

    def _on_PutResolution(self, caller: str, members: dict[str, Any]) -> dict[str, Any]:
        return self.operations[members["OperationId"]].plan(members["Attempt"], members["Resolution"])

    def _view(self, facts: NodeFacts) -> View:
        packages = PackageSet.parse(self.bodies[facts.package_set])
        return View(facts, packages, tuple(OffersSlice.parse(self.bodies[ref.digest]) for ref in facts.slices))


class Operation:
    """One patch operation as the server sees it: everything offered above what is installed is wanted."""

    def __init__(self, command_id: str, begun: Begun, step: str = "Patch") -> None:
        self.command_id = command_id
        self.begun = begun
        self.step = step
        self.files: dict[str, str] = {}
        self.intents: dict[int, Intent] = {}
        self.plans: dict[int, Plan] = {}
        self.answers: dict[Any, dict[str, Any]] = {}
        self.views: list[tuple[Phase, View]] = []
        self.messages: list[FactsMessage] = []

    def facts(self, message: FactsMessage, view: View) -> dict[str, Any]:
        """Answer facts; a repetition as the first time."""
        key = (message.phase, message.attempt, message.facts.boot_id, message.facts.observed_at)
        if key not in self.answers:
            self.views.append((message.phase, view))
            self.messages.append(message)
            self.answers[key] = self._directive(message, view).to_json()
        return self.answers[key]

    def _directive(self, message: FactsMessage, view: View) -> Directive:
        wanted = self._wanted(view)
        if message.phase is Phase.BEFORE and self.begun.operation == "Install" and message.attempt > MAX_REPLANS:
            return _done(False, "", "the node moved every time: " + "; ".join(message.drift))
        if message.phase is Phase.BEFORE and self.begun.operation == "Install" and wanted:
            self.intents[message.attempt] = Intent(wanted)
            return Directive(Next.RESOLVE, intent=self.intents[message.attempt])
        reboot = self.begun.reboot_option is RebootOption.REBOOT_IF_NEEDED
        if message.phase is Phase.AFTER and reboot and message.acted_boot_id == message.facts.boot_id:
            return Directive(Next.REBOOT)
        text = "missing: " + " ".join(f"{item.name}={item.version}" for item in wanted)
        errors = "; ".join(f"{key}: {reason}" for key, reason in message.failures.items())
        return _done(not errors and not message.facts.problems, text, errors)

    def plan(self, attempt: int, resolution: dict[str, Any]) -> dict[str, Any]:
        """Answer a resolution; a repetition as the first time."""
        if attempt not in self.plans:
            manager = self.views[-1][1].packages.manager
            read = resolution_from_json(resolution)
            self.plans[attempt] = settle(self.intents[attempt], read, manager=manager, snapshot_id=self.command_id)
        plan = self.plans[attempt]
        return {"Plan": plan.to_json(), "PlanDigest": plan.digest}

    def _wanted(self, view: View) -> tuple[Wanted, ...]:
        candidates = view.candidates()
        return tuple(
            Wanted(package.name, package.arch, package.version, candidates[package.key])
            for package in view.packages.packages
            if candidates[package.key] != package.version
        )


def _done(succeeded: bool, text: str, error: str) -> Directive:
    return Directive(Next.DONE, report=Report(succeeded, text, error))


def _handler(simulator: Simulator) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16  # head and body in one packet

        def log_message(self, *args: Any) -> None:
            """Quiet."""

        def date_time_string(self, timestamp: float | None = None) -> str:
            return formatdate(time.time() + simulator.time_offset, usegmt=True)

        def do_GET(self) -> None:
            if self.headers.get("Authorization"):
                _verify(simulator, self.headers, service="s3", body=b"", method="GET", path=self.path)
            self._answer(*simulator.object(self.path))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            simulator.raw.append({**dict(self.headers), "": body.decode("latin-1")})
            if simulator.down:
                self._hang_up()
                return
            if "X-Amz-Target" not in self.headers:
                self._answer(403, NO_CHANNELS)
                return
            prefix, _, operation = self.headers["X-Amz-Target"].partition(".")
            try:
                caller = (
                    ""
                    if operation == "Enroll"
                    else _verify(simulator, self.headers, service=PREFIXES[prefix], body=body)
                )
                plain = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
                status, answer = 200, simulator.handle(operation, caller, json.loads(plain))
            except Refusal as refusal:
                status = refusal.status
                answer = {"__type": refusal.code, "message": refusal.message}
            except Exception as error:
                simulator.problems.append(repr(error))
                status, answer = 500, {"__type": "InternalServerError", "message": repr(error)}
            if simulator.losing[operation] > 0 and status == 200:
                simulator.losing[operation] -= 1
                self._hang_up()
                return
            self._answer(status, json.dumps(answer).encode())

        def _answer(self, status: int, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def _hang_up(self) -> None:
            self.close_connection = True
            self.connection.close()

    return Handler


def _verify(
    simulator: Simulator, headers: Message, *, service: str, body: bytes, method: str = "POST", path: str = "/"
) -> str:
    """Who signed a request: by botocore's signer, which shares no line with ours."""
    given = headers.get("Authorization", "")
    instance_id = given.partition("Credential=")[2].partition("/")[0]
    if instance_id not in simulator.nodes:
        raise Refusal("UnrecognizedClientException", "The security token included in the request is invalid.")
    moment = headers["X-Amz-Date"]
    signed_at = time.strptime(moment, "%Y%m%dT%H%M%SZ")
    if abs(_epoch(signed_at) - time.time() - simulator.time_offset) > 900:
        raise Refusal("InvalidSignatureException", f"Signature expired: {moment} is now earlier than …")
    names = given.partition("SignedHeaders=")[2].partition(",")[0].split(";")
    for needed in ("host", "x-amz-date", "x-amz-content-sha256" if service == "s3" else "x-amz-target"):
        if needed not in names:
            raise Refusal("InvalidSignatureException", f"{needed} must be signed")
    request = AWSRequest(method, f"{simulator.url}{path}", data=body, headers={n: headers[n] for n in names})
    request.context["timestamp"] = moment
    kind = S3SigV4Auth if service == "s3" else SigV4Auth  # of a path with escapes S3 signs what is sent
    signer = kind(Credentials(instance_id, simulator.nodes[instance_id]), service, REGION)
    canonical = signer.canonical_request(request)
    expected = signer.signature(signer.string_to_sign(request, canonical), request)
    if expected != given.partition("Signature=")[2]:
        raise Refusal("InvalidSignatureException", "The request signature we calculated does not match …")
    return instance_id


def _epoch(moment: time.struct_time) -> float:
    return float(calendar.timegm(moment))
