# SPDX-License-Identifier: Apache-2.0
"""The first schema."""

from __future__ import annotations

revision = "0001_initial"
down_revision = None


def upgrade() -> None:
    """Bring the schema from `down_revision` to `revision`."""
