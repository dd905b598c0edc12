# SPDX-License-Identifier: Apache-2.0
"""Rpm systems are real where it counts: the tool, the database, the boot; and their repositories are what they say."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from farm import Farm, FarmUnavailable, Node, RpmRepo, machine, roots, systems, until
from farm.rpmfile import build

pytestmark = pytest.mark.farm
NewNode = Callable[..., Node]
KINDS = ("dnf4", "dnf5", "zypper")
UPGRADE = {
    "dnf4": ["dnf", "--assumeyes", "upgrade"],
    "dnf5": ["dnf5", "--assumeyes", "upgrade"],
    "zypper": ["zypper", "--non-interactive", "update"],
}
REFRESH = {
    "dnf4": ["dnf", "makecache", "--refresh"],
    "dnf5": ["dnf5", "makecache", "--refresh"],
    "zypper": ["zypper", "--non-interactive", "refresh"],
}
# Codes after a failing %post and a failing %pre: dnf 4 does not tell of the former at all.
FAILING = {"dnf4": (0, 1), "dnf5": (1, 1), "zypper": (107, 8)}
SYSTEM_WORDS = ("rocky 8", "rocky 9", "alma 9", "rhel 8", "centos 7", "ol 9", "amzn 2", "amzn 2023", "sles 15.5")


@pytest.mark.parametrize("kind", KINDS)
def test_an_update_comes_in_and_nothing_is_left(rpmrepo: RpmRepo, new_node: NewNode, kind: str) -> None:
    """The real tool sees the new version, installs it into a real database, and what has no news stays."""
    rpmrepo.release("foo", "1.0-1")
    rpmrepo.release("bar", "2:1.0-1")
    rpmrepo.security("foo", "1.0-2", severity="Critical", cves=["CVE-2024-1"])
    node = new_node(kind, rpmrepo, outstanding=["foo"], installed=["bar"])
    assert node.wait_running() == "running"
    assert node.rpms()["foo.noarch"] == ["1.0-1"]
    node.run(UPGRADE[kind])
    assert node.rpms() == {"bar.noarch": ["2:1.0-1"], "basesystem.noarch": ["1-1"], "foo.noarch": ["1.0-2"]}
    assert node.run(["test", "-e", "/usr/share/farm/foo-1.0-1"], check=False).code == 1


@pytest.mark.parametrize("kind", KINDS)
def test_scripts_fail_as_each_tool_tells_it(rpmrepo: RpmRepo, new_node: NewNode, kind: str) -> None:
    """After a failing %post the new version is there, after a failing %pre the old one; codes differ by tool."""
    for name in ("post", "pre"):
        rpmrepo.release(name, "1.0-1")
        rpmrepo.security(name, "1.0-2", **{name: "echo cannot start >&2; exit 1"})
    node = new_node(kind, rpmrepo, outstanding=["post", "pre"])
    codes = tuple(node.run([*UPGRADE[kind], name], check=False).code for name in ("post", "pre"))
    assert codes == FAILING[kind]
    assert (node.rpms()["post.noarch"], node.rpms()["pre.noarch"]) == (["1.0-2"], ["1.0-1"])


def test_a_notice_says_all_that_it_has(rpmrepo: RpmRepo, new_node: NewNode) -> None:
    """Type, severity, days, CVEs and Bugzilla ids, as dnf reads them."""
    rpmrepo.release("foo", "1.0-1")
    rpm = rpmrepo.update("foo", "1.0-2")
    rpmrepo.advisory(
        "FARM-2024:9", [rpm], type="bugfix", severity="Moderate", issued="2024-03-01", updated="2024-03-04 12:00:00",
        title="It works again", cves=["CVE-2024-7"], bugzillas=["1234567"],
    )  # fmt: skip
    node = new_node("dnf4", rpmrepo, outstanding=["foo"])
    said = node.run(["dnf", "--quiet", "updateinfo", "info"]).stdout
    for words in (
        "It works again",
        "FARM-2024:9",
        "bugfix",
        "2024-03-04 12:00:00",
        "1234567",
        "CVE-2024-7",
        "Moderate",
    ):
        assert words in said


def test_a_notice_is_a_patch_on_suse(rpmrepo: RpmRepo, new_node: NewNode) -> None:
    """With category, severity, date, CVEs and what has to be restarted after it."""
    for name in ("foo", "bar", "stack"):
        rpmrepo.release(name, "1.0-1")
    rpmrepo.security("foo", "1.0-2", id="SUSE-2024-1", severity="important", cves=["CVE-2024-1"], reboot=True)
    rpmrepo.security("bar", "1.0-2", id="SUSE-2024-2", type="optional", severity="low", issued="2024-03-01")
    rpmrepo.security("stack", "1.0-2", id="SUSE-2024-3", type="recommended", severity="moderate", restart=True)
    node = new_node("zypper", rpmrepo, outstanding=["foo", "bar", "stack"])
    said = ElementTree.fromstring(node.run(["zypper", "-x", "list-patches", "--all"]).stdout)  # noqa: S314 - ours
    patches = {update.get("name"): update.attrib for update in said.iter("update")}
    keys = ("category", "severity", "restart", "pkgmanager", "status")
    assert {name: tuple(patches[name][key] for key in keys) for name in sorted(patches)} == {
        "SUSE-2024-1": ("security", "important", "true", "false", "needed"),
        "SUSE-2024-2": ("optional", "low", "false", "false", "optional"),
        "SUSE-2024-3": ("recommended", "moderate", "false", "true", "needed"),
    }
    assert [issue.get("id") for issue in said.iter("issue") if issue.get("type") == "cve"] == ["CVE-2024-1"]


@pytest.mark.parametrize(("kind", "name"), [("dnf4", "kernel"), ("dnf5", "kernel"), ("zypper", "kernel-default")])
def test_kernels_stand_side_by_side_and_ask_for_a_restart(
    rpmrepo: RpmRepo, new_node: NewNode, kind: str, name: str
) -> None:
    """The old one stays; the tool asks for a restart until there was one."""
    rpmrepo.kernel("5.14.0-1", name=name, is_released=True)
    rpmrepo.kernel("5.14.0-2", name=name)
    core = name if kind == "zypper" else "kernel-core"
    node = new_node(kind, rpmrepo, outstanding=sorted({core, name}))
    node.wait_past_boot()
    node.run(
        ["zypper", "--non-interactive", "patch", "--with-interactive"] if kind == "zypper" else UPGRADE[kind],
        check=False,
    )
    ask = {
        "dnf4": ["dnf", "needs-restarting", "--reboothint"],
        "dnf5": ["dnf5", "needs-restarting"],
        "zypper": ["zypper", "needs-rebooting"],
    }[kind]
    key = next(key for key in node.rpms() if key.startswith(f"{core}."))
    assert node.rpms()[key] == ["5.14.0-1", "5.14.0-2"]
    assert node.run(ask, check=False).code == (102 if kind == "zypper" else 1)
    node.reboot()
    assert node.run(ask, check=False).code == 0


def test_only_the_enabled_stream_of_a_module_is_offered(rpmrepo: RpmRepo, new_node: NewNode) -> None:
    """A newer package of another stream is not an update."""
    perls = {
        stream: rpmrepo.update("perl", f"4:{stream}.1-1", module=f"perl:{stream}:1:deadbeef")
        for stream in ("5.30", "5.32")
    }
    for stream, rpm in perls.items():
        rpmrepo.module("perl", stream, [rpm])
    node = new_node("dnf4", rpmrepo)
    node.run(["dnf", "--assumeyes", "module", "enable", "perl:5.30"])
    node.run(["dnf", "--assumeyes", "install", "perl"])
    assert node.rpms()["perl.noarch"] == ["4:5.30.1-1"]
    assert node.run(["dnf", "--quiet", "check-update"]).code == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", ["refuse", "gone"])
def test_rpm_repositories_can_be_out_of_reach(rpmrepo: RpmRepo, new_node: NewNode, kind: str, how: str) -> None:
    """No tool can refresh then, and each can again afterwards."""
    node = new_node(kind, rpmrepo)
    rpmrepo.offline(how)
    assert node.run(REFRESH[kind], check=False).code != 0
    rpmrepo.online()
    node.run(REFRESH[kind])


@pytest.mark.parametrize("expiry", ["never", "0"])
def test_metadata_is_believed_as_long_as_it_was_said(rpmrepo: RpmRepo, new_node: NewNode, expiry: str) -> None:
    """Without a refresh, news is seen only where what was fetched has expired. dnf counts whole seconds."""
    rpmrepo.expiry = expiry
    rpmrepo.release("foo", "1.0-1")
    node = new_node("dnf4", rpmrepo, installed=["foo"])
    rpmrepo.security("foo", "1.0-2")

    def looked() -> int:
        return node.run(["dnf", "--quiet", "check-update"], check=False).code

    if expiry == "never":
        assert looked() == 0
    else:
        until(lambda: looked() == 100, what="the news is seen", every=0.3)


def test_one_of_two_repositories_can_be_out_of_reach(rpmrepo: RpmRepo, new_node: NewNode) -> None:
    """The other one still answers."""
    node = new_node("zypper", rpmrepo)
    rpmrepo.offline("gone", below="updates")
    said = node.run(REFRESH["zypper"], check=False)
    assert "Repository 'Farm base' is up to date" in said.stdout
    assert "Skipping repository 'Farm updates'" in said.stderr


def test_what_a_repository_says_is_what_createrepo_would_say(rpmrepo: RpmRepo, new_node: NewNode) -> None:
    """The list of packages is made here without a tool; the real tool makes the same of the same files."""
    rpmrepo.release(
        "foo", "2:1.0~rc1-1", requires=["libfoo >= 1:1.0-2", "bar"], conflicts=["baz < 3"], obsoletes=["old"],
        provides=["virtual = 1.0"], files={"/usr/bin/foo": "#!/bin/sh\n", "/etc/foo": "x", "/opt/foo": "y"}, post="true",
    )  # fmt: skip
    rpmrepo.release("libfoo", "1:1.0-2", arch="x86_64")
    node = new_node("dnf4", rpmrepo, start=False)
    paths = [path for path in rpmrepo.paths() if path.endswith(".rpm")]
    for path in paths:
        roots.write_below(node.root, f"/root/made/Packages/{path.rpartition('/')[2]}", rpmrepo.answer(path)[1])
    roots.in_root(node.root, ["createrepo_c", "--quiet", "/root/made"])
    theirs = next((node.root / "root/made/repodata").glob("*-primary.xml.gz")).read_bytes()
    ours = next(path for path in rpmrepo.paths() if path.startswith("/base/") and path.endswith("-primary.xml.gz"))
    assert entries(rpmrepo.answer(ours)[1]) == entries(theirs)
    assert len(paths) == 2


def entries(packed: bytes) -> list[object]:
    """A list of packages as nested tuples, without the times and sizes that a file system gives."""

    def plain(element: ElementTree.Element) -> object:
        attributes = {k: v for k, v in element.attrib.items() if k not in {"file", "archive"}}
        children = [plain(child) for child in element]
        return element.tag, attributes, (element.text or "").strip(), sorted(children, key=repr)

    return [plain(package) for package in ElementTree.fromstring(gzip.decompress(packed))]  # noqa: S314 - ours


def test_a_package_passes_the_tools_own_verification(new_node: NewNode) -> None:
    """rpm finds every digest right, and the same input gives the same bytes."""
    rpm = build("foo", "1.0-1", files={"/usr/bin/foo": "#!/bin/sh\n"}, scripts={"post": "true"})
    node = new_node("zypper", start=False)
    roots.write_below(node.root, f"/root/{rpm.filename}", rpm.content)
    said = roots.in_root(node.root, ["rpm", "--checksig", "--verbose", f"/root/{rpm.filename}"]).lines[1:]
    assert len(said) == 4
    assert all(line.endswith("OK") for line in said)
    again = build("foo", "1.0-1", files={"/usr/bin/foo": "#!/bin/sh\n"}, scripts={"post": "true"})
    assert again.content == rpm.content


@pytest.mark.parametrize("system", SYSTEM_WORDS)
def test_a_node_says_it_is_the_system_that_was_asked_for(system: str) -> None:
    """The product finds itself in every one of them."""
    from patchwright.core import system as product

    fields = dict(re.findall(r'^(\w+)="(.*)"$', systems.os_release(system), re.MULTILINE))
    assert product.identify(fields) is not None, json.dumps(fields)


def test_a_system_nobody_knows_is_refused() -> None:
    """A test that would run on something else does not start."""
    with pytest.raises(ValueError, match="no system with a version"):
        systems.os_release("plan9 4")


def test_a_kind_that_cannot_be_made_says_so(farm: Farm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the archive has no such suite, that kind alone is missing, with a reason."""
    monkeypatch.setitem(machine.SUITES, "dnf5", "nosuchsuite")
    with pytest.raises(FarmUnavailable, match="no root for nodes of kind dnf5"):
        roots.base(tmp_path, "dnf5")
