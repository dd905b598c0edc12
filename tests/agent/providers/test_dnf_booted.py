# SPDX-License-Identifier: Apache-2.0
"""The provider inside a booted node, under the node's own Python: killed in mid-installation, other repositories, modules."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from agent.providers import carried
from farm import Node, RpmRepo, until

pytestmark = pytest.mark.farm

both = pytest.mark.parametrize("kind", ["dnf4", pytest.param("dnf5", marks=pytest.mark.slow)])
HEAD = """
import json, os, sys
from pathlib import Path
from patchwright.agent import facts
from patchwright.agent.clock import Clock
from patchwright.agent.providers import Settings, detect, load
from patchwright.agent.shell import Shell
from patchwright.core.plan import Plan
from patchwright.core.source import Source
def provider(**settings):
    return load(detect(), Shell(), settings=Settings(lock_wait_seconds=60, **settings))
"""
INSTALL = """
print("begun", flush=True)
print(json.dumps(provider().install(Plan.from_json(json.loads(sys.argv[1])), lambda line: None).failures))
"""
FACTS = """
one = provider()
reading = one.read()
print(json.dumps({**facts.take(one, refresh=False, clock=Clock()).facts.to_json(),
    "offers": [[offer.name, offer.version, offer.module, offer.notices] for part, _ in reading.slices for offer in part.offers]}))
"""
SOURCES = """
one = provider(sources=(Source("mine", sys.argv[1]),), sources_directory=Path("/var/lib/other/1"))
refreshed = one.refresh()
reading = one.read()
failures = one.install(Plan.from_json(json.loads(sys.argv[2])), lambda line: None).failures
print(json.dumps({"problems": refreshed.problems, "failures": failures, "ids": [part.origin.label for part, _ in reading.slices],
                  "offers": sorted({offer.version for part, _ in reading.slices for offer in part.offers if offer.name == "foo"})}))
"""
COST = """
def cost(work):
    begin = sum(os.times()[:4])
    work()
    return sum(os.times()[:4]) - begin
def native():
    for argv in NATIVE:
        Shell().run(argv, timeout=60, ok=range(256))
dnf = "dnf5" if os.path.exists("/usr/bin/dnf5") else "dnf"
five = dnf == "dnf5"
NATIVE = [["rpm", "-qa", "--qf", "%{NAME}-%{VERSION}-%{RELEASE}.%{ARCH}\\n"], [dnf, "-C", "repolist"],
          [dnf, "-C", "list", "--showduplicates"], [dnf, "-C", "module", "list"],
          [dnf, "-C", "advisory", "info", "--all"] if five else [dnf, "-C", "updateinfo", "info", "--all"]]
one = provider()
def scan():
    fresh = provider()
    fresh.read(), fresh.reboot_reasons()
scan(), native()
print(json.dumps({"scan": min(cost(scan) for _ in range(3)), "native": min(cost(native) for _ in range(3)),
                  "offers": sum(len(part.offers) for part, _ in one.read().slices), "notices": len(one.read().notices)}))
