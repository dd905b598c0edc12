# SPDX-License-Identifier: Apache-2.0
"""What a machine downloads before it is a node: the agent in one file, and the script that installs it."""

from __future__ import annotations

import datetime
import functools
import hashlib
import http.server
import ssl
import subprocess
import sys
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import patchwright
from patchwright.server.gateway import Downloads

AGENT, SCRIPT = "/agent/patchwright-agent.pyz", "/agent/install.sh"


async def get(downloads, path, *, host="", method="GET"):
    """Status, headers and body of a request."""
    sent = []

    async def send(message):
        sent.append(message)

    headers = [(b"host", host.encode("latin-1"))] if host else []
    await downloads({"path": path, "method": method, "headers": headers}, send)
    names = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], names, sent[1]["body"]


def server_of(script):
    """The server that an install.sh names."""
    (line,) = [line for line in script.decode().splitlines() if line.startswith("server=")]
    return line


@pytest.fixture(scope="module")
def downloads():
    """What a server under one fixed URL offers."""
    return Downloads("https://patchwright.example.org:8473")


async def test_the_agent_runs_as_it_is_downloaded(downloads, tmp_path):
    """One file, on nothing but Python."""
    status, headers, body = await get(downloads, AGENT)
    path = tmp_path / "agent.pyz"
    path.write_bytes(body)

    done = subprocess.run(
        [sys.executable, "-I", str(path), "version"], capture_output=True, text=True, timeout=60, check=False
    )

    assert (status, headers["content-type"], int(headers["content-length"])) == (
        200,
        "application/octet-stream",
        len(body),
    )
    assert (done.returncode, patchwright.__version__ in done.stdout) == (0, True), done.stderr
    assert downloads.agent_digest == hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize("shell", ["sh", "dash", "bash"])
async def test_the_script_is_a_shell_script(downloads, tmp_path, shell):
    """Every POSIX shell reads it to its end."""
    _, headers, body = await get(downloads, SCRIPT)
    path = tmp_path / "install.sh"
    path.write_bytes(body)

    done = subprocess.run([shell, "-n", str(path)], capture_output=True, text=True, timeout=30, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert headers["content-type"].startswith("text/x-shellscript")
    assert server_of(body) == "server='https://patchwright.example.org:8473'"
    assert b"@SERVER@" not in body


@pytest.fixture
def tls_server(tmp_path):
    """URL and pin of a server that shows a certificate which an authority has signed, and serves one file."""
    chain, key = tmp_path / "leaf.crt", tmp_path / "leaf.key"
    leaf = signed_by_an_authority(chain, key)
    (tmp_path / "agent").mkdir()
    (tmp_path / "agent" / "patchwright-agent.pyz").write_bytes(b"the agent")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"https://127.0.0.1:{server.server_port}", f"sha256:{leaf.fingerprint(hashes.SHA256()).hex()}"
        server.shutdown()
        thread.join()


def signed_by_an_authority(chain, key):
    """Write a certificate that is not self-signed, with its key, and return it."""
    authority, private = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    name = functools.partial(x509.NameAttribute, NameOID.COMMON_NAME)
    leaf = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([name("patchwright")]))
        .issuer_name(x509.Name([name("authority")]))
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC))
        .not_valid_after(datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC))
        .sign(authority, hashes.SHA256())
    )
    chain.write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    key.write_bytes(private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    return leaf


@pytest.mark.parametrize("right", [True, False])
async def test_the_script_downloads_from_whoever_shows_the_pinned_certificate(downloads, tls_server, tmp_path, right):
    """Whoever has signed that certificate; from nobody else."""
    url, pin = tls_server
    fetch = (await get(downloads, SCRIPT))[2].decode().partition("<<'PYTHON'\n")[2].partition("\nPYTHON\n")[0]
    target = tmp_path / "fetched"

    done = subprocess.run(
        [sys.executable, "-", url + AGENT, str(target), "--pin", pin if right else "sha256:" + "0" * 64],
        input=fetch,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode == 0, target.exists()) == (right, right), done.stderr
    assert not right or target.read_bytes() == b"the agent"


async def test_a_head_request_gets_the_length_alone(downloads):
    """As a client asks before it downloads."""
    for path in (AGENT, SCRIPT):
        _, headers, body = await get(downloads, path, method="HEAD")
        assert body == b""
        assert int(headers["content-length"]) == len((await get(downloads, path))[2])


def test_nothing_else_is_served(downloads):
    """The path is compared, never opened."""
    for path in ("/agent/", "/agent/../config.py", "/agent/install.sh/", "/agent/INSTALL.SH"):
        assert not downloads.serves(path)


async def test_a_server_without_public_url_names_the_host_that_was_asked():
    """Listening everywhere, it does not know under which name it is reached."""
    everywhere = Downloads("https://0.0.0.0:8473", by_host=True)

    for host in ("patchwright.lan:8473", "192.0.2.1:8473", "[2001:db8::1]:8473", "x"):
        assert server_of((await get(everywhere, SCRIPT, host=host))[2]) == f"server='https://{host}'"
    assert server_of((await get(everywhere, SCRIPT))[2]) == "server='https://0.0.0.0:8473'"


@pytest.mark.parametrize(
    "host",
    ["x'; reboot; '", "$(reboot)", "a b", "x/y", "x:port", "user@host", "`id`", "x\ny", "é", "", ":80", "x" * 300],
)
async def test_a_host_that_is_no_name_never_gets_into_the_script(host):
    """It is run by root."""
    everywhere = Downloads("https://0.0.0.0:8473", by_host=True)

    assert server_of((await get(everywhere, SCRIPT, host=host))[2]) == "server='https://0.0.0.0:8473'"


async def test_a_public_url_is_named_whatever_host_was_asked(downloads):
    """The operator's word counts."""
    assert "patchwright.example.org" in server_of((await get(downloads, SCRIPT, host="evil.example.org"))[2])
