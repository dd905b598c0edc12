# SPDX-License-Identifier: Apache-2.0
"""Records what zypper and rpm print in the cases that the parsers must read, on a root of made-up packages."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from farm import Farm, Node, RpmRepo
from patchwright.agent.clock import Clock
from patchwright.agent.providers import Settings
from patchwright.agent.providers.rpm import database
from patchwright.agent.providers.zypper.tool import COMMAND, ENVIRONMENT, REQUEST_OPTIONS, Tool
from patchwright.agent.shell import Result, Shell
from recorded.recording import HERE, write

LABEL = "zypper-1.14"
SIMULATE = (*COMMAND, "--no-refresh", "install", "--dry-run", *REQUEST_OPTIONS, "--")
INSTALL = (*COMMAND, "--no-refresh", "install", *REQUEST_OPTIONS, "--download", "in-advance", "--")
# Another process of the same namespace stands in the lock file, and runs.
WHILE_LOCKED = 'sleep 60 & echo $! > /run/zypp.pid; "$@"; code=$?; kill $!; : > /run/zypp.pid; exit $code'


def stock(repo: RpmRepo) -> list[str]:
    """What the repositories hold; the names to install in their release version."""
    names = ["fine", "needy", "pushy", "victim", "post", "pre", "waits", "gone", "locked", "epochal", "barred"]
    with repo.together():
        for name in names:
            repo.release(name, "2:1.0-1" if name == "epochal" else "1.0-1")
        repo.security("fine", "1.0-2", requires=["new"])
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
        repo.kernel("5.14.21-1", name="kernel-default", is_released=True)
        repo.kernel("5.14.21-2", name="kernel-default")
    return [*names, "kernel-default"]


@pytest.mark.farm
def test_record(farm: Farm, rpmrepo: RpmRepo, new_node: Callable[..., Node]):
    """Every case, in an order in which none spoils the next."""
    node = new_node("zypper", rpmrepo, installed=stock(rpmrepo), start=False)
    enter = ["unshare", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child", f"--root={node.root}"]
    clamp = ["setpriv", "--bounding-set=-sys_time,-sys_boot,-sys_module,-sys_rawio", "--inh-caps=-all"]
    shell = Shell(prefix=["nsenter", f"--net={farm.namespace}", *enter, "--mount-proc", *clamp])
    tool = Tool(shell, Settings(root=node.root))

    def record(case: str, *argv: str) -> None:
        write(f"{LABEL}.{case}", shell.run(argv, timeout=120, env=ENVIRONMENT, ok=range(256)))

    record("rpm.list", "rpm", "-qa", "--qf", database.FORMAT)
    record("refresh.fine", *COMMAND, "refresh")
    shell.run(["zypper", "--non-interactive", "addlock", "locked"], timeout=60)
    shell.run(["zypper", "--non-interactive", "addlock", "vic* < 3"], timeout=60)
    shell.run(["zypper", "--non-interactive", "addlock", "--type", "patch", "FARM-SA-2024:1"], timeout=60)
    (HERE / f"{LABEL}.locks").write_text((node.root / "etc/zypp/locks").read_text())
    record("simulate.fine", *SIMULATE, "fine.noarch=1.0-2", "epochal.noarch=2:1.0-2", "post.noarch=1.0-2")
    record("simulate.kernel", *SIMULATE, f"kernel-default.{kernel_arch(node)}=5.14.21-2")
    record("simulate.unmet", *SIMULATE, "fine.noarch=1.0-2", "needy.noarch=1.0-2", "pushy.noarch=1.0-2")
    record("simulate.lock", *SIMULATE, "locked.noarch=1.0-2", "epochal.noarch=2:1.0-2")
    record("simulate.unknown", *SIMULATE, "fine.noarch=9.9-1", "nowhere.noarch=1-1")
    blocked = tool.simulate(["barred.noarch=1.0-2"], [("new", "1.0-2")])
    write(f"{LABEL}.simulate.blocked", blocked)
    record("install.locked", "sh", "-c", WHILE_LOCKED, "sh", *INSTALL, "fine.noarch=1.0-2")
    with rpmrepo.together():
        path = next(path for path in rpmrepo._tree if path.endswith("/gone-1.0-2.noarch.rpm"))
    del rpmrepo._tree[path]
    record("install.gone", *INSTALL, "gone.noarch=1.0-2", "fine.noarch=1.0-2")
    record("install.post", *INSTALL, "post.noarch=1.0-2", "waits.noarch=1.0-2")
    record("install.pre", *INSTALL, "barred.noarch=1.0-2", "pre.noarch=1.0-2")
    record("install.again", *INSTALL, "post.noarch=1.0-2")
    rpmrepo.offline("error", below="updates")
    log = node.root / "root/log"
    tool.install(["fine.noarch=1.0-2"], timeout=60, log=log, clock=Clock())
    write(f"{LABEL}.install.busy", Result((), 0, log.read_text(), ""))
    rpmrepo.online()
    repository = node.root / "etc/zypp/repos.d/updates.repo"
    text = repository.read_text()
    repository.write_text(text.replace("http://", "http://user:secret@127.0.0.9:9/"))
    record("refresh.silent", *COMMAND, "refresh")
    repository.unlink()
    (node.root / "etc/zypp/repos.d/base.repo").unlink()
    record("refresh.none", *COMMAND, "refresh")


def kernel_arch(node: Node) -> str:
    """The architecture of the node's kernel package."""
    return next(key.rpartition(".")[2] for key in node.rpms() if key.startswith("kernel-default."))
