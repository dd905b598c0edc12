# SPDX-License-Identifier: Apache-2.0
"""Servers on one database that are killed, with windows that open by their schedule and by hand, and nodes that go on."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time

from patchwright.core.signing import Signer
from ports import free_port
from server.process import Process
from server.windows.fleet import Node, Refused, ask, insist

SEED = os.environ.get("PATCHWRIGHT_SEED", "20261120")
NODES, WINDOWS = 4, 3
DEADLINE_SECONDS = 120
ROOT = {"PATCHWRIGHT_ROOT_ACCESS_KEY_ID": "AKIAKILLEDKILLED0000", "PATCHWRIGHT_ROOT_SECRET_ACCESS_KEY": "s" * 40}
SIGNER = Signer(*ROOT.values(), "us-east-1")
BUSY = frozenset({"InvalidOperationException"})


class Hall:
    """Servers on one database, windows, and nodes. *made* has the executions that were asked for by hand, *late* the windows that may have opened without their task."""

    def __init__(self, directory, database, servers):
        self.chance = random.Random(f"killed {SEED} {servers}")
        self.directory = directory
        self.words = ["--database", database] if database else []
        self.ports = [free_port() for _ in range(servers)]
        self.urls = [f"http://127.0.0.1:{port}" for port in self.ports]
        self.processes = {}
        self.windows, self.once, self.made, self.late = [], [], [], set()
        self.calls = 0
        self.over = False

    def start(self, number):
        """A server, ready."""
        words = ["--listen", f"127.0.0.1:{self.ports[number]}", *self.words]
        self.processes[number] = Process(self.directory / "data", *words, **ROOT).ready()

    def kill(self, number):
        """The server is gone in the middle of whatever it did."""
        self.processes[number].end(signal.SIGKILL)

    def ask(self, operation, service="ssm", **members):
        """A call that has to be answered, by whoever is there."""

        def once():
            self.calls += 1
            return ask(self.urls[self.calls % len(self.urls)], service, operation, members, SIGNER)

        deadline = time.monotonic() + DEADLINE_SECONDS
        found = insist(once, until=lambda: time.monotonic() > deadline, refusals=BUSY)
        assert found is not None, operation
        return found

    def furnish(self):
        """Nodes that poll every server in turn, and windows that reach them two at a time."""
        activation = self.ask("CreateActivation", IamRole="r", RegistrationLimit=NODES)
        self.nodes = [Node(self.urls[0], activation, self.urls) for _ in range(NODES)]
        for _ in range(WINDOWS):
            self.windows.append(self.window("rate(30 days)", start="2099-01-01T00:00:00Z"))
        for node in self.nodes:
            node.start()

    def window(self, schedule, start=""):
        """A window with one task for every node; made only once even if the answer is lost."""
        name = f"w-{self.chance.getrandbits(64):016x}"
        more = {"StartDate": start} if start else {}
        given = {"Name": name, "Schedule": schedule, "Duration": 2, "Cutoff": 0, "AllowUnassociatedTargets": True}
        window_id = self.ask("CreateMaintenanceWindow", ClientToken=name, **given, **more)["WindowId"]
        self.ask(
            "RegisterTaskWithMaintenanceWindow",
            ClientToken=name,
            WindowId=window_id,
            Targets=[{"Key": "InstanceIds", "Values": [node.id for node in self.nodes]}],
            TaskArn="AWS-RunPatchBaseline",
            TaskType="RUN_COMMAND",
            MaxConcurrency="2",
            MaxErrors="0",
            TaskInvocationParameters={"RunCommand": {"Parameters": {"Operation": ["Scan"]}}},
        )
        return window_id

    def open_by_hand(self):
        """Ask for executions, one window after the other, until it is over; a lost answer is asked for again."""
        while not self.over:
            with contextlib.suppress(Refused):
                told = self.ask("RunMaintenanceWindow", "patchwright", WindowId=self.chance.choice(self.windows))
                self.made.append(told["WindowExecutionId"])

    def kill_in_between(self, number):
        """Let a window open once in a moment, and kill a server between two calls, or in the middle of one."""
        soon = int(time.time()) + 2
        window_id = self.window(f"at({time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(soon))})")
        if time.time() >= soon:  # on a machine that is busy it may have opened before it had its task
            self.late.add(window_id)
        created = self.ask("GetMaintenanceWindow", WindowId=window_id)["CreatedDate"]
        if created < soon:  # made later than it should open, on a machine that is busy, it never opens
            self.once.append(window_id)
        until = self.calls + self.chance.randint(1, 40)
        deadline = time.monotonic() + 2.5 * self.chance.random()
        while self.calls < until and time.monotonic() < deadline:
            time.sleep(0.002)
        self.kill(number)
        self.start(number)

    def executions(self):
        """Every execution of every window, when all have ended."""
        found = []
        for window_id in (*self.windows, *self.once):
            deadline = time.monotonic() + DEADLINE_SECONDS
            while True:
                of_window, token = [], {}
                while True:
                    page = self.ask("DescribeMaintenanceWindowExecutions", WindowId=window_id, MaxResults=100, **token)
                    of_window += page["WindowExecutions"]
                    if not page.get("NextToken"):
                        break
                    token = {"NextToken": page["NextToken"]}
                opened = of_window or window_id not in self.once
                if opened and all(one["Status"] not in {"PENDING", "IN_PROGRESS"} for one in of_window):
                    break
                assert time.monotonic() < deadline, of_window
                time.sleep(0.2)
            found.append((window_id, of_window))
        return found

    def close(self):
        """Everybody goes."""
        self.over = True
        for node in getattr(self, "nodes", ()):
            node.stop()
        for number in self.processes:
            self.kill(number)
