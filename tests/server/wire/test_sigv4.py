# SPDX-License-Identifier: Apache-2.0
"""Signatures: botocore's are accepted, and nothing that differs from what was signed."""

from __future__ import annotations

import datetime
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchwright.server.wire import ApiError, Credential, Verifier, fold_headers, signing_key
from patchwright.server.wire.sigv4 import KEPT_SIGNING_KEYS
from server.clocks import FakeClock
from server.wire.client import NODE_KEY, NOW, USER_KEY, Bench, Headers, signed

TARGET = "AmazonSSM.GetPatchBaseline"
BODY = b'{"BaselineId":"pb-0123456789abcdef0"}'


async def verify(
    headers: Headers | list[tuple[str, str]], body: bytes, *, now: float = NOW, service: str = "ssm", query: str = ""
) -> Credential:
    """Both halves, as the endpoint takes them. Raises ApiError."""
    verifier = Verifier(Bench().lookup, FakeClock(now).now)
    pairs = headers.items() if isinstance(headers, dict) else headers
    folded = fold_headers((name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs)
    claim = await verifier.claim(folded, service=service)
    verifier.verify(claim, folded, body, query=query)
    return claim.credential


async def refusal(headers: Headers | list[tuple[str, str]], body: bytes = BODY, **options: object) -> tuple[str, str]:
    with pytest.raises(ApiError) as refused:
        await verify(headers, body, **options)  # type: ignore[arg-type]
    assert refused.value.status == 400
    return refused.value.code, refused.value.message


def authorization(headers: Headers, old: str, new: str) -> Headers:
    assert old in headers["authorization"]
    return {**headers, "authorization": headers["authorization"].replace(old, new)}


async def test_a_request_signed_by_botocore_is_verified():
    """The key's owner is the author."""
    headers, body = signed(TARGET, BODY)

    assert await verify(headers, body) == USER_KEY


@given(
    body=st.binary(max_size=300),
    extra=st.dictionaries(
        st.from_regex(r"\AX-[A-Za-z]{1,8}\Z"),
        st.text(st.characters(codec="ascii", categories=["L", "N", "P", "Zs"])),
        max_size=3,
    ),
    at=st.integers(0, 3_000_000_000),
    region=st.sampled_from(["us-east-1", "eu-central-1", "us-gov-west-1", "local"]),
)
async def test_whatever_botocore_signs_is_verified(body, extra, at, region):
    """Any body, further headers with odd blanks, any second, any region."""
    extra = {name: value.strip() or "x" for name, value in {key.lower(): one for key, one in extra.items()}.items()}
    headers, sent = signed(TARGET, body, more=extra, at=at, region=region)

    assert await verify(headers, sent, now=at) == USER_KEY


async def test_the_key_is_derived_as_the_specification_derives_it():
    """Written out once more, from the text of the specification."""
    key = b"AWS4user-secret"
    for part in (b"20261120", b"us-east-1", b"ssm", b"aws4_request"):
        key = hmac.new(key, part, hashlib.sha256).digest()

    assert signing_key("user-secret", "20261120", "us-east-1", "ssm") == key


@pytest.mark.parametrize("separator", [", ", ",", ",  "])
async def test_the_parts_may_be_separated_and_ordered_differently(separator):
    """Clients differ in blanks, and may in order."""
    headers, body = signed(TARGET, BODY)
    algorithm, _, rest = headers["authorization"].partition(" ")
    parts = [part.strip() for part in rest.split(",")]

    for order in (parts, parts[::-1]):
        assert await verify({**headers, "authorization": f"{algorithm} {separator.join(order)}"}, body)


async def test_a_date_header_will_do_where_there_is_no_x_amz_date():
    """RFC 1123, signed; the older form of the protocol."""
    names = ["date", "host", "x-amz-target"]
    headers = {"date": "Fri, 20 Nov 2026 04:00:00 GMT", "host": "patchwright.test", "x-amz-target": TARGET}
    lines = [
        "POST",
        "/",
        "",
        *(f"{name}:{headers[name]}" for name in names),
        "",
        ";".join(names),
        hashlib.sha256(BODY).hexdigest(),
    ]
    canonical = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    scope = "20261120/us-east-1/ssm/aws4_request"
    text = f"AWS4-HMAC-SHA256\n20261120T040000Z\n{scope}\n{canonical}"
    signature = hmac.digest(signing_key(USER_KEY.secret, *scope.split("/")[:3]), text.encode(), "sha256").hex()
    value = f"AWS4-HMAC-SHA256 Credential={USER_KEY.access_key_id}/{scope}, SignedHeaders={';'.join(names)}, Signature={signature}"

    assert await verify({**headers, "authorization": value}, BODY) == USER_KEY
    code, _ = await refusal({**headers, "authorization": value, "date": "Fri, 99 Nov 2026"})
    assert code == "IncompleteSignatureException"


# -- what was changed after signing


@pytest.mark.parametrize("changed", [BODY + b" ", b"{}", b"", BODY.replace(b"0", b"1", 1)])
async def test_another_body_is_refused(changed):
    """One byte is enough."""
    headers, _ = signed(TARGET, BODY)

    code, message = await refusal(headers, changed)

    assert code == "InvalidSignatureException"
    assert message.startswith("The request signature we calculated does not match the signature you provided.")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-amz-target", "AmazonSSM.DeletePatchBaseline"),
        ("host", "elsewhere.test"),
        ("content-type", "text/plain"),
        ("x-more", "2"),
    ],
)
async def test_another_value_of_a_signed_header_is_refused(name, value):
    """Whatever was signed stays."""
    headers, body = signed(TARGET, BODY, more={"X-More": "1"})
    assert name in headers

    assert (await refusal({**headers, name: value}, body))[0] == "InvalidSignatureException"


