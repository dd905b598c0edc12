# SPDX-License-Identifier: Apache-2.0
"""`patchwright server` as a process: how it starts, what it refuses, what it keeps (design §5, D11)."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import datetime
import hashlib
import http.client
import json
import queue
import signal
import socket
import ssl
import stat
import subprocess
import sys
import threading
import time
from urllib.parse import urlsplit

import pytest
import structlog
from botocore.exceptions import ClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import patchwright
from patchwright.server import serving
from patchwright.server.infra import Unavailable
from patchwright.server.wire import Credential
from server.gateway.house import build
from server.process import Process
from server.wire.client import call, signed


@pytest.fixture
def start(tmp_path):
    """Start servers that end with the test."""
    with contextlib.ExitStack() as stack:

        def begin(*words, directory="data", listen="127.0.0.1:0", **environment):
            process = Process(tmp_path / directory, "--listen", listen, *words, **environment)
            stack.callback(process.end, signal.SIGKILL)
            return process

        yield begin


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """A server that several tests look at."""
    server = Process(tmp_path_factory.mktemp("running") / "data", "--listen", "127.0.0.1:0").ready()
    yield server
    server.end(signal.SIGKILL)


@pytest.fixture
def refuse(tmp_path, monkeypatch, capsys):
    """`patchwright server` in this process, which is to refuse; gives exit code and what it said."""

    def run(*words, **environment):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        try:
            code = serving.main(["--data-dir", str(tmp_path / "data"), "--listen", "127.0.0.1:0", *words])
        except SystemExit as stop:  # argparse
            code = stop.code
        return code, capsys.readouterr().err

    yield run
    structlog.reset_defaults()


def get(url, path, *, method="GET", context=None):
    """Status, headers and body of a plain request."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    more = {"context": context} if context else {}
    connection = kind(parts.hostname, parts.port, timeout=30, **more)
    connection.request(method, path)
    response = connection.getresponse()
    found = response.status, dict(response.getheaders()), response.read()
    connection.close()
    return found


def test_the_first_start_needs_nothing_and_says_what_to_do(start):
    """Credentials that boto3 reads, for the owner only; ready when it says so; ends well on SIGTERM."""
    server = start().ready()

    assert server.url.startswith("http://127.0.0.1:")
    assert get(server.url, "/healthz")[::2] == (200, b"ok\n")
    credentials = server.data / "credentials"
    assert stat.S_IMODE(credentials.stat().st_mode) == 0o600
    assert stat.S_IMODE(server.data.stat().st_mode) == 0o700
    assert stat.S_IMODE((server.data / "master.key").stat().st_mode) == 0o600
    text = credentials.read_text()
    assert text.splitlines()[0] == "[default]"
    assert "region = us-east-1" in text
    client = server.client()
    assert (
        len(client.describe_patch_baselines(Filters=[{"Key": "OWNER", "Values": ["AWS"]}])["BaselineIdentities"]) == 17
    )
    with pytest.raises(ClientError):
        client.get_patch_baseline(BaselineId="pb-00000000000000000")

    assert server.end() == 0
    said = server.rest()
    assert str(credentials) in said
    secret = text.partition("aws_secret_access_key = ")[2].splitlines()[0]
    assert secret not in said + server.errors.read_text()
    lines = [line for line in server.log() if line["event"] == "call"]
    assert [line["error"] for line in lines] == [None, "DoesNotExistException"]
    assert all(line["request_id"] and line["level"] for line in lines)


