# SPDX-License-Identifier: Apache-2.0
"""
The node program as a guest of amazon-ssm-agent: a script of a document starts it for one step, and it ends with the step.

    exit 0, 1     the step's report is printed (stdout), or what went wrong (stderr)
    exit 194      restart the node, then start the script again (spec agent-protocol §9): the run goes on where it was
    exit 168      a check found that nothing is left to do (spec §5.9)

It signs with the session that amazon-ssm-agent keeps in a file for its scripts, which is renewed while it works. What a run
came to is journalled; a report that cannot be delivered stays there, and the next run that begins on the node delivers it.
"""

from __future__ import annotations

import configparser
import contextlib
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, Mapping, NamedTuple, Optional, Tuple, TypeVar

from patchwright.agent import child, log, reboot
from patchwright.agent.client import Backoff, Client, Refused, ServerUnavailable
from patchwright.agent.clock import Clock
from patchwright.agent.config import Settings, inherited_environment, load_settings
from patchwright.agent.desk import Desk
from patchwright.agent.disk import Damaged, Disk, Lock, read_json
from patchwright.agent.errors import AgentError
from patchwright.agent.outbox import Outbox
from patchwright.agent.patch_run import PatchRun, StepFailed
from patchwright.agent.shell import Shell
from patchwright.agent.task import ACTING
from patchwright.agent.transport import Server
from patchwright.core import run_document
from patchwright.core.flow import REBOOT_CODE, SUCCEED_CODE
from patchwright.core.protocol import Report
from patchwright.core.signing import Signer

CREDENTIALS_VARIABLE = "AWS_SHARED_CREDENTIALS_FILE"
COMMAND_VARIABLE, INSTANCE_VARIABLE, REGION_VARIABLE = "SSM_COMMAND_ID", "AWS_SSM_INSTANCE_ID", "AWS_SSM_REGION_NAME"
KEPT_SECONDS = 7 * 86_400.0
LOG_LIMIT_BYTES = 1024 * 1024
LOCK_LOOK_SECONDS = 0.5
MAX_RESTARTS = 3  # asked for in one boot
NO_RESTART = (
    "what was installed waits for a restart of the node, and a step of a document within a document may not ask"
    " amazon-ssm-agent for one: restart the node, or make the patch step one of the command's own document"
)
TOKEN_REFUSALS = ("ExpiredTokenException", "ExpiredToken", "UnrecognizedClientException", "InvalidClientTokenId")
_UNDER_WAY = ("after", "reboot")  # phases in which something may have changed that the server does not know
_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}\Z")


Answer = TypeVar("Answer")


class NoCredentials(AgentError):
    """amazon-ssm-agent shares no credentials with its scripts."""


class RestartWanted(AgentError):
    """The node is to restart; then the same step again."""


class Unreachable(AgentError):
    """The server has not answered for a long time."""


class Which(NamedTuple):
    """
    What a script says of its step: its name and, of a step of a document within a document, where the script itself lies.

    amazon-ssm-agent puts it into `…/COMMAND/STEP/STEP/_script.sh`, a directory for each of the steps that led to it.
    """

    name: str
    script: str = ""

    def place(self, command_id: str) -> str:
        """What the step is called to the server. Raises AgentError."""
        if not self.script:
            return self.name
        _, found, below = self.script.rpartition(f"/{command_id}/")
        steps = [part for part in below.split("/")[:-1] if _NAME.match(part)]
        if not found or len(steps) < 2 or steps[-1] != self.name:
            raise AgentError(
                f"where this script lies ({self.script[:500]}) does not say of which step of the command it is a part;"
                " make the patch step one of the command's own document"
            )
        return run_document.place(*steps)


class Step(NamedTuple):
    """Which step of which command this is; *name* is its place (`run_document.place`)."""

    command_id: str
    name: str
    instance_id: str
    region: str

    @classmethod
    def of(cls, which: Which, environment: Mapping[str, str]) -> Step:
        """The step *which* of the command that *environment* tells of. Raises AgentError."""
        told = [environment.get(variable, "") for variable in (COMMAND_VARIABLE, INSTANCE_VARIABLE, REGION_VARIABLE)]
        if not all(_NAME.match(text) for text in (which.name, *told)):
            raise AgentError(
                f"this is started by amazon-ssm-agent, which says by {COMMAND_VARIABLE} and others for what"
            )
        return cls(told[0], which.place(told[0]), told[1], told[2])