async def test_a_query_that_was_not_signed_is_refused():
    """The query is part of what is signed."""
    headers, body = signed(TARGET, BODY)

    assert (await refusal(headers, body, query="Action=DeleteEverything"))[0] == "InvalidSignatureException"


@pytest.mark.parametrize(
    ("old", "new"),
    [("us-east-1/ssm", "eu-west-1/ssm"), (USER_KEY.access_key_id, NODE_KEY.access_key_id), ("content-type;", "")],
)
async def test_another_scope_key_or_list_of_headers_is_refused(old, new):
    """The signature covers them too."""
    headers, body = signed(TARGET, BODY)

    assert (await refusal(authorization(headers, old, new), body))[0] == "InvalidSignatureException"


@pytest.mark.parametrize(
    "signature",
    ["0" * 64, "A" * 64, "é", "AS3+EyMILk/zHL/Rw==", "", "0", "f" * 100_000, "\x00"],
    ids=lambda one: repr(one[:8]),
)
async def test_a_made_up_signature_is_refused(signature):
    """Of any length and alphabet; base64, as an RSA signature is written, is read whole and then refused."""
    headers, body = signed(TARGET, BODY)
    front = headers["authorization"].rpartition("Signature=")[0]

    code, _ = await refusal({**headers, "authorization": f"{front}Signature={signature}"}, body)

    assert code == ("InvalidSignatureException" if signature else "IncompleteSignatureException")


async def test_the_wrong_secret_is_refused():
    """Knowing a key's id is not enough."""
    thief = Credential(USER_KEY.access_key_id, "guessed", USER_KEY.account, USER_KEY.principal)
    headers, body = signed(TARGET, BODY, key=thief)

    assert (await refusal(headers, body))[0] == "InvalidSignatureException"


# -- who and where


async def test_an_unknown_key_is_not_recognized():
    """The text is AWS's."""
    headers, body = signed(TARGET, BODY, key=Credential("AKIANOBODY", "x", "", ""))

    assert await refusal(headers, body) == (
        "UnrecognizedClientException",
        "The security token included in the request is invalid.",
    )


