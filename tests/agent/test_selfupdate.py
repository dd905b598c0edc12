# SPDX-License-Identifier: Apache-2.0
"""The agent replaces itself: a better version stays, a worse one is never put in place or taken back, whoever is killed."""

from __future__ import annotations

import copy
import hashlib
import io
import json
import os
import subprocess
import sys
import threading
import zipfile
from functools import lru_cache
from pathlib import Path

import pytest

import patchwright
from agent.stage import until
from patchwright.agent import selfupdate
from patchwright.agent.actions import update
from patchwright.agent.actions.model import Context
from patchwright.agent.child import Bench
from patchwright.agent.clock import Clock
from patchwright.agent.config import Settings
from patchwright.agent.desk import Desk
from patchwright.agent.disk import Disk
from patchwright.agent.shell import Result, Shell
from patchwright.core.actions import UPDATE_AGENT
from patchwright.server.gateway.zipapp import build

PATH = "/agent/patchwright-agent.pyz"
NOW = patchwright.__version__
DOCUMENT = {
    "schemaVersion": "2.2",
    "parameters": {"Operation": {"type": "String"}, "RebootOption": {"type": "String"}},
    "mainSteps": [{"name": "Update", "action": UPDATE_AGENT, "inputs": {}}],
}
CURRENT = build(Path(patchwright.__file__).parent)
QUICK = {
    "backoff_cap_seconds": 0.1,
    "connect_seconds": 2,
    "poll_seconds": 5,
    "request_seconds": 5,
    "reserve_kib": 64,
    "inventory_hours": 0,
    "control_channel": 0,
}


