# SPDX-License-Identifier: Apache-2.0
"""A signature is good for one request; what SDKs sign the same is not mistaken for a repetition."""

from __future__ import annotations

import random
import tracemalloc
from datetime import UTC, datetime

import pytest

from patchwright.server.wire import ApiError, Bounds, Claim, Replays, keep, recalled
from patchwright.server.wire.replays import GRACE_SECONDS, Numbers
from server.clocks import FakeClock
from server.wire.client import NODE_KEY, NOW, USER_KEY, Bench, call, signed

PUT, LIST, HELLO = "AmazonSSM.PutParameter", "AmazonSSM.ListDocuments", "AmazonSSM.UpdateInstanceInformation"
NAMED = {b"amz-sdk-invocation-id": b"one", b"amz-sdk-request": b"attempt=1"}


def claim(signature: int, *, at: float = NOW) -> Claim:
    """A proved claim with a made-up signature."""
    stamp = datetime.fromtimestamp(at, UTC).strftime("%Y%m%dT%H%M%SZ")
    return Claim(USER_KEY, stamp[:8], stamp, "us-east-1", "ssm", (b"host",), f"{signature:064x}"[::-1].encode())


def admitted(replays, one, headers=NAMED, *, source="192.0.2.7", target=PUT, now=NOW):
    """True, or the code of the refusal."""
    try:
        replays.admit(one, headers, source=source, target=target, now=now)
    except ApiError as error:
        return error.code
    return True


def named(text: str) -> dict[bytes, bytes]:
    return {b"amz-sdk-invocation-id": text.encode()}


def test_a_request_sent_again_as_it_was_is_refused_as_long_as_its_signature_lasts():
    """At once, later, and until its time is over, whatever it asks for."""
    for target in (PUT, LIST, "iam.ListUsers", "EC2WindowsMessageDeliveryService.GetMessages"):
        replays = Replays()
        assert admitted(replays, claim(1), target=target) is True
        for later in (0, 1, GRACE_SECONDS + 0.1, 60, 600, 899):
            assert admitted(replays, claim(1), target=target, now=NOW + later) == "InvalidSignatureException"


def test_a_request_that_names_no_call_is_good_once():
    """Who asks twice in a second and does not say so is told to ask later, as SDKs do by themselves; others are refused."""
    for headers in ({}, {b"amz-sdk-invocation-id": b"", b"amz-sdk-request": b""}):
        replays = Replays()
        assert admitted(replays, claim(1), headers, target=LIST) is True
        assert admitted(replays, claim(1), headers, target=LIST) == "ThrottlingException"
        assert admitted(replays, claim(1), headers, target=LIST, source="192.0.2.8") == "InvalidSignatureException"
        later = NOW + GRACE_SECONDS + 0.1
        assert admitted(replays, claim(1), headers, target=LIST, now=later) == "InvalidSignatureException"


def test_an_acknowledgement_may_be_said_again_by_the_node_that_said_it():
    """amazon-ssm-agent does, where a message comes twice in a second; from elsewhere it is a replay."""
    replays = Replays()
    target = "EC2WindowsMessageDeliveryService.AcknowledgeMessage"
    assert admitted(replays, claim(1), {}, target=target) is True
    assert admitted(replays, claim(1), {}, target=target) is True
    assert admitted(replays, claim(1), {}, target=target, source="192.0.2.8") == "InvalidSignatureException"


def test_calls_of_an_sdk_in_one_second_are_all_accepted():
    """boto3 signs the same call of the same second the same, and says beside it that it is another call, or another attempt."""
    replays = Replays()
    for number in range(1000):
        assert admitted(replays, claim(1), named(f"call {number}")) is True
    assert admitted(replays, claim(1), {**NAMED, b"amz-sdk-request": b"attempt=1"}, target=LIST) is True
    assert admitted(replays, claim(1), {**NAMED, b"amz-sdk-request": b"attempt=2"}, target=LIST) is True


def test_another_name_helps_for_a_moment_only():
    """Whoever recorded a request and changes what is not signed is refused once the second is over, and from elsewhere."""
    replays = Replays()
    assert admitted(replays, claim(1)) is True
    assert admitted(replays, claim(1), named("two"), now=NOW + GRACE_SECONDS) is True
    assert admitted(replays, claim(1), named("three"), source="198.51.100.1") == "ThrottlingException"
    assert admitted(replays, claim(1), named("four"), now=NOW + GRACE_SECONDS + 0.01) == "InvalidSignatureException"
    assert (
        admitted(replays, claim(1), named("five"), now=NOW - 5) == "InvalidSignatureException"
    )  # the clock was set back


def test_many_hosts_may_read_the_same_in_one_second():
    """A fleet of scripts with one key asks for the same listing at the same second, from everywhere."""
    replays = Replays()
    for number in range(100):
        assert admitted(replays, claim(1), named(f"{number}"), source=f"192.0.2.{number}", target=LIST) is True


