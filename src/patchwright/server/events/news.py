# SPDX-License-Identifier: Apache-2.0
"""What this process needs of the room, made once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from patchwright.server.accounts import MasterKey
from patchwright.server.config import Network, Quotas
from patchwright.server.events.courier import Courier
from patchwright.server.events.feed import Feed
from patchwright.server.events.sending import Postman
from patchwright.server.events.subscriptions import Subscriptions
from patchwright.server.infra import Clock, Database


class News(NamedTuple):
    """Who asks for events, who reads them as they come, and who brings them."""

    subscriptions: Subscriptions
    feed: Feed
    courier: Courier


def open_news(
    database: Database, clock: Clock, master: MasterKey, quotas: Quotas, *, networks: Sequence[Network]
) -> News:
    """The services of the room; webhooks may reach *networks* although they are not public."""
    postman = Postman(networks)
    return News(
        Subscriptions(database, clock, quotas, master=master, postman=postman),
        Feed(database),
        Courier(database, clock, master=master, postman=postman),
    )
