# SPDX-License-Identifier: Apache-2.0
"""One command: its steps in the order of its document, every transition journalled before it is taken, and its replies."""

from __future__ import annotations

import json
import shutil
import time
import traceback
from functools import partial
from typing import Any, Dict, List, NamedTuple

from patchwright import __version__
from patchwright.agent import log, node
from patchwright.agent.actions import Context, Outcome
from patchwright.agent.child import Bench
from patchwright.agent.client import OFFSET_WORTH_LEARNING_SECONDS, Client
from patchwright.agent.config import Settings
from patchwright.agent.desk import Desk
from patchwright.agent.disk import Damaged, DiskFull
from patchwright.agent.journal import Entry, Journal
from patchwright.agent.outbox import FINAL, STARTED, Outbox, try_to_drain
from patchwright.agent.steps import NOT_BEGUN, Step, following, plan_steps, run_step, settle
from patchwright.agent.streaming import Spool, Streamer
from patchwright.agent.turns import Turns
from patchwright.core import flow
from patchwright.core.errors import PatchwrightError
from patchwright.core.protocol import message_id as message_id_of

RUN_LIMIT = 20  # times a command is taken up again before it is given up; every restart counts one
CANCELLED_UNSEEN = "the command was cancelled before it reached this node"
COMBINED_LIMIT = 2500  # characters of a plugin's `output`


class Office(NamedTuple):
    """What the commands of a worker share, but for the client: a connection speaks for one at a time."""

    instance_id: str
    journal: Journal
    outbox: Outbox
    spool: Spool
    bench: Bench
    settings: Settings
    turns: Turns


