# SPDX-License-Identifier: Apache-2.0
"""
The log of a run: a line for each point, in the order of the table, below a summary.

It is written where PATCHWRIGHT_MATRIX_LOG says, else, by a full run, into the directory for temporary files. It is whole
after every point: the processes of a parallel run write it in turn.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import tempfile
from pathlib import Path

from . import documents, hooks
from .points import FULL, SEED, Point, chosen

VARIABLE = "PATCHWRIGHT_MATRIX_LOG"


def log_path() -> Path | None:
    """Where the log of this run goes; None for a sample that nobody wants one of."""
    given = os.environ.get(VARIABLE, "")
    if given:
        return Path(given)
    return Path(tempfile.gettempdir()) / f"crash-matrix-{SEED}.log" if FULL else None


def note(point: Point | documents.DocumentPoint | hooks.HookPoint, outcome: str, *, boots: int, seconds: float) -> None:
    """Put a point's line into the log."""
    path = log_path()
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    row = f"{point!s:<90} {outcome}, {boots} starts, {seconds:.1f} s"
    name = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]
    with (Path(tempfile.gettempdir()) / f"crash-matrix-{name}.lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        run = f"run {_run()}"
        lock.seek(0)
        rows = path.read_text().splitlines() if lock.read() == run and path.exists() else []
        lock.truncate(0)
        lock.write(run)
        lock.flush()
        path.write_text(_text([line for line in rows if " starts, " in line] + [row]))


def _text(rows: list[str]) -> str:
    order = {str(point): number for number, point in enumerate([*chosen(), *documents.chosen(), *hooks.chosen()])}
    rows = sorted(rows, key=lambda row: order.get(row[:90].strip(), -1))
    wrong = [row for row in rows if " as expected, " not in row]
    spent = sum(float(row.split()[-2]) for row in rows)
    head = [
        f"crash matrix, revision {_revision()}, PATCHWRIGHT_SEED={SEED}",
        f"{len(rows)} of {len(order)} points, {len(wrong)} not as expected, {spent:.0f} s on one core after the other",
        "",
    ]
    return "\n".join(head + rows) + "\n"


def _run() -> str:
    """What the processes of one run have in common."""
    return os.environ.get("PYTEST_XDIST_TESTRUNUID") or str(os.getpid())


def _revision() -> str:
    answer = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return answer.stdout.strip() or "unknown"
