# SPDX-License-Identifier: Apache-2.0
"""
The simulated node: a package database, lists of offers, boots; and a package manager over them.

It remembers what really happened, which is what the server's answers are held against.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from patchwright.agent import providers
from patchwright.agent.errors import CommandFailed, LockHeld
from patchwright.core.facts import RepositoryProblem, SliceRef
from patchwright.core.package import Manager, Offer, OffersSlice, Origin, Package, PackageSet
from patchwright.core.plan import Action, Intent, Plan, Resolution
from patchwright.core.version import Scheme, compare
from properties.node_run.world import BEGIN, Process, World

ARCH = "amd64"
SECURITY = Origin("Debian", "Debian-Security", "stable-security", "bookworm-security", "main")
FAILING, HELD, NEEDY, LIBRARY = "beta", "gamma", "delta", "libnew"
UNREACHABLE_SECONDS = 60.0
BOOT_SECONDS = 30.0
RESTART_SECONDS = 3.0


class Snapshot(NamedTuple):
    """The node as it was when its facts were taken. *packages* are version and state, *brought* version and boot of our installs."""

    packages: Mapping[str, tuple[str, str]]
    lists: Mapping[str, tuple[str, ...]]
    boot: str
    brought: Mapping[str, tuple[str, str]]
    spanned: frozenset[str]


@dataclass
class Machine:
    """The node below the agent.

    *start* starts the agent, *cut* makes the disk lose what was not synced, *working_on* is the command the agent has begun,
    *wanted* says whether the server wants that command's restart in that boot.
    """

    world: World
    start: Callable[[], None] = lambda: None
    cut: Callable[[], None] = lambda: None
    working_on: Callable[[], str] = lambda: ""
    wanted: Callable[[str, str], bool] = lambda command, boot: True
    boots: int = 1
    up: bool = True
    packages: dict[str, tuple[str, str]] = field(default_factory=dict)
    repository: dict[str, list[str]] = field(default_factory=dict)
    unreachable_until: float = 0.0
    snapshots: dict[float, Snapshot] = field(default_factory=dict)
    brought: dict[str, tuple[str, str]] = field(default_factory=dict)
    spanned: set[str] = field(default_factory=set)  # packages brought by hand, or by a plan in an earlier boot
    actions: list[tuple[str, str, str]] = field(default_factory=list)  # command, name, version: configured
    restarts: list[tuple[str, str]] = field(default_factory=list)  # command, boot: asked of the system by the agent
    results: set[str] = field(default_factory=set)  # directories of tasks whose result was written
    promised: dict[str, str] = field(default_factory=dict)  # command -> status the agent journalled as its last word
    unsaid: set[str] = field(default_factory=set)  # commands that changed nothing until they were given up
    acting: Process | None = None
    acted_in: dict[str, set[str]] = field(default_factory=dict)  # task directory -> boots

    def __post_init__(self) -> None:
        names = ("alpha", "beta", "gamma", "delta", "omega")
        self.packages = dict.fromkeys(names, ("1.0-1", "installed"))
        self.repository = {name: ["1.0-1", "1.0-2"] for name in names[:4]} | {LIBRARY: ["1.0-1"]}
        del self.repository["alpha"][0]  # the release's own version is in no list, as after a point release
        self.lists = {name: tuple(versions) for name, versions in self.repository.items()}

    @property
    def boot_id(self) -> str:
        return f"boot-{self.boots}"

    # ------------------------------------------------------------------------------------------------ what befalls it

    def newer(self) -> None:
        """A repository offers a version that was not there before."""
        name = self.world.random.choice(("alpha", "beta", "gamma", "delta"))
        self.repository[name].append(f"1.0-{len(self.repository[name]) + 2}")

    def behind(self) -> None:
        """Somebody changes a package by hand."""
        name = self.world.random.choice(("alpha", "beta", "delta"))
        version, _ = self.packages[name]
        others = [one for one in (*self.repository[name], "1.0-1") if one != version]
        self.packages[name] = (self.world.random.choice(others), "installed")
        self.brought.pop(name, None)
        self.spanned.add(name)  # an open plan may name that very version

    def power_cut(self, seconds: float = BOOT_SECONDS) -> None:
        """Everything on the node ends at once; it is back in so many seconds. From `at_once` or `later` only."""
        if not self.up:
            return
        self.up = False
        self.world.note("POWER CUT")
        for process in list(self.world.processes.values()):
            if process.where == "node":
                self.world.kill(process)
        self.cut()
        self.world.disturbed(self.world.now + seconds)
        self.world.later(seconds, self._boot)

    def restart(self, command: str) -> None:
        """What the restart that a command asked for comes to: as when the power goes, with everything written."""
        if self.up:
            self.up = False
            self.restarts.append((command, self.boot_id))
            for process in list(self.world.processes.values()):
                if process.where == "node":
                    self.world.kill(process)
            self.world.disturbed(self.world.now + BOOT_SECONDS)
            self.world.later(BOOT_SECONDS, self._boot)

    def _boot(self) -> None:
        self.boots += 1
        self.up = True
        self.acting = None
        self.world.note(f"up as {self.boot_id}")
        self.start()

    # ------------------------------------------------------------------------------------------ what the agent asks

    def ask_restart(self) -> None:
        """`systemctl reboot`."""
        process = self.world.current
        assert process is not None
        what = self.world.step("reboot", self.boot_id)
        if what == "refused":
            raise CommandFailed(["systemctl"], 1, "Operation inhibited")
        command, boot = self.working_on(), self.boot_id
        self.world.note(f"restart asked in {boot}")
        if not self.wanted(command, boot):
            self.world.problem(f"{command} asks for a restart in {boot} that nobody wants there")
        if what == "ignored":
            self.world.disturbed(self.world.now + 600)
            return
        seconds = 300.0 if what == "slow" else self.world.random.random() * RESTART_SECONDS
        self.world.disturbed(self.world.now + seconds)
        self.world.later(seconds, lambda: self.restart(command) if self.boot_id == boot else None)

    def command(self) -> str:
        """The command whose task the running process does."""
        process = self.world.current
        assert process is not None
        parts = Path(process.directory).parts
        return parts[parts.index("work") + 1] if parts else ""

    def snapshot(self) -> Snapshot:
        """The node now."""
        return Snapshot(
            dict(self.packages), dict(self.lists), self.boot_id, dict(self.brought), frozenset(self.spanned)
        )


class Provider:
    """The package manager of the simulated node."""

    manager = Manager.APT

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.world = machine.world

    def refresh(self) -> providers.Refresh:
        what = self.world.step("refresh")
        self.world.pause(1.0 + self.world.random.random())
        machine = self.machine
        if what == "locked":
            raise LockHeld("/var/lib/apt/lists/lock", 4711, "apt-get upgrade", waited_seconds=600)
        if what == "unreachable":
            machine.unreachable_until = self.world.now + UNREACHABLE_SECONDS
            self.world.disturbed(machine.unreachable_until)
        if self.world.now < machine.unreachable_until or what == "unreachable":
            return providers.Refresh(BEGIN, (RepositoryProblem("security", "404 Not Found"),))
        machine.lists = {name: tuple(versions) for name, versions in machine.repository.items()}
        return providers.Refresh(self.world.now)

    def read(self) -> providers.Reading:
        self.world.step("read")
        machine = self.machine
        machine.snapshots[round(self.world.now, 6)] = machine.snapshot()
        packages = PackageSet.of(
            Manager.APT, [Package(name, ARCH, *version) for name, version in machine.packages.items()]
        )
        offers = [
            Offer(name, ARCH, version, "libs", "optional")
            for name, versions in machine.lists.items()
            if name in machine.packages
            for version in versions
        ]
        part = OffersSlice.of(Manager.APT, SECURITY, offers)
        held = (f"{HELD}.{ARCH}",) if self.world.script.held else ()
        return providers.Reading(packages, ((part, SliceRef(part.digest)),), held=held, refreshed_at=self.world.now)

    def installed(self) -> Mapping[str, str]:
        return {f"{name}.{ARCH}": version for name, (version, _) in self.machine.packages.items()}

    def candidates(self, keys: Sequence[str]) -> Mapping[str, str]:
        self.world.step("read")
        found = {f"{name}.{ARCH}": self._candidate(name) for name in self.machine.lists}
        return {key: found[key] for key in keys if key in found}

    def _candidate(self, name: str) -> str:
        best, _ = self.machine.packages.get(name, ("", ""))
        for version in self.machine.lists[name]:
            best = version if not best or compare(Scheme.DPKG, version, best) > 0 else best
        return best

    def resolve(self, intent: Intent) -> Resolution:
        self.world.step("read")
        self.world.pause(0.5)
        actions, impossible = [], {}
        for wish in intent.wanted:
            if wish.name == HELD and self.world.script.held:
                impossible[wish.key] = "the package is held"
            else:
                actions.append(Action(wish.name, wish.arch, wish.installed, wish.version, True))
            if wish.name == NEEDY and LIBRARY not in self.machine.packages:
                actions.append(Action(LIBRARY, ARCH, "", "1.0-1", False))
        return Resolution(tuple(actions), impossible)

    def install(self, plan: Plan, progress: Callable[[str], None]) -> providers.Outcome:
        machine, process = self.machine, self.world.current
        assert process is not None
        if machine.acting is not None and machine.acting.alive:
            self.world.problem(f"two processes install at a time: {machine.acting.pid} and {process.pid}")
        machine.acting = process
        boots = machine.acted_in.setdefault(process.directory, set())
        boots.add(machine.boot_id)
        failures = {}
        for action in plan.actions:
            reason = self._act(action)
            if reason:
                failures[action.key] = reason
            elif len(boots) > 1:
                machine.spanned.add(action.name)
            progress(f"{action.name} is at {action.after}")
        machine.acting = None
        return providers.Outcome(failures, "done")

    def _act(self, action: Action) -> str:
        """Unpack and configure; answers why not."""
        machine, now = self.machine, self.machine.packages.get(action.name)
        if now == (action.after, "installed"):
            if machine.brought.get(action.name) != (action.after, machine.boot_id):
                machine.spanned.add(action.name)  # by hand since the plan was checked, or in an earlier boot
            return ""
        what = self.world.step("package", f"unpack {action.name}")
        self.world.pause(0.5)
        machine.packages[action.name] = (action.after, "unpacked")
        what += self.world.step("package", f"configure {action.name}")
        if "fails" in what or (action.name == FAILING and self.world.script.failing):
            machine.packages[action.name] = (action.after, "half-configured")
            return "the post-installation script failed"
        machine.packages[action.name] = (action.after, "installed")
        machine.brought[action.name] = (action.after, machine.boot_id)
        machine.actions.append((machine.command(), action.name, action.after))
        self.world.note(f"installed {action.name} {action.after}")
        return ""

    def holder(self) -> None:
        """Nobody else ever works on the packages for long."""

    def reboot_reasons(self) -> tuple[str, ...]:
        return ()
