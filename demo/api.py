# SPDX-License-Identifier: Apache-2.0
"""The API as the demo calls it: JSON over POST, signed with the root credentials that the server wrote."""

from __future__ import annotations

import configparser
import http.client
import json
import secrets
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from patchwright.core.signing import CALL_HEADER, Signer

OWN_OPERATIONS = ("GetVerdict",)
TIMEOUT_SECONDS = 60
FINAL = ("Success", "Failed", "TimedOut", "Cancelled", "Undeliverable", "Terminated")


class ApiRefused(Exception):
    """An answer that is an error: its code and message."""


class Api:
    """The server at *url*; *credentials* is an AWS shared-credentials file with one profile."""

    def __init__(self, url: str, credentials: Path) -> None:
        profile = configparser.ConfigParser(interpolation=None)
        profile.read_string(credentials.read_text(encoding="utf-8"))
        values = profile["default"]
        self.url = url
        self._address = urlsplit(url).netloc
        self._signer = Signer(values["aws_access_key_id"], values["aws_secret_access_key"], values["region"])

    def call(self, operation: str, **members: Any) -> dict[str, Any]:
        """One operation; answers its output. Raises ApiRefused, OSError."""
        own = operation in OWN_OPERATIONS
        body = json.dumps(members).encode()
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        headers = {
            "Content-Type": "application/x-amz-json-1.1",
            "Host": self._address,
            "X-Amz-Date": moment,
            CALL_HEADER: secrets.token_hex(16),
            "X-Amz-Target": f"{'Patchwright' if own else 'AmazonSSM'}.{operation}",
        }
        service = "patchwright" if own else "ssm"
        headers["Authorization"] = self._signer.authorization(headers, body, service=service, moment=moment)
        status, answer = self._exchange("POST", "/", body, headers)
        decoded: dict[str, Any] = json.loads(answer or b"{}")
        if status != http.client.OK:
            code = str(decoded.get("__type", status)).rpartition("#")[2]
            raise ApiRefused(f"{operation}: {code}: {decoded.get('message') or decoded.get('Message', '')}")
        return decoded

    def every(self, operation: str, member: str, **members: Any) -> list[dict[str, Any]]:
        """The *member* lists of all pages of an operation, one after the other."""
        found: list[dict[str, Any]] = []
        page = self.call(operation, **members)
        found.extend(page.get(member, []))
        while page.get("NextToken"):
            page = self.call(operation, NextToken=page["NextToken"], **members)
            found.extend(page.get(member, []))
        return found

    def download(self, path: str) -> bytes:
        """What the server serves at *path*."""
        status, answer = self._exchange("GET", path, b"", {"Host": self._address})
        if status != http.client.OK:
            raise ApiRefused(f"{path}: {status}")
        return answer

    def _exchange(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self._address, timeout=TIMEOUT_SECONDS)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()
