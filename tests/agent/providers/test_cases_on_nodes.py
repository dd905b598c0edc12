# SPDX-License-Identifier: Apache-2.0
"""
Baseline cases of core, confirmed: what a real package manager says of real repositories leads to the same rows.

All cases of a family share one node: the names of each begin with a mark of its own, and only its rows are looked at.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from contract.apt_root import AptRoot
from contract.provider import World
from contract.rpm_node import RpmNode
from core.cases import Case, moment, pairs, read
from farm import DebRepo, RpmRepo
from farm.rpmrepo import package as build
from patchwright.agent.providers.dnf import Dnf
from patchwright.agent.providers.zypper import Zypper
from patchwright.core.baseline import ComplianceLevel, decide
from patchwright.core.compliance import judge
from patchwright.core.facts import View

AT_LEAST = 10
ARCHIVES = ("main", "security", "updates")  # what the farm's Debian archive has
pytestmark = [
    pytest.mark.farm,
    pytest.mark.skipif(platform.machine() != "x86_64", reason="the cases are written for x86_64"),
]


def can_share(case: Case) -> bool:
    """Whether it speaks of its packages alone: of no state of the node, no past, and not of there being no notice at all."""
    data = case.data
    names = [text.split()[0] for text in data["installed"]]
    places = [(text.split()[0], pairs(text.split()[2:]).get("in", "main")) for text in data.get("offers", [])]
    told = [pairs(text.split()[2:]) for text in (*data["installed"], *data.get("offers", []))]
    return (
        not {"node", "past"} & set(data)
        and len(names) == len(set(names))
        and not any("." in text.split()[0] for text in (*data["installed"], *data.get("offers", [])))
        and not any({"state", "module"} & set(words) for words in told)
        and all(words.get("in", "main") in ARCHIVES for words in told)
        and (case.family != "apt" or len(places) == len(set(places)))  # an archive has one version of a package
        and (case.family != "rpm" or "notices" in data)
        and all("brings" in text or case.family == "rpm" for text in data.get("notices", {}).values())
    )


def marked(case: Case, mark: str) -> Case:
    """The same case with *mark* before the names of its packages and notices."""
    data = dict(case.data)
    names = {text.split()[0] for text in (*data["installed"], *data.get("offers", []))}
    brought = [pairs(text.split()).get("brings", "") for text in data.get("notices", {}).values()]
    names |= {one.split("/")[0] for text in brought for one in text.split(",") if one}

    def named(text: str) -> str:
        known = any(text == name or text.startswith((f"{name}-", f"{name} ")) for name in names)
        return mark + text if known or text.startswith(("R-", "SUSE-", "ALAS")) else text

    def offered(text: str) -> str:
        return re.sub(r"(?<=of=)\S+", lambda found: ",".join(mark + one for one in found[0].split(",")), named(text))

    def brings(text: str) -> str:
        return re.sub(r"(?<=brings=)\S+", lambda found: ",".join(mark + one for one in found[0].split(",")), text)

    data["installed"] = [named(text) for text in data["installed"]]
    data["offers"] = [offered(text) for text in data.get("offers", [])]
    data["notices"] = {mark + name: brings(text) for name, text in data.get("notices", {}).items()}
    for table in ("decide", "expect"):
        data[table] = {named(name): text for name, text in data.get(table, {}).items()}
    rules = dict(data.get("baseline", {}))
    for entries in ("approved", "rejected"):
        if entries in rules:
            rules[entries] = [named(entry) for entry in rules[entries]]
    return Case(case.family, {**data, "baseline": rules})


def cases_of(family: str) -> list[Case]:
    """Those of a family that one node can show, each marked."""
    chosen = [case for case in read(family) if can_share(case)]
    assert len(chosen) >= AT_LEAST
    return [marked(case, f"c{number:02}") for number, case in enumerate(chosen)]


def differences(case: Case, seen: View) -> list[str]:
    """What the node's real facts lead to, where it is not what the case says."""
    facts = replace(
        seen.facts, operating_system=case.system, product=case.view.facts.product, boot_id=case.view.facts.boot_id
    )
    view = View(facts, seen.packages, seen.slices, seen.notices)
    judged = judge(case.baseline, view, lambda patch: decide(case.baseline, patch, case.today))
    mark = case.data["installed"][0][:3]
    rows = {item.key: item for item in judged.items if item.key.startswith(mark)}
    states = {key: item.state.value for key, item in rows.items()}
    wanted = {key: words[0] for key, words in case.expected.items()}
    if states != wanted:
        return [f"{case.name}: {states}, not {wanted}"]
    return [
        f"{case.name}: {item}"
        for key, item in rows.items()
        for word in case.expected[key][1:]
        if word != (item.level.value if word in list(ComplianceLevel) else item.version.replace(mark, ""))
    ]


