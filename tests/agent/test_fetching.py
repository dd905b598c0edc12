# SPDX-License-Identifier: Apache-2.0
"""Files that a command names, fetched by the node."""

from __future__ import annotations

import ssl
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from agent.simulator import REGION, Simulator
from agent.test_resume import INSTALLS, crash_everywhere
from agent.test_transport import certificate
from patchwright.agent.client import Client
from patchwright.agent.clock import Clock
from patchwright.agent.config import Settings
from patchwright.agent.fetching import ATTEMPTS, FetchFailed, fetch, fetch_text
from patchwright.agent.transport import Server
from patchwright.core.signing import Signer

LIMIT = 100
LIST_PATH, LIST_URL = "/lists/web/list.yaml", "s3://lists/web/list.yaml"
LIST = b"patches:\n- id: zlib1g\n  title: zlib1g.amd64\n"


class Hasty(Clock):
    """Waits for nothing, and counts how often it was asked to."""

    def __init__(self):
        self.pauses = 0

    def sleep(self, seconds):
        self.pauses += 1


def client_of(simulator, *, pin="", signer=None):
    """A client of the simulator."""
    return Client(Server(simulator.url, pin), signer, settings=Settings(), clock=Clock())


@contextmanager
def web(tmp_path, monkeypatch, *answers):
    """A web server with TLS that the system trusts; it gives *answers* (status, headers, body) in turn, the last for ever."""
    left, asked = list(answers), []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            """Quiet."""

        def do_GET(self):
            asked.append((self.path, dict(self.headers)))
            status, headers, body = left.pop(0) if len(left) > 1 else left[0]
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    path, key, _ = certificate(tmp_path)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(str(path), str(key))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    try:
        yield f"https://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()


def test_an_object_is_fetched_through_the_server_with_the_nodes_own_signature(simulator):
    """By bucket and key, signed for s3; a session's token goes with it."""
    instance_id, secret = simulator.add_node()
    simulator.served[LIST_PATH] = [(200, LIST)]
    client = client_of(simulator, signer=Signer(instance_id, secret, REGION))

    assert fetch_text(client, LIST_URL, limit=LIMIT, clock=Hasty()) == LIST.decode()
    with pytest.raises(FetchFailed, match=r"s3://lists/none .*404.*NoSuchKey"):
        fetch(client, "s3://lists/none", limit=LIMIT, clock=Hasty())


def test_a_file_of_the_server_itself_is_fetched_by_its_pin(tmp_path):
    """The node knows its server by a pin: a certificate that no authority signed is no obstacle there."""
    path, key, pin = certificate(tmp_path)
    simulator = Simulator(certificate=(path, key))
    try:
        simulator.served["/list?x=1"] = [(200, LIST)]
        found = fetch(client_of(simulator, pin=pin), f"{simulator.url}/list?x=1", limit=LIMIT, clock=Hasty())
    finally:
        simulator.close()
    assert found == LIST


def test_a_file_of_the_web_is_fetched_by_the_systems_authorities(simulator, tmp_path, monkeypatch):
    """Unsigned: nobody else learns who the node is. A redirection within https:// is followed."""
    with web(tmp_path, monkeypatch, (302, {"Location": "/there"}, b""), (200, {}, LIST)) as (url, asked):
        found = fetch(client_of(simulator), f"{url}/list?signature=x", limit=LIMIT, clock=Hasty())
    assert found == LIST
    assert [path for path, _ in asked] == ["/list?signature=x", "/there"]
    assert not [name for _, headers in asked for name in headers if name.lower().startswith(("authorization", "x-amz"))]


def test_who_is_away_is_asked_again_a_few_times(simulator, tmp_path, monkeypatch):
    """With pauses; then it is said, and the query, which may hold a signature, is not."""
    clock = Hasty()
    with web(tmp_path, monkeypatch, (503, {}, b""), (503, {}, b""), (200, {}, LIST)) as (url, _):
        assert fetch(client_of(simulator), f"{url}/list", limit=LIMIT, clock=clock) == LIST
    assert clock.pauses == 2
    with pytest.raises(FetchFailed, match=r"https://127\.0\.0\.1:1/list cannot be fetched: .*refused") as caught:
        fetch(client_of(simulator), "https://127.0.0.1:1/list?signature=secret", limit=LIMIT, clock=clock)
    assert clock.pauses == 2 + ATTEMPTS - 1
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        ((404, {}, b""), "answered 404"),
        ((403, {}, b""), "answered 403"),
        ((200, {}, b"x" * (LIMIT + 1)), f"more than {LIMIT} bytes"),
        ((302, {"Location": "http://127.0.0.1/list"}, b""), "leads away from https://"),
        ((302, {"Location": "file:///etc/passwd"}, b""), "302|leads away"),
    ],
)
def test_what_cannot_be_had_is_said_at_once(simulator, tmp_path, monkeypatch, answer, complaint):
    """Nothing but https:// is followed, nothing larger than the limit is read."""
    clock = Hasty()
    with web(tmp_path, monkeypatch, answer) as (url, _), pytest.raises(FetchFailed, match=complaint):
        fetch(client_of(simulator), f"{url}/list", limit=LIMIT, clock=clock)
    assert clock.pauses == 0


