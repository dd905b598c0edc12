# SPDX-License-Identifier: Apache-2.0
"""The farm's own tests use its fixtures."""

from __future__ import annotations

from .fixtures import debrepo, farm, new_node, rpmrepo

__all__ = ["debrepo", "farm", "new_node", "rpmrepo"]