def test_beside_the_api_there_are_health_metrics_and_the_agent(running, tmp_path):
    """Everything else is not found, in the shape of the API."""
    server = running
    status, headers, body = get(server.url, "/metrics")
    assert (status, b"python_info" in body) == (200, True)
    assert headers["content-type"].startswith("text/plain")
    status, _, body = get(server.url, "/agent/install.sh")
    assert (status, f"server='{server.url}'".encode() in body) == (200, True)
    status, _, body = get(server.url, "/agent/patchwright-agent.pyz")
    (tmp_path / "agent.pyz").write_bytes(body)
    words = [sys.executable, "-I", str(tmp_path / "agent.pyz"), "version"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    assert patchwright.__version__ in done.stdout
    assert get(server.url, "/healthz", method="HEAD")[0] == 200
    for path in ("/nothing", "/agent/", "/healthz/", "/console/"):
        status, _, body = get(server.url, path)
        assert (status, json.loads(body)["__type"]) == (404, "NotFoundException")


@pytest.mark.parametrize("engine", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_a_killed_server_keeps_everything(start, engine, request):
    """kill -9, start again on the same data: the same key, the same baselines, nodes that still sign, commands that wait."""
    words = [] if engine == "sqlite" else ["--database", request.getfixturevalue("postgres_url")]
    server = start(*words).ready()
    client = server.client()
    baseline = client.create_patch_baseline(Name="web", OperatingSystem="DEBIAN")["BaselineId"]
    node = enrol(server)
    sent = client.send_command(
        DocumentName="AWS-RunPatchBaseline", InstanceIds=[node[0]], Parameters={"Operation": ["Scan"]}
    )
    written = (server.data / "credentials").read_text()

    server.end(signal.SIGKILL)
    again = start(*words).ready()

    assert (again.data / "credentials").read_text() == written
    client = again.client()
    assert client.get_patch_baseline(BaselineId=baseline)["Name"] == "web"
    (found,) = client.list_command_invocations()["CommandInvocations"]
    assert (found["CommandId"], found["Status"]) == (sent["Command"]["CommandId"], "Pending")
    body = {"Destination": node[0], "MessagesRequestId": "1", "VisibilityTimeoutInSeconds": 10}
    answer = post(again.url, "EC2WindowsMessageDeliveryService.GetMessages", body, node)
    assert len(answer["Messages"]) == 1


def enrol(server):
    """A node, and what it signs with."""
    activation = server.client().create_activation(IamRole="node")
    activation.pop("ResponseMetadata")
    found = post(server.url, "Patchwright.Enroll", {**activation, "EnrollmentToken": "t" * 32}, None)
    return found["InstanceId"], found["Secret"]


def test_a_given_root_key_and_account_are_taken(start, refuse):
    """From the environment, never from the command line."""
    server = start(
        PATCHWRIGHT_ROOT_ACCESS_KEY_ID="AKIAGIVEN",
        PATCHWRIGHT_ROOT_SECRET_ACCESS_KEY="given-secret",
        PATCHWRIGHT_ACCOUNT_ID="123456789012",
        PATCHWRIGHT_REGION="eu-west-1",
    ).ready()

    text = (server.data / "credentials").read_text()
    assert "aws_access_key_id = AKIAGIVEN\naws_secret_access_key = given-secret\nregion = eu-west-1\n" in text
    assert server.client().describe_instance_information()["InstanceInformationList"] == []
    server.end()
    assert [line["account"] for line in server.log() if line["event"] == "call"] == ["123456789012"]

    code, message = refuse(
        PATCHWRIGHT_ROOT_ACCESS_KEY_ID="AKIAGIVEN",
        PATCHWRIGHT_ROOT_SECRET_ACCESS_KEY="given-secret",
        PATCHWRIGHT_ACCOUNT_ID="000000000002",
    )
    assert (code, "AKIAGIVEN belongs to another account" in message) == (1, True)


def fetched_pin(url):
    """The hash of the certificate that a server shows."""
    parts = urlsplit(url)
    der = ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate(("127.0.0.1", parts.port)))
    return "sha256:" + hashlib.sha256(der).hexdigest()


def test_off_loopback_there_is_tls_with_a_pin_that_stays(start):
    """Self-signed, printed, the hash of the certificate itself, and the same after a restart (design D11)."""
    server = start(listen="0.0.0.0:0").ready()
    port = urlsplit(server.url).port
    assert server.url.startswith("https://")

    pin = fetched_pin(server.url)
    context = ssl.create_default_context(cafile=str(server.data / "tls.crt"))
    assert get(f"https://127.0.0.1:{port}", "/healthz", context=context)[0] == 200
    assert get(f"https://localhost:{port}", "/healthz", context=context)[0] == 200
    with pytest.raises(OSError):
        get(f"http://127.0.0.1:{port}", "/healthz")
    assert stat.S_IMODE((server.data / "tls.key").stat().st_mode) == 0o600
    server.end()
    told = server.rest()
    assert f"--pin {pin}" in told
    public = x509.load_pem_x509_certificate((server.data / "tls.crt").read_bytes()).public_key()
    key = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert f"--pinnedpubkey 'sha256//{base64.b64encode(hashlib.sha256(key).digest()).decode()}'" in told
    assert [line["pin"] for line in server.log() if line["event"] == "serving"] == [pin]

    again = start(listen="0.0.0.0:0").ready()
    assert fetched_pin(again.url) == pin


def test_plain_http_off_loopback_has_to_be_asked_for(start):
    """For test networks."""
    server = start("--insecure-http", listen="0.0.0.0:0").ready()

    assert server.url.startswith("http://")
    assert get(f"http://127.0.0.1:{urlsplit(server.url).port}", "/healthz")[0] == 200
    server.end()
    assert "--pin" not in server.rest()


def make_certificate(directory):
    """A certificate for localhost, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "given")])
    now = datetime.datetime.fromtimestamp(time.time(), datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (directory / "given.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (directory / "given.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return directory / "given.crt", directory / "given.key"


def test_a_given_certificate_is_served(start, tmp_path):
    """On loopback too; nothing is made beside it."""
    chain, key = make_certificate(tmp_path)
    server = start("--tls-cert", str(chain), "--tls-key", str(key)).ready()

    der = ssl.PEM_cert_to_DER_cert(chain.read_text())
    assert fetched_pin(server.url) == "sha256:" + hashlib.sha256(der).hexdigest()
    assert not (server.data / "tls.crt").exists()


@pytest.mark.parametrize(
    ("words", "environment", "code", "message"),
    [
        (["--roles", "api"], {}, 2, "one process takes all roles"),
        (["--listen", "8473"], {}, 2, "HOST:PORT"),
        (["--no-such-option"], {}, 2, "unrecognized arguments"),
        (["--tls-cert", "x"], {}, 2, "go together"),
        (["--tls-cert", "/nonexistent", "--tls-key", "/nonexistent"], {}, 1, "cannot be used"),
        (["--database", "mysql://x"], {}, 2, "postgresql"),
        (["--database", "postgresql://x@127.0.0.1:1/x"], {}, 1, "PostgreSQL cannot be used now"),
        (["--public-url", "https://x/y"], {}, 2, "--public-url"),
        ([], {"PATCHWRIGHT_ACCOUNT_ID": "1"}, 2, "12 digits"),
        ([], {"PATCHWRIGHT_ROOT_ACCESS_KEY_ID": "x"}, 2, "go together"),
        (["--listen", "192.0.2.1:8473"], {}, 1, "cannot listen on 192.0.2.1:8473"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_start_that_cannot_work_says_why_and_ends(refuse, words, environment, code, message):
    """2 for settings, 1 for the rest; never a traceback."""
    found, text = refuse(*words, **environment)

    assert (found, message in text) == (code, True), text


def test_a_port_that_is_taken_and_a_directory_that_is_served_are_said_so(running, refuse):
    """And the server that was there first goes on."""
    port = urlsplit(running.url).port

    code, message = refuse("--listen", f"127.0.0.1:{port}")
    assert (code, f"cannot listen on 127.0.0.1:{port}" in message, "--listen" in message) == (1, True, True)
    code, message = refuse("--data-dir", str(running.data))
    assert (code, f"another server serves {running.data}" in message) == (1, True)
    assert get(running.url, "/healthz")[0] == 200


async def test_a_damaged_or_foreign_master_key_stops_the_start(refuse, sqlite_url, tmp_path):
    """With what to restore, and without touching anything."""
    (tmp_path / "data").mkdir()
    await (await build(tmp_path / "data", sqlite_url, "000000000001")).close()
    key = tmp_path / "data" / "master.key"
    for content, message in ((b"short", "32 bytes"), (b"x" * 32, "another master key")):
        key.write_bytes(content)
        code, text = await asyncio.to_thread(refuse, "--database", sqlite_url)
        assert (code, message in text) == (1, True), text
        assert key.read_bytes() == content


def test_sigterm_waits_for_who_is_being_answered_and_a_poll_is_not_cut_off(start):
    """The long poll ends as it would have; then the server does."""
    server = start().ready()
    node = enrol(server)
    body = {"Destination": node[0], "MessagesRequestId": "1", "VisibilityTimeoutInSeconds": 10}
    answers: queue.SimpleQueue[object] = queue.SimpleQueue()
    poll = threading.Thread(
        target=lambda: answers.put(post(server.url, "EC2WindowsMessageDeliveryService.GetMessages", body, node))
    )
    poll.start()
    assert answers.empty()
    server.client().send_command(
        DocumentName="AWS-RunPatchBaseline", InstanceIds=[node[0]], Parameters={"Operation": ["Scan"]}
    )

    assert len(answers.get(timeout=20)["Messages"]) == 1
    poll.join(timeout=20)
    assert server.end() == 0


def post(url, target, body, node):
    """The answer to a signed call of a node, over the network."""
    from patchwright.server.wire import Credential
    from server.wire.client import NODE_KEY

    key = Credential(node[0], node[1], "", "", kind="node") if node else NODE_KEY
    headers, sent = signed(target, body, key=key, at=time.time())
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
    connection.request("POST", "/", body=sent, headers=headers)
    response = connection.getresponse()
    found = json.loads(response.read())
    connection.close()
    assert response.status == 200, found
    return found


# --- in this process -------------------------------------------------------------------------------------------------


async def test_health_says_when_the_database_is_gone(sqlite_url, tmp_path, monkeypatch):
    """503, for whoever sends requests here; why is the operator's business, and in the log."""
    house = await build(tmp_path, sqlite_url, "000000000001")
    healthy = await call(house.wired.application, {}, path="/healthz", method="GET")

    async def gone(*_arguments, **_more):
        msg = "connection refused"
        raise Unavailable(msg)

    monkeypatch.setattr(house.wired.database, "read", gone)
    ill = await call(house.wired.application, {}, path="/healthz", method="GET")
    await house.close()

    assert (healthy.status, healthy.body) == (200, b"ok\n")
    assert (ill.status, b"the server's log says why" in ill.body, b"refused" in ill.body) == (503, True, False)


@pytest.mark.postgres
async def test_a_process_serves_what_its_roles_say(postgres_url, tmp_path):
    """On PostgreSQL: users are answered by `api`, nodes by `gateway`; the other process's operations are not served here."""
    whole = await build(tmp_path, postgres_url, "000000000001")
    node = await whole.enrol()
    calls = {
        "api": ("AmazonSSM.DescribeInstanceInformation", {}, None),
        "gateway": ("AmazonSSM.UpdateInstanceInformation", {"InstanceId": node.instance_id}, node),
    }
    for role in calls:
        house = await build(tmp_path, postgres_url, "000000000001", roles=role)
        for name, (target, body, key) in calls.items():
            answer = await house.call(target, body, key=key)
            assert (answer.status == 200) == (name == role), answer.body
            assert answer.status == 200 or answer.code == "UnsupportedOperationException"
        await house.close()
    await whole.close()


async def test_only_what_is_spoken_here_is_answered(sqlite_url, tmp_path):
    """HTTP and WebSockets; nothing else that an ASGI server might offer."""
    house = await build(tmp_path, sqlite_url, "000000000001")
    with pytest.raises(NotImplementedError):
        await house.wired.application({"type": "lifespan"}, None, None)
    await house.close()


def test_a_loopback_address_is_not_reachable_from_elsewhere(running):
    """127.0.0.1 alone: another address of this machine is refused."""
    port = urlsplit(running.url).port

    with pytest.raises(OSError), socket.create_connection(("127.0.0.2", port), timeout=5):
        pass


def test_a_log_line_is_told_whatever_it_holds_and_no_secret():
    """A file name that is no UTF-8 does not lose the line, and a record shows no more than its representation."""
    line = serving._log_line(
        {"event": "x", "path": "/\udc80", "key": Credential("AK", "hush", "1", "p"), "seconds": 0.5}
    )

    assert b"hush" not in line
    assert json.loads(line) == {
        "event": "x",
        "path": "/\udc80",
        "key": repr(Credential("AK", "", "1", "p")),
        "seconds": 0.5,
    }
