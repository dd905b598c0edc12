# SPDX-License-Identifier: Apache-2.0
"""
Asking the server: JSON 1.1 over POST, signed with Signature Version 4 by the node's own secret (design D6).

    PatchwrightError
    ├── ServerUnavailable    no answer, or one that says later: ask again
    └── Refused              an answer that will not change by asking again

The node's clock may be wrong: a signature refused for its time teaches the offset from the answer's Date header, and the
request is signed again, once.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import time
from typing import Any, Dict, Optional

from patchwright.agent.clock import Clock
from patchwright.agent.config import Identity, Settings
from patchwright.agent.connection import Response, signed
from patchwright.agent.transport import Server, Transport, TransportFailed
from patchwright.core.errors import PatchwrightError
from patchwright.core.signing import SIGNATURE_USED, Signer

TIME_REFUSALS = ("InvalidSignatureException", "RequestExpired", "RequestTimeTooSkewed", "SignatureDoesNotMatch")
LATER = (
    "ThrottlingException",
    "Throttling",
    "TooManyRequestsException",
    "ServiceUnavailable",
    "RequestTimeoutException",
)
IDENTITY_REFUSALS = (
    "AccessDeniedException",
    "ExpiredTokenException",
    "IncompleteSignatureException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationTokenException",
    "UnrecognizedClientException",
)
OFFSET_WORTH_LEARNING_SECONDS = 30.0
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class ServerUnavailable(PatchwrightError):
    """No answer, or one that says later. Ask again after a pause."""


class Refused(PatchwrightError):
    """The server's answer is no. *code* is the error code, *message* the server's own text."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message

    @property
    def concerns_identity(self) -> bool:
        """Whether the node as such is refused, and not what it said."""
        return self.code in IDENTITY_REFUSALS


class Backoff:
    """Pauses between attempts: full jitter below a limit that doubles from *first* to *cap* seconds."""

    def __init__(self, clock: Clock, *, cap: float, first: float = 1.0) -> None:
        self._clock = clock
        self._cap = cap
        self._first = first
        self._failures = 0

    def pause(self) -> float:
        """Wait after one more failure; answers for how long."""
        limit = min(self._cap, self._first * 2.0 ** min(self._failures, 30))
        self._failures += 1
        seconds = self._clock.jitter(limit)
        self._clock.sleep(seconds)
        return seconds

    def reset(self) -> None:
        """An attempt succeeded."""
        self._failures = 0


