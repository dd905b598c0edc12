# SPDX-License-Identifier: Apache-2.0
"""
The agent on a made-up node: the real program, with a provider whose packages are a JSON file and a reboot that is one too.

Run as a program with the agent's words. With the word `zygote` it reads `{"argv", "env"}` lines and runs each in a forked
process, which makes hundreds of crashes affordable; processes the agent starts are then forked as well. `crash` in the file
ends one process at one of its durable writes, before or after it, once.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()
for place in (HERE.parents[2] / "src",):
    if str(place) not in sys.path:
        sys.path.insert(0, str(place))

from patchwright.agent import (  # noqa: E402, F401 - forks start with all imported
    child,
    facts,
    installing,
    keeper,
    loop,
    node,
    providers,
    reboot,
    shell,
    worker,
)
from patchwright.agent import disk as disk_module  # noqa: E402
from patchwright.agent.__main__ import main  # noqa: E402
from patchwright.agent.actions import patch, script  # noqa: E402, F401 - the same
from patchwright.agent.errors import CommandFailed, LockHeld  # noqa: E402
from patchwright.agent.providers.locks import Holder  # noqa: E402
from patchwright.core.facts import RepositoryProblem, SliceRef  # noqa: E402
from patchwright.core.package import Manager, Offer, OffersSlice, Origin, Package, PackageSet  # noqa: E402
from patchwright.core.plan import Action, Intent, Plan, Resolution  # noqa: E402
from patchwright.core.version import Scheme, compare  # noqa: E402

FILE_VARIABLE = "PATCHWRIGHT_MADE_NODE"
CRASH_CODE = 86
LONGEST_SECONDS = 200  # of one run of the agent
ARCH = "amd64"
WRITES = {"write": disk_module.Disk.write, "remove": disk_module.Disk.remove}


def file() -> Path:
    """Where this node is written down."""
    return Path(os.environ[FILE_VARIABLE])


def state() -> dict[str, Any]:
    """The node as it is."""
    data: dict[str, Any] = json.loads(file().read_text())
    return data


@contextlib.contextmanager
def changing() -> Iterator[dict[str, Any]]:
    """The node, written back when the block ends well."""
    data = state()
    yield data
    beside = file().with_suffix(f".{os.getpid()}")
    beside.write_text(json.dumps(data))
    beside.rename(file())


def note(line: str) -> None:
    """Write down that something happened on the node, for good."""
    with file().with_name("history").open("a") as history:
        history.write(line + "\n")


class Provider:
    """A package manager over the file."""

    manager = Manager.APT

    def __init__(self, settings: providers.Settings | None = None) -> None:
        self._sources = [source.name for source in settings.sources] if settings else []
        if settings and settings.sources:
            (settings.sources_directory / "configuration").write_text(settings.sources[0].configuration)

    def _note(self, line: str) -> None:
        note(" with ".join([line, *([",".join(self._sources)] if self._sources else [])]))

    def _offers(self) -> dict[str, list[str]]:
        data = state()
        if not self._sources:
            return dict(data["offers"])
        return {name: versions for one in self._sources for name, versions in data["sources"][one].items()}

    def refresh(self) -> providers.Refresh:
        data = state()
        self._note("refresh")
        if data.get("lock_held"):
            raise LockHeld("/var/lib/apt/lists/lock", 4711, "apt-get upgrade", waited_seconds=3)
        if data.get("killed_in_refresh"):
            os.kill(os.getpid(), signal.SIGKILL)
        problems = tuple(RepositoryProblem(name, "404 Not Found") for name in data.get("dead_repositories", []))
        return providers.Refresh(1.0, problems)

    def read(self) -> providers.Reading:
        data = state()
        if data.get("fills_disk"):
            note("reserve kept" if Path(data["fills_disk"], "reserve").exists() else "reserve given up")
        packages = PackageSet.of(Manager.APT, [Package(name, ARCH, v) for name, v in data["installed"].items()])
        offers = [
            Offer(name, ARCH, v, "libs", "optional") for name, versions in self._offers().items() for v in versions
        ]
        part = OffersSlice.of(
            Manager.APT, Origin("Debian", "Debian-Security", "stable-security", "bookworm-security", "main"), offers
        )
        return providers.Reading(packages, ((part, SliceRef(part.digest)),))

    def installed(self) -> Mapping[str, str]:
        return {f"{name}.{ARCH}": version for name, version in state()["installed"].items()}

    def candidates(self, keys: Sequence[str]) -> Mapping[str, str]:
        found = {}
        for name, versions in self._offers().items():
            best = versions[0]
            for version in versions:
                best = version if compare(Scheme.DPKG, version, best) > 0 else best
            found[f"{name}.{ARCH}"] = best
        return {key: found[key] for key in keys if key in found}

    def resolve(self, intent: Intent) -> Resolution:
        data = state()
        self._note("resolve")
        impossible = {f"{name}.{ARCH}": why for name, why in data.get("unresolved", {}).items()}
        actions = tuple(
            Action(item.name, item.arch, item.installed, item.version, True)
            for item in intent.wanted
            if item.key not in impossible
        )
        if data.get("drifts", 0) > 0:
            with changing() as moved:
                moved["drifts"] -= 1
                name = actions[0].name
                moved["offers"][name].append(moved["offers"][name][-1] + ".1")
        return Resolution(actions, impossible)

    def install(self, plan: Plan, progress: Callable[[str], None]) -> providers.Outcome:
        self._note("install begins")
        data = state()
        if data.get("fills_disk"):
            _fill(Path(data["fills_disk"]))
        if data.get("installer_breaks"):
            raise CommandFailed(["apt-get"], 100, "No space left on device")
        failures = {}
        for action in plan.actions:
            if action.name in data.get("failing", {}):
                failures[action.key] = data["failing"][action.name]
                continue
            if state()["installed"].get(action.name) == action.after:
                continue
            with changing() as changed:
                changed["installed"][action.name] = action.after
            note(f"install {action.name} {action.after}")
            progress(f"{action.name} is at {action.after} " + "." * 4096)
            _wait_for_gate()
        note("install ends")
        return providers.Outcome(failures, "done")

    def holder(self) -> Holder | None:
        there = Path(state().get("locked_while") or "/nonexistent").exists()
        return Holder("/var/lib/dpkg/lock", 4711, "apt-get upgrade") if there else None

    def reboot_reasons(self) -> tuple[str, ...]:
        return ()


def _fill(directory: Path) -> None:
    """Use up the disk, to the last block."""
    for size in (4096, 1):
        try:
            with (directory / f"filler-{size}").open("ab", buffering=0) as filler:
                while True:
                    filler.write(b"x" * size)
        except OSError:
            continue
    note("filled")


def _wait_for_gate() -> None:
    """Hold the installation in the middle while the file `gate` is there."""
    gate = file().with_name("gate")
    deadline = time.monotonic() + 60
    while gate.exists() and time.monotonic() < deadline:
        time.sleep(0.02)


def _reboot(_shell: shell.Shell) -> None:
    """A restart as the agent sees it: asked for, a new boot id, and every process of the old boot gone."""
    note("reboot asked")
    data = state()
    if data.get("reboot_refused"):
        raise CommandFailed(["systemctl"], 1, "Operation inhibited")
    if not data.get("reboot_ignored"):
        boot = Path(os.environ[reboot.BOOT_ID_FILE_VARIABLE])
        boot.write_text("boot-{}".format(int(boot.read_text().rpartition("-")[2]) + 1))
        if data.get("reboot_kills"):
            os.kill(os.getpid(), signal.SIGKILL)


def _count_writes(role: str) -> None:
    """Arrange the crash that the file asks of processes of this role."""
    for name, original in WRITES.items():
        setattr(disk_module.Disk, name, original)  # a fork has its parent's
    crash = state().get("crash")
    if not crash or crash["role"] != role:
        return
    mark, counted = file().with_name("crashed"), [0]
    for name, original in WRITES.items():

        def counting(self: Any, *args: Any, _original: Any = original) -> Any:
            counted[0] += 1
            here = counted[0] == crash["at"] and not mark.exists()
            if here and crash["when"] == "before":
                mark.write_text(str(args[0]))
                os._exit(CRASH_CODE)
            result = _original(self, *args)
            if here:
                mark.write_text(str(args[0]))
                os._exit(CRASH_CODE)
            return result

        setattr(disk_module.Disk, name, counting)


def _fork(_self: shell.Shell, argv: Sequence[str], *, log: Path, env: Mapping[str, str]) -> shell.Detached:
    """What spawn_detached does, by a fork of this process: no interpreter has to start."""
    pid = os.fork()
    if pid == 0:
        os.setsid()
        os.closerange(3, 256)
        target = os.open(str(log), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.dup2(target, 1)
        os.dup2(target, 2)
        os.environ.update(env)
        _exit_with(list(argv[list(argv).index("child") :]))
    return shell.Detached(pid, shell._start_time(pid))


def _exit_with(argv: Sequence[str]) -> None:
    code = 70
    try:
        code = _agent(argv)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _agent(argv: Sequence[str]) -> int:
    if FILE_VARIABLE in os.environ:
        _count_writes(argv[1] if argv[0] == "child" else argv[0])
    return main(argv, program=(sys.executable, "-I", str(HERE)))


def _zygote() -> None:
    shell.Shell.spawn_detached = _fork  # type: ignore[assignment]
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            signal.alarm(LONGEST_SECONDS)  # one that never ends would hold up every test behind it
            os.environ.update(order["env"])
            target = os.open(order["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            for number in (1, 2):
                os.dup2(target, number)
            os.close(0)
            _exit_with(order["argv"])
        _, status = os.waitpid(pid, 0)
        code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)
        sys.stdout.write(f"{code}\n")
        sys.stdout.flush()


def _release() -> dict[str, str]:
    return {"ID": "debian", "VERSION_ID": "12", "NAME": "Debian GNU/Linux"}


providers.detect = lambda *_args, **_options: Manager.APT  # type: ignore[assignment]
providers.load = lambda *_args, **options: Provider(options.get("settings"))  # type: ignore[assignment]
facts.stale_services = lambda *_args, **_options: ()  # type: ignore[assignment]
facts.supported_system = lambda *_args, **_options: facts.identify(_release())  # type: ignore[assignment]
node.os_release = lambda *_args, **_options: _release()  # type: ignore[assignment]
reboot.request = _reboot
child.JOIN_SECONDS = 0.01

if __name__ == "__main__":
    if sys.argv[1:] == ["zygote"]:
        _zygote()
    else:
        sys.exit(_agent(sys.argv[1:]))
