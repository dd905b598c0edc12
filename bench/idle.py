# SPDX-License-Identifier: Apache-2.0
"""
Memory and CPU of an agent that waits, over HTTP and over TLS, beside bare Python and salt-minion, all at the same time.

PSS divides a page by the number of processes that map it, and nodes that lie on one base root map the same files. So each
agent, and bare Python, has a node to itself whose interpreter and libraries were copied before it booted: they share with
their own node's init and services, as on a real machine, and with nobody else. The salt-minion runs on the machine itself,
with a master of its own on loopback.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import measure
import nodes
import peers
import served
from measure import Bound, median, memory_kib, print_line, share, tell, tree, tree_cpu

from farm import Farm, FarmUnavailable, Node

PSS_AT_MOST_MB = 10
CPU_AT_MOST_PERCENT = 0.1
LOOK_SECONDS = 5.0
SETTLE_SECONDS = 20.0
BARE = "import time; time.sleep(1000000)"
# Everything a Python process maps: a copy under the same name is a file of this node's own layer.
OWN_COPIES = """
set -e
python=$(readlink -f /usr/bin/python3)
library=$(dirname "$(find /lib /usr/lib -name libc.so.6 | head -n 1)")
for file in "$python" /usr/lib/python3*/lib-dynload/*.so "$library"/ld-linux*.so* "$library"/libc.so.6 "$library"/libm.so.6 \
    "$library"/lib*.so.*; do
    file=$(readlink -f "$file")
    case $file in *.own) continue ;; esac
    cp -a "$file" "$file.own"
    mv "$file.own" "$file"
done
"""


@dataclass
class Subject:
    """A process (with its children) that is looked at."""

    name: str
    pid: int
    pss: list[float] = field(default_factory=list)
    rss: list[float] = field(default_factory=list)
    private: list[float] = field(default_factory=list)
    cpu_at: tuple[float, float] = (0.0, 0.0)

    def look(self) -> None:
        """Note its memory, that of all its processes together, in MB."""
        totals: dict[str, int] = defaultdict(int)
        for pid in tree(self.pid):
            with contextlib.suppress(OSError):
                for member, value in memory_kib(pid).items():
                    totals[member] += value
        self.pss.append(totals["pss"] / 1024)
        self.rss.append(totals["rss"] / 1024)
        self.private.append(totals["private"] / 1024)

    def begin(self) -> None:
        """CPU counts from now."""
        self.cpu_at = (time.monotonic(), tree_cpu(self.pid))

    def figures(self) -> dict[str, float]:
        """Medians of the memory, the whole of the CPU."""
        seconds, cpu = time.monotonic() - self.cpu_at[0], tree_cpu(self.pid) - self.cpu_at[1]
        return {
            "pss_mb": median(self.pss),
            "pss_mb_max": max(self.pss),
            "rss_mb": median(self.rss),
            "private_mb": median(self.private),
            "cpu_ms": cpu * 1000,
            "cpu_percent": cpu / seconds * 100,
            "processes": len(tree(self.pid)),
        }


def main() -> int:
    """Measure and print the line."""
    parser = measure.words(__doc__ or "", rounds=1)
    parser.add_argument("--seconds", type=float, default=0, help="how long (default 600)")
    parser.add_argument("--without-peer", action="store_true", help="without salt")
    options = measure.read(parser)
    options.seconds = options.seconds or (15 if options.quick else 600)
    settle = 3 if options.quick else SETTLE_SECONDS
    try:
        with contextlib.ExitStack() as stack:
            farm = stack.enter_context(nodes.farm())
            subjects = [_agent(stack, farm, tls=False), _agent(stack, farm, tls=True), _bare(farm)]
            salt = _salt(stack, options)
            if isinstance(salt, Subject):
                subjects.append(salt)
            time.sleep(settle)
            _watch(subjects, options.seconds)
            _print(options, {subject.name: subject.figures() for subject in subjects}, salt)
    except FarmUnavailable as error:
        tell(str(error))
        return 1
    return 0


def _watch(subjects: list[Subject], seconds: float) -> None:
    for subject in subjects:
        subject.begin()
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        for subject in subjects:
            subject.look()
        time.sleep(min(LOOK_SECONDS, max(0.0, ends - time.monotonic())))


def _print(options: argparse.Namespace, figures: dict[str, dict[str, float]], salt: Subject | Salt | str) -> None:
    http, tls, bare = figures["agent over HTTP"], figures["agent over TLS"], figures["bare Python"]
    minion = figures.get("salt-minion")
    print_line(
        "idle",
        options,
        ours={"agent over HTTP": http, "agent over TLS": tls},
        peer={
            "bare Python": bare,
            "salt-minion": minion or {"not measured": str(salt)},
            **({"salt-minion runs": salt.how} if isinstance(salt, Salt) else {}),
        },
        ratio=share(http["pss_mb"], bare["pss_mb"]),
        bounds={
            "PSS over HTTP": Bound(http["pss_mb"], PSS_AT_MOST_MB, "MB"),
            "PSS over TLS": Bound(tls["pss_mb"], PSS_AT_MOST_MB, "MB"),
            "CPU over HTTP": Bound(http["cpu_percent"], CPU_AT_MOST_PERCENT, "% of a core"),
            "CPU over TLS": Bound(tls["cpu_percent"], CPU_AT_MOST_PERCENT, "% of a core"),
        },
        times_less_than_salt=share(minion["pss_mb"], http["pss_mb"]) if minion else None,
        seconds=options.seconds,
        how="every process on a node of its own with its own copies of interpreter and libraries; the minion on the machine itself",
    )


# ----------------------------------------------------------------------------------------------------------- subjects


def _agent(stack: contextlib.ExitStack, farm: Farm, *, tls: bool) -> Subject:
    server = stack.enter_context(served.serve(tls_for=farm.lan_address if tls else ""))
    node = farm.node("deb12")
    _own_copies(node)
    nodes.put_programs(node)
    trust = ("--pin", server.certificate.pin) if tls else ("--insecure-http",)
    address = f"{'https' if tls else 'http'}://{farm.expose(server.port)}"
    nodes.enrol(node, server, address, trust=trust)
    pid = served.until(lambda: _find(farm, node, "patchwright-agent.pyz"), what="the agent runs")
    return Subject(f"agent over {'TLS' if tls else 'HTTP'}", pid)


def _bare(farm: Farm) -> Subject:
    node = farm.node("deb12")
    _own_copies(node)
    node.unit("bare", f"{nodes.PYTHON} -I -c '{BARE}'")
    return Subject("bare Python", served.until(lambda: _find(farm, node, BARE), what="bare Python runs"))


def _own_copies(node: Node) -> None:
    """Let everything on the node map files of its own: copied, then booted again."""
    node.run(["sh", "-c", OWN_COPIES])
    node.reboot()


def _find(farm: Farm, node: Node, word: str) -> int:
    """The process of the node that was started with *word* and has a program of its own by now; 0 where there is none."""
    for pid in nodes.pids(farm, node):
        with contextlib.suppress(OSError):
            argv = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
            if word in argv and argv.startswith(nodes.PYTHON):
                return pid
    return 0


@dataclass
class Salt(Subject):
    """The minion, and how it runs."""

    how: str = ""


def _salt(stack: contextlib.ExitStack, options: argparse.Namespace) -> Salt | str:
    """salt-minion with a master of its own on loopback; or why there is none."""
    if options.without_peer:
        return "left out by --without-peer"
    try:
        return stack.enter_context(salt_minion(seconds=30 if options.quick else 90))
    except (peers.NoPeer, RuntimeError, TimeoutError, OSError) as error:
        return str(error)


@contextlib.contextmanager
def salt_minion(*, seconds: float) -> Iterator[Salt]:
    """A salt-minion that has greeted its master, both from PyPI, both ended with the block. Raises NoPeer, TimeoutError."""
    folder = Path(tempfile.mkdtemp(prefix="patchwright-salt-"))
    publish, answers = served.free_port(), served.free_port()
    common = "user: root\nlog_level: warning\nlog_level_logfile: quiet\n"
    for role, text in {
        "master": f"interface: 127.0.0.1\npublish_port: {publish}\nret_port: {answers}\nauto_accept: true\nworker_threads: 1\n",
        "minion": f"master: 127.0.0.1\nmaster_port: {answers}\npublish_port: {publish}\nid: bench\nmaster_alive_interval: 0\n",
    }.items():
        (folder / role).mkdir()
        own = f"root_dir: {folder / role}\npki_dir: {folder / role / 'pki'}\ncachedir: {folder / role / 'cache'}\n"
        (folder / role / role).write_text(common + own + text)
    environment = {
        "PATH": f"{peers.HOME / 'bin'}:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(folder),
        "LC_ALL": "C.UTF-8",
    }

    def start(role: str) -> contextlib.AbstractContextManager[object]:
        argv = [str(peers.program(f"salt-{role}")), "-c", str(folder / role)]
        return served.started(argv, folder / f"{role}.log", environment)

    try:
        with start("master"), start("minion") as process:
            accepted = folder / "master/pki/minions/bench"
            served.until(accepted.exists, what="salt's master knows its minion", seconds=seconds)
            time.sleep(min(10.0, seconds / 3))
            pid: int = process.pid  # type: ignore[attr-defined]
            yield Salt("salt-minion", pid, how="with a master on loopback, accepted")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
