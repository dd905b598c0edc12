# SPDX-License-Identifier: Apache-2.0
"""
What ends a command, and what to do about it.

    PatchwrightError
    └── CliError            exit code 1
        ├── BadSetting      an option, a variable or a file that cannot be used: exit code 2
        ├── NoCredentials   nothing to sign with
        ├── Unreachable     no answer, or none of the API's
        └── Refused         the server's answer is no
"""

from __future__ import annotations

from patchwright.core.errors import PatchwrightError


class CliError(PatchwrightError):
    """The root. The text is for the person at the terminal."""


class BadSetting(CliError):
    """An option, a variable or a file that cannot be used, and what would do."""


class NoCredentials(CliError):
    """Nothing to sign with, and where it was looked for."""


class Unreachable(CliError):
    """No answer from the server, or none of the API's."""


class Refused(CliError):
    """The server's answer is no. *hint* says what may be behind it, where something can be said."""

    def __init__(self, code: str, message: str, *, hint: str = "") -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.hint = hint