"""


def python(code: str, *arguments: str) -> list[str]:
    """An argument list that runs *code* with a provider at hand."""
    return carried.python(HEAD + code, *arguments)


def told(node: Node, code: str, *arguments: str, timeout: float = 120) -> Any:
    """What *code* printed last in the node, read as JSON."""
    return json.loads(node.run(python(code, *arguments), timeout=timeout).stdout.splitlines()[-1])


def plan_of(*names: str, after: str = "1.0-2") -> str:
    """The plan that brings *names* from 1.0-1 to *after*."""
    actions = [[name, "noarch", "1.0-1", after, True] for name in names]
    return json.dumps({"manager": "dnf", "snapshotId": "s", "actions": actions, "unresolved": []})


def offer(repo: RpmRepo, *names: str, **posts: str) -> None:
    """Release *names* at 1.0-1, and 1.0-2 as a security update, with a script where *posts* has one."""
    with repo.together():
        for name in names:
            repo.release(name, "1.0-1")
            repo.security(name, "1.0-2", post=posts.get(name, ""))


@pytest.fixture
def node_of(rpmrepo: RpmRepo, new_node: Callable[..., Node]) -> Callable[..., Node]:
    """Makes a booted node with these packages outstanding, and the node program at hand."""

    def make(kind: str, *names: str, **options: Any) -> Node:
        node = new_node(kind, rpmrepo, outstanding=list(names), **{"os": "rocky 9", **options})
        carried.carry(node)
        return node

    return make


@both
def test_an_installation_outlives_whoever_watched_it(rpmrepo: RpmRepo, node_of: Callable[..., Node], kind: str):
    """dnf goes on when the process that started it is killed; the next one waits for it and finds the work done."""
    gate = "echo once >> /var/tmp/runs; touch /run/waiting; while [ ! -e /run/go ]; do sleep 0.05; done"
    offer(rpmrepo, "aaa", "slow", "zzz", slow=gate)
    node = node_of(kind, "aaa", "slow", "zzz")
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
    assert (node.root / "var/tmp/runs").read_text() == "once\n"


@both
def test_a_killed_dnf_is_taken_up_again(rpmrepo: RpmRepo, node_of: Callable[..., Node], kind: str):
    """A power cut in a package's script, with others before and after it: the same plan does the rest."""
    once = "[ -e /var/tmp/once ] || { touch /var/tmp/once; touch /run/waiting; sleep 600; }"
    offer(rpmrepo, "aaa", "slow", "zzz", slow=once)
    node = node_of(kind, "aaa", "slow", "zzz")
    plan = plan_of("aaa", "slow", "zzz")
    first = node.spawn(python(INSTALL, plan))
    until(lambda: node.run(["test", "-e", "/run/waiting"], check=False).code == 0, what="the script waits")
    node.crash()
    first.wait()
    node.start()

    assert told(node, INSTALL, plan) == {}
    assert [node.rpms()[f"{name}.noarch"] for name in ("aaa", "slow", "zzz")] == [["1.0-2"]] * 3


@both
def test_a_package_left_in_both_versions_ends_in_the_new_one(rpmrepo: RpmRepo, node_of: Callable[..., Node], kind: str):
    """A kill after the new version is in rpm's database and before the old one is out: its script runs once more."""
    offer(rpmrepo, "foo", "bar", foo="echo run >> /var/tmp/runs")
    node = node_of(kind, "foo", "bar")
    path = next(path for path in rpmrepo.paths() if path.endswith("/foo-1.0-2.noarch.rpm"))
    (node.root / "root/foo.rpm").write_bytes(rpmrepo.answer(path)[1])
    node.run(["rpm", "--install", "--force", "--nosignature", "--noscripts", "/root/foo.rpm"])
    before = node.rpms()["foo.noarch"]
    failures = told(node, INSTALL, plan_of("foo", "bar"))

    assert before == ["1.0-1", "1.0-2"]
    assert failures == {}
    assert [node.rpms()[f"{name}.noarch"] for name in ("foo", "bar")] == [["1.0-2"]] * 2
    assert (node.root / "var/tmp/runs").read_text() == "run\n"


@both
def test_a_baselines_own_repositories_take_the_place_of_the_nodes(
    rpmrepo: RpmRepo, node_of: Callable[..., Node], kind: str
):
    """Facts and installation know them alone; the node's own configuration and metadata stay as they are."""
    offer(rpmrepo, "foo")
    node = node_of(kind, "foo")
    rpmrepo.update("foo", "1.0-3", repository="base")
    before = sorted(path.read_text() for path in (node.root / "etc/yum.repos.d").iterdir())
    source = f"[main]\nname=Mine\nbaseurl={rpmrepo.url('base')}\nenabled=1\ngpgcheck=0\n"
    result = told(node, SOURCES, source, plan_of("foo", after="1.0-3"))

    assert result == {"problems": [], "failures": {}, "ids": ["mine"], "offers": ["1.0-1", "1.0-3"]}
    assert node.rpms()["foo.noarch"] == ["1.0-3"]
    assert sorted(path.read_text() for path in (node.root / "etc/yum.repos.d").iterdir()) == before
    assert {row[1] for row in told(node, FACTS)["offers"]} == {"1.0-1", "1.0-2"}


