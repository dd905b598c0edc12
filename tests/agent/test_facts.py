# SPDX-License-Identifier: Apache-2.0
"""Taking facts: what the provider says, what /proc says, and which systems are refused."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from patchwright.agent import facts, node
from patchwright.agent.clock import Clock
from patchwright.agent.errors import UnsupportedSystem
from patchwright.agent.providers import Outcome, Reading, Refresh
from patchwright.agent.shell import Shell
from patchwright.core.facts import NodeFacts, Pin, RepositoryProblem, SliceRef
from patchwright.core.package import Manager, Offer, OffersSlice, Origin, Package, PackageSet, check_digest
from patchwright.core.plan import Resolution


class Given:
    """A provider that says what it is told to."""

    manager = Manager.APT

    def __init__(self):
        self.refreshed = 0
        part = OffersSlice.of(Manager.APT, Origin("Debian", "Debian"), [Offer("foo", "all", "2")])
        self.reading = Reading(
            packages=PackageSet.of(Manager.APT, [Package("foo", "all", "1")]),
            slices=((part, SliceRef(part.digest, 500, "http://archive.invalid stable/main")),),
            pins=(Pin("foo", "2", 1),),
            held=("foo.all",),
            refreshed_at=10.0,
        )

    def refresh(self):
        """One problem."""
        self.refreshed += 1
        return Refresh(20.0, (RepositoryProblem("http://archive.invalid stable", "no answer"),))

    def read(self):
        """As given."""
        return self.reading

    def candidates(self, keys):
        """None."""
        return {}

    def resolve(self, intent):
        """Nothing."""
        return Resolution((), {})

    def install(self, plan, progress):
        """Nothing."""
        return Outcome({})

    def reboot_reasons(self):
        """One."""
        return ("libc6 asks for a restart",)


@pytest.fixture
def root(tmp_path):
    """A Debian 12."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").write_text('# comment\nNAME="Debian GNU/Linux"\nVERSION_ID="12"\nID=debian\n')
    return tmp_path


def test_facts_hold_what_everybody_says(root, monkeypatch):
    """The provider's reading, the system's own facts, and a body for every digest."""
    monkeypatch.setenv("PATCHWRIGHT_BOOT_ID_FILE", str(root / "boot"))
    (root / "boot").write_text("boot-1\n")
    provider = Given()
    taken = facts.take(provider, refresh=True, clock=Clock(), clock_offset=1.5, root=root)

    assert provider.refreshed == 1
    assert (taken.facts.product, taken.facts.boot_id, taken.facts.kernel) == ("Debian12", "boot-1", os.uname().release)
    assert (taken.facts.refreshed_at, taken.facts.clock_offset) == (20.0, 1.5)
    assert taken.facts.problems[0].repository == "http://archive.invalid stable"
    assert taken.facts.reboot_reasons == ("libc6 asks for a restart",)
    assert NodeFacts.from_json(taken.facts.to_json()) == taken.facts
    assert sorted(taken.bodies) == sorted(taken.facts.digests)
    for digest, body in taken.bodies.items():
        check_digest(digest, body)


def test_without_a_refresh_the_age_is_the_readings(root):
    """No network is asked for, and the facts say how old the metadata is."""
    provider = Given()
    taken = facts.take(provider, refresh=False, clock=Clock(), root=root)

    assert provider.refreshed == 0
    assert taken.facts.refreshed_at == 10.0
    assert taken.facts.problems == ()


def test_a_system_that_no_baseline_covers_is_refused(root):
    """The message names the system; nothing is guessed from ID_LIKE."""
    (root / "etc/os-release").write_text('ID=devuan\nID_LIKE=debian\nPRETTY_NAME="Devuan 5"\n')
    with pytest.raises(UnsupportedSystem, match="Devuan 5"):
        facts.take(Given(), refresh=False, clock=Clock(), root=root)
    (root / "etc/os-release").unlink()
    with pytest.raises(UnsupportedSystem, match="no os-release"):
        facts.supported_system(root)


def test_os_release_is_unquoted_and_rubbish_skipped():
    """Both quotes, escapes, and lines that are no assignment."""
    text = 'A=plain\nB=\'single\'\nC="a \\"b\\""\nrubbish\n#D=1\nE="open\n'

    assert node.assignments(text) == {"A": "plain", "B": "single", "C": 'a "b"', "E": "open"}


def plant(proc: Path, pid: int, *, maps: str, cgroup: str, namespace: str = "pid:[1]", root: str = "/") -> None:
    """A made-up process."""
    process = proc / str(pid)
    (process / "ns").mkdir(parents=True)
    (process / "ns/pid").symlink_to(namespace)
    (process / "root").symlink_to(root)
    (process / "maps").write_text(maps)
    (process / "cgroup").write_text(cgroup)


REPLACED = "7f0000000000-7f0000001000 r-xp 00000000 fe:01 1234 /usr/lib/libssl.so.3 (deleted)\n"


def test_services_that_run_replaced_files_are_named(tmp_path):
    """Executable mappings of replaced files count, in both versions of cgroups; sessions and containers do not."""
    plant(tmp_path, 1, maps="", cgroup="0::/init.scope\n")
    os.rename(tmp_path / "1", tmp_path / "self")
    web = "0::/system.slice/web.service\n"
    plant(tmp_path, 11, maps=REPLACED, cgroup=web)
    plant(tmp_path, 12, maps=REPLACED, cgroup="4:cpu:/x.service\n1:name=systemd:/system.slice/old.service/sub\n")
    plant(tmp_path, 13, maps=REPLACED, cgroup="0::/user.slice/user-0.slice/session-1.scope\n")
    plant(tmp_path, 14, maps=REPLACED, cgroup="0::/system.slice/docker-1.scope/in.service\n", namespace="pid:[2]")
    plant(tmp_path, 15, maps=REPLACED, cgroup="0::/system.slice/chrooted.service\n", root=str(tmp_path))
    for pid, line in enumerate(
        [
            REPLACED.replace("r-xp", "r--p"),
            REPLACED.replace("/usr/lib/libssl.so.3", "/memfd:jit"),
            REPLACED.replace("/usr/lib/libssl.so.3", "/dev/zero"),
            REPLACED.replace(" (deleted)", ""),
        ],
        start=21,
    ):
        plant(tmp_path, pid, maps=line, cgroup=f"0::/system.slice/clean{pid}.service\n")

    assert facts.stale_services(tmp_path) == ("old.service", "web.service")


def test_a_real_process_that_runs_a_replaced_file_is_seen(tmp_path):
    """The kernel's own words for a deleted executable are the ones that are looked for."""
    copy = tmp_path / "sleeper"
    copy.write_bytes(Path("/bin/sleep").read_bytes())
    copy.chmod(0o755)
    shell = Shell()
    process = shell.spawn_detached([str(copy), "600"], log=tmp_path / "log")
    try:
        maps = Path(f"/proc/{process.pid}/maps")
        while b"sleeper" not in maps.read_bytes():
            assert shell.is_alive(process)
        copy.unlink()
        replaced = [path for path in facts._REPLACED.findall(maps.read_bytes()) if path.endswith(b"sleeper")]
    finally:
        shell.end(process)

    assert replaced == [str(copy).encode()]


def test_nothing_of_this_test_run_is_stale():
    """The real /proc can be read; this process belongs to no stale service."""
    assert isinstance(facts.stale_services(), tuple)
    assert not facts._runs_replaced_files(Path("/proc/self/maps")) or sys.executable
