# SPDX-License-Identifier: Apache-2.0
"""Links to baseline snapshots (spec §1.19)."""

from __future__ import annotations

from patchwright.core.system import OperatingSystem
from patchwright.server.accounts import Scope
from patchwright.server.aws.signed_links import SignedLinks
from patchwright.server.infra import Clock
from patchwright.server.patching import Deployable

PATH = "/snapshots/"


class SnapshotLinks:
    """Makes and reads links under *url*, signed with *key* (the same in every process)."""

    def __init__(self, url: str, key: bytes, clock: Clock) -> None:
        self._links = SignedLinks(url, PATH, key, clock, kind="snapshot")

    def link(self, scope: Scope, what: Deployable) -> str:
        """A URL that downloads *what* for 24 hours."""
        return self._links.link([*scope, *what])

    def read(self, path: str, query: str) -> tuple[Scope, Deployable] | None:
        """What a link asks for; None unless this server made it and its day is not over."""
        said = self._links.read(path, query)
        if said is None:
            return None
        account, region, instance_id, snapshot_id, system, *rest = said
        return Scope(account, region), Deployable(instance_id, snapshot_id, OperatingSystem(system), *rest)
