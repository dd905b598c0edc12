# SPDX-License-Identifier: Apache-2.0
"""
Runs a command inside a node and says what it used: `python3 meter.py [--watch] PROGRAM WORD…`, one JSON line.

CPU is that of the command and of all it waited for. With --watch its memory is looked at every few milliseconds instead:
the peak of the process itself, and of the tree below it as PSS. Standard library, Python 3.8 and newer.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

LOOK_SECONDS = 0.004


def main() -> None:
    """Run the words, print the line."""
    words = sys.argv[1:]
    watch = words[:1] == ["--watch"]
    argv = words[1:] if watch else words
    begun = time.monotonic()
    pid = os.fork()
    if pid == 0:
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(null, 1)
        os.execvp(argv[0], argv)  # noqa: S606 - to become the program is the point
    peak = {"own_kib": 0, "tree_pss_kib": 0}
    if watch:
        status, usage = look(pid, peak)
    else:
        _, status, usage = os.wait4(pid, 0)
    line = {
        "code": os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status),
        "wall": time.monotonic() - begun,
        "cpu": usage.ru_utime + usage.ru_stime,
        "largest_process_kib": usage.ru_maxrss,
    }
    print(json.dumps(dict(line, **(peak if watch else {}))))


def look(pid: int, peak: dict) -> tuple:
    """Wait for *pid* and note its peaks meanwhile; its status and usage."""
    while True:
        done, status, usage = os.wait4(pid, os.WNOHANG)
        if done:
            return status, usage
        peak["own_kib"] = max(peak["own_kib"], field(pid, "status", "VmHWM:"))
        peak["tree_pss_kib"] = max(peak["tree_pss_kib"], sum(field(one, "smaps_rollup", "Pss:") for one in tree(pid)))
        time.sleep(LOOK_SECONDS)


def tree(pid: int) -> list:
    """*pid* and its living descendants."""
    found = [pid]
    for one in found:
        try:
            found.extend(int(child) for child in Path(f"/proc/{one}/task/{one}/children").read_text().split())
        except OSError:
            continue
    return found


def field(pid: int, name: str, label: str) -> int:
    """A number of KiB from a file of /proc; 0 where the process has gone."""
    try:
        lines = Path(f"/proc/{pid}/{name}").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(label)), 0)


if __name__ == "__main__":
    main()
