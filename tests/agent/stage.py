# SPDX-License-Identifier: Apache-2.0
"""A simulator, one made-up node and its agent, wired together: what every story of the loop starts from."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent.simulator import ACCOUNT, REGION, Simulator

NODE = Path(__file__).with_name("made_node.py")
DEADLINE = 90.0
QUICK = {
    "backoff_cap_seconds": 0.1,
    "connect_seconds": 15,
    "poll_seconds": 5,
    "request_seconds": 15,
    "reboot_wait_seconds": 0.2,
    "reserve_kib": 64,
    "inventory_hours": 0,  # a story of its own: test_inventory
}


def until(condition: Callable[[], object], what: str = "it is so") -> None:
    """Wait until *condition* holds."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.01)


class Zygote:
    """Runs the agent in forks of one process: see made_node."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(NODE), "zygote"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, argv: list[str], env: dict[str, str], log: Path) -> int:
        """Run the agent to its end; its exit code, negative for a signal."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"argv": argv, "env": env, "log": str(log)}) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()


class Stage:
    """One node below *directory*, enrolled at *simulator*."""

    def __init__(self, directory: Path, simulator: Simulator, zygote: Zygote | None = None) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.python = sys.executable
        self.directory = directory
        self.state_dir = directory / "state"
        self.simulator = simulator
        self._zygote = zygote
        self._processes: list[subprocess.Popen[bytes]] = []
        self.file = directory / "node.json"
        self.boot_file = directory / "boot_id"
        self.log = directory / "agent.log"
        self.boot_file.write_text("boot-1")
        self.set(
            installed={"openssl": "3.0.1-1", "zlib1g": "1.2-1"},
            offers={"openssl": ["3.0.1-1", "3.0.2-1"], "zlib1g": ["1.2-2"]},
        )
        self.state_dir.mkdir(mode=0o700, exist_ok=True)
        self.settings()
        self.instance_id, secret = simulator.add_node()
        self.identity = {
            "instance_id": self.instance_id,
            "secret": secret,
            "region": REGION,
            "account": ACCOUNT,
            "server": simulator.url,
        }
        (self.state_dir / "identity.json").write_text(json.dumps(self.identity))

    @property
    def environment(self) -> dict[str, str]:
        """What the agent is told by its environment."""
        return {"PATCHWRIGHT_MADE_NODE": str(self.file), "PATCHWRIGHT_BOOT_ID_FILE": str(self.boot_file)}

    def settings(self, **changes: Any) -> None:
        """Write agent.json."""
        (self.state_dir / "agent.json").write_text(json.dumps({**QUICK, **changes}))

    def set(self, **changes: Any) -> None:
        """Change the made-up node."""
        data = json.loads(self.file.read_text()) if self.file.exists() else {}
        self.file.write_text(json.dumps({**data, **changes}))

    @property
    def installed(self) -> dict[str, str]:
        """What is installed, by name."""
        return dict(json.loads(self.file.read_text())["installed"])

    @property
    def history(self) -> list[str]:
        """What happened on the node, in order."""
        path = self.directory / "history"
        return path.read_text().splitlines() if path.exists() else []

    def send(self, operation: str, **options: Any) -> str:
        """Queue an operation at the server."""
        return self.simulator.send(self.instance_id, operation, **options)

    def once(self) -> int:
        """One `run --once`; its exit code."""
        argv = ["run", "--once", "--state-dir", str(self.state_dir)]
        if self._zygote:
            return self._zygote.run(argv, self.environment, self.log)
        process = self._start(argv)
        return process.wait(DEADLINE)

    def once_on_small_disk(self, *, kib: int) -> int:
        """One `run --once` whose state directory is a disk of that size, in a mount namespace of its own."""
        copy = self.directory / "copy"
        shutil.copytree(self.state_dir, copy)
        script = 'mount -t tmpfs -o size="$1"k none "$2" && cp "$3"/* "$2" && shift 3 && exec "$@"'
        program = [sys.executable, "-I", str(NODE), "run", "--once", "--state-dir", str(self.state_dir)]
        with self.log.open("ab") as log:
            return subprocess.run(
                ["unshare", "-m", "sh", "-c", script, "sh", str(kib), str(self.state_dir), str(copy), *program],
                env={**os.environ, **self.environment},
                stdout=log,
                stderr=log,
                timeout=DEADLINE,
            ).returncode

    def start(self) -> subprocess.Popen[bytes]:
        """Start the agent; it is ended with the stage."""
        return self._start(["run", "--state-dir", str(self.state_dir)])

    def _start(self, argv: list[str]) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [self.python, "-I", str(NODE), *argv],
                env={**os.environ, **self.environment},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._processes.append(process)
        return process

    def processes(self, word: str) -> list[int]:
        """The agent's processes of this stage that have *word* among their arguments."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    arguments = (entry / "cmdline").read_bytes().decode().split("\0")
                except OSError:
                    continue
                if str(self.state_dir) in arguments and word in arguments:
                    found.append(int(entry.name))
        return found

    def wait_for(self, condition: Callable[[], object], what: str) -> None:
        """Wait until *condition* holds."""
        deadline = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain until {what}\n{self.logs()}"
            time.sleep(0.01)

    def wait_for_final(self, command_id: str) -> dict[str, Any]:
        """The final reply to a command, waited for."""
        replies = self.simulator.replies_of
        self.wait_for(
            lambda: any(reply["documentStatus"] != "InProgress" for reply in replies(command_id)),
            "the final reply came",
        )
        return self.simulator.final(command_id)

    def logs(self) -> str:
        """Everything the agent wrote."""
        paths = [
            self.log,
            self.state_dir / "worker.log",
            self.state_dir / "inventory.log",
            *self.state_dir.glob("work/**/log"),
        ]
        return "\n".join(path.read_text(errors="replace") for path in paths if path.exists())

    def close(self) -> None:
        """End whatever still runs."""
        gate = self.directory / "gate"
        if gate.exists():
            gate.unlink()
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.wait()
        for word in ("work", "inventory", "facts", "resolve", "install"):
            for pid in self.processes(word):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
