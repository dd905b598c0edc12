# SPDX-License-Identifier: Apache-2.0
"""A twin is kept apart from the machine: tried from inside, looked at from outside."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from demo import inside, kernel, mounts, place, twin
from farm.commands import until
from farm.debfile import build

pytestmark = pytest.mark.farm

# Each call with its error number; none would do anything if it were allowed: a wrong module, an empty image, the same time.
SYSTEM_CALLS = """
import ctypes, json, os, time
libc = ctypes.CDLL(None, use_errno=True)
def call(function, *arguments):
    ctypes.set_errno(0)
    return 0 if function(*arguments) == 0 else ctypes.get_errno()
class Time(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]
now = time.clock_gettime_ns(time.CLOCK_REALTIME)
print(json.dumps({
    "clock_settime": call(libc.clock_settime, 0, ctypes.byref(Time(now // 10**9, now % 10**9))),
    "mount": call(libc.mount, b"none", b"/mnt", b"tmpfs", 0, None),
    "umount": call(libc.umount2, b"/proc", 2),
    "reboot": call(libc.reboot, 0),
    "init_module": call(libc.init_module, b"", 0, b""),
    "sethostname": call(libc.sethostname, b"x", 1),
    "swapoff": call(libc.swapoff, b"/nothing"),
    "mknod": call(libc.mknod, b"/tmp/device", 0o20600, os.makedev(1, 3)),
    "chroot": call(libc.chroot, b"/"),
}))
"""
EPERM, ENOSYS = 1, 38


def said(one: twin.Twin, script: str) -> list[str]:
    """The lines that a shell script prints in a twin."""
    ended = one.run(["/bin/sh", "-c", script])
    assert ended.code == 0, ended.output
    return ended.output.splitlines()


def test_a_twin_has_its_own_identity(new_twin):
    """Boot id, host name, machine id and process ids are not the machine's."""
    one = new_twin()
    boot_id, name, machine, pid = said(
        one, "cat /proc/sys/kernel/random/boot_id; uname -n; cat /etc/machine-id; echo $$"
    )

    assert boot_id == one.boot_id != Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert name == one.hostname != socket.gethostname()
    assert not Path("/etc/machine-id").exists() or machine != Path("/etc/machine-id").read_text().strip()
    assert int(pid) < 10


def test_what_is_written_stays_in_the_twin_over_a_restart(new_twin):
    """/etc keeps it, /run and /tmp begin anew, and the boot id is another; the machine has none of it."""
    one, name = new_twin(), f"twin-{uuid.uuid4().hex}"
    said(one, f"touch /etc/{name} /run/{name} /tmp/{name}; rm /etc/os-release")
    before = one.boot_id
    found = said(one, f"ls -d /etc/{name} /run/{name} /tmp/{name} /etc/os-release 2>/dev/null || true")

    assert found == [f"/etc/{name}"]
    assert one.boot_id != before
    assert not Path(f"/etc/{name}").exists()
    assert Path("/etc/os-release").exists()


def test_dangerous_capabilities_are_gone_for_good(new_twin):
    """Every set holds only what is kept; a program that is started gets nothing back."""
    lines = dict(line.split(":\t") for line in said(new_twin(), "exec grep ^Cap /proc/self/status"))
    allowed = sum(1 << kernel.CAPABILITIES[name] for name in inside.TWIN_KEEPS)

    assert {int(value, 16) & ~allowed for value in lines.values()} == {0}
    assert int(lines["CapBnd"], 16) == allowed
    assert not {"SYS_ADMIN", "SYS_BOOT", "SYS_TIME", "SYS_MODULE", "SYS_RAWIO", "MKNOD", "SYS_PTRACE"} & set(
        inside.TWIN_KEEPS
    )


def test_calls_that_reach_the_machine_are_refused(new_twin):
    """Clock, mounts, restart, modules, host name, swap and devices: not permitted. A chroot is, maintainer scripts use it."""
    python = "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable
    errors = json.loads(new_twin().run([python, "-c", SYSTEM_CALLS]).output)

    assert errors.pop("chroot") == 0
    assert errors.pop("init_module") in {EPERM, ENOSYS}  # some kernels have no modules at all
    assert set(errors.values()) == {EPERM}, errors


def test_date_cannot_set_the_clock(new_twin):
    """The trap of nsenter, which keeps the machine's capabilities: here nobody ever enters."""
    ended = new_twin().run(["date", "-s", "@1000000000"])

    assert ended.code != 0
    assert "Operation not permitted" in ended.output


def test_processes_of_the_machine_cannot_be_seen_or_killed(new_twin):
    """`kill -9 -1` by the twin's root kills the twin's own processes."""
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as process:
        seen = said(new_twin(), f"ls -d /proc/{process.pid} 2>/dev/null; kill -9 {process.pid} -1 2>/dev/null; true")

        assert seen == []
        assert process.poll() is None
        process.kill()


def test_kernel_settings_cannot_be_written(new_twin):
    """/proc/sys belongs to the whole machine, so it is read-only; requests to the kernel do not exist."""
    found = said(
        new_twin(),
        "for one in /proc/sys/vm/swappiness /proc/sys/kernel/core_pattern /proc/sysrq-trigger /sys/power/state; do"
        " ( : >>$one ) 2>/dev/null && echo $one; done; true",
    )

    assert found == []


def test_sockets_and_files_of_the_demo_and_the_system_are_hidden(new_twin):
    """No D-Bus, no systemd, and the demo's own folder (credentials, the twin's layers) is empty."""
    one = new_twin()
    hidden = one._hidden
    found = said(one, f"ls -A /run; ls -A {hidden}; ls -A /dev | sort | tr '\\n' ' '")

    assert found == [
        "lock",
        "patchwright-twin",
        "fd full null ptmx pts random shm stderr stdin stdout tty urandom zero ",
    ]


def test_abstract_sockets_of_the_machine_are_out_of_reach(new_twin):
    """They belong to the network namespace, which is shared; Landlock forbids them where the kernel has it."""
    name = f"\0patchwright-{uuid.uuid4().hex}"
    probe = f"import socket; socket.socket(socket.AF_UNIX).connect({name!r})"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(name)
        listener.listen()
        ended = new_twin().run(["/usr/bin/python3", "-c", probe])
    if ended.code == 0 and not _has_landlock_scopes():
        pytest.skip("this kernel has no Landlock scopes (Linux 6.12)")

    assert "PermissionError" in ended.output


def test_the_network_can_be_used_and_not_changed(new_twin):
    """The server on loopback is reached; without CAP_NET_ADMIN no address, route or link changes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        probe = f"import socket; socket.create_connection(('127.0.0.1', {port}), 5); print('reached')"
        ended = new_twin().run(["/usr/bin/python3", "-c", probe])

    assert ended.output == "reached\n"
    assert said(new_twin(), "ip link set lo down 2>/dev/null && echo changed; true") == []


def test_a_package_is_installed_in_the_twin_alone(new_twin):
    """dpkg works as on the machine, its script runs, and the machine's database knows nothing of it."""
    name = f"pw-{uuid.uuid4().hex[:8]}"
    deb = build(name, "1.0-1", files={f"/usr/share/{name}/file": "x"}, scripts={"postinst": "echo configured $1"})
    one = new_twin(files={"/root/one.deb": deb.content})
    before = Path("/var/lib/dpkg/status").read_bytes()
    lines = said(
        one, f"dpkg -i /root/one.deb && dpkg-query -W -f '${{db:Status-Abbrev}}' {name} && ls /usr/share/{name}"
    )

    assert any("configured configure" in line for line in lines)
    assert lines[-1].split() == ["ii", "file"]
    assert Path("/var/lib/dpkg/status").read_bytes() == before
    assert not Path(f"/usr/share/{name}").exists()


def test_no_service_is_started(new_twin):
    """Maintainer scripts ask policy-rc.d first, and are told no."""
    assert new_twin().run(["/usr/sbin/policy-rc.d", "ssh", "start"]).code == 101


def test_boot_loaders_are_set_aside(new_twin):
    """A twin has no disk to start from: what writes to one says so and succeeds, through its own updates."""
    one = new_twin()
    said(one, "printf '#!/bin/sh\\nexit 1\\n' >/usr/sbin/update-grub; chmod 755 /usr/sbin/update-grub")

    assert "/usr/sbin/update-grub" in one.leave_out_boot_loaders()
    assert "left out" in said(one, "update-grub; dpkg-divert --list /usr/sbin/update-grub")[0]


def test_a_twin_dies_with_its_owner(layers):
    """After kill -9 of whoever made it no process of it is left, and its folder is swept by the next demo."""
    own = place.Place()
    mark = f"twin-{uuid.uuid4().hex}"
    story = (
        "import sys, pathlib; from demo import twin\n"
        f"one = twin.Twin(pathlib.Path({str(own.folder)!r}) / 'twin', twin.survey(), hidden=pathlib.Path({str(own.base)!r}))\n"
        f"one.run(['/bin/sh', '-c', 'sleep 600; :', {mark!r}], timeout=600)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", story], cwd=twin.PROJECT)
    try:
        until(lambda: len(_processes_of(mark)) > 1, what="the twin to run")
    finally:
        process.kill()
        process.wait()
    until(lambda: not _processes_of(mark), what="the twin to be gone")
    mounted = Path("/proc/self/mountinfo").read_text()
    own.close()

    assert str(own.folder) not in mounted


def test_a_layer_that_cannot_be_overlaid_is_refused_with_the_reason(layers):
    """Nothing half-done: the program is not started, and the sentence names the place."""
    own = place.Place()
    file = own.folder / "no-directory"
    file.mkdir()
    one = twin.Twin(
        own.folder / "twin", [*layers, mounts.Layer(str(file), mounts.How.OVERLAY, essential=True)], hidden=own.base
    )
    file.rmdir()
    try:
        with pytest.raises(twin.TwinFailed, match="no-directory cannot be overlaid"):
            one.run(["/bin/true"])
    finally:
        own.close()


def test_what_cannot_be_overlaid_is_a_copy(layers):
    """As the firmware partition is: the twin reads and writes it, and the machine's stays."""
    own, name = place.Place(), f"copied-{uuid.uuid4().hex}"
    one = twin.Twin(
        own.folder / "twin", [*layers, mounts.Layer("/etc/apt", mounts.How.COPY, essential=True)], hidden=own.base
    )
    try:
        before = sorted(os.listdir("/etc/apt"))
        said(one, f"touch /etc/apt/{name}")

        assert said(one, "ls -A /etc/apt | sort") == sorted([*before, name], key=str.encode)
        assert sorted(os.listdir("/etc/apt")) == before
    finally:
        own.close()


def test_behind_glass_nothing_but_inventory_can_be_written(layers):
    """This machine's own agent sees it as it is, and could not install anything if it were told to."""
    own = place.Place()
    mine = own.folder / "mine"
    script = (
        "for one in / /usr /etc /boot /var/lib/dpkg /root; do"
        " ( : >$one/.patchwright-glass ) 2>/dev/null && echo $one can be written; done;"
        f" touch {mine}; mount -o remount,rw / 2>/dev/null && echo remounted; test -w /var/lib/apt/lists && echo lists"
    )
    spec = {
        "kind": "glass",
        "writable": [str(own.folder)],
        "argv": ["/bin/sh", "-c", script],
        "env": twin.environment(),
    }
    process = twin.launch(spec, subprocess.PIPE)
    output, _ = process.communicate(timeout=30)

    assert output == b"lists\n"
    assert mine.exists()
    own.close()


def test_without_root_the_reason_is_said():
    """An ordinary user is refused before anything is tried."""
    story = (
        "import os; from demo import twin; twin.obstacles(); os.geteuid() or os.setuid(65534); print(twin.obstacles())"
    )
    done = subprocess.run([sys.executable, "-c", story], cwd=twin.PROJECT, capture_output=True, text=True, check=True)

    assert "making a twin needs root" in done.stdout


def _processes_of(mark: str) -> list[int]:
    found = []
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if name.isdigit() and mark.encode() in Path(f"/proc/{name}/cmdline").read_bytes().split(b"\0"):
                found.append(int(name))
    return found


def _has_landlock_scopes() -> bool:
    """Whether a process of this kernel can forbid itself abstract sockets; tried in a process of its own."""
    child = os.fork()
    if child == 0:
        signal.alarm(10)
        os._exit(not kernel.keep_to_own_sockets())
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
