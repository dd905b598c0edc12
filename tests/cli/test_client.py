# SPDX-License-Identifier: Apache-2.0
"""Calls that are signed, paged, and answered truthfully when they fail."""

from __future__ import annotations

import hashlib
import http.server
import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.test_transport import certificate
from cli.bench import FakeClock, Server
from patchwright.cli.client import Client
from patchwright.cli.clock import Clock
from patchwright.cli.config import Config, Credentials, load
from patchwright.cli.errors import BadSetting, Refused, Unreachable

NO_SOURCE = Credentials("AKIAMADE", "secret", "nowhere")


def of(server: Server, *, clock: Clock | None = None, **options: str) -> Client:
    """A client of *server* as a command makes it."""
    return Client(load(options, server.environment, home=Path("/nonexistent")), clock or Clock())


def at(endpoint: str, **more: str) -> Client:
    """A client of an endpoint that is no server of ours."""
    return Client(Config(endpoint, "us-east-1", NO_SOURCE, more.get("ca_file", ""), more.get("pin", "")), Clock())


@contextmanager
def answering(answer: Callable[[http.server.BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """A web server that answers every POST as told; its URL."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            answer(self)

        def log_message(self, *_args: object) -> None:
            return

    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{made.server_address[1]}"
    made.shutdown()
    thread.join()
    made.server_close()


def send(handler: http.server.BaseHTTPRequestHandler, members: Any) -> None:
    """Answer 200 with *members*."""
    body = json.dumps(members).encode()
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def test_a_listing_is_read_to_its_last_page(server):
    """Pages follow each other by NextToken until none comes."""
    client = of(server)

    found = list(client.pages("DescribePatchBaselines", {"MaxResults": 3}, "BaselineIdentities"))

    assert 17 <= len({one["BaselineId"] for one in found}) == len(found)


def test_a_wrong_clock_is_made_up_for(server):
    """A clock that is a day off has the first signature refused; the server's own time signs the second."""
    clock = FakeClock(time=Clock().now() - 86_400)
    client = of(server, clock=clock)

    assert (
        []
        == client.call(
            "DescribeInstanceInformation", {"Filters": [{"Key": "InstanceIds", "Values": ["mi-00000000000000000"]}]}
        )["InstanceInformationList"]
    )


def test_a_refusal_has_its_code_and_says_which_key_signed(server):
    """A wrong secret is refused once, not twice, and the hint names the key and where it comes from."""
    keys = {"AWS_ACCESS_KEY_ID": "AKIAOTHER", "AWS_SECRET_ACCESS_KEY": "hidden"}
    client = Client(load({}, {**server.environment, **keys}, home=Path("/nonexistent")), Clock())

    with pytest.raises(Refused) as caught:
        client.call("DescribePatchBaselines", {})

    assert "UnrecognizedClientException" == caught.value.code
    assert "AKIAOTHER" in caught.value.hint
    assert "AWS_ACCESS_KEY_ID" in caught.value.hint
    assert "hidden" not in f"{caught.value}{caught.value.hint}"


def test_a_refusal_of_the_request_blames_no_key(server):
    """An error that is not about the signature has no hint about credentials."""
    with pytest.raises(Refused) as caught:
        of(server).call("GetPatchBaseline", {"BaselineId": "pb-0123456789abcdef0"})

    assert ("DoesNotExistException", "") == (caught.value.code, caught.value.hint)


def test_nobody_there_says_where_and_what_to_do():
    """A refused connection names the endpoint, the command that starts a server and the option."""
    with pytest.raises(Unreachable) as caught:
        at("http://127.0.0.1:1").call("DescribePatchBaselines", {})

    for text in ("http://127.0.0.1:1", "Connection refused", "patchwright server", "--endpoint-url"):
        assert text in str(caught.value)


@pytest.mark.parametrize("members", [["a", "list"], "text", None])
def test_another_web_server_is_not_taken_for_ours(members):
    """An answer that is no JSON object is no answer of the API."""
    with answering(lambda handler: send(handler, members)) as url:
        client = at(url)
        with pytest.raises(Unreachable, match="nothing of the API"):
            client.call("DescribePatchBaselines", {})
        client.close()


def test_a_kept_connection_that_was_closed_is_opened_again():
    """What only reads is asked again when the server had closed the connection meanwhile."""
    asked: list[str] = []

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        asked.append(handler.headers["X-Amz-Target"])
        send(handler, {"BaselineIdentities": []})
        handler.close_connection = True  # without saying so, as a server that has waited long enough

    with answering(answer) as url:
        client = at(url)
        for _ in range(3):
            client.call("DescribePatchBaselines", {})
        client.close()

    assert ["AmazonSSM.DescribePatchBaselines"] * 3 == asked


def test_what_acts_is_never_sent_twice():
    """An answer cut off after SendCommand is an error: the command may have been taken."""
    asked: list[str] = []

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        asked.append(handler.headers["X-Amz-Target"])
        if asked[-1].endswith("SendCommand"):
            handler.close_connection = True
        else:
            send(handler, {})

    with answering(answer) as url:
        client = at(url)
        client.call("DescribePatchBaselines", {})
        with pytest.raises(Unreachable):
            client.call("SendCommand", {})
        client.close()

    assert 1 == asked.count("AmazonSSM.SendCommand")


def test_a_server_that_is_gone_for_good_is_unreachable():
    """A kept connection that was closed, and then nobody there: one more attempt, and a sentence."""

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        send(handler, {})
        handler.close_connection = True

    with answering(answer) as url:
        client = at(url)
        client.call("DescribePatchBaselines", {})

    with pytest.raises(Unreachable, match="cannot be reached"):
        client.call("DescribePatchBaselines", {})


def test_an_answer_without_end_is_not_read_to_its_end(monkeypatch):
    """An answer larger than the limit is refused instead of filling the memory."""
    monkeypatch.setattr("patchwright.cli.client.ANSWER_LIMIT_BYTES", 100)

    with answering(lambda handler: send(handler, {"text": "x" * 1000})) as url:
        client = at(url)
        with pytest.raises(Unreachable, match="more than 100 bytes"):
            client.call("DescribePatchBaselines", {})


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    """A server behind TLS, and its certificate, which signs itself."""
    directory = tmp_path_factory.mktemp("secured")
    chain, key, _ = certificate(directory)
    made = Server(directory, tls=(chain, key))
    made.start()
    yield made, chain
    made.stop()


def pin_of(chain: Path) -> str:
    """The pin of a certificate."""
    return "sha256:" + hashlib.sha256(ssl.PEM_cert_to_DER_cert(chain.read_text())).hexdigest()


def test_a_pinned_certificate_is_enough(secured):
    """With --pin neither name nor issuer matter: the certificate itself is compared."""
    server, chain = secured

    answer = of(server, pin=pin_of(chain)).call("DescribePatchBaselines", {})

    assert answer["BaselineIdentities"]


def test_another_certificate_than_the_pinned_one_gets_nothing(secured):
    """Where the pin does not match, nothing is sent, and both sides of the difference can be read."""
    server, chain = secured

    with pytest.raises(Unreachable, match="nothing was sent") as caught:
        of(server, pin="sha256:" + "0" * 64).call("DescribePatchBaselines", {})

    assert pin_of(chain) in str(caught.value)


def test_an_authority_file_is_trusted(secured):
    """--ca-file verifies the chain and the name."""
    server, chain = secured

    assert of(server, ca_file=str(chain)).call("DescribePatchBaselines", {})["BaselineIdentities"]


def test_an_unknown_certificate_says_which_options_help(secured):
    """Without --pin or --ca-file a certificate that signs itself is refused, and the message names both."""
    server, _ = secured

    with pytest.raises(Unreachable, match=r"--pin .* --ca-file"):
        of(server).call("DescribePatchBaselines", {})


def test_an_authority_file_that_is_none_is_a_usage_error(secured, tmp_path):
    """A file that is missing, or holds no certificate, is named."""
    server, _ = secured
    (tmp_path / "empty").write_text("nothing\n")

    for path in (tmp_path / "gone", tmp_path / "empty"):
        with pytest.raises(BadSetting, match=path.name):
            of(server, ca_file=str(path)).call("DescribePatchBaselines", {})


def test_plain_http_to_a_tls_port_and_back_is_explained(secured, server):
    """The wrong scheme is the likely mistake, and the message asks about it."""
    for endpoint in (secured[0].url.replace("https", "http"), server.url.replace("http", "https")):
        with pytest.raises(Unreachable, match=r"http:// or https://\?"):
            at(endpoint, pin="").call("DescribePatchBaselines", {})


def test_a_port_that_resets_the_connection_is_asked_for_its_scheme():
    """A TLS port may answer plain HTTP with a reset instead of an alert; the message asks the same question."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepting = threading.Thread(target=_reset_the_next, args=(listener,))
        accepting.start()
        with pytest.raises(Unreachable, match=r"http:// or https://\?"):
            at(f"http://127.0.0.1:{listener.getsockname()[1]}").call("DescribePatchBaselines", {})
        accepting.join()


def _reset_the_next(listener):
    connection, _ = listener.accept()
    connection.recv(1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
