# SPDX-License-Identifier: Apache-2.0
"""Who the agent talks to: pins, authorities, plain HTTP; and HTTP as servers and proxies speak it."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import ipaddress
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from agent.simulator import Simulator
from patchwright.agent import connection
from patchwright.agent.transport import BadServer, Server, Transport, TransportFailed


def certificate(directory: Path, *, address: str = "127.0.0.1") -> tuple[Path, Path, str]:
    """A self-signed certificate: its file, its key's file, and its pin."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "patchwright test")])
    begin = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + datetime.timedelta(days=36500))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = directory / "certificate.pem", directory / "key.pem"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return *paths, "sha256:" + hashlib.sha256(made.public_bytes(serialization.Encoding.DER)).hexdigest()


@pytest.fixture
def secured(tmp_path) -> Iterator[tuple[Simulator, Path, str]]:
    """A server with TLS, its certificate's file and pin."""
    path, key, pin = certificate(tmp_path)
    simulator = Simulator(certificate=(path, key))
    yield simulator, path, pin
    simulator.close()


def status(server: Server) -> int:
    """The status of an unsigned request: 400 where the server was reached."""
    transport = Transport(server, connect_seconds=30)
    try:
        return transport.post({"X-Amz-Target": "AmazonSSM.Nothing"}, b"{}", timeout=30).status
    finally:
        transport.close()


def test_the_pinned_certificate_is_enough(secured):
    """The pin alone verifies the server: no authority, no name, no date is asked for."""
    simulator, _, pin = secured

    assert status(Server(simulator.url, pin=pin)) == 400


def test_another_certificate_gets_nothing(secured):
    """A wrong pin: the connection ends before a byte of a request, and the message names both pins."""
    simulator, _, pin = secured
    wrong = "sha256:" + "0" * 64

    with pytest.raises(TransportFailed) as failure:
        status(Server(simulator.url, pin=wrong))
    assert pin in str(failure.value)
    assert wrong in str(failure.value)
    assert simulator.raw == []


def test_a_given_authority_verifies(secured):
    """The file given with --ca is believed."""
    simulator, path, _ = secured

    assert status(Server(simulator.url, ca=str(path))) == 400


def test_the_name_is_verified_with_an_authority(tmp_path):
    """A certificate of the right authority for another address is refused."""
    path, key, _ = certificate(tmp_path, address="192.0.2.1")
    simulator = Simulator(certificate=(path, key))
    try:
        with pytest.raises(TransportFailed, match="certificate verify failed"):
            status(Server(simulator.url, ca=str(path)))
    finally:
        simulator.close()
    assert simulator.raw == []


def test_an_unknown_authority_is_refused(secured):
    """Without pin and authority the system's authorities decide, and they do not know this one."""
    simulator, _, _ = secured

    with pytest.raises(TransportFailed, match="certificate verify failed"):
        status(Server(simulator.url))
    assert simulator.raw == []


@pytest.mark.parametrize(
    ("server", "complaint"),
    [
        (Server("http://patch.example:8473"), "plain HTTP"),
        (Server("http://localhost.example"), "plain HTTP"),
        (Server("http://127.0.0.1.example"), "plain HTTP"),
        (Server("http://127.0.0.1", pin="sha256:" + "0" * 64), "needs https"),
        (Server("https://a", pin="sha256:abc"), "64 hexadecimal"),
        (Server("https://a", pin="sha256:" + "0" * 64, ca="/x"), "exclude"),
        (Server("https://a/path"), "no server URL"),
        (Server("https://user:password@a"), "no server URL"),
        (Server("https://a:0"), "no server URL"),
        (Server("https://a:65536"), "no server URL"),
        (Server("ftp://a"), "no server URL"),
        (Server("https://a\r\nX: y"), "no server URL"),
    ],
)
def test_a_server_that_is_not_safe_to_use_is_refused(server, complaint):
    """Plain HTTP to another machine, a pin that is none, a URL with more than a place."""
    with pytest.raises(BadServer, match=complaint):
        server.checked()