async def test_a_node_s_key_is_good_in_its_region_only():
    """Elsewhere it is as unknown as any other, even when signed rightly."""
    target = "EC2WindowsMessageDeliveryService.GetMessages"
    here, body = signed(target, BODY, key=NODE_KEY)
    elsewhere, _ = signed(target, BODY, key=NODE_KEY, region="eu-west-1")

    assert await verify(here, body, service="ec2messages") == NODE_KEY
    assert (await refusal(elsewhere, body, service="ec2messages"))[0] == "UnrecognizedClientException"


async def test_a_session_token_is_not_recognized():
    """No key of ours has one; AWS refuses a token that does not belong to the key."""
    headers, body = signed(TARGET, BODY, more={"X-Amz-Security-Token": "FwoGZXIvYXdz"})

    assert (await refusal(headers, body))[0] == "UnrecognizedClientException"


async def test_a_token_that_was_not_signed_is_refused():
    """Whoever carries a request could have put it there."""
    headers, body = signed(TARGET, BODY)
    code, text = await refusal({**headers, "x-amz-security-token": "FwoGZXIvYXdz"}, body)

    assert code == "InvalidSignatureException"
    assert "'x-amz-security-token' must be a 'SignedHeader'" in text


@pytest.mark.parametrize(("now", "code"), [(NOW, None), (NOW + 59, None), (NOW + 60, "ExpiredTokenException")])
async def test_a_session_s_key_is_found_by_its_token_and_good_for_its_time(now, code):
    """The clock decides at every request, whenever the session was looked up."""
    session = Credential("ASIA1", "session-secret", "000000000001", "arn:someone", expires_at=NOW + 60)
    headers, body = signed(TARGET, BODY, key=session, more={"X-Amz-Security-Token": "token"}, at=now)
    asked = []

    async def sessions(key_id, token):
        asked.append((key_id, token))
        return session

    verifier = Verifier(Bench().lookup, FakeClock(now).now, sessions=sessions)
    folded = fold_headers((name.encode(), value.encode()) for name, value in headers.items())
    if code is None:
        verifier.verify(await verifier.claim(folded, service="ssm"), folded, body)
    else:
        with pytest.raises(ApiError) as refused:
            await verifier.claim(folded, service="ssm")
        assert refused.value.code == code
    assert asked == [("ASIA1", "token")]


async def test_a_signature_for_another_service_is_refused():
    """The scope names the service that the target belongs to."""
    headers, body = signed(TARGET, BODY, service="sts")

    assert await refusal(headers, body) == (
        "InvalidSignatureException",
        "Credential should be scoped to correct service: 'ssm'.",
    )


@pytest.mark.parametrize("region", ["", "US-EAST-1", "us_east_1", "a" * 33, "us-east-1'--", "é"])
async def test_a_region_no_one_could_have_is_refused(region):
    """Regions are stored: only what looks like one gets that far."""
    headers, body = signed(TARGET, BODY)

    code, _ = await refusal(authorization(headers, "/us-east-1/", f"/{region}/"), body)

    assert code == "InvalidSignatureException"


async def test_no_key_is_looked_up_before_the_headers_are_in_order():
    """A lookup costs; what is refused anyway does not reach it."""
    bench = Bench()
    verifier = Verifier(bench.lookup, FakeClock(NOW + 3600).now)
    headers, _ = signed(TARGET, BODY)
    with pytest.raises(ApiError):
        await verifier.claim({name.encode(): value.encode() for name, value in headers.items()}, service="ssm")

    assert bench.lookups == []


# -- when


@pytest.mark.parametrize("offset", [-900, -899, 0, 899, 900])
async def test_fifteen_minutes_either_way_are_allowed(offset):
    """Both ends belong to the window."""
    headers, body = signed(TARGET, BODY, at=NOW + offset)

    assert await verify(headers, body)


