# SPDX-License-Identifier: Apache-2.0
"""
The errors of the node program. Every message says what happened and, where a person can act, what to do next.

    PatchwrightError
    └── AgentError
        ├── UnsupportedSystem        no baseline can cover this system, or it has no package manager known here
        ├── LockHeld                 another process kept the package manager's lock past the deadline
        ├── MetadataUnreadable       the package manager's own files or answers cannot be read
        ├── UnusableSource           a repository that the baseline names is none that the package manager could read
        └── CommandError             a program that was started did not do its work
            ├── CommandMissing       it is not installed
            ├── CommandFailed        it ended with an exit code that is not among the good ones
            ├── CommandTimedOut      it was ended because its time was up
            └── OutputTooLarge       it was ended because it wrote more than its caller can take
"""

from __future__ import annotations

from typing import Sequence

from patchwright.core.errors import PatchwrightError


class AgentError(PatchwrightError):
    """The root of what the node program raises on purpose."""


class UnsupportedSystem(AgentError):
    """No baseline can cover this system, or it has no package manager known here."""


class LockHeld(AgentError):
    """Another process kept the package manager's lock past the deadline. *pid* is 0 where it cannot be seen from here."""

    def __init__(self, path: str, pid: int, command: str, *, waited_seconds: float) -> None:
        holder = f"process {pid} ({command})" if pid else (command or "a process that cannot be seen from here")
        super().__init__(
            f"{holder} holds {path}; waited {waited_seconds:.0f} s. Let it finish or end it, then run the operation again"
        )
        self.path = path
        self.pid = pid
        self.command = command
        self.waited_seconds = waited_seconds


class MetadataUnreadable(AgentError):
    """The package manager's own files or answers cannot be read."""


class UnusableSource(AgentError):
    """A repository that the baseline names is none that the package manager could read."""


class CommandError(AgentError):
    """A program that was started did not do its work. *tail* is the end of what it wrote, the error stream last."""

    def __init__(self, argv: Sequence[str], what: str, tail: str = "") -> None:
        super().__init__(f"{argv[0]} {what}" + (f": {tail}" if tail else ""))
        self.argv = tuple(argv)
        self.tail = tail


class CommandMissing(CommandError):
    """The program is not installed."""


class CommandFailed(CommandError):
    """The program ended with an exit code that is not among the good ones. Negative: ended by that signal."""

    def __init__(self, argv: Sequence[str], code: int, tail: str = "") -> None:
        ended = f"ended with exit code {code}" if code >= 0 else f"was ended by signal {-code}"
        super().__init__(argv, f"{ended}, perhaps for lack of memory" if code == -9 else ended, tail)
        self.code = code


class CommandTimedOut(CommandError):
    """The program, and all it had started, was ended because its time was up."""

    def __init__(self, argv: Sequence[str], timeout_seconds: float, tail: str = "") -> None:
        super().__init__(argv, f"was ended after {timeout_seconds:.0f} s", tail)
        self.timeout_seconds = timeout_seconds


class OutputTooLarge(CommandError):
    """The program was ended because it wrote more than its caller can take."""

    def __init__(self, argv: Sequence[str], limit_bytes: int) -> None:
        super().__init__(argv, f"wrote more than {limit_bytes} bytes and was ended")
