# SPDX-License-Identifier: Apache-2.0
"""Nodes that take what waits for them and report it until they are believed, at a server that dies under them."""

from __future__ import annotations

import http.client
import itertools
import json
import secrets
import threading
import time
from collections import Counter
from urllib.parse import urlsplit

from patchwright.core.signing import CALL_HEADER, Signer

_PREFIX = {"ec2messages": "EC2WindowsMessageDeliveryService", "patchwright": "Patchwright", "ssm": "AmazonSSM"}
_PAUSE = 0.05
_tokens = itertools.count()


class Refused(Exception):
    """An answer that is an error. *code* is its name."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code


def ask(url, service, operation, members, signer=None):
    """One call, signed for *service*. Raises Refused; OSError or HTTPException where nobody answers."""
    parts = urlsplit(url)
    body = json.dumps(members).encode()
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    headers = {
        "Host": parts.netloc,
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": f"{_PREFIX[service]}.{operation}",
    }
    if signer is not None:
        headers |= {"X-Amz-Date": moment, CALL_HEADER: secrets.token_hex(16)}
        headers["Authorization"] = signer.authorization(headers, body, service=service, moment=moment)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
    try:
        connection.request("POST", "/", body, headers)
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        told = json.loads(content or b"{}")
        raise Refused(told.get("__type", str(answer.status)), told.get("message", ""))
    return json.loads(content or b"{}")


def insist(work, *, until, refusals=frozenset()):
    """What *work* comes to, as often as it has to be tried; *until* says that it is over. Raises Refused for *refusals*."""
    while not until():
        try:
            return work()
        except Refused as refused:
            if refused.code in refusals:
                raise
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(_PAUSE)
    return None


class Node:
    """One of them, in a thread of its own. *begun* counts the commands it has carried out, by id."""

    def __init__(self, url, activation, urls=None):
        self._urls = itertools.cycle(urls or [url])
        token = f"token-{next(_tokens):058}"
        said = {"PlatformType": "Linux", "AgentName": "patchwright-agent", "AgentVersion": "1"}
        made = ask(url, "patchwright", "Enroll", {**activation, "EnrollmentToken": token, **said})
        self.id = made["InstanceId"]
        self._signer = Signer(self.id, made["Secret"], made["Region"])
        self.begun = Counter()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def start(self):
        """Begin to poll."""
        self._thread.start()

    def stop(self):
        """Go; what waits for this node goes on waiting."""
        self._over.set()

    def _ask(self, service, operation, members):
        return insist(lambda: ask(next(self._urls), service, operation, members, self._signer), until=self._over.is_set)

    def _work(self):
        while not self._over.is_set():
            asked = {
                "Destination": self.id,
                "MessagesRequestId": secrets.token_hex(18),
                "VisibilityTimeoutInSeconds": 2,
            }
            for message in (self._ask("ec2messages", "GetMessages", asked) or {}).get("Messages", []):
                self._carry_out(message)

    def _carry_out(self, message):
        command_id = json.loads(message["Payload"])["CommandId"]
        self._ask("ec2messages", "AcknowledgeMessage", {"MessageId": message["MessageId"]})
        fresh = not self.begun[command_id]  # a node answers a second delivery with what it has
        self.begun[command_id] += fresh
        for status in ("InProgress", "Success"):
            told = {"documentStatus": status, "documentTraceOutput": "", "runtimeStatus": {}}
            reply = f"{command_id}-{status}"[-36:]
            members = {"MessageId": message["MessageId"], "ReplyId": reply, "Payload": json.dumps(told)}
            self._ask("ec2messages", "SendReply", members)
