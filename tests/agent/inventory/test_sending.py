# SPDX-License-Identifier: Apache-2.0
"""What is sent of the inventory, and when: hashes, whole items, the server's refusals, hard times."""

from __future__ import annotations

import errno
import json

import pytest

from patchwright.agent import disk as disk_module
from patchwright.agent import inventory, worker
from patchwright.agent.client import Refused, ServerUnavailable
from patchwright.agent.config import Identity, Settings, save_identity
from patchwright.agent.disk import Disk, Lock
from patchwright.agent.inventory import collecting, sending
from patchwright.agent.inventory.collecting import Collected

IDENTITY = Identity("mi-1", "secret", "eu-central-1", "1", "https://a")
NOW = 1_795_147_200.0


class Clock:
    """Stands still, and sleeps without waiting."""

    def __init__(self):
        self.slept = []

    def now(self):
        """2026-11-20T04:00:00Z."""
        return NOW

    def sleep(self, seconds):
        """Not."""
        self.slept.append(seconds)

    def jitter(self, seconds):
        """All of it."""
        return seconds


class Server:
    """PutInventory as the server has it: by type a hash and rows. *refusing* by type, *away* for so many calls."""

    clock_offset = 0.0

    def __init__(self):
        self.kept = {}
        self.calls = []
        self.refusing = {}
        self.away = 0

    def call(self, operation, members, **_):
        """Take items, all or none."""
        assert (operation, members["InstanceId"]) == ("PutInventory", "mi-1")
        items = json.loads(json.dumps(members["Items"]))
        self.calls.append([(item["TypeName"], "Content" in item) for item in items])
        if self.away:
            self.away -= 1
            raise ServerUnavailable("away")
        for item in items:
            name = item["TypeName"]
            if name in self.refusing:
                raise Refused(self.refusing[name], name)
            if "Content" not in item and self.kept.get(name, ("",))[0] != item["ContentHash"]:
                raise Refused("ItemContentMismatchException", name)
        self.kept.update(
            (item["TypeName"], (item["ContentHash"], item["Content"])) for item in items if "Content" in item
        )
        return {}


@pytest.fixture
def disk(tmp_path):
    """The agent's state directory."""
    return Disk(tmp_path)


@pytest.fixture
def server():
    """A server that knows nothing yet."""
    return Server()


def sender(disk, server, identity=IDENTITY):
    """A process that has just started."""
    return sending.Sender(identity, client=server, disk=disk, clock=Clock(), cap=60.0)


def collected(complete=True, **types):
    """What was found: rows by type, `AWS_Service` for AWS:Service."""
    made = {}
    for name, rows in types.items():
        type_name = name.replace("_", ":", 1)
        made[type_name] = collecting.of(type_name, "1.0", rows)
    return Collected(made, complete)


FOUND = {"AWS_Service": [{"Name": "cron"}], "AWS_Network": [{"Name": "eth0"}], "Custom_Rack": [{"Row": "7"}]}
NAMES = ["AWS:Service", "AWS:Network", "Custom:Rack"]


def test_what_has_not_changed_is_sent_as_a_hash(disk, server):
    """All in one call; what has changed follows whole."""
    sender(disk, server).send(collected(**FOUND))
    assert server.calls == [[(name, True) for name in NAMES]]
    server.calls.clear()

    sender(disk, server).send(collected(**FOUND))
    assert server.calls == [[(name, False) for name in NAMES]]
    server.calls.clear()

    sender(disk, server).send(collected(**{**FOUND, "AWS_Service": []}))
    assert server.calls == [[(name, False) for name in NAMES[1:]], [("AWS:Service", True)]]
    assert server.kept["AWS:Service"][1] == []


def test_a_server_that_has_lost_it_gets_all_of_it(disk, server):
    """ItemContentMismatchException: what the hashes named is sent whole."""
    sender(disk, server).send(collected(**FOUND))
    server.kept.clear()

    sender(disk, server).send(collected(**FOUND))

    assert set(server.kept) == set(NAMES)


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"types": 7}', b'{"at": "x"}'])
def test_a_memory_that_is_lost_or_damaged_costs_one_sending(disk, server, damage):
    """Everything goes whole again."""
    sender(disk, server).send(collected(**FOUND))
    (disk.root / "inventory" / "sent.json").write_bytes(damage)
    server.calls.clear()

    sender(disk, server).send(collected(**FOUND))

    assert server.calls == [[(name, True) for name in NAMES]]


def test_another_node_of_the_same_machine_remembers_nothing(disk, server):
    """After it was enrolled anew."""
    sender(disk, server).send(collected(**FOUND))
    server.calls.clear()
    server.call = lambda operation, members, **_: server.calls.append([item["TypeName"] for item in members["Items"]])

    sender(disk, server, IDENTITY._replace(instance_id="mi-2")).send(collected(**FOUND))

    assert server.calls == [NAMES]


