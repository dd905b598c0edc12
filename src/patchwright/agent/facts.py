# SPDX-License-Identifier: Apache-2.0
"""Taking a node's facts: what its package manager says, and what only the node itself can tell."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, NamedTuple, Tuple

from patchwright.agent.clock import Clock
from patchwright.agent.providers import Provider
from patchwright.core.facts import NodeFacts


class Taken(NamedTuple):
    """Facts, and by digest the canonical form of every body they name."""

    facts: NodeFacts
    bodies: Dict[str, bytes]


def take(
    provider: Provider, *, refresh: bool, clock: Clock, clock_offset: float = 0.0, root: Path = Path("/")
) -> Taken:
    """
    The facts of this node now.

    Args:
        provider: The node's package manager.
        refresh: Whether repository metadata is fetched first. A repository that fails becomes a problem of the facts.
        clock: What `observed_at` is read from.
        clock_offset: Server time minus the node's, as the client measured it, in seconds.
        root: Where the system's files are.

    Raises:
        UnsupportedSystem: No baseline can cover this system.
        LockHeld: The package manager's locks were held too long.
    """
    raise NotImplementedError


def stale_services(proc: Path = Path("/proc")) -> Tuple[str, ...]:
    """The systemd services that still run replaced files, sorted."""
    raise NotImplementedError