class CommandRun:
    """The run of the command *command_id*, from where the journal says."""

    def __init__(self, office: Office, client: Client, command_id: str) -> None:
        self._office = office
        self._client = client
        self._command_id = command_id
        self._journal = office.journal
        self._outbox = office.outbox
        self._bench = office.bench

    def run(self) -> None:
        """
        Run the command to its end, and put its last reply into the outbox.

        Raises DiskFull, OSError: it is gone on with by the next worker.
        """
        command_id = self._command_id
        try:
            entry = self._journal.read(command_id)
        except Damaged as error:
            self._give_up_damaged(command_id, str(error))
            return
        if entry["final"] is None and entry["message_id"] != message_id_of(command_id, self._office.instance_id):
            # What an earlier server wanted is no order of the one that this node is enrolled with now.
            self._fail(entry, "the node was enrolled anew before the command ended")
            self._settle(entry)
        if entry["final"] is None:
            entry["runs"] += 1
            self._journal.write(entry)
            try:
                self._run_steps(entry)
            except (DiskFull, OSError):
                raise
            except Exception as error:  # noqa: BLE001 - a fault of ours must end one command, not the agent
                traceback.print_exc()
                self._fail(entry, f"the agent failed: {type(error).__name__}: {error}")
            self._settle(entry)
        self._end(entry)

    def _run_steps(self, entry: Entry) -> None:
        if entry["steps"] is None:
            entry["steps"] = self._planned(entry)
            self._journal.write(entry)
        self._reply(entry, STARTED, "InProgress", [])
        if entry["runs"] > RUN_LIMIT:
            self._fail(entry, f"the command was interrupted {RUN_LIMIT} times and is given up")
        while entry["steps"]:
            now = following(entry["steps"])
            if isinstance(now, flow.Done):
                return
            step = entry["steps"][now.position]
            if isinstance(now, flow.Skip):
                self._pass_by(step, now.status, now.why)
                continue
            with self._office.turns.step(self._command_id, self._cancelled):
                if step["status"] == NOT_BEGUN and self._cancelled():
                    self._pass_by(step, flow.CANCELLED, "the command was cancelled before this step began")
                else:
                    self._run_step(entry, step, now.position + 1)

    def _run_step(self, entry: Entry, step: Step, number: int) -> None:
        if step["status"] == NOT_BEGUN:
            # Unknown where another process has sent the replies so far.
            step.update(status="InProgress", started_at=self._now(), clock_unknown=not self._client.clock_offset)
            self._journal.write(entry)
        command_id, save = entry["command_id"], partial(self._save, entry, step)
        # Some names of schema 1.2 are none for a directory.
        directory = self._bench.disk.root / "work" / command_id / "{}.{}".format(number, step["name"].replace(":", "."))
        streamer = Streamer(
            self._client,
            self._office.spool,
            self._bench.clock,
            command_id=command_id,
            number=number,
            step=step["name"],
            directory=directory,
            always=_wants_everything(entry),
        )
        office = self._office
        desk = Desk(self._client, office.outbox, office.bench, office.settings, self._cancelled, office.turns)
        run_step(step, Context(desk, command_id, directory, save, streamer.look))
        step["ended_at"] = self._now()
        streamer.finish(step)
        self._save(entry, step)
        self._reply(entry, number, "InProgress", [step])

    def _pass_by(self, step: Step, status: str, why: str) -> None:
        """A step that is not run: journalled with what comes next, from which it follows again."""
        now = self._now()
        code = flow.KILLED_CODE if status == flow.CANCELLED else 0
        settle(step, Outcome(status, code, why if not code else "", why if code else ""))
        step.update(started_at=now, ended_at=now)

    def _save(self, entry: Entry, step: Step) -> None:
        """Journal a step that goes on; its start is told in the server's time as soon as that is known."""
        if step.get("clock_unknown") and self._client.clock_offset:
            step.update(started_at=step["started_at"] + self._correction(), clock_unknown=False)
        self._journal.write(entry)

    def _planned(self, entry: Entry) -> List[Step]:
        if not entry["payload"] and self._cancelled():
            entry["trace"] = CANCELLED_UNSEEN
            return []
        try:
            payload = json.loads(entry["payload"])
            if not isinstance(payload, dict):
                raise ValueError("no object")
            return plan_steps(payload)
        except (ValueError, PatchwrightError) as error:
            entry["trace"] = f"the command cannot be read: {error}"
            return []

    def _fail(self, entry: Entry, reason: str) -> None:
        """End every step that has not ended. The reason stands in the first of them, or in the trace."""
        log.error(reason)
        open_steps = [step for step in entry["steps"] or [] if step["status"] not in flow.FINAL]
        for step in open_steps:
            step.update(status="Failed", code=1, stderr=reason, run={}, ended_at=self._now())
        if not open_steps:
            entry["trace"] = entry["trace"] or reason

    def _settle(self, entry: Entry) -> None:
        """Journal the last reply: from here on the command only needs to be reported."""
        entry["steps"] = entry["steps"] or []
        outcomes = [flow.Outcome(step["status"], step["code"]) for step in entry["steps"]]
        status = flow.FAILED if entry["trace"] else flow.document_status(outcomes)
        status = flow.CANCELLED if entry["trace"] == CANCELLED_UNSEEN else status
        entry["final"] = {"status": status, "payload": self._payload(entry, status, entry["steps"])}
        self._journal.write(entry)

    def _end(self, entry: Entry) -> None:
        command_id, final = entry["command_id"], entry["final"]
        self._outbox.put(command_id, FINAL, message_id=entry["message_id"], payload=final["payload"])
        self._journal.finish(entry, now=self._bench.clock.now())
        shutil.rmtree(str(self._bench.disk.root / "work" / command_id), ignore_errors=True)
        log.info("command {} ended: {}".format(command_id, final["status"]))
        try_to_drain(self._outbox, self._client)

    def _give_up_damaged(self, command_id: str, reason: str) -> None:
        """A journal that cannot be read says nothing about what was done: the command ends Failed and is never run."""
        log.error(reason)
        entry: Dict[str, Any] = {
            "command_id": command_id,
            "message_id": message_id_of(command_id, self._office.instance_id),
            "accepted_at": 0.0,
            "steps": [],
            "trace": f"journal damaged: {reason}. What the command did is not known; scan the node to see its state",
        }
        status = "Failed"
        entry["final"] = {"status": status, "payload": self._payload(entry, status, [])}
        self._outbox.put(command_id, FINAL, message_id=entry["message_id"], payload=entry["final"]["payload"])
        self._journal.set_aside(command_id, entry, now=self._bench.clock.now())
        try_to_drain(self._outbox, self._client)

    def _cancelled(self) -> bool:
        return self._journal.cancel_requested(self._command_id)

    def _reply(self, entry: Entry, position: int, status: str, steps: List[Step]) -> None:
        payload = self._payload(entry, status, steps)
        self._outbox.put(entry["command_id"], position, message_id=entry["message_id"], payload=payload)
        try_to_drain(self._outbox, self._client)

    def _now(self) -> float:
        """The time to tell the server: its own, where this node's clock is known to be wrong by much."""
        return self._bench.clock.now() + self._correction()

    def _correction(self) -> float:
        offset = self._client.clock_offset
        return offset if abs(offset) >= OFFSET_WORTH_LEARNING_SECONDS else 0.0

    def _payload(self, entry: Entry, status: str, steps: List[Step]) -> str:
        """The reply payload of spec agent-protocol §8.3. The last one carries every step."""
        counts: Dict[str, int] = {}
        for step in steps:
            counts[step["status"]] = counts.get(step["status"], 0) + 1
        system = node.os_release()
        agent = {
            "lang": "en-US",
            "name": node.AGENT_NAME,
            "os": "linux",
            "osver": system.get("VERSION_ID", ""),
            "ver": __version__,
        }
        return json.dumps(
            {
                "additionalInfo": {
                    "agent": agent,
                    "dateTime": _iso(self._now()),
                    "runId": "",
                    "runtimeStatusCounts": counts,
                },
                "documentStatus": status,
                "documentTraceOutput": entry["trace"],
                "runtimeStatus": {step["name"]: _plugin(step) for step in steps},
            }
        )


def _wants_everything(entry: Entry) -> bool:
    """Whether the server writes what the steps print to a bucket: then it needs all of it."""
    return bool(json.loads(entry["payload"]).get("OutputS3BucketName"))


def _plugin(step: Step) -> Dict[str, Any]:
    errors = "\n----------ERROR-------\n" + step["stderr"] if step["stderr"] else ""
    return {
        "status": step["status"],
        "code": step["code"],
        "name": step["action"],
        "output": (step["stdout"] + errors)[:COMBINED_LIMIT],
        "startDateTime": _iso(step["started_at"]),
        "endDateTime": _iso(step["ended_at"]),
        "outputS3BucketName": "",
        "outputS3KeyPrefix": "",
        "stepName": step["name"],
        "standardOutput": step["stdout"],
        "standardError": step["stderr"],
    }


def _iso(moment: float) -> str:
    """`2026-11-20T04:21:54.755Z`."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment)) + f".{int(moment * 1000) % 1000:03d}Z"
