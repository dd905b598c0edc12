# SPDX-License-Identifier: Apache-2.0
"""Records what the programs print that the inventory is read from, on nodes with made-up packages."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from farm import DebRepo, Node, RpmRepo
from patchwright.agent.inventory import applications, services
from patchwright.agent.shell import Shell
from recorded.recording import write

IP_ADDRESSES = ("ip", "-j", "addr")
IP_ROUTES = ("ip", "-j", "route", "show", "default")


@pytest.mark.farm
def test_record_debian(debrepo: DebRepo, new_node: Callable[..., Node]):
    """dpkg with an epoch; systemd with a unit that failed and one that is made for one run."""
    debrepo.release("plain", "1.0-1")
    debrepo.release("epochal", "2:1.0-1")
    node = new_node("deb12", debrepo, installed=["plain", "epochal"])
    node.write("/etc/systemd/system/broken.service", "[Unit]\nDescription=Fails\n[Service]\nExecStart=/bin/false\n")
    node.run(["systemctl", "daemon-reload"])
    node.run(["systemctl", "start", "broken.service"], check=False)
    node.run(["systemd-run", "--unit=for-once", "sleep", "600"])
    words = ["dpkg-query", "--show", f"--showformat={applications.DPKG_FORMAT}"]
    write("debian-12.dpkg-query.all", Shell(prefix=node.entry()).run(words, timeout=60))
    write("debian-12.systemctl-show.all", Shell(prefix=node.entry()).run(services.SHOW, timeout=60))


@pytest.mark.farm
def test_record_rpm(rpmrepo: RpmRepo, new_node: Callable[..., Node]):
    """rpm with an epoch and without."""
    rpmrepo.release("plain", "1.0-1")
    rpmrepo.release("epochal", "2:1.0-1")
    node = new_node("dnf4", rpmrepo, installed=["plain", "epochal"])
    words = ["rpm", "-qa", "--queryformat", applications.RPM_FORMAT]
    write("dnf-4.rpm.inventory", Shell(prefix=node.entry()).run(words, timeout=60))


@pytest.mark.farm
def test_record_network():
    """A machine's own, in a namespace where interfaces are made up."""
    make = (
        "set -e; ip link set lo up; ip link add lan0 address 02:00:00:00:00:01 type veth peer name idle0"
        " address 02:00:00:00:00:02; ip addr add 192.0.2.10/24 dev lan0; ip addr add 198.51.100.7/20 dev lan0;"
        " ip -6 addr add 2001:db8::10/64 dev lan0 nodad; ip link set lan0 up; ip route add default via 192.0.2.1;"
    )
    for case, words in (("addr", IP_ADDRESSES), ("route", IP_ROUTES)):
        script = f"{make} exec {' '.join(words)}"
        write(f"iproute2.ip.{case}", Shell(prefix=["unshare", "--net"]).run(["sh", "-c", script], timeout=60))
