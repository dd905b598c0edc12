# SPDX-License-Identifier: Apache-2.0
"""
CPU of a decision with 50 statements in five policies: policies read and evaluator made before, as a server keeps them.

Four ways: the 50 speak of many resources and two speak of the one asked for; the same for resources that were never asked
for before; all 50 speak of it and the last one decides; 49 denies are looked at, both conditions of each, before an allow.
The floor is 50 regular expressions, compiled before, matched against the resource.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import measure
from measure import Bound, median, print_line, share, spread, tell

from patchwright.server.accounts.policy import Asked, Context, Evaluator, parse

AT_MOST = 15.0  # microseconds
STATEMENTS = 50
POLICIES = 5
NODE = "arn:aws:ssm:us-east-1:111122220049:managed-instance/mi-{:017x}"
CONTEXT = {
    "aws:CurrentTime": ["2026-11-20T12:00:00Z"],
    "aws:EpochTime": ["1795176000"],
    "aws:PrincipalArn": ["arn:aws:iam::111122223333:user/ann"],
    "aws:PrincipalTag/team": ["web"],
    "aws:SecureTransport": ["true"],
    "aws:SourceIp": ["10.1.2.3"],
    "aws:username": ["ann"],
    "ssm:resourceTag/env": ["env49"],
    "ssm:resourceTag/team": ["web"],
}


def main() -> int:
    """Measure and print the line."""
    options = measure.read(measure.words(__doc__ or "", rounds=9, quick=1))
    times = 1_000 if options.quick else 20_000
    ways = {
        "usual": (_evaluator(_usual), [Asked("ssm:SendCommand", NODE.format(1), CONTEXT)]),
        "usual, context folded": (_evaluator(_usual), [Asked("ssm:SendCommand", NODE.format(1), Context(CONTEXT))]),
        "new resources": (
            _evaluator(_usual),
            [Asked("ssm:SendCommand", NODE.format(number), CONTEXT) for number in range(5_000)],
        ),
        "all speak of it": (_evaluator(_alike), [Asked("ssm:SendCommand", NODE.format(1), CONTEXT)]),
        "denies looked at": (_evaluator(_denying), [Asked("ssm:SendCommand", NODE.format(1), CONTEXT)]),
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    floor = []
    for number in range(options.rounds):
        for name, (evaluator, asked) in ways.items():
            taken[name].append(_decided(evaluator, asked, times))
        floor.append(_matched(times))
        tell(f"round {number + 1}: " + ", ".join(f"{name} {found[-1]:.1f} µs" for name, found in taken.items()))
    _print(options, taken, floor)
    return 0


def _print(options: argparse.Namespace, taken: dict[str, list[float]], floor: Sequence[float]) -> None:
    figures = {name: {"cpu_us": median(found), "cpu_us_range": spread(found)} for name, found in taken.items()}
    cached = [name for name in taken if name != "new resources"]
    print_line(
        "policy",
        options,
        ours=figures,
        peer={"program": f"{STATEMENTS} compiled regular expressions", "cpu_us": median(floor)},
        ratio=share(median(taken["usual"]), median(floor)),
        bounds={f"a decision, {name}": Bound(median(taken[name]), AT_MOST, "µs") for name in cached},
        note="statements are remembered by action and resource; new resources are asked for without that",
    )


def _evaluator(statement: Callable[[int], dict[str, Any]]) -> Evaluator:
    each = STATEMENTS // POLICIES
    documents = [
        {"Version": "2012-10-17", "Statement": [statement(number) for number in range(first, first + each)]}
        for first in range(0, STATEMENTS, each)
    ]
    evaluator = Evaluator(parse(json.dumps(document)) for document in documents)
    if not evaluator.decide(Asked("ssm:SendCommand", NODE.format(0), CONTEXT)).allowed:
        raise SystemExit("the benchmark's own policies do not allow what it asks")
    return evaluator


def _usual(number: int) -> dict[str, Any]:
    return {
        "Sid": f"Team{number}",
        "Effect": "Allow",
        "Action": ["ssm:SendCommand", "ssm:Get*"],
        "Resource": [
            f"arn:aws:ssm:*:*:document/team{number}-*",
            f"arn:aws:ssm:*:1111222200{number:02}:managed-instance/*",
        ],
        "Condition": {
            "StringEquals": {"ssm:resourceTag/env": f"env{number}"},
            "IpAddress": {"aws:SourceIp": "10.0.0.0/8"},
        },
    }


def _alike(number: int) -> dict[str, Any]:
    return {
        "Effect": "Allow",
        "Action": "ssm:*",
        "Resource": "arn:aws:ssm:*:*:managed-instance/*",
        "Condition": {"StringEquals": {"ssm:resourceTag/env": f"env{number}"}},
    }


def _denying(number: int) -> dict[str, Any]:
    if number == STATEMENTS - 1:
        return {"Effect": "Allow", "Action": "*", "Resource": "*"}
    return {
        "Effect": "Deny",
        "Action": "ssm:*",
        "Resource": "*",
        "Condition": {"StringEquals": {"ssm:resourceTag/team": "web", "ssm:resourceTag/env": f"x{number}"}},
    }


def _decided(evaluator: Evaluator, asked: Sequence[Asked], times: int) -> float:
    """Microseconds of CPU for a decision."""
    decide, count = evaluator.decide, len(asked)
    start = time.process_time()
    for number in range(times):
        decide(asked[number % count])
    return (time.process_time() - start) / times * 1e6


def _matched(times: int) -> float:
    """Microseconds of CPU for the floor."""
    patterns = [
        re.compile(rf"arn:aws:ssm:[^:]*:1111222200{number:02}:managed-instance/.*") for number in range(STATEMENTS)
    ]
    resource = NODE.format(1)
    start = time.process_time()
    for _ in range(times):
        any(pattern.fullmatch(resource) for pattern in patterns)
    return (time.process_time() - start) / times * 1e6


if __name__ == "__main__":
    sys.exit(main())