@pytest.mark.parametrize(
    "target", [PUT, "iam.CreateAccessKey", "sts.GetSessionToken", "EC2WindowsMessageDeliveryService.GetMessages"]
)
def test_what_changes_something_or_hands_out_keys_is_not_for_two_addresses(target):
    """Whoever sees a request of botocore as it is made cannot use it from elsewhere."""
    replays = Replays()
    assert admitted(replays, claim(1), target=target) is True
    assert admitted(replays, claim(1), named("two"), source="198.51.100.1", target=target) == "ThrottlingException"


def test_the_names_kept_of_one_signature_are_bounded():
    """The thousandth and so is asked to sign anew, which its SDK does by itself."""
    replays = Replays()
    found = [admitted(replays, claim(1), named(str(number)), target=LIST) for number in range(1100)]
    assert found == [True] * 1025 + ["ThrottlingException"] * 75


def test_what_agents_repeat_word_by_word_is_accepted_for_a_moment():
    """A heartbeat says the same as the one before it, and does no harm twice; recorded and sent later it is refused."""
    replays = Replays()
    assert [admitted(replays, claim(1), {}, target=HELLO) for _ in range(3)] == [True] * 3
    assert admitted(replays, claim(1), {}, target=HELLO, source="198.51.100.1") == "InvalidSignatureException"
    assert admitted(replays, claim(1), {}, target=HELLO, now=NOW + 60) == "InvalidSignatureException"


def test_signatures_are_remembered_by_their_own_time():
    """One that was signed ahead of our clock is remembered until its own time is over."""
    replays = Replays()
    assert admitted(replays, claim(1, at=NOW + 890)) is True
    for number in range(30):
        assert admitted(replays, claim(100 + number, at=NOW + 60 * number), now=NOW + 60 * number) is True
    assert admitted(replays, claim(1, at=NOW + 890), now=NOW + 890 + 899) == "InvalidSignatureException"


def test_what_is_out_of_time_is_forgotten():
    """An hour of requests leaves the last half hour at most."""
    replays = Replays()
    for second in range(0, 7200, 5):
        assert admitted(replays, claim(second, at=NOW + second), now=NOW + second) is True
    assert len(replays) <= (900 + 120) / 5


def test_under_load_the_window_shrinks_and_nothing_is_accepted_twice():
    """With room for a thousand, five thousand requests of ten minutes: the oldest are refused, used or not, never accepted again."""
    replays, used = Replays(kept=1000), []
    for number in range(5000):
        at = NOW + number * 600 / 5000
        one = claim(number + 1, at=at)
        assert admitted(replays, one, now=at) is True
        used.append(one)
    assert len(replays) <= 1000 + 600
    later = NOW + 601
    assert {admitted(replays, one, now=later) for one in used} == {"InvalidSignatureException"}
    assert admitted(replays, claim(9_999_999, at=later - 30), now=later) is True
    assert admitted(replays, claim(9_999_998, at=NOW), now=later) == "InvalidSignatureException"


def test_what_was_signed_before_the_server_knew_is_not_accepted():
    """A restart does not make old requests good again; who signed a moment before it is asked to sign again."""
    replays = Replays(since=NOW)
    assert admitted(replays, claim(1, at=NOW - 1)) == "ThrottlingException"
    assert admitted(replays, claim(2, at=NOW - 600)) == "InvalidSignatureException"
    assert admitted(replays, claim(3, at=NOW)) is True


