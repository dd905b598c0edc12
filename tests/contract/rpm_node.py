# SPDX-License-Identifier: Apache-2.0
"""Booted rpm nodes: the real dnf 4, dnf 5 and zypper, driven from outside through the node's namespaces."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from contract.provider import Made, World
from farm import Node, RpmRepo, until
from farm.openpgp import SigningKey
from farm.rpmrepo import package as build
from patchwright.agent.clock import Clock
from patchwright.agent.providers import Provider, Settings
from patchwright.agent.shell import Result, Shell
from patchwright.core.package import Origin
from patchwright.core.source import Source
from patchwright.core.system import OperatingSystem

# How a provider is made of a shell, a clock and settings: its class.
Make = Callable[..., Provider]
FAILING = {"configure": "post", "unpack": "pre"}
LOCK = {
    "dnf4": ["dnf", "versionlock", "add", "--raw"],
    "dnf5": ["dnf5", "versionlock", "add"],
    "zypper": ["zypper", "--non-interactive", "addlock"],
}
INSTALL = {
    "dnf4": ["dnf", "--assumeyes", "install"],
    "dnf5": ["dnf5", "--assumeyes", "install"],
    "zypper": ["zypper", "--non-interactive", "--no-refresh", "install", "--allow-unsigned-rpm"],
}
# What marks a kernel for the one and the other, and what asks SUSE for a restart; Red Hat's tools know glibc by name.
SIDE_BY_SIDE = ("installonlypkg(kernel)", "multiversion(kernel)")
RESTARTS = ("installhint(reboot-needed)",)


class RpmNode(World):
    """A booted node of *kind* with *repo* as its repositories. `run` runs a command in it."""

    arch = "noarch"
    updates = "updates"

    def __init__(self, repo: RpmRepo, node: Node, *, kind: str, make: Make) -> None:
        self.repo = repo
        self.node = node
        self.kind = kind
        self.kernel = "kernel-default" if kind == "zypper" else "kernel-core"
        self.lock_stops_refresh = kind == "zypper"
        self.operating_system = OperatingSystem.SUSE if kind == "zypper" else OperatingSystem.ROCKY_LINUX
        self._make = make
        self.enter()

    def with_sources(self, *sources: Source) -> Provider:
        """A provider that works with *sources* in the place of the node's repositories."""
        settings = Settings(
            root=self.root,
            lock_wait_seconds=0.3,
            refresh_timeout_seconds=120,
            install_timeout_seconds=120,
            sources=sources,
        )
        return self._make(self.shell, clock=Clock(), settings=settings)

    def enter(self) -> None:
        """Make shell and provider for this boot of the node."""
        self.shell = Shell(prefix=self.node.entry())
        self.root: Path = self.node.seen()
        self.provider = self.with_sources()

    def reboot(self) -> None:
        """Reboot the node, and look at it again."""
        self.node.reboot()
        self.enter()

    def run(self, *argv: str, ok: tuple[int, ...] = (0,)) -> Result:
        """Run a command in the node."""
        return self.shell.run(argv, timeout=120, ok=ok)

    def rejection(self, name: str) -> str:
        return f"{name}-1.0-2.{self.arch}" + (".rpm" if self.kind == "zypper" else "")

    def hold(self, name: str) -> None:
        self.run(*LOCK[self.kind], name)

    def break_off(self, name: str) -> None:
        path = next(path for path in self.repo.paths() if f"/{name}-1.0-2." in path)
        self._carry(self.repo.answer(path)[1], "/root/broken.rpm")
        self.run("rpm", "--upgrade", "--nodeps", "/root/broken.rpm")

    def is_update(self, origin: Origin) -> bool:
        return self.updates in (origin.origin, origin.label, origin.suite)

    def silence(self) -> None:
        self.repo.offline("gone", below=self.updates)

    def lock(self) -> Callable[[], int]:
        """A real installation by the real tool, whose script waits."""
        slow = build("zz-slow", "1.0-1", pre="touch /run/waiting; until test -e /run/go; do sleep 0.02; done")
        self._carry(slow.content, "/root/zz-slow.rpm")
        process = self.node.spawn([*INSTALL[self.kind], "/root/zz-slow.rpm"])
        until(
            lambda: (self.root / "run/waiting").exists() or process.poll() is not None,
            what="an installation that waits",
        )
        assert process.poll() is None, process.text()
        host_pid = process.pid
        assert host_pid is not None
        pid = inner_pid(host_pid)

        def end() -> int:
            (self.root / "run/go").touch()
            assert process.wait() == 0, process.text()
            return pid

        return end

    def import_key(self) -> None:
        """Let rpm trust a key, as a distribution's installation does."""
        key = SigningKey("Test Farm rpms <farm@invalid>", 1_700_000_000)
        self._carry(key.armored.encode(), "/root/key.asc")
        self.run("rpm", "--import", "/root/key.asc")
        assert "gpg-pubkey" in self.run("rpm", "-qa", "gpg-pubkey*").stdout

    def configuration(self) -> dict[str, str]:
        """What the node says of its repositories: files and their text."""
        folder = self.node.root / ("etc/zypp/repos.d" if self.kind == "zypper" else "etc/yum.repos.d")
        return {path.name: path.read_text() for path in sorted(folder.iterdir())}

    def _carry(self, content: bytes, path: str) -> None:
        (self.node.root / path.lstrip("/")).write_bytes(content)


def inner_pid(pid: int) -> int:
    """The pid that a process has in its innermost namespace."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("NSpid:")).split()[-1])


def publish(repo: RpmRepo, packages: tuple[Made, ...]) -> list[str]:
    """Put made-up packages into the repositories; the names that are to be installed."""
    with repo.together():
        for made in packages:
            marks = [*(SIDE_BY_SIDE if made.side_by_side else ()), *(RESTARTS if made.restarts else ())]
            if made.old:
                repo.release(made.name, made.old, provides=marks)
            if made.new:
                needs = [need.replace("=", " >= ") for need in made.needs]
                scripts = {FAILING[made.fails]: "exit 1"} if made.fails else {}
                repo.security(made.name, made.new, requires=needs, provides=marks, reboot=made.restarts, **scripts)
    return [made.name for made in packages if made.old]
