# SPDX-License-Identifier: Apache-2.0
"""
Sending: what the server does not have yet, whole; of the rest the hash (spec agent-protocol §10).

A process of its own, which exits. What was sent is remembered on disk after the server took it; where that memory is wrong
or lost, the server asks for the whole, or gets it again.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Optional

from patchwright.agent import inventory, log
from patchwright.agent.client import Backoff, Client, Refused, ServerUnavailable
from patchwright.agent.clock import Clock
from patchwright.agent.config import Identity, Settings, load_identity
from patchwright.agent.disk import Disk, DiskFull, Lock
from patchwright.agent.inventory import custom
from patchwright.agent.inventory.applications import iso
from patchwright.agent.inventory.collecting import Collected, Found, collect, nothing
from patchwright.agent.shell import Shell
from patchwright.core import inventory as core
from patchwright.core.inventory import CUSTOM_PREFIX, MAX_BYTES, MAX_ITEMS

ATTEMPTS = 5  # to reach the server before it is left for later
SECONDS = 300.0  # for an answer: the server stores a megabyte
NICE = 10
EXPENDABLE = 800  # of 1000: how readily the kernel ends this process for memory
WORKER_LOCK = "worker.lock"  # as worker.py has it, which is not imported here; a test compares them
WANTS_THE_WHOLE = ("ItemContentMismatchException", "InvalidItemContentException")
UNSUPPORTED = "UnsupportedOperationException"  # an older server


def run(disk: Disk, settings: Settings) -> int:
    """Collect and send, in a process started for that. Answers the exit code: 0 the server has all of it."""
    lock = Lock(disk.directory(inventory.DIRECTORY) / inventory.LOCK)
    clock, identity = Clock(), load_identity(disk.root)
    if not lock.take_from_lookers(clock):
        return 0
    if Lock(disk.root / WORKER_LOCK).held():  # a command runs: it comes first, and starts this again when it has ended
        inventory.want(disk)
        return 0
    _step_back()
    client = Client.of(identity, settings=settings, clock=clock)
    sender = Sender(identity, client=client, disk=disk, clock=clock, cap=settings.backoff_cap_seconds)
    places = [Path(settings.custom_inventory_dir), Path(custom.AWS_PLACE.format(instance_id=identity.instance_id))]
    wanted = disk.root / inventory.DIRECTORY / inventory.WANTED
    while True:
        mark = _read(wanted)
        try:
            sender.send(collect(Shell(), places))
        except (ServerUnavailable, Refused) as error:
            log.warning(f"the inventory waits: {error}")
            return 1
        if mark is None or _read(wanted) == mark:  # else something was installed meanwhile
            disk.remove(wanted)
            return 0


def _step_back() -> None:
    """Let everything else go first: on the processor, and where memory runs out, which this process is the first to leave."""
    os.nice(NICE)
    try:
        Path("/proc/self/oom_score_adj").write_text(str(EXPENDABLE), encoding="ascii")
    except OSError as error:
        log.warning(f"the kernel does not know that the inventory may be ended first: {error}")


class Sender:
    """Brings the server of *identity* up to what was found, through *client*."""

    def __init__(self, identity: Identity, *, client: Client, disk: Disk, clock: Clock, cap: float) -> None:
        self._identity = identity
        self._client = client
        self._disk = disk
        self._clock = clock
        self._cap = cap
        before = inventory.sent(disk)
        self._types: Dict[str, Dict[str, str]] = before["types"] if before["node"] == identity.instance_id else {}

    def send(self, collected: Collected, *, everything: bool = True) -> None:
        """
        Send all of it, which is *everything* there is or a part. Raises ServerUnavailable, and Refused where the node as such
        is refused.
        """
        found = collected.types
        told = {**(self._gone(found) if collected.complete else {}), **found}
        known = [one for one in told.values() if self._types.get(one.type_name, {}).get("hash") == one.hash]
        whole = [one for one in told.values() if one not in known]
        for part in _parts(known, lambda one: 0):
            whole.extend(self._send_hashes(part))
        for part in _parts(whole, lambda one: len(core.canonical(one.rows))):
            self._send_whole(part)
        self._remember(at=self._clock.now() if everything else None)

    def _gone(self, found: Mapping[str, Found]) -> Dict[str, Found]:
        """Custom types that the server has of this node and that are not here any more, with no rows."""
        return {
            name: nothing(name, str(entry.get("version", "1.0")))
            for name, entry in self._types.items()
            if name.startswith(CUSTOM_PREFIX) and name not in found
        }

    def _send_hashes(self, part: List[Found]) -> List[Found]:
        """Say that nothing has changed; answers what the server wants to have whole after all."""
        try:
            self._put(part, whole=False)
        except Refused as refusal:
            if refusal.concerns_identity:
                raise
            if refusal.code not in WANTS_THE_WHOLE:
                log.warning(f"inventory: sent whole, since {refusal}")
            return part
        return []

    def _send_whole(self, part: List[Found]) -> None:
        """Send items; where the server refuses them together, one by one, and what it will not have is left."""
        try:
            self._put(part, whole=True)
        except Refused as refusal:
            if refusal.concerns_identity or refusal.code == UNSUPPORTED:
                raise
            if len(part) > 1:
                for one in part:
                    self._send_whole([one])
                return
            log.error(f"inventory: the server does not take {part[0].type_name}: {refusal}")
            self._types.pop(part[0].type_name, None)
            return
        for one in part:
            self._types[one.type_name] = {"hash": one.hash, "version": one.version}
        self._remember(at=None)

    def _put(self, part: List[Found], *, whole: bool) -> None:
        offset = self._client.clock_offset
        moment = iso(self._clock.now() + (offset if abs(offset) > 30.0 else 0.0))
        items = [_item(one, moment, whole=whole) for one in part]
        members = {"InstanceId": self._identity.instance_id, "Items": items}
        backoff = Backoff(self._clock, cap=self._cap)
        for _ in range(ATTEMPTS - 1):
            if self._tried(members):
                return
            backoff.pause()
        self._client.call("PutInventory", members, timeout=SECONDS)

    def _tried(self, members: Dict[str, Any]) -> bool:
        try:
            self._client.call("PutInventory", members, timeout=SECONDS)
        except ServerUnavailable as error:
            log.warning(f"the inventory waits: {error}")
            return False
        return True

    def _remember(self, *, at: Optional[float]) -> None:
        """Write down what the server has; *at* is when it had all of it, None where it does not yet."""
        value = {
            "node": self._identity.instance_id,
            "at": inventory.sent(self._disk)["at"] if at is None else at,
            "types": self._types,
        }
        try:
            self._disk.write_json(self._disk.directory(inventory.DIRECTORY) / inventory.SENT, value)
        except DiskFull as error:
            log.warning(f"what was sent of the inventory could not be noted, and will be sent again: {error}")


def _item(one: Found, moment: str, *, whole: bool) -> Dict[str, Any]:
    item: Dict[str, Any] = {
        "TypeName": one.type_name,
        "SchemaVersion": one.version,
        "CaptureTime": moment,
        "ContentHash": one.hash,
    }
    return {**item, "Content": one.rows} if whole else item


def _parts(items: List[Found], size_of: Any) -> Iterator[List[Found]]:
    """*items* in groups that one call takes."""
    part: List[Found] = []
    size = 0
    for one in items:
        if part and (len(part) == MAX_ITEMS or size + size_of(one) > MAX_BYTES):
            yield part
            part, size = [], 0
        part.append(one)
        size += size_of(one)
    if part:
        yield part


def _read(path: Path) -> Optional[bytes]:
    try:
        return path.read_bytes()
    except OSError:
        return None
