# SPDX-License-Identifier: Apache-2.0
"""
The action `aws:updateSsmAgent`: bring the node's agent to the version that the server has, and back where it does not report.

    (begin) → fetched   downloaded, held to the digest that the server names, tried: all of it imported, heard by the server
            → switched  in place; the agent that attends takes over
            → Success where it reports in time, else the version before is back and the step has failed

Resumable: killed at any point it is entered again, finds out where it is, and goes on.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from pathlib import Path
from typing import Any, Dict, List, Optional

from patchwright import __version__
from patchwright.agent import selfupdate
from patchwright.agent.actions.asking import Cancelled, ask
from patchwright.agent.actions.model import Context, Outcome, StepState
from patchwright.agent.client import Refused, ServerUnavailable
from patchwright.agent.errors import AgentError, CommandError
from patchwright.core.flow import FAILED, SUCCESS

TRIAL_SECONDS = 120.0
LOOK_SECONDS = 0.2
PACKAGED = ("/usr/lib/", "/usr/share/")
_PATH = re.compile(r"/[A-Za-z0-9._/-]{1,200}\Z")


class NotUpdated(AgentError):
    """The agent stays what it is. The message says why."""


def run(step: StepState, context: Context) -> Outcome:
    """Update the agent."""
    try:
        text = _Update(step["inputs"], step["run"], context).run()
    except Cancelled as error:
        return error.outcome
    except (NotUpdated, Refused) as error:
        return Outcome(FAILED, 1, "", str(error))
    return Outcome(SUCCESS, 0, text + "\n")


class _Update:
    """One update; *state* is what the journal has of it."""

    def __init__(self, inputs: Dict[str, Any], state: Dict[str, Any], context: Context) -> None:
        self._inputs = inputs
        self._state = state
        self._context = context
        self._disk = context.desk.bench.disk
        self._clock = context.desk.bench.clock

    def run(self) -> str:
        """What came of it. Raises NotUpdated, Refused, Cancelled."""
        if self._state.get("phase") not in ("fetched", "switched"):
            done = self._fetch()
            if done:
                return done
        if self._state["phase"] == "fetched":
            self._switch()
        return self._await()

    def _fetch(self) -> str:
        """Have the new version beside this one, tried; or say that there is none."""
        archive = self._archive()
        told = ask(self._context, "DescribeAgent", {})
        version, wanted, path = str(told["Version"]), str(told["Sha256"]), str(told["Path"])
        present = selfupdate.digest(archive)
        if present == wanted:
            return f"The agent is what the server has: version {version}."
        self._check(version)
        if not _PATH.match(path):
            raise NotUpdated(f"{path[:80]!r} is no place on the server")
        try:
            content = self._context.desk.client.download(path)
        except ServerUnavailable as error:
            raise NotUpdated(f"the new version cannot be downloaded: {error}") from None
        if hashlib.sha256(content).hexdigest() != wanted:
            raise NotUpdated(f"what the server hands out at {path} is not what it names (SHA-256 {wanted})")
        fresh = _fresh(archive)
        try:
            self._disk.write(fresh, content)
        except OSError as error:
            raise NotUpdated(f"the new version cannot be written: {error}") from None
        self._try(fresh, version)
        self._go("fetched", archive=str(archive), version=version, to=wanted, **{"from": present})
        return ""

    def _try(self, fresh: Path, version: str) -> None:
        """See the new version work before anything depends on it."""
        shell, environment = self._context.desk.bench.shell, self._context.desk.bench.environment
        argv = [sys.executable, "-I", str(fresh), "self-test", "--state-dir", str(self._disk.root)]
        try:
            said = shell.run(argv, timeout=TRIAL_SECONDS, env=environment).stdout.split()
        except CommandError as error:
            self._disk.remove(fresh)
            raise NotUpdated(f"version {version} does not work on this node: {error}") from None
        if said != [version]:
            self._disk.remove(fresh)
            raise NotUpdated(f"what was downloaded as version {version} calls itself {' '.join(said)[:80]!r}")

    def _switch(self) -> None:
        state = self._state
        archive, fresh = Path(state["archive"]), _fresh(Path(state["archive"]))
        present = selfupdate.digest(archive)
        if present == state["from"]:
            if selfupdate.digest(fresh) != state["to"]:
                raise NotUpdated(f"{fresh} is not what was tried; run the command again")
            selfupdate.load_all()
            self._disk.write(selfupdate.former(archive), archive.read_bytes())
            record = {name: state[name] for name in ("archive", "version", "from", "to")}
            selfupdate.write(self._disk, {**record, "state": selfupdate.SWITCHED, "starts": 0, "pid": 0})
            selfupdate.put(self._disk, archive, fresh.read_bytes())
        elif present != state["to"]:
            raise NotUpdated(f"somebody else has replaced {archive} meanwhile")
        seconds = self._context.desk.settings.update_seconds
        self._go("switched", deadline=self._clock.now() + seconds, seconds=seconds)

    def _await(self) -> str:
        """Wait for the new version to report, or take it back."""
        state = self._state
        record = self._record()
        while record["state"] == selfupdate.SWITCHED:
            if self._clock.now() > state["deadline"]:
                selfupdate.back(self._disk, record, "it has not reported within {:.0f} s".format(state["seconds"]))
            else:
                self._context.meanwhile()
                self._clock.sleep(LOOK_SECONDS)
            record = self._record()
        for path in (_fresh(Path(state["archive"])), selfupdate.former(Path(state["archive"]))):
            self._disk.remove(path)
        if record["state"] == selfupdate.CONFIRMED:
            return "The agent is version {} now.".format(state["version"])
        why = "version {} of the agent was taken back: {}; version {} is in place"
        raise NotUpdated(why.format(state["version"], record.get("why", "nobody knows why"), __version__))

    def _record(self) -> Dict[str, Any]:
        record = selfupdate.read(self._disk)
        if record is None or record.get("to") != self._state["to"]:
            raise NotUpdated("nothing is known of the update any more; see which version the node reports")
        return record

    def _archive(self) -> Path:
        """The archive of the agent that attends. Raises NotUpdated where it is none that could be replaced."""
        archive = Path(os.environ.get(selfupdate.PROGRAM_VARIABLE, ""))
        if archive.suffix != ".pyz" or not archive.is_file():
            raise NotUpdated("this agent does not run from an archive that could be replaced, or does not stay")
        if str(archive).startswith(PACKAGED):
            raise NotUpdated(f"{archive} belongs to a package: update it by the package manager")
        return archive

    def _check(self, version: str) -> None:
        """Raise NotUpdated unless *version* is what is wanted."""
        target = str(self._inputs.get("targetVersion") or "")
        if target and target != version:
            raise NotUpdated(f"the server has version {version} of the agent, and no {target}")
        older = _order(version) < _order(__version__)
        if older and str(self._inputs.get("allowDowngrade") or "").lower() != "true":
            raise NotUpdated(f"the server has version {version}, which is older than {__version__}; see allowDowngrade")

    def _go(self, phase: str, **values: Any) -> None:
        self._state.update(values, phase=phase)
        self._context.save()


def _fresh(archive: Path) -> Path:
    return archive.with_name(archive.name + ".new")


def _order(version: str) -> List[int]:
    numbers: Optional[List[str]] = re.findall(r"[0-9]{1,9}", version)
    return [int(number) for number in numbers or []]
