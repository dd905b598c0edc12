# SPDX-License-Identifier: Apache-2.0
"""The one command. Dispatches lazily; the only module that may know all four buildings."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from patchwright.core.facts import View

LOCK_WAIT_SECONDS = 30.0  # a person waits; the agent has more patience


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `patchwright` with *arguments* (default: those of the process); returns its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["agent"]:
        from patchwright.agent.__main__ import main as agent

        return agent(words[1:])
    if words[:1] == ["server"]:
        from patchwright.server.serving import main as server

        return server(words[1:])
    from patchwright.cli import main as cli

    return cli(words, take_view=take_view)


def take_view(refresh: bool) -> tuple[View, list[str]]:
    """This machine's facts as `cli.main` wants them: by the agent's own reader."""
    from patchwright.agent import facts, providers
    from patchwright.agent.clock import Clock
    from patchwright.agent.errors import LockHeld
    from patchwright.agent.shell import Shell
    from patchwright.core.advisory import NOTICE_FORMAT, Notice
    from patchwright.core.facts import View
    from patchwright.core.package import OffersSlice, PackageSet

    clock, problems = Clock(), []
    settings = providers.Settings(lock_wait_seconds=LOCK_WAIT_SECONDS)
    provider = providers.load(providers.detect(), Shell(), clock=clock, settings=settings)
    try:
        taken = facts.take(provider, refresh=refresh, clock=clock)
    except LockHeld as error:
        problems.append(f"repository metadata was not refreshed: {error}")
        taken = facts.take(provider, refresh=False, clock=clock)
    found, bodies = taken.facts, taken.bodies
    notices = [Notice.parse(body) for digest, body in bodies.items() if digest.startswith(NOTICE_FORMAT)]
    view = View(
        found,
        PackageSet.parse(bodies[found.package_set]),
        tuple(OffersSlice.parse(bodies[ref.digest]) for ref in found.slices),
        {notice.id: notice for notice in notices},
    )
    return view, problems


if __name__ == "__main__":
    sys.exit(main())
