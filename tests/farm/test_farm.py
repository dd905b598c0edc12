# SPDX-License-Identifier: Apache-2.0
"""The farm keeps its promises: nodes are real, separate and clamped, and nothing of them stays on the host."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from farm import CommandFailed, DebRepo, Farm, FarmError, Node, Timeout, life, machine, roots, until
from farm.fixtures import required

pytestmark = pytest.mark.farm
NewNode = Callable[..., Node]
SIMULATE = ["apt-get", "--simulate", "dist-upgrade"]
CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), float(sys.argv[3]))"


def outstanding(node: Node) -> list[str]:
    """Names apt would upgrade in *node* now."""
    return sorted(line.split()[1] for line in node.run(SIMULATE).lines if line.startswith("Inst "))


# ------------------------------------------------------------------------------------------------------- life cycle


def test_a_node_boots_with_an_identity_of_its_own(new_node: NewNode) -> None:
    """Two nodes side by side differ in name, machine id, boot id and address, and all their units are fine."""
    one, two = new_node(name="one"), new_node(name="two")
    assert one.wait_running() == two.wait_running() == "running"
    assert [node.read("/proc/sys/kernel/hostname").strip() for node in (one, two)] == ["one", "two"]
    assert one.read("/etc/machine-id") != two.read("/etc/machine-id")
    host = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert len({one.boot_id(), two.boot_id(), host}) == 3
    assert one.address != two.address
    one.write("/etc/only-here", "x")
    assert two.run(["cat", "/etc/only-here"], check=False).code == 1


def test_a_reboot_from_inside_brings_the_node_back(new_node: NewNode) -> None:
    """`systemctl reboot`: new boot id, /run empty again, files kept, an enabled service started again."""
    node = new_node()
    node.unit("witness", "/bin/sh -c 'echo started >>/var/witness; exec sleep infinity'")
    node.write("/run/volatile", "x")
    before = node.boot_id()
    node.run(["systemctl", "reboot"], check=False)
    node.wait_running(boots=2)
    assert node.boot_id() != before
    assert node.run(["test", "-e", "/run/volatile"], check=False).code == 1
    assert node.read("/var/witness") == "started\n" * 2
    assert node.boots == 2


def test_a_reboot_from_outside_waits_until_the_node_is_back(new_node: NewNode) -> None:
    """`Node.reboot` is an orderly reboot."""
    node = new_node()
    before = node.boot_id()
    node.reboot()
    assert node.boot_id() != before


def test_a_crashed_node_can_be_started_again(new_node: NewNode) -> None:
    """A crash ends everything at once; files stay; the next start is a new boot."""
    node = new_node()
    node.write("/etc/kept", "kept\n")
    before = node.boot_id()
    sleeper = node.spawn(["sleep", "600"])
    node.crash()
    assert not node.running
    assert sleeper.wait() != 0
    with pytest.raises(FarmError, match="not running"):
        node.run(["true"])
    node.start()
    assert node.read("/etc/kept") == "kept\n"
    assert node.boot_id() != before


def test_a_node_switched_off_stays_off_until_it_is_started(new_node: NewNode) -> None:
    """Power-off, from outside and from inside, is not a reboot."""
    node = new_node()
    node.poweroff()
    assert not node.running
    node.start()
    node.run(["systemctl", "poweroff"], check=False)
    until(lambda: not node.running, what="the node to switch itself off")
    assert node.boots == 2


# ----------------------------------------------------------------------------------------------- package databases


def test_what_is_outstanding_is_exactly_what_was_asked(debrepo: DebRepo, new_node: NewNode) -> None:
    """apt sees the asked packages outstanding, from Debian-Security or the updates suite, and nothing else."""
    with debrepo.together():
        for name in ("foo", "bar", "baz", "unused"):
            debrepo.release(name, "1.0-1")
        debrepo.security("foo", "1.0-1+deb12u1")
        debrepo.security("unused", "1.0-1+deb12u1")
        debrepo.updates("bar", "1.1-1")
    node = new_node("deb12", debrepo, outstanding=["foo", "bar"], installed=["baz"])
    lines = [line for line in node.run(SIMULATE).lines if line.startswith("Inst ")]
    assert sorted(lines) == [
        "Inst bar [1.0-1] (1.1-1 Debian:12-updates/oldstable-updates [all])",
        "Inst foo [1.0-1] (1.0-1+deb12u1 Debian-Security:12/oldstable-security [all])",
    ]
    assert {name: node.installed()[f"{name}.all"] for name in ("foo", "bar", "baz")} == dict.fromkeys(
        ("foo", "bar", "baz"), ("1.0-1", "ii")
    )


def test_asking_for_something_that_is_not_outstanding_is_refused(farm: Farm, debrepo: DebRepo) -> None:
    """A test that would assert nothing does not start."""
    debrepo.release("foo", "1.0-1")
    debrepo.security("foo", "1.0-1")
    with pytest.raises(ValueError, match="foo has nothing outstanding"):
        farm.node("deb12", debrepo, outstanding=["foo"])


def test_a_failing_postinst_leaves_the_package_half_configured(debrepo: DebRepo, new_node: NewNode) -> None:
    """dpkg says iF for the one and ii for the other, and apt's code tells them not apart."""
    for name in ("bad", "good"):
        debrepo.release(name, "1.0-1")
    debrepo.security("bad", "1.0-1+deb12u1", postinst="echo cannot start >&2\nexit 1")
    debrepo.security("good", "1.0-1+deb12u1")
    node = new_node("deb12", debrepo, outstanding=["bad", "good"])
    result = node.run(["apt-get", "--yes", "dist-upgrade"], check=False)
    assert result.code == 100
    assert "cannot start" in result.stdout + result.stderr
    assert node.installed()["bad.all"] == ("1.0-1+deb12u1", "iF")
    assert node.installed()["good.all"] == ("1.0-1+deb12u1", "ii")


