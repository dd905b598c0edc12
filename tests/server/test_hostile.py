# SPDX-License-Identifier: Apache-2.0
"""
A node that means harm, against `patchwright server` over real HTTP: it harms nobody but itself.

It has what every node has: its own key, the agent's protocol, and the ids of others, which are no secrets.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import http.client
import itertools
import json
import os
import secrets
import signal
import socket
import subprocess
import threading
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest

from patchwright.core.protocol import FactsMessage, Phase, message_id
from patchwright.core.signing import CALL_HEADER, Signer
from ports import free_port
from server.patching.bench import OUTDATED, bodies_of
from server.process import Process

SERVICES = {"AmazonSSM": "ssm", "EC2WindowsMessageDeliveryService": "ec2messages", "Patchwright": "patchwright"}
MESSAGES = "EC2WindowsMessageDeliveryService"
DAILY = 400_000


@dataclass
class Caller:
    """Calls operations by hand, with the key of a node or none."""

    url: str
    instance_id: str = ""
    secret: str = ""
    numbers: itertools.count[int] = field(default_factory=itertools.count)

    def prepared(self, target, members, *, compressed=False, **more):
        """A signed request: headers and body."""
        body = members if isinstance(members, bytes) else json.dumps(members).encode()
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        headers = {"Host": urlsplit(self.url).netloc, "X-Amz-Target": target, "X-Amz-Date": moment}
        headers |= {"Content-Type": "application/x-amz-json-1.1", CALL_HEADER: secrets.token_hex(8), **more}
        if compressed:
            headers["Content-Encoding"] = "gzip"
        if self.secret:
            signer = Signer(self.instance_id, self.secret, "us-east-1")
            service = SERVICES.get(target.partition(".")[0], "ssm")
            headers["Authorization"] = signer.authorization(headers, body, service=service, moment=moment)
        return headers, body

    def send(self, headers, body):
        """Status, error code or members, headers of the answer; 0 where the connection ended without one."""
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
        try:
            connection.request("POST", "/", body=body, headers=headers)
            response = connection.getresponse()
            answer = json.loads(response.read() or b"{}")
        except (ConnectionError, http.client.HTTPException):
            return 0, "", {}
        finally:
            connection.close()
        return response.status, answer.get("__type", answer), dict(response.getheaders())

    def call(self, target, members, **more):
        """Status, and error code or members."""
        return self.send(*self.prepared(target, members, **more))[:2]

    def ask(self, target, members, **more):
        """The answer of a call that is to succeed."""
        status, answer = self.call(target, members, **more)
        assert status == 200, (target, answer)
        return answer

    def begin(self, command_id):
        """The id of the operation of a command."""
        body = {"CommandId": command_id, "StepName": "PatchLinux", "OperatingSystem": "DEBIAN", "Product": "Debian12"}
        return self.ask("Patchwright.BeginOperation", body)["OperationId"]

    def reply(self, command_id, status, *, reply_id, of=""):
        """SendReply: a request that is ready to be sent."""
        message = message_id(command_id, of or self.instance_id)
        payload = json.dumps({"documentStatus": status, "runtimeStatus": {}})
        return self.prepared(f"{MESSAGES}.SendReply", {"MessageId": message, "Payload": payload, "ReplyId": reply_id})

    def poll(self):
        """GetMessages."""
        body = {"Destination": self.instance_id, "MessagesRequestId": "1", "VisibilityTimeoutInSeconds": 10}
        return self.ask(f"{MESSAGES}.GetMessages", body)["Messages"]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server that keeps little of one node."""
    settings = {"PATCHWRIGHT_QUOTA_NODE_BYTES_PER_DAY": str(DAILY)}
    process = Process(tmp_path_factory.mktemp("hostile") / "data", "--listen", "127.0.0.1:0", **settings).ready()
    yield process
    process.end(signal.SIGKILL)


def enrolled(server):
    """A new node."""
    activation = server.client().create_activation(IamRole="node")
    members = {name: activation[name] for name in ("ActivationId", "ActivationCode")}
    answer = Caller(server.url).ask("Patchwright.Enroll", {**members, "EnrollmentToken": secrets.token_hex(24)})
    return Caller(server.url, answer["InstanceId"], answer["Secret"])


@pytest.fixture
def nodes(server):
    """One that means harm, and one that does not."""
    return enrolled(server), enrolled(server)


def scan(server, node):
    """The id of a command to scan."""
    answer = server.client().send_command(
        DocumentName="AWS-RunPatchBaseline",
        InstanceIds=[node.instance_id],
        Parameters={"Operation": ["Scan"], "RebootOption": ["NoReboot"]},
    )
    return answer["Command"]["CommandId"]


