# SPDX-License-Identifier: Apache-2.0
"""What is in the directory of a task (child.py), and what tasks of patching work with."""

from __future__ import annotations

from typing import Any, Mapping, Tuple

from patchwright.agent.clock import Clock
from patchwright.agent.config import load_settings
from patchwright.agent.disk import Disk
from patchwright.agent.shell import Shell

REQUEST, RESULT, ACTING = "request.json", "result.json", "acting"
MESSAGE_LIMIT = 4_000  # characters of an error handed on


def provider_of(disk: Disk, request: Mapping[str, Any]) -> Tuple[Any, Clock]:
    """The package manager of this node, with the repositories that *request* names, and the clock."""
    from patchwright.agent import providers, sourcing
    from patchwright.core import source

    clock, settings = Clock(), load_settings(disk.root)
    sources = source.from_json(request.get("sources", []))
    known = providers.Settings(
        sources=sources,
        sources_directory=sourcing.place(disk.root, sources),
        lock_wait_seconds=settings.lock_wait_seconds,
    )
    return providers.load(providers.detect(), Shell(), clock=clock, settings=known), clock