def test_nodes_from_one_layer_do_not_share_changes(debrepo: DebRepo, new_node: NewNode) -> None:
    """Patching one node leaves its twin as it was."""
    debrepo.release("foo", "1.0-1", conffiles={"/etc/foo.conf": "one\n"})
    debrepo.security("foo", "1.0-1+deb12u1", conffiles={"/etc/foo.conf": "two\n"})
    one = new_node("deb12", debrepo, outstanding=["foo"])
    two = new_node("deb12", debrepo, outstanding=["foo"])
    one.run(["apt-get", "--yes", "install", "foo"])
    assert one.read("/etc/foo.conf") == "two\n"
    assert two.read("/etc/foo.conf") == "one\n"
    assert (outstanding(one), outstanding(two)) == ([], ["foo"])


def test_a_changed_repository_is_seen_at_the_next_refresh(debrepo: DebRepo, new_node: NewNode) -> None:
    """A newer version replaces the outstanding one; the superseded file can be made to vanish."""
    debrepo.release("foo", "1.0-1")
    old = debrepo.security("foo", "1.0-1+deb12u1")
    node = new_node("deb12", debrepo, outstanding=["foo"])
    debrepo.security("foo", "1.0-1+deb12u2")
    debrepo.purge()
    stale = node.run(["apt-get", "--yes", "install", "foo"], check=False)
    assert stale.code == 100
    assert any(path.endswith(old.filename) for path in debrepo.requests)
    node.run(["apt-get", "update"])
    node.run(["apt-get", "--yes", "install", "foo"])
    assert node.installed()["foo.all"] == ("1.0-1+deb12u2", "ii")


