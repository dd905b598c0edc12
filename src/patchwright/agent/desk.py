# SPDX-License-Identifier: Apache-2.0
"""What everything that a command does on the node works with."""

from __future__ import annotations

from typing import Callable, NamedTuple

from patchwright.agent.child import Bench
from patchwright.agent.client import Client
from patchwright.agent.config import Settings
from patchwright.agent.outbox import Outbox
from patchwright.agent.turns import Turns


class Desk(NamedTuple):
    """
    What a run works with. *cancelled* says whether the server wants the command stopped, *turns* who else is at work.
    """

    client: Client
    outbox: Outbox
    bench: Bench
    settings: Settings
    cancelled: Callable[[], bool]
    turns: Turns = Turns()