class Client:
    """
    Calls operations of the server.

    *signer* is None for enrolment, which is not signed. *clock_offset* is server time minus the node's, in seconds, as the
    last answer showed it; good to a second or two. *signing_offset* is what was learnt of it for signing.
    """

    def __init__(self, server: Server, signer: Optional[Signer], *, settings: Settings, clock: Clock) -> None:
        self._transport = Transport(server, connect_seconds=settings.connect_seconds)
        self.peer = self._transport.peer
        self.signer = signer
        self._settings = settings
        self._clock = clock
        self.signing_offset = 0.0
        self.clock_offset = 0.0

    @classmethod
    def of(cls, identity: Identity, *, settings: Settings, clock: Clock) -> Client:
        """The client of an enrolled node."""
        server = Server(identity.server, identity.pin, identity.ca, identity.insecure_http)
        signer = Signer(identity.instance_id, identity.secret, identity.region)
        return cls(server, signer, settings=settings, clock=clock)

    def call(
        self, operation: str, members: Dict[str, Any], *, timeout: Optional[float] = None, compress: bool = False
    ) -> Dict[str, Any]:
        """
        One call; answers the output's members.

        Raises:
            ServerUnavailable: Ask again later.
            Refused: Asking again would not help.
        """
        body = json.dumps(members, separators=(",", ":")).encode()
        if compress:
            body = gzip.compress(body, 6)
        seconds = timeout or self._settings.request_seconds
        response = self._post(operation, body, seconds, compress)
        try:
            return _read(response)
        except Refused as refusal:
            # A request that was sent again because its answer did not come has to be signed again as well.
            used = refusal.message.startswith(SIGNATURE_USED)
            if refusal.code not in TIME_REFUSALS or not (used or self._learn_offset()):
                raise
        return _read(self._post(operation, body, seconds, compress))

    def download(self, path: str, *, service: str = "") -> bytes:
        """
        What the server has at *path*, percent-encoded, perhaps with a query in order of its names; the request is signed where a
        *service* is named.

        Raises ServerUnavailable, Refused.
        """

        def headers() -> Dict[str, str]:
            return self._download_headers(path, service)

        seconds = self._settings.request_seconds
        try:
            response = self._transport.post(headers(), b"", timeout=seconds, again=headers, target=f"GET {path}")
        except TransportFailed as error:
            raise ServerUnavailable(str(error)) from None
        if response.status == 200:
            return response.body
        if response.status >= 500 or response.status == 429:
            raise ServerUnavailable(f"the server answered {response.status} for {path[:200]}")
        raise Refused(str(response.status), f"{path[:200]}: {response.body[:300].decode('utf-8', 'replace')}")

    def _download_headers(self, path: str, service: str) -> Dict[str, str]:
        if not service or self.signer is None:
            return {}
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self._clock.now() + self.signing_offset))
        headers = {"X-Amz-Content-Sha256": hashlib.sha256(b"").hexdigest(), "X-Amz-Date": moment}
        if self.signer.token:
            headers["X-Amz-Security-Token"] = self.signer.token
        signed = {"Host": self.peer.host_header, **headers}
        place, _, query = path.partition("?")
        headers["Authorization"] = self.signer.authorization(
            signed, b"", service=service, moment=moment, method="GET", path=place, query=query
        )
        return headers

    @staticmethod
    def read(body: bytes) -> Dict[str, Any]:
        """The output's members in the body of a good answer. Raises ServerUnavailable."""
        return _read(Response(200, {}, body))

    def local_address(self) -> str:
        """This node's address as the server may know it: its end of the connection. Raises ServerUnavailable."""
        try:
            return self._transport.local_address()
        except TransportFailed as error:
            raise ServerUnavailable(str(error)) from None

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    def _post(self, operation: str, body: bytes, seconds: float, compressed: bool) -> Response:
        def headers() -> Dict[str, str]:
            now = self._clock.now() + self.signing_offset
            host, signer = self.peer.host_header, self.signer
            return signed(operation, body, host=host, signer=signer, now=now, compressed=compressed)

        try:
            response = self._transport.post(headers(), body, timeout=seconds, again=headers)
        except TransportFailed as error:
            raise ServerUnavailable(str(error)) from None
        server_time = parse_http_date(response.headers.get("date", ""))
        if server_time is not None:
            self.clock_offset = server_time - self._clock.now()
        return response

    def _learn_offset(self) -> bool:
        """Take the last answer's time for signing; False where that would change next to nothing."""
        if abs(self.clock_offset - self.signing_offset) < OFFSET_WORTH_LEARNING_SECONDS:
            return False
        self.signing_offset = self.clock_offset
        return True


def parse_http_date(text: str) -> Optional[float]:
    """Epoch seconds of an HTTP date (`Fri, 20 Nov 2026 04:21:53 GMT`); None for anything else."""
    parts = text.replace(":", " ").split()
    if len(parts) != 8 or parts[7] != "GMT" or parts[2] not in _MONTHS:
        return None
    try:
        day, year, hour, minute, second = (int(parts[index]) for index in (1, 3, 4, 5, 6))
        return _days(year, _MONTHS.index(parts[2]) + 1, day) * 86_400.0 + hour * 3600 + minute * 60 + second
    except ValueError:
        return None


def _days(year: int, month: int, day: int) -> int:
    """Days since 1970 in the Gregorian calendar. The standard library's way costs the waiting agent half a megabyte."""
    year, month = (year, month - 3) if month > 2 else (year - 1, month + 9)
    return 365 * year + year // 4 - year // 100 + year // 400 + (153 * month + 2) // 5 + day - 719_469


def _read(response: Response) -> Dict[str, Any]:
    """The members of an answer, or the error it carries."""
    try:
        members = json.loads(response.body.decode()) if response.body else {}
    except ValueError:
        members = None
    if response.status == 200 and isinstance(members, dict):
        return members
    if response.status >= 500 or not isinstance(members, dict) or not isinstance(members.get("__type"), str):
        raise ServerUnavailable(f"the server answered {response.status}: {response.body[:200]!r}")
    code = members["__type"].rpartition("#")[2]
    message = str(members.get("message") or members.get("Message") or "")[:2000]
    if code in LATER or response.status == 429:
        raise ServerUnavailable(f"{code}: {message}")
    raise Refused(code, message)
