# SPDX-License-Identifier: Apache-2.0
"""
How a receiver knows that a webhook is ours: the scheme of Standard Webhooks, for which most languages have a library.

The signature is HMAC-SHA256 over `ID.TIMESTAMP.BODY`, under the secret's bytes, in Base64. A secret is `whsec_` and 24 to 64
bytes in Base64.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

from patchwright.server.events.model import InvalidSubscription

_PREFIX = "whsec_"
_BYTES = 32


def new_secret() -> str:
    """A secret that nobody knows."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(_BYTES)).decode()


def check_secret(secret: str) -> None:
    """Raise InvalidSubscription unless *secret* is one."""
    try:
        key = _key(secret)
    except ValueError:
        key = b""
    if not secret.startswith(_PREFIX) or not 24 <= len(key) <= 64:
        msg = f"A secret is {_PREFIX} and 24 to 64 bytes in Base64; leave it out, and one is made."
        raise InvalidSubscription(msg)


def headers(secret: str, message_id: str, body: bytes, *, now: float) -> dict[str, str]:
    """The headers by which a receiver checks *body*; *now* in epoch seconds."""
    moment = str(int(now))
    content = b".".join([message_id.encode(), moment.encode(), body])
    mark = base64.b64encode(hmac.digest(_key(secret), content, hashlib.sha256)).decode()
    return {"webhook-id": message_id, "webhook-timestamp": moment, "webhook-signature": f"v1,{mark}"}


def _key(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
