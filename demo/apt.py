# SPDX-License-Identifier: Apache-2.0
"""What apt itself says is outstanding, and keeping other package managers away while a twin lies on this machine's files."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

DPKG = Path("/var/lib/dpkg")
TIMEOUT_SECONDS = 120
# No cache is written: a twin may lie on it already.
_SIMULATE = (
    "apt-get",
    "-s",
    "-o",
    "Debug::NoLocking=true",
    "-o",
    "Dir::Cache::pkgcache=",
    "-o",
    "Dir::Cache::srcpkgcache=",
    "dist-upgrade",
)
_INST = re.compile(r"^Inst (?P<name>\S+) \[(?P<old>[^\]]*)\] \((?P<new>\S+) (?P<origins>.*) \[(?P<arch>[^\]]+)\]\)")
_KEPT = re.compile(r"^The following packages have been kept back:\n((?:  .*\n)+)", re.MULTILINE)


class AptFailed(Exception):
    """apt did not answer, or has work of its own."""


@dataclass(frozen=True)
class Update:
    """An update that apt would install. *origins*: where apt found the version, such as `Debian-Security:12/stable-security`."""

    key: str
    old: str
    new: str
    origins: str

    @property
    def security(self) -> bool:
        """Whether one of the places is a security archive: by its suite on Debian and Ubuntu, by its label on Debian."""
        return is_security(self.origins)


def is_security(origins: str) -> bool:
    """Whether a list of `label:version/suite` names a security archive."""
    return any(one.endswith("-security") or one.startswith("Debian-Security:") for one in origins.split(", "))


def read_simulation(text: str) -> tuple[list[Update], list[str]]:
    """The updates of installed packages in the output of `apt-get -s dist-upgrade`, and the names kept back."""
    found = []
    for line in text.splitlines():
        match = _INST.match(line)
        if match:
            name = match["name"].partition(":")[0]
            found.append(Update(f"{name}.{match['arch']}", match["old"], match["new"], match["origins"]))
    kept = _KEPT.search(text)
    return found, kept[1].split() if kept else []


def read_policy(text: str) -> dict[str, bool]:
    """By package, whether the candidate of `apt-cache policy NAME…` comes from a security archive."""
    found: dict[str, bool] = {}
    name, candidate, current = "", "", ""
    for line in text.splitlines():
        words = line.split()
        if not line.startswith(" "):
            name = line.rstrip(":")
        elif words[:1] == ["Candidate:"]:
            candidate = words[1]
        elif line.startswith((" *** ", "     ")) and not line.startswith("        "):
            current = words[1] if words[0] == "***" else words[0]
        elif current == candidate and len(words) > 2 and words[2].split("/")[0].endswith("-security"):
            found[name] = True
    return found


class Question:
    """apt is asked when this is made, and works while the story goes on. Raises AptFailed where it is not installed."""

    def __init__(self) -> None:
        self._asked = _start(*_SIMULATE)

    def answer(self) -> tuple[dict[str, Update], int]:
        """
        What comes from the security archive for this machine by apt's own word, by name and architecture; and how many
        updates come from elsewhere. What apt keeps back counts too, for it is missing all the same.

        Raises AptFailed.
        """
        return _security_updates(_finish(self._asked, _SIMULATE))


def _security_updates(simulation: str) -> tuple[dict[str, Update], int]:
    updates, kept = read_simulation(simulation)
    found = {update.key: update for update in updates if update.security}
    if kept:
        native = _ask("dpkg", "--print-architecture").strip()
        for name in read_policy(_ask("apt-cache", "policy", *kept)):
            plain, _, arch = name.partition(":")
            query = _ask("dpkg-query", "-W", "-f", "${Architecture} ${Version}", f"{plain}:{arch or native}").split()
            found[f"{plain}.{query[0]}"] = Update(f"{plain}.{query[0]}", query[1], "", "kept back by apt")
    return found, len(updates) - sum(update.security for update in updates)


@contextlib.contextmanager
def hold(wait_seconds: float = 60) -> Iterator[None]:
    """
    Hold the locks of this machine's package database, so that nothing changes below a twin.

    Raises AptFailed where another package manager keeps them for longer than *wait_seconds*.
    """
    held: list[int] = []
    deadline = time.monotonic() + wait_seconds
    try:
        for name in ("lock-frontend", "lock"):
            descriptor = os.open(DPKG / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
            held.append(descriptor)
            while not _try_lock(descriptor):
                if time.monotonic() > deadline:
                    raise AptFailed("another package manager is at work on this machine; try again when it is done")
                time.sleep(0.2)
        yield
    finally:
        for descriptor in held:
            os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _ask(*argv: str) -> str:
    return _finish(_start(*argv), argv)


def _start(*argv: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "LC_ALL": "C", "LANGUAGE": ""}
    pipe = subprocess.PIPE
    try:
        return subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True, errors="replace", env=environment
        )
    except OSError as error:
        raise AptFailed(f"{argv[0]}: {error}") from None


def _finish(process: subprocess.Popen[str], argv: Sequence[str]) -> str:
    try:
        output, errors = process.communicate(timeout=TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise AptFailed(f"{argv[0]} did not answer within {TIMEOUT_SECONDS} s") from None
    if process.returncode != 0:
        raise AptFailed(f"{argv[0]} ended with {process.returncode}: {errors.strip()[-400:]}")
    return output
