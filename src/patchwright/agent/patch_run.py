# SPDX-License-Identifier: Apache-2.0
"""
A patch operation on the node: the exchange of core.protocol as a step machine that survives its own end (design D4, D10).

    begin (→ files) → before → DONE | REBOOT | resolve → act ─ drift → before, one attempt later
                                               └→ after → DONE | REBOOT → reboot → after

Every phase can be entered again after a crash at any point: questions to the server are answered as the first time, tasks
with a result are not repeated, and an installation does what is left of its plan. The phase is journalled before it begins.
"""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Tuple

from patchwright import __version__
from patchwright.agent import child, log, reboot
from patchwright.agent.client import Backoff, Refused, ServerUnavailable
from patchwright.agent.deadline import Deadline, server_time
from patchwright.agent.desk import Desk
from patchwright.agent.errors import AgentError, UnsupportedSystem
from patchwright.agent.journal import cancel_path
from patchwright.agent.outbox import try_to_drain
from patchwright.agent.task import ACTING, RESULT
from patchwright.core import source
from patchwright.core.errors import MalformedMessage
from patchwright.core.facts import NodeFacts
from patchwright.core.patch_step import INSTALL_OVERRIDE_LIST
from patchwright.core.protocol import (
    MAX_REPLANS,
    OVERRIDE_LIMIT_BYTES,
    Begun,
    Directive,
    FactsMessage,
    Next,
    Phase,
    Report,
    plan_from_json,
)

MAX_NOTES = 100  # lines of what the package manager complained of
MAX_REBOOTS = 3  # of one operation; a server that asks for more is not believed
MAX_BODY_ROUNDS = 3
BODIES_LIMIT_BYTES = 8 * 1024 * 1024  # of bodies in one call, before compression
BODY_SECONDS = 300.0
FRESH_SECONDS = 60.0  # how long after the server said so it is taken for granted that an operation is wanted
UNSUPPORTED = "UNSUPPORTED"  # said for the operating system where there is none that a baseline can be for

CANCELLED_FIRST = "the command was cancelled before anything was changed"
LATE_FIRST = "the time for it was up before anything was changed"

State = Dict[str, Any]


class Cancelled(AgentError):
    """The server wants the command stopped, and nothing was changed yet."""


class Late(AgentError):
    """The time of the step, or of the command, is up, and nothing was changed yet."""


class StepFailed(AgentError):
    """The operation cannot go on. The message says what happened and what to do next."""


