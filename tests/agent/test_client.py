# SPDX-License-Identifier: Apache-2.0
"""Signatures, clocks and errors of the agent's client."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.simulator import REGION, Refusal
from patchwright.agent import connection
from patchwright.agent.client import Backoff, Client, Refused, ServerUnavailable, parse_http_date
from patchwright.agent.clock import Clock
from patchwright.agent.config import Settings
from patchwright.agent.transport import Server
from patchwright.core import protocol
from patchwright.core.signing import SIGNATURE_USED, Signer
from patchwright.server.wire.errors import ApiError
from patchwright.server.wire.sigv4 import Credential, Verifier, fold_headers


class SetClock(Clock):
    """A clock that is wrong by *offset* seconds and does not wait."""

    def __init__(self, offset: float = 0.0) -> None:
        self.offset = offset
        self.slept: list[float] = []

    def now(self) -> float:
        return time.time() + self.offset

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def jitter(self, seconds: float) -> float:
        return seconds


@pytest.fixture
def make(simulator):
    """Makes clients of an enrolled node, by the wrongness of their clock."""

    def make(offset: float = 0.0, secret: str = "") -> Client:
        instance_id, right = simulator.add_node()
        signer = Signer(instance_id, secret or right, REGION)
        return Client(Server(simulator.url), signer, settings=Settings(), clock=SetClock(offset))

    return make


def test_prefixes_are_the_protocols():
    """The services and prefixes repeated in the client are those of core.protocol."""
    known = {(service, prefix) for service, prefix in connection.SERVICES.values()} | {connection.PATCHWRIGHT}

    assert known == {
        (protocol.MESSAGES_SERVICE, protocol.MESSAGES_PREFIX),
        (protocol.SSM_SERVICE, protocol.SSM_PREFIX),
        (protocol.PATCHWRIGHT_SERVICE, protocol.PATCHWRIGHT_PREFIX),
    }


@pytest.mark.parametrize("wrong_by", [-86_400.0, -1_000.0, 1_000.0, 10 * 365 * 86_400.0])
def test_a_wrong_clock_is_learnt_from_the_refusal(simulator, make, wrong_by):
    """A clock wrong by minutes or years: refused once, offset learnt, signed again; from then on right at once."""
    client = make(wrong_by)
    members = {"InstanceId": "mi-x"}

    client.call("UpdateInstanceInformation", members)
    client.call("UpdateInstanceInformation", members)
    assert len(simulator.raw) == 3
    assert simulator.count("UpdateInstanceInformation") == 2
    assert client.clock_offset == pytest.approx(-wrong_by, abs=2.5)


def test_the_servers_clock_may_be_the_wrong_one(simulator, make):
    """The server's time counts, whichever clock is wrong."""
    simulator.time_offset = -7200.0

    make().call("UpdateInstanceInformation", {"InstanceId": "mi-x"})
    assert simulator.count("UpdateInstanceInformation") == 1


def test_a_wrong_secret_is_refused_once(simulator, make):
    """A signature wrong for another reason than time is not tried again."""
    with pytest.raises(Refused, match="InvalidSignatureException") as refusal:
        make(secret="wrong").call("UpdateInstanceInformation", {"InstanceId": "mi-x"})

    assert len(simulator.raw) == 1
    assert refusal.value.concerns_identity


@pytest.mark.parametrize(
    ("refusal", "error"),
    [
        (Refusal("InvalidInstanceId", "no"), Refused),
        (Refusal("ThrottlingException", "slow down"), ServerUnavailable),
        (Refusal("InternalServerError", "oh", 500), ServerUnavailable),
        (Refusal("ServiceUnavailable", "oh", 503), ServerUnavailable),
        (Refusal("TooManyRequestsException", "oh", 429), ServerUnavailable),
        (Refusal("com.amazon#ValidationException", "no"), Refused),
    ],
)
def test_errors_say_whether_asking_again_helps(simulator, make, refusal, error):
    """Throttling and faults of the server are for later; everything else is final."""
    simulator.refusing["UpdateInstanceInformation"] = refusal

    with pytest.raises(error):
        make().call("UpdateInstanceInformation", {"InstanceId": "mi-x"})


