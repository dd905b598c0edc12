# SPDX-License-Identifier: Apache-2.0
"""Nodes that are not booted: a Debian root of their own that the provider's shell enters, from 50 ms each."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from contract.provider import Made, World
from farm import DebRepo, Farm, Node
from patchwright.agent.clock import Clock
from patchwright.agent.providers import Settings
from patchwright.agent.providers.apt import Apt
from patchwright.agent.shell import Result, Shell
from patchwright.core.package import Origin

FAILING = {"configure": "postinst", "unpack": "preinst"}


class AptRoot(World):
    """A Debian root with *repo* as its archive. `run` runs a command in it."""

    arch = "all"
    updates = "security"

    def __init__(self, repo: DebRepo, node: Node, farm: Farm) -> None:
        self.repo = repo
        self.root: Path = node.root
        enter = ["unshare", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child"]
        clamp = ["setpriv", "--bounding-set=-sys_time,-sys_boot,-sys_module,-sys_rawio", "--inh-caps=-all"]
        self.shell = Shell(
            prefix=["nsenter", f"--net={farm.namespace}", *enter, f"--root={self.root}", "--mount-proc", *clamp]
        )
        settings = Settings(
            root=self.root, lock_wait_seconds=0.3, refresh_timeout_seconds=120, install_timeout_seconds=120
        )
        self.provider: Apt = Apt(self.shell, clock=Clock(), settings=settings)

    def run(self, *argv: str, ok: tuple[int, ...] = (0,)) -> Result:
        """Run a command in the root."""
        return self.shell.run(argv, timeout=120, env={"DEBIAN_FRONTEND": "noninteractive"}, ok=ok)

    def write(self, path: str, text: str) -> None:
        """Write a file of the root."""
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def states(self) -> dict[str, tuple[str, str]]:
        """Version and state by `name.arch`."""
        return {package.key: (package.version, package.state) for package in self.provider.read().packages.packages}

    def hold(self, name: str) -> None:
        self.run("apt-mark", "hold", name)

    def is_update(self, origin: Origin) -> bool:
        return origin.is_security

    def break_off(self, name: str) -> None:
        self.run("apt-get", "-y", "--download-only", "install", name)
        archives = list((self.root / "var/cache/apt/archives").glob(f"{name}_*.deb"))
        self.run("dpkg", "--unpack", "/" + str(archives[0].relative_to(self.root)))

    def silence(self) -> None:
        text = (self.root / "etc/apt/sources.list").read_text()
        lines = [
            line.replace("http://", "http://127.0.0.9:9/") if "-security" in line else line
            for line in text.splitlines()
        ]
        self.write("etc/apt/sources.list", "\n".join(lines) + "\n")

    def lock(self, *, name: str = "") -> Callable[[], int]:
        dpkg = [self.root / "var/lib/dpkg/lock-frontend", self.root / "var/lib/dpkg/lock"]
        code = (
            "import fcntl, sys\n"
            "files = [open(path, 'w') for path in sys.argv[1:]]\n"
            "[fcntl.lockf(file, fcntl.LOCK_EX) for file in files]\n"
            "print('held', flush=True)\n"
            "sys.stdin.read()\n"
        )
        process = subprocess.Popen(
            [sys.executable, "-I", "-c", code, *map(str, dpkg)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"

        def end() -> int:
            process.communicate()
            return process.pid

        return end


def publish(repo: DebRepo, packages: tuple[Made, ...]) -> list[str]:
    """Put made-up packages into the archive; the names that are to be installed."""
    with repo.together():
        for made in packages:
            if made.old:
                repo.release(made.name, made.old)
            if made.new:
                needs = ", ".join("{} (>= {})".format(*need.split("=")) if "=" in need else need for need in made.needs)
                scripts = {FAILING[made.fails]: "exit 1"} if made.fails else {}
                repo.security(made.name, made.new, depends=needs, **scripts)
    return [made.name for made in packages if made.old]
