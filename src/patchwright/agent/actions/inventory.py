# SPDX-License-Identifier: Apache-2.0
"""The action `aws:softwareInventory`: collect what the step's inputs enable, and tell the server."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List, Mapping

from patchwright.agent import inventory
from patchwright.agent.actions.asking import Cancelled
from patchwright.agent.actions.model import Context, Outcome, StepState
from patchwright.agent.client import Refused, ServerUnavailable
from patchwright.agent.config import Identity, load_identity
from patchwright.agent.disk import Lock
from patchwright.core import inventory as core
from patchwright.core.flow import FAILED, SUCCESS

ENABLED = "Enabled"
LOCK_SECONDS, LOOK_SECONDS = 600.0, 0.2  # for the process that sends the inventory every day
# What an input switches; customInventory is all types of one's own.
TYPES: Mapping[str, str] = {
    "applications": core.APPLICATION,
    "awsComponents": core.COMPONENT,
    "networkConfig": core.NETWORK,
    "instanceDetailedInformation": core.DETAILED_INFORMATION,
    "services": core.SERVICE,
}
CUSTOM = "customInventory"
NOT_COLLECTED = ("files", "windowsRegistry")  # take a list of places, and are empty where they are not wanted


def run(step: StepState, context: Context) -> Outcome:
    """Collect and send; the output says how many rows of what. Resumable: what the server has already is not sent again."""
    inputs = step["inputs"]
    disk, clock = context.desk.bench.disk, context.desk.bench.clock
    lock = Lock(disk.directory(inventory.DIRECTORY) / inventory.LOCK)
    deadline = clock.monotonic() + LOCK_SECONDS
    try:
        while not lock.take_from_lookers(clock):
            if context.desk.cancelled():
                raise Cancelled("the command was cancelled before anything was collected")
            if clock.monotonic() > deadline:
                return Outcome(FAILED, 1, "", "another process has been sending the inventory for ten minutes")
            context.meanwhile()
            clock.sleep(LOOK_SECONDS)
        try:
            rows = _send(context, inputs, load_identity(disk.root))
        finally:
            lock.release()
    except Cancelled as cancelled:
        return cancelled.outcome
    except ServerUnavailable as error:
        return Outcome(FAILED, 1, "", f"the server could not be told: {error}")
    except Refused as refusal:
        return Outcome(FAILED, 1, "", f"the server refused the inventory: {refusal}")
    left = [f"{name} are not collected by this agent" for name in NOT_COLLECTED if inputs.get(name)]
    text = "\n".join([*(f"{name}: {number}" for name, number in sorted(rows.items())), *left, ""])
    context.tell(text)
    return Outcome(SUCCESS, 0, text)


def _send(context: Context, inputs: Mapping[str, object], identity: Identity) -> Dict[str, int]:
    """How many rows of which type were found and sent. Raises ServerUnavailable, Refused."""
    from patchwright.agent.inventory import custom
    from patchwright.agent.inventory.collecting import Collected, collect
    from patchwright.agent.inventory.sending import Sender

    desk = context.desk
    bench, settings = desk.bench, desk.settings
    places: List[Path] = [
        Path(settings.custom_inventory_dir),
        Path(custom.AWS_PLACE.format(instance_id=identity.instance_id)),
    ]
    own = str(inputs.get("customInventoryDirectory") or "")
    found = collect(bench.shell, [*places, *([Path(own)] if own else [])])
    wanted = {TYPES[name] for name in TYPES if inputs.get(name) == ENABLED}
    customs = inputs.get(CUSTOM) == ENABLED
    types = {
        name: one
        for name, one in found.types.items()
        if name in wanted or (customs and name.startswith(core.CUSTOM_PREFIX))
    }
    sender = Sender(identity, client=desk.client, disk=bench.disk, clock=bench.clock, cap=settings.backoff_cap_seconds)
    sender.send(Collected(types, found.complete and customs and not own), everything=False)
    return {name: len(one.rows) for name, one in types.items()}