class SharedClient(Client):
    """
    A client that signs with the credentials in *file*, read again when they were renewed.

    Raises Unreachable where the server, or renewed credentials, have been missing for longer than *settings* allow.
    """

    def __init__(self, server: Server, step: Step, file: Path, *, settings: Settings, clock: Clock) -> None:
        super().__init__(server, None, settings=settings, clock=clock)
        self._file = file
        self._step = step
        self._time = clock
        self._patience = settings.guest_patience_seconds
        self._missed_since: Optional[float] = None

    def call(self, operation: str, members: Dict[str, Any], **options: Any) -> Dict[str, Any]:
        """One call, as `Client.call`."""
        return self._patiently(lambda: super(SharedClient, self).call(operation, members, **options))

    def download(self, path: str, *, service: str = "") -> bytes:
        """One download, as `Client.download`."""
        return self._patiently(lambda: super(SharedClient, self).download(path, service=service))

    def _patiently(self, ask: Callable[[], Answer]) -> Answer:
        self.signer = credentials(self._file, self._step.region)
        try:
            answer = ask()
        except ServerUnavailable as error:
            self._missed(error)
            raise
        except Refused as refusal:
            if refusal.code not in TOKEN_REFUSALS:
                raise
            self._missed(refusal)
            raise ServerUnavailable(f"{refusal}; amazon-ssm-agent renews them") from None
        self._missed_since = None
        return answer

    def _missed(self, error: Exception) -> None:
        now = self._time.monotonic()
        self._missed_since = now if self._missed_since is None else self._missed_since
        if now - self._missed_since > self._patience:
            raise Unreachable(
                f"{self.peer.host_header} has not answered for {self._patience:.0f} s ({error}); what was done is kept,"
                " and the next patch command delivers it"
            )


class GuestRun(PatchRun):
    """A run whose restarts are the caller's to bring about."""

    def _reboot(self) -> None:
        asked = self._state["reboot"]
        if reboot.boot_id() == asked["boot_id"]:
            if len(run_document.names(self._place)) > 1:
                raise StepFailed(NO_RESTART)
            if not asked["asked"] and not self._state["acted_boot_id"]:
                self._see_that_it_is_wanted()
            if asked["asked"] >= MAX_RESTARTS:
                raise StepFailed(
                    f"the node did not restart, though that was asked for {asked['asked']} times; do it by hand"
                )
            asked["asked"] += 1
            self._save()
            raise RestartWanted("the node restarts to finish the operation")
        self._go("after", boots=self._state["boots"] + 1)


class Guest:
    """The runs of one node, below *disk*."""

    def __init__(self, disk: Disk, step: Step, client: Client, *, settings: Settings, program: Tuple[str, ...]) -> None:
        self._disk = disk
        self._step = step
        self._client = client
        self._settings = settings
        self._clock = Clock()
        self._bench = child.Bench(disk, Shell(), self._clock, program, inherited_environment())

    def patch(self) -> Report:
        """
        The report of this step's run, begun now or gone on with.

        Raises RestartWanted, Refused, AgentError.
        """
        lock = Lock(self._disk.root / "lock")
        self._wait_for(lock)
        try:
            self._deliver_kept()
            return self._run(self._step.command_id, self._step.name)
        finally:
            lock.release()

    def _run(self, command_id: str, name: str) -> Report:
        path = self._path(command_id, name)
        entry = self._read(path)
        if "report" in entry:
            return Report(**entry["report"])
        entry.update(command_id=command_id, step=name, boot_id=reboot.boot_id())
        state: Dict[str, Any] = entry.setdefault("run", {})
        desk = Desk(
            self._client,
            Outbox(self._disk, instance_id=self._step.instance_id),
            self._bench,
            self._settings,
            lambda: False,
        )
        directory = self._disk.root / "work" / path.stem

        def save() -> None:
            self._disk.write_json(path, entry)

        try:
            report = GuestRun(desk, state, save, directory).run(command_id, name)
        except (Refused, RestartWanted, Unreachable):
            raise
        except AgentError as error:
            report = Report(False, "", str(error))
        self._disk.write_json(path, {"command_id": command_id, "step": name, "report": vars(report)})
        shutil.rmtree(str(directory), ignore_errors=True)
        return report

    def _deliver_kept(self) -> None:
        """Tell the server what earlier runs did and could not tell; forget what is old."""
        for path in sorted(self._disk.directory("runs").glob("[!.]*.json")):
            entry = self._read(path)
            if path == self._path(self._step.command_id, self._step.name):
                continue
            if self._clock.now() - path.stat().st_mtime > KEPT_SECONDS:
                self._disk.remove(path)
                shutil.rmtree(str(self._disk.root / "work" / path.stem), ignore_errors=True)
            elif "report" not in entry and entry.get("run", {}).get("phase") and self._has_acted(path, entry["run"]):
                self._deliver(path, entry)

    def _deliver(self, path: Path, entry: Dict[str, Any]) -> None:
        state = entry["run"]
        if state["phase"] == "act":  # its end was seen by nobody: the facts say what came of it
            state.update(phase="after", acted_boot_id=entry.get("boot_id", ""))
        self._disk.write_json(path, entry)
        log.info("what command {} did is told now".format(entry["command_id"]))
        try:
            self._run(str(entry["command_id"]), str(entry["step"]))
        except (Refused, AgentError) as error:
            log.warning(f"it could not be told: {error}")

    def _has_acted(self, path: Path, state: Mapping[str, Any]) -> bool:
        acting = self._disk.root / "work" / path.stem / f"act-{state.get('attempt', 0)}" / ACTING
        return state["phase"] in _UNDER_WAY or (state["phase"] == "act" and acting.exists())

    def _wait_for(self, lock: Lock) -> None:
        """Take the lock of the node; another step has it as long as it works, and says so."""
        if not lock.take():
            log.info("another patch operation runs on this node; this one waits for it")
            _say("Another patch operation runs on this node; this one waits for it.\n")
            while not lock.take():
                self._clock.sleep(LOCK_LOOK_SECONDS)

    def _path(self, command_id: str, name: str) -> Path:
        return self._disk.directory("runs") / "{}.{}.json".format(command_id, ".".join(run_document.names(name)))

    @staticmethod
    def _read(path: Path) -> Dict[str, Any]:
        try:
            return read_json(path)
        except FileNotFoundError:
            return {}
        except Damaged as error:
            log.error(f"what is known of a run is lost: {error}")
            return {}


