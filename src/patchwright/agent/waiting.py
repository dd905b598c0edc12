# SPDX-License-Identifier: Apache-2.0
"""
The agent while there is nothing to do: says that it is there, listens on its channel or polls, and looks whether there is work.

A program of its own, because what runs commands is far larger than what waits (design D12, ADR 0012). It decides nothing:
a message, a file to run or to send, a refusal, silence, a full disk are all left to the whole agent, which it becomes.
"""

from __future__ import annotations

import os

from patchwright.agent.baton import Order, Outcome, become_whole, heed_termination
from patchwright.agent.channel import Channel, ChannelLost, NoChannel
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
LISTEN_SECONDS = 15.0  # between two looks at what else may have come
OPENING_SECONDS = 10.0  # nothing is polled for meanwhile, and some proxy may swallow what asks for a WebSocket
LOST_SECONDS = (
    10.0  # a channel that is lost, or not to be had, is tried again within this time; twice that the next time
)
LATEST_SECONDS = 600.0
REFUSED_SECONDS = 3600.0


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
        self._plain: Optional[Connection] = None  # never opened: what verifies the server is loaded once
        self._connection: Optional[Connection] = None
        self._channel: Optional[Channel] = None
        self._failures = 0

    def run(self) -> Outcome:
        """Wait until there is anything to do."""
        order = self._order
        answer: Optional[bytes] = b""
        while answer == b"" and undisturbed(order.directories, order.reserve):
            now = self._clock.monotonic()
            if now >= order.house_due:
                break
            if now >= order.hello_due:
                answer = self._say_hello()
                order.hello_due = now + order.hello_every if answer == b"" else order.hello_due
            elif self._channel is not None or now >= order.channel_due:
                answer = self._listen()
            else:
                answer = self._poll()
        return Outcome(
            lock=order.lock,
            offset=order.offset,
            hello_due=order.hello_due,
            house_due=order.house_due,
            channel_due=order.channel_due,
            answer=answer or b"",
            heard=answer is not None,
        )

    def _connected(self) -> Connection:
        if self._connection is None:
            order = self._order
            self._plain = self._plain or Connection(Peer(**order.peer), connect_seconds=order.connect_seconds)
            self._connection = self._plain.another()
            self._connection.local_address()  # opened now: what follows is all that waiting needs
            forget_unused_code()
        return self._connection

    def _say_hello(self) -> Optional[bytes]:
        """Say that the node is there; beside a channel over a connection that is given up again."""
        answer = self._call("UpdateInstanceInformation", self._order.hello, self._order.request_seconds)
        if self._channel is not None and self._connection is not None:
            self._connection.close()
            self._connection = None
        return answer and b""

    def _listen(self) -> Optional[bytes]:
        """What came over the channel, which is opened where it is not: nothing, or what is to be read as a poll's answer."""
        order, now = self._order, self._clock.monotonic()
        try:
            if self._channel is None:
                self._open_channel()
            if self._channel is None:
                return b""
            job = self._channel.next_job(max(0.0, min(LISTEN_SECONDS, order.hello_due - now, order.house_due - now)))
            if job is not None and self._channel.done_already(job):
                job = None
        except NoChannel as error:
            self._give_up_channel(REFUSED_SECONDS if error.refused else 0.0)
        except WrongCertificate:
            return None
        except (ChannelLost, Closed, OSError, ValueError):
            self._give_up_channel(0.0)
        else:
            self._failures = 0
            return b"" if job is None else b'{"Messages":[' + job.payload + b"]}"
        return b""

    def _open_channel(self) -> None:
        connection, self._connection = self._connected(), None
        try:
            self._channel = Channel(
                connection,
                self._signer,
                now=lambda: self._clock.now() + self._order.offset,
                monotonic=self._clock.monotonic,
                seconds=min(OPENING_SECONDS, self._order.request_seconds),
            )
        except BaseException:
            connection.close()
            raise
        forget_unused_code()

    def _give_up_channel(self, seconds: float) -> None:
        """Poll from now on; the channel is tried again after *seconds* and a random time that grows with every failure."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        longest = min(LATEST_SECONDS, LOST_SECONDS * 2.0 ** min(self._failures, 10))
        self._failures += 1
        self._order.channel_due = self._clock.monotonic() + seconds + self._clock.jitter(longest)

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