def status_of(server, node, command_id):
    return server.client().get_command_invocation(CommandId=command_id, InstanceId=node.instance_id)["Status"]


def facts(operation_id):
    return FactsMessage(operation_id, Phase.BEFORE, OUTDATED.facts).to_json()


def finish(server, node, command_id):
    """Carry out the scan and report it."""
    assert len(node.poll()) == 1
    operation_id = node.begin(command_id)
    answer = node.ask("Patchwright.PutFacts", facts(operation_id))
    if answer["Next"] == "send-bodies":
        bodies = bodies_of(OUTDATED)
        said = [{"Digest": digest, "Body": bodies[digest].decode()} for digest in answer["Missing"]]
        node.ask("Patchwright.PutBodies", {"OperationId": operation_id, "Bodies": said})
        node.ask("Patchwright.PutFacts", facts(operation_id))
    assert node.send(*node.reply(command_id, "Success", reply_id=secrets.token_hex(8)))[0] == 200
    assert status_of(server, node, command_id) == "Success"


def test_it_speaks_for_nobody_else(server, nodes):
    """Whatever names another node, its command or its operation is refused, and the other's run ends as it should."""
    bad, good = nodes
    command_id = scan(server, good)
    operation_id = good.begin(command_id)
    item = {"TypeName": "Custom:Mine", "SchemaVersion": "1.0", "CaptureTime": "2026-11-20T04:00:00Z", "Content": []}
    theirs = message_id(command_id, good.instance_id)
    summary = {"ExecutionTime": 1_795_147_200}
    attempts = [
        (
            "AmazonSSM.UpdateInstanceInformation",
            {"InstanceId": good.instance_id, "AgentName": "x", "AgentVersion": "1"},
        ),
        ("AmazonSSM.PutInventory", {"InstanceId": good.instance_id, "Items": [item]}),
        (
            "AmazonSSM.PutComplianceItems",
            {
                "ResourceId": good.instance_id,
                "ResourceType": "ManagedInstance",
                "ComplianceType": "Custom:Mine",
                "ExecutionSummary": summary,
                "Items": [],
            },
        ),
        (
            f"{MESSAGES}.GetMessages",
            {"Destination": good.instance_id, "MessagesRequestId": "1", "VisibilityTimeoutInSeconds": 10},
        ),
        (f"{MESSAGES}.AcknowledgeMessage", {"MessageId": theirs}),
        (f"{MESSAGES}.FailMessage", {"MessageId": theirs, "FailureType": "InternalHandlerException"}),
        (
            "Patchwright.BeginOperation",
            {"CommandId": command_id, "StepName": "PatchLinux", "OperatingSystem": "DEBIAN"},
        ),
        ("Patchwright.PutFacts", facts(operation_id)),
        (
            "Patchwright.PutBodies",
            {"OperationId": operation_id, "Bodies": [{"Digest": "set1:" + "0" * 64, "Body": "x"}]},
        ),
        (
            "Patchwright.PutResolution",
            {"OperationId": operation_id, "Attempt": 0, "Resolution": {"Actions": [], "Unresolved": {}}},
        ),
    ]
    for target, members in attempts:
        status, code = bad.call(target, members)
        assert status == 400, (target, code)
    for status in ("Failed", "Success", "Cancelled"):
        for of in ("", good.instance_id):
            assert bad.send(*bad.reply(command_id, status, reply_id=secrets.token_hex(8), of=of))[0] == 400
    finish(server, good, command_id)


def test_it_may_do_nothing_that_users_do(server, nodes):
    """No listing, no command, no key: it is told so, whatever it asks."""
    bad, good = nodes
    for target, members in (
        ("AmazonSSM.SendCommand", {"DocumentName": "AWS-RunPatchBaseline", "InstanceIds": [good.instance_id]}),
        ("AmazonSSM.DescribeInstanceInformation", {}),
        ("AmazonSSM.ListCommands", {}),
        ("AmazonSSM.CreateActivation", {"IamRole": "node"}),
        ("AmazonSSM.DeregisterManagedInstance", {"InstanceId": good.instance_id}),
        ("AmazonSSM.PutParameter", {"Name": "/a", "Value": "b", "Type": "String"}),
        ("Patchwright.GetVerdict", {"InstanceId": good.instance_id}),
        ("Patchwright.ListAccounts", {}),
        ("Patchwright.ListAuditEntries", {}),
    ):
        assert bad.call(target, members) == (400, "AccessDeniedException"), target
    assert bad.call("AmazonSSM.GetParameter", {"Name": "/a", "WithDecryption": True})[0] == 400


