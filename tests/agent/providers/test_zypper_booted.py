# SPDX-License-Identifier: Apache-2.0
"""The provider inside a booted node, under the node's own Python: killed in mid-installation, restarts, other repositories."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.providers import carried
from farm import Node, RpmRepo, until

pytestmark = pytest.mark.farm

HEAD = """
import json, os, sys, time
from pathlib import Path
from patchwright.agent import facts
from patchwright.agent.clock import Clock
from patchwright.agent.providers import Settings
from patchwright.agent.providers.zypper import Zypper
from patchwright.agent.shell import Shell
from patchwright.core.plan import Plan
from patchwright.core.source import Source
def provider(**settings):
    return Zypper(Shell(), clock=Clock(), settings=Settings(lock_wait_seconds=60, **settings))
"""
INSTALL = """
print("begun", flush=True)
print(json.dumps(provider().install(Plan.from_json(json.loads(sys.argv[1])), lambda line: None).failures))
"""
FACTS = "print(json.dumps(facts.take(provider(), refresh=False, clock=Clock()).facts.to_json()))"
SOURCES = """
one = provider(sources=(Source("mine", sys.argv[1]),), sources_directory=Path("/var/lib/other/1"))
refreshed = one.refresh()
reading = one.read()
failures = one.install(Plan.from_json(json.loads(sys.argv[2])), lambda line: None).failures
print(json.dumps({"problems": refreshed.problems, "failures": failures, "aliases": [part.origin.label for part, _ in reading.slices],
                  "offers": sorted({offer.version for part, _ in reading.slices for offer in part.offers if offer.name == "foo"})}))
"""
COST = """
def cost(work):
    begin = sum(os.times()[:4])
    work()
    return sum(os.times()[:4]) - begin
def native():
    for argv in NATIVE:
        Shell().run(argv, timeout=60)
NATIVE = [["rpm", "-qa", "--qf", "%{NAME}-%{VERSION}-%{RELEASE}.%{ARCH}\\n"],
          *(["zypper", "--xmlout", "--no-refresh", *words] for words in (["repos", "-u"], ["locks"], ["list-patches", "-a"],
            ["search", "-s", "-t", "package"]))]
one = provider()
one.read(), native()
print(json.dumps({"scan": min(cost(one.read) for _ in range(3)), "native": min(cost(native) for _ in range(3)),
                  "offers": sum(len(part.offers) for part, _ in one.read().slices), "notices": len(one.read().notices)}))
"""


def python(code: str, *arguments: str) -> list[str]:
    """An argument list that runs *code* with a provider at hand."""
    return carried.python(HEAD + code, *arguments)


def told(node: Node, code: str, *arguments: str, timeout: float = 120) -> Any:
    """What *code* printed last in the node, read as JSON."""
    return json.loads(node.run(python(code, *arguments), timeout=timeout).stdout.splitlines()[-1])


def plan_of(*names: str, arch: str = "noarch") -> str:
    """The plan that brings *names* from 1.0-1 to 1.0-2."""
    actions = [[name, arch, "1.0-1", "1.0-2", True] for name in names]
    return json.dumps({"manager": "zypper", "snapshotId": "s", "actions": actions, "unresolved": []})


def offer(repo: RpmRepo, *names: str, **posts: str) -> None:
    """Release *names* at 1.0-1, and 1.0-2 as a security update, with a script where *posts* has one."""
    with repo.together():
        for name in names:
            repo.release(name, "1.0-1")
            repo.security(name, "1.0-2", post=posts.get(name, ""))


@pytest.fixture
def node_of(rpmrepo: RpmRepo, new_node: Callable[..., Node]) -> Callable[..., Node]:
    """Makes a booted node with these packages outstanding, and the node program at hand."""

    def make(*names: str, **options: Any) -> Node:
        node = new_node("zypper", rpmrepo, outstanding=list(names), **options)
        carried.carry(node)
        return node

    return make


def test_an_installation_outlives_whoever_watched_it(rpmrepo: RpmRepo, node_of: Callable[..., Node]):
    """zypper goes on when the process that started it is killed; the next one waits for it and finds the work done."""
    gate = "touch /run/waiting; while [ ! -e /run/go ]; do sleep 0.05; done"
    offer(rpmrepo, "aaa", "slow", "zzz", slow=gate)
    node = node_of("aaa", "slow", "zzz")
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
    assert [node.rpms()[f"{name}.noarch"] for name in ("aaa", "slow", "zzz")] == [["1.0-2"]] * 3
    history = (node.root / "var/log/zypp/history").read_text()
    assert [history.count(f"|install|{name}|1.0-2|") for name in ("aaa", "slow", "zzz")] == [1, 1, 1]


def test_a_killed_zypper_is_taken_up_again(rpmrepo: RpmRepo, node_of: Callable[..., Node]):
    """A power cut in a package's script, with others before and after it: the same plan does the rest."""
    once = "[ -e /var/tmp/once ] || { touch /var/tmp/once; touch /run/waiting; sleep 600; }"
    offer(rpmrepo, "aaa", "slow", "zzz", slow=once)
    node = node_of("aaa", "slow", "zzz")
    plan = plan_of("aaa", "slow", "zzz")
    first = node.spawn(python(INSTALL, plan))
    until(lambda: node.run(["test", "-e", "/run/waiting"], check=False).code == 0, what="the script waits")
    node.crash()
    first.wait()
    node.start()

    assert told(node, INSTALL, plan) == {}
    assert [node.rpms()[f"{name}.noarch"] for name in ("aaa", "slow", "zzz")] == [["1.0-2"]] * 3


