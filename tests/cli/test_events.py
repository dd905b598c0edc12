# SPDX-License-Identifier: Apache-2.0
"""`patchwright events` and `patchwright subscription`: against a real server, with a real receiver."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from cli.bench import SRC, Server, run_here, until
from patchwright.cli.event_stream import Told, messages
from ports import free_port

PATTERN = '{"detail": {"name": [{"prefix": "/told/"}]}}'


@pytest.fixture
def receiver():
    """A receiver on loopback: its URL, what it got, and the statuses it answers with next."""
    got, answers = [], []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            got.append((dict(self.headers.items()), body))
            self.send_response(answers.pop(0) if answers else 204)
            self.end_headers()

        def log_message(self, *_words):
            pass

    server = HTTPServer(("127.0.0.1", 0), Hook)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", got, answers
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def hooked(tmp_path):
    """A server that may send to loopback."""
    made = Server(tmp_path)
    made.start(PATCHWRIGHT_WEBHOOK_NETWORKS="127.0.0.0/8")
    yield made
    made.stop()


def change(server, *names):
    """Something that is told of."""
    for name in names:
        server.client().put_parameter(Name=name, Value="v", Type="String")


def tail(server, *words):
    """`events tail` in a process of its own; its lines as they come."""
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "patchwright", "events", "tail", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **server.environment, "PYTHONPATH": SRC},
    )


def test_what_happens_is_told_followed_and_sent(hooked, receiver):
    """One event: in the list, on the terminal as it happens, and at the receiver's, signed with the secret that was printed."""
    url, got, answers = receiver
    made = hooked.run("subscription", "create", "ops", url, "--pattern", PATTERN)
    assert made.code == 0, made.err
    secret = made.out.split()[-1]
    following = tail(hooked, "--pattern", PATTERN, "--json", "--after", "0")
    try:
        answers += [500, 204]
        change(hooked, "/other", "/told/one")
        line = json.loads(following.stdout.readline())
        assert (line["detail-type"], line["detail"]["name"]) == ("Parameter Store Change", "/told/one")
        until(lambda: len(got) == 2, "it is sent again after a failure")
    finally:
        following.terminate()
        following.wait(30)
        following.stdout.close()
        following.stderr.close()
    headers, body = got[1]
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    mark = hmac.digest(base64.b64decode(secret.removeprefix("whsec_")), signed, hashlib.sha256)
    assert headers["webhook-signature"] == f"v1,{base64.b64encode(mark).decode()}"
    assert json.loads(body) == line
    assert got[0][0]["webhook-id"] == headers["webhook-id"] == line["id"]
    listed = hooked.run("events", "list", "--subject", "/told/one", "--json").json["Events"]
    assert [one["Id"] for one in listed] == [line["id"]]
    assert "/told/one" in hooked.run("events", "list", "--limit", "1").out
    assert "No events." in hooked.run("events", "list", "--subject", "nothing").out
    until(lambda: "delivered" in hooked.run("subscription", "show", "ops").out, "it is delivered")
    shown = hooked.run("subscription", "deliveries", "ops", "--json").json["Deliveries"]
    assert [(one["State"], one["Attempts"]) for one in shown] == [("Delivered", 2)]
    assert "1 delivery to ops" in hooked.run("subscription", "redeliver", "ops", line["id"]).out
    until(lambda: len(got) == 3, "it is sent again by hand")


def test_subscriptions_are_made_shown_listed_and_deleted(server):
    """The secret is in the first answer, and in none after that."""
    made = server.run(
        "subscription", "create", "made", "https://hook.example/", "--description", "on call", "--json"
    ).json
    assert made["Secret"].startswith("whsec_")
    again = server.run("subscription", "create", "made", "https://hook.example/y", "--disabled")
    assert (again.code, "whsec_" in again.out) == (0, False)
    shown = server.run("subscription", "show", "made")
    assert "https://hook.example/y" in shown.out
    assert "(off)" in shown.out
    assert made["Secret"] not in shown.out
    listed = server.run("subscription", "list", "--json").json["Subscriptions"]
    assert "made" in [one["Name"] for one in listed]
    assert "made" in server.run("subscription", "list").out
    assert server.run("subscription", "redeliver", "made").out.startswith("0 deliveries")
    assert "EVENT" in server.run("subscription", "deliveries", "made").out
    assert server.run("subscription", "delete", "made").code == 0
    refused = server.run("subscription", "show", "made")
    assert (refused.code, "DoesNotExistException" in refused.err) == (1, True)
    refused = server.run("subscription", "create", "made", "https://127.0.0.1/")
    assert (refused.code, "PATCHWRIGHT_WEBHOOK_NETWORKS" in refused.err) == (1, True)


def test_a_tail_goes_on_when_the_server_was_away(tmp_path):
    """What happens while nobody listens is told afterwards, and once."""
    away = Server(tmp_path)
    away.start(listen=f"127.0.0.1:{free_port()}")
    following = tail(away, "--json", "--after", "0")
    try:
        change(away, "/one")
        assert json.loads(following.stdout.readline())["detail"]["name"] == "/one"
        address = away.url.rpartition("/")[2]
        away.stop()
        away.start(listen=address)
        change(away, "/two")
        assert json.loads(following.stdout.readline())["detail"]["name"] == "/two"
    finally:
        following.terminate()
        following.wait(30)
        following.stdout.close()
        following.stderr.close()
        away.stop()


def test_a_tail_that_is_refused_says_why(server):
    """A pattern that is none, a server that is not there."""
    refused = server.run("events", "tail", "--pattern", "x")
    assert (refused.code, "ValidationException" in refused.err) == (1, True)
    assert server.run("events", "tail", "--after", "x").code == 1
    assert "EventPattern" not in refused.err
    assert run_here(["events"]).code == 2


def test_lines_of_a_stream_are_read_as_they_are_written():
    """Events, places without events, gaps, signs of life; in any line ends."""
    lines = [
        *(b"retry: 2000\n", b"\n", b": \n", b"id: 4\n", b"\n", b"event: gap\n", b"data: {}\n", b"\n"),
        *(b"id: 7\r\n", b'data: {"a": 1}\r\n', b"\r\n", b"unknown\n", b'data: {"b": 2}\n', b"\n", b"id: 9\n"),
    ]
    assert list(messages(lines)) == [Told("4", None), Told("", None), Told("7", {"a": 1}), Told("", {"b": 2})]
