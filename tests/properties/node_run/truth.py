# SPDX-License-Identifier: Apache-2.0
"""
What must hold, whatever happened: the server's answers against what really happened on the node.

The patch states are worked out here once more, the simple way: every version that is offered is approved.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from patchwright.core.version import Scheme, compare
from patchwright.server.patching import operation_store, states
from properties.node_run.central import FINAL_STATUS, Central, finish
from properties.node_run.machine import ARCH, Machine, Snapshot
from properties.node_run.world import World

SETTLE_SECONDS = 4_000.0  # after the last disturbance; three restarts may be waited for 600 s each
TOLERANCE = 0.01


@dataclass(frozen=True)
class Ended:
    """One operation as the server has it."""

    command: str
    kind: str
    state: str
    facts: str
    states: str
    report: Mapping[str, Any]


def expected(snapshot: Snapshot, kind: str) -> dict[str, str]:
    """The states of a node, by name."""
    found = {}
    for name, (version, state) in snapshot.packages.items():
        offered = snapshot.lists.get(name, ())
        above = [one for one in offered if compare(Scheme.DPKG, one, version) > 0]
        if above:
            found[name] = "Missing" if kind == "Scan" else "Failed"
        elif version not in offered and not any(compare(Scheme.DPKG, one, version) < 0 for one in offered):
            found[name] = "InstalledOther"
        elif state != "installed":
            found[name] = "Failed"
        elif snapshot.brought.get(name) == (version, snapshot.boot):
            found[name] = "InstalledPendingReboot"
        else:
            found[name] = "Installed"
    return found


class Judge:
    """Holds one history against the invariants."""

    def __init__(self, world: World, machine: Machine, central: Central) -> None:
        self.world = world
        self.machine = machine
        self.central = central

    def at_rest(self) -> None:
        """Everything that must hold once nothing is under way."""
        for (what,) in self.central.memory.rows("SELECT what FROM broken"):
            self.world.problem(what)
        operations = self._operations()
        self._each_command(operations)
        self._each_report(operations)
        self._newest_facts()
        self._restarts()

    def after_closing_scan(self, command: str) -> None:
        """The last word is the truth of now: a Scan when all faults are over agrees with the package database."""
        (operation,) = [one for one in self._operations() if one.command == command] or [None]
        if operation is None or operation.state != "finished":
            self.world.problem(f"the closing Scan did not finish: {operation}")
            return
        now = self.machine.snapshot()
        self._compare("the closing Scan", self._rows(operation.states), now, "Scan")
        verdict = finish(self.central.verdicts.live(self.central.scope, self.central.instance_id))
        rows = {item.key: (item.state.value, item.installed) for item in verdict.judgement.items}
        failed = {key for key, (state, _) in rows.items() if state == "Failed"}
        rows = {key: ("Missing" if key in failed else state, version) for key, (state, version) in rows.items()}
        self._compare("the live verdict", rows, now, "live")

    def wants_restart(self, command: str, boot: str) -> bool:
        """Whether the server waits for a restart of *boot* for this command, or has given the command up meanwhile."""
        rows = self.central.memory.rows(
            "SELECT state, acted_boot_id, ended_at FROM operation WHERE account = ? AND command_id = ?",
            self.central.scope.account,
            command,
        )
        return any(ended is not None or (state == "rebooting" and acted == boot) for state, acted, ended in rows)

    # -------------------------------------------------------------------------------------------------- invariants

    def _each_command(self, operations: list[Ended]) -> None:
        world, machine = self.world, self.machine
        begun = Counter(one.command for one in operations)
        by_command = {one.command: one for one in operations}
        for command, detail, ended_at, due_at, _, steps, trace in self.central.invocations():
            if begun[command] > 1:
                world.problem(f"{command} has {begun[command]} operations")
            said = FINAL_STATUS.get(machine.promised.get(command, ""))
            if detail == "DeliveryTimedOut":
                if ended_at < due_at:
                    world.problem(f"{command} timed out {due_at - ended_at:.0f} s before its time")
            elif said != detail:
                world.problem(f"{command}: the agent's last word is {said}, the server has {detail}")
            if detail == "Success":
                self._success(command, by_command.get(command))
            if detail == "Failed" and not trace and not any(one["stderr"] for one in json.loads(steps).values()):
                world.problem(f"{command} Failed and nobody says why")
            operation = by_command.get(command)
            if detail == "Failed" and operation and operation.report.get("succeeded") and not self._disk_was_full():
                world.problem(f"{command} Failed though its operation succeeded: {trace} {steps}")
            if detail in ("Cancelled", "ExecutionTimedOut") and any(one[0] == command for one in machine.actions):
                world.problem(f"{command} is {detail} and has changed the node")

    def _disk_was_full(self) -> bool:
        return any("disk full" in line for line in self.world.struck)

    def _success(self, command: str, operation: Ended | None) -> None:
        if operation is None or operation.state != "finished" or not operation.report["succeeded"]:
            self.world.problem(f"{command} is a Success, its operation is {operation}")
        elif operation.kind == "Install":
            lacking = [
                key for key, (state, _) in self._rows(operation.states).items() if state in ("Failed", "Missing")
            ]
            if lacking:
                self.world.problem(f"{command} is a Success without {', '.join(lacking)}")

    def _each_report(self, operations: list[Ended]) -> None:
        for operation in operations:
            if operation.state == "finished":
                snapshot = self._snapshot_of(operation.facts)
                if snapshot is not None:
                    rows = self._rows(operation.states)
                    self._compare(f"the {operation.kind} of {operation.command}", rows, snapshot, operation.kind)

    def _newest_facts(self) -> None:
        """The live verdict speaks of the facts that were taken last, of all that ever reached the server."""
        rows = self.central.memory.rows(
            "SELECT f.observed_at, f.id = n.facts_id FROM facts f JOIN node n ON n.account = f.account"
            " AND n.id = f.instance_id WHERE f.account = ? ORDER BY f.observed_at",
            self.central.scope.account,
        )
        if rows and not rows[-1][1]:
            self.world.problem("the live verdict speaks of facts that are not the newest the server has")

    def _restarts(self) -> None:
        for command, number in Counter(command for command, _ in self.machine.restarts).items():
            if number > 1:
                self.world.problem(f"{command} restarted the node {number} times: {self.machine.restarts}")

    # ----------------------------------------------------------------------------------------------------- reading

    def _operations(self) -> list[Ended]:
        rows = self.central.memory.rows(
            "SELECT command_id, kind, state, COALESCE(after_facts, before_facts), states_digest, report FROM operation"
            " WHERE account = ? ORDER BY started_at, id",
            self.central.scope.account,
        )
        return [Ended(*row[:5], json.loads(row[5] or "{}")) for row in rows]

    def _rows(self, digest: str) -> dict[str, tuple[str, str]]:
        """State and installed version by `name.arch`."""
        body = finish(self.central.memory.read(operation_store.find_states, self.central.scope, digest))
        return {item.key: (item.state.value, item.installed) for item in states.thaw(body)}

    def _snapshot_of(self, facts_id: str) -> Snapshot | None:
        ((observed_at,),) = self.central.memory.rows(
            "SELECT observed_at FROM facts WHERE account = ? AND id = ?", self.central.scope.account, facts_id
        )
        moment = observed_at + self.world.script.skew
        near = [known for known in self.machine.snapshots if abs(known - moment) < TOLERANCE]
        if len(near) != 1:
            self.world.problem(f"the server judged facts that were never taken: {moment}")
            return None
        return self.machine.snapshots[near[0]]

    def _compare(self, whose: str, rows: Mapping[str, tuple[str, str]], truth: Snapshot, kind: str) -> None:
        wanted = expected(truth, "Scan" if kind == "live" else kind)
        if kind == "live":  # it may know or not know why something is lacking
            wanted = {name: "Missing" if state == "Failed" else state for name, state in wanted.items()}
        versions = {f"{name}.{ARCH}": version for name, (version, _) in truth.packages.items()}
        if {key: version for key, (_, version) in rows.items()} != versions:
            self.world.problem(f"{whose} speaks of {rows}, the node has {versions}")
            return
        for name, state in wanted.items():
            found = rows[f"{name}.{ARCH}"][0]
            careful = found == "InstalledPendingReboot" and state == "Installed" and name in truth.spanned
            if found != state and not careful:
                self.world.problem(f"{whose} calls {name} {found}, it is {state} ({truth.packages[name]})")