@pytest.mark.parametrize(
    ("offset", "message"),
    [
        (-901, "Signature expired: 20261120T034459Z is now earlier than 20261120T034500Z (20261120T040000Z - 15 min.)"),
        (
            901,
            "Signature not yet current: 20261120T041501Z is still later than 20261120T041500Z (20261120T040000Z + 15 min.)",
        ),
    ],
)
async def test_a_second_more_is_not(offset, message):
    """The text tells both times."""
    headers, body = signed(TARGET, BODY, at=NOW + offset)

    assert await refusal(headers, body) == ("InvalidSignatureException", message)


async def test_the_window_reaches_over_midnight():
    """The scope's day is the request's, not the server's."""
    midnight = datetime.datetime(2026, 11, 21, tzinfo=datetime.UTC).timestamp()
    headers, body = signed(TARGET, BODY, at=midnight - 60)

    assert await verify(headers, body, now=midnight + 60)


async def test_the_scope_s_day_is_the_request_s_day():
    """A key of yesterday does not sign today."""
    headers, body = signed(TARGET, BODY)

    code, message = await refusal(authorization(headers, "/20261120/", "/20261119/"), body)

    assert code == "InvalidSignatureException"
    assert message.startswith("Date in Credential scope does not match")


@pytest.mark.parametrize(
    "value",
    ["", "now", "20261120", "2026-11-20T04:00:00Z", "20261320T040000Z", "20261120T040000+", "2026W475T040000Z", "٢٠٢٦1120T040000Z".encode().decode("latin-1"), "20261120T040000Z ", "20261120T240000Z", "20261120t040000z"],
)  # fmt: skip
async def test_a_time_that_is_none_is_refused(value):
    """Only the basic form of ISO 8601, in UTC."""
    headers, body = signed(TARGET, BODY)

    assert (await refusal({**headers, "x-amz-date": value}, body))[0] == "IncompleteSignatureException"


# -- what has to be signed


def resigned(without: str) -> Headers:
    """A right signature that leaves the header *without* unsigned."""
    headers, body = signed(TARGET, BODY)
    names = [name for name in ("content-type", "host", "x-amz-date", "x-amz-target") if name != without]
    lines = [
        "POST",
        "/",
        "",
        *(f"{name}:{headers[name]}" for name in names),
        "",
        ";".join(names),
        hashlib.sha256(body).hexdigest(),
    ]
    scope = "20261120/us-east-1/ssm/aws4_request"
    text = f"AWS4-HMAC-SHA256\n20261120T040000Z\n{scope}\n{hashlib.sha256(chr(10).join(lines).encode()).hexdigest()}"
    signature = hmac.digest(signing_key(USER_KEY.secret, *scope.split("/")[:3]), text.encode(), "sha256").hex()
    value = f"AWS4-HMAC-SHA256 Credential={USER_KEY.access_key_id}/{scope}, SignedHeaders={';'.join(names)}, Signature={signature}"
    return {**headers, "authorization": value}


@pytest.mark.parametrize("name", ["host", "x-amz-target", "x-amz-date"])
async def test_what_decides_the_request_has_to_be_signed(name):
    """Otherwise a signed request could be sent elsewhere, later, or mean something else."""
    assert await refusal(resigned(name)) == (
        "InvalidSignatureException",
        f"'{name}' must be a 'SignedHeader' in the AWS Authorization.",
    )


async def test_other_headers_need_not_be():
    """Amazon's agent sends some that it does not sign."""
    assert await verify(resigned("content-type"), BODY)
    assert await verify({**resigned("content-type"), "x-amz-content-sha256": hashlib.sha256(BODY).hexdigest()}, BODY)


