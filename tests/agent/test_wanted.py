# SPDX-License-Identifier: Apache-2.0
"""Nothing is begun that nobody wants any more: cancelled, out of time, or of a command that ended while the node was off."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from agent.simulator import DOCUMENT
from agent.stage import Stage
from agent.test_resume import MORE_THAN_ANY
from patchwright.agent import child, installing, patch_run
from patchwright.agent.client import Refused, ServerUnavailable
from patchwright.agent.deadline import Deadline
from patchwright.agent.desk import Desk
from patchwright.agent.disk import Disk
from patchwright.agent.providers.locks import Holder
from patchwright.agent.task import ACTING
from patchwright.core.package import Manager
from patchwright.core.plan import Action, Plan
from patchwright.core.protocol import Begun, RebootOption

BEGUN = Begun("op-1", "Install", "snap-1", RebootOption.NO_REBOOT)
PLAN = Plan(Manager.APT, "snap-1", (Action("openssl", "amd64", "1", "2", True),))
ASKED = {"CommandId": "c-1", "StepName": "Patch", "OperatingSystem": "DEBIAN"}
NOW = 1_795_000_000.0


class Time:
    """A clock that stands still but for those who wait."""

    def __init__(self, wall=NOW):
        self.wall, self.up = wall, 1000.0

    def now(self):
        return self.wall

    def monotonic(self):
        return self.up

    def sleep(self, seconds):
        self.wall, self.up = self.wall + seconds, self.up + seconds

    def jitter(self, limit):
        return limit


class Server:
    """Answers BeginOperation with what is next in *answers*, which may be an error."""

    def __init__(self, *answers, offset=0.25):
        self.answers, self.asked, self.clock_offset = list(answers), [], offset

    def call(self, operation, members, **_):
        self.asked.append((operation, members))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer.to_json()


@pytest.fixture
def take_up(tmp_path, monkeypatch):
    """Takes up an operation that a power cut left between its plan and the first change; answers how it ends."""
    installed = []

    def obtain(_bench, task, _directory, request, **_):
        installed.append((task, request))
        raise AssertionError("installs")

    monkeypatch.setattr(child, "obtain", obtain)

    def start(server, *, clock=None, cancelled=False, deadline=None, **state):
        clock = clock or Time()
        bench = SimpleNamespace(clock=clock, disk=SimpleNamespace(root=tmp_path))
        outbox = SimpleNamespace(drain=lambda _: 0)
        desk = Desk(server, outbox, bench, SimpleNamespace(backoff_cap_seconds=1.0, child_seconds=0), lambda: cancelled)
        kept = {"phase": "act", "attempt": 0, "plan": PLAN.to_json(), "asked": ASKED, "acted_boot_id": "", **state}
        run = patch_run.PatchRun(desk, kept, lambda: None, tmp_path, deadline=deadline)
        try:
            run.run("c-1", "Patch")
        except Exception as error:
            return error, installed
        raise AssertionError("it goes on for ever")

    return start


def test_a_plan_that_has_lain_is_asked_about_and_carried_out_where_it_is_wanted(take_up):
    """Once, and with the time that the command has left."""
    server = Server(replace(BEGUN, not_after=NOW + 100))
    error, installed = take_up(server)

    assert (str(error), [task for task, _ in installed]) == ("installs", ["install"])
    assert server.asked == [("BeginOperation", ASKED)]
    assert installed[0][1]["seconds"] == 100.0


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Begun("op-1", "Install", "s", RebootOption.NO_REBOOT, wanted=False), patch_run.Cancelled),
        (Refused("InvocationDoesNotExist", "No command c-1 is under way."), Refused),
    ],
    ids=["cancelled", "ended"],
)
def test_a_plan_that_nobody_wants_is_not_carried_out(take_up, answer, kind):
    """The node was off while its command was cancelled, or ran out of time."""
    error, installed = take_up(Server(answer))

    assert type(error) is kind
    assert installed == []


def test_without_the_server_nothing_is_begun_after_the_commands_time(take_up):
    """It is asked until then, however long that is."""
    clock = Time()
    error, installed = take_up(Server(ServerUnavailable("away")), clock=clock, not_after=NOW + 500)

    assert type(error) is patch_run.Late
    assert 500 <= clock.wall - NOW < 510
    assert installed == []


def test_what_the_node_has_heard_needs_no_server(take_up):
    """A cancellation, and that the step's own time is up."""
    server = Server(ServerUnavailable("away"))
    late = Deadline({"at": NOW - 1, "known": True}, seconds=60, client=server, clock=Time())

    assert type(take_up(server, cancelled=True)[0]) is patch_run.Cancelled
    assert type(take_up(server, deadline=late)[0]) is patch_run.Late
    assert server.asked == []


def test_an_older_agents_journal_and_server_mean_what_they_meant(take_up):
    """A run that it began is gone on with; a server that says nothing of it wants everything."""
    server = Server(BEGUN)
    assert str(take_up(server, asked=None)[0]) == "installs"
    assert server.asked == []
    told = {name: value for name, value in BEGUN.to_json().items() if name not in ("Wanted", "NotAfter")}

    read = Begun.from_json(told)

    assert (read.wanted, read.not_after) == (True, 0.0)


