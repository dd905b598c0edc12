# SPDX-License-Identifier: Apache-2.0
"""
Replies that the server has not confirmed yet: stored before they are sent, sent in order per command, dropped when confirmed.

Every reply has an id that follows from the command and the moment it speaks of, so that one sent twice is recognised.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Dict, List

from patchwright.agent import log
from patchwright.agent.client import Client, Refused, ServerUnavailable
from patchwright.agent.disk import Damaged, Disk, Lock, read_json

STARTED = 0  # positions of replies in a command: its start, its steps from 1, its end
FINAL = 9999


def reply_id(message_id: str, position: int) -> str:
    """The id of a reply: a UUID that is the same whenever the same reply is made."""
    digest = hashlib.sha256(f"{message_id} {position}".encode()).hexdigest()
    return "-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:32]))


class Outbox:
    """
    The replies below `outbox/`, its *directory*. Several processes may put and drain; one drains at a time.

    *instance_id* is the node that replies. What an identity of this node that was replaced has left is dropped: nobody but that
    node may send it, so it would be in the way for ever.
    """

    def __init__(self, disk: Disk, *, instance_id: str) -> None:
        self._disk = disk
        self._instance_id = instance_id
        self.directory = disk.directory("outbox")

    def put(self, command_id: str, position: int, *, message_id: str, payload: str) -> None:
        """Store a reply. Durable when it returns. Raises DiskFull."""
        reply = {"MessageId": message_id, "Payload": payload, "ReplyId": reply_id(message_id, position)}
        self._disk.write_json(self.directory / f"{command_id}.{position:04d}.json", reply)

    def waiting(self) -> List[Path]:
        """The stored replies, those of one command in order."""
        return sorted(self.directory.glob("[!.]*.json"))

    def drain(self, client: Client) -> int:
        """
        Send what is stored; answers how many replies are still there.

        A reply that the server refuses for what it says is dropped with a line in the log. Raises ServerUnavailable, and
        Refused where the node as such is refused: the rest stays.
        """
        lock = Lock(self.directory / ".lock")
        # Looked at again after the lock is free: who put a reply there meanwhile found it taken, and left it to us.
        while self.waiting() and lock.take():
            try:
                for path in self.waiting():
                    self._send(client, path)
            finally:
                lock.release()
        return len(self.waiting())

    def _send(self, client: Client, path: Path) -> None:
        try:
            reply: Dict[str, str] = read_json(path)
        except FileNotFoundError:
            return
        except Damaged as error:
            log.error(f"a reply is lost: {error}")
            path.rename(path.with_suffix(".damaged"))
            return
        if str(reply.get("MessageId", "")).rpartition(".")[2] != self._instance_id:
            log.error(
                f"the reply {path.name} is dropped: it is of another node, which this one was before it was enrolled anew"
            )
            self._disk.remove(path)
            return
        try:
            client.call("SendReply", reply)
        except Refused as refusal:
            if refusal.concerns_identity:
                raise
            log.error(f"the server does not take the reply {path.name}: {refusal}")
        self._disk.remove(path)


def try_to_drain(outbox: Outbox, client: Client) -> bool:
    """Drain as far as the server lets us now; whether everything is gone. Never raises for the server's sake."""
    try:
        return outbox.drain(client) == 0
    except (ServerUnavailable, Refused) as error:
        log.warning(f"replies wait: {error}")
        return False