def test_one_item_that_is_refused_does_not_keep_the_others_back(disk, server, capsys):
    """They are sent one by one; the refused one is tried again whole the next time."""
    server.refusing["Custom:Rack"] = "CustomSchemaCountLimitExceededException"

    sender(disk, server).send(collected(**FOUND))

    assert set(server.kept) == set(NAMES[:2])
    assert "Custom:Rack" in capsys.readouterr().err
    server.calls.clear()
    server.refusing.clear()
    sender(disk, server).send(collected(**FOUND))
    assert server.calls == [[(name, False) for name in NAMES[:2]], [("Custom:Rack", True)]]


@pytest.mark.parametrize("code", ["AccessDeniedException", "UnrecognizedClientException"])
def test_a_node_that_is_refused_stops(disk, server, code):
    """Nothing is remembered as sent."""
    server.refusing["AWS:Service"] = code
    with pytest.raises(Refused):
        sender(disk, server).send(collected(**FOUND))
    assert inventory.sent(disk)["types"] == {}


def test_a_server_that_is_away_for_a_moment_is_waited_for(disk, server):
    """And one that stays away is left for later, with what it has taken remembered."""
    server.away = 2
    one = sender(disk, server)
    one.send(collected(**FOUND))
    assert (len(server.calls), set(server.kept)) == (3, set(NAMES))

    server.away = 1000
    with pytest.raises(ServerUnavailable):
        sender(disk, server).send(collected(**FOUND))
    assert len(server.calls) == 3 + sending.ATTEMPTS


def test_a_custom_type_that_is_gone_is_emptied(disk, server):
    """Unless some file could not be read: it may have been that one. Standard types that failed stay."""
    sender(disk, server).send(collected(**FOUND))
    less = {name: rows for name, rows in FOUND.items() if name == "AWS_Network"}

    sender(disk, server).send(collected(complete=False, **less))
    assert server.kept["Custom:Rack"][1] == [{"Row": "7"}]
    sender(disk, server).send(collected(**less))

    assert server.kept["Custom:Rack"][1] == []
    assert server.kept["AWS:Service"][1] == [{"Name": "cron"}]
    server.calls.clear()
    sender(disk, server).send(collected(**less))
    assert [sorted(call) for call in server.calls] == [[("AWS:Network", False), ("Custom:Rack", False)]]


def test_calls_are_of_the_size_the_server_takes(disk, server):
    """Thirty items at most, and a megabyte of content."""
    big = {f"Custom_T{n:02}": [{"a": "x" * 4000} for _ in range(100)] for n in range(5)}
    small = {f"Custom_U{n:02}": [{"a": "x"}] for n in range(40)}

    sender(disk, server).send(collected(**big, **small))

    assert len(server.kept) == 45
    assert max(map(len, server.calls)) <= 30
    assert [len(call) for call in server.calls][:2] == [2, 2]


def test_a_full_disk_costs_one_sending(disk, server, monkeypatch):
    """What was sent cannot be noted, and is sent again; nothing fails."""

    def full(*_):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(disk_module, "_write", full)
    sender(disk, server).send(collected(**FOUND))
    inventory.want(disk)
    monkeypatch.undo()

    server.calls.clear()
    sender(disk, server).send(collected(**FOUND))
    assert server.calls == [[(name, True) for name in NAMES]]


def test_the_inventory_is_due_every_so_many_hours(disk, server):
    """At first, after that time, when the clock jumped back, when enrolled anew, when something was installed; with 0 never."""
    assert inventory.is_due(disk, "mi-1", hours=24, now=NOW)
    sender(disk, server).send(collected(**FOUND))

    assert not inventory.is_due(disk, "mi-1", hours=24, now=NOW + 23.9 * 3600)
    assert inventory.is_due(disk, "mi-1", hours=24, now=NOW + 24 * 3600)
    assert inventory.is_due(disk, "mi-1", hours=24, now=NOW - 1)
    assert inventory.is_due(disk, "mi-2", hours=24, now=NOW + 1)
    inventory.want(disk)
    assert inventory.is_due(disk, "mi-1", hours=24, now=NOW + 1)
    assert not inventory.is_due(disk, "mi-1", hours=0, now=NOW + 1)


def test_a_command_that_runs_comes_first(disk, monkeypatch):
    """Nothing is collected, and it is noted for the end of the command; the worker's lock is known by its name."""
    assert sending.WORKER_LOCK == worker.WORKER_LOCK
    save_identity(disk, IDENTITY)
    monkeypatch.setattr(sending, "collect", None)
    lock = Lock(disk.root / worker.WORKER_LOCK)
    assert lock.take()

    assert sending.run(disk, Settings()) == 0

    assert (disk.root / "inventory" / "wanted").exists()


def test_a_process_at_work_is_not_started_again(disk):
    """Its lock says so, whoever started it."""
    lock = Lock(disk.directory("inventory") / "lock")
    assert lock.take()
    assert inventory.start(disk, None, program=("false",), environment={}) is None
