# SPDX-License-Identifier: Apache-2.0
"""Records what dnf 4, dnf 5 and rpm print in the cases that the readers must know, on nodes with made-up packages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from contract.rpm_node import LOCK
from farm import Node, RpmRepo
from patchwright.agent.providers import Settings
from patchwright.agent.providers.dnf.tool import Tool
from patchwright.agent.providers.rpm import database
from patchwright.agent.shell import Result, Shell
from recorded.recording import HERE, write

# Another process holds rpm's lock for as long as the command runs.
WHILE_LOCKED = """
import fcntl, subprocess, sys
with open("/var/lib/rpm/.rpm.lock", "w") as lock:
    fcntl.lockf(lock, fcntl.LOCK_EX)
    sys.exit(subprocess.run(sys.argv[1:]).returncode)
"""


def stock(repo: RpmRepo) -> list[str]:
    """What the repositories hold; the names to install in their release version."""
    names = ["fine", "needy", "pushy", "victim", "post", "pre", "waits", "gone", "locked", "epochal", "barred"]
    with repo.together():
        for name in names:
            repo.release(name, "2:1.0-1" if name == "epochal" else "1.0-1")
        repo.security("fine", "1.0-2", requires=["new"], cves=["CVE-2024-1"], bugzillas=["123"])
        repo.security("new", "1.0-2")
        repo.security("needy", "1.0-2", requires=["nowhere"])
        repo.security("pushy", "1.0-2", conflicts=["victim"])
        repo.security("post", "1.0-2", post="echo oh no >&2; exit 1")
        repo.security("pre", "1.0-2", pre="exit 2")
        repo.security("waits", "1.0-2", requires=["post >= 1.0-2"])
        repo.security("gone", "1.0-2")
        repo.security("locked", "1.0-2")
        repo.security("epochal", "2:1.0-2")
        repo.security("barred", "1.0-2", requires=["new"])
        repo.security("usurper", "1.0-2", obsoletes=["victim"])
        repo.kernel("5.14.0-1", is_released=True)
        repo.kernel("5.14.0-2")
    return [*names, "kernel-core"]


@pytest.mark.farm
@pytest.mark.parametrize(("kind", "label"), [("dnf4", "dnf-4"), ("dnf5", "dnf-5")])
def test_record(rpmrepo: RpmRepo, new_node: Callable[..., Node], tmp_path: Path, kind: str, label: str):
    """Every case, in an order in which none spoils the next."""
    node = new_node(kind, rpmrepo, installed=stock(rpmrepo))
    shell = Shell(prefix=node.entry())
    tool = Tool(shell, Settings(root=node.seen()))
    program, log = tool.engine.program, tmp_path / "log"
    logs = [0]

    def keep(case: str, result: Result) -> None:
        write(f"{label}.{case}", result)

    def act(case: str, *arguments: str) -> None:
        logs[0] += 1
        keep(case, tool.act("upgrade", arguments, timeout=120, log=log.with_name(f"{logs[0]}.log")))

    keep("rpm.list", shell.run(["rpm", "-qa", "--queryformat", database.FORMAT], timeout=60))
    keep("refresh.fine", tool.refresh(60))
    listing = ["repo", "list", "--enabled", "--json"] if kind == "dnf5" else ["-q", "repolist", "--enabled"]
    keep("repositories.plain", shell.run([program, "-C", *listing], timeout=60))
    kernel = next(key.rpartition(".")[2] for key in node.rpms() if key.startswith("kernel-core."))
    fine = ("fine-0:1.0-2.noarch", "epochal-2:1.0-2.noarch")
    keep("simulate.fine", tool.simulate("upgrade", [*fine, f"kernel-core-0:5.14.0-2.{kernel}"]))
    keep("simulate.unmet", tool.simulate("upgrade", [*fine, "needy-0:1.0-2.noarch", "pushy-0:1.0-2.noarch"]))
    keep("simulate.blocked", tool.simulate("upgrade", ["barred-0:1.0-2.noarch"], ["new-0:1.0-2.noarch"]))
    keep("simulate.unknown", tool.simulate("upgrade", [*fine, "nowhere-0:1-1.noarch"]))
    keep("simulate.nothing", tool.simulate("upgrade", ["victim-0:1.0-1.noarch"]))
    keep("simulate.obsoletes", tool.simulate("install", ["usurper-0:1.0-2.noarch"]))
    keep("simulate.downgrade", tool.simulate("downgrade", ["victim-0:0.9-1.noarch"]))
    shell.run([*LOCK[kind], "locked"], timeout=60, ok=range(256))
    locks = ("etc/dnf/plugins/versionlock.list", "etc/dnf/versionlock.toml")
    text = next(((node.root / path).read_text() for path in locks if (node.root / path).exists()), "")
    (HERE / f"{label}.locks").write_text(text)
    keep("simulate.locked", tool.simulate("upgrade", ["locked-0:1.0-2.noarch"]))
    argv = [program, "-y", "upgrade", "fine-0:1.0-2.noarch"]
    keep("install.locked", shell.run(["python3", "-c", WHILE_LOCKED, *argv], timeout=60, ok=range(256)))
    path = next(path for path in rpmrepo._tree if path.endswith("/gone-1.0-2.noarch.rpm"))
    del rpmrepo._tree[path]
    act("install.gone", "gone-0:1.0-2.noarch", "epochal-2:1.0-2.noarch")
    act("install.scripts", "post-0:1.0-2.noarch", "pre-0:1.0-2.noarch", "waits-0:1.0-2.noarch", *fine)
    act("install.again", "post-0:1.0-2.noarch")
    repository = next((node.root / "etc/yum.repos.d").glob("*updates*"), None) or next(
        (node.root / "etc/yum.repos.d").glob("*.repo")
    )
    text = repository.read_text()
    repository.write_text(text.replace(rpmrepo.url("updates"), "http://user:secret@127.0.0.9:9/updates"))
    keep("refresh.silent", tool.refresh(60))
    repository.write_text(text)
    (node.root / "etc/yum.repos.d/broken.repo").write_text("[x]\nnonsense\n")
    keep("refresh.malformed", tool.refresh(60))
