# SPDX-License-Identifier: Apache-2.0
"""
Who may call what: every operation with its action, its resources and its condition keys, and the check before it.

The edge's door to it: `Warden.guarded` puts the check before handlers, `TABLE` says what each operation asks for and whether
it changes anything, `rights_of_task` what a maintenance window may do in its owner's name.
"""

from __future__ import annotations

from patchwright.server.aws.authority.rules import Access, Rule
from patchwright.server.aws.authority.table import TABLE
from patchwright.server.aws.authority.warden import (
    Warden,
    may_read_objects,
    owner_of,
    require_own_bucket,
    rights_of_task,
    rights_of_windows,
)

__all__ = [
    "TABLE",
    "Access",
    "Rule",
    "Warden",
    "may_read_objects",
    "owner_of",
    "require_own_bucket",
    "rights_of_task",
    "rights_of_windows",
]
