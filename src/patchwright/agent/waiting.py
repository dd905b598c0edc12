# SPDX-License-Identifier: Apache-2.0
"""
The agent while there is nothing to do: says that it is there, polls, and looks whether there is work.

A program of its own, because what runs commands is far larger than what waits (design D12, ADR 0012). It decides nothing:
a message, a file to run or to send, a refusal, silence, a full disk are all left to the whole agent, which it becomes.
"""

from __future__ import annotations

import os

from patchwright.agent.baton import Order, Outcome, become_whole, heed_termination
from patchwright.agent.clock import QUICK_PAUSE_SECONDS, QUICK_SECONDS, Clock
from patchwright.agent.connection import Closed, Connection, Peer, WrongCertificate, signed
from patchwright.agent.pages import forget_unused_code
from patchwright.core.signing import Signer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional, Tuple

REQUEST_ID = "the id of this request"
# No string of JSON has a quote in it: this is a member, wherever it stands. What looks otherwise is read by the whole agent.
NO_MESSAGES = b'"Messages":[]'


def wait(told: Dict[str, Any]) -> int:
    """Wait as the order with these members says, then become the whole agent. Answers the exit code where Ctrl-C ends it."""
    order = Order(**told)
    heed_termination()
    try:
        become_whole(Waiting(order, Clock()).run(), back=order.back)
    except KeyboardInterrupt:
        return 1


def undisturbed(directories: List[str], reserve: Tuple[str, int]) -> bool:
    """Whether nothing waits in the state directory, and the disk's reserve is whole; for the members of an order."""
    path, size = reserve
    try:
        return (not size or os.stat(path).st_size == size) and not any(  # noqa: PTH116 - without `pathlib`
            name.endswith(".json") and not name.startswith(".")
            for directory in directories
            for name in os.listdir(directory)  # noqa: PTH208 - without `pathlib`
        )
    except OSError:
        return False


class Waiting:
    """One stretch of waiting."""

    def __init__(self, order: Order, clock: Clock) -> None:
        self._order = order
        self._clock = clock
        self._signer = Signer(**order.signer)
        self._connection: Optional[Connection] = None

    def run(self) -> Outcome:
        """Wait until there is anything to do."""
        order = self._order
        answer: Optional[bytes] = b""
        while answer == b"" and undisturbed(order.directories, order.reserve):
            now = self._clock.monotonic()
            if now >= order.house_due:
                break
            if now >= order.hello_due:
                answer = self._call("UpdateInstanceInformation", order.hello, order.request_seconds) and b""
                order.hello_due = now + order.hello_every if answer == b"" else order.hello_due
            else:
                answer = self._poll()
        return Outcome(
            lock=order.lock,
            offset=order.offset,
            hello_due=order.hello_due,
            house_due=order.house_due,
            answer=answer or b"",
            heard=answer is not None,
        )

    def _connected(self) -> Connection:
        if self._connection is None:
            order = self._order
            connection = Connection(Peer(**order.peer), connect_seconds=order.connect_seconds)
            connection.local_address()  # opened now: what follows is all that waiting needs
            forget_unused_code()
            self._connection = connection
        return self._connection

    def _poll(self) -> Optional[bytes]:
        """What a poll brought: nothing, an answer to be read, or None where the server was not heard."""
        begun = self._clock.monotonic()
        body = self._order.poll.replace(REQUEST_ID, os.urandom(16).hex())
        answer = self._call("GetMessages", body, self._order.poll_seconds)
        if answer is None or NO_MESSAGES not in answer.translate(None, b" \t\r\n"):
            return answer
        if self._clock.monotonic() - begun < QUICK_SECONDS:
            self._clock.sleep(self._clock.jitter(QUICK_PAUSE_SECONDS))
        return b""

    def _call(self, operation: str, text: str, seconds: float) -> Optional[bytes]:
        """The body of a good answer (at least `{}`), None for any other."""
        order, body = self._order, text.encode()

        def headers() -> Dict[str, str]:
            now = self._clock.now() + order.offset
            return signed(operation, body, host=order.peer["host_header"], signer=self._signer, now=now)

        first = self._connection is None
        try:
            response = self._connected().post(headers(), body, timeout=seconds, again=headers)
        except (Closed, WrongCertificate, OSError, ValueError):
            return None
        if first:  # the first exchange has finished setting up: session tickets, symbols bound when they are called
            forget_unused_code()
        return response.body or b"{}" if response.status == 200 else None
