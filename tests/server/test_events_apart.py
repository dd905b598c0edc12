# SPDX-License-Identifier: Apache-2.0
"""Events across processes: nothing is lost when one is killed, and each hears what happened in the other."""

from __future__ import annotations

import configparser
import contextlib
import http.server
import json
import signal
import threading
import time

import pytest

from server.aws.event_reader import Reader
from server.test_app import post, start

__all__ = ["start"]

HOOKS = {"PATCHWRIGHT_WEBHOOK_NETWORKS": "127.0.0.0/8"}
MANY = 40


@pytest.fixture
def receiver():
    """Who is sent to: its URL, the ids it got, and an event that it waits for before it answers."""
    got, go = [], threading.Event()

    class Hook(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            got.append((self.headers["webhook-id"], body["detail"]["name"]))
            go.wait(60)
            with contextlib.suppress(OSError):
                self.send_response(204)
                self.end_headers()

        def log_message(self, *_words):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/", got, go
    go.set()
    server.shutdown()
    server.server_close()


def until(condition, *, seconds=60.0):
    """Wait for *condition*."""
    deadline, pause = time.monotonic() + seconds, threading.Event()
    while not condition():
        assert time.monotonic() < deadline
        pause.wait(0.05)


def key(server):
    """What the server's root signs with."""
    read = configparser.RawConfigParser()
    read.read(server.data / "credentials")
    return read["default"]["aws_access_key_id"], read["default"]["aws_secret_access_key"]


def reader(server, **how):
    """A stream of its events."""
    return Reader(server.url, key(server), "us-east-1", **how)


def ask(server, operation, **members):
    """An operation of ours."""
    return post(server.url, f"Patchwright.{operation}", members, key(server))


def test_a_server_that_is_killed_while_it_sends_loses_no_event(start, receiver):
    """What happened before the end is numbered, sent and streamed after it; each with its one id."""
    url, got, go = receiver
    server = start(**HOOKS).ready()
    ask(server, "PutSubscription", Name="ops", Url=url, Pattern='{"source": ["aws.ssm"]}')
    client = server.client()
    for number in range(MANY):
        client.put_parameter(Name=f"/p{number}", Value="v", Type="String")
    until(lambda: got)
    server.end(signal.SIGKILL)
    go.set()
    again = start(**HOOKS).ready()
    following = reader(again, after="0")
    found = following.events(MANY)
    following.close()
    assert [one.json["detail"]["name"] for one in found] == [f"/p{number}" for number in range(MANY)]
    assert [one.id for one in found] == [str(number) for number in range(1, MANY + 1)]
    waiting = {one.json["id"] for one in found} - {event_id for event_id, _ in got[:4]}
    until(lambda: waiting <= {event_id for event_id, _ in got})
    assert {event_id for event_id, _ in got} == waiting | {event_id for event_id, _ in got[:4]}
    assert reader(again).status == 200  # whoever reads along does not hold up a stop
    begun = time.monotonic()
    assert again.end() == 0
    assert time.monotonic() - begun < 15


@pytest.mark.postgres
def test_processes_on_one_database_hear_of_each_other_within_a_second_or_so(start, postgres_url, receiver):
    """Whatever happens in one is streamed by the other, and sent once while both live."""
    url, got, go = receiver
    go.set()
    words = ["--database", postgres_url]
    one = start(*words, directory="one", **HOOKS).ready()
    (one.data.parent / "two").mkdir(mode=0o700)
    (one.data.parent / "two" / "master.key").write_bytes((one.data / "master.key").read_bytes())
    two = start(*words, directory="two", **HOOKS).ready()
    ask(one, "PutSubscription", Name="ops", Url=url, Pattern='{"source": ["aws.ssm"]}')
    following = Reader(two.url, key(one), "us-east-1")
    client, slowest = one.client(), 0.0
    for number in range(5):
        client.put_parameter(Name=f"/p{number}", Value="v", Type="String")
        begun = time.monotonic()
        (told,) = following.events(1)
        slowest = max(slowest, time.monotonic() - begun)
        assert told.json["detail"]["name"] == f"/p{number}"
    following.close()
    assert slowest < 10  # on a machine that does nothing else: 0.8
    until(lambda: len(got) >= 5)
    assert sorted(name for _, name in got) == [f"/p{number}" for number in range(5)]
