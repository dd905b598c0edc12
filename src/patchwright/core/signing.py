# SPDX-License-Identifier: Apache-2.0
"""
Signing requests with AWS Signature Version 4, as the API and the agents' messages need it, a POST to `/`, and as object
stores need it.

Pure: the moment is an argument. The server's side of it is `server.wire.sigv4`.
"""

from __future__ import annotations

import hashlib
import hmac

TYPE_CHECKING = False  # `typing` itself costs the waiting agent 1 MB, see ADR 0012
if TYPE_CHECKING:
    from typing import Mapping

ALGORITHM = "AWS4-HMAC-SHA256"
# A signature tells the second it was made in and is good for one request. This header says which call of its signer a request
# is, as the SDKs do; signed, it makes two of the same second differ. A server that saw the signature before says SIGNATURE_USED.
CALL_HEADER = "Amz-Sdk-Invocation-Id"
SIGNATURE_USED = "Signature was used already"
SIGN_AGAIN = f"{SIGNATURE_USED}: every request needs one of its own. Sign the request again."


class Signer:
    """Whose signature, for which region, and of which session, if it is one's. No secret is in the representation."""

    def __init__(self, key_id: str, secret: str, region: str, token: str = "") -> None:
        self.key_id = key_id
        self.secret = secret
        self.region = region
        self.token = token

    def __repr__(self) -> str:
        return f"Signer({self.key_id})"

    def authorization(
        self,
        headers: Mapping[str, str],
        body: bytes,
        *,
        service: str,
        moment: str,
        method: str = "POST",
        path: str = "/",
        query: str = "",
    ) -> str:
        """
        The Authorization header of a request with *body*.

        Args:
            headers: Every header to sign, `Host` and `X-Amz-Date` among them; what is not here is not protected.
            body: As it is sent, compressed where it is sent compressed.
            service: The service's signing name, such as `ssm`.
            moment: `YYYYMMDDTHHMMSSZ`, equal to `X-Amz-Date`.
            method: Of the request.
            path: Of the request, percent-encoded as it is sent.
            query: Of the request, as it is sent: percent-encoded, in order of name.
        """
        lowered = sorted((name.lower(), " ".join(value.split())) for name, value in headers.items())
        names = ";".join(name for name, _ in lowered)
        lines = [method, path, query, *(f"{name}:{value}" for name, value in lowered), "", names]
        canonical = "\n".join([*lines, hashlib.sha256(body).hexdigest()])
        parts = (moment[:8], self.region, service, "aws4_request")
        scope = "/".join(parts)
        text = f"{ALGORITHM}\n{moment}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        key = ("AWS4" + self.secret).encode()
        for part in parts:
            key = _keyed(key, part)
        signature = _keyed(key, text).hex()
        return f"{ALGORITHM} Credential={self.key_id}/{scope}, SignedHeaders={names}, Signature={signature}"


def _keyed(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