def test_a_deadline_is_the_servers_time_whatever_the_nodes_clock_is_set_to():
    """Unknown before the server was heard; a clock set right meanwhile moves nothing."""
    clock, server, kept = Time(wall=0.0), Server(None, offset=0.0), {}
    deadline = Deadline(kept, seconds=60, client=server, clock=clock)
    clock.sleep(100)
    assert deadline.left() == 60

    server.clock_offset = NOW
    assert deadline.left() == -40
    assert kept == {"at": NOW + 60, "known": True}
    clock.wall, server.clock_offset = NOW + 10, 0.5
    assert Deadline(kept, seconds=60, client=server, clock=clock).left() == 50


# -------------------------------------------------------------------------------------------------- the point of no return


class Packages:
    """A package manager whose lock another has for a while."""

    def __init__(self, clock, *, until, then=lambda: None):
        self.clock, self.until, self.then, self.installs = clock, until, then, 0

    def holder(self):
        if self.clock.monotonic() >= self.until:
            return None
        self.then()
        return Holder("/var/lib/dpkg/lock", 4711, "apt-get upgrade")

    def candidates(self, keys):
        return {"openssl.amd64": "2"}

    def installed(self):
        return {"openssl.amd64": "1"}

    def install(self, plan, progress):
        self.installs += 1
        return SimpleNamespace(failures={}, output="")


@pytest.fixture
def carry_out(tmp_path, monkeypatch):
    """Carries out a plan with a package manager; answers the result."""

    def start(packages, **request):
        disk, directory = Disk(tmp_path), tmp_path / "work"
        directory.mkdir()
        disk.write_json(directory / "request.json", {"plan": PLAN.to_json(), **request})
        monkeypatch.setattr(installing, "provider_of", lambda _disk, _request: (packages, packages.clock))
        found = installing.install(directory, disk)
        assert (directory / ACTING).exists() == bool(packages.installs)
        return found

    return start


def test_an_installation_that_waits_for_a_lock_begins_when_it_is_free(carry_out):
    """Drift is looked for after that."""
    packages = Packages(Time(), until=1030.0)

    assert carry_out(packages, seconds=60.0)["failures"] == {}
    assert packages.installs == 1
    assert 1030 <= packages.clock.up < 1031


def test_an_installation_that_waits_for_a_lock_is_given_up_when_its_time_is(carry_out):
    """Nothing has changed."""
    packages = Packages(Time(), until=1e9)

    assert carry_out(packages, seconds=60.0) == {"drift": [], "over": "late"}
    assert packages.installs == 0


def test_an_installation_that_waits_for_a_lock_is_given_up_when_it_is_cancelled(carry_out, tmp_path):
    """By the end of its window as well: that cancels the command."""
    packages = Packages(Time(), until=1e9, then=(tmp_path / "cancel").touch)

    assert carry_out(packages, cancel=str(tmp_path / "cancel")) == {"drift": [], "over": "cancelled"}


def test_a_lock_that_is_never_free_is_named(carry_out):
    """As the reason of every package."""
    found = carry_out(Packages(Time(), until=1e9))

    assert "process 4711 (apt-get upgrade) holds /var/lib/dpkg/lock" in found["failures"]["openssl.amd64"]


# ------------------------------------------------------------------------------------------------------------ on a made node


def test_a_command_that_is_cancelled_while_it_waits_for_a_lock_changes_nothing(real_stage):
    """The process that installs hears it by itself."""
    stage, lock = real_stage, real_stage.directory / "lock"
    lock.touch()
    stage.set(locked_while=str(lock))
    command = stage.send("Install")
    stage.start()
    stage.wait_for(lambda: stage.processes("install"), "the installation waited")
    stage.simulator.cancel(stage.instance_id, command)

    final = stage.wait_for_final(command)
    assert final["documentStatus"] == "Cancelled"
    assert final["runtimeStatus"]["Patch"]["code"] == 137
    assert "install begins" not in stage.history


def test_a_step_whose_time_is_up_before_anything_changed_has_timed_out(stage):
    """With what `timeoutSeconds` says."""
    lock = stage.directory / "lock"
    lock.touch()
    stage.set(locked_while=str(lock))
    document = json.loads(json.dumps(DOCUMENT))
    document["mainSteps"][0]["inputs"]["timeoutSeconds"] = "5"
    command = stage.send("Install", DocumentContent=document)

    stage.once()
    final = stage.simulator.final(command)
    assert final["documentStatus"] == "TimedOut"
    assert "before anything was changed" in final["runtimeStatus"]["Patch"]["standardError"]
    assert "install begins" not in stage.history


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_what_was_cancelled_while_the_node_was_off_is_not_begun_wherever_it_died(tmp_path, simulator, zygote):
    """It was begun and goes to its end, or nothing of it happens, and the reply says which."""
    ends = set()
    for at in range(1, MORE_THAN_ANY):
        stage = Stage(tmp_path / str(at), simulator, zygote)
        crashed, begun = stage.directory / "crashed", []
        stage.set(crash={"role": "work", "at": at, "when": "after"})

        def wanted(stage=stage, crashed=crashed, begun=begun):
            begun += [*([crashed] if crashed.exists() and "install begins" in stage.history else [])]
            return not crashed.exists()

        simulator.wanted = wanted
        command = stage.send("Install", reboot="NoReboot")
        assert stage.once() == 0, stage.logs()
        if not crashed.exists():
            break
        status = simulator.final(command)["documentStatus"]
        ends.add(status)
        changed = stage.installed != {"openssl": "3.0.1-1", "zlib1g": "1.2-1"}
        assert changed == ("install begins" in stage.history) == (status == "Success"), (at, status, stage.history)
        assert not begun, (at, "asked although it had begun")
    assert ends == {"Success", "Cancelled"}
