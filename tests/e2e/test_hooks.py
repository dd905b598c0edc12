# SPDX-License-Identifier: Apache-2.0
"""AWS-RunPatchBaselineWithHooks around a web server that is stopped for its update and checked after the restart (spec §3.8)."""

from __future__ import annotations

import pytest

from farm.debrepo import KEYRING

from .station import lines, until

pytestmark = [pytest.mark.farm, pytest.mark.e2e]

HOOKS = "AWS-RunPatchBaselineWithHooks"
STEPS = (
    "Scan",
    "VerifyOperation",
    "PreInstallHook",
    "Install",
    "PostInstallHook",
    "VerifyReboot",
    "RebootAndReport",
    "OnExitHook",
)
LOG = "/var/log/hooks"
LOOK = "python3 -c \"import urllib.request as r; r.urlopen('http://127.0.0.1/', timeout=5)\""
# What the update says of the server while it is installed: it must not run then.
NOTES = f"chmod 755 /usr/sbin/nginx; echo installed-$(systemctl is-active nginx || true) >>{LOG}"
ASKS = "touch /run/reboot-required; echo nginx >>/run/reboot-required.pkgs"


def hook(name, *lines):
    """A document of the operator's own: it notes that it ran, and fails where a file says so."""
    text = [f"echo {name} >>{LOG}", f"test ! -e /etc/fail.{name} || exit 7", *lines]
    step = {"action": "aws:runShellScript", "name": "Run", "inputs": {"runCommand": ["#!/bin/sh -e", *text]}}
    return {"schemaVersion": "2.2", "mainSteps": [step]}


DOCUMENTS = {
    "Stop-Web": hook("pre", "systemctl stop nginx", f"! {LOOK} 2>/dev/null"),
    "Start-Web": hook("post", "systemctl start nginx", LOOK),
    "Check-Web": hook("exit", "systemctl start nginx", LOOK, "echo the server answers"),
}
NAMES = {"PreInstallHookDocName": "Stop-Web", "PostInstallHookDocName": "Start-Web", "OnExitHookDocName": "Check-Web"}


class Web:
    """A node with nginx, and what commands came to on it."""

    def __init__(self, station, node, repo):
        self.station, self.node, self.repo = station, node, repo
        station.make_documents(DOCUMENTS)
        self._versions = 0

    def update(self, then="true"):
        """Let there be a newer nginx, which is the same program, and does *then* last; answers its version."""
        self._versions += 1
        version = f"1.99.{self._versions}-1"
        program = (self.node.root / "usr/sbin/nginx").read_bytes()
        self.repo.security(
            "nginx",
            version,
            arch="amd64",
            depends="nginx-common",
            files={"/usr/sbin/nginx": program},
            postinst=f"{NOTES}; {ASKS}; {then}",
        )
        return version

    def run(self, operation="Install", reboot="RebootIfNeeded", fail=""):
        """One command, in which the hook *fail* fails: its status, the steps that failed, the one that skipped others, what ran."""
        self.node.run(["sh", "-c", f"rm -f /etc/fail.* {LOG}; test -z '{fail}' || touch /etc/fail.{fail}"])
        names = {name: [document] for name, document in NAMES.items()}
        given = {"Operation": [operation], "RebootOption": [reboot], **names}
        command = self.station.send_document(self.node, HOOKS, given)
        done = until(
            lambda: (found := self.station.invocation(self.node, command))["Status"] in ("Success", "Failed") and found,
            what=f"the command ends on {self.node.name}",
            timeout=180,
        )
        self.plugins = {plugin["Name"]: plugin for plugin in done["CommandPlugins"]}
        assert set(self.plugins) == set(STEPS), self.plugins
        codes = [self.plugins[name]["ResponseCode"] for name in STEPS]
        failed = [name for name in STEPS if self.plugins[name]["Status"] == "Failed"]
        assert {plugin["Status"] for plugin in self.plugins.values()} <= {"Success", "Failed"}
        assert len(self.station.final_replies(command)) == 1
        return (
            done["Status"],
            failed,
            codes.index(168) if 168 in codes else None,
            list(dict.fromkeys(lines(self.node, LOG))),
        )

    @property
    def state(self):
        """The state of nginx in the last operation."""
        return self.station.states(self.node, "nginx.amd64")["nginx.amd64"]

    def says(self, step):
        """What a step printed."""
        return self.plugins[step]["Output"]


@pytest.fixture
def web(station, debrepo, new_node):
    """A node whose nginx is Debian's own; from then on it knows the test's archive alone."""
    node = new_node("deb12-real")
    node.run(["apt-get", "install", "--yes", "--no-install-recommends", "nginx"], timeout=300)
    node.run(["sh", "-c", "rm -rf /var/lib/apt/lists/*"])
    node.write("/etc/apt/sources.list", debrepo.sources())
    (node.root / KEYRING.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
    (node.root / KEYRING.lstrip("/")).write_bytes(debrepo.keyring)
    made = Web(station, node, debrepo)
    made.update()
    station.enrol(node)
    return made


@pytest.mark.real
def test_a_web_server_is_patched_between_hooks_and_each_of_them_may_fail(web):
    """
    A Scan runs no hook; a failed pre-hook installs nothing; a failed post-hook does not restart; the whole course stops the
    server, installs, starts and checks it, restarts the node and reports; the last hook runs on every Install, and where
    nothing is missing it is all that runs.
    """
    assert web.run("Scan") == ("Success", [], 1, [])
    assert (web.state, web.node.boots) == ("Missing", 1)
    assert "a Scan ends here" in web.says("VerifyOperation")

    assert web.run(fail="pre") == ("Failed", ["PreInstallHook"], None, ["pre", "exit"])
    assert (web.state, web.node.boots) == ("Missing", 1)
    assert "the server answers" in web.says("OnExitHook")

    assert web.run(fail="post") == ("Failed", ["PostInstallHook"], None, ["pre", "installed-inactive", "post", "exit"])
    assert (web.state, web.node.boots) == ("InstalledPendingReboot", 1)

    version, boot = web.update(), web.node.boot_id()
    assert web.run() == ("Success", [], None, ["pre", "installed-inactive", "post", "exit"])
    assert (web.state, web.node.boots) == ("Installed", 2)
    assert web.node.boot_id() != boot
    assert web.node.installed()["nginx.amd64"] == (version, "ii")
    assert web.station.summary(web.node)["InstalledPendingRebootCount"] == 0
    assert "the server answers" in web.says("OnExitHook")

    assert web.run(fail="exit") == ("Failed", ["OnExitHook"], 1, ["exit"])
    assert (web.state, web.node.boots) == ("Installed", 2)


@pytest.mark.real
@pytest.mark.slow
def test_without_a_restart_the_last_hook_follows_and_after_a_failed_installation_too(web):
    """NoReboot ends the course after the installation, where it is pending; a second run has nothing to do."""
    assert web.run(reboot="NoReboot") == ("Success", [], 5, ["pre", "installed-inactive", "post", "exit"])
    assert (web.state, web.node.boots) == ("InstalledPendingReboot", 1)
    assert web.run(reboot="NoReboot") == ("Success", [], 1, ["exit"])

    web.update(then="exit 3")
    assert web.run() == ("Failed", ["Install"], None, ["pre", "installed-inactive", "exit"])
    assert (web.state, web.node.boots) == ("Failed", 1)
