# SPDX-License-Identifier: Apache-2.0
"""Output of steps on its way to the server: while they run, and what is left of it afterwards."""

from __future__ import annotations

import base64
import os
import random
import shutil

import pytest

from patchwright.agent import loop, streaming
from patchwright.agent.client import Refused, ServerUnavailable
from patchwright.agent.disk import Disk, Lock
from patchwright.agent.streaming import FINISH_SECONDS, LOOK_SECONDS, PIECE_BYTES, Spool, Streamer

SEED = int(os.environ.get("PATCHWRIGHT_SEED", "7"))
LIMIT = 3 * PIECE_BYTES
COMMAND = "c1"


class Clock:
    """A clock that is set."""

    def __init__(self):
        self.time = 100.0

    def monotonic(self):
        """What it was set to."""
        return self.time


class Server:
    """Keeps streams as the server does. *answers* are errors that come first; *before* is called with every piece."""

    def __init__(self, limit=10**9):
        self.kept = {}
        self.ended = set()
        self.cut = set()
        self.answers = []
        self.calls = 0
        self.limit = limit
        self.before = lambda: None

    def call(self, operation, members, *, timeout, compress):
        """PutOutput."""
        assert operation == "PutOutput"
        self.calls += 1
        self.before()
        if self.answers:
            raise self.answers.pop(0)
        key = (members["CommandId"], members["StepName"], members["Stream"])
        kept, data = self.kept.setdefault(key, b""), base64.b64decode(members["Body"])
        assert len(data) <= 256 * 1024
        if key not in self.ended and members["Offset"] <= len(kept):
            fresh = data[len(kept) - members["Offset"] :]
            self.kept[key] = (kept + fresh)[: self.limit]
            if members["Last"] or len(kept + fresh) > self.limit:
                self.ended.add(key)
                self.cut |= {key} if members["Truncated"] else set()
        return {"Offset": len(self.kept[key]), "Full": key in self.ended}


class Step:
    """A step that prints, and what sends it."""

    def __init__(self, root, *, always=False):
        self.disk, self.clock, self.server, self.always = Disk(root), Clock(), Server(), always
        self.directory = self.disk.directory("work", COMMAND, "1.Say")
        self.key = (COMMAND, "Say", "stdout")
        self.restart()

    def restart(self):
        """What a process that takes the step up again begins with."""
        self.spool = Spool(self.disk, self.clock, instance_id="mi-1", limit_bytes=LIMIT)
        self.streamer = Streamer(
            self.server,
            self.spool,
            self.clock,
            command_id=COMMAND,
            number=1,
            step="Say",
            directory=self.directory,
            always=self.always,
        )

    def say(self, data, name="stdout"):
        """Print."""
        with (self.directory / name).open("ab") as file:
            file.write(data)

    def look(self, seconds=LOOK_SECONDS):
        """Let time pass and look for news."""
        self.clock.time += seconds
        self.streamer.look()

    def finish(self, stdout="", stderr=""):
        """The step has ended."""
        self.streamer.finish({"stdout": stdout, "stderr": stderr})


@pytest.fixture
def step(tmp_path):
    """A step that runs."""
    return Step(tmp_path)


def test_a_short_step_sends_nothing(step):
    """What it prints is in its reply."""
    step.say(b"hello\n")
    step.look(0.5)
    step.finish("hello\n")
    assert step.server.calls == 0
    assert step.spool.waiting() == []


def test_a_step_that_goes_on_is_heard_about_once_a_second(step):
    """What is new, and nothing where there is none; the end is told when it has ended."""
    step.say(b"one\n")
    step.look()
    assert step.server.kept == {step.key: b"one\n"}
    step.look(0.5)
    step.look(0.6)
    assert step.server.calls == 1
    step.say(b"two\n")
    step.look(0.2)
    assert step.server.calls == 1
    step.look()
    assert step.server.kept[step.key] == b"one\ntwo\n"
    assert not step.server.ended

    step.say(b"three\n")
    step.say(b"oops\n", "stderr")
    step.finish()
    assert step.server.kept == {step.key: b"one\ntwo\nthree\n", (COMMAND, "Say", "stderr"): b"oops\n"}
    assert len(step.server.ended) == 2
    assert step.spool.waiting() == []
    assert sorted(path.name for path in step.spool.directory.iterdir()) == [".lock"]