@pytest.mark.parametrize(
    ("body", "compressed", "statuses"),
    [
        (b"", False, {400}),
        (b"null", False, {400}),
        (b"[]", False, {400}),
        (b'{"OperationId":', False, {400}),
        (b"[" * 100_000, False, {400}),
        (b'{"OperationId":"\xff\xfe"}', False, {400}),
        (b'{"OperationId":"x","Bodies":[' + b'{"Digest":"d","Body":"b"},' * 50_000 + b"{}]}", False, {400}),
        (b"not gzip", True, {400}),
        (gzip.compress(b"{}") + b"rest", True, {400}),
        (gzip.compress(b'{"OperationId":"' + b"x" * 80_000_000), True, {413}),
        (gzip.compress(gzip.compress(b" " * 80_000_000)), True, {400}),
        (b"x" * (17 * 1024 * 1024), False, {413, 0}),
    ],
    ids=["nothing", "null", "list", "half", "deep", "no UTF-8", "many", "no gzip", "more", "bomb", "twice", "large"],
)
def test_bodies_that_are_none_are_refused(server, nodes, body, compressed, statuses):
    """Malformed, oversized, packed to burst: refused, and the next one is served."""
    bad, good = nodes
    status, _ = bad.call("Patchwright.PutBodies", body, compressed=compressed)
    assert status in statuses
    hello = {"InstanceId": good.instance_id, "AgentName": "amazon-ssm-agent", "AgentVersion": "1.0"}
    assert good.call("AmazonSSM.UpdateInstanceInformation", hello)[0] == 200


def test_a_flood_ends_in_its_own_throttling(server, nodes):
    """While one floods over eight connections, the other is served each time; the flood is told to wait."""
    bad, good = nodes
    codes: list[object] = []
    over = threading.Event()

    def flood():
        while not over.is_set():
            status, answer = bad.call("AmazonSSM.GetDocument", {"Name": "AWS-RunPatchBaseline"})
            codes.append(answer if status == 400 else status)

    threads = [threading.Thread(target=flood) for _ in range(8)]
    for thread in threads:
        thread.start()
    try:
        served, until = [], time.monotonic() + 60
        while time.monotonic() < until and (len(served) < 20 or "ThrottlingException" not in codes):
            served.append(good.call("AmazonSSM.GetDocument", {"Name": "AWS-RunPatchBaseline"})[0])
    finally:
        over.set()
        for thread in threads:
            thread.join(timeout=30)
    assert set(served) == {200}
    assert set(codes) <= {200, "ThrottlingException", "AccessDeniedException"}
    assert "ThrottlingException" in codes
    hello = {"InstanceId": bad.instance_id, "AgentName": "amazon-ssm-agent", "AgentVersion": "1.0"}
    assert bad.call("AmazonSSM.UpdateInstanceInformation", hello)[0] == 200  # delayed, never refused


def test_it_fills_no_disk(server, nodes):
    """Thousands of made-up bodies: what is kept of one node in a day is bounded, and the other's facts are taken."""
    bad, good = nodes
    operation_id = bad.begin(scan(server, bad))
    kept, code = 0, ""
    for number in range(2_000):
        digest, body = made_up(number)
        said = [{"Digest": digest, "Body": body.decode()}]
        status, code = bad.call("Patchwright.PutBodies", {"OperationId": operation_id, "Bodies": said})
        if status != 200:
            break
        kept += len(body)
    assert code == "ThrottlingException"
    assert kept <= DAILY * 1.1
    assert "ThrottlingException" in [bad.call("Patchwright.PutFacts", facts(operation_id))[1] for _ in range(9)]
    finish(server, good, scan(server, good))


def made_up(number):
    """A package set that nobody has, by its digest."""
    names = (f"made-up-{number:05}-{part:03}" for part in range(200))
    body = "".join(["set1\tapt\n", *(f"{name}\tamd64\t1.0-1\tinstalled\n" for name in names)]).encode()
    return f"set1:{hashlib.sha256(body).hexdigest()}", body


def test_replies_that_are_replayed_or_out_of_order_change_nothing(server, nodes):
    """A terminal state is final; a request that is sent again as it was is refused; the other's command stays as it is."""
    bad, good = nodes
    mine, theirs = scan(server, bad), scan(server, good)
    assert len(bad.poll()) == 1
    progress = bad.reply(mine, "InProgress", reply_id="r-1")
    final = bad.reply(mine, "Failed", reply_id="r-2")
    assert bad.send(*progress)[0] == 200
    assert bad.send(*final)[0] == 200
    assert [bad.send(*one)[:2] for one in (progress, final, final)] == [(400, "InvalidSignatureException")] * 3
    for status in ("InProgress", "Success", "Cancelled"):
        bad.send(*bad.reply(mine, status, reply_id=secrets.token_hex(8)))
        assert status_of(server, bad, mine) == "Failed"
    assert bad.send(*bad.reply(mine, "Failed", reply_id="r-2"))[0] == 200  # said again, signed anew: acknowledged
    assert status_of(server, good, theirs) == "Pending"
    finish(server, good, theirs)


