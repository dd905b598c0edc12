# SPDX-License-Identifier: Apache-2.0
"""The documents that come with the product: read-only, ours in content under AWS's names."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources

from patchwright.server.documents import kinds
from patchwright.server.documents.model import AMAZON, APPROVED, Document, Found, Version

NAMES = (
    "AWS-GatherSoftwareInventory",
    "AWS-Noop",
    "AWS-RefreshAssociation",
    "AWS-RunDocument",
    "AWS-RunPatchBaseline",
    "AWS-RunPatchBaselineWithHooks",
    "AWS-RunPowerShellScript",
    "AWS-RunRemoteScript",
    "AWS-RunShellScript",
    "AWS-UpdateSSMAgent",
)
_CREATED_AT = 1_795_132_800.0  # 2026-11-20: the first release that had them


@cache
def found(name: str) -> Found:
    """The document of this name, one of `NAMES`."""
    content = resources.files(__package__).joinpath("contents", f"{name}.json").read_text(encoding="utf-8")
    version = Version(
        number=1,
        format="JSON",
        content=content,
        hash=hashlib.sha256(content.encode()).hexdigest(),
        reading=kinds.examine(kinds.COMMAND, content, "JSON"),
        created_at=_CREATED_AT,
        review_status=APPROVED,
    )
    return Found(Document(AMAZON, name, name, kinds.COMMAND, 1, 1, 1), version)
