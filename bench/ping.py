# SPDX-License-Identifier: Apache-2.0
"""
Twenty agents pinged by one command, against `salt '*' test.ping` on twenty minions, in the same run and in turn.

Both sides are processes on this machine: a server with agents that wait, enrolled each with a state directory of its own, and
a master with minions on loopback. A ping is AWS-Noop to every node, from the start of `patchwright command send` to its end,
when it has shown every node's success; and from the start of `salt` to its end. The same through the API alone, by a client
that runs already, and a script instead of nothing (`AWS-RunShellScript`) are given as well.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import measure
import peers
import served
from measure import Bound, median, print_line, share, spread, tell

OF_THE_PEER = 0.1
_READY_SECONDS = 300
_WAITING = "import marshal, sys"  # what the command line of an agent that waits begins with


def main() -> int:
    """Measure and print the line."""
    parser = measure.words(__doc__ or "", rounds=5)
    parser.add_argument("--nodes", type=int, default=0, help="how many on each side (default 20)")
    parser.add_argument("--without-peer", action="store_true", help="without salt")
    options = measure.read(parser)
    options.nodes = options.nodes or (3 if options.quick else 20)
    with contextlib.ExitStack() as stack:
        salt = _salt(stack, options)
        server = stack.enter_context(served.serve())
        agents = stack.enter_context(_agents(server, options.nodes))
        _measure(options, server, agents, salt)
    return 0


def _measure(options: argparse.Namespace, server: served.Served, agents: list[int], salt: Path | str) -> None:
    ours: dict[str, list[float]] = {"cli": [], "api": [], "script": []}
    theirs: list[float] = []
    for number in range(options.rounds + 1):
        _until_all_wait(agents)
        found = {"cli": _cli(server, options.nodes)}
        _until_all_wait(agents)
        found["api"] = _through_api(server, "AWS-Noop", options.nodes)
        found["script"] = _through_api(server, "AWS-RunShellScript", options.nodes, commands=["true"])
        if number:  # the first round reads files for the first time
            for name, seconds in found.items():
                ours[name].append(seconds)
        if isinstance(salt, Path):
            theirs += [_pinged(salt, options.nodes)][: 1 if number else 0]
    peer = median(theirs) if theirs else None
    ratio = share(median(ours["cli"]), peer)
    print_line(
        "ping",
        options,
        ours={
            "nodes": options.nodes,
            **{f"{name}_s": median(seconds) for name, seconds in ours.items()},
            **{f"{name}_s_range": spread(seconds) for name, seconds in ours.items()},
        },
        peer={"seconds": peer, "seconds_range": spread(theirs)} if theirs else {"not measured": str(salt)},
        ratio=ratio,
        bounds={"ping_of_salt": Bound(ratio, OF_THE_PEER)},
    )


# ------------------------------------------------------------------------------------------------------------- ours


@contextlib.contextmanager
def _agents(server: served.Served, number: int) -> Iterator[list[int]]:
    """Agents that wait, as processes of the zipapp; their pids."""
    folder = Path(tempfile.mkdtemp(prefix="patchwright-ping-"))
    program = folder / "agent.pyz"
    program.write_bytes(served.agent_program())
    activation = server.call("AmazonSSM.CreateActivation", IamRole="bench", RegistrationLimit=number)
    given = ["--activation-id", activation["ActivationId"], "--activation-code", activation["ActivationCode"]]
    python = "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable
    pids = []
    try:
        with contextlib.ExitStack() as stack:
            for place in range(number):
                state = folder / f"node-{place}"
                state.mkdir(mode=0o700)
                (state / "agent.json").write_text(json.dumps({"inventory_hours": 0, "reserve_kib": 0}))
                words = [python, "-I", str(program)]
                enrol = [*words, "enroll", "--server", f"http://{server.host}", *given, "--state-dir", str(state)]
                subprocess.run(enrol, check=True, capture_output=True)
                argv = [*words, "run", "--state-dir", str(state)]
                process = stack.enter_context(served.started(argv, folder / f"{place}.log", dict(os.environ)))
                pids.append(process.pid)
            _until_all_wait(pids)
            yield pids
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _until_all_wait(pids: list[int]) -> None:
    """Wait until every agent has become the waiting program, and has had the time to open its channel."""

    def waits(pid: int) -> bool:
        return _WAITING in Path(f"/proc/{pid}/cmdline").read_text(errors="replace")

    served.until(lambda: all(map(waits, pids)), what="every agent waits", seconds=_READY_SECONDS)
    time.sleep(2)


def _cli(server: served.Served, nodes: int) -> float:
    """Seconds that `patchwright command send AWS-Noop --all` takes."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(measure.ROOT / "src"),
        "AWS_ACCESS_KEY_ID": served.KEY_ID,
        "AWS_SECRET_ACCESS_KEY": served.SECRET,
        "AWS_REGION": served.REGION,
        "PATCHWRIGHT_ENDPOINT_URL": f"http://{server.host}",
    }
    argv = [sys.executable, "-m", "patchwright", "command", "send", "AWS-Noop", "--all", "--max-concurrency", "100%"]
    begun = time.perf_counter()
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=environment)
    took = time.perf_counter() - begun
    assert done.returncode == 0, done.stderr
    _check_newest(server, nodes)
    return took


