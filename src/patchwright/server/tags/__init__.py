# SPDX-License-Identifier: Apache-2.0
"""
What hangs on resources of every type and goes with them: tags (spec §1.19), policies (§1.15).

The door. The functions are units of work: other rooms and the edges compose them with `yield from`, in the transaction in
which they have made sure that the resource exists. `NODES_WITH` is for statements of
theirs.
"""

from __future__ import annotations

from patchwright.server.tags.model import (
    DOCUMENT,
    LIMIT,
    MAINTENANCE_WINDOW,
    MANAGED_INSTANCE,
    PARAMETER,
    PATCH_BASELINE,
    InvalidTag,
    Tags,
    TooManyTags,
    check,
    patch_group,
)
from patchwright.server.tags.policies import (
    InvalidPolicyParameter,
    MalformedPolicy,
    PolicyConflict,
    PolicyLimit,
    ResourcePolicy,
    UnknownPolicy,
    new_policy,
    policies,
    put_policy,
    remove_policy,
)
from patchwright.server.tags.service import (
    NODES_WITH,
    add,
    carriers,
    forget,
    in_patch_group,
    of,
    of_all,
    of_each,
    remove,
    tagged,
)

__all__ = [
    "DOCUMENT",
    "LIMIT",
    "MAINTENANCE_WINDOW",
    "MANAGED_INSTANCE",
    "NODES_WITH",
    "PARAMETER",
    "PATCH_BASELINE",
    "InvalidPolicyParameter",
    "InvalidTag",
    "MalformedPolicy",
    "PolicyConflict",
    "PolicyLimit",
    "ResourcePolicy",
    "Tags",
    "TooManyTags",
    "UnknownPolicy",
    "add",
    "carriers",
    "check",
    "forget",
    "in_patch_group",
    "new_policy",
    "of",
    "of_all",
    "of_each",
    "patch_group",
    "policies",
    "put_policy",
    "remove",
    "remove_policy",
    "tagged",
]
