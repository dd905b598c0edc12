# SPDX-License-Identifier: Apache-2.0
"""How often who may ask, and from where a request is said to come."""

from __future__ import annotations

import ipaddress

import pytest

from patchwright.server.wire import Bounds, Proxies, Rate, Rates
from server.clocks import FakeClock
from server.wire.client import MODELS, NODE_KEY, USER_KEY, Bench, call, signed
from server.wire.elsewhere import Speaker

LIST, HELLO, ENROLL = "AmazonSSM.ListDocuments", "AmazonSSM.UpdateInstanceInformation", "Patchwright.Enroll"
HELLO_BODY = {"InstanceId": NODE_KEY.instance_id, "AgentVersion": "1.0", "AgentName": "amazon-ssm-agent"}
FEW = Bounds(users=Rate(2, 5), nodes=Rate(1, 3), strangers=Rate(1, 4))


def test_a_bucket_gives_its_burst_and_then_its_rate():
    """Five at once, then two a second; an hour of silence saves up no more than the burst."""
    clock = FakeClock()
    rates = Rates(Rate(2, 5), clock.monotonic)
    assert [rates.take("a") for _ in range(5)] == [0.0] * 5
    assert rates.take("a") == pytest.approx(0.5)
    assert rates.take("b") == 0.0
    clock.time += 0.5
    assert (rates.take("a"), rates.take("a")) == (0.0, pytest.approx(0.5))
    clock.time += 3600
    assert [rates.take("a") > 0 for _ in range(6)] == [False] * 5 + [True]


def test_what_costs_more_than_the_burst_needs_a_full_bucket():
    """And leaves it in debt, so that nothing is refused for ever."""
    clock = FakeClock()
    rates = Rates(Rate(1, 10), clock.monotonic)
    assert rates.take("a", cost=25) == 0.0
    assert rates.take("a") == pytest.approx(16)


def test_full_buckets_are_forgotten():
    """A hundred thousand addresses that asked once a while ago take no memory."""
    clock = FakeClock()
    rates = Rates(Rate(10, 10), clock.monotonic)
    for number in range(100_000):
        rates.take(str(number))
        clock.time += 0.001
    assert len(rates) < 2100


async def test_a_key_that_asks_too_often_is_told_when_to_ask_again():
    """ThrottlingException with Retry-After, for that key alone; nothing is done meanwhile."""
    bench = Bench()
    endpoint = bench.endpoint({LIST: {}, HELLO: {}}, bounds=FEW)
    answers = [await call(endpoint, *signed(LIST)) for _ in range(7)]
    assert [one.status for one in answers] == [200] * 5 + [400] * 2
    assert (answers[5].code, answers[5].headers["retry-after"]) == ("ThrottlingException", "1")
    assert len(bench.seen) == 5
    assert (await call(endpoint, *signed(HELLO, HELLO_BODY, key=NODE_KEY))).status == 200
    bench.clock.time += 0.5
    assert (await call(endpoint, *signed(LIST))).status == 200


async def test_heartbeats_are_delayed_and_never_refused():
    """Design D9: an agent that is refused would fall silent. It waits its turn instead."""
    bench = Bench()
    endpoint = bench.endpoint({HELLO: {}}, bounds=FEW)
    answers = [await call(endpoint, *signed(HELLO, HELLO_BODY, key=NODE_KEY)) for _ in range(9)]
    assert [one.status for one in answers] == [200] * 9
    assert sum(bench.clock.slept) == pytest.approx(6, abs=0.01)


async def test_nobody_is_harmed_by_who_sends_requests_with_another_ones_key():
    """Only proved requests are counted against a key."""
    bench = Bench()
    endpoint = bench.endpoint({LIST: {}}, bounds=Bounds(users=Rate(1, 2), strangers=Rate(1, 50)))
    for _ in range(20):
        headers, body = signed(LIST)
        forged = await call(endpoint, {**headers, "authorization": headers["authorization"][:-4] + "0000"}, body)
        assert forged.code == "InvalidSignatureException"
    assert (await call(endpoint, *signed(LIST))).status == 200


async def test_an_address_that_proves_nothing_too_often_is_told_nothing_more():
    """Guesses end in ThrottlingException; who behind the same address signs with a key that is known is served."""
    bench = Bench()
    endpoint = bench.endpoint({LIST: {}}, bounds=FEW)
    codes = []
    for _ in range(6):
        headers, body = signed(LIST)
        del headers["authorization"]
        codes.append((await call(endpoint, headers, body)).code)
    assert codes == ["MissingAuthenticationTokenException"] * 4 + ["ThrottlingException"] * 2
    assert (await call(endpoint, *signed(LIST))).status == 200