def test_an_unknown_certificate_is_not_believed(simulator, tmp_path, monkeypatch):
    """Nor is plain HTTP, or a file."""
    with web(tmp_path, monkeypatch, (200, {}, LIST)) as (url, asked):
        monkeypatch.delenv("SSL_CERT_FILE")
        with pytest.raises(FetchFailed, match=r"(?i)certificate"):
            fetch(client_of(simulator), f"{url}/list", limit=LIMIT, clock=Hasty())
    assert asked == []
    for other in (simulator.url + "/list", "file:///etc/passwd"):
        with pytest.raises(FetchFailed, match="is fetched from https://… or s3://…"):
            fetch(client_of(simulator), other, limit=LIMIT, clock=Hasty())


def test_what_is_no_text_is_refused(simulator):
    """A file in another encoding than UTF-8; a byte order mark is passed over."""
    simulator.served["/lists/a"] = [(200, b"\xff\xfe")]
    simulator.served["/lists/b"] = [(200, b"\xef\xbb\xbfpatches")]
    client = client_of(simulator)
    with pytest.raises(FetchFailed, match="no text in UTF-8"):
        fetch_text(client, "s3://lists/a", limit=LIMIT, clock=Hasty())
    assert fetch_text(client, "s3://lists/b", limit=LIMIT, clock=Hasty()) == "patches"


def test_a_run_fetches_what_the_server_names_and_sends_it_first(stage):
    """Before any facts; the repositories that the answer names are used, and a crash in between does no harm."""
    stage.simulator.files = {"InstallOverrideList": LIST_URL}
    stage.simulator.served[LIST_PATH] = [(503, b""), (200, LIST)]
    stage.simulator.losing["PutOverrides"] = 1
    command = stage.send("Install", reboot="NoReboot")

    stage.once()
    assert stage.simulator.final(command)["documentStatus"] == "Success"
    (operation,) = stage.simulator.operations.values()
    assert operation.files == {"InstallOverrideList": LIST.decode()}
    names = [name for name, _ in stage.simulator.calls if name in {"BeginOperation", "GET", "PutOverrides", "PutFacts"}]
    assert names[:5] == ["BeginOperation", "GET", "GET", "PutOverrides", "PutOverrides"]
    assert set(names[5:]) == {"PutFacts"}


@pytest.mark.slow
def test_a_run_that_fetches_dies_at_every_transition(tmp_path, simulator, zygote):
    """Fetched again, sent again, and counted once: what was sent first is what the run is about."""
    simulator.files = {"InstallOverrideList": LIST_URL}
    simulator.served[LIST_PATH] = [(200, LIST)]
    seen = 0
    for stage, command, where in crash_everywhere(tmp_path, simulator, zygote, role="work", operation="Install"):
        assert simulator.final(command)["documentStatus"] == "Success", where
        assert [line for line in stage.history if line in INSTALLS] == INSTALLS, where
        (operation,) = (one for one in simulator.operations.values() if one.command_id == command)
        assert operation.files == {"InstallOverrideList": LIST.decode()}, where
        seen += 1
    assert seen > 30


def test_a_run_whose_file_cannot_be_had_fails_and_changes_nothing(stage):
    """With the file's name and the reason."""
    stage.simulator.files = {"InstallOverrideList": LIST_URL}
    command = stage.send("Install", reboot="NoReboot")

    stage.once()
    final = stage.simulator.final(command)
    assert final["documentStatus"] == "Failed"
    assert (
        "the InstallOverrideList cannot be used: s3://lists/web/list.yaml"
        in final["runtimeStatus"]["Patch"]["standardError"]
    )
    assert "install begins" not in stage.history
