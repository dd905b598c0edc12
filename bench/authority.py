# SPDX-License-Identifier: Apache-2.0
"""
CPU that it costs a call to be signed and allowed: its signature verified, and 50 statements in five policies asked.

Keys and policies are known already, as they are to a server that was asked within the last half second. Calls: a listing, a
document by its name, a heartbeat of a node, a command to one node whose tags a policy asks for. What is
read of resources is the database's work: it is answered here at once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Mapping
from typing import Any

import measure
import policy as decisions
from measure import Bound, median, print_line, spread, tell

from patchwright.server.accounts import Authorities, Authority, Principal
from patchwright.server.accounts.authority import made
from patchwright.server.aws.authority import Warden
from patchwright.server.wire import Caller, Credential, Verifier, fold_headers
from server.wire.client import signed

AT_MOST = 25.0  # microseconds: signature and policies together
ACCOUNT, REGION, NOW = "111122223333", "us-east-1", 1_795_176_000.0
USER = f"arn:aws:iam::{ACCOUNT}:user/ann"
MINE = "mi-0123456789abcdef0"
NODE = f"arn:aws:ssm:{REGION}:{ACCOUNT}:managed-instance/{MINE}"
WAYS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "a listing": ("AmazonSSM.DescribeInstanceInformation", {}),
    "a document": ("AmazonSSM.GetDocument", {"Name": "team49-scan"}),
    "a node's heartbeat": ("AmazonSSM.UpdateInstanceInformation", {"InstanceId": MINE}),
    "a command by tags": ("AmazonSSM.SendCommand", {"DocumentName": "team49-scan", "InstanceIds": [MINE]}),
}


_TAGS = [("Document", "team49-scan", "env", "env49"), ("ManagedInstance", MINE, "env", "env49")]


class Tagged:
    """A database in which everything is tagged env=env49, and answers at once."""

    async def read(self, unit: Any, *arguments: Any) -> Any:
        """The answer of *unit*."""
        work, answer = unit(*arguments), None
        while True:
            try:
                work.send(answer)
            except StopIteration as end:
                return end.value
            answer = _TAGS


class Clock:
    """Stands still."""

    def now(self) -> float:
        """Epoch seconds."""
        return NOW


def main() -> int:
    """Measure and print the line."""
    options = measure.read(measure.words(__doc__ or "", rounds=9, quick=1))
    times = 500 if options.quick else 10_000
    signing: list[float] = []
    deciding: dict[str, list[float]] = {name: [] for name in WAYS}
    for number in range(options.rounds):
        signing.append(asyncio.run(_verified(times)))
        for name in WAYS:
            deciding[name].append(asyncio.run(_allowed(name, times)))
        shown = ", ".join(f"{name} {found[-1]:.1f} µs" for name, found in deciding.items())
        tell(f"round {number + 1}: signature {signing[-1]:.1f} µs, {shown}")
    _print(options, signing, deciding)
    return 0


def _print(options: argparse.Namespace, signing: list[float], deciding: dict[str, list[float]]) -> None:
    figures = {name: {"cpu_us": median(found), "cpu_us_range": spread(found)} for name, found in deciding.items()}
    both = {name: median(signing) + median(found) for name, found in deciding.items()}
    print_line(
        "authority",
        options,
        ours={"signature": {"cpu_us": median(signing), "cpu_us_range": spread(signing)}, **figures},
        peer={"program": "none: a call that is neither signed nor asked about", "cpu_us": 0.0},
        ratio=None,
        bounds={f"signature and policies, {name}": Bound(total, AT_MOST, "µs") for name, total in both.items()},
        note="keys and policies are known; what is read of resources is the database's",
    )


async def _verified(times: int) -> float:
    """Microseconds of CPU to read and verify a signature of the AWS CLI's form."""
    key = Credential("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", ACCOUNT, USER)

    async def lookup(_key_id: str) -> Credential:
        return key

    verifier = Verifier(lookup, lambda: NOW)
    given, body = signed("AmazonSSM.DescribeInstanceInformation", {}, key=key, region=REGION, at=NOW)
    raw = [(name.encode(), value.encode()) for name, value in given.items()]
    start = time.process_time()
    for _ in range(times):
        headers = fold_headers(raw)
        verifier.verify(await verifier.claim(headers, service="ssm"), headers, body)
    return (time.process_time() - start) / times * 1e6


async def _allowed(name: str, times: int) -> float:
    """Microseconds of CPU that the check before a handler takes."""
    target, request = WAYS[name]
    node = target.endswith("UpdateInstanceInformation")
    principal = Principal(ACCOUNT, NODE, "node", MINE) if node else Principal(ACCOUNT, USER, "user", "AIDA")
    caller = Caller(
        ACCOUNT, REGION, principal.arn, "node" if node else "user", MINE if node else None, "r", "10.1.2.3", target,
        "AKIA", principal,
    )  # fmt: skip
    authorities = Authorities(Tagged(), lambda: 0.0)  # type: ignore[arg-type]
    authorities._known[principal] = (1.0, _authority())
    warden = Warden(Tagged(), Clock(), authorities)  # type: ignore[arg-type]
    guarded, bare = warden.guarded({target: _nothing})[target], _nothing
    taken = []
    for handler in (bare, guarded):
        start = time.process_time()
        for _ in range(times):
            await handler(caller, request)
        taken.append(time.process_time() - start)
    return (taken[1] - taken[0]) / times * 1e6


async def _nothing(_caller: Caller, _request: dict[str, Any]) -> dict[str, Any]:
    return {}


def _authority() -> Authority:
    """Fifty statements: those of the decisions' own benchmark, each of which lists as well, and sends to its tag."""
    each = decisions.STATEMENTS // decisions.POLICIES
    documents = []
    for first in range(0, decisions.STATEMENTS, each):
        statements = [_statement(number) for number in range(first, first + each)]
        documents.append(json.dumps({"Version": "2012-10-17", "Statement": statements}))
    return made(Principal(ACCOUNT, USER, "user", "AIDA"), documents)


def _statement(number: int) -> dict[str, Any]:
    if number == decisions.STATEMENTS - 1:
        return {"Effect": "Allow", "Action": "ssm:Describe*", "Resource": "*"}
    if number == decisions.STATEMENTS - 2:
        resource = [f"arn:aws:ssm:*:*:document/team{decisions.STATEMENTS - 1}-*", "arn:aws:ssm:*:*:managed-instance/*"]
        return {"Effect": "Allow", "Action": ["ssm:SendCommand", "ssm:GetDocument"], "Resource": resource}
    return decisions._usual(number)


if __name__ == "__main__":
    sys.exit(main())