def _through_api(server: served.Served, document: str, nodes: int, **parameters: list[str]) -> float:
    """Seconds from SendCommand until every result can be read."""
    begun = time.perf_counter()
    server.call(
        "AmazonSSM.SendCommand",
        DocumentName=document,
        Targets=[{"Key": "InstanceIds", "Values": ["*"]}],
        Parameters=parameters,
        MaxConcurrency="100%",
    )
    served.until(lambda: _newest(server)["Status"] not in {"Pending", "InProgress"}, what="it ended", every=0.01)
    took = time.perf_counter() - begun
    _check_newest(server, nodes)
    return took


def _newest(server: served.Served) -> dict[str, Any]:
    found: dict[str, Any] = server.call("AmazonSSM.ListCommands", MaxResults=1)["Commands"][0]
    return found


def _check_newest(server: served.Served, nodes: int) -> None:
    command = _newest(server)
    assert (command["Status"], command["CompletedCount"]) == ("Success", nodes), command


# ------------------------------------------------------------------------------------------------------------- salt


def _salt(stack: contextlib.ExitStack, options: argparse.Namespace) -> Path | str:
    """The master's configuration, with every minion accepted; or why there is none."""
    if options.without_peer:
        return "left out by --without-peer"
    try:
        return stack.enter_context(_minions(options.nodes))
    except (peers.NoPeer, RuntimeError, TimeoutError, OSError) as error:
        return str(error)


@contextlib.contextmanager
def _minions(number: int) -> Iterator[Path]:
    """A master and minions, all from PyPI, as their defaults have them but for names, ports and folders."""
    folder = Path(tempfile.mkdtemp(prefix="patchwright-salt-"))
    publish, answers = served.free_port(), served.free_port()
    texts = {
        "master": f"interface: 127.0.0.1\npublish_port: {publish}\nret_port: {answers}\nauto_accept: true\n",
        **{
            f"minion-{place}": f"master: 127.0.0.1\nmaster_port: {answers}\npublish_port: {publish}\nid: node-{place}\n"
            for place in range(number)
        },
    }
    for name, text in texts.items():
        own = folder / name
        own.mkdir()
        common = "user: root\nlog_level: warning\nlog_level_logfile: quiet\n"
        places = f"root_dir: {own}\npki_dir: {own / 'pki'}\ncachedir: {own / 'cache'}\nsock_dir: {own / 'run'}\n"
        (own / name.partition("-")[0]).write_text(common + places + text)
    environment = {
        "PATH": f"{peers.HOME / 'bin'}:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(folder),
        "LC_ALL": "C.UTF-8",
    }
    accepted = folder / "master/pki/minions"
    try:
        with contextlib.ExitStack() as running:
            for name in texts:
                argv = [str(peers.program(f"salt-{name.partition('-')[0]}")), "-c", str(folder / name)]
                running.enter_context(served.started(argv, folder / f"{name}.log", environment))
                if name == "master":
                    time.sleep(5)
            tell(f"waiting for {number} minions")
            served.until(
                lambda: accepted.exists() and len(list(accepted.iterdir())) == number,
                what="salt's master knows its minions",
                seconds=_READY_SECONDS,
                every=1,
            )
            served.until(
                lambda: _answering(folder / "master") == number, what="all answer", seconds=_READY_SECONDS, every=2
            )
            yield folder / "master"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _ping(master: Path) -> subprocess.CompletedProcess[str]:
    argv = [str(peers.program("salt")), "-c", str(master), "--out=json", "--static", "--timeout=60", "*", "test.ping"]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def _answering(master: Path) -> int:
    with contextlib.suppress(ValueError, AttributeError):
        return sum(answer is True for answer in json.loads(_ping(master).stdout).values())
    return 0


def _pinged(master: Path, nodes: int) -> float:
    """Seconds that `salt '*' test.ping` takes, all minions answering."""
    begun = time.perf_counter()
    done = _ping(master)
    took = time.perf_counter() - begun
    answers = json.loads(done.stdout)
    assert sum(answer is True for answer in answers.values()) == nodes, done.stdout[-500:]
    return took


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