@lru_cache
def another(version, **changed):
    """The program as *version*, with lines added to modules (`loop="raise …"`)."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(CURRENT)) as source, zipfile.ZipFile(target, "w") as archive:
        for name in source.namelist():
            text = source.read(name).decode()
            if name == "patchwright/__init__.py":
                text = text.replace(f'"{NOW}"', f'"{version}"')
            text += changed.get(name.rpartition("/")[2].removesuffix(".py"), "")
            archive.writestr(name, text)
    return b"#!/usr/bin/env python3\n" + target.getvalue()


def sha(content):
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


class Node:
    """A node whose agent runs out of an archive, and is started again whenever it ends, as a service manager does."""

    def __init__(self, directory, simulator, **settings):
        self.simulator = simulator
        self.archive = directory / "program" / "patchwright-agent.pyz"
        self.state_dir = directory / "state"
        for place in (self.archive.parent, self.state_dir):
            place.mkdir(mode=0o700)
        self.archive.write_bytes(CURRENT)
        self.instance_id, secret = simulator.add_node()
        identity = {
            "instance_id": self.instance_id,
            "secret": secret,
            "region": "eu-central-1",
            "account": "000000000001",
            "server": simulator.url,
        }
        (self.state_dir / "identity.json").write_text(json.dumps(identity))
        (self.state_dir / "agent.json").write_text(json.dumps({**QUICK, **settings}))
        self.starts = 0
        self._stop = threading.Event()
        self._process = None
        self._log = directory / "log"
        self._keeper = threading.Thread(target=self._keep)

    def serve(self, version, content):
        """What the server hands out."""
        self.simulator.agent = {"Version": version, "Sha256": sha(content), "Path": PATH}
        self.simulator.served[PATH] = [(200, content)]

    def update(self, **inputs):
        """Send the command; its id."""
        step = {**DOCUMENT["mainSteps"][0], "inputs": inputs}
        return self.simulator.send(self.instance_id, "Scan", DocumentContent={**DOCUMENT, "mainSteps": [step]})

    def result(self, command):
        """Status and both outputs of the step once the command has ended."""
        until(lambda: any(r["documentStatus"] != "InProgress" for r in self.simulator.replies_of(command)))
        step = self.simulator.final(command)["runtimeStatus"]["Update"]
        return step["status"], step["standardOutput"], step["standardError"]

    @property
    def version(self):
        """What the node said last that it runs."""
        said = [members for name, members in self.simulator.calls if name == "UpdateInstanceInformation"]
        return said[-1]["AgentVersion"]

    def start(self):
        """Start the agent."""
        self._keeper.start()

    def close(self):
        """End it."""
        self._stop.set()
        if self._process:
            self._process.kill()
        if self._keeper.is_alive():
            self._keeper.join()

    def _keep(self):
        words = [sys.executable, "-I", str(self.archive), "run", "--state-dir", str(self.state_dir)]
        while not self._stop.is_set():
            self.starts += 1
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(words, stdout=log, stderr=log, env={"PATH": os.environ["PATH"]})
            self._process.wait()
            self._stop.wait(0.05)


@pytest.fixture
def node(tmp_path, simulator):
    """A node that is not started yet; a version that does not report is given up quickly."""
    node = Node(tmp_path, simulator, update_seconds=3)
    yield node
    node.close()


def test_a_newer_version_takes_over_and_stays(node):
    """The same process goes on as another program; nothing of the update is left lying about; a second update has nothing to do."""
    fresh = another("9.1.0")
    node.serve("9.1.0", fresh)
    node.start()
    status, out, err = node.result(node.update())

    assert (status, err) == ("Success", "")
    assert out == "The agent is version 9.1.0 now.\n"
    assert node.archive.read_bytes() == fresh
    assert [path.name for path in node.archive.parent.iterdir()] == [node.archive.name]
    assert node.version == "9.1.0"
    assert node.starts == 1
    assert node.result(node.update())[:2] == ("Success", "The agent is what the server has: version 9.1.0.\n")


def test_a_version_that_does_not_report_is_taken_back(node):
    """It passed its trial, and fails where no trial goes: the one before is back, and the command says so."""
    node.serve(
        "9.2.0", another("9.2.0", loop="\n\ndef _broken(self):\n    raise SystemExit(3)\n\n\nLoop.run = _broken\n")
    )
    node.start()
    status, _, err = node.result(node.update())

    assert status == "Failed"
    assert "version 9.2.0 of the agent was taken back" in err
    assert node.archive.read_bytes() == CURRENT
    until(lambda: node.version == NOW)
    assert [path.name for path in node.archive.parent.iterdir()] == [node.archive.name]


@pytest.mark.parametrize(
    ("version", "content", "complaint"),
    [
        ("9.3.0", another("9.3.0", loop="\nimport nothing_of_this_name\n"), "version 9.3.0 does not work on this node"),
        ("9.4.0", b"no archive", "version 9.4.0 does not work on this node"),
        pytest.param("9.5.0", another("9.6.0"), "calls itself '9.6.0'", marks=pytest.mark.slow),
        pytest.param("0.0.1", another("0.0.1"), "older than", marks=pytest.mark.slow),
    ],
)
def test_a_version_that_fails_its_trial_is_never_put_in_place(node, version, content, complaint):
    """What cannot be imported, is none, is another, or is older than what is there."""
    node.serve(version, content)
    node.start()
    status, _, err = node.result(node.update())
    assert status == "Failed"
    assert complaint in err
    assert node.archive.read_bytes() == CURRENT
    assert node.starts == 1


def test_what_is_not_what_the_server_names_is_not_even_tried(node):
    """Another digest; nothing at that place; a version that the server does not have."""
    node.start()
    for served, inputs, complaint in (
        ([(200, another("9.7.0"))], {}, "is not what it names"),
        ([(404, b"")], {}, "404"),
        ([(200, CURRENT)], {"targetVersion": "3.2.1"}, "no 3.2.1"),
    ):
        node.simulator.agent = {"Version": "9.7.0", "Sha256": "1" * 64, "Path": PATH}
        node.simulator.served[PATH] = served
        status, _, err = node.result(node.update(**inputs))
        assert status == "Failed"
        assert complaint in err
    assert node.archive.read_bytes() == CURRENT


# ------------------------------------------------------------------------------------------------- killed at every step


class Killed(BaseException):
    """The process is gone."""


class Moments:
    """Counts the moments at which the process may be killed, and kills it at one of them."""

    def __init__(self, at):
        self.at, self.seen = at, 0

    def __call__(self):
        self.seen += 1
        if self.seen == self.at:
            raise Killed


class Server:
    """What the action asks of its client."""

    def __init__(self, content, moment):
        self.content, self.moment = content, moment

    def call(self, operation, _members, **_):
        self.moment()
        assert operation == "DescribeAgent"
        return {"Version": "9.1.0", "Sha256": sha(self.content), "Path": PATH}

    def download(self, _path):
        self.moment()
        return self.content


class Trial(Shell):
    """Says what the trial of the new version would."""

    def __init__(self, moment):
        super().__init__()
        self.moment = moment

    def run(self, argv, **_):
        self.moment()
        return Result(tuple(argv), 0, "9.1.0\n", "")


class Hasty(Clock):
    """Time passes only where somebody waits; the attending agent looks meanwhile, if it lives."""

    def __init__(self, attend):
        self.time, self.attend = 1000.0, attend

    def now(self):
        return self.time

    def sleep(self, seconds):
        self.time += seconds
        self.attend()


def killed_at(moment_number, directory, monkeypatch, *, reports):
    """Run the step, killed once at a moment, to its end; its outcome, and whether that moment came at all."""
    archive, content = directory / "patchwright-agent.pyz", another("9.1.0")
    archive.write_bytes(CURRENT)
    disk, moment = Disk(directory / "state"), Moments(moment_number)
    disk.root.mkdir()
    monkeypatch.setenv(selfupdate.PROGRAM_VARIABLE, str(archive))
    step, journal = {"inputs": {}, "run": {}}, [{}]
    plain_write, plain_remove, plain_replace = Disk.write, Disk.remove, Path.replace

    def whole():
        assert archive.read_bytes() in {CURRENT, content}

    def durable(plain):
        def act(*arguments, **options):
            moment()
            whole()
            plain(*arguments, **options)
            whole()
            moment()

        return act

    def attend():
        if reports and selfupdate.digest(archive) == sha(content):
            selfupdate.Renewal(disk, archive, []).reported()

    def save():
        moment()
        journal[0] = copy.deepcopy(step["run"])
        moment()

    bench = Bench(disk, Trial(moment), Hasty(attend), ())
    desk = Desk(Server(content, moment), None, bench, Settings(update_seconds=5), lambda: False)
    context = Context(desk, "command", directory / "work", save)
    with monkeypatch.context() as patched:
        patched.setattr(Disk, "write", durable(plain_write))
        patched.setattr(Disk, "remove", durable(plain_remove))
        patched.setattr(Path, "replace", durable(plain_replace))
        try:
            outcome = update.run(step, context)
        except Killed:
            moment.at = -1
            step["run"] = copy.deepcopy(journal[0])
            outcome = update.run(step, context)
    return outcome, moment.seen >= moment_number, archive.read_bytes() == content


@pytest.mark.parametrize("reports", [True, False], ids=["reports", "silent"])
def test_it_may_be_killed_at_any_moment(tmp_path, monkeypatch, reports):
    """Before and after every durable write, question and rename: it is entered again, and ends as if nothing had happened."""
    number = 1
    while True:
        directory = tmp_path / str(number)
        directory.mkdir()
        outcome, came, is_new = killed_at(number, directory, monkeypatch, reports=reports)
        assert is_new is reports, (number, outcome)
        if reports:
            assert outcome.status == "Success", (number, outcome)
        else:
            assert (outcome.status, "has not reported within 5 s" in outcome.stderr) == ("Failed", True), (
                number,
                outcome,
            )
        assert {path.name for path in directory.iterdir()} == {"patchwright-agent.pyz", "state"}, number
        if not came:
            break
        number += 1
    assert number > 20


# -------------------------------------------------------------------------------------------------- the agent that attends


def test_a_version_that_is_started_again_and_again_gives_way(tmp_path):
    """Though nobody else is left who would take it back."""
    archive, content, became = tmp_path / "a.pyz", another("9.1.0"), []
    archive.write_bytes(content)
    selfupdate.former(archive).write_bytes(CURRENT)
    disk = Disk(tmp_path)
    record = {
        "archive": str(archive),
        "version": "9.1.0",
        "from": sha(CURRENT),
        "to": sha(content),
        "starts": 0,
        "pid": 0,
    }
    selfupdate.write(disk, {**record, "state": selfupdate.SWITCHED})
    for _ in range(selfupdate.MAX_STARTS + 1):
        renewal = selfupdate.Renewal(disk, archive, ["python3", "x"], become=became.append)
        assert not became
        renewal.began()
    assert archive.read_bytes() == CURRENT
    assert became == [["python3", "x"]]
    assert selfupdate.read(disk)["state"] == selfupdate.RETURNED


def test_an_agent_that_was_not_updated_confirms_nothing(tmp_path):
    """Another archive than the record speaks of, or no record at all."""
    archive = tmp_path / "a.pyz"
    archive.write_bytes(CURRENT)
    disk = Disk(tmp_path)
    selfupdate.Renewal(disk, archive, []).reported()
    record = {
        "archive": str(archive),
        "version": "9",
        "from": "1",
        "to": "2",
        "starts": 0,
        "pid": 0,
        "state": "switched",
    }
    selfupdate.write(disk, record)
    for act in ("began", "look", "reported"):
        getattr(selfupdate.Renewal(disk, archive, []), act)()
    assert selfupdate.read(disk) == record


def test_an_archive_of_a_package_is_left_to_the_package_manager(tmp_path, monkeypatch):
    """And one that is none, and an agent that does not stay."""
    for place in ("", "/usr/bin/env", "/nowhere.pyz"):
        monkeypatch.setenv(selfupdate.PROGRAM_VARIABLE, place)
        outcome = update.run(
            {"inputs": {}, "run": {}}, Context(None, "c", tmp_path, lambda: None)._replace(desk=_desk(tmp_path))
        )
        assert "does not run from an archive" in outcome.stderr
    monkeypatch.setattr(update, "PACKAGED", (str(tmp_path),))
    (tmp_path / "a.pyz").write_bytes(b"")
    monkeypatch.setenv(selfupdate.PROGRAM_VARIABLE, str(tmp_path / "a.pyz"))
    outcome = update.run({"inputs": {}, "run": {}}, Context(_desk(tmp_path), "c", tmp_path, lambda: None))
    assert "belongs to a package" in outcome.stderr


def _desk(directory):
    return Desk(None, None, Bench(Disk(directory), Shell(), Clock(), ()), Settings(), lambda: False)
