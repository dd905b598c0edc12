# SPDX-License-Identifier: Apache-2.0
"""
The agent that attends: it tells the server that the node is there, takes commands in, and sees that they are run and reported.

It runs nothing itself: commands run in a worker process (worker.py), so that it goes on listening and cancelling stays possible.
A delivery is journalled before it is acknowledged. While there is nothing to do it becomes a smaller program (waiting.py).
"""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, FrozenSet, List, Mapping, NamedTuple, Optional, Tuple

from patchwright.agent import log, node
from patchwright.agent.baton import Order, Outcome
from patchwright.agent.client import Backoff, Client, Refused
from patchwright.agent.clock import QUICK_PAUSE_SECONDS, QUICK_SECONDS, Clock
from patchwright.agent.config import Identity, Settings
from patchwright.agent.disk import Disk, DiskFull, Lock
from patchwright.agent.journal import DAY_SECONDS, Journal
from patchwright.agent.outbox import FINAL, Outbox, try_to_drain
from patchwright.agent.waiting import REQUEST_ID, undisturbed
from patchwright.core.errors import PatchwrightError

if TYPE_CHECKING:
    from patchwright.agent.selfupdate import Renewal
    from patchwright.agent.shell import Detached, Shell

# The same as in core.protocol, which is not imported here because waiting has to stay small; a test compares them.
SEND_COMMAND_TOPIC = "aws.ssm.sendCommand"
CANCEL_COMMAND_TOPIC = "aws.ssm.cancelCommand"
VISIBILITY_SECONDS = 10
MESSAGE_PREFIX = ["aws", "ssm"]

WORKER_LOCK, WORKER_LOG = "worker.lock", "worker.log"
WORKER_LOG_LIMIT_BYTES = 1024 * 1024
HOUSEKEEPING_SECONDS = 3600.0
WORKER_LOOK_SECONDS = 0.05
WORKER_PATIENCE_SECONDS = 2.0  # for a worker to leave, and for the next one to begin
MANY_FAILURES = 10
OUTPUTS = "outputs"  # the same as in streaming.py, which is not imported before there is something to send
OUTPUT_SECONDS = 10.0  # of one round, for output that waits


class WorkNotDone(PatchwrightError):
    """The worker process ends again and again and leaves work behind; its log says why."""


class Workers:
    """Starts the worker process when there is work and none is at it; with growing pauses when it ends without success."""

    def __init__(self, disk: Disk, journal: Journal, *, program: Tuple[str, ...], clock: Clock, cap: float) -> None:
        self._disk = disk
        self._journal = journal
        self._program = program
        self._clock = clock
        self._cap = cap
        self._shell: Optional[Shell] = None
        self._process: Optional[Detached] = None
        self._not_before = 0.0
        self._failures = 0
        self._given: FrozenSet[str] = frozenset()  # the commands that waited when the last worker was started

    def running(self) -> bool:
        """Whether a worker is at work, whoever started it."""
        own = self._shell is not None and self._process is not None and self._shell.is_alive(self._process)
        return own or self._at_work()

    @property
    def keeps_failing(self) -> bool:
        """Whether every one of many workers has ended with work left."""
        return self._failures > MANY_FAILURES and not self.running()

    def ensure(self, environment: Mapping[str, str]) -> None:
        """Start a worker if there is work for one."""
        if not self._journal.has_work():
            self._failures, self._not_before = 0, 0.0
            return
        waiting = frozenset(self._journal.unfinished())
        if not self._given <= waiting:  # the last one did something: what waits has come since, or is next
            self._failures, self._not_before = 0, 0.0
        if self.running() or self._clock.monotonic() < self._not_before:
            return
        from patchwright.agent.shell import Shell

        self._shell = self._shell or Shell()
        self._process = self._shell.spawn_detached(
            [*self._program, "child", "work", "--state-dir", str(self._disk.root)],
            log=self._log(),
            env=environment,
        )
        self._given = waiting
        # Should it end with work left, the next start waits longer each time.
        self._not_before = self._clock.monotonic() + min(self._cap, 0.5 * 2.0 ** min(self._failures, 20))
        self._failures += 1

    def see_to_work(self, environment: Mapping[str, str]) -> None:
        """
        The same, and wait a moment until a worker is at it.

        One that has looked for the last time and is about to leave, and runs still, does not see what has just come.
        """
        patience = self._clock.monotonic() + WORKER_PATIENCE_SECONDS
        self.ensure(environment)
        while self._journal.has_work() and not self._at_work() and self._clock.monotonic() < patience:
            self._clock.sleep(WORKER_LOOK_SECONDS)
            self.ensure(environment)

    def _at_work(self) -> bool:
        return Lock(self._disk.root / WORKER_LOCK).held()

    def _log(self) -> Path:
        path = self._disk.root / WORKER_LOG
        if path.exists() and path.stat().st_size > WORKER_LOG_LIMIT_BYTES:
            path.rename(path.with_suffix(".log.1"))
        return path