@pytest.mark.parametrize("how", ["refuse", "error"])
def test_a_repository_can_be_unreachable_for_a_while(debrepo: DebRepo, new_node: NewNode, how: str) -> None:
    """apt cannot refresh while it is offline, and can again afterwards, at the same address."""
    node = new_node("deb12", debrepo)
    refresh = ["apt-get", "update", "--error-on=any", "-o", "Acquire::Retries=0"]  # else 1 + 2 + 4 s of pauses
    debrepo.offline(how)
    assert node.run(refresh, check=False).code == 100
    debrepo.online()
    assert node.run(refresh).code == 0


def test_a_repository_that_is_not_signed_by_its_key_is_refused(debrepo: DebRepo, new_node: NewNode) -> None:
    """The nodes verify signatures: another repository's key is not accepted."""
    node = new_node("deb12", debrepo)
    node.run(["sh", "-c", "printf nothing >/usr/share/keyrings/farm.gpg"])
    assert node.run(["apt-get", "update", "--error-on=any"], check=False).code == 100


def test_a_repository_can_change_while_it_is_being_asked(debrepo: DebRepo, new_node: NewNode) -> None:
    """A hook on requests publishes a newer version between a node's refresh and its download."""
    debrepo.release("foo", "1.0-1")
    debrepo.security("foo", "1.0-1+deb12u1")
    node = new_node("deb12", debrepo, outstanding=["foo"])

    def drift(path: str) -> None:
        if path.endswith(".deb"):
            debrepo.on_request = None
            debrepo.security("foo", "1.0-1+deb12u2")
            debrepo.purge()

    debrepo.on_request = drift
    assert node.run(["apt-get", "--yes", "install", "foo"], check=False).code == 100
    assert node.installed()["foo.all"] == ("1.0-1", "ii")
    node.run(["apt-get", "update"])
    assert "(1.0-1+deb12u2 " in node.run(SIMULATE).stdout


def test_a_repository_can_hang(debrepo: DebRepo, new_node: NewNode) -> None:
    """A silent server keeps apt, and its lock, waiting until the server speaks again."""
    node = new_node("deb12", debrepo)
    debrepo.offline("hang")
    asked = len(debrepo.requests)
    refresh = node.spawn(["apt-get", "update", "--error-on=any"])
    until(lambda: len(debrepo.requests) > asked, what="the first request")
    locked = node.run(["apt-get", "update"], check=False)
    assert "Could not get lock" in locked.stderr
    assert refresh.poll() is None
    debrepo.online()
    assert refresh.wait() == 0


# ---------------------------------------------------------------------------------------------- commands in a node


def test_nothing_in_a_node_can_move_the_hosts_clock(new_node: NewNode) -> None:
    """Neither a command from outside nor a service of the node: both lack CAP_SYS_TIME."""
    node = new_node()
    drift = time.time() - time.monotonic()
    assert "Operation not permitted" in node.run(["date", "-s", "+1 hour"], check=False).stderr
    node.write("/etc/systemd/system/clock.service", "[Service]\nType=oneshot\nExecStart=/bin/date -s '+1 hour'\n")
    assert node.run(["systemctl", "start", "clock"], check=False).code != 0
    assert abs(time.time() - time.monotonic() - drift) < 60


def test_a_command_that_does_not_end_is_killed_with_all_it_started(new_node: NewNode) -> None:
    """A timeout leaves no process behind."""
    node = new_node()
    with pytest.raises(Timeout, match="did not end within"):
        node.run(["sh", "-c", "sleep 600 & sleep 600"], timeout=0.5)
    assert node.run(["sh", "-c", "cat /proc/[0-9]*/comm"]).lines.count("sleep") == 0


def test_a_relative_path_stays_inside_the_node(new_node: NewNode) -> None:
    """Commands start in the node's root directory, not in one of the host."""
    node = new_node()
    assert node.run(["pwd"]).stdout == "/\n"
    node.run(["sh", "-c", "echo x >farm-relative"])
    assert node.read("/farm-relative") == "x\n"
    assert not Path("/farm-relative").exists()