@pytest.mark.parametrize(
    ("url", "address", "host"),
    [
        ("https://patch.example", ("patch.example", 443), "patch.example"),
        ("https://patch.example:443/", ("patch.example", 443), "patch.example"),
        ("https://patch.example:8473", ("patch.example", 8473), "patch.example:8473"),
        ("https://[2001:db8::1]:8473", ("2001:db8::1", 8473), "[2001:db8::1]:8473"),
        ("http://127.0.0.1:80", ("127.0.0.1", 80), "127.0.0.1"),
        ("http://[::1]:1", ("::1", 1), "[::1]:1"),
    ],
)
def test_the_url_says_where(url, address, host):
    """Host and port, with the scheme's own port left out of the Host header as signatures want it."""
    server = Server(url).checked()

    assert (server.address, server.host_header) == (address, host)


def test_a_missing_authority_file_is_named():
    """--ca with a file that is not there."""
    with pytest.raises(BadServer, match=r"/nowhere/ca\.pem"):
        Transport(Server("https://a", ca="/nowhere/ca.pem"), connect_seconds=1)


@contextmanager
def canned(*answers: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """A server that sends one prepared answer a connection, and what it was sent."""
    listener = socket.create_server(("127.0.0.1", 0))
    seen: list[bytes] = []

    def serve() -> None:
        # A test may end before every answer was asked for: the listener is closed under the call that waits.
        with contextlib.suppress(OSError):
            for answer in answers:
                connection, _ = listener.accept()
                with connection:
                    seen.append(connection.recv(65536))
                    connection.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}", seen
    listener.close()


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", b"{}"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1;a=b\r\n}\r\n0\r\nX: y\r\n\r\n", b"{}"),
        (b"HTTP/1.1 200 OK\r\n\r\n{}", b"{}"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", b"{}"),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\n{}", b"{}"),
    ],
)
def test_answers_in_every_form_are_read(answer, body):
    """By length, in chunks, to the end of the connection, after an interim answer."""
    with canned(answer) as (url, _):
        response = Transport(Server(url), connect_seconds=30).post({}, b"", timeout=30)

    assert (response.status, response.body) == (200, body)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7fffffff\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70000 + b"\r\n\r\n",
    ],
)
def test_what_is_no_answer_is_a_failure(answer):
    """Nothing, another protocol, cut short, larger than any answer of ours: TransportFailed, never a hang or a crash."""
    with canned(answer, answer) as (url, _), pytest.raises(TransportFailed):
        Transport(Server(url), connect_seconds=30).post({}, b"", timeout=30)


def test_a_kept_connection_that_was_closed_is_opened_anew():
    """The server closed the connection meanwhile: the request goes out again on a new one."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    with canned(answer, answer) as (url, seen):
        transport = Transport(Server(url), connect_seconds=30)
        assert transport.post({}, b"one", timeout=30).status == 200
        assert transport.post({}, b"two", timeout=30).status == 200

    assert [text.rpartition(b"\r\n\r\n")[2] for text in seen] == [b"one", b"two"]


def test_an_address_of_a_kind_the_kernel_does_not_know_is_passed_over(monkeypatch):
    """A name with an IPv6 address on a node that was started without IPv6."""
    listener = socket.create_server(("127.0.0.1", 0))
    address = listener.getsockname()
    found = [(family, socket.SOCK_STREAM, 0, "", address) for family in (4000, socket.AF_INET)]
    monkeypatch.setattr(connection._socket, "getaddrinfo", lambda *_: found)

    with listener:
        connection._connected("patch.example", address[1], 5.0).close()


def test_silence_ends():
    """A server that accepts and says nothing does not hold the agent for ever."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(TransportFailed, match="timed out"):
            Transport(Server(url), connect_seconds=30).post({}, b"", timeout=0.05)