class Rest(NamedTuple):
    """
    How the agent rests: *become* makes this process the waiting program and returns only by OSError, *lock* is the descriptor
    of the agent's lock, *back* the words that start the agent again. *woken* is what the last rest came to.
    """

    become: Callable[[Order], None]
    lock: int
    back: List[str]
    woken: Optional[Outcome] = None


class Loop:
    """
    The attending agent of one node.

    *environment* is what processes started for it are told beside the shell's own. Without *rest* it waits by itself.
    """

    def __init__(
        self,
        identity: Identity,
        settings: Settings,
        *,
        disk: Disk,
        clock: Clock,
        program: Tuple[str, ...],
        environment: Mapping[str, str],
        rest: Optional[Rest] = None,
        renewal: Optional[Renewal] = None,
    ) -> None:
        self._renewal = renewal
        self._identity = identity
        self._settings = settings
        self._disk = disk
        self._clock = clock
        self._environment = environment
        self._program = program
        self._stays = False  # in `run`, and not in `run_once`
        self._inventory: Optional[Tuple[Shell, Detached]] = None
        self._client = Client.of(identity, settings=settings, clock=clock)
        self._journal = Journal(disk)
        self._outbox = Outbox(disk, instance_id=identity.instance_id)
        self._outputs = disk.directory(OUTPUTS)
        self._workers = Workers(disk, self._journal, program=program, clock=clock, cap=settings.backoff_cap_seconds)
        self._next_health = self._next_housekeeping = float("-inf")
        self._channel_due = float("-inf") if settings.control_channel else float("inf")
        self._rest = rest
        self._heard = True  # the server, the last time it was asked
        self._answer = b""  # to a poll, which the waiting program has left to be read
        if rest and rest.woken:
            self._next_health, self._next_housekeeping = rest.woken.hello_due, rest.woken.house_due
            self._client.signing_offset, self._channel_due = rest.woken.offset, rest.woken.channel_due
            self._heard, self._answer = rest.woken.heard, rest.woken.answer

    def run(self) -> None:
        """Wait and work for ever. Only errors of this machine end it (a state directory that cannot be written)."""
        self._stays = True
        backoff = Backoff(self._clock, cap=self._settings.backoff_cap_seconds)
        if not (self._rest and self._rest.woken):
            log.info(f"{self._identity.instance_id} waits for commands from {self._identity.server}")
        while True:
            failure = self._attempt()
            self._heard = failure is None
            if failure is None:
                backoff.reset()
            else:
                seconds = backoff.pause()
                log.warning(f"{failure} (tried again after {seconds:.1f} s)")

    def _attempt(self) -> Optional[PatchwrightError]:
        try:
            self.turn()
        except PatchwrightError as error:
            self._answer = b""  # the server says it again; by then it may have been cancelled, or be too late
            return error
        return None

    def run_once(self) -> None:
        """
        Take in what waits at the server, run it, report it, and return.

        Raises ServerUnavailable, Refused, DiskFull, WorkNotDone.
        """
        self.turn()
        while self._journal.has_work() or self._workers.running():
            if self._workers.keeps_failing:
                raise WorkNotDone(f"commands are left undone; {self._disk.root / WORKER_LOG} says why")
            self._workers.ensure(self._environment)
            self._clock.sleep(WORKER_LOOK_SECONDS)
        self._outbox.drain(self._client)

    def turn(self) -> None:
        """One round: whatever is due, then a poll and what it brings. Raises ServerUnavailable, Refused, DiskFull."""
        if self._renewal:
            self._renewal.look()
        self._workers.ensure(self._environment)
        self._say_hello()
        try_to_drain(self._outbox, self._client)  # a reply that the server cannot take now must not make the node deaf
        self._send_output()
        self._keep_house()
        if not self._disk.keep_reserve():
            raise DiskFull("the disk is full: no command is accepted until there is room")
        if self._rest and self._heard and not self._answer:
            self._take_a_rest(self._rest)
        begun = self._clock.monotonic()
        messages = self._left_to_read() or self._poll()
        for message in messages:
            self._take_in(message)
        self._workers.see_to_work(self._environment)
        if not messages and self._clock.monotonic() - begun < QUICK_SECONDS:
            self._clock.sleep(self._clock.jitter(QUICK_PAUSE_SECONDS))

    def _take_a_rest(self, rest: Rest) -> None:
        """Become the waiting program; returns where there is something to do after all, or this process cannot."""
        order = self._order(rest)
        if self._workers.running() or self._at_inventory() or not undisturbed(order.directories, order.reserve):
            return
        try:
            rest.become(order)
        except (OSError, ImportError) as error:  # ImportError: the archive is another one meanwhile
            log.warning(f"the agent waits in full size: {error}")
            self._rest = None

    def _order(self, rest: Rest) -> Order:
        settings, signer = self._settings, self._client.signer
        return Order(
            back=rest.back,
            lock=rest.lock,
            peer=vars(self._client.peer),
            signer=vars(signer) if signer else {},
            offset=self._client.signing_offset,
            hello=json.dumps(self._hello()),
            hello_due=self._next_health,
            hello_every=settings.health_seconds,
            poll=json.dumps(self._question(REQUEST_ID)),
            poll_seconds=settings.poll_seconds,
            request_seconds=settings.request_seconds,
            connect_seconds=settings.connect_seconds,
            house_due=self._next_housekeeping,
            channel_due=self._channel_due,
            directories=[
                str(path) for path in (*self._journal.work_directories(), self._outbox.directory, self._outputs)
            ],
            reserve=self._disk.reserve,
        )

    def _say_hello(self) -> None:
        now = self._clock.monotonic()
        if now < self._next_health:
            return
        self._client.call("UpdateInstanceInformation", self._hello())
        self._reported()
        self._next_health = now + self._settings.health_seconds

    def _reported(self) -> None:
        if self._renewal:
            self._renewal.reported()

    def _hello(self) -> Dict[str, str]:
        return {
            "InstanceId": self._identity.instance_id,
            "AgentName": node.AGENT_NAME,
            "AgentStatus": "Active",
            "SSMConnectionChannel": "ec2messages",
            **node.describe(self._client.local_address()),
        }

    def _send_output(self) -> None:
        """What steps have printed while the server was away; a worker that is at it has the first turn."""
        if self._workers.running() or not any(self._outputs.glob("[!.]*.json")):
            return
        from patchwright.agent.streaming import Spool

        limit = int(self._settings.output_mib) * 1024 * 1024
        spool = Spool(self._disk, self._clock, instance_id=self._identity.instance_id, limit_bytes=limit)
        spool.try_to_drain(self._client, seconds=OUTPUT_SECONDS)

    def _keep_house(self) -> None:
        if self._clock.monotonic() < self._next_housekeeping:
            return
        self._next_housekeeping = self._clock.monotonic() + HOUSEKEEPING_SECONDS
        self._journal.forget(older_than=self._clock.now() - self._settings.keep_days * DAY_SECONDS)
        if self._stays:
            self._see_to_inventory()

    def _see_to_inventory(self) -> None:
        from patchwright.agent import inventory

        hours, node_id = self._settings.inventory_hours, self._identity.instance_id
        if inventory.is_due(self._disk, node_id, hours=hours, now=self._clock.now()):
            from patchwright.agent.shell import Shell

            shell = Shell()
            process = inventory.start(self._disk, shell, program=self._program, environment=self._environment)
            self._inventory = (shell, process) if process else None

    def _at_inventory(self) -> bool:
        """Whether the inventory that this process started is under way: a child that ends under another program stays a zombie."""
        if self._inventory and not self._inventory[0].is_alive(self._inventory[1]):
            self._inventory = None
        return self._inventory is not None

    def _poll(self) -> List[Dict[str, Any]]:
        question = self._question(secrets.token_hex(16))
        answer = self._client.call("GetMessages", question, timeout=self._settings.poll_seconds)
        self._reported()
        return _messages(answer)

    def _question(self, request_id: str) -> Dict[str, Any]:
        return {
            "Destination": self._identity.instance_id,
            "MessagesRequestId": request_id,
            "VisibilityTimeoutInSeconds": VISIBILITY_SECONDS,
        }

    def _left_to_read(self) -> List[Dict[str, Any]]:
        answer, self._answer = self._answer, b""
        return _messages(self._client.read(answer)) if answer else []

    def _take_in(self, message: Dict[str, Any]) -> None:
        # A job of the control channel has the same under other names (spec agent-protocol §7.1).
        message_id = str(message.get("MessageId") or message.get("JobId") or "")[:200]
        topic, payload = str(message.get("Topic", "")), str(message.get("Payload") or message.get("Content") or "")
        try:
            if topic.startswith(SEND_COMMAND_TOPIC):
                self._take_command(message_id, payload)
            elif topic.startswith(CANCEL_COMMAND_TOPIC):
                self._take_cancellation(payload)
            else:
                self._fail(message_id, "NoHandlerExists", f"nobody handles the topic {topic[:80]!r}")
                return
        except DiskFull:
            raise
        except (PatchwrightError, ValueError) as error:
            self._fail(message_id, "InternalHandlerException", str(error))
            return
        self._settled("AcknowledgeMessage", {"MessageId": message_id})

    def _take_command(self, message_id: str, payload: str) -> None:
        command_id = self._command_of(message_id)
        if self._journal.accept(command_id, message_id=message_id, payload=payload, now=self._clock.now()):
            log.info(f"command {command_id} accepted")
        elif self._journal.stage(command_id) == "done":
            self._answer_again(command_id)

    def _answer_again(self, command_id: str) -> None:
        """A command that ended is delivered again: the server gets the stored reply, and nothing runs."""
        log.info(f"command {command_id} was done already: its result is sent again")
        entry = self._journal.read(command_id)
        self._outbox.put(command_id, FINAL, message_id=entry["message_id"], payload=entry["final"]["payload"])

    def _take_cancellation(self, payload: str) -> None:
        content = json.loads(payload)
        if not isinstance(content, dict):
            raise ValueError("the cancellation is no object")
        message_id = str(content.get("CancelMessageId", ""))
        command_id = self._command_of(message_id)
        log.info(f"command {command_id} is to be cancelled")
        self._journal.request_cancel(command_id)
        # One that has not come yet is answered all the same, and never begun when it comes.
        self._journal.accept(command_id, message_id=message_id, payload="", now=self._clock.now())

    def _command_of(self, message_id: str) -> str:
        parts = message_id.split(".")
        if len(parts) != 4 or parts[:2] != MESSAGE_PREFIX or parts[3] != self._identity.instance_id:
            raise ValueError(f"{message_id[:120]!r} is no message for a command on this node")
        return parts[2]

    def _fail(self, message_id: str, failure: str, reason: str) -> None:
        log.error(f"the message {message_id} cannot be handled: {reason}")
        self._settled("FailMessage", {"MessageId": message_id, "FailureType": failure})

    def _settled(self, operation: str, members: Dict[str, Any]) -> None:
        """Tell the queue; a refusal means that it no longer knows the message, which is as good."""
        try:
            self._client.call(operation, members)
        except Refused as refusal:
            if refusal.concerns_identity:
                raise
            log.warning(f"{operation}: {refusal}")


def _messages(answer: Dict[str, Any]) -> List[Dict[str, Any]]:
    messages = answer.get("Messages") or []
    return [message for message in messages if isinstance(message, dict)] if isinstance(messages, list) else []