def test_a_short_step_that_prints_more_than_a_reply_carries_is_sent_in_full(step):
    """In pieces that the server takes."""
    printed = random.Random(SEED).randbytes(2 * PIECE_BYTES + 5)
    step.say(printed)
    step.finish()
    assert step.server.kept[step.key] == printed
    assert step.server.ended == {step.key}
    assert not step.server.cut


def test_what_goes_to_a_bucket_is_sent_however_little_it_is(tmp_path):
    """Also where a step has no file of it."""
    step = Step(tmp_path, always=True)
    step.say(b"x")
    step.finish("x", "no such thing")
    assert step.server.kept == {step.key: b"x", (COMMAND, "Say", "stderr"): b"no such thing"}


def test_output_that_was_cut_on_the_node_says_so(step):
    """As long as the node keeps at most."""
    step.say(bytes(LIMIT))
    step.finish()
    assert step.server.cut == {step.key}


def test_a_server_that_is_away_is_asked_ever_less_often_and_has_everything_in_the_end(step):
    """The step is not held up: each time one request fails. What is left waits in the spool."""
    step.server.answers = [ServerUnavailable("away") for _ in range(6)]
    for _ in range(60):
        step.say(b"tick\n")
        step.look()
    assert step.server.calls < 10
    step.server.answers = [ServerUnavailable("still away")]
    step.finish()
    assert len(step.spool.waiting()) == 1

    assert step.spool.try_to_drain(step.server, seconds=5)
    assert step.server.kept[step.key] == b"tick\n" * 60
    assert step.spool.waiting() == []


def test_another_process_goes_on_where_the_server_stands(step):
    """Nothing is remembered on the node: the first answer says it. What is little at the end is sent all the same."""
    step.say(b"a" * (PIECE_BYTES + 10))
    step.look()
    sent = step.server.calls
    step.restart()
    step.say(b"b")
    step.look()
    assert step.server.calls == sent + 2
    step.restart()
    step.say(b"c")
    step.finish()
    assert step.server.kept[step.key] == b"a" * (PIECE_BYTES + 10) + b"bc"
    assert step.server.ended == {step.key}


def test_a_step_that_is_finished_twice_is_sent_once(step):
    """Its worker may die between the two."""
    step.say(bytes(30_000))
    step.finish()
    step.restart()
    step.finish()
    assert step.server.kept[step.key] == bytes(30_000)
    assert step.spool.waiting() == []


def test_a_refusal_ends_the_sending_of_this_output_and_of_no_other(step):
    """It would be refused again; the rest of the spool goes on."""
    step.say(b"x")
    step.server.answers = [Refused("InvocationDoesNotExist", "no")]
    step.look()
    step.look(1000)
    assert step.server.calls == 1

    step.say(bytes(30_000))
    step.say(bytes(10_000), "stderr")
    step.server.answers = [Refused("AccessDeniedException", "no")]
    step.finish()
    assert len(step.server.kept) == 1
    assert step.spool.waiting() == []


def test_a_node_that_is_refused_as_such_keeps_its_output(step):
    """It may be let in again."""
    step.say(bytes(30_000))
    step.server.answers = [Refused("UnrecognizedClientException", "no")]
    step.finish()
    assert len(step.spool.waiting()) == 1
    assert step.spool.try_to_drain(step.server, seconds=5)


def test_the_end_of_a_step_waits_for_its_output_only_so_long(step):
    """The rest is sent beside what comes next."""

    def slow():
        step.clock.time += FINISH_SECONDS

    step.say(bytes(LIMIT - 1))
    step.server.before = slow
    step.finish()
    assert step.server.calls == 1
    assert not step.spool.try_to_drain(step.server, seconds=100, enough=lambda: True)
    assert step.server.calls == 1
    assert step.spool.try_to_drain(step.server, seconds=100)
    assert step.server.kept[step.key] == bytes(LIMIT - 1)