def test_a_package_left_in_both_versions_ends_in_the_new_one(rpmrepo: RpmRepo, node_of: Callable[..., Node]):
    """rpm puts the new version into its database before it takes the old one out: a kill in between leaves both."""
    offer(rpmrepo, "foo", "bar")
    node = node_of("foo", "bar")
    path = next(path for path in rpmrepo.paths() if path.endswith("/foo-1.0-2.noarch.rpm"))
    (node.root / "root/foo.rpm").write_bytes(rpmrepo.answer(path)[1])
    node.run(["rpm", "--install", "--force", "--nosignature", "/root/foo.rpm"])
    before = node.rpms()["foo.noarch"]
    failures = told(node, INSTALL, plan_of("foo", "bar"))

    assert before == ["1.0-1", "1.0-2"]
    assert failures == {}
    assert [node.rpms()[f"{name}.noarch"] for name in ("foo", "bar")] == [["1.0-2"]] * 2


@pytest.mark.slow
def test_a_kernel_comes_beside_the_old_one_and_asks_for_a_restart_until_it_happened(
    rpmrepo: RpmRepo, node_of: Callable[..., Node]
):
    """zypper takes such patches for interactive and skips them; here they are installed, and libzypp's mark is reported."""
    kernel = rpmrepo.kernel("5.14.21-1", name="kernel-default", is_released=True)
    rpmrepo.kernel("5.14.21-2", name="kernel-default")
    node = node_of("kernel-default")
    action = ["kernel-default", kernel.arch, "5.14.21-1", "5.14.21-2", True]
    plan = json.dumps({"manager": "zypper", "snapshotId": "s", "actions": [action], "unresolved": []})
    before = told(node, FACTS)
    failures = told(node, INSTALL, plan)
    after = told(node, FACTS)
    again = told(node, INSTALL, plan)
    node.reboot()
    restarted = told(node, FACTS)

    assert failures == again == {}
    assert node.rpms()[f"kernel-default.{kernel.arch}"] == ["5.14.21-1", "5.14.21-2"]
    assert before["reboot_reasons"] == restarted["reboot_reasons"] == []
    assert after["reboot_reasons"] == ["core libraries or services were updated"]
    assert before["product"] == "Suse15.5"
    assert len(before["notices"]) == 1


