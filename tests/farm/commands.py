# SPDX-License-Identifier: Apache-2.0
"""Commands on the host: run to the end, text out, loud when they fail; and waiting on a condition."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")
SOONEST, LATEST = 0.01, 0.12  # seconds between two questions of `until`

# What a command sees unless the caller says otherwise: nothing of the test process's own environment.
CLEAN_ENV = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
    "TERM": "dumb",
    "DEBIAN_FRONTEND": "noninteractive",
}


class FarmError(Exception):
    """The farm could not do what a test asked for."""


class FarmUnavailable(FarmError):
    """This machine cannot run a farm; the message says what is missing and how to get it."""


class Timeout(FarmError):
    """A condition did not come true, or a command did not end, before its deadline."""


@dataclass(frozen=True)
class Result:
    """How a command ended. `code` is negative when a signal ended it (-9: killed)."""

    argv: Sequence[str]
    code: int
    stdout: str
    stderr: str

    @property
    def lines(self) -> list[str]:
        """The lines of stdout."""
        return self.stdout.splitlines()


class CommandFailed(FarmError):
    """A command ended with a code other than 0; carries its `Result`."""

    def __init__(self, result: Result) -> None:
        self.result = result
        super().__init__(
            f"{' '.join(result.argv)} ended with {result.code}"
            f"\n--- stdout\n{result.stdout[-4000:]}\n--- stderr\n{result.stderr[-4000:]}"
        )


def host(
    argv: Sequence[str],
    *,
    stdin: str = "",
    check: bool = True,
    timeout: float = 120,
    env: Mapping[str, str] | None = None,
) -> Result:
    """
    Run a command on the host and wait for its end.

    Args:
        argv: The command and its arguments; no shell reads them.
        stdin: Its whole standard input.
        check: Raise `CommandFailed` when the code is not 0.
        timeout: Seconds, after which it is killed.
        env: Added to `CLEAN_ENV`.

    Raises:
        CommandFailed: The code is not 0 and *check* is true.
        Timeout: It did not end in time.
    """
    try:
        done = subprocess.run(
            list(argv),
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            env={**CLEAN_ENV, **(env or {})},
        )
    except subprocess.TimeoutExpired as error:
        raise Timeout(f"{' '.join(argv)} did not end within {timeout} s") from error
    result = Result(tuple(argv), done.returncode, done.stdout, done.stderr)
    if check and result.code != 0:
        raise CommandFailed(result)
    return result


def until(condition: Callable[[], T], *, what: str, timeout: float = 120, every: float = 0) -> T:
    """
    Ask *condition* again and again until it answers something true, and return that.

    Args:
        condition: A question without side effects.
        what: What is awaited, for the message of `Timeout`.
        timeout: Seconds.
        every: Seconds between two questions; 0 begins with `SOONEST` and takes its time up to `LATEST`, since whoever
            answers has other things to do on the same machine.
    """
    deadline = time.monotonic() + timeout
    pause = every or SOONEST
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise Timeout(f"waited {timeout} s in vain for {what}")
        time.sleep(pause)
        pause = every or min(LATEST, pause * 1.4)
