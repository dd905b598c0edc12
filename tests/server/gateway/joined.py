# SPDX-License-Identifier: Apache-2.0
"""A real agent beside a real server: processes both."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from patchwright.agent import baton
from patchwright.server.gateway.zipapp import build
from server.process import SOURCE, Process

T = TypeVar("T")
DEADLINE = 60.0


def until(condition: Callable[[], T], what: str) -> T:
    """Wait until *condition* holds, and return what it came to."""
    ends = time.monotonic() + DEADLINE
    while not (found := condition()):
        assert time.monotonic() < ends, f"waited in vain until {what}"
        time.sleep(0.02)
    return found


class Node:
    """An agent that runs, enrolled at *server*."""

    def __init__(self, directory: Path, server: Process) -> None:
        self.state = directory / "state"
        self.state.mkdir(mode=0o700)
        (self.state / "agent.json").write_text(json.dumps({"inventory_hours": 0, "backoff_cap_seconds": 0.2}))
        program = directory / "agent.pyz"
        program.write_bytes(build(Path(SOURCE) / "patchwright"))
        words = [sys.executable, "-I", str(program)]
        made = server.client().create_activation(IamRole="node")
        given = ["--activation-id", made["ActivationId"], "--activation-code", made["ActivationCode"]]
        state = ["--state-dir", str(self.state)]
        subprocess.run([*words, "enroll", "--server", server.url, *given, *state], check=True, capture_output=True)
        self.id = json.loads((self.state / "identity.json").read_text())["instance_id"]
        with (directory / "agent.log").open("wb") as log:
            self.process = subprocess.Popen([*words, "run", *state], stdout=log, stderr=log)

    def waits(self) -> bool:
        """Whether the process is the waiting program now."""
        return baton.START.encode() in Path(f"/proc/{self.process.pid}/cmdline").read_bytes().split(b"\0")
