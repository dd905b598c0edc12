# SPDX-License-Identifier: Apache-2.0
"""Decisions, made once for each distinct patch and day (design D3)."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from functools import lru_cache, partial

from patchwright.core.baseline import Baseline, Decision, decide
from patchwright.core.patch import Patch

_CACHED = 65_536  # decisions kept; a Debian node has about 1,400 distinct patches


def decider(baseline: Baseline, day: datetime.date) -> Callable[[Patch], Decision]:
    """What *baseline* says of a patch on *day*, remembered."""
    return partial(_decide, day, baseline)


@lru_cache(maxsize=_CACHED)
def _decide(day: datetime.date, baseline: Baseline, patch: Patch) -> Decision:
    return decide(baseline, patch, day)
