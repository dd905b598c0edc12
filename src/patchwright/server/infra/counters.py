# SPDX-License-Identifier: Apache-2.0
"""What a process has asked of its database."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """Counts since the database was opened. Written by one thread, read by any."""

    units: int = 0
    """Units of work that were kept."""

    commits: int = 0
    """Transactions that kept them; on SQLite fewer than `units`, for those waiting together share one."""

    repeats: int = 0
    """Units run again after losing a race (PostgreSQL)."""
