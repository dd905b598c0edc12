# SPDX-License-Identifier: Apache-2.0
"""
A node made of a few packages, and the patch exchange as a node would lead it: no agent, no HTTP, no waiting.

    bench = await Bench.open(database)
    node = await bench.enrol()
    run = await bench.begin(node, Kind.INSTALL)
    directive = await run.send(Phase.BEFORE, OUTDATED)      # bodies are sent when they are asked for
    plan = await run.resolve(directive)
    directive = await run.send(Phase.AFTER, PATCHED)
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from core import made
from patchwright.core.compliance import Operation as Kind
from patchwright.core.facts import View
from patchwright.core.plan import Action, Plan, Resolution
from patchwright.core.protocol import Begun, Directive, FactsMessage, Next, Phase, RebootOption
from patchwright.server import patching
from patchwright.server.accounts import Scope
from patchwright.server.config import Quotas
from patchwright.server.infra import Database
from server.clocks import FakeClock
from server.nodes.made import enrol

NOW = 1_795_147_200.0  # 2026-11-20T04:00:00Z
RELEASE = ("foo 1.0-1", "bar 2.0-1", "plain 3.0-1")
FIXED = ("foo 1.0-1+deb12u1", "bar 2.0-1+deb12u1")


def debian(installed: Iterable[str], *, security: Iterable[str] = FIXED, **facts: Any) -> View:
    """A Debian node with *installed*, offered the release of the day and what *security* holds."""
    moments = {"observed_at": NOW, "refreshed_at": NOW}
    return made.view(installed, (made.MAIN, RELEASE), (made.SECURITY, security), **{**moments, **facts})


OUTDATED = debian(RELEASE)
PATCHED = debian((*FIXED, "plain 3.0-1"), observed_at=NOW + 60)
RESTARTED = debian((*FIXED, "plain 3.0-1"), observed_at=NOW + 120, boot_id="boot-2")
HALF = debian((FIXED[0], *RELEASE[1:]), observed_at=NOW + 60)


def with_facts(view: View, **members: Any) -> View:
    """*view* with other facts of its own."""
    return replace(view, facts=replace(view.facts, **members))


def bodies_of(view: View) -> dict[str, bytes]:
    """What the digests of a node's facts stand for."""
    found = {view.packages.digest: view.packages.canonical()}
    found.update((part.digest, part.canonical()) for part in view.slices)
    found.update((notice.digest, notice.canonical()) for notice in view.notices.values())
    return found


@dataclass
class Bench:
    """
    The patching room over a database, with a clock that ticks once an operation.

    *elsewhere* is another region of the account, *stranger* another account in the region.
    """

    database: Database
    scope: Scope
    clock: FakeClock = field(default_factory=lambda: FakeClock(NOW))

    def __post_init__(self) -> None:
        self.elsewhere = Scope(self.scope.account, "eu-central-1")
        self.stranger = Scope("9" + self.scope.account[1:], self.scope.region)
        self.baselines = patching.Baselines(self.database, self.clock, Quotas())
        self.operations = patching.Operations(self.database, self.clock)
        self.verdicts = patching.Verdicts(self.database, self.clock, stale_after=48 * 3600.0)
        self._commands = itertools.count(1)

    async def enrol(self, *, group: str = "", scope: Scope | None = None) -> str:
        """The id of a new node, in a patch group if one is named."""
        own_tags = {"Patch Group": group} if group else {}
        return await enrol(self.database, self.clock, scope or self.scope, **own_tags)

    async def begin(
        self,
        node: str,
        kind: Kind = Kind.SCAN,
        *,
        reboot: RebootOption = RebootOption.NO_REBOOT,
        command: str = "",
        **more: Any,
    ) -> Run:
        """Begin an operation for a command of its own, or for *command*."""
        self.clock.time += 1.0
        command = command or f"00000000-0000-0000-0000-{next(self._commands):012}"
        scope = more.pop("scope", self.scope)
        members = {"snapshot_id": "", "operating_system": "DEBIAN", "product": "Debian12", "step": "PatchLinux", **more}
        begun = await self.operations.begin(scope, node, command_id=command, kind=kind, reboot_option=reboot, **members)
        return Run(self, scope, node, command, begun)

    async def scan(self, node: str, view: View, **more: Any) -> Directive:
        """A whole Scan."""
        return await (await self.begin(node, Kind.SCAN, **more)).send(Phase.BEFORE, view)

    async def install(self, node: str, before: View, after: View, **more: Any) -> Directive:
        """A whole Install of everything the server wants, up to what the server says to the facts afterwards."""
        run = await self.begin(node, Kind.INSTALL, **more)
        directive = await run.send(Phase.BEFORE, before)
        await run.resolve(directive)
        return await run.send(Phase.AFTER, after, acted_boot_id=before.facts.boot_id)

    async def states(self, node: str) -> dict[str, str]:
        """The states the last operation reported, by `name.arch`."""
        return {row.item.key: row.item.state.value for row in await self.verdicts.rows(self.scope, node)}

    async def live(self, node: str) -> dict[str, str]:
        """The states of the live verdict, by `name.arch`."""
        verdict = await self.verdicts.live(self.scope, node)
        assert verdict.judgement is not None
        return {item.key: item.state.value for item in verdict.judgement.items}


@dataclass
class Run:
    """One operation on one node, from the node's side."""

    bench: Bench
    scope: Scope
    node: str
    command: str
    begun: Begun

    async def put(self, phase: Phase, view: View, **members: Any) -> Directive:
        """PutFacts, once."""
        message = FactsMessage(self.begun.operation_id, phase, view.facts, **members)
        return await self.bench.operations.put_facts(self.scope, self.node, message)

    async def bodies(self, bodies: Mapping[str, bytes]) -> None:
        """PutBodies."""
        await self.bench.operations.put_bodies(self.scope, self.node, self.begun.operation_id, bodies)

    async def send(self, phase: Phase, view: View, **members: Any) -> Directive:
        """PutFacts, with the bodies the server does not have yet."""
        directive = await self.put(phase, view, **members)
        if directive.next is Next.SEND_BODIES:
            bodies = bodies_of(view)
            await self.bodies({digest: bodies[digest] for digest in directive.missing})
            directive = await self.put(phase, view, **members)
        return directive

    async def resolve(
        self, directive: Directive, *, attempt: int = 0, unresolved: Mapping[str, str] | None = None
    ) -> Plan:
        """PutResolution: everything wanted, but for what is *unresolved*."""
        assert directive.intent is not None, directive
        missing = unresolved or {}
        actions = tuple(
            Action(item.name, item.arch, item.installed, item.version, True)
            for item in directive.intent.wanted
            if item.key not in missing
        )
        return await self.bench.operations.put_resolution(
            self.scope, self.node, self.begun.operation_id, attempt=attempt, resolution=Resolution(actions, missing)
        )