@pytest.mark.parametrize("value", ["UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "0" * 64, ""])
async def test_a_payload_hash_that_is_not_the_body_s_is_refused(value):
    """Signed or not: unsigned and streamed payloads are not accepted."""
    plain, body = signed(TARGET, BODY)
    covered, _ = signed(TARGET, BODY, more={"X-Amz-Content-SHA256": value})

    assert (await refusal({**plain, "x-amz-content-sha256": value}, body))[0] == "InvalidSignatureException"
    assert (await refusal(covered, body))[0] == "InvalidSignatureException"


@pytest.mark.parametrize(
    "name",
    ["x-amz-target", "x-amz-date", "host", "authorization", "content-type", "content-encoding", "x-amz-content-sha256"],
)
async def test_a_header_that_decides_is_given_once(name):
    """Two of them could be read as one by us and as the other by someone in front of us."""
    headers, body = signed(TARGET, BODY)
    pairs = [*({name: "x", **headers}).items(), (name, headers.get(name, "x"))]

    code, message = await refusal(pairs, body)

    assert (code, message) == ("InvalidSignatureException", f"The header '{name}' is given more than once.")


async def test_other_repeated_headers_are_joined_as_signed():
    """The canonical form of a repeated header is its values with commas; blanks inside shrink to one."""
    headers, body = signed(TARGET, BODY, more={"X-More": "a,b   c"})
    apart = [(name, value) for name, value in headers.items() if name != "x-more"]

    assert await verify([*apart, ("x-more", "a"), ("x-more", "b \t c")], body)
    assert (await refusal([*apart, ("x-more", "b c"), ("x-more", "a")], body))[0] == "InvalidSignatureException"


# -- what cannot be read


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, "MissingAuthenticationTokenException"),
        ("", "MissingAuthenticationTokenException"),
        ("Bearer token", "IncompleteSignatureException"),
        ("AWS4-HMAC-SHA256", "IncompleteSignatureException"),
        ("AWS4-HMAC-SHA256 ", "IncompleteSignatureException"),
        ("AWS4-HMAC-SHA256 Credential=a/20261120/us-east-1/ssm/aws4_request", "IncompleteSignatureException"),
        ("AWS4-HMAC-SHA256 Credential=a, SignedHeaders=host;x-amz-target, Signature=1", "IncompleteSignatureException"),
        ("AWS4-HMAC-SHA256 Credential=a/b/20261120/us-east-1/ssm/aws4_request, SignedHeaders=host, Signature=1", "IncompleteSignatureException"),
        ("AWS4-HMAC-SHA256 Credential=a/20261120/us-east-1/ssm/aws5_request, SignedHeaders=host, Signature=1", "InvalidSignatureException"),
        ("AWS4-ECDSA-P256-SHA256 Credential=a/20261120/us-east-1/ssm/aws4_request, SignedHeaders=host, Signature=1", "IncompleteSignatureException"),
        ("AWS4-HMAC-SHA256 Credential=a/20261120/us-east-1/ssm/aws4_request, SignedHeaders=host, Signature=1, Signature=2", "IncompleteSignatureException"),
        ("AWS4-HMAC-SHA256 Credential=a/20261120/us-east-1/ssm/aws4_request, SignedHeaders=x-amz-target;host, Signature=1", "IncompleteSignatureException"),
        ("AWS4-HMAC-SHA256 Credential=a/20261120/us-east-1/ssm/aws4_request, SignedHeaders=host;host, Signature=1", "IncompleteSignatureException"),
        ("AWS4-HMAC-SHA256 Credential=a/20261120/us-east-1/ssm/aws4_request, SignedHeaders=Host, Signature=1", "IncompleteSignatureException"),
        ("AWS4-HMAC-SHA256 Credential=a/20261120/us-east-1/ssm/aws4_request, SignedHeaders=host;nowhere, Signature=1", "IncompleteSignatureException"),
        ("AWS4-HMAC-SHA256 Credential=\xff/20261120/us-east-1/ssm/aws4_request, SignedHeaders=host;x-amz-date;x-amz-target, Signature=1", "UnrecognizedClientException"),
        ("AWS4-HMAC-SHA256 " + "," * 50_000, "IncompleteSignatureException"),
    ],
)  # fmt: skip
async def test_an_authorization_that_is_not_one_is_refused(value, code):
    """Each with AWS's code; never with a failure of ours."""
    headers, body = signed(TARGET, BODY)
    del headers["authorization"]
    if value is not None:
        headers["authorization"] = value

    assert (await refusal(headers, body))[0] == code