def test_a_failing_command_shows_what_it_said(new_node: NewNode) -> None:
    """The error carries code, stdout and stderr, and the message shows them."""
    with pytest.raises(CommandFailed, match="to stderr") as caught:
        new_node().run(["sh", "-c", "echo to stdout; echo to stderr >&2; exit 3"])
    assert (caught.value.result.code, caught.value.result.stdout) == (3, "to stdout\n")


def test_a_spawned_process_can_be_watched_and_killed(new_node: NewNode) -> None:
    """It runs in the node; kill -9 ends it, and its code says so."""
    node = new_node()
    process = node.spawn(["sh", "-c", 'echo "hello from $WHERE"; exec sleep 600'], env={"WHERE": "inside"})
    until(lambda: "hello from inside" in process.text(), what="its first line")
    until(lambda: "sleep" in node.run(["sh", "-c", "cat /proc/[0-9]*/comm"]).lines, what="the process in the node")
    assert process.poll() is None
    process.kill(signal.SIGKILL, children=False)
    assert process.wait() == -signal.SIGKILL


def test_files_go_into_a_node_and_come_back(new_node: NewNode, tmp_path: Path) -> None:
    """`write` is for text, `push` for any file; a pushed program can run."""
    node = new_node()
    program = tmp_path / "program"
    program.write_bytes(b"#!/bin/sh\necho pushed\n# \xff\xfe\n")
    node.push(program, "/opt/somewhere/program")
    assert node.run(["/opt/somewhere/program"]).stdout == "pushed\n"
    node.write("/opt/note", "žluťoučký\n", mode=0o600)
    assert node.read("/opt/note") == "žluťoučký\n"
    assert node.run(["stat", "-c", "%a", "/opt/note"]).stdout == "600\n"


def test_writing_from_outside_does_not_follow_links_out_of_the_node(tmp_path: Path) -> None:
    """/var/run is a link to /run: from outside that would be the host's."""
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    root.mkdir()
    elsewhere.mkdir()
    (root / "link").symlink_to(elsewhere)
    (root / "file").symlink_to(elsewhere / "file")
    with pytest.raises(ValueError, match="leads through link"):
        roots.write_below(root, "/link/deep/file", "x")
    roots.write_below(root, "/file", "x")
    assert (root / "file").read_text() == "x"
    assert list(elsewhere.iterdir()) == []


# ------------------------------------------------------------------------------------------------------------ network


def test_a_cut_cable_is_a_partition_until_it_is_healed(farm: Farm, new_node: NewNode) -> None:
    """The node cannot connect while it is cut off."""
    node = new_node()
    with farm.listen() as listener:
        connect = ["python3", "-c", CONNECT, farm.lan_address, str(listener.getsockname()[1])]
        node.run([*connect, "5"])
        node.partition()
        assert node.run([*connect, "0.2"], check=False).code == 1
        node.heal()
        node.run([*connect, "5"])


def test_a_server_on_the_hosts_loopback_can_be_reached(farm: Farm, new_node: NewNode) -> None:
    """`expose` relays a port of the host into the LAN."""

    class Hello(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"hello node")

    with HTTPServer(("127.0.0.1", 0), Hello) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        address = farm.expose(server.server_port)
        fetch = f"import urllib.request; print(urllib.request.urlopen('http://{address}/').read().decode())"
        assert new_node().run(["python3", "-c", fetch]).stdout == "hello node\n"
        server.shutdown()
        thread.join()


def test_a_node_has_no_way_out(new_node: NewNode) -> None:
    """There is no route but the LAN, and no name server to wait for."""
    node = new_node()
    routes = node.read("/proc/net/route").splitlines()[1:]
    assert [line.split()[:2] for line in routes] == [["eth0", "0000D50A"]]
    assert node.read("/etc/resolv.conf") == ""


# --------------------------------------------------------------------------------------------------------------- host