def test_what_was_used_is_known_after_an_orderly_stop(tmp_path):
    """And only once: the file is empty while a server runs, so that a kill is noticed."""
    path = tmp_path / "signatures"
    replays = recalled(path, window=900.0, now=NOW)
    assert admitted(replays, claim(1, at=NOW - 60), now=NOW) is True  # nothing ran here before
    for number in range(2, 3000):
        assert admitted(replays, claim(number, at=NOW + number // 20), now=NOW + number // 20) is True
    keep(path, replays)
    again = recalled(path, window=900.0, now=NOW + 300)
    assert len(again) == 2999
    for number in range(2, 3000):
        assert admitted(again, claim(number, at=NOW + number // 20), now=NOW + 300) == "InvalidSignatureException"
    assert admitted(again, claim(5000, at=NOW - 30), now=NOW + 300) is True  # its clock is behind
    assert path.read_bytes() == b""


@pytest.mark.parametrize(
    "change", [lambda kept: b"", lambda kept: kept[:-40], lambda kept: b"x" + kept, lambda kept: b"\xff" * 99]
)
def test_a_file_that_was_not_left_in_order_makes_nothing_good_again(tmp_path, change):
    """Killed, cut short, damaged: what was signed before the start is refused."""
    path = tmp_path / "signatures"
    replays = recalled(path, window=900.0, now=NOW)
    for number in range(1, 100):
        assert admitted(replays, claim(number), now=NOW) is True
    keep(path, replays)
    path.write_bytes(change(path.read_bytes()))
    again = recalled(path, window=900.0, now=NOW + 10)
    assert {admitted(again, claim(number), now=NOW + 10) for number in range(1, 100)} == {"ThrottlingException"}
    assert admitted(again, claim(1), now=NOW + 100) == "InvalidSignatureException"
    assert admitted(again, claim(200, at=NOW + 10), now=NOW + 10) == "ThrottlingException"  # the same second
    assert admitted(again, claim(201, at=NOW + 11), now=NOW + 11) is True


def test_a_set_of_numbers_is_a_set():
    """Ten thousand seeded numbers, some twice, some that meet in a slot."""
    random.seed("20261120-numbers")
    numbers, plain = Numbers(), set()
    for _ in range(10_000):
        number = random.choice([random.randrange(1, 2**64), random.randrange(1, 50), random.randrange(1, 40) << 32])
        assert numbers.add(number) is (number not in plain)
        plain.add(number)
        assert number in numbers
    assert len(numbers) == len(plain)
    assert 2**63 + 1 not in numbers


def test_a_signature_costs_tens_of_bytes():
    """A million requests in the window cost tens of megabytes, not hundreds."""
    tracemalloc.start()
    try:
        replays = Replays()
        before = tracemalloc.get_traced_memory()[0]
        for number in range(1, 60_001):
            random_like = number * 0x9E3779B97F4A7C15 % 2**64
            one = Claim(
                USER_KEY, "20261120", "20261120T040000Z", "us-east-1", "ssm", (), f"{random_like:016x}".encode()
            )
            replays.admit(one, NAMED, source="", target=PUT, now=NOW + number * 0.01)
        cost = (tracemalloc.get_traced_memory()[0] - before) / 60_000
    finally:
        tracemalloc.stop()
    assert cost < 40, cost


async def test_the_endpoint_serves_a_signed_request_once():
    """The second time nothing is done, and the refusal says what to do; another call of the same second is served."""
    bench = Bench()
    endpoint = bench.endpoint({PUT: {"Version": 1, "Tier": "Standard"}})
    request = signed(PUT, {"Name": "a", "Value": "b", "Type": "String"})
    first, second = await call(endpoint, *request), await call(endpoint, *request)
    assert (first.status, second.status, second.code) == (200, 400, "InvalidSignatureException")
    assert second.json["message"] == (
        "Signature was used already: every request needs one of its own. Sign the request again."
    )
    other = await call(endpoint, *signed(PUT, {"Name": "a", "Value": "b", "Type": "String"}))
    assert other.status == 200
    assert len(bench.seen) == 2


async def test_a_request_that_failed_to_prove_itself_uses_nothing_up():
    """Nobody spoils another's request by sending its signature with another body first."""
    bench = Bench()
    endpoint = bench.endpoint({LIST: {}})
    headers, body = signed(LIST, {"MaxResults": 5})
    spoiled = await call(endpoint, {**headers, "content-length": "2"}, b"{}")
    assert spoiled.code == "InvalidSignatureException"
    assert (await call(endpoint, headers, body)).status == 200


@pytest.mark.parametrize("minutes", [1, 15, 60])
async def test_the_clock_skew_window_is_as_configured(minutes):
    """Signatures are good for so many minutes to either side."""
    bench = Bench()
    endpoint = bench.endpoint({LIST: {}}, bounds=Bounds(clock_skew=minutes * 60.0))
    for off, served in (
        (-minutes * 60, True),
        (minutes * 60, True),
        (-minutes * 60 - 1, False),
        (minutes * 60 + 1, False),
    ):
        answer = await call(endpoint, *signed(LIST, at=NOW + off))
        assert (answer.status == 200) is served, off
        assert served or f"{minutes} min." in answer.json["message"]


async def test_a_nodes_poll_cannot_be_repeated_by_somebody_else():
    """A recorded GetMessages would take a node's commands away from it."""
    bench = Bench(clock=FakeClock(NOW))
    target = "EC2WindowsMessageDeliveryService.GetMessages"
    answer = {
        "Messages": [],
        "Destination": NODE_KEY.instance_id,
        "MessagesRequestId": "00000000-0000-4000-8000-000000000000",
    }
    endpoint = bench.endpoint({target: answer})
    question = {
        "Destination": NODE_KEY.instance_id,
        "MessagesRequestId": "00000000-0000-4000-8000-000000000000",
        "VisibilityTimeoutInSeconds": 10,
    }
    request = signed(target, question, key=NODE_KEY)
    assert (await call(endpoint, *request)).status == 200
    bench.clock.time += 30
    assert (await call(endpoint, *request)).code == "InvalidSignatureException"