async def test_what_is_missing_is_named():
    """All of it."""
    headers, _ = signed(TARGET, BODY)

    _, message = await refusal({**headers, "authorization": "AWS4-HMAC-SHA256 SignedHeaders=host"})

    assert (
        message
        == "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter."
    )


@given(st.text(st.characters(max_codepoint=255), max_size=120))
async def test_no_authorization_at_all_breaks_the_verifier(text):
    """Whatever stands there is refused."""
    headers, body = signed(TARGET, BODY)

    for value in (text, f"AWS4-HMAC-SHA256 {text}", headers["authorization"][:40] + text):
        code, _ = await refusal({**headers, "authorization": value}, body)
        assert code.endswith("Exception")


# -- keys


async def test_a_new_secret_counts_at_once():
    """Signing keys are remembered by secret: one that was replaced signs nothing more."""
    secrets = ["user-secret"]

    async def lookup(access_key_id: str) -> Credential:
        return Credential(access_key_id, secrets[-1], "1", "arn")

    verifier = Verifier(lookup, FakeClock(NOW).now)
    headers, body = signed(TARGET, BODY)
    folded = {name.encode(): value.encode() for name, value in headers.items()}
    verifier.verify(await verifier.claim(folded, service="ssm"), folded, body)
    secrets.append("replaced")

    with pytest.raises(ApiError):
        verifier.verify(await verifier.claim(folded, service="ssm"), folded, body)


async def test_remembered_keys_are_bounded():
    """Regions are free to name: nobody makes the server remember without end."""
    verifier = Verifier(Bench().lookup, FakeClock(NOW).now, kept_keys=3)
    for number in range(10):
        headers, body = signed(TARGET, BODY, region=f"region-{number}")
        folded = {name.encode(): value.encode() for name, value in headers.items()}
        verifier.verify(await verifier.claim(folded, service="ssm"), folded, body)

    assert verifier._signing_key.cache_info().currsize == 3
    assert KEPT_SIGNING_KEYS < 100_000


def test_neither_credential_nor_claim_shows_its_secret():
    """In a log or a traceback."""
    assert "user-secret" not in repr(USER_KEY)


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/v1/control-channel/mi-0123456789abcdef0", ""),
        ("/a b/c", "role=publish_subscribe&stream=input"),
        ("/", "b=2&a=1&a=0&c&d=%2F+x"),
    ],
)
async def test_paths_and_queries_of_channels_are_verified(path, query):
    """What is not `POST /` is signed the same way."""
    from urllib.parse import quote

    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    sent_path = quote(path)
    request = AWSRequest(method="GET", url=f"http://patchwright.test{sent_path}?{query}", headers={}, data=b"")
    SigV4Auth(Credentials(USER_KEY.access_key_id, USER_KEY.secret), "ssmmessages", "us-east-1").add_auth(request)
    headers = {name.lower().encode(): str(value).encode() for name, value in request.headers.items()} | {
        b"host": b"patchwright.test"
    }
    now = datetime.datetime.strptime(request.headers["X-Amz-Date"], "%Y%m%dT%H%M%S%z").timestamp()
    verifier = Verifier(Bench().lookup, FakeClock(now).now)

    claim = await verifier.claim(headers, service="ssmmessages")
    verifier.verify(claim, headers, b"", method="GET", path=sent_path, query=query)
    with pytest.raises(ApiError):
        verifier.verify(claim, headers, b"", method="GET", path=sent_path + "x", query=query)
