# SPDX-License-Identifier: Apache-2.0
"""
Server CPU of a signed DescribePatchBaselines: ours against moto_server, the same client, the same baselines.

moto has none of its own, so the same ones are created on both sides, and ours is asked for those of the account alone.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import measure
import peers
import served
from measure import Bound, median, print_line, process_cpu, share, spread, tell

AT_LEAST = 25  # times less CPU than moto
BASELINES = 8
CONNECTIONS = 8
QUESTION = {"Filters": [{"Key": "OWNER", "Values": ["Self"]}]}
RULE = {
    "PatchFilterGroup": {"PatchFilters": [{"Key": "PRIORITY", "Values": ["required", "important"]}]},
    "ApproveAfterDays": 7,
}


def main() -> int:
    """Measure and print the line."""
    parser = measure.words(__doc__ or "", rounds=7)
    parser.add_argument("--without-peer", action="store_true", help="our side alone; the line is then not within")
    options = measure.read(parser)
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(served.serve())
        reason, moto = "left out by --without-peer", None
        if not options.without_peer:
            try:
                moto = stack.enter_context(serve_moto())
            except (peers.NoPeer, RuntimeError) as error:
                reason = str(error)
        _measure(options, ours, moto, reason)
    return 0


def _measure(options: argparse.Namespace, ours: served.Served, moto: served.Served | None, reason: str) -> None:
    for server in (ours, moto):
        if server is not None:
            _prepare(server)
    many, few = (50, 10) if options.quick else (4000, 400)
    ours_us, moto_us, ours_wall, moto_wall = [list[float]() for _ in range(4)]
    _load(ours, many // 4)  # both warm
    if moto is not None:
        _load(moto, few // 4)
    for number in range(options.rounds):
        cpu, wall = _load(ours, many)
        ours_us.append(cpu)
        ours_wall.append(wall)
        if moto is not None:
            cpu, wall = _load(moto, few)
            moto_us.append(cpu)
            moto_wall.append(wall)
        tell(f"round {number + 1}: ours {ours_us[-1]:.1f} us, moto {moto_us[-1] if moto_us else float('nan'):.1f} us")
    times = share(median(moto_us), median(ours_us)) if moto_us else None
    print_line(
        "baselines",
        options,
        ours={"cpu_us": median(ours_us), "cpu_us_range": spread(ours_us), "wall_us": median(ours_wall)},
        peer={
            "program": "moto_server",
            "cpu_us": median(moto_us),
            "cpu_us_range": spread(moto_us),
            "wall_us": median(moto_wall),
        }
        if moto_us
        else {"program": "moto_server", "not measured": reason},
        ratio=times,
        bounds={"moto's CPU / ours": Bound(times, AT_LEAST, "times", least=True)},
        baselines=BASELINES,
        connections=CONNECTIONS,
        requests={"ours": many, "peer": few},
        note="every request signed with SigV4; ours verifies the signature, moto does not",
    )


def _prepare(server: served.Served) -> None:
    """The baselines that both sides list."""
    for number in range(BASELINES):
        server.call(
            "AmazonSSM.CreatePatchBaseline",
            Name=f"bench-{number}",
            OperatingSystem="DEBIAN",
            Description=f"baseline {number} of the benchmark",
            ApprovalRules={"PatchRules": [RULE]},
        )
    found = server.call("AmazonSSM.DescribePatchBaselines", **QUESTION)["BaselineIdentities"]
    assert len(found) == BASELINES, found


def _load(server: served.Served, requests: int) -> tuple[float, float]:
    made = [server.request("AmazonSSM.DescribePatchBaselines", QUESTION) for _ in range(requests)]
    return served.per_request(server, made, connections=CONNECTIONS)


@contextlib.contextmanager
def serve_moto() -> Iterator[served.Served]:
    """moto_server on loopback. Raises peers.NoPeer where it cannot be had."""
    port = served.free_port()
    with tempfile.TemporaryDirectory(prefix="patchwright-bench-") as name:
        log = Path(name) / "moto.log"
        argv = [str(peers.program("moto_server")), "-H", "127.0.0.1", "-p", str(port)]
        with served.started(argv, log, {"PATH": "/usr/bin:/bin", "HOME": name}) as process:
            served.wait_for_port(port, process, log)
            before, deadline = process_cpu(process.pid), time.monotonic() + 10
            while time.monotonic() < deadline:  # it goes on importing after it listens
                time.sleep(0.3)
                now = process_cpu(process.pid)
                if now - before < 0.01:
                    break
                before = now
            yield served.Served(port, process.pid, Path(name))


if __name__ == "__main__":
    sys.exit(main())