def patch(which: Which, server: Server, *, state_dir: Path, program: Tuple[str, ...]) -> int:
    """Do a patch step. Answers the exit code."""
    with _logged(state_dir):
        try:
            step, client, settings = _opened(which, server, state_dir)
            disk = Disk(state_dir, settings.reserve_kib * 1024)
            report = Guest(disk, step, client, settings=settings, program=program).patch()
        except RestartWanted as wish:
            _say(f"{wish}\n")
            return REBOOT_CODE
        except Refused as refusal:
            report = Report(False, "", f"the server refused the operation: {refusal}")
        except AgentError as error:
            report = Report(False, "", str(error))
    if report.text:
        _say(report.text.rstrip("\n") + "\n")
    if report.error:
        sys.stderr.write(report.error.rstrip("\n") + "\n")
    return 0 if report.succeeded else 1


def check(which: Which, server: Server, *, state_dir: Path) -> int:
    """Ask the server whether the document goes on after a step. Answers the exit code."""
    with _logged(state_dir):
        try:
            step, client, settings = _opened(which, server, state_dir)
            answer = _asked(client, step, Backoff(Clock(), cap=settings.backoff_cap_seconds))
        except (AgentError, Refused) as error:
            answer = {"Error": str(error)}
    if "Error" in answer:
        sys.stderr.write(f"{answer['Error']}\n")
        return 1
    _say("{}\n".format(answer.get("Text", "")))
    return 0 if answer.get("Continue") is True else SUCCEED_CODE


def _asked(client: SharedClient, step: Step, backoff: Backoff) -> Dict[str, Any]:
    """What the server says of the check, as soon as it is there. Raises Refused, AgentError."""
    while True:
        with contextlib.suppress(ServerUnavailable):
            return client.call("GetPatchCheck", {"CommandId": step.command_id, "StepName": step.name})
        backoff.pause()


def credentials(file: Path, region: str) -> Signer:
    """What the credentials file that amazon-ssm-agent keeps holds. Raises NoCredentials."""
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(file.read_text(encoding="utf-8"))
        section = parser["default"]
        return Signer(
            section["aws_access_key_id"], section["aws_secret_access_key"], region, section.get("aws_session_token", "")
        )
    except (OSError, UnicodeDecodeError, configparser.Error, KeyError) as error:
        kind = type(error).__name__  # its text may hold a line of the file
        raise NoCredentials(f"{file} holds no credentials that can be read ({kind}); {SHARE}") from None


SHARE = "amazon-ssm-agent shares them where Profile.ShareCreds is true in /etc/amazon/ssm/amazon-ssm-agent.json"


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _opened(which: Which, server: Server, state_dir: Path) -> Tuple[Step, SharedClient, Settings]:
    step = Step.of(which, os.environ)
    file = os.environ.get(CREDENTIALS_VARIABLE, "")
    if not file:
        raise NoCredentials(
            f"there are no credentials to speak to the server with ({CREDENTIALS_VARIABLE} is not set); {SHARE}"
        )
    settings, clock = load_settings(state_dir), Clock()
    return step, SharedClient(server.checked(), step, Path(file), settings=settings, clock=clock), settings


@contextlib.contextmanager
def _logged(state_dir: Path) -> Iterator[None]:
    """What the agent logs goes to a file: the step's output is the report."""
    state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = state_dir / "log"
    if path.exists() and path.stat().st_size > LOG_LIMIT_BYTES:
        path.replace(path.with_suffix(".1"))
    with path.open("a", encoding="utf-8") as stream, contextlib.redirect_stderr(stream):
        yield
