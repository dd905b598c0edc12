# SPDX-License-Identifier: Apache-2.0
"""
Whether a value fits its AllowedPattern, decided apart from the server.

A regular expression can take longer than the universe has, and Python's engine lets nothing else run meanwhile. So it runs
in a process of its own, which has a second of the processor and little memory. The value goes there through a pipe: command lines can be
read by others.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys

from patchwright.server.parameters.errors import InvalidPattern, PatternMismatch

SECONDS = 10.0  # by the clock, on a machine that has other things to do
_FITS, _DOES_NOT = 0, 3
_AT_ONCE = 2
_PROGRAM = """
import json, re, resource, sys
resource.setrlimit(resource.RLIMIT_CPU, (1, 1))
resource.setrlimit(resource.RLIMIT_AS, (2**28, 2**28))
pattern, value = json.load(sys.stdin)
sys.exit(0 if re.compile(pattern, re.ASCII).fullmatch(value) else 3)
"""


class Patterns:
    """Checks values, a few at once."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(_AT_ONCE)

    async def check(self, pattern: str, value: str) -> None:
        """
        Return if all of *value* fits *pattern*, whose `\\d`, `\\w` and `\\s` are ASCII's as in Java.

        Errors: PatternMismatch; InvalidPattern where it is no regular expression or the answer takes too long.
        """
        async with self._turn:
            code = await _run(json.dumps([pattern, value]).encode())
        if code == _DOES_NOT:
            msg = f"Parameter value, cannot be validated using allowedPattern: {pattern}"
            raise PatternMismatch(msg)
        if code != _FITS:
            msg = "The allowed pattern is no regular expression that could be used, or takes too long."
            raise InvalidPattern(msg)


async def _run(given: bytes) -> int | None:
    """The program's exit code; None if it was ended for taking too long."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-I", "-S", "-c", _PROGRAM),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env={},
        cwd="/",
    )
    try:
        async with asyncio.timeout(SECONDS):
            await child.communicate(given)
    except TimeoutError:
        return None
    finally:
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()
    return child.returncode
