# SPDX-License-Identifier: Apache-2.0
"""The services of the room, put together."""

from __future__ import annotations

from dataclasses import dataclass

from patchwright.server.accounts.identity_service import Identities
from patchwright.server.accounts.key_service import Keys
from patchwright.server.accounts.keys import MasterKey
from patchwright.server.accounts.policy_service import Attachments, Policies
from patchwright.server.accounts.service import Service
from patchwright.server.accounts.sessions import Holder, Sessions, no_holder
from patchwright.server.accounts.tenants import Tenants
from patchwright.server.config import Quotas
from patchwright.server.infra import Clock, Database


@dataclass(frozen=True)
class Access:
    """Who there is and what they may. *service* checks master key and root, and knows everybody's authority."""

    service: Service
    tenants: Tenants
    identities: Identities
    keys: Keys
    policies: Policies
    attachments: Attachments
    sessions: Sessions


def open_access(
    database: Database, clock: Clock, master: MasterKey, quotas: Quotas, *, first: str, holder: Holder = no_holder
) -> Access:
    """
    The services of the room over *database*; *first* is the account that the installation began with.

    *holder* knows whose sessions of nodes are.
    """
    return Access(
        Service(database, clock, master),
        Tenants(database, clock, master, first=first),
        Identities(database, clock, quotas),
        Keys(database, clock, master),
        Policies(database, clock, quotas),
        Attachments(database),
        Sessions(database, clock, master, holder=holder),
    )