def test_connections_that_say_nothing_keep_nobody_out(server, nodes):
    """Two hundred half requests stand open while the other is served."""
    _, good = nodes
    parts = urlsplit(server.url)
    with contextlib.ExitStack() as stack:
        for number in range(200):
            sock = stack.enter_context(socket.create_connection((parts.hostname, parts.port), timeout=10))
            sock.sendall(
                [b"", b"POST / HTTP/1.1\r\nHost: x\r\n", b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n"][number % 3]
            )
        finish(server, good, scan(server, good))


# --- stopping and starting -------------------------------------------------------------------------------------------


def test_a_restart_does_not_make_a_request_good_again(tmp_path):
    """Signatures that were used are known after an orderly stop; after a kill nothing from before is accepted."""
    for number, code in ((signal.SIGTERM, "InvalidSignatureException"), (signal.SIGKILL, "ThrottlingException")):
        directory = tmp_path / number.name
        port = free_port()
        server = Process(directory, "--listen", f"127.0.0.1:{port}").ready()
        node = enrolled(server)
        hello = {"InstanceId": node.instance_id, "AgentName": "amazon-ssm-agent", "AgentVersion": "1.0"}
        request = node.prepared("AmazonSSM.UpdateInstanceInformation", hello)
        assert node.send(*request)[0] == 200
        server.end(number)
        again = Process(directory, "--listen", f"127.0.0.1:{port}").ready()
        try:
            assert node.send(*request)[:2] == (400, code)
            deadline = time.monotonic() + 30
            while (status := node.call("AmazonSSM.UpdateInstanceInformation", hello)[0]) != 200:
                assert time.monotonic() < deadline, status  # what is signed in the second of the start is refused too
        finally:
            again.end(signal.SIGKILL)


def test_a_stop_under_load_loses_no_request_that_was_accepted(tmp_path):
    """Every change that was answered is there afterwards, and none that was sent was half done."""
    server = Process(tmp_path / "data", "--listen", "127.0.0.1:0").ready()
    client = server.client()
    told: list[str] = []

    def put(part):
        mine = server.client()
        for number in itertools.count():
            name = f"/load/{part}/{number}"
            try:
                mine.put_parameter(Name=name, Value="x", Type="String")
            except Exception:
                return
            told.append(name)

    threads = [threading.Thread(target=put, args=(part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    until = time.monotonic() + 30
    while len(told) < 40 and time.monotonic() < until:
        threads[0].join(timeout=0.05)
    assert server.end() == 0
    for thread in threads:
        thread.join(timeout=60)
    assert len(told) >= 40
    again = Process(tmp_path / "data", "--listen", "127.0.0.1:0").ready()
    try:
        client = again.client()
        pages = client.get_paginator("get_parameters_by_path").paginate(Path="/load", Recursive=True)
        assert set(told) <= {one["Name"] for page in pages for one in page["Parameters"]}
    finally:
        again.end(signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_the_server_at_once(tmp_path, number):
    """Though somebody is still sending a body."""
    server = Process(tmp_path / "data", "--listen", "127.0.0.1:0").ready()
    node = enrolled(server)
    headers, body = node.prepared("Patchwright.PutBodies", {"OperationId": "x", "Bodies": []})
    parts = urlsplit(server.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as sock:
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        sock.sendall(f"POST / HTTP/1.1\r\n{head}Content-Length: {len(body) + 9}\r\n\r\n".encode() + body[:3])
        assert Caller(server.url).call("AmazonSSM.ListDocuments", {})[0] == 400  # so the other request has been read
        server.process.send_signal(number)
        _wait_until_nobody_listens(parts.hostname, parts.port)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.process.wait(timeout=0.5)
        assert server.process.poll() is None
        since = time.monotonic()
        os.kill(server.process.pid, number)
        assert server.process.wait(timeout=30) == 0
        assert time.monotonic() - since < 15


def _wait_until_nobody_listens(host, port):
    deadline = time.monotonic() + 60
    with contextlib.suppress(ConnectionRefusedError, ConnectionResetError):  # reset, where it waited to be accepted
        while True:
            socket.create_connection((host, port), timeout=10).close()
            assert time.monotonic() < deadline
