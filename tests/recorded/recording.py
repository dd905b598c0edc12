# SPDX-License-Identifier: Apache-2.0
"""One recording of what a package manager printed, without this machine's addresses and process ids; and its reading."""

from __future__ import annotations

import re
from pathlib import Path

from patchwright.agent.shell import Result

HERE = Path(__file__).parent
ADDRESS = re.compile(r"10\.213\.\d+\.\d+(?:(?::|%3a| )\d+)?")  # of the farm's LAN, as apt, curl and file names write it
PROCESS = re.compile(r"\b(process|process with pid|application with pid|PID) [1-9]\d*")  # 0: one of another namespace


def write(stem: str, result: Result) -> None:
    """Keep *result* as `STEM.stdout`, `.stderr` and `.code`; *stem* is `DISTRIBUTION-RELEASE.COMMAND.CASE`."""
    for suffix, text in (("stdout", result.stdout), ("stderr", result.stderr)):
        (HERE / f"{stem}.{suffix}").write_text(plain(text))
    (HERE / f"{stem}.code").write_text(f"{result.code}\n")


def plain(text: str) -> str:
    """*text* as it would be on any machine."""
    return PROCESS.sub(r"\1 4242", ADDRESS.sub("archive.invalid", text))


def read(stem: str, *argv: str) -> Result:
    """The recording of that stem as if *argv* had just printed it."""
    stdout, stderr, code = ((HERE / f"{stem}.{suffix}").read_text() for suffix in ("stdout", "stderr", "code"))
    return Result(argv, int(code), stdout, stderr)