def test_a_request_whose_signature_was_used_is_signed_again(simulator, make):
    """Its first sending arrived though its answer did not; a second refusal is told."""
    used = Refusal("InvalidSignatureException", f"{SIGNATURE_USED}: every request needs one of its own.")
    simulator.refusing["UpdateInstanceInformation"] = used
    with pytest.raises(Refused, match=SIGNATURE_USED):
        make().call("UpdateInstanceInformation", {"InstanceId": "mi-x"})
    signatures = [one.get("Authorization") for one in simulator.raw]
    assert len(signatures) == len(set(signatures)) == 2


def test_what_is_sent_again_over_a_new_connection_is_signed_anew(simulator, make):
    """The server may have taken the request, and takes no signature twice."""
    client = make()
    client.call("UpdateInstanceInformation", {"InstanceId": "mi-x"})
    simulator.losing["UpdateInstanceInformation"] = 1
    client.call("UpdateInstanceInformation", {"InstanceId": "mi-x"})
    signatures = [one.get("Authorization") for one in simulator.raw]
    assert len(signatures) == len(set(signatures)) == 3


def test_a_server_that_is_away_is_unavailable(simulator, make):
    """No connection and no answer are the same to the caller."""
    client = make()
    simulator.down = True
    with pytest.raises(ServerUnavailable):
        client.call("UpdateInstanceInformation", {"InstanceId": "mi-x"})

    nowhere = Client(Server("http://127.0.0.1:1"), None, settings=Settings(), clock=Clock())
    with pytest.raises(ServerUnavailable, match="cannot be reached"):
        nowhere.call("Enroll", {})


def test_pauses_double_up_to_the_cap():
    """Full jitter below 1, 2, 4 … seconds and the cap; a success starts over."""
    clock = SetClock()
    backoff = Backoff(clock, cap=10.0)
    for _ in range(6):
        backoff.pause()
    backoff.reset()
    backoff.pause()

    assert clock.slept == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0, 1.0]


def test_pauses_are_spread():
    """The real clock's jitter lies anywhere between nothing and the limit."""
    found = [Clock().jitter(10.0) for _ in range(200)]

    assert min(found) < 2.0
    assert 8.0 < max(found) <= 10.0


@given(st.integers(0, 4_000_000_000))
def test_every_second_is_read_back(moment):
    """Whatever a server's clock may say for a century, the date it sends is read to the second."""
    assert parse_http_date(formatdate(moment, usegmt=True)) == moment


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("Fri, 20 Nov 2026 04:21:53 GMT", 1795148513.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("", None),
        ("Fri, 20 Nov 2026 04:21:53 CET", None),
        ("Fri, 20 Nop 2026 04:21:53 GMT", None),
        ("Fri, xx Nov 2026 04:21:53 GMT", None),
    ],
)
def test_http_dates_are_read(text, moment):
    """The form that every server sends, and nothing else."""
    assert parse_http_date(text) == moment


async def test_our_server_believes_our_signature():
    """What the agent signs, compressed or not, the server's own verifier accepts, and nothing changed on the way."""
    now, body = 1795148513.0, b'{"a":1}'
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    headers = {
        "Host": "patch.example:8473",
        "Content-Type": connection.CONTENT_TYPE,
        "X-Amz-Target": "Patchwright.PutBodies",
        "Content-Encoding": "gzip",
        "X-Amz-Date": moment,
    }
    signer = Signer("mi-1", "secret", REGION)
    headers["Authorization"] = signer.authorization(headers, body, service="patchwright", moment=moment)
    raw = fold_headers((name.lower().encode(), value.encode()) for name, value in headers.items())

    async def lookup(key_id):
        return Credential(key_id, "secret", "000000000001", "arn:node", kind="node", region=REGION)

    verifier = Verifier(lookup, lambda: now)
    claim = await verifier.claim(raw, service="patchwright")
    verifier.verify(claim, raw, body)
    with pytest.raises(ApiError):
        verifier.verify(claim, raw, body + b" ")