VICTIM = """
import sys
from farm import Farm
farm = Farm()
repo = farm.debrepo()
repo.release("foo", "1.0-1")
node = farm.node("deb12", repo, installed=["foo"])
node.spawn(["sleep", "600"])
print(farm.number, flush=True)
sys.stdin.read()
farm.close()
"""


@contextlib.contextmanager
def another_farm() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A farm with a node in a process of its own, which closes it when its input ends; its number. One at a time."""
    environment = {"PYTHONPATH": str(Path(__file__).parent.parent), "HOME": str(Path.home())}
    with (
        Path(__file__).open() as turn,
        subprocess.Popen(
            [sys.executable, "-c", VICTIM], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process,
    ):
        fcntl.flock(turn, fcntl.LOCK_EX)
        yield process, process.stdout.readline().strip()


def traces(number: str) -> list[str]:
    """What of the farm *number* is on this machine."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    places = [life.HOME / number, *(root / "pwfarm" / number for root in machine.cgroup_roots())]
    return [
        *(str(place) for place in places if place.exists()),
        *(line for line in mounts if f"{life.HOME}/{number}/" in line),
    ]


def host_state() -> dict[str, str]:
    """What no test may change on the host."""
    database = hashlib.sha256(Path("/var/lib/dpkg/status").read_bytes()).hexdigest()
    links = subprocess.run(["ip", "-brief", "address"], capture_output=True, text=True, check=True).stdout
    return {
        "packages": database,
        "network": links,
        "namespaces": str(sorted(Path("/run/netns").glob("pwfarm*"))),
        "boot": Path("/proc/sys/kernel/random/boot_id").read_text(),
        "sources": hashlib.sha256(
            b"".join(p.read_bytes() for p in sorted(Path("/etc/apt").rglob("*.list")))
        ).hexdigest(),
    }


def test_what_a_killed_test_run_left_behind_is_swept(farm: Farm) -> None:
    """After kill -9 of the test process, the next farm ends its nodes and unmounts their roots; living farms stay."""
    with another_farm() as (process, number):
        assert number != farm.number
        with life.alone():  # else a farm that begins at this moment might have swept it already
            process.kill()
            assert process.wait() == -signal.SIGKILL
            assert len(traces(number)) > 3
            assert number in life.sweep_dead()
            assert traces(number) == []
    assert traces(farm.number) != []


def test_a_closed_farm_leaves_the_host_as_it_was(farm: Farm) -> None:
    """Packages, network and clock of the host are untouched, and no mount, process group or folder stays."""
    before, drift = host_state(), time.time() - time.monotonic()
    with another_farm() as (process, number):
        assert len(traces(number)) > 3
        process.stdin.close()
        assert process.wait() == 0
        assert traces(number) == []
    assert host_state() == before
    assert abs(time.time() - time.monotonic() - drift) < 60


@pytest.mark.parametrize(
    ("variables", "expected"),
    [({}, False), ({"CI": "false"}, False), ({"CI": "true"}, True), ({"PATCHWRIGHT_REQUIRE_FARM": "1"}, True)],
    ids=str,
)
def test_a_missing_farm_fails_only_where_it_is_required(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: bool
) -> None:
    """A developer's machine without root skips; CI must not pass without having tested."""
    for name in ("CI", "PATCHWRIGHT_REQUIRE_FARM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert required() is expected


@pytest.mark.real
def test_a_real_node_misses_genuine_security_updates(new_node: NewNode) -> None:
    """Installed from the release alone, the genuine archive's security suite has something newer, and it installs."""
    node = new_node("deb12-real")
    lines = [line for line in node.run(SIMULATE).lines if line.startswith("Inst ")]
    security = {line.split()[1] for line in lines if "Debian-Security:" in line}
    assert security
    smallest = "tzdata" if "tzdata" in security else min(security)
    node.run(["apt-get", "--yes", "install", "--only-upgrade", smallest], timeout=120)
    assert smallest not in outstanding(node)
