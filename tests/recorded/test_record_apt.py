# SPDX-License-Identifier: Apache-2.0
"""Records what apt and dpkg of each release print in the cases that the parsers must read."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from contract.apt_root import AptRoot
from farm import DebRepo, Farm, Node
from patchwright.agent.providers.apt.tool import INSTALL_OPTIONS, REQUEST_OPTIONS, UNATTENDED
from recorded.recording import write

RELEASES = (("deb11", "bullseye", "debian-11"), ("deb12", "bookworm", "debian-12"), ("deb13", "trixie", "debian-13"))
SIMULATE = ("apt-get", "-s", "install", *REQUEST_OPTIONS, "--")
INSTALL = ("apt-get", "install", *INSTALL_OPTIONS, "--")


def stock(repo: DebRepo) -> list[str]:
    """What the archive holds; the names to install in their release version."""
    with repo.together():
        for name in ("fine", "needy", "pushy", "victim", "post", "pre", "waits", "gone", "pinned", "phased"):
            repo.release(name, "1.0-1")
        repo.security("fine", "1.0-2", depends="new")
        repo.security("new", "1.0-2")
        repo.security("needy", "1.0-2", depends="nowhere, fine (>= 3)")
        repo.security("pushy", "1.0-2", fields={"Conflicts": "victim"})
        repo.security("post", "1.0-2", postinst="echo oh no >&2; exit 1")
        repo.security("waits", "1.0-2", depends="post (>= 1.0-2)")
        repo.security("pre", "1.0-2", preinst="exit 2")
        repo.security("gone", "1.0-2")
        repo.security("pinned", "1:1.0-2")
        repo.updates("phased", "1.0-2", fields={"Phased-Update-Percentage": "10"})
    return ["fine", "needy", "pushy", "victim", "post", "pre", "waits", "gone", "pinned", "phased"]


@pytest.mark.farm
@pytest.mark.parametrize(("kind", "codename", "label"), RELEASES)
def test_record(farm: Farm, new_node: Callable[..., Node], kind: str, codename: str, label: str):
    """Every case of one release, in an order in which none spoils the next."""
    repo = farm.debrepo(codename)
    node = AptRoot(repo, new_node(kind, repo, installed=stock(repo), start=False), farm)

    def record(case: str, *argv: str) -> None:
        result = node.shell.run(argv, timeout=120, env=UNATTENDED, ok=range(256))
        write(f"{label}.{case}", result)

    node.write("etc/apt/preferences.d/pinned", "Package: pinned\nPin: version 1:*\nPin-Priority: -5\n")
    record("indextargets.plain", "apt-get", "indextargets")
    record("policy.all", "apt-cache", "policy")
    record("policy.names", "apt-cache", "policy", "--", "fine", "new", "pinned", "nowhere")
    record("simulate.fine", *SIMULATE, "fine=1.0-2", "post=1.0-2")
    record("simulate.unmet", *SIMULATE, "fine=1.0-2", "needy=1.0-2")
    record("simulate.remove", *SIMULATE, "fine=1.0-2", "pushy=1.0-2")
    record("simulate.unknown", *SIMULATE, "fine=9.9", "nowhere=1")
    end = node.lock()
    record("install.locked", *INSTALL, "fine=1.0-2")
    record("configure.locked", "dpkg", "--configure", "--pending")
    end()
    del repo._tree[next(path for path in repo._tree if path.endswith("/gone_1.0-2_all.deb"))]
    record("install.gone", *INSTALL, "gone=1.0-2", "fine=1.0-2", "new=1.0-2")
    record("install.scripts", *INSTALL, "post=1.0-2", "waits=1.0-2", "pre=1.0-2")
    record("configure.scripts", "dpkg", "--configure", "--pending")
    text = (node.root / "etc/apt/sources.list").read_text()
    node.write("etc/apt/sources.list", text + text.splitlines()[0].replace(codename, "nosuch") + "\n")
    record("update.nosuite", "apt-get", "update", "-q")
    node.write("etc/apt/sources.list", text)
    node.silence()
    record("update.silent", "apt-get", "update", "-q", "-oAcquire::Retries=0")
    stranger = DebRepo(repo._lan)
    (node.root / "usr/share/keyrings/other.gpg").write_bytes(stranger.keyring)
    stranger.close()
    node.write("etc/apt/sources.list", text.replace("farm.gpg", "other.gpg", 1))
    repo.release("late", "1.0-1")
    record("update.signature", "apt-get", "update", "-q")
    node.write("etc/apt/sources.list.d/broken.list", "deb what is this\n")
    record("update.malformed", "apt-get", "update", "-q")
    repo.close()
