# SPDX-License-Identifier: Apache-2.0
"""
Signature Version 4: who signed this request, and is it as they signed it?

Verification has two halves so that nobody unknown makes the server read a body: `Verifier.claim` reads the headers and
looks the key up, `Verifier.verify` needs the body. Error codes and texts are AWS's (spec §0.4).
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from urllib.parse import quote

from patchwright.server.accounts import Principal, public_keys

from .errors import ApiError, expired_token, incomplete_signature, invalid_signature, unrecognized_client

WINDOW = 15 * 60.0  # seconds a signature's time may differ from ours, in either direction, unless told otherwise
ALGORITHM = b"AWS4-HMAC-SHA256"
KEPT_SIGNING_KEYS = 8192

# Headers that decide what a request means: a second one is refused rather than joined.
SINGLE = frozenset(
    {
        b"authorization", b"content-encoding", b"content-length", b"content-type", b"date", b"host",
        b"transfer-encoding", b"x-amz-content-sha256", b"x-amz-date", b"x-amz-security-token", b"x-amz-target",
    }
)  # fmt: skip
MUST_SIGN = (b"host", b"x-amz-target")
TOKEN = b"x-amz-security-token"
S3 = "s3"
UNSIGNED = b"UNSIGNED-PAYLOAD"  # what a client of S3 may sign in the place of a body's digest: TLS protects it
_REGION = re.compile(r"[a-z0-9-]{1,32}", re.ASCII)
_SERVICE = re.compile(rb"Credential=[^/,]*/[^/,]*/[^/,]*/([a-z0-9-]{1,64})/aws4_request")
_KEY = re.compile(rb"Credential=([A-Za-z0-9_-]{1,128})/")
_MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)


@dataclass(frozen=True, slots=True)
class Credential:
    """
    A key pair and whose it is.

    *kind* is "user" or "node". *region* binds the key to one region (a node's); None is valid in every region.
    *principal* is an ARN. *instance_id* is a node's `mi-…`. *identity* says more of whose it is; a session's key is good
    until *expires_at* (epoch seconds). Who has *public_keys* signs with the private key of one of them, and has no secret.
    """

    access_key_id: str
    secret: str = field(repr=False)
    account: str
    principal: str
    kind: str = "user"
    region: str | None = None
    instance_id: str | None = None
    identity: Principal | None = None
    expires_at: float | None = None
    public_keys: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Claim:
    """What a request's headers claim, with the credential they name. Nothing is proved before `Verifier.verify`."""

    credential: Credential
    date: str
    timestamp: str
    region: str
    service: str
    signed_headers: tuple[bytes, ...]
    signature: bytes = field(repr=False)

    @property
    def number(self) -> int:
        """The signature, once it is proved, as a number from 1 to 2⁶⁴-1, as good as its own."""
        if not self.credential.public_keys:
            return int(self.signature[:16], 16) or 1
        content = public_keys.signature_bytes(self.signature)  # which may be written in more than one way
        return int.from_bytes(hashlib.sha256(content).digest()[:8], "big") or 1


Lookup = Callable[[str], Awaitable[Credential | None]]
# The credential of a session's key and its token, or None; raises `expired_token` where its time is over.
SessionLookup = Callable[[str, str], Awaitable[Credential | None]]


async def no_sessions(_access_key_id: str, _token: str) -> Credential | None:
    """Knows no session."""
    return None


def fold_headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """ASGI's header list (names in lower case) as a mapping. Repeats are joined with commas, or refused (`SINGLE`)."""
    raw = list(raw)
    headers = dict(raw)
    if len(headers) == len(raw):
        return headers
    headers = {}
    for name, value in raw:
        if name not in headers:
            headers[name] = value
        elif name in SINGLE:
            raise invalid_signature(f"The header '{name.decode('latin-1')}' is given more than once.")
        else:
            headers[name] += b"," + value
    return headers


def signed_service(headers: Mapping[bytes, bytes]) -> str | None:
    """The service that a request says it is signed for. Nothing about it is proved, nor its form."""
    found = _SERVICE.search(headers.get(b"authorization", b""))
    return found[1].decode() if found else None


def signed_key(headers: Mapping[bytes, bytes]) -> str:
    """The access key that a request says it is signed with; empty where it says none. Nothing about it is proved."""
    found = _KEY.search(headers.get(b"authorization", b""))
    return found[1].decode() if found else ""


class Verifier:
    """
    Verifies requests signed with the keys that *lookup* knows, at the time that *now* tells (epoch seconds).

    Those that carry a session token are signed with keys that *sessions* knows. *window*: how many seconds a signature's
    time may differ from ours, in either direction.
    """

    def __init__(
        self,
        lookup: Lookup,
        now: Callable[[], float],
        *,
        sessions: SessionLookup = no_sessions,
        kept_keys: int = KEPT_SIGNING_KEYS,
        window: float = WINDOW,
    ) -> None:
        self._lookup = lookup
        self._sessions = sessions
        self._now = now
        self._window = window
        self._signing_key = lru_cache(maxsize=kept_keys)(signing_key)

    async def claim(self, headers: Mapping[bytes, bytes], *, service: str) -> Claim:
        """
        Read the claim of *headers*: complete, in time, for *service*, by a key that exists.

        Raises ApiError: MissingAuthenticationTokenException, IncompleteSignatureException, InvalidSignatureException,
        UnrecognizedClientException, ExpiredTokenException.
        """
        access_key_id, scope, signed, signature = _read_authorization(headers)
        date, region, scoped_service = scope
        timestamp = _timestamp(headers, signed)
        _check_time(timestamp, self._now(), self._window)
        if date != timestamp[:8]:
            raise invalid_signature(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
                f"'{date}' != '{timestamp[:8]}', from '{timestamp}'."
            )
        if scoped_service != service:
            raise invalid_signature(f"Credential should be scoped to correct service: '{service}'.")
        if not _REGION.fullmatch(region):
            raise invalid_signature("Credential should be scoped to a valid region.")
        credential = await self._credential(access_key_id, headers, signed)
        if credential is None or credential.region not in {None, region}:
            raise unrecognized_client()
        return Claim(credential, date, timestamp, region, service, signed, signature)

    async def _credential(
        self, access_key_id: str, headers: Mapping[bytes, bytes], signed: tuple[bytes, ...]
    ) -> Credential | None:
        token = headers.get(TOKEN)
        if token is None:
            return await self._lookup(access_key_id)
        if TOKEN not in signed:
            raise invalid_signature(f"'{TOKEN.decode()}' must be a 'SignedHeader' in the AWS Authorization.")
        credential = await self._sessions(access_key_id, token.decode("latin-1"))
        if credential is not None and credential.expires_at is not None and credential.expires_at <= self._now():
            raise expired_token()
        return credential

    def verify(
        self,
        claim: Claim,
        headers: Mapping[bytes, bytes],
        body: bytes | None,
        *,
        method: str = "POST",
        path: str = "/",
        query: str = "",
    ) -> str:
        """
        Prove *claim*: the request and its *body* are what the owner of the key signed.

        *path* and *query* are as sent (percent-encoded). Without a body (None) what the headers say of it is taken for true:
        before a large one is read, its signer is known; then it has to be verified with it. Returns which of the owner's public keys proves it; empty where
        there are none. Raises InvalidSignatureException.
        """
        declared = headers.get(b"x-amz-content-sha256")
        of_s3 = claim.service == S3
        digest = declared or b"" if body is None else hashlib.sha256(body).hexdigest().encode()
        if of_s3 and declared == UNSIGNED:
            digest = UNSIGNED
        elif declared is not None and declared != digest:
            raise invalid_signature(
                "The provided 'x-amz-content-sha256' header does not match what was computed. Unsigned and streamed "
                "payloads are not accepted."
            )
        lines = [method.encode(), path.encode() if of_s3 else _canonical_path(path), _canonical_query(query)]
        for name in claim.signed_headers:
            value = headers[name]
            lines.append(
                name + b":" + (b" ".join(value.split()) if b"  " in value or b"\t" in value else value.strip())
            )
        lines += (b"", b";".join(claim.signed_headers), digest)
        canonical = hashlib.sha256(b"\n".join(lines)).hexdigest()
        to_sign = f"AWS4-HMAC-SHA256\n{claim.timestamp}\n{claim.date}/{claim.region}/{claim.service}/aws4_request\n{canonical}"
        if claim.credential.public_keys:
            return _asymmetric(claim, to_sign.encode())
        key = self._signing_key(claim.credential.secret, claim.date, claim.region, claim.service)
        expected = hmac.digest(key, to_sign.encode(), "sha256").hex().encode()
        if not hmac.compare_digest(expected, claim.signature):
            raise invalid_signature(_MISMATCH)
        return ""


def _asymmetric(claim: Claim, to_sign: bytes) -> str:
    """As amazon-ssm-agent signs with a node's own key: Signature Version 4 but for its last step (spec agent-protocol §3.3)."""
    found = public_keys.signer(claim.credential.public_keys, claim.signature, to_sign)
    if not found:
        raise invalid_signature(_MISMATCH)
    return found


def signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    """The key that signs for one UTC day (`YYYYMMDD`), region and service."""
    key = b"AWS4" + secret.encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def _read_authorization(headers: Mapping[bytes, bytes]) -> tuple[str, tuple[str, str, str], tuple[bytes, ...], bytes]:
    """Access key id, (date, region, service), signed header names, signature."""
    value = headers.get(b"authorization")
    if not value:
        raise ApiError("MissingAuthenticationTokenException", "Request is missing Authentication Token")
    algorithm, _, rest = value.partition(b" ")
    if algorithm != ALGORITHM:
        raise incomplete_signature("Authorization header requires the algorithm 'AWS4-HMAC-SHA256'.")
    parts: dict[bytes, bytes] = {}
    for piece in rest.split(b","):
        # Only the first "=" separates: a base64 signature has its own.
        name, _, part = piece.strip().partition(b"=")
        if name in parts:
            raise incomplete_signature("Authorization header names a parameter twice.")
        parts[name] = part
    absent = [name for name in ("Credential", "SignedHeaders", "Signature") if not parts.get(name.encode())]
    if absent:
        raise incomplete_signature(" ".join(f"Authorization header requires '{name}' parameter." for name in absent))
    scope = parts[b"Credential"].decode("latin-1").split("/")
    if len(scope) != 5:  # key id, date, region, service, terminator
        raise incomplete_signature(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term."
        )
    if scope[4] != "aws4_request":
        raise invalid_signature("Credential should be scoped with a valid terminator: 'aws4_request'.")
    signed = tuple(parts[b"SignedHeaders"].split(b";"))
    _check_signed_headers(signed, headers)
    return scope[0], (scope[1], scope[2], scope[3]), signed, parts[b"Signature"]


def _check_signed_headers(signed: tuple[bytes, ...], headers: Mapping[bytes, bytes]) -> None:
    """The list is canonical, everything on it was sent, and what decides the request's meaning is on it."""
    if list(signed) != sorted(set(signed)):
        raise incomplete_signature("SignedHeaders must be in lower case, sorted, and name each header once.")
    for name in signed:
        if name not in headers:
            raise incomplete_signature(
                f"'{name.decode('latin-1')}' is named as a SignedHeader, but it does not exist in the HTTP request"
            )
    for name in MUST_SIGN:
        if name not in signed and (name in headers or name == b"host"):
            raise invalid_signature(f"'{name.decode()}' must be a 'SignedHeader' in the AWS Authorization.")


def _timestamp(headers: Mapping[bytes, bytes], signed: tuple[bytes, ...]) -> str:
    """The time of the request as `YYYYMMDDTHHMMSSZ`, from a signed X-Amz-Date or, where there is none, Date."""
    name = b"x-amz-date" if b"x-amz-date" in headers else b"date"
    value = headers.get(name, b"").decode("latin-1")
    if not value:
        raise incomplete_signature(
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."
        )
    if name not in signed:
        raise invalid_signature(f"'{name.decode()}' must be a 'SignedHeader' in the AWS Authorization.")
    if name == b"date" and "," in value:
        try:
            value = parsedate_to_datetime(value).astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
        except (ValueError, OverflowError, TypeError):
            raise incomplete_signature("Date must be in the form of RFC 1123 or ISO-8601 basic.") from None
    return value


def _check_time(timestamp: str, now: float, window: float) -> None:
    try:
        digits = timestamp[:8] + timestamp[9:15]
        if (
            len(timestamp) != 16
            or timestamp[8] != "T"
            or timestamp[15] != "Z"
            or not (digits.isascii() and digits.isdigit())
        ):
            raise ValueError(timestamp)
        signed_at = datetime.fromisoformat(timestamp).timestamp()
    except ValueError:
        raise incomplete_signature("Date must be in ISO-8601 'basic format', e.g. 20261120T042153Z.") from None
    if signed_at < now - window:
        raise invalid_signature(
            f"Signature expired: {timestamp} is now earlier than {_basic(now - window)} ({_basic(now)} - {window / 60:g} min.)"
        )
    if signed_at > now + window:
        raise invalid_signature(
            f"Signature not yet current: {timestamp} is still later than {_basic(now + window)} ({_basic(now)} + {window / 60:g} min.)"
        )


def _basic(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y%m%dT%H%M%SZ")


def _canonical_path(path: str) -> bytes:
    """Every service but S3 signs the path as sent, encoded once more."""
    return b"/" if path == "/" else quote(path, safe="/~").encode()


def _canonical_query(query: str) -> bytes:
    """Names and values as sent (SDKs send them encoded as they sign them), in order."""
    pairs = sorted(part.partition("=")[::2] for part in query.split("&") if part)
    return "&".join(f"{name}={value}" for name, value in pairs).encode("latin-1")
