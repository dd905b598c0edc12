# SPDX-License-Identifier: Apache-2.0
"""The signature of a webhook is that of Standard Webhooks, and the how-to's receiver checks it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from patchwright.server.events import signature
from ports import free_port

HOWTO = Path(__file__).parents[3] / "docs" / "howto" / "receive-events.md"


def test_the_signature_is_that_of_the_standard():
    """The example that Standard Webhooks gives its libraries to test themselves by."""
    secret, message = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek"
    made = signature.headers(secret, message, b'{"test": 2432232314}', now=1614265330.9)
    assert made == {
        "webhook-id": message,
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_secrets_are_told_apart():
    """Each is made anew, and is one that may be given."""
    made = {signature.new_secret() for _ in range(10)}
    assert len(made) == 10
    for secret in made:
        signature.check_secret(secret)


@pytest.fixture
def sample():
    """The how-to's receiver at work: its secret, its URL, and its process."""
    (code,) = re.findall(r"```python\n(.*?)```", HOWTO.read_text(), re.DOTALL)
    port = free_port()
    secret = signature.new_secret()
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", code.replace("9000", str(port))],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "SECRET": secret},
    )
    yield secret, f"http://127.0.0.1:{port}/", process
    process.kill()
    process.wait()
    process.stdout.close()


def post(url, body, headers):
    """The status that is answered, once somebody listens."""
    deadline = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=30) as answer:
                return answer.status
        except urllib.error.HTTPError as refused:
            return refused.code
        except OSError:
            assert time.monotonic() < deadline


def test_the_receiver_of_the_how_to_takes_what_is_ours_once_and_nothing_else(sample):
    """Signed and fresh: told once. Another body, another secret, too old: refused."""
    secret, url, process = sample
    now = time.time()
    first, other = (json.dumps({"detail-type": name, "detail": {"n": 1}}).encode() for name in ("First", "Other"))
    good = signature.headers(secret, "a", first, now=now)
    assert post(url, first, good) == 204
    assert post(url, first, good) == 204
    assert post(url, other, good) == 401
    assert post(url, other, signature.headers(signature.new_secret(), "b", other, now=now)) == 401
    assert post(url, other, signature.headers(secret, "b", other, now=now - 600)) == 401
    assert post(url, other, signature.headers(secret, "b", other, now=now)) == 204
    lines = [process.stdout.readline() for _ in range(2)]
    assert lines == ["First {'n': 1}\n", "Other {'n': 1}\n"]
