# SPDX-License-Identifier: Apache-2.0
"""docs/tutorial/patch-a-server-environment.md: every command of the page, in its order, on a server and two machines."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import patchwright
from clients.cli.members import answer, lacking
from clients.tutorial.blocks import answers, blocks, learn
from farm import until
from farm.fixtures import debrepo, farm, new_node
from ports import free_port

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "tutorial" / "patch-a-server-environment.md"
NAME, PORT = "patchwright.example.com", 8473
FINAL = {"Success", "Failed", "TimedOut", "Cancelled"}
# The machines of the farm are small: what the line for nodes needs beside Python and systemd.
CURL = """#!/usr/bin/python3
import ssl, sys, urllib.request
context = ssl._create_unverified_context()
sys.stdout.write(urllib.request.urlopen(sys.argv[-1], context=context).read().decode())
"""
SUDO = '#!/bin/sh\nexec "$@"\n'

__all__ = ["debrepo", "farm", "new_node"]


class Reader:
    """Somebody who does what the page says, and puts in their own ids."""

    def __init__(self, folder, farm, nodes):
        self.folder = folder
        self.nodes = nodes
        self.port = free_port()
        self.names = {}
        self.exports = ""
        self.server = None
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        self.environment = {
            **kept,
            "HOME": str(folder),
            "XDG_STATE_HOME": str(folder / "state"),
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_PAGER": "",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(Path(patchwright.__file__).parents[1]),
            "no_proxy": "127.0.0.1",
        }
        address = farm.expose(self.port, port=PORT).partition(":")[0]
        for node in nodes:
            node.write("/etc/hosts", f"{node.read('/etc/hosts')}\n{address} {NAME}\n")
            node.write("/usr/local/bin/curl", CURL, mode=0o755)
            node.write("/usr/local/bin/sudo", SUDO, mode=0o755)

    def do(self, block):
        """Run a block; returns what the last command answered."""
        text = block.text
        for theirs, ours in sorted(self.names.items(), key=lambda pair: -len(pair[0])):
            text = text.replace(theirs, ours)
        if block.where == "server":
            self._serve(text)
            return None
        if block.where == "node":
            for node in self.nodes:
                node.run(["sh", "-euc", text])
            return None
        found = self._shell(text)
        if block.answer is not None:
            assert lacking(block.answer, found, answer(block.last_command)) == [], block.last_command
            self.names.update(learn(block.answer, found))
        if block.waits:
            self._await(found["Command"]["CommandId"])
        return found

    def _serve(self, text):
        words = text.split()
        assert words[0] == ".venv/bin/patchwright"
        words = [sys.executable, "-m", "patchwright", *words[1:]]
        words[words.index(f"0.0.0.0:{PORT}")] = f"0.0.0.0:{self.port}"
        log = self.folder / "server.out"
        with log.open("wb") as out:
            self.server = subprocess.Popen(words, env=self.environment, stdout=out, stderr=subprocess.DEVNULL)
        line = until(lambda: re.search(r"A machine joins with: (.*)", log.read_text()), what="the server speaks")
        # The page shows the line as the server prints it, but for the hashes and the placeholders.
        printed = re.sub(r"sha256//[\w+/=]+", "sha256//PINNED-KEY-EXAMPLE", line[1])
        printed = re.sub(r"sha256:[0-9a-f]{64}", "sha256:PIN-EXAMPLE", printed)
        (shown,) = [block.text.strip() for block in blocks(PAGE) if block.where == "node"]
        assert re.sub(r"(--activation-(id|code)) \S+", r"\1", shown) == re.sub(r" (ID|CODE)\b", "", printed)
        self.names |= dict(
            zip(re.findall(r"sha256\S+EXAMPLE", printed), re.findall(r"sha256[/:][\w+/=]+", line[1]), strict=True)
        )

    def _shell(self, text):
        text = text.replace(f"https://{NAME}:{PORT}", f"https://127.0.0.1:{self.port}")
        if "export " in text:
            self.exports += text
            return None
        done = subprocess.run(
            ["sh", "-eu"], input=self.exports + text, env=self.environment, capture_output=True, text=True, timeout=200
        )
        assert done.returncode == 0, text + done.stderr
        return (answers(done.stdout) or [None])[-1]

    def _await(self, command):
        def ended():
            found = self._shell(f"aws ssm list-command-invocations --command-id {command} --details\n")
            rows = found["CommandInvocations"]
            return rows if rows and all(row["Status"] in FINAL for row in rows) else None

        rows = until(ended, what=f"command {command} ends", timeout=200, every=1.5)
        assert {row["Status"] for row in rows} == {"Success"}, rows

    def close(self):
        """End the server."""
        if self.server is not None:
            self.server.send_signal(signal.SIGTERM)
            self.server.wait(timeout=30)


@pytest.fixture
def reader(tmp_path, farm, debrepo, new_node):
    """Somebody with two booted machines for which security updates are outstanding."""
    debrepo.release("foo", "1.0-1")
    debrepo.security("foo", "1.0-1+deb12u1")
    debrepo.release("bar", "2.0-1")
    debrepo.security("bar", "2.0-1+deb12u1")
    made = Reader(tmp_path, farm, [new_node("deb12", debrepo, outstanding=["foo", "bar"]) for _ in range(2)])
    yield made
    made.close()


@pytest.mark.farm
@pytest.mark.e2e
def test_the_newcomers_hour(reader):
    """Each command is accepted and answers what the page shows; one group ends patched, the other only looked at."""
    last = {}
    for block in blocks(PAGE):
        found = reader.do(block)
        if found is not None:
            last[block.last_command] = found

    groups = last["describe-patch-group-state"]
    assert (groups["Instances"], groups["InstancesWithMissingPatches"]) == (1, 0)
    (state,) = last["describe-instance-patch-states-for-patch-group"]["InstancePatchStates"]
    assert (state["Operation"], state["MissingCount"], state["InstalledCount"]) == ("Install", 0, 2)
    assert [patch["KBId"] for patch in last["describe-instance-patches"]["Patches"]] == ["bar.all", "foo.all"]
    (summary,) = last["list-resource-compliance-summaries"]["ResourceComplianceSummaryItems"]
    assert summary["NonCompliantSummary"]["NonCompliantCount"] == 2
    installed = sorted(node.installed()["foo.all"][0] for node in reader.nodes)
    assert installed == ["1.0-1", "1.0-1+deb12u1"]


def test_the_page_has_every_command_of_aws_tutorial():
    """In AWS's order."""
    commands = [name for block in blocks(PAGE) for name in re.findall(r"aws ssm ([a-z-]+)", block.text)]
    theirs = [
        "create-patch-baseline",
        "register-patch-baseline-for-patch-group",
        "create-maintenance-window",
        "register-target-with-maintenance-window",
        "register-task-with-maintenance-window",
        "describe-patch-group-state",
        "describe-instance-patch-states-for-patch-group",
    ]

    assert [name for name in dict.fromkeys(commands) if name in theirs] == theirs
