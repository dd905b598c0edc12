# SPDX-License-Identifier: Apache-2.0
"""The provider inside a booted node, under the node's own Python: killed in mid-installation, and services left stale."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.providers import carried
from farm import DebRepo, Node, until

pytestmark = pytest.mark.farm

HEAD = """
import json, sys
from patchwright.agent import facts
from patchwright.agent.clock import Clock
from patchwright.agent.providers import Settings, detect, load
from patchwright.agent.shell import Shell
from patchwright.core.plan import Action, Plan
provider = load(detect(), Shell(), settings=Settings(lock_wait_seconds=60))
"""
INSTALL = """
plan = Plan.from_json(json.loads(sys.argv[1]))
print("begun", flush=True)
print(json.dumps(provider.install(plan, lambda line: None).failures))
"""
FACTS = "print(json.dumps(facts.take(provider, refresh=False, clock=Clock()).facts.to_json()))"


def python(code: str, *arguments: str) -> list[str]:
    """An argument list that runs *code* with a provider at hand."""
    return carried.python(HEAD + code, *arguments)


def plan_of(*names: str) -> str:
    """The plan that brings *names* from 1.0-1 to 1.0-2."""
    actions = [[name, "all", "1.0-1", "1.0-2", True] for name in names]
    return json.dumps({"manager": "apt", "snapshotId": "s", "actions": actions, "unresolved": []})


def test_an_installation_outlives_whoever_watched_it(debrepo: DebRepo, new_node: Callable[..., Node]):
    """apt goes on when the process that started it is killed; the next one waits for it and finds the work done."""
    gate = "while [ ! -e /run/go ]; do sleep 0.05; done"
    with debrepo.together():
        for name in ("aaa", "slow", "zzz"):
            debrepo.release(name, "1.0-1")
            debrepo.security(name, "1.0-2", postinst=f"touch /run/waiting; {gate}" if name == "slow" else "")
    node = new_node("deb12", debrepo, outstanding=["aaa", "slow", "zzz"])
    carried.carry(node)
    plan = plan_of("aaa", "slow", "zzz")
    first = node.spawn(python(INSTALL, plan))
    until(lambda: node.run(["test", "-e", "/run/waiting"], check=False).code == 0, what="the script waits")
    first.kill(children=False)
    first.wait()
    second = node.spawn(python(INSTALL, plan))
    until(lambda: "begun" in second.text(), what="the second begins")
    node.run(["touch", "/run/go"])
    second.wait()

    assert json.loads(second.text().splitlines()[-1]) == {}
    assert [node.installed()[f"{name}.all"] for name in ("aaa", "slow", "zzz")] == [("1.0-2", "ii")] * 3
    assert node.run(["grep", "-c", "Commandline: apt-get install", "/var/log/apt/history.log"]).stdout.strip() == "1"


def test_a_killed_apt_is_taken_up_again(debrepo: DebRepo, new_node: Callable[..., Node]):
    """apt and dpkg killed in the middle leave a half-configured package; the same plan finishes it."""
    with debrepo.together():
        for name in ("aaa", "slow", "zzz"):
            debrepo.release(name, "1.0-1")
            once = "[ -e /var/tmp/once ] || { touch /var/tmp/once; touch /run/waiting; sleep 600; }"
            debrepo.security(name, "1.0-2", postinst=once if name == "slow" else "")
    node = new_node("deb12", debrepo, outstanding=["aaa", "slow", "zzz"])
    carried.carry(node)
    first = node.spawn(python(INSTALL, plan_of("aaa", "slow", "zzz")))
    until(lambda: node.run(["test", "-e", "/run/waiting"], check=False).code == 0, what="the script waits")
    node.crash()
    first.wait()
    node.start()
    result = node.run(python(INSTALL, plan_of("aaa", "slow", "zzz")))

    assert json.loads(result.stdout.splitlines()[-1]) == {}
    assert [node.installed()[f"{name}.all"] for name in ("aaa", "slow", "zzz")] == [("1.0-2", "ii")] * 3


def test_a_service_with_a_replaced_program_is_stale_until_it_restarts(debrepo: DebRepo, new_node: Callable[..., Node]):
    """The facts name the unit that still runs the old file, and no other."""
    unit = "[Service]\nExecStart=/opt/daemon 600\n"
    for version, suite in (("1.0-1", debrepo.release), ("1.0-2", debrepo.security)):
        suite("daemon", version, files={"/opt/daemon": "#!", "/etc/systemd/system/daemon.service": unit})
    node = new_node("deb12", debrepo, outstanding=["daemon"])
    carried.carry(node)
    (node.root / "opt/daemon").write_bytes(Path("/bin/sleep").read_bytes())  # a script would map its shell
    (node.root / "opt/daemon").chmod(0o755)
    node.run(["systemctl", "daemon-reload"])
    node.run(["systemctl", "start", "daemon"])
    before = json.loads(node.run(python(FACTS)).stdout)
    node.run(python(INSTALL, plan_of("daemon")))
    after = json.loads(node.run(python(FACTS)).stdout)
    node.run(["systemctl", "stop", "daemon"])
    stopped = json.loads(node.run(python(FACTS)).stdout)

    assert (before["stale_services"], after["stale_services"], stopped["stale_services"]) == (
        [],
        ["daemon.service"],
        [],
    )
    assert after["product"] == "Debian12"
    assert after["boot_id"] == node.boot_id()


WHOLE = """
import os, time
from patchwright.core.facts import View
from patchwright.core.package import Manager
from patchwright.core.plan import Intent, Wanted, drift
from patchwright.core.planning import settle
provider.refresh()
begin = time.process_time() + sum(os.times()[2:4])
reading = provider.read()
cost = time.process_time() + sum(os.times()[2:4]) - begin
taken = facts.take(provider, refresh=False, clock=Clock()).facts
view = View(taken, reading.packages, tuple(part for part, _ in reading.slices))
secure = {(o.key, o.version) for part, _ in reading.slices if part.origin.is_security for o in part.offers}
found = view.candidates()
wanted = tuple(
    Wanted(p.name, p.arch, p.version, found[p.key])
    for p in reading.packages.packages
    if found[p.key] != p.version and (p.key, found[p.key]) in secure
)
intent = Intent(wanted)
plan = settle(intent, provider.resolve(intent), manager=Manager.APT, snapshot_id="s")
moved = drift(plan, {p.key: p.version for p in reading.packages.packages}, provider.candidates([a.key for a in plan.actions]))
outcome = provider.install(plan, lambda line: None)
print(json.dumps({"wanted": len(wanted), "unresolved": plan.unresolved, "drift": len(moved), "failures": outcome.failures,
                  "cost": cost, "actions": len(plan.actions)}))
"""


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["deb11-real", "deb12-real", "deb13-real"])
def test_every_genuine_security_update_is_installed(new_node: Callable[..., Node], kind: str):
    """What Debian's own security archive has outstanding for a release is planned without drift and installed whole."""
    node = new_node(kind)
    carried.carry(node)
    told = json.loads(node.run(python(WHOLE), timeout=280).stdout.splitlines()[-1])
    left = [line for line in node.run(["apt-get", "-s", "dist-upgrade"]).lines if line.startswith("Inst")]

    assert told["wanted"] > 0
    assert (told["unresolved"], told["drift"], told["failures"]) == ([], 0, {})
    assert [line for line in left if "ecurity" in line] == []
    print(told)
