# SPDX-License-Identifier: Apache-2.0
"""What a piece of work costs, whatever else the machine, other threads and the garbage collector do meanwhile."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

ATTEMPTS = 3


def cpu_seconds(work: Callable[[], object], *, enough: float) -> float:
    """The processor time of *work* in this thread: of the first attempt below *enough*, or of the last of three."""
    spent = 0.0
    for _ in range(ATTEMPTS):
        gc.disable()
        try:
            begun = time.thread_time()
            work()
            spent = time.thread_time() - begun
        finally:
            gc.enable()
        if spent < enough:
            break
    return spent
