# SPDX-License-Identifier: Apache-2.0
"""The node's side of the control channel: RFC 6455 against a library's other side, and everything that may go wrong."""

from __future__ import annotations

import hashlib
import json
import time

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from websockets.frames import Opcode

from agent.channel_server import TOKEN, ChannelServer
from agent.test_transport import certificate
from patchwright.agent.baton import Order
from patchwright.agent.channel import Channel, ChannelLost, NoChannel
from patchwright.agent.clock import Clock
from patchwright.agent.connection import Connection, Peer, WrongCertificate
from patchwright.agent.waiting import Waiting
from patchwright.core.frames import JOB, Frame
from patchwright.core.signing import Signer

NODE = Signer("mi-0123456789abcdef0", "a-secret", "eu-central-1")
JOB_ID = "aws.ssm.11111111-1111-4111-8111-111111111111.mi-0123456789abcdef0"
PAYLOAD = json.dumps({"SchemaVersion": 1, "JobId": JOB_ID, "Topic": "aws.ssm.sendCommand", "Content": "{}"}).encode()
WANTED = Frame(JOB, PAYLOAD, message_id="4de6b72d-d596-4cbf-ac8f-849cf1915867", created_ms=1)


@pytest.fixture
def serve():
    """Starts servers of channels, and a channel to one of them."""
    servers = []

    def start(talk, *, pin="", **how):
        server = ChannelServer(talk, **how)
        servers.append(server)
        peer = Peer("127.0.0.1", server.port, f"127.0.0.1:{server.port}", secure="certificate" in how, pin=pin)
        connection = Connection(peer, connect_seconds=30)
        channel = Channel(connection, NODE, now=time.time, monotonic=time.monotonic, seconds=30)
        return server, channel

    yield start
    for server in servers:
        server.close(hang_up=True)


def opening(talk):
    """The first message of the node."""
    return json.loads(talk.hear().data)


def test_a_channel_is_opened_with_its_token(serve):
    """POST for the token, upgrade over the same connection, both signed for ssmmessages, the token as text."""
    server, channel = serve(opening)
    channel.close()
    server.close()

    (post, upgrade), (said,) = server.requests, server.talked
    assert post[0] == f"POST /v1/control-channel/{NODE.key_id} HTTP/1.1"
    assert json.loads(post[2])["MessageSchemaVersion"] == "1.0"
    assert upgrade[0] == f"GET /v1/control-channel/{NODE.key_id} HTTP/1.1"
    assert (said["MessageSchemaVersion"], said["TokenValue"]) == ("1.0", TOKEN)
    for first, headers, body in server.requests:
        assert headers["authorization"] == as_botocore_signs(server, first, headers, body)


def as_botocore_signs(server, first, headers, body):
    """The Authorization header of the same request by botocore."""
    method, path, _ = first.split()
    named = {name: headers[name] for name in ("content-type", "amz-sdk-invocation-id") if name in headers}
    request = AWSRequest(method=method, url=f"http://127.0.0.1:{server.port}{path}", headers=named, data=body)
    request.context["timestamp"] = headers["x-amz-date"]
    request.headers["X-Amz-Date"] = headers["x-amz-date"]
    signer = SigV4Auth(Credentials(NODE.key_id, NODE.secret), "ssmmessages", NODE.region)
    canonical = signer.canonical_request(request)
    signature = signer.signature(signer.string_to_sign(request, canonical), request)
    names = signer.signed_headers(signer.headers_to_sign(request))
    scope = f"{headers['x-amz-date'][:8]}/{NODE.region}/ssmmessages/aws4_request"
    return f"AWS4-HMAC-SHA256 Credential={NODE.key_id}/{scope}, SignedHeaders={names}, Signature={signature}"


def test_a_job_comes_over_it_whole_or_in_pieces(serve):
    """Other messages are passed over, pings are answered in between, pieces are put together."""
    data = WANTED.pack()

    def talk(line):
        line.hear()
        line.say(Opcode.TEXT, b"never mind")
        line.say(Opcode.BINARY, Frame("agent_telemetry", b"{}", message_id=WANTED.message_id, created_ms=1).pack())
        line.say(Opcode.PING, b"are you there")
        pong = line.hear()
        line.say(Opcode.BINARY, data[:50], fin=False)
        line.say(Opcode.PING, b"still")
        line.say(Opcode.CONT, data[50:90], fin=False)
        line.say(Opcode.CONT, data[90:])
        return pong.opcode, bytes(pong.data), bytes(line.hear().data)

    server, channel = serve(talk)
    job = channel.next_job(60)
    server.close()

    assert (job.kind, job.payload, job.message_id) == (JOB, PAYLOAD, WANTED.message_id)
    assert server.talked == [(Opcode.PONG, b"are you there", b"still")]


