# SPDX-License-Identifier: Apache-2.0
"""A server as a process of its own."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path

import boto3
from botocore.config import Config

import patchwright

SOURCE = str(Path(patchwright.__file__).parents[1])
START_SECONDS = 60.0


class Process:
    """`patchwright server` with these words, started and not yet ready."""

    def __init__(self, directory: Path, *words: str, **environment: str) -> None:
        base = {name: value for name, value in os.environ.items() if not name.startswith(("PATCHWRIGHT_", "AWS_"))}
        command = [sys.executable, "-m", "patchwright", "server", "--data-dir", str(directory), *words]
        self.data = directory
        self.errors = directory.with_name(directory.name + ".log")
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        with self.errors.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**base, "PYTHONPATH": SOURCE, "HOME": str(directory.parent), **environment},
            )
        threading.Thread(target=self._read, daemon=True).start()
        self.said: list[str] = []

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put("")

    def ready(self) -> Process:
        """Wait until it says where it serves."""
        line = self._lines.get(timeout=START_SECONDS)
        assert "serves the API at" in line, self.errors.read_text()
        self.said.append(line)
        self.url = line.rpartition(" ")[2]
        return self

    def rest(self) -> str:
        """Everything it printed, up to its end."""
        while line := self._lines.get(timeout=START_SECONDS):
            self.said.append(line)
        return "\n".join(self.said)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Stop it; returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(timeout=START_SECONDS)

    def log(self) -> list[dict[str, object]]:
        """Its log lines."""
        return [json.loads(line) for line in self.errors.read_text().splitlines() if line.startswith("{")]

    def client(self, **more: object):
        """boto3 with the credentials file the server wrote, and nothing else."""
        session = boto3.session.Session()
        session._session.set_config_variable("credentials_file", str(self.data / "credentials"))
        config = Config(retries={"total_max_attempts": 1}, read_timeout=30)
        return session.client("ssm", endpoint_url=self.url, region_name="us-east-1", config=config, **more)
