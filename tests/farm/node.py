# SPDX-License-Identifier: Apache-2.0
"""A node: a booted Debian with its own init, package database, address and boot id, over a cached root."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from . import inside, machine, roots, skew
from .cgroup import Cgroup
from .commands import CLEAN_ENV, FarmError, Result, Timeout, host, until
from .disk import Disk
from .inside import Process
from .machine import Tool
from .net import Link

MACHINE = "pwfarm-"  # every name the host could see begins so
# nspawn's lock and exchange files stay in a mount namespace of its own; on the host a killed nspawn would leave them.
PRIVATE_RUN = (
    "unshare", "--mount", "sh", "-c",
    'mkdir -p /run/systemd/nspawn && mount -t tmpfs pwfarm /run/systemd/nspawn && exec "$@"', "private-run",
)  # fmt: skip
UNIFIED = "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY"
REBOOTED = 133  # nspawn's code when the node asked for a reboot
SIGRTMIN = signal.SIGRTMIN
POWEROFF, REBOOT = SIGRTMIN + 4, SIGRTMIN + 5  # what systemd as init does on these signals


class Node:
    """
    One node. Made by `Farm.node`, already booted.

    A reboot from inside (`systemctl reboot`) brings it back by itself, with a new boot id; `boots` counts.

    Attributes:
        name: Its host name.
        address: Its address in the LAN.
        boots: How often it has been started.
        console: What its console printed, a file of the host.
    """

    def __init__(
        self,
        name: str,
        *,
        folder: Path,
        disk: Disk,
        link: Link,
        cgroup: Cgroup,
        nspawn: Tool,
        cache: Path,
        is_unified: bool = False,
    ) -> None:
        self.name = name
        self.address = link.address
        self.boots = 0
        self.console = folder / "console.log"
        self._folder = folder
        self._disk = disk
        self._is_unified = is_unified
        self._cache = cache
        self._link = link
        self._cgroup = cgroup
        self._tool = nspawn
        self._processes: list[Process] = []
        self._wanted = False
        self._destroyed = False
        self._nspawn: subprocess.Popen[bytes] | None = None
        self._keeper: threading.Thread | None = None
        self._lock = threading.RLock()

    # -------------------------------------------------------------------------------------------------- life cycle

    def prepare(self) -> None:
        """Mount the root and give it its identity; once, before the first start."""
        self._cgroup.make()
        self._disk.mount()
        self._link.make()
        own = {
            "/etc/hostname": f"{self.name}\n",
            "/etc/hosts": f"127.0.0.1 localhost\n{self.address} {self.name}\n",
            "/etc/machine-id": f"{uuid.uuid4().hex}\n",
        }
        for path, content in own.items():
            roots.write_below(self.root, path, content)

    def start(self, *, wait: bool = True) -> None:
        """Switch it on; with *wait*, return when it has booted."""
        with self._lock:
            if self._destroyed or self._wanted:
                raise FarmError(f"{self.name} is {'destroyed' if self._destroyed else 'running'}")
            self._wanted = True
            self._launch()
            self._keeper = threading.Thread(target=self._keep, name=f"farm-{self.name}", daemon=True)
            self._keeper.start()
        if wait:
            self.wait_running()

    def wait_running(self, timeout: float = 120, *, boots: int = 0) -> str:
        """
        Wait until its systemd has finished starting.

        Args:
            timeout: Seconds.
            boots: At least this many starts must have happened: `wait_running(boots=n.boots + 1)` waits for a reboot.

        Returns:
            `running`, or `degraded` when a unit failed.
        """

        def state() -> str:
            if self.boots < boots or self._init() is None:
                return ""
            try:
                answer = self.run(["systemctl", "is-system-running", "--wait"], check=False, timeout=30).stdout.strip()
            except FarmError:  # it went away in between
                return ""
            return answer if answer in {"running", "degraded"} else ""

        try:
            return until(state, what=f"{self.name} to run", timeout=timeout)
        except Timeout as error:
            raise Timeout(f"{error}; its console said:\n{self.console.read_text(errors='replace')[-3000:]}") from None

    def wait_past_boot(self) -> None:
        """
        Wait until the seconds of its boot are over, at most two: the tools take its init's word for when that was.

        Tools that compare whole seconds do not see that what was installed in it was installed after the boot.
        """
        booted = int(self.run(["stat", "--format=%Y", "/proc/1"]).stdout)
        until(lambda: time.time() >= booted + 2, what=f"the end of the second in which {self.name} booted", timeout=5)

    def reboot(self, *, timeout: float = 120) -> None:
        """Ask its init for an orderly reboot and wait until it runs again."""
        before = self.boots
        self._signal(REBOOT)
        self.wait_running(timeout, boots=before + 1)

    def poweroff(self, *, timeout: float = 120) -> None:
        """Shut it down in order; `start` switches it on again."""
        with self._lock:
            self._wanted = False
        self._signal(POWEROFF)
        self._ended(timeout)

    def crash(self) -> None:
        """Cut its power: every process dies at once, files stay as they are; `start` switches it on again."""
        with self._lock:
            self._wanted = False
            init = self._init()
            if init is not None:  # first: the rest of the pid namespace dies with it
                os.kill(init, signal.SIGKILL)
            if self._nspawn is not None:  # it may not have reached its control group yet
                self._nspawn.kill()
        self._cgroup.kill()
        self._ended(100)

    def destroy(self) -> None:
        """End it and delete all it had; harmless when done twice."""
        if self._destroyed:
            return
        self.crash()
        self._destroyed = True
        self._cgroup.remove()
        self._disk.unmount()
        self._link.drop()
        shutil.rmtree(self._folder)

    @property
    def running(self) -> bool:
        """Whether it is switched on (booting counts)."""
        return self._nspawn is not None and self._nspawn.poll() is None

    def boot_id(self) -> str:
        """The kernel's identifier of this boot, as programs in the node read it."""
        return self.read("/proc/sys/kernel/random/boot_id").strip()

    def partition(self) -> None:
        """Cut it off the LAN: packets vanish, open connections hang."""
        self._link.cut()

    def heal(self) -> None:
        """End the partition."""
        self._link.heal()

    # ------------------------------------------------------------------------------------------------ hard times

    def snapshot(self) -> int:
        """
        Remember its disk as it is now; the number to roll back to, from 1.

        It may be running and goes on: it stands still while what it has written is copied (about 20 ms), so the copy is
        what a power cut at this moment would leave.
        """
        if not self.running:
            return self._disk.keep()
        with self._cgroup.frozen():
            return self._disk.keep()

    def rollback(self, number: int, *, wait: bool = True) -> None:
        """
        Cut its power, put its disk back to what snapshot *number* remembers, and switch it on again if it was running.

        Everything on the disk goes back: packages, the agent's state, logs, and what `skew` has set. A snapshot can be
        used again and again. *wait* as for `start`.
        """
        was_running = self.running
        self.crash()
        self._disk.restore(number)
        if was_running:
            self.start(wait=wait)

    def fill_disk(self, *, leave_bytes: int = 0) -> None:
        """Let it write only *leave_bytes* more; the node must have been made with `disk_bytes=`."""
        self._disk.fill(leave_bytes)

    def free_disk(self) -> None:
        """End `fill_disk`."""
        self._disk.free()

    def limit_memory(self, limit: int | None) -> None:
        """
        Let all its processes together have *limit* bytes of memory, None as much as there is. It stays after a reboot.

        Beyond it the kernel kills the largest process, as on a small machine; `killed_for_memory` counts. What is on a
        limited disk (`disk_bytes=`) counts as memory too: do not use both.
        """
        self._cgroup.limit_memory(limit)

    def killed_for_memory(self) -> int:
        """How many of its processes the kernel has killed because of `limit_memory`."""
        return self._cgroup.killed_for_memory()

    def skew(self, offset: str, *, apt: bool = False) -> str:
        """
        Make the clock wrong for single programs of the node, by libfaketime; its own and the host's stay right.

        Args:
            offset: `+3d`, `-90s`, `+0`. Called again it steps the clock at once, under programs that run too.
            apt: Whether apt-get has the wrong clock as well, for Valid-Until and dates in the future.

        Returns:
            A Python that runs under that clock, and with it all Python that it starts by its own name: the agent with
            its workers. For other programs see `skewed`.
        """
        skew.set_clock(self.root, machine.faketime(self._cache), offset)
        (skew.wrap_apt if apt else skew.unwrap_apt)(self.root)
        return skew.PYTHON

    def skewed(self, offset: str) -> Mapping[str, str]:
        """`skew`, and the variables that put any program under that clock: `n.run(["date"], env=n.skewed("+3d"))`."""
        skew.set_clock(self.root, machine.faketime(self._cache), offset)
        return dict(skew.VARIABLES)

    # ------------------------------------------------------------------------------------------- commands and files

    @property
    def root(self) -> Path:
        """
        Its root directory on the host, mounted while the node exists, booted or not.

        For reading, and for tests that enter it without booting. Links in it lead elsewhere on the host: open nothing
        below /run or /proc here, and follow no link. What the node mounts itself (/run, /tmp) is not seen.
        """
        return self._disk.root

    def run(
        self,
        argv: Sequence[str],
        *,
        input: str | None = None,  # noqa: A002 - as in subprocess
        check: bool = True,
        timeout: float = 120,
        env: Mapping[str, str] | None = None,
    ) -> Result:
        """
        Run a command in the booted node as root and wait for its end.

        It has the node's namespaces, control group and capabilities, DEBIAN_FRONTEND=noninteractive and *env*, and
        nothing of the test's environment.

        Raises:
            CommandFailed: The code is not 0 and *check* is true.
            Timeout: It did not end; all it started has been killed.
            FarmError: The node is not running.
        """
        command, group = inside.enter(self._require_init(), self._cgroup, argv, env)
        result = inside.run(command, argv=argv, cgroup=self._cgroup, group=group, stdin=input, timeout=timeout)
        return inside.checked(result) if check else result

    def spawn(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, log: Path | None = None) -> Process:
        """
        Start a command in the booted node and return at once; it ends with this boot of the node at the latest.

        Args:
            argv: As for `run`.
            env: As for `run`.
            log: Where its output goes; default a file that is deleted with the node.
        """
        command, group = inside.enter(self._require_init(), self._cgroup, argv, env)
        log = log or self._folder / f"spawn-{len(self._processes) + 1}.log"
        process = Process(argv, command, self._cgroup, group, log)
        self._processes.append(process)
        return process

    def unit(
        self,
        name: str,
        exec_start: str,
        *,
        env: Mapping[str, str] | None = None,
        restart: str = "no",
        lines: str = "",
    ) -> None:
        """
        Install, enable and start a service of the node's systemd; it comes back after reboots and crashes.

        Args:
            name: Without `.service`.
            exec_start: Command line as systemd reads it; the program as an absolute path.
            env: Its variables; it has nothing else, not even DEBIAN_FRONTEND.
            restart: systemd's `Restart=`.
            lines: More lines of its [Service] section.
        """
        variables = "".join(f'Environment="{key}={value}"\n' for key, value in (env or {}).items())
        self.write(
            f"/etc/systemd/system/{name}.service",
            f"[Unit]\nDescription={name} under test\n\n[Service]\nExecStart={exec_start}\nRestart={restart}\n"
            f"{variables}{lines}\n[Install]\nWantedBy=multi-user.target\n",
        )
        # By hand what `systemctl enable` does: it would let systemd read all its units a second time.
        wants = "/etc/systemd/system/multi-user.target.wants"
        script = 'mkdir -p "$1"; ln -sf "../$2" "$1/$2"; systemctl daemon-reload; systemctl start "$2"'
        self.run(["sh", "-ec", script, "unit", wants, f"{name}.service"])

    def journal(self, unit: str) -> str:
        """What a unit has written in this boot."""
        return self.run(["journalctl", "--no-pager", "--output=cat", f"--unit={unit}"]).stdout

    def read(self, path: str) -> str:
        """The text of a file, as the booted node sees it."""
        return self.run(["cat", path]).stdout

    def write(self, path: str, text: str, *, mode: int = 0o644) -> None:
        """Write a file in the booted node; directories on the way are made."""
        script = 'mkdir -p "$(dirname "$1")" && cat >"$1" && chmod "$2" "$1"'
        self.run(["sh", "-c", script, "write", path, f"{mode:o}"], input=text)

    def push(self, source: Path, path: str, *, mode: int = 0o755) -> None:
        """Copy a file of the host, of any size and content, to *path* of the node, booted or not."""
        target = f"/root/.push-{uuid.uuid4().hex}"
        if self.running:
            roots.write_below(self.root, target, source.read_bytes())
            script = 'mkdir -p "$(dirname "$2")" && mv "$1" "$2" && chmod "$3" "$2"'
            self.run(["sh", "-c", script, "push", target, path, f"{mode:o}"])
        else:
            roots.write_below(self.root, path, source.read_bytes())
            (self.root / path.lstrip("/")).chmod(mode)

    def installed(self) -> dict[str, tuple[str, str]]:
        """
        The package database, read from outside, whether the node runs or not.

        Returns:
            `name.arch` → (version, dpkg's abbreviation of desired and actual state: `ii` fine, `iF` failed to
            configure, `iU` unpacked only, `hi` held). Of an rpm system the newest version, always with `ii`.
        """
        if not (self.root / "var/lib/dpkg").exists():
            return {key: (versions[-1], "ii") for key, versions in self.rpms().items()}
        form = "${Package}.${Architecture}\t${Version}\t${db:Status-Abbrev}\n"
        answer = host(["dpkg-query", f"--admindir={self.root}/var/lib/dpkg", "-W", "-f", form])
        rows = (line.split("\t") for line in answer.lines)
        return {name: (version, state.strip()) for name, version, state in rows}

    def rpms(self) -> dict[str, list[str]]:
        """
        The rpm database, whether the node runs or not: `name.arch` → `epoch:version-release`, oldest installation first.

        The epoch is left out where it is 0. Install-only packages have several versions.
        """
        form = "%{INSTALLTIME}\t%{NAME}.%{ARCH}\t%{EPOCHNUM}:%{VERSION}-%{RELEASE}\n"
        found: dict[str, list[str]] = {}
        lines = roots.in_root(self.root, ["rpm", "-qa", "--queryformat", form]).lines
        for _, key, evr in sorted((int(line.split("\t")[0]), *line.split("\t")[1:]) for line in lines):
            found.setdefault(key, []).append(evr[2:] if evr.startswith("0:") else evr)
        return dict(sorted(found.items()))

    def entry(self) -> list[str]:
        """
        What runs a command line in the booted node when it is put before it, for programs of the host that start others.

        As `run`, but with the environment that it is given. Good until the node's next boot.
        """
        command, _ = inside.enter(self._require_init(), self._cgroup, [], None)
        return command[: command.index("env")]

    def seen(self) -> Path:
        """
        Its root directory as its own programs see it, /run and /proc included, from outside: absolute links lead to the
        host's files here, too. Good until the node's next boot.
        """
        return Path(f"/proc/{self._require_init()}/root")

    # ---------------------------------------------------------------------------------------------------- machinery

    def _launch(self) -> None:
        command = [
            *PRIVATE_RUN,
            *self._tool.argv,
            "--quiet", "--register=no", "--keep-unit", "--boot", "--console=pipe",
            f"--directory={self.root}", f"--machine={MACHINE}{self._cgroup.farm}-{self.name}", f"--hostname={self.name}",
            "--resolv-conf=off", "--timezone=off", "--link-journal=no",
            f"--network-namespace-path={self._link.namespace}",
        ]  # fmt: skip
        with self.console.open("ab") as console:
            self._nspawn = subprocess.Popen(
                self._cgroup.entering(command),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                # systemd 258 and later boots on the unified hierarchy alone.
                env={**CLEAN_ENV, **self._tool.env, **({UNIFIED: "1"} if self._is_unified else {})},
                start_new_session=True,  # ^C in the test run is for the tests
            )
        self.boots += 1

    def _keep(self) -> None:
        """Start it again whenever it asks for that; runs in a thread of its own."""
        while True:
            process = self._nspawn
            code = process.wait() if process else 0
            with self._lock:
                if code != REBOOTED or not self._wanted:
                    self._wanted = False
                    return
                self._cgroup.kill()
                self._launch()

    def _init(self) -> int | None:
        """Host pid of the node's init once it is systemd, else None."""
        for pid in self._cgroup.pids():
            try:
                status = Path(f"/proc/{pid}/status").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
            if fields["Name"] == "systemd" and fields["NSpid"].split()[1:] == ["1"]:
                return pid
        return None

    def _require_init(self) -> int:
        init = self._init()
        if init is None:
            raise FarmError(f"{self.name} is not running")
        return init

    def _signal(self, sig: int) -> None:
        os.kill(self._require_init(), sig)

    def _ended(self, timeout: float) -> None:
        if self._nspawn is None:
            return
        try:
            self._nspawn.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Timeout(f"{self.name} did not end within {timeout} s") from None
        if self._keeper is not None:
            self._keeper.join()
        self._cgroup.kill()
        for process in self._processes:
            process.wait()