@pytest.mark.slow
def test_a_service_with_a_replaced_program_is_stale_until_it_restarts(rpmrepo: RpmRepo, node_of: Callable[..., Node]):
    """The facts name the unit that still runs the old file, and no other."""
    unit = "[Service]\nExecStart=/opt/daemon 600\n"
    files = {"/opt/daemon": "#!", "/etc/systemd/system/daemon.service": unit}
    rpmrepo.release("daemon", "1.0-1", files=files)
    rpmrepo.security("daemon", "1.0-2", files={**files, "/opt/daemon": "#!new"})
    node = node_of("daemon")
    (node.root / "opt/daemon").write_bytes(Path("/bin/sleep").read_bytes())  # a script would map its shell
    (node.root / "opt/daemon").chmod(0o755)
    node.run(["systemctl", "daemon-reload"])
    node.run(["systemctl", "start", "daemon"])
    before = told(node, FACTS)
    failures = told(node, INSTALL, plan_of("daemon"))
    after = told(node, FACTS)

    assert failures == {}
    assert (before["stale_services"], after["stale_services"]) == ([], ["daemon.service"])


def test_patches_that_change_the_package_manager_come_first(rpmrepo: RpmRepo, node_of: Callable[..., Node]):
    """What a notice marks as restarting the package manager is installed in a run of its own, before the alphabet."""
    with rpmrepo.together():
        for name in ("aaa", "libzypp"):
            rpmrepo.release(name, "1.0-1")
            rpmrepo.security(name, "1.0-2", restart=name == "libzypp")
    node = node_of("aaa", "libzypp")

    assert told(node, INSTALL, plan_of("aaa", "libzypp")) == {}
    history = (node.root / "var/log/zypp/history").read_text()
    assert 0 < history.index("|install|libzypp|1.0-2|") < history.index("|install|aaa|1.0-2|")
    assert history.count("|command|") == 2


@pytest.mark.slow
def test_sources_take_the_place_of_the_nodes_repositories(rpmrepo: RpmRepo, node_of: Callable[..., Node]):
    """Facts and installation see the source alone; the node's own configuration is as before."""
    offer(rpmrepo, "foo", "bar")
    rpmrepo.update("foo", "1.1-1", repository="base")
    node = node_of("foo", "bar")
    own = (node.root / "etc/zypp/repos.d/base.repo").read_text()
    answer = told(node, SOURCES, f"baseurl={rpmrepo.url('updates')}\ngpgcheck=0\nrepo_gpgcheck=0\n", plan_of("foo"))

    assert answer == {"problems": [], "failures": {}, "aliases": ["mine"], "offers": ["1.0-2"]}
    assert node.rpms()["foo.noarch"] == ["1.0-2"]
    assert (node.root / "etc/zypp/repos.d/base.repo").read_text() == own
    assert sorted(path.name for path in (node.root / "etc/zypp/repos.d").iterdir()) == ["base.repo", "updates.repo"]


def test_a_repository_that_was_never_fetched_keeps_nobody_waiting(rpmrepo: RpmRepo, node_of: Callable[..., Node]):
    """zypper would try to fetch it first, and ask a busy server for ever: the others are enough to install from."""
    offer(rpmrepo, "foo")
    node = node_of("foo")
    text = f"[never]\nname=never\nenabled=1\nbaseurl={rpmrepo.url('updates')}/never\ngpgcheck=0\n"
    (node.root / "etc/zypp/repos.d/never.repo").write_text(text)
    rpmrepo.offline("error", below="updates/never")

    assert told(node, INSTALL, plan_of("foo")) == {}
    assert node.rpms()["foo.noarch"] == ["1.0-2"]


@pytest.mark.slow
def test_a_scan_costs_no_more_than_what_zypper_takes_for_it(rpmrepo: RpmRepo, node_of: Callable[..., Node]):
    """CPU time at most 1.5 times that of the native commands that give the same facts, in the same run."""
    names = [f"package{number:03d}" for number in range(400)]
    offer(rpmrepo, *names)
    answer = told(node_of(*names), COST, timeout=280)
    print(answer)

    assert answer["offers"] >= 800
    assert answer["notices"] == 400
    assert answer["scan"] <= 1.5 * answer["native"]