class PatchRun:
    """
    One run of the step.

    Args:
        desk: What it works with.
        state: The run's part of the journal, {} at first; changed in place.
        save: Writes the journal. Called before every phase, so that *state* is what a restart finds.
        directory: Where the tasks of this run have theirs.
        deadline: When the step's time is up; None: never. What has begun to change the node goes on all the same.
    """

    def __init__(
        self,
        desk: Desk,
        state: State,
        save: Callable[[], None],
        directory: Path,
        *,
        deadline: Optional[Deadline] = None,
    ) -> None:
        self._desk = desk
        self._deadline = deadline
        self._wanted_at: Optional[float] = None  # by the monotonic clock of this process
        self._state = state
        self._save = save
        self._directory = directory
        self._answer: Dict[str, Any] = {}
        self._command_id = self._place = ""
        self._phases: Mapping[str, Callable[[], None]] = {
            "files": self._files,
            "before": self._before,
            "resolve": self._resolve,
            "act": self._act,
            "after": self._after,
            "reboot": self._reboot,
        }

    def run(self, command_id: str, place: str, *, told: Optional[Mapping[str, Any]] = None) -> Report:
        """
        Go on from where the journal says and answer the server's report.

        *place* is what the step is called (`run_document.place`), *told* its inputs where the server cannot know them.

        Raises:
            Refused: The server does not take what the node says.
            Cancelled: It was cancelled before anything changed.
            Late: Its time was up before anything changed.
            AgentError: It failed on the node.
        """
        self._command_id, self._place = command_id, place
        if not self._state:
            self._begin({"CommandId": command_id, "StepName": place, **({} if told is None else {"Inputs": told})})
        while self._state["phase"] != "done":
            if self._state["phase"] in ("files", "before", "resolve"):
                self._check_time()
            self._phases[self._state["phase"]]()
        report = self._state["report"]
        return Report(bool(report["succeeded"]), str(report["text"]), str(report["error"]))

    def _begin(self, which: Dict[str, Any]) -> None:
        from patchwright.agent import facts

        message = {**which, "AgentVersion": __version__}
        try:
            system = facts.supported_system()
        except UnsupportedSystem as error:
            # The server refuses it, and knows from then on that what it knows of this node is not how it is now.
            with contextlib.suppress(Refused):
                self._ask("BeginOperation", {**message, "OperatingSystem": UNSUPPORTED})
            raise error from None
        message.update(OperatingSystem=system.operating_system.value, Product=system.product)
        begun = self._asked(message)
        log.info(f"{begun.operation} {begun.operation_id} of snapshot {begun.snapshot_id} begins")
        fresh = {"attempt": 0, "drift": [], "failures": {}, "acted_boot_id": "", "boots": 0, "asked": message}
        fresh["not_after"] = begun.not_after
        if begun.files:
            files = {"files": dict(begun.files), "product": system.product}
            self._go("files", operation_id=begun.operation_id, **files, **fresh)
        else:
            self._go_before(begun, **fresh)

    def _go_before(self, begun: Begun, **values: Any) -> None:
        if begun.sources:
            log.info("with the repositories {}".format(", ".join(repr(one.name) for one in begun.sources)))
        self._go("before", operation_id=begun.operation_id, sources=source.to_json(begun.sources), **values)

    def _files(self) -> None:
        """Fetch what is given for this run, and send it: the server says then which repositories count."""
        from patchwright.agent.fetching import fetch_text

        files = []
        for name, url in sorted(self._state["files"].items()):
            try:
                text = fetch_text(self._desk.client, url, limit=OVERRIDE_LIMIT_BYTES, clock=self._desk.bench.clock)
            except AgentError as error:
                raise StepFailed(f"the {name} cannot be used: {error}") from None
            files.append({"Name": name, "Body": text})
        members = {"OperationId": self._state["operation_id"], "Product": self._state["product"], "Files": files}
        self._go_before(Begun.from_json(self._ask("PutOverrides", members, compress=True)))

    def _before(self) -> None:
        attempt = self._state["attempt"]
        facts, directory = self._facts(f"before-{attempt}", refresh=True)
        directive = self._put_facts(Phase.BEFORE, facts, directory)
        if directive.next is Next.RESOLVE:
            self._go("resolve", intent=self._answer["Intent"])
        else:
            self._follow(directive, facts)

    def _resolve(self) -> None:
        attempt = self._state["attempt"]
        request = {"intent": self._state["intent"], "listed": INSTALL_OVERRIDE_LIST in self._state.get("files", {})}
        resolution = self._task("resolve", f"resolve-{attempt}", request)
        passed = resolution.pop("passed", [])
        answer = self._ask(
            "PutResolution",
            {"OperationId": self._state["operation_id"], "Attempt": attempt, "Resolution": resolution},
        )
        plan = plan_from_json(answer)
        log.info(f"plan {plan.digest}: {len(plan.actions)} changes, {len(plan.unresolved)} impossible")
        self._go("act", plan=plan.to_json(), intent=None, passed=passed)

    def _act(self) -> None:
        attempt, plan = self._state["attempt"], self._state["plan"]
        if not plan["actions"]:
            self._go("after")
            return
        directory = self._directory / f"act-{attempt}"
        if not (directory / RESULT).exists() and not (directory / ACTING).exists():
            self._see_that_it_is_wanted()
        request = self._request(plan=plan, passed=self._state.get("passed", []), **self._bounds())
        try:
            result = child.obtain(self._desk.bench, "install", directory, request, limit=0)
        except child.TaskFailed as error:
            if not (directory / ACTING).exists():
                raise
            failures = {f"{row[0]}.{row[1]}": str(error) for row in plan["actions"]}
            result = {"drift": [], "failures": failures, "boot_id": reboot.boot_id()}
        if result.get("over"):
            raise Cancelled(CANCELLED_FIRST) if result["over"] == "cancelled" else Late(LATE_FIRST)
        if result["drift"]:
            log.warning("the node has moved since the plan was made: " + "; ".join(result["drift"]))
            if attempt >= MAX_REPLANS + 1:
                raise StepFailed("the server goes on planning though the node moved every time")
            self._go("before", attempt=attempt + 1, drift=result["drift"], plan=None)
        else:
            self._go("after", failures=result["failures"], acted_boot_id=result["boot_id"])

    def _after(self) -> None:
        facts, directory = self._facts(f"after-{self._state['boots']}", refresh=False)
        self._follow(self._put_facts(Phase.AFTER, facts, directory), facts)

    def _follow(self, directive: Directive, facts: NodeFacts) -> None:
        """Go where the server sends us, having seen *facts*, when there is nothing (more) to install."""
        if directive.next is Next.DONE and directive.report is not None:
            report = directive.report
            text = report.text + self._notes(report.text + report.error)
            self._go("done", report={"succeeded": report.succeeded, "text": text, "error": report.error})
        elif directive.next is Next.REBOOT and self._state["boots"] < MAX_REBOOTS:
            self._go("reboot", reboot=reboot.asked_for(facts.boot_id))
        else:
            raise MalformedMessage(f"the server says {directive.next.value} where that cannot follow")

    def _notes(self, told: str) -> str:
        """
        What the package manager complained of, as far as *told* does not say it.

        The package database decides what failed: rpm has the new version in it although a script of the package failed.
        """
        failures = sorted(self._state["failures"].items())
        lines = [f"  {key}: {reason}" for key, reason in failures if reason not in told]
        return "\n".join(["The package manager also says:", *lines[:MAX_NOTES], ""]) if lines else ""

    def _reboot(self) -> None:
        if not self._state["reboot"]["asked"] and not self._state["acted_boot_id"]:
            self._see_that_it_is_wanted()
        bench, wait = self._desk.bench, self._desk.settings.reboot_wait_seconds
        try:
            with self._desk.turns.restarting(self._command_id):
                reboot.carry_out(self._state["reboot"], bench.shell, bench.clock, save=self._save, wait_seconds=wait)
        except reboot.NotRestarted as error:
            raise StepFailed(f"{error}; restart it by hand and scan again") from None
        self._go("after", boots=self._state["boots"] + 1)

    def _go(self, phase: str, **values: Any) -> None:
        """Journal that *phase* begins, with what it needs."""
        self._state.update(values)
        self._state["phase"] = phase
        self._save()

    @property
    def _untouched(self) -> bool:
        """Whether a question, or a task, of now is one before anything was changed."""
        return bool(self._state.get("phase") != "after")

    def _check_time(self) -> None:
        """Raise Cancelled or Late where the operation, which has changed nothing, is not to go on. It needs no server."""
        if self._desk.cancelled():
            raise Cancelled(CANCELLED_FIRST)
        if self._deadline is not None and self._deadline.left() <= 0:
            raise Late(
                f"the step took longer than {self._deadline.seconds:.0f} s, and was ended before anything was changed"
            )

    def _see_that_it_is_wanted(self) -> None:
        """
        Right before the point of no return: raise Cancelled, Late or Refused where nobody wants the operation any more.

        The server is asked, unless it has just said so to this very process: a node that was off for a night has not heard that
        its command was cancelled meanwhile, or that its time is up.
        """
        self._check_time()
        clock = self._desk.bench.clock
        fresh = self._wanted_at is not None and clock.monotonic() - self._wanted_at < FRESH_SECONDS
        if not self._state.get("asked") or (fresh and self._left() > 0):  # not there: begun by an older agent
            return
        self._state["not_after"] = self._asked(self._state["asked"]).not_after

    def _asked(self, which: Dict[str, Any]) -> Begun:
        """The server's answer to BeginOperation, for the first time or again. Raises Cancelled where it is not wanted."""
        begun = Begun.from_json(self._ask("BeginOperation", which))
        if not begun.wanted:
            raise Cancelled(CANCELLED_FIRST)
        self._wanted_at = self._desk.bench.clock.monotonic()
        return begun

    def _left(self) -> float:
        """Seconds until the command's time is up as the server said; endless where it did not."""
        until = self._state.get("not_after", 0.0)
        if not until or not self._desk.client.clock_offset:
            return float("inf")
        return float(until) - server_time(self._desk.client, self._desk.bench.clock)

    def _bounds(self) -> Dict[str, Any]:
        """Until when an installation may begin, for the process that carries it out."""
        left = min(self._left(), self._deadline.left() if self._deadline is not None else float("inf"))
        cancel = str(cancel_path(self._desk.bench.disk, self._command_id))
        return {"cancel": cancel, **({"seconds": round(left, 1)} if left != float("inf") else {})}

    def _task(self, task: str, name: str, request: Mapping[str, Any]) -> Dict[str, Any]:
        seconds = [self._desk.settings.child_seconds]
        if self._untouched and self._deadline is not None:
            seconds.append(max(self._deadline.left(), 1.0))
        limit = min((one for one in seconds if one), default=0)
        try:
            return child.obtain(self._desk.bench, task, self._directory / name, self._request(**request), limit=limit)
        except child.TaskFailed:
            if self._untouched:
                self._check_time()
            raise

    def _request(self, **members: Any) -> Dict[str, Any]:
        """What a task is asked, with the repositories of the operation; a run that an older agent began has none."""
        return {**members, "sources": self._state.get("sources", [])}

    def _facts(self, name: str, *, refresh: bool) -> Tuple[NodeFacts, Path]:
        # Facts taken in an earlier boot are no answer in this one: the server would ask for the same restart again.
        name = f"{name}-{hashlib.sha256(reboot.boot_id().encode()).hexdigest()[:8]}"
        request = {"refresh": refresh, "clock_offset": round(self._desk.client.clock_offset, 1)}
        result = self._task("facts", name, request)
        return NodeFacts.from_json(result["facts"]), self._directory / name

    def _put_facts(self, phase: Phase, facts: NodeFacts, directory: Path) -> Directive:
        message = FactsMessage(
            self._state["operation_id"],
            phase,
            facts,
            attempt=self._state["attempt"],
            drift=tuple(self._state["drift"]),
            failures=self._state["failures"],
            acted_boot_id=self._state["acted_boot_id"],
            number=self._number(directory.name),
        )
        for _ in range(MAX_BODY_ROUNDS + 1):
            self._answer = self._ask("PutFacts", message.to_json())
            directive = Directive.from_json(self._answer)
            if directive.next is not Next.SEND_BODIES:
                return directive
            self._send_bodies(directive.missing, facts, directory)
        raise MalformedMessage("the server asks for the same bodies again and again")

    def _number(self, name: str) -> int:
        """Which of the operation's facts these are, in the order they were taken in. It is journalled before it is told."""
        told: Dict[str, int] = self._state.setdefault("told", {})
        if name not in told:
            told[name] = len(told) + 1
            self._save()
        return told[name]

    def _send_bodies(self, missing: Tuple[str, ...], facts: NodeFacts, directory: Path) -> None:
        unknown = sorted(set(missing) - set(facts.digests))
        if unknown:
            raise MalformedMessage(f"the server asks for {unknown[0][:80]}, which these facts do not name")
        for group in _groups(directory, missing):
            bodies = [{"Digest": digest, "Body": path.read_text(encoding="utf-8")} for digest, path in group]
            self._ask(
                "PutBodies",
                {"OperationId": self._state["operation_id"], "Bodies": bodies},
                compress=True,
                timeout=BODY_SECONDS,
            )

    def _ask(self, operation: str, members: Dict[str, Any], **options: Any) -> Dict[str, Any]:
        """Ask until the server answers, however long it is away. Raises Refused."""
        backoff = Backoff(self._desk.bench.clock, cap=self._desk.settings.backoff_cap_seconds)
        answer = self._call(operation, members, **options)
        while answer is None:
            if self._untouched:
                self._check_time()
                if self._left() <= 0:
                    raise Late(LATE_FIRST)
            backoff.pause()
            try_to_drain(self._desk.outbox, self._desk.client)
            answer = self._call(operation, members, **options)
        return answer

    def _call(self, operation: str, members: Dict[str, Any], **options: Any) -> Optional[Dict[str, Any]]:
        try:
            return self._desk.client.call(operation, members, **options)
        except ServerUnavailable as error:
            log.warning(f"{operation} waits: {error}")
            return None


def _groups(directory: Path, digests: Tuple[str, ...]) -> Iterator[List[Tuple[str, Path]]]:
    """The bodies' files, in groups that fit one call."""
    group: List[Tuple[str, Path]] = []
    size = 0
    for digest in digests:
        path = directory / digest.replace(":", "-")
        length = path.stat().st_size
        if group and size + length > BODIES_LIMIT_BYTES:
            yield group
            group, size = [], 0
        group.append((digest, path))
        size += length
    if group:
        yield group