async def test_enrolments_from_one_address_are_bounded():
    """Activation codes are not guessed in bulk."""
    bench = Bench()
    endpoint = bench.endpoint(
        {ENROLL: {"InstanceId": "mi-0123456789abcdef0", "Secret": "s", "Region": "r", "Account": "a"}}, bounds=FEW
    )
    assert MODELS.operation(ENROLL) is not None
    headers, body = signed(ENROLL, {"ActivationId": "a" * 36, "ActivationCode": "c" * 20, "EnrollmentToken": "t" * 48})
    headers = {name: value for name, value in headers.items() if not name.startswith(("auth", "x-amz-date"))}
    codes = {(await call(endpoint, headers, body)).status: None for _ in range(6)}
    answer = await call(endpoint, headers, body)
    assert list(codes) == [200, 400] or answer.code == "ThrottlingException"


async def test_each_protocol_has_its_word_for_too_often():
    """Query services call it Throttling."""
    bench = Bench()
    service = MODELS.service("iam")
    endpoint = bench.endpoint({"iam.ListUsers": {"Users": [], "IsTruncated": False}}, bounds=Bounds(users=Rate(1, 1)))
    speaking = Speaker(service, endpoint)
    assert (await speaking.call("ListUsers", {})).status == 200
    refused = await speaking.call("ListUsers", {})
    assert speaking.read("ListUsers", refused)["Error"]["Code"] == "Throttling"
    assert refused.headers["retry-after"] == "1"


TRUSTED = Proxies([ipaddress.ip_network("192.0.2.0/24"), ipaddress.ip_network("2001:db8::/32")])


@pytest.mark.parametrize(
    ("peer", "said", "source"),
    [
        ("192.0.2.7", "", "192.0.2.7"),
        ("192.0.2.7", "203.0.113.9", "203.0.113.9"),
        ("192.0.2.7", "203.0.113.9:4711", "203.0.113.9"),
        ("192.0.2.7", "[2001:db9::1]:443", "2001:db9::1"),
        ("192.0.2.7", "2001:DB9::1", "2001:db9::1"),
        ("192.0.2.7", "1.1.1.1, 203.0.113.9", "203.0.113.9"),  # the client made up the first
        ("192.0.2.7", "203.0.113.9, 192.0.2.8", "203.0.113.9"),
        ("192.0.2.7", "203.0.113.9, 2001:db8::5, 192.0.2.8", "203.0.113.9"),
        ("192.0.2.7", "203.0.113.9, unknown", "192.0.2.7"),
        ("192.0.2.7", "203.0.113.9, unknown, 192.0.2.8", "192.0.2.8"),
        ("192.0.2.7", "192.0.2.8", "192.0.2.8"),
        ("192.0.2.7", "," * 5000 + "203.0.113.9", "203.0.113.9"),
        ("192.0.2.7", "192.0.2.8," * 5000, "192.0.2.7"),
        ("192.0.2.7", "1" * 10_000, "192.0.2.7"),
        ("198.51.100.1", "203.0.113.9", "198.51.100.1"),
        ("", "203.0.113.9", ""),
    ],
)
def test_the_forwarded_address_is_taken_from_trusted_proxies_only(peer, said, source):
    """As far as trusted proxies wrote the header, read from its end."""
    scope = {"client": (peer, 1) if peer else None}
    headers = {b"x-forwarded-for": said.encode()} if said else {}
    assert TRUSTED.source(scope, headers) == source


def test_without_trusted_proxies_the_header_is_not_read():
    """Whatever it says."""
    assert Proxies().source({"client": ("192.0.2.7", 1)}, {b"x-forwarded-for": b"203.0.113.9"}) == "192.0.2.7"


async def test_handlers_learn_the_clients_address_behind_a_proxy():
    """It is what the audit trail and policies see, and what is limited; the proxy itself is limited for nobody."""
    bench = Bench()
    endpoint = bench.endpoint({LIST: {}}, bounds=Bounds(strangers=Rate(1, 1), proxies=TRUSTED))
    headers, body = signed(LIST)
    assert (await call(endpoint, {**headers, "x-forwarded-for": "203.0.113.9"}, body)).status == 200
    assert bench.seen[0][0].source_ip == "203.0.113.9"
    assert bench.seen[0][0].access_key_id == USER_KEY.access_key_id
    codes = []
    for client in ("203.0.113.1", "203.0.113.1", "203.0.113.2"):
        unsigned = {"host": "patchwright.test:8473", "x-amz-target": LIST, "x-forwarded-for": client}
        codes.append((await call(endpoint, {**unsigned, "content-length": "2"})).code)
    assert codes == [
        "MissingAuthenticationTokenException",
        "ThrottlingException",
        "MissingAuthenticationTokenException",
    ]
