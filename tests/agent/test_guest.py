# SPDX-License-Identifier: Apache-2.0
"""The node program as a guest of amazon-ssm-agent: one step for each start, a restart by exit code, reports that are kept."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from agent.simulator import DOCUMENT, Refusal
from agent.stage import NODE, Stage, until
from agent.test_resume import CRASH_CODE, INSTALLS, MORE_THAN_ANY
from patchwright.agent import guest
from patchwright.agent.clock import Clock
from patchwright.agent.config import Settings
from patchwright.agent.transport import Server
from patchwright.core.protocol import PATCH_ACTION

DEADLINE = 90.0
CREDENTIALS = "[default]\naws_access_key_id = {}\naws_secret_access_key = {}\naws_session_token = a-token\n"
STEP = "Patch"


class Guest:
    """Starts the program as a script of amazon-ssm-agent does."""

    def __init__(self, stage):
        self.stage = stage
        self.within = []
        self.file = stage.directory / "credentials"
        self.state_dir = stage.directory / "guest"
        self.file.write_text(CREDENTIALS.format(stage.instance_id, stage.identity["secret"]))
        self.state_dir.mkdir(mode=0o700)
        (self.state_dir / "agent.json").write_text((stage.state_dir / "agent.json").read_text())

    def words(self, word):
        """What it is started with."""
        return [
            *(word, "--server", self.stage.simulator.url, "--step", STEP, "--state-dir", str(self.state_dir)),
            *self.within,
        ]

    def environment(self, command):
        """What it is told for a command."""
        return {
            "PATH": os.environ["PATH"],
            "SSM_COMMAND_ID": command,
            "AWS_SSM_INSTANCE_ID": self.stage.instance_id,
            "AWS_SSM_REGION_NAME": self.stage.identity["region"],
            "AWS_SHARED_CREDENTIALS_FILE": str(self.file),
            **self.stage.environment,
        }

    def start(self, command, word="patch", **environment):
        """The program for a command's step."""
        return subprocess.Popen(
            [sys.executable, "-I", str(NODE), *self.words(word)],
            env={**self.environment(command), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, command, word="patch", **environment):
        """Exit code and both outputs."""
        process = self.start(command, word, **environment)
        out, err = process.communicate(timeout=DEADLINE)
        return process.returncode, out, err

    @property
    def runs(self):
        """The journal."""
        return {path.name: json.loads(path.read_text()) for path in (self.state_dir / "runs").glob("*.json")}

    def log(self):
        """What it logged."""
        return (self.state_dir / "log").read_text()


@pytest.fixture
def visitor(stage):
    """A guest of the stage's node; its agent is not running."""
    return Guest(stage)


def test_a_scan_prints_its_report_and_nothing_else(visitor):
    """The report is the step's output; what the program logs is not. Every request carries the session's token."""
    command = visitor.stage.send("Scan")
    code, out, err = visitor.run(command)

    assert (code, err) == (0, "")
    assert out.startswith("missing: openssl")
    assert {raw["X-Amz-Security-Token"] for raw in visitor.stage.simulator.raw} == {"a-token"}
    assert all("x-amz-security-token" in raw["Authorization"] for raw in visitor.stage.simulator.raw)
    assert "secret" not in visitor.log()


def test_an_install_asks_for_its_restart_by_the_exit_code_and_goes_on_after_it(visitor):
    """194 as often as it is started in the boot that is to end, with a limit; nothing is installed twice."""
    stage = visitor.stage
    command = stage.send("Install")
    assert visitor.run(command)[0] == 194
    assert visitor.run(command)[0] == 194
    assert stage.history.count("install begins") == 1
    assert "reboot asked" not in stage.history
    stage.boot_file.write_text("boot-2")

    code, out, err = visitor.run(command)
    assert (code, err) == (0, "")
    assert out.startswith("missing:")
    assert visitor.run(command) == (0, out, "")
    assert stage.history.count("install begins") == 1
    (operation,) = stage.simulator.operations.values()
    assert [message.phase.value for message in operation.messages] == ["before", "after", "after"]


def inner(stage, operation, reboot="RebootIfNeeded"):
    """The id of a command with a step, Child, that runs a document with the patch step."""
    parameters = {"Operation": operation, "RebootOption": reboot}
    inputs = {"documentType": "SSMDocument", "documentPath": "Patch", "documentParameters": parameters}
    steps = [{"action": "aws:runDocument", "name": "Child", "inputs": inputs}]
    stage.simulator.documents["Patch", ""] = DOCUMENT
    return stage.send("", DocumentContent={"schemaVersion": "2.2", "mainSteps": steps})


def place(command, *steps):
    """The words that say where the script of a step lies."""
    return ["--within", "/".join(("/var/lib/amazon/ssm/mi-1/document/orchestration", command, *steps, "_script.sh"))]


@pytest.mark.parametrize("below", [(), ("0.awsrunShellScript",)])
def test_a_step_of_a_document_within_a_document_is_told_by_where_its_script_lies(visitor, below):
    """It is another operation than the same step of another; done again it is the same."""
    command = inner(visitor.stage, "Install", "NoReboot")
    visitor.within = place(command, "Child", STEP, *below)

    done = visitor.run(command)

    assert done[0] == 0, done
    assert visitor.run(command) == done
    (operation,) = visitor.stage.simulator.operations.values()
    assert operation.step == f"Child/{STEP}"
    assert list(visitor.runs) == [f"{command}.Child.{STEP}.json"]


def test_a_document_within_a_document_asks_for_no_restart(visitor):
    """amazon-ssm-agent does not take it from there: the step fails, and says what waits for a restart."""
    command = inner(visitor.stage, "Install")
    visitor.within = place(command, "Child", STEP)

    code, _, err = visitor.run(command)

    assert code == 1
    assert "waits for a restart" in err
    assert visitor.stage.installed["openssl"] == "3.0.2-1"


def test_a_script_that_lies_nowhere_known_is_done_for_no_step(visitor):
    """It does not guess."""
    command = inner(visitor.stage, "Scan")
    for words in (place("other", "Child", STEP), place(command, STEP), place(command, "Child", "Other")):
        visitor.within = words
        code, _, err = visitor.run(command)
        assert code == 1
        assert "does not say of which step" in err
    assert visitor.stage.simulator.count("BeginOperation") == 0


def test_a_node_that_never_restarts_fails_the_step(visitor):
    """After it was asked for three times, each by another start of the script."""
    command = visitor.stage.send("Install")
    codes = [visitor.run(command)[0] for _ in range(guest.MAX_RESTARTS)]
    code, _, err = visitor.run(command)

    assert codes == [194] * guest.MAX_RESTARTS
    assert code == 1
    assert "did not restart" in err


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"AWS_SHARED_CREDENTIALS_FILE": ""}, "Profile.ShareCreds"),
        ({"AWS_SHARED_CREDENTIALS_FILE": "/nowhere"}, "Profile.ShareCreds"),
        ({"SSM_COMMAND_ID": ""}, "SSM_COMMAND_ID"),
        ({"SSM_COMMAND_ID": "../x"}, "SSM_COMMAND_ID"),
        ({"AWS_SSM_INSTANCE_ID": ""}, "SSM_COMMAND_ID"),
    ],
)
def test_what_is_missing_is_named(visitor, change, complaint):
    """And nothing is asked of the server."""
    command = visitor.stage.send("Scan")
    code, out, err = visitor.run(**{"command": command, **change})
    assert (code, out) == (1, "")
    assert complaint in err
    assert visitor.stage.simulator.calls == []