def confirm(cases: list[Case], node: World) -> None:
    """Every case on *node*."""
    assert node.provider.refresh().problems == ()
    seen = node.view()
    found = [text for case in cases for text in differences(case, seen)]
    print(f"{len(cases)} cases on one node")
    assert not found, "\n".join(found)


def publish(repo: RpmRepo, cases: list[Case]) -> list[str]:
    """The packages and notices of every case; the names that are to be installed."""
    installed = []
    with repo.together():
        for case in cases:
            for text in case.data["installed"]:
                name, version = text.split()
                repo.release(name, version, arch="x86_64")
                installed.append(name)
            brought: dict[str, list[Any]] = {name: [] for name in case.data["notices"]}
            for text in case.data["offers"]:
                name, version, *more = text.split()
                told = pairs(more)
                built = {"built": int(moment(told["built"]).timestamp())} if "built" in told else {}
                rpm = repo.update(name, version, arch="x86_64", **built)
                for notice in filter(None, told.get("of", "").split(",")):
                    brought[notice].append(rpm)
            for notice, text in case.data["notices"].items():
                told = pairs(text.split())
                for one in filter(None, told.get("brings", "").split(",")):
                    name, version = one.split("/")
                    brought[notice].append(build(name, version, arch="x86_64"))
                repo.advisory(notice, brought[notice], **about(told))
    return installed


def about(told: Mapping[str, str]) -> dict[str, Any]:
    """What a notice says, in the words of the farm."""
    days = {word: f"{moment(told[word]):%Y-%m-%d %H:%M:%S}" if word in told else "" for word in ("issued", "updated")}
    lists = {"cves": told.get("cves", ""), "bugzillas": told.get("bugs", "")}
    return {
        "type": told.get("type", ""),
        "severity": told.get("severity", ""),
        **days,
        **{word: [one for one in text.split(",") if one] for word, text in lists.items()},
    }


def test_rpm_cases_on_dnf4(rpmrepo: RpmRepo, rpm_node: Callable[..., RpmNode]) -> None:
    """All that one node can show, read by dnf 4's provider from its own cache."""
    cases = cases_of("rpm")
    confirm(cases, rpm_node("dnf4", Dnf, *publish(rpmrepo, cases)))


def test_rpm_cases_on_dnf5(rpmrepo: RpmRepo, rpm_node: Callable[..., RpmNode]) -> None:
    """The same on dnf 5."""
    cases = cases_of("rpm")
    confirm(cases, rpm_node("dnf5", Dnf, *publish(rpmrepo, cases)))


def test_suse_cases_on_zypper(rpmrepo: RpmRepo, rpm_node: Callable[..., RpmNode]) -> None:
    """All that one node can show, read by zypper's provider."""
    cases = cases_of("suse")
    confirm(cases, rpm_node("zypper", Zypper, *publish(rpmrepo, cases)))


def test_apt_cases(debrepo: DebRepo, apt_root: Callable[..., AptRoot]) -> None:
    """All that one archive can show, read by apt's provider."""
    cases = cases_of("apt")
    put = {"main": debrepo.updates, "updates": debrepo.updates, "security": debrepo.security}
    with debrepo.together():
        for case in cases:
            for text in case.data["installed"]:
                debrepo.release(*text.split(), arch="amd64")
            for text in case.data["offers"]:
                name, version, *more = text.split()
                told = pairs(more)
                what = {word: told[word] for word in ("section", "priority") if word in told}
                put[told.get("in", "main")](name, version, arch="amd64", **what)
    confirm(cases, apt_root(*(text.split()[0] for case in cases for text in case.data["installed"])))
