# SPDX-License-Identifier: Apache-2.0
"""Asking the server: AWS JSON 1.1 over HTTP, signed, one kept connection."""

from __future__ import annotations

import email.utils
import hashlib
import hmac
import http.client
import json
import secrets
import ssl
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from patchwright.cli.clock import Clock
from patchwright.cli.config import Config
from patchwright.cli.errors import BadSetting, CliError, Refused, Unreachable
from patchwright.core.signing import CALL_HEADER, Signer

OWN_OPERATIONS = frozenset(
    {
        "CreateAccount",
        "DescribeSchedule",
        "DeleteSubscription",
        "DisableAccount",
        "EnableAccount",
        "ExportAuditTrail",
        "ExportPatchReport",
        "CreateCalendarFeed",
        "DeleteCalendarFeed",
        "GetCalendar",
        "ListCalendarFeeds",
        "GetForecast",
        "GetOutput",
        "GetPatchReport",
        "GetSubscription",
        "GetVerdict",
        "ListAccounts",
        "ListAuditEntries",
        "ListDeliveries",
        "ListEvents",
        "ListOutputs",
        "ListSubscriptions",
        "PutSubscription",
        "RedeliverEvents",
        "RunMaintenanceWindow",
        "VerifyAuditTrail",
    }
)  # what AWS has no call for; everything else is of ssm
TIMEOUT_SECONDS = 60.0
ANSWER_LIMIT_BYTES = 64 * 1024 * 1024
WORTH_LEARNING_SECONDS = 30.0
_READING = ("Describe", "Get", "List")
_OF_IDENTITY = ("InvalidSignatureException", "UnrecognizedClientException", "InvalidClientTokenId")
_OF_TIME = ("InvalidSignatureException", "RequestExpired", "RequestTimeTooSkewed")
_START = "Start it with `patchwright server`, or say where it is with --endpoint-url or PATCHWRIGHT_ENDPOINT_URL."


class _Answer(NamedTuple):
    status: int
    body: bytes
    server_time: float | None