@both
def test_a_notice_for_another_module_stream_names_nothing_here(
    rpmrepo: RpmRepo, node_of: Callable[..., Node], kind: str
):
    """What AlmaLinux's perl did: a notice of one stream that lists a package of another stream, or of none."""
    rpmrepo.release("perl", "4:5.26-1", module="perl:5.26:1:aaaa")
    rpmrepo.release("plain", "1.0-1")
    with rpmrepo.together():
        old = rpmrepo.update("perl", "4:5.26-2", module="perl:5.26:1:aaaa")
        new = rpmrepo.update("perl", "4:5.32-2", module="perl:5.32:1:bbbb")
        plain = rpmrepo.update("plain", "1.0-2")
        rpmrepo.module("perl", "5.26", [rpmrepo.released("perl"), old])
        rpmrepo.module("perl", "5.32", [new])
        rpmrepo.advisory("ALSA-1", [old, new, plain], module="perl:5.32:1:bbbb")
        rpmrepo.advisory("ALSA-2", [old], module="perl:5.26:1:aaaa")
    node = node_of(kind, "perl", "plain", os="alma 8.10")
    node.run([kind.replace("dnf4", "dnf"), "-y", "module", "enable", "perl:5.26"])
    facts = told(node, FACTS)

    assert facts["modules"] == ["perl:5.26"]
    assert {(name, version): (module, notices) for name, version, module, notices in facts["offers"]} == {
        ("perl", "4:5.26-1"): ("perl:5.26", []),
        ("perl", "4:5.26-2"): ("perl:5.26", ["ALSA-2"]),
        ("perl", "4:5.32-2"): ("perl:5.32", ["ALSA-1"]),
        ("plain", "1.0-1"): ("", []),
        ("plain", "1.0-2"): ("", []),
    }
    assert facts["product"].startswith("AlmaLinux8")


@pytest.mark.slow
@both
def test_the_oldest_kernel_makes_room_as_the_nodes_own_limit_says(
    rpmrepo: RpmRepo, node_of: Callable[..., Node], kind: str
):
    """With three kernels allowed a fourth is installed all the same, and nothing else goes."""
    kernel = rpmrepo.kernel("5.14.0-1", is_released=True)
    rpmrepo.kernel("5.14.0-2")
    node = node_of(kind, "kernel-core")
    failures = []
    for number in (2, 3, 4):
        if number > 2:
            rpmrepo.kernel(f"5.14.0-{number}")
        node.run([kind.replace("dnf4", "dnf"), "--refresh", "-y", "makecache"])
        action = ["kernel-core", kernel.arch, f"5.14.0-{number - 1}", f"5.14.0-{number}", True]
        plan = {"manager": "dnf", "snapshotId": "s", "actions": [action], "unresolved": []}
        failures.append(told(node, INSTALL, json.dumps(plan)))

    assert failures == [{}, {}, {}]
    assert node.rpms()[f"kernel-core.{kernel.arch}"] == ["5.14.0-2", "5.14.0-3", "5.14.0-4"]


@pytest.mark.slow
@both
def test_a_scan_costs_no_more_than_the_native_commands(rpmrepo: RpmRepo, node_of: Callable[..., Node], kind: str):
    """Processor time of everything that a scan reads, beside the commands that say the same."""
    names = [f"package-{number:03d}" for number in range(200)]
    with rpmrepo.together():
        offer(rpmrepo, *names)
        for number in range(3000):
            rpmrepo.update(f"other-{number:04d}", "1.0-1")
    node = node_of(kind, *names)
    result = told(node, COST)
    print(kind, result)

    assert result["offers"] == 400
    assert result["notices"] == 200
    assert result["scan"] <= 1.5 * result["native"]