def test_a_file_without_credentials_is_not_quoted(tmp_path):
    """What is in it may be a secret."""
    for text in ("", "[default]\naws_access_key_id = s3cret", "s3cret", "[other]\nx=s3cret"):
        (tmp_path / "credentials").write_text(text)
        with pytest.raises(guest.NoCredentials) as caught:
            guest.credentials(tmp_path / "credentials", "us-east-1")
        assert "s3cret" not in str(caught.value)


def test_a_refusal_ends_the_step_with_the_servers_words(visitor):
    """As with our own agent."""
    stage = visitor.stage
    command = stage.send("Scan")
    stage.simulator.refusing["BeginOperation"] = Refusal("InvalidOperationException", "not today")
    code, _, err = visitor.run(command)
    assert code == 1
    assert "not today" in err


def test_credentials_are_read_again_when_they_were_renewed(visitor):
    """A session that ended while the program worked: it waits for the new one."""
    stage = visitor.stage
    good = visitor.file.read_text()
    visitor.file.write_text(good.replace(stage.instance_id, "ASIAGONE"))
    command = stage.send("Scan")
    process = visitor.start(command)
    until(lambda: (visitor.state_dir / "log").exists() and "amazon-ssm-agent renews them" in visitor.log())
    visitor.file.write_text(good)
    out, err = process.communicate(timeout=DEADLINE)
    assert (process.returncode, err) == (0, "")
    assert out.startswith("missing: openssl")


def test_a_server_that_stays_away_is_given_up_and_told_by_the_next_run(visitor):
    """What was installed meanwhile is told when another command of the node begins, and only once."""
    stage = visitor.stage
    settings = json.loads((visitor.state_dir / "agent.json").read_text())
    (visitor.state_dir / "agent.json").write_text(json.dumps({**settings, "guest_patience_seconds": 0.5}))
    gate = stage.directory / "gate"
    gate.touch()
    first = stage.send("Install", reboot="NoReboot")
    process = visitor.start(first)
    until(lambda: "install begins" in stage.history)
    stage.simulator.down = True
    gate.unlink()
    out, err = process.communicate(timeout=DEADLINE)
    code = process.returncode
    assert (code, out) == (1, "")
    assert "the next patch command delivers it" in err
    assert stage.history.count("install begins") == 1

    stage.simulator.down = False
    second = stage.send("Scan")
    assert visitor.run(second)[0] == 0
    operations = {operation.command_id: operation for operation in stage.simulator.operations.values()}
    assert [message.phase.value for message in operations[first].messages][-1] == "after"
    assert stage.history.count("install begins") == 1
    assert all("report" in entry for entry in visitor.runs.values())


