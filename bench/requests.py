# SPDX-License-Identifier: Apache-2.0
"""
CPU that the hygiene of requests adds to a call: whose turn it is, whether its signature was used before, from where it comes.

Signatures are new, as those of clients are, a million of them already in the window. The floor is the proof of the signature
alone, with keys that are known.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import measure
from measure import Bound, median, print_line, share, spread, tell

from patchwright.core.signing import CALL_HEADER, Signer
from patchwright.server.infra import SystemClock
from patchwright.server.wire import Bounds, Claim, Credential, Proxies, Rate, Replays, Verifier
from patchwright.server.wire.gate import Gate

AT_MOST = 5.0  # microseconds
KEY = Credential("AKIABENCHBENCHBENCH0", "made-up-secret-of-the-benchmarks", "000000000001", "arn:aws:iam::1:root")
NODE = replace(KEY, kind="node", access_key_id="mi-0123456789abcdef0")
TARGET = "AmazonSSM.DescribeInstanceInformation"
BODY = b"{}"
PLENTY = Rate(1e9, 1e9)
PROXIES = Proxies([ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8")])


def main() -> int:
    """Measure and print the line."""
    options = measure.read(measure.words(__doc__ or "", rounds=9, quick=1))
    times = 1_000 if options.quick else 20_000
    window = 10_000 if options.quick else 1_000_000
    added, proved = asyncio.run(_measured(options.rounds, times, window))
    print_line(
        "requests",
        options,
        ours={"cpu_us": median(added), "cpu_us_range": spread(added)},
        peer={"program": "proof of one signature, its key known", "cpu_us": median(proved)},
        ratio=share(median(added), median(proved)),
        bounds={"added to a call": Bound(median(added), AT_MOST, "µs")},
        signatures_in_the_window=window,
        note="behind a trusted proxy; a node's and a user's requests in turn",
    )
    return 0


async def _measured(rounds: int, times: int, window: int) -> tuple[list[float], list[float]]:
    """Microseconds added to a call, and of the proof of its signature, by round."""
    clock = SystemClock()
    replays = Replays()
    headers = {b"amz-sdk-invocation-id": b"0" * 36, b"x-forwarded-for": b"203.0.113.9"}
    for claim in _claims(window, "filling", clock.now()):
        replays.admit(claim, headers, source="203.0.113.9", target=TARGET, now=clock.now())
    gate = Gate(Bounds(PLENTY, PLENTY, PLENTY), clock, replays=replays)
    scope = {"client": ("10.0.0.9", 4711)}
    added, proved = [], []
    for number in range(rounds):
        claims = _claims(times, str(number), clock.now())
        begun = time.process_time()
        for claim in claims:
            await gate.admit(claim, headers, source=PROXIES.source(scope, headers), target=TARGET)
        added.append((time.process_time() - begun) / times * 1e6)
        proved.append(await _proof(times))
        tell(f"round {number + 1}: {added[-1]:.2f} µs added, the proof {proved[-1]:.1f} µs")
    return added, proved


def _claims(count: int, label: str, now: float) -> Sequence[Claim]:
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    return [
        Claim(
            NODE if number % 2 else KEY,
            stamp[:8],
            stamp,
            "us-east-1",
            "ssm",
            (b"host",),
            hashlib.sha256(f"{label} {number}".encode()).hexdigest().encode(),
        )
        for number in range(count)
    ]


async def _proof(times: int) -> float:
    """Microseconds to read and prove one signature."""
    now = SystemClock().now()
    moment = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    plain = {"Host": "x", "X-Amz-Date": moment, "X-Amz-Target": TARGET, CALL_HEADER: "0" * 32}
    signer = Signer(KEY.access_key_id, KEY.secret, "us-east-1")
    plain["Authorization"] = signer.authorization(plain, BODY, service="ssm", moment=moment)
    headers = {name.lower().encode(): value.encode() for name, value in plain.items()}
    verifier = Verifier(_known, lambda: now)
    begun = time.process_time()
    for _ in range(times):
        verifier.verify(await verifier.claim(headers, service="ssm"), headers, BODY)
    return (time.process_time() - begun) / times * 1e6


async def _known(_access_key_id: str) -> Credential | None:
    return KEY


if __name__ == "__main__":
    sys.exit(main())
