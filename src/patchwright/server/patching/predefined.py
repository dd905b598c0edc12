# SPDX-License-Identifier: Apache-2.0
"""The predefined baselines as resources: read-only, the same in every account, addressed by ARN (spec §2.3)."""

from __future__ import annotations

from functools import lru_cache

from patchwright.core import predefined
from patchwright.core.system import OperatingSystem
from patchwright.server.patching.model import Definition, Listed, PatchBaseline

OWNER = "075727635805"  # AWS's account of us-east-1; here the owner in every region
_CREATED_AT = 1763596800.0  # 2025-11-20T00:00:00Z


def arn(region: str, baseline_id: str) -> str:
    """The ARN of the predefined baseline with this bare id."""
    return f"arn:aws:ssm:{region}:{OWNER}:patchbaseline/{baseline_id}"


@lru_cache(maxsize=64)
def all_of(region: str) -> tuple[PatchBaseline, ...]:
    """Every predefined baseline, in the order of the table."""
    return tuple(_resource(region, item) for item in predefined.PREDEFINED)


def find(region: str, bare_id: str) -> PatchBaseline | None:
    """The predefined baseline with this bare id, or None."""
    return next((found for found in all_of(region) if found.id.endswith(f"/{bare_id}")), None)


def default_of(region: str, operating_system: OperatingSystem) -> PatchBaseline:
    """The one that is the default until an account registers its own."""
    wanted = arn(region, predefined.default_of(operating_system).id)
    return next(found for found in all_of(region) if found.id == wanted)


@lru_cache(maxsize=64)
def listed(region: str) -> tuple[Listed, ...]:
    """The same as a listing shows them; marked are those that are the default until an account registers its own."""
    return tuple(
        Listed(
            arn(region, item.id),
            item.name,
            item.description,
            item.baseline.operating_system.value,
            predefined=True,
            default=predefined.default_of(item.baseline.operating_system) == item,
        )
        for item in predefined.PREDEFINED
    )


def after(region: str, listed_id: str) -> tuple[Listed, ...]:
    """Those that a listing shows after the one with this ARN; all of them where it is empty."""
    every = listed(region)
    start = next((i + 1 for i, one in enumerate(every) if one.id == listed_id), 0)
    return every[start:]


def _resource(region: str, item: predefined.Predefined) -> PatchBaseline:
    definition = Definition(item.name, item.baseline, item.description)
    return PatchBaseline(arn(region, item.id), 1, definition, _CREATED_AT, _CREATED_AT, predefined=True)