def test_a_job_with_nothing_to_do_is_done_at_once(serve):
    """By which nodes are pinged: acknowledged, and its success reported, in the form of every other reply."""
    payload = PAYLOAD[:-1].replace(b": ", b":") + b',"NoopStep":"Noop"}'
    job = Frame(JOB, payload, message_id=WANTED.message_id, created_ms=1)

    def talk(line):
        line.hear()
        line.say(Opcode.BINARY, job.pack())
        return [Frame.unpack(bytes(line.hear().data)) for _ in range(2)]

    server, channel = serve(talk)
    assert channel.done_already(channel.next_job(60))
    server.close()
    ((ack, reply),) = server.talked
    acknowledged, said = json.loads(ack.payload), json.loads(reply.payload)
    assert (ack.kind, acknowledged["statusCode"], acknowledged["jobId"]) == ("agent_job_ack", 200, JOB_ID)
    assert acknowledged["acknowledgedMessageId"] == WANTED.message_id
    assert (reply.kind, said["jobId"], said["schemaVersion"]) == ("agent_job_reply", JOB_ID, 1)
    content = json.loads(said["content"])
    assert content["documentStatus"] == "Success"
    assert content["runtimeStatus"]["Noop"]["code"] == 0


@pytest.mark.parametrize(
    "payload",
    [
        PAYLOAD,
        PAYLOAD.replace(b'"{}"', b'"{\\"NoopStep\\":\\"Noop\\"}"'),
        b'{"JobId":"a","NoopStep":"x\\u0022"}',
        b'{"JobId":"a b","NoopStep":"x"}',
        b'{"NoopStep":"x"}',
        b'{"JobId":"a","NoopStep":""}',
    ],
)
def test_every_other_job_is_left_to_the_whole_agent(serve, payload):
    """One that only speaks of it, or in which something else stands than a name."""
    _, channel = serve(opening)
    assert not channel.done_already(Frame(JOB, payload, message_id=WANTED.message_id, created_ms=1))


def test_without_a_job_the_wait_ends(serve):
    """And the channel is good for the next one."""

    def talk(line):
        line.hear()
        line.hear()  # a pong, when the first wait is over
        line.say(Opcode.BINARY, WANTED.pack())

    server, channel = serve(talk)
    assert channel.next_job(0.05) is None
    channel._send(10, b"")
    assert channel.next_job(60).payload == PAYLOAD
    server.close()


def test_the_node_pings_and_notices_that_nobody_answers(serve):
    """After 54 seconds, and after twice that without a word."""
    moments = iter([0.0] * 2 + [0.0, 1.0, 60.0, 60.0, 61.0, 120.0] + [200.0] * 9)

    def talk(line):
        line.hear()
        return bytes(line.hear().data), line.hear()

    server, channel = serve(talk)
    channel._monotonic = lambda: next(moments)
    channel._heard = channel._said = 0.0
    channel._readable = lambda seconds: False
    with pytest.raises(ChannelLost, match="not said a word"):
        channel.next_job(1000)
    channel.close()
    server.close()
    assert server.talked == [(b"keepalive", None)]


def test_a_large_message_is_masked_and_sent_whole(serve):
    """Of every size that RFC 6455 writes differently."""
    sizes = (0, 125, 126, 65_535, 65_536, 200_000)

    def talk(line):
        line.hear()
        return [(len(data), hashlib.sha256(data).hexdigest()) for data in (bytes(line.hear().data) for _ in sizes)]

    server, channel = serve(talk)
    sent = [bytes(index % 251 for index in range(size)) for size in sizes]
    for data in sent:
        channel._send(2, data)
    server.close()
    assert server.talked == [[(len(data), hashlib.sha256(data).hexdigest()) for data in sent]]


@pytest.mark.parametrize(
    "harm",
    [
        lambda line: None,
        lambda line: line.say(Opcode.CLOSE, b"\x03\xf4"),
        lambda line: line.say(Opcode.BINARY, b"no frame"),
        lambda line: line.raw(b"\x82\x7f" + (1 << 40).to_bytes(8, "big")),
        lambda line: line.raw(b"\x82\x05abc"),
        lambda line: line.raw(b"\xf2\x01a"),
        lambda line: line.raw(b"\x82\x81aaaaa"),
        lambda line: (line.say(Opcode.BINARY, b"a", fin=False), line.say(Opcode.TEXT, b"b")),
        lambda line: [line.say(Opcode.BINARY if not n else Opcode.CONT, b"x" * 300_000, fin=False) for n in range(5)],
    ],
)
def test_a_channel_that_ends_or_is_none_is_lost(serve, harm):
    """Closed, cut short, lengths that lie, bits nobody agreed on, masked, mixed pieces, without end."""

    def talk(line):
        line.hear()
        harm(line)

    _, channel = serve(talk)
    with pytest.raises((ChannelLost, OSError)):
        channel.next_job(60)