def test_a_run_that_was_killed_while_it_installed_is_told_by_the_next(visitor):
    """The installation went on by itself; the script that waited for it is gone."""
    stage = visitor.stage
    gate = stage.directory / "gate"
    gate.touch()
    first = stage.send("Install", reboot="NoReboot")
    process = visitor.start(first)
    until(lambda: "install begins" in stage.history)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    gate.unlink()
    until(lambda: "install ends" in stage.history)

    second = stage.send("Scan")
    assert visitor.run(second)[0] == 0
    operations = {operation.command_id: operation for operation in stage.simulator.operations.values()}
    assert operations[first].messages[-1].phase.value == "after"
    assert operations[first].messages[-1].acted_boot_id == "boot-1"
    assert stage.history.count("install begins") == 1


@pytest.mark.slow
def test_it_dies_at_every_transition_of_an_install(tmp_path, simulator, zygote):
    """Before and after every durable write: started again, as the agent does after a restart, it installs each package once."""
    seen = 0
    for when in ("before", "after"):
        for at in range(1, MORE_THAN_ANY):
            stage = Stage(tmp_path / f"{when}-{at}", simulator, zygote)
            stage.set(crash={"role": "patch", "at": at, "when": when})
            visitor, command, codes = Guest(stage), stage.send("Install"), []
            while len(codes) < 10 and (not codes or codes[-1] in {CRASH_CODE, 194}):
                codes.append(zygote.run(visitor.words("patch"), visitor.environment(command), stage.log))
                if codes[-1] == 194:
                    stage.boot_file.write_text("boot-2")
            if not (stage.directory / "crashed").exists():
                break
            assert codes[-1] == 0, (when, at, codes)
            assert [line for line in stage.history if line in INSTALLS] == INSTALLS, (when, at)
            assert stage.history.count("install begins") == 1, (when, at)
            seen += 1
    assert seen > 20


def test_two_at_once_wait_for_each_other(visitor):
    """The second says so, and runs when the first is done."""
    stage = visitor.stage
    gate = stage.directory / "gate"
    gate.touch()
    process = visitor.start(stage.send("Install", reboot="NoReboot"))
    until(lambda: "install begins" in stage.history)
    other = visitor.start(stage.send("Scan"))
    assert other.stdout.readline() == "Another patch operation runs on this node; this one waits for it.\n"
    gate.unlink()
    process.communicate(timeout=DEADLINE)
    other.communicate(timeout=DEADLINE)
    assert other.returncode == 0
    assert process.returncode == 0


def test_the_action_it_does_is_ours(stage):
    """The simulator's document has the step that the program does."""
    command = stage.send("Scan")
    payload = json.loads(next(m["Payload"] for m in stage.simulator.sent if command in m["MessageId"]))
    assert [step["action"] for step in payload["DocumentContent"]["mainSteps"]] == [PATCH_ACTION]


def test_a_check_goes_on_or_ends_the_document(visitor):
    """0 where something is left to do, else 168; a server that is away for a moment is waited for, a refusal is a failure."""
    stage = visitor.stage
    command = stage.send("Scan")
    said = f"3 patches to install, says {STEP}\n"
    stage.simulator.goes_on = False
    assert visitor.run(command, "patch-check") == (168, said, "")
    stage.simulator.goes_on = True
    stage.simulator.losing["GetPatchCheck"] = 1
    assert visitor.run(command, "patch-check") == (0, said, "")
    stage.simulator.refusing["GetPatchCheck"] = Refusal("InvalidOperationException", "not that step")
    code, out, err = visitor.run(command, "patch-check")
    assert (code, out) == (1, "")
    assert "not that step" in err
    assert visitor.run(command, "patch-check", AWS_SHARED_CREDENTIALS_FILE="")[0] == 1


def test_a_client_whose_server_answers_again_starts_counting_anew(stage, tmp_path):
    """Patience is for one absence."""
    file = tmp_path / "credentials"
    file.write_text(CREDENTIALS.format(stage.instance_id, stage.identity["secret"]))
    step = guest.Step("11111111-2222-3333-4444-555555555555", STEP, stage.instance_id, stage.identity["region"])

    class Late(Clock):
        moment = 0.0

        def monotonic(self):
            return self.moment

    clock = Late()
    client = guest.SharedClient(Server(stage.simulator.url), step, file, settings=Settings(), clock=clock)
    question = {"InstanceId": stage.instance_id, "AgentName": "x", "AgentVersion": "1"}
    for moment in (0.0, 800.0, 1600.0):
        clock.moment = moment
        stage.simulator.down = True
        with pytest.raises(guest.ServerUnavailable):
            client.call("UpdateInstanceInformation", question)
        stage.simulator.down = False
        client.call("UpdateInstanceInformation", question)
    stage.simulator.down = True
    with pytest.raises(guest.ServerUnavailable):
        client.call("UpdateInstanceInformation", question)
    clock.moment += Settings().guest_patience_seconds + 1
    with pytest.raises(guest.Unreachable):
        client.call("UpdateInstanceInformation", question)
