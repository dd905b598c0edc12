# SPDX-License-Identifier: Apache-2.0
"""
What amazon-ssm-agent puts on the wire, written from what its requests look like (docs/reference/spec/agent-protocol.md).

Signing is done here from the specification, on its own: what the server reads is not checked with the server's own code.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

USER_AGENT = "aws-sdk-go/1.51.20 (go1.27.3; linux; amd64) amazon-ssm-agent/3.3.0.0"
JSON_TYPE = "application/x-amz-json-1.1"
MESSAGES = "EC2WindowsMessageDeliveryService"
CLIENT_SECONDS = 20.0  # Mds.StopTimeoutMillis: the agent gives a poll up after that
Sign = Callable[[str], str]


class Refused(Exception):
    """What the server answered instead of doing what it was asked."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status, self.code = status, code


class KeyPair:
    """The RSA key of a registration."""

    def __init__(self, private: rsa.RSAPrivateKey) -> None:
        self._private = private

    @classmethod
    def fresh(cls) -> KeyPair:
        """A new one, of 2048 bits as the agent makes it."""
        return cls(rsa.generate_private_key(public_exponent=65537, key_size=2048))

    @classmethod
    def load(cls, text: str) -> KeyPair:
        """The one that `text` held."""
        key = serialization.load_der_private_key(base64.b64decode(text), password=None)
        assert isinstance(key, rsa.RSAPrivateKey)
        return cls(key)

    @property
    def text(self) -> str:
        """The private key, base64 of PKCS1, as it lies in the agent's vault."""
        form = serialization.PrivateFormat.TraditionalOpenSSL
        der = self._private.private_bytes(serialization.Encoding.DER, form, serialization.NoEncryption())
        return base64.b64encode(der).decode()

    @property
    def public(self) -> str:
        """PublicKey of RegisterManagedInstance: base64 of the SubjectPublicKeyInfo."""
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return base64.b64encode(self._private.public_key().public_bytes(serialization.Encoding.DER, form)).decode()

    def sign(self, text: str) -> str:
        """RSASSA-PSS (SHA-256, MGF1-SHA256, salt 32) of *text*, base64."""
        scheme = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
        return base64.b64encode(self._private.sign(text.encode(), scheme, hashes.SHA256())).decode()


@dataclass(frozen=True)
class Session:
    """What RequestManagedInstanceRoleToken gave. Its secret does not show."""

    key_id: str
    secret: str
    token: str
    expires_at: float
    update_key_pair: bool

    def __repr__(self) -> str:
        return f"Session({self.key_id})"

    def signer(self, date: str, region: str, service: str) -> Sign:
        """Signs as Signature Version 4 does."""
        key = b"AWS4" + self.secret.encode()
        for part in (date, region, service, "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        return lambda text: hmac.digest(key, text.encode(), "sha256").hex()


def authorization(
    headers: Mapping[str, str],
    body: bytes,
    *,
    key_id: str,
    sign: Sign,
    region: str,
    service: str,
    method: str = "POST",
    path: str = "/",
    query: str = "",
    signed: str = "content-type;host;x-amz-date;x-amz-target",
) -> str:
    """The Authorization header: *sign* makes a signature of the string to sign."""
    moment = headers["x-amz-date"]
    lines = [f"{name}:{headers[name]}\n" for name in signed.split(";")]
    digest = hashlib.sha256(body).hexdigest()
    canonical = f"{method}\n{path}\n{query}\n{''.join(lines)}\n{signed}\n{digest}"
    scope = f"{moment[:8]}/{region}/{service}/aws4_request"
    to_sign = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    return f"AWS4-HMAC-SHA256 Credential={key_id}/{scope}, SignedHeaders={signed}, Signature={sign(to_sign)}"


def encode(members: Mapping[str, Any]) -> bytes:
    """JSON as Go's SDK writes it."""
    return json.dumps(members, separators=(",", ":")).encode()


def basic(moment: float) -> str:
    """X-Amz-Date."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y%m%dT%H%M%SZ")


def iso(moment: float) -> str:
    """A moment as the agent writes it in replies."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def registration_request(host: str, members: Mapping[str, Any]) -> tuple[dict[str, str], bytes]:
    """Headers and body of RegisterManagedInstance: nobody has signed it."""
    body = encode(members)
    return {
        "host": host,
        "user-agent": USER_AGENT,
        "content-length": str(len(body)),
        "content-type": JSON_TYPE,
        "x-amz-target": "AmazonSSM.RegisterManagedInstance",
        "accept-encoding": "gzip",
    }, body


def asymmetric_request(
    host: str, operation: str, members: Mapping[str, Any], *, instance_id: str, key: KeyPair, region: str, now: float
) -> tuple[dict[str, str], bytes]:
    """Headers and body of a call that is signed with the node's own key. It has no Content-Length: its body comes in chunks."""
    body = encode(members)
    headers = {
        "host": host,
        "user-agent": USER_AGENT,
        "transfer-encoding": "chunked",
        "content-type": JSON_TYPE,
        "x-amz-content-sha256": hashlib.sha256(body).hexdigest(),
        "x-amz-date": basic(now),
        "x-amz-target": f"AmazonSSM.{operation}",
        "accept-encoding": "gzip",
    }
    headers["authorization"] = authorization(
        headers, body, key_id=instance_id, sign=key.sign, region=region, service="ssm"
    )
    return headers, body


def session_request(
    host: str, target: str, members: Mapping[str, Any], *, session: Session, region: str, now: float
) -> tuple[dict[str, str], bytes]:
    """Headers and body of every other call."""
    body, moment = encode(members), basic(now)
    service = "ec2messages" if target.startswith(MESSAGES) else "ssm"
    headers = {
        "host": host,
        "user-agent": USER_AGENT,
        "content-length": str(len(body)),
        "content-type": JSON_TYPE,
        "x-amz-date": moment,
        "x-amz-security-token": session.token,
        "x-amz-target": target,
        "accept-encoding": "gzip",
    }
    headers["authorization"] = authorization(
        headers,
        body,
        key_id=session.key_id,
        sign=session.signer(moment[:8], region, service),
        region=region,
        service=service,
        signed="content-length;content-type;host;x-amz-date;x-amz-security-token;x-amz-target",
    )
    return headers, body


class Line:
    """Connections to a server, one for each call: what matters here is what is said, not how fast."""

    def __init__(self, url: str, *, context: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(url)
        self.host = parts.netloc
        self._parts = parts
        self._context = context

    def send(self, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
        """What the server answers. Raises Refused; what the network does comes as it is."""
        parts = self._parts
        connection: http.client.HTTPConnection
        if parts.scheme == "https":
            connection = http.client.HTTPSConnection(
                parts.hostname or "", parts.port, timeout=CLIENT_SECONDS, context=self._context
            )
        else:
            connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=CLIENT_SECONDS)
        try:
            is_chunked = "transfer-encoding" in headers
            connection.request(
                "POST", "/", _pieces(body) if is_chunked else body, dict(headers), encode_chunked=is_chunked
            )
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        if answer.status != 200:
            raise _refusal(answer.status, content)
        found: dict[str, Any] = json.loads(content)
        return found


def _pieces(body: bytes) -> Iterator[bytes]:
    """As Go writes a body whose length it was not told."""
    for start in range(0, len(body), 32):
        yield body[start : start + 32]


def _refusal(status: int, content: bytes) -> Refused:
    try:
        said = json.loads(content)
    except ValueError:
        return Refused(status, "SerializationError", content[:200].decode(errors="replace"))
    return Refused(status, str(said.get("__type", "")), str(said.get("message") or said.get("Message") or ""))