@pytest.mark.parametrize(
    ("how", "refused"),
    [
        ({"status": 403, "body": "<AccessDeniedException><message>no</message></AccessDeniedException>"}, True),
        ({"status": 403, "body": "<InvalidSignatureException/>"}, False),
        ({"status": 404, "body": ""}, False),
        ({"status": 500, "body": "oh"}, False),
        ({"body": "<TokenValue>cut sho"}, False),
        ({"body": '<TokenValue>"},{</TokenValue>'}, False),
        ({"accept": b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n"}, False),
        ({"accept": b"HTTP/1.1 101 Switching\r\nsec-websocket-accept: no\r\n\r\n"}, False),
    ],
)
def test_a_server_without_channels_is_told_from_one_in_trouble(serve, how, refused):
    """In either case messages are polled for."""
    with pytest.raises(NoChannel) as none:
        serve(lambda line: None, **how)
    assert none.value.refused is refused


def test_over_tls_the_pin_decides(serve, tmp_path):
    """The channel is opened with a server of the pinned certificate alone."""
    *files, pin = certificate(tmp_path)

    def talk(line):
        line.hear()
        line.say(Opcode.BINARY, WANTED.pack())
        line.hear()

    _, channel = serve(talk, certificate=tuple(files), pin=pin)
    assert channel.next_job(60).payload == PAYLOAD
    channel.close()
    with pytest.raises(WrongCertificate):
        serve(talk, certificate=tuple(files), pin=f"sha256:{'0' * 64}")


# -- how the waiting program uses it


def waiting_at(server, tmp_path, **members):
    """The waiting program's stretch at *server*, and its order."""
    order = Order(
        back=[],
        lock=0,
        peer=vars(Peer("127.0.0.1", server.port, f"127.0.0.1:{server.port}", secure=False)),
        signer=vars(NODE),
        offset=0.0,
        hello="{}",
        hello_every=3600.0,
        poll='{"MessagesRequestId":"the id of this request"}',
        poll_seconds=5.0,
        request_seconds=30.0,
        connect_seconds=30.0,
        directories=[str(tmp_path)],
        reserve=("", 0),
        **{"hello_due": 1e12, "house_due": 1e12, "channel_due": 0.0, **members},
    )
    return Waiting(order, Clock()), order


def test_what_comes_over_the_channel_is_left_to_the_whole_agent(tmp_path):
    """In the form of an answer to a poll; the channel is to be tried again at once afterwards."""
    noop = Frame(JOB, b'{"JobId":"a","NoopStep":"Noop"}', message_id=WANTED.message_id, created_ms=1)

    def talk(line):
        line.hear()
        line.say(Opcode.BINARY, noop.pack())
        line.say(Opcode.BINARY, WANTED.pack())
        line.hear()

    server = ChannelServer(talk)
    waiting, order = waiting_at(server, tmp_path)
    outcome = waiting.run()

    assert outcome.heard
    assert json.loads(outcome.answer) == {"Messages": [json.loads(PAYLOAD)]}
    assert outcome.channel_due == order.channel_due == 0.0
    server.close(hang_up=True)


@pytest.mark.parametrize(
    ("how", "least"),
    [
        ({"status": 403, "body": "<AccessDeniedException></AccessDeniedException>"}, 3600),
        ({"status": 500, "body": "oh"}, 0),
        ({"talk": lambda line: None}, 0),
    ],
)
def test_without_a_channel_it_polls(tmp_path, how, least):
    """Refused, in trouble, or lost: the next request is a poll; the channel is tried again, later where it was refused."""
    server = ChannelServer(how.pop("talk", None), **how)
    waiting, _ = waiting_at(server, tmp_path)
    before = time.monotonic()
    outcome = waiting.run()

    polls = [headers for _, headers, _ in server.requests if "getmessages" in headers.get("x-amz-target", "").lower()]
    assert len(polls) == 1
    assert before + least <= outcome.channel_due <= time.monotonic() + least + 20
    server.close(hang_up=True)


def test_a_hello_beside_the_channel_leaves_it_open(tmp_path, monkeypatch):
    """Said over a connection of its own, which is given up again; the job comes over the channel all the same."""

    def talk(line):
        line.hear()
        order.hello_due = 0.0  # the channel is open, so it is time
        server.wait_for("UpdateInstanceInformation")
        line.say(Opcode.BINARY, WANTED.pack())
        line.hear()

    server = ChannelServer(talk, status=201)
    monkeypatch.setattr("patchwright.agent.waiting.LISTEN_SECONDS", 0.05)
    waiting, order = waiting_at(server, tmp_path)
    server.answers = {"UpdateInstanceInformation": (200, "{}")}
    outcome = waiting.run()

    assert json.loads(outcome.answer) == {"Messages": [json.loads(PAYLOAD)]}
    assert outcome.hello_due > time.monotonic() + 3000
    assert [first.split()[0] for first, _, _ in server.requests] == ["POST", "GET", "POST"]
    server.close(hang_up=True)
