# SPDX-License-Identifier: Apache-2.0
"""What an action of a document's step is given, and what it answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Union

from patchwright.agent.desk import Desk
from patchwright.agent.keeper import STDERR, STDOUT
from patchwright.core import flow
from patchwright.core.protocol import STDERR_LIMIT, STDOUT_LIMIT

StepState = Dict[str, Any]  # a step as the journal has it: see `steps.plan_steps`


class Outcome(NamedTuple):
    """
    What a step came to.

    Args:
        status: Success, Failed, TimedOut, Cancelled, Skipped; or SuccessAndReboot: restart the node, then enter the step again.
        code: Its exit code; what flow it causes is the document's affair.
        stdout, stderr: What it wrote. They are cut where they are reported.
        boot_id: With SuccessAndReboot, the boot in which it did what it did, where another may have begun since.
    """

    status: str
    code: int
    stdout: str = ""
    stderr: str = ""
    boot_id: str = ""


class Course(NamedTuple):
    """How the steps of a document within a document are gone through: by the functions of `steps` that have these names."""

    plan_steps: Callable[[Mapping[str, Any]], List[StepState]]
    following: Callable[[Sequence[StepState]], Union[flow.Run, flow.Skip, flow.Done]]
    run_step: Callable[[StepState, Any], None]  # and its Context; it restarts no node
    settle: Callable[[StepState, Outcome], None]


class Context(NamedTuple):
    """
    What an action works with.

    Args:
        desk: Client, outbox, bench (disk, shell, clock), settings; `desk.cancelled()` says whether the server wants it stopped.
        command_id: The command.
        directory: For the step's files, `work/COMMAND/NUMBER.STEP`; kept over restarts, removed when the command has ended.
        save: Journals the step. What the action keeps in `step["run"]` is there again when it is entered after a crash.
        meanwhile: Called several times a second while the action waits.
        course: For an action that has steps of its own; None outside of `steps.run_step`.
    """

    desk: Desk
    command_id: str
    directory: Path
    save: Callable[[], None]
    meanwhile: Callable[[], None] = lambda: None
    course: Optional[Course] = None

    @property
    def stdout(self) -> Path:
        """Where the step's output grows while it runs."""
        return self.directory / STDOUT

    @property
    def stderr(self) -> Path:
        """Where its error output grows."""
        return self.directory / STDERR

    @property
    def downloads(self) -> Path:
        """Where the command's steps put what they fetch, and where its scripts run that name no directory."""
        return self.desk.bench.disk.root / "work" / self.command_id / "downloads"

    def over(self) -> bool:
        """Whether the command was cancelled; for whoever waits, and says meanwhile what the step has written."""
        self.meanwhile()
        return self.desk.cancelled()

    def tell(self, stdout: str, stderr: str = "") -> None:
        """Make this the step's output, where an action has it all at once: told again, it is there once."""
        disk = self.desk.bench.disk
        disk.directory(*self.directory.relative_to(disk.root).parts)
        self.stdout.write_text(stdout, encoding="utf-8", errors="surrogateescape")
        self.stderr.write_text(stderr, encoding="utf-8", errors="surrogateescape")

    def heard(self) -> Outcome:
        """What the step has written so far, as far as a reply carries it; its status is left open."""
        return Outcome("InProgress", 0, _begin(self.stdout, STDOUT_LIMIT), _begin(self.stderr, STDERR_LIMIT))


# An action is *resumable*: entered again after a crash it compares and does the rest; or *opaque*: it answers then that its
# outcome is not known, and does nothing again. Only SuccessAndReboot leads to another run of what is opaque.
Action = Callable[[StepState, Context], Outcome]


def place_of(step: StepState) -> str:
    """What the step is called to the server: in a document within a document, with the names of those that led to it."""
    return str(step.get("place") or step["name"])


def named(step: StepState) -> Dict[str, Any]:
    """
    The members of a question about the step that say which it is.

    What it says itself the server knows, unless it stands in a document that lies on this node.
    """
    return {"StepName": place_of(step), **({"Inputs": step["inputs"]} if step.get("told") else {})}


def joined(text: str, more: str) -> str:
    """*text*, and *more* on a line of its own."""
    return "\n".join(part for part in (text.rstrip("\n"), more) if part) if more else text


def _begin(path: Path, characters: int) -> str:
    """The first characters of a file, one more than asked for where there are more."""
    try:
        with path.open("rb") as file:
            return file.read(4 * (characters + 1)).decode("utf-8", "replace")[: characters + 1]
    except FileNotFoundError:
        return ""