def test_what_waits_is_bounded_and_the_oldest_goes_first(step):
    """A server that is away for days does not fill the disk."""
    step.server.answers = [ServerUnavailable("away") for _ in range(20)]
    for number in range(1, 8):
        streamer = Streamer(
            step.server,
            step.spool,
            step.clock,
            command_id=f"c{number}",
            number=1,
            step="Say",
            directory=step.directory,
            always=False,
        )
        if number == 1:
            step.say(bytes(LIMIT))
        streamer.finish({"stdout": "", "stderr": ""})
        path = step.spool.directory / f"c{number}.0001.stdout.json"
        os.utime(path, (number, number))
    step.spool._make_room()
    assert [path.name[:2] for path in step.spool.waiting()] == ["c4", "c5", "c6", "c7"]


def test_output_of_a_node_that_was_enrolled_anew_is_dropped(step):
    """Nobody else may send it. So is what cannot be read."""
    step.say(bytes(30_000))
    step.server.answers = [ServerUnavailable("away")]
    step.finish()
    other = Spool(step.disk, step.clock, instance_id="mi-2", limit_bytes=LIMIT)
    (step.spool.directory / "damaged.json").write_text("{", encoding="utf-8")
    assert other.try_to_drain(step.server, seconds=5)
    assert step.server.kept == {}
    assert other.waiting() == []


def test_one_process_sends_at_a_time(step):
    """Another leaves it alone."""
    step.say(bytes(30_000))
    step.server.answers = [ServerUnavailable("away")]
    step.finish()
    lock = Lock(step.spool.directory / ".lock")
    assert lock.take()
    assert not step.spool.try_to_drain(step.server, seconds=5)
    lock.release()
    assert step.spool.try_to_drain(step.server, seconds=5)


def test_a_server_that_keeps_nothing_is_not_asked_without_end(step):
    """An answer without progress is as good as none."""
    step.say(bytes(30_000))
    step.server.limit = 0
    step.server.ended = set()
    step.server.call = lambda *_, **__: {"Offset": 0, "Full": False}
    step.finish()
    assert len(step.spool.waiting()) == 1


def test_the_waiting_agent_looks_where_output_is_kept():
    """It does not import what sends it before there is something to send."""
    assert loop.OUTPUTS == streaming.DIRECTORY


class Lossy(Server):
    """A server that is away at times, and whose answers are lost at times."""

    def __init__(self, dice):
        super().__init__()
        self.dice = dice
        self.well = False

    def call(self, operation, members, *, timeout, compress):
        """PutOutput, perhaps."""
        fate = 1.0 if self.well else self.dice.random()
        if fate < 0.2:
            raise ServerUnavailable("away")
        answer = super().call(operation, members, timeout=timeout, compress=compress)
        if fate < 0.4:
            raise ServerUnavailable("the answer is lost")
        return answer


def history(root, dice):
    """One made-up life of a step: what it printed, and what the server has in the end."""
    step = Step(root, always=dice.random() < 0.3)
    step.server = Lossy(dice)
    step.restart()
    printed = b""
    for _ in range(dice.randrange(12)):
        fate = dice.randrange(4)
        if fate == 0:
            step.restart()
        elif fate == 1:
            step.look(dice.choice((0.3, 1.0, 70.0)))
        else:
            more = dice.randbytes(dice.choice((1, 80, 5_000, PIECE_BYTES, PIECE_BYTES + 3)))
            step.say(more)
            printed += more
    begun = bool(step.server.kept)
    for _ in range(dice.choice((1, 1, 2))):  # its worker may die right after the first
        step.finish()
        if dice.random() < 0.3:
            step.restart()
    step.server.well = True
    assert step.spool.try_to_drain(step.server, seconds=10**9)
    assert step.spool.waiting() == []
    return printed, step.server.kept.get(step.key, b""), begun or step.always, step.key in step.server.ended


@pytest.mark.timeout(1200)
def test_whatever_happens_the_server_has_what_was_printed(tmp_path):
    """Made-up lives: processes end, the server is away, answers are lost; nothing is missing, doubled or out of order."""
    lives = 5_000 if os.environ.get("PATCHWRIGHT_FULL") == "1" else 60
    whole = 0
    for number in range(lives):
        printed, kept, needed, ended = history(tmp_path / str(number), random.Random(f"{SEED} {number}"))
        if kept or needed or len(printed) > 24_000:
            assert (kept, ended) == (printed, bool(printed)), f"life {number} of seed {SEED}"
            whole += bool(printed)
        shutil.rmtree(tmp_path / str(number), ignore_errors=True)
    assert whole > lives // 3