class Client:
    """
    Calls operations. Not for two threads at once.

    A clock that is wrong by more than the server allows is made up for: the server's time is learnt from its answer.
    """

    def __init__(self, config: Config, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._signer = Signer(config.credentials.key_id, config.credentials.secret, config.region)
        self._connection: http.client.HTTPConnection | None = None
        self._offset = 0.0

    @property
    def endpoint_url(self) -> str:
        """Where the server is, as the operator named it."""
        return self._config.endpoint

    def call(self, operation: str, members: Mapping[str, Any]) -> dict[str, Any]:
        """
        One call; answers the output's members.

        Raises:
            Unreachable: No answer, or none of the API's.
            Refused: The answer is an error of the API.
        """
        body = json.dumps(members).encode()
        answer = self._ask(operation, body)
        try:
            return self._members(answer)
        except Refused as error:
            if error.code not in _OF_TIME or not self._learn(answer.server_time):
                raise
        return self._members(self._ask(operation, body))

    def pages(self, operation: str, members: Mapping[str, Any], listed: str) -> Iterator[dict[str, Any]]:
        """Every entry of the member *listed*, over all pages of a listing."""
        token: str | None = ""
        while token is not None:
            answer = self.call(operation, {**members, "NextToken": token} if token else members)
            yield from answer.get(listed, [])
            token = answer.get("NextToken") or None

    def open(self, path: str, *, query: str, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        """
        The answer to a signed GET, on a connection of its own that ends with it: whoever asked closes it.

        *query* is percent-encoded, in order of name. Raises Unreachable, Refused.
        """
        for last in (False, True):
            try:
                connection = self._connected()
                signed = self._signed(headers, b"", service="patchwright", method="GET", path=path, query=query)
                connection.request("GET", f"{path}?{query}" if query else path, headers=signed)
                answer = connection.getresponse()
            except (OSError, http.client.HTTPException) as error:
                raise self._unreachable(error) from error
            if answer.status == 200:
                return answer
            told = _Answer(answer.status, answer.read(ANSWER_LIMIT_BYTES), _http_time(answer.headers.get("Date", "")))
            connection.close()
            try:
                self._members(told)
            except Refused as error:
                if last or error.code not in _OF_TIME or not self._learn(told.server_time):
                    raise
        msg = f"{self._config.endpoint} does not tell of events"
        raise Unreachable(msg)

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(self, operation: str, body: bytes) -> _Answer:
        # A kept connection may have been closed meanwhile. What only reads is asked again; what acts gets a new one at once.
        if not operation.startswith(_READING):
            self.close()
        kept = self._connection is not None
        try:
            return self._exchange(operation, body)
        except (ConnectionError, http.client.HTTPException) as error:
            self.close()
            if not kept:
                raise self._unreachable(error) from error
        except OSError as error:
            self.close()
            raise self._unreachable(error) from error
        try:
            return self._exchange(operation, body)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise self._unreachable(error) from error

    def _exchange(self, operation: str, body: bytes) -> _Answer:
        if self._connection is None:
            self._connection = self._connected()
        self._connection.request("POST", "/", body=body, headers=self._headers(operation, body))
        response = self._connection.getresponse()
        content = response.read(ANSWER_LIMIT_BYTES + 1)
        if len(content) > ANSWER_LIMIT_BYTES:
            self.close()
            msg = f"{self._config.endpoint} answered more than {ANSWER_LIMIT_BYTES} bytes"
            raise Unreachable(msg)
        return _Answer(response.status, content, _http_time(response.headers.get("Date", "")))

    def _headers(self, operation: str, body: bytes) -> dict[str, str]:
        own = operation in OWN_OPERATIONS
        target = f"{'Patchwright' if own else 'AmazonSSM'}.{operation}"
        headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": target}
        return self._signed(headers, body, service="patchwright" if own else "ssm")

    def _signed(self, headers: Mapping[str, str], body: bytes, *, service: str, **what: str) -> dict[str, str]:
        """*headers*, and those that say who asks; *what* of the request differs from a POST to `/`."""
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self._clock.now() + self._offset))
        signed = {
            "Host": urlsplit(self._config.endpoint).netloc,
            **headers,
            "X-Amz-Date": moment,
            CALL_HEADER: secrets.token_hex(16),
        }
        if self._config.credentials.token:
            signed["X-Amz-Security-Token"] = self._config.credentials.token
        signed["Authorization"] = self._signer.authorization(signed, body, service=service, moment=moment, **what)
        return signed

    def _connected(self) -> http.client.HTTPConnection:
        parts = urlsplit(self._config.endpoint)
        host = parts.hostname or ""
        if parts.scheme == "http":
            plain = http.client.HTTPConnection(host, parts.port or 80, timeout=TIMEOUT_SECONDS)
            plain.connect()
            return plain
        secured = http.client.HTTPSConnection(host, parts.port or 443, timeout=TIMEOUT_SECONDS, context=self._context())
        secured.connect()
        if self._config.pin:
            shown = secured.sock.getpeercert(binary_form=True) or b""
            found = f"sha256:{hashlib.sha256(shown).hexdigest()}"
            if not hmac.compare_digest(found, self._config.pin):
                secured.close()
                msg = f"{self._config.endpoint} shows the certificate {found}, which is not the pinned one: nothing was sent"
                raise Unreachable(msg)
        return secured

    def _context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self._config.pin:  # the certificate itself is compared after the handshake
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif self._config.ca_file:
            try:
                context.load_verify_locations(cafile=self._config.ca_file)
            except OSError as error:
                msg = f"the authority file {self._config.ca_file} cannot be used: {error}"
                raise BadSetting(msg) from error
        else:
            context.load_default_certs()
        return context

    def _members(self, answer: _Answer) -> dict[str, Any]:
        try:
            members = json.loads(answer.body)
        except ValueError:
            members = None
        if not isinstance(members, dict) or (answer.status != 200 and not isinstance(members.get("__type"), str)):
            msg = f"{self._config.endpoint} answered {answer.status} and nothing of the API. {_START}"
            raise Unreachable(msg)
        if answer.status == 200:
            return members
        code = members["__type"].rpartition("#")[2]
        credentials = self._config.credentials
        hint = f"signed with {credentials.key_id} from {credentials.source}" if code in _OF_IDENTITY else ""
        raise Refused(code, str(members.get("message") or members.get("Message") or ""), hint=hint)

    def _learn(self, server_time: float | None) -> bool:
        """Take the server's time for signing; False where that would change next to nothing."""
        offset = (server_time or 0.0) - self._clock.now()
        if server_time is None or abs(offset - self._offset) < WORTH_LEARNING_SECONDS:
            return False
        self._offset = offset
        return True

    def _unreachable(self, error: Exception) -> CliError:
        endpoint = self._config.endpoint
        if isinstance(error, ssl.SSLCertVerificationError):
            trust = "Give --pin sha256:… (the server prints it when it starts) or --ca-file FILE."
            return Unreachable(f"the certificate of {endpoint} is not trusted: {error.verify_message}. {trust}")
        # A TLS port that is spoken to plainly may send its alert or just reset: which of them arrives is a race.
        if isinstance(error, http.client.HTTPException | ssl.SSLError | ConnectionResetError | BrokenPipeError):
            return Unreachable(
                f"{endpoint} does not answer as the API does: {error}. Is it http:// or https://? {_START}"
            )
        reason = (
            "no answer in time" if isinstance(error, TimeoutError) else getattr(error, "strerror", "") or str(error)
        )
        return Unreachable(f"{endpoint} cannot be reached: {reason}. {_START}")


def _http_time(text: str) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError):
        return None
