# SPDX-License-Identifier: Apache-2.0
"""What programs and the kernel say of a node, read from recordings (tests/recorded) and from texts written here."""

from __future__ import annotations

import pytest

from patchwright import __version__
from patchwright.agent.errors import CommandMissing
from patchwright.agent.inventory import applications, collecting, network, processor, services
from patchwright.agent.shell import Result
from patchwright.core import inventory as core
from patchwright.core.inventory import SCHEMAS
from patchwright.core.package import Manager
from recorded import recording

EPYC = """\
processor\t: {n}
vendor_id\t: AuthenticAMD
model name\t: AMD EPYC 7B13
cpu MHz\t\t: 2449.998
physical id\t: {socket}
siblings\t: 4
core id\t\t: {core}
cpu cores\t: 2
"""
ARM = """\
processor\t: {n}
BogoMIPS\t: 50.00
CPU implementer\t: 0x41
"""
S390 = """\
vendor_id       : IBM/S390
# processors    : 2
processor 0: version = FF,  identification = 2F4E38,  machine = 3906
"""


class Words:
    """A shell whose programs say what they are told to, or are not there."""

    def __init__(self, **said):
        self.said = said

    def run(self, argv, **_):
        """Say it."""
        name = argv[0].replace("-", "_")
        if name not in self.said:
            raise CommandMissing(argv, "is not installed")
        return Result(tuple(argv), 0, self.said[name], "")


def told(rows, type_name):
    """Whether *rows* have nothing but what their type has."""
    assert rows
    assert {name for row in rows for name in row} <= set(SCHEMAS[type_name].names)
    assert all(value for row in rows for value in row.values())


def test_what_dpkg_says_becomes_applications():
    """Every installed package with its whole version, where it comes from and since when; a date is no number of seconds."""
    rows = applications.parse_dpkg(recording.read("debian-12.dpkg-query.all").stdout)
    told(rows, core.APPLICATION)
    by_name = {row["Name"]: row for row in rows}

    assert by_name["epochal"]["Version"] == "2:1.0-1"
    assert by_name["apt"]["Publisher"] == "APT Development Team <deity@lists.debian.org>"
    assert by_name["apt"]["Summary"] == "commandline package manager"
    assert by_name["libc6"]["PackageId"].startswith("glibc_2.36")
    assert by_name["libc6"]["URL"].startswith("https://")
    assert "URL" not in by_name["apt"]
    assert all(row["InstalledTime"].endswith("Z") and len(row["InstalledTime"]) == 20 for row in rows)


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("installed\ta\tb\tc\t1\t17\tall\t\ta_1\ta summary\twith a tab", 1),
        ("config-files\ta\tb\tc\t1\t17\tall\t\ta_1\ts", 0),
        ("half-installed\ta\tb\tc\t1\t17\tall\t\ta_1\ts", 0),
        ("installed\ta\tb", 0),
        ("", 0),
        ("installed\ta\tb\tc\t1\tsoon\tall\t\ta_1\t", 1),
    ],
)
def test_only_whole_packages_are_applications(line, count):
    """What dpkg has begun or removed is none, nor is a line that is cut."""
    assert len(applications.parse_dpkg(line)) == count


def test_what_rpm_says_becomes_applications():
    """Version, release and epoch apart; what rpm does not know is left out, and so are keys."""
    text = recording.read("dnf-4.rpm.inventory").stdout
    key = "gpg-pubkey" + "\t(none)" * 10 + "\n"
    rows = applications.parse_rpm(text + key + "the rest of a summary\n")
    told(rows, core.APPLICATION)
    by_name = {row["Name"]: row for row in rows}

    assert sorted(by_name) == ["basesystem", "epochal", "plain"]
    assert by_name["epochal"] == {
        "Name": "epochal",
        "ApplicationType": "Unspecified",
        "Publisher": "Test Farm",
        "Version": "1.0",
        "Release": "1",
        "Epoch": "2",
        "InstalledTime": by_name["plain"]["InstalledTime"],
        "Architecture": "noarch",
        "PackageId": "epochal-1.0-1.src.rpm",
        "Summary": "made-up package epochal",
    }
    assert by_name["plain"]["Epoch"] == "0"


def test_so_many_packages_and_no_more_are_kept_in_memory():
    """As many as an item has rows."""
    line = "installed\ta\tb\tc\t1\t17\tall\t\ta_1\ts\n"
    assert len(applications.parse_dpkg(line * 10_001)) == 10_000
    assert len(applications.parse_rpm(("b" + "\t1" * 10 + "\n") * 10_001)) == 10_000


def test_the_package_manager_decides_who_is_asked():
    """dpkg-query on apt systems, rpm on all others."""
    shell = Words(dpkg_query="installed\ta\tb\tc\t1\t17\tall\t\ta_1\ts\n", rpm="b" + "\t1" * 10 + "\n")
    assert [row["Name"] for row in applications.installed(shell, Manager.APT)] == ["a"]
    assert [row["Name"] for row in applications.installed(shell, Manager.DNF)] == ["b"]
    assert [row["Name"] for row in applications.installed(shell, Manager.ZYPPER)] == ["b"]


def test_components_are_this_agent_and_awss():
    """By the names of packages, with what the type has."""
    rows = applications.components(
        [{"Name": "amazon-ssm-agent", "Version": "3.3", "Summary": "x"}, {"Name": "bash", "Version": "5"}]
    )
    told(rows, core.COMPONENT)
    assert [(row["Name"], row["Version"]) for row in rows] == [
        ("patchwright-agent", __version__),
        ("amazon-ssm-agent", "3.3"),
    ]


def test_interfaces_that_are_up_are_the_network():
    """With all their addresses, masks and the way out; the loopback and what is down are left out."""
    addresses, routes = (recording.read(f"iproute2.ip.{case}").stdout for case in ("addr", "route"))
    rows = network.parse(
        addresses, routes, "# nameserver 1\nsearch x\nnameserver 192.0.2.53\nnameserver ::1\nnameserver\n"
    )
    told(rows, core.NETWORK)
    assert rows == [
        {
            "Name": "lan0",
            "MacAddress": "02:00:00:00:00:01",
            "IPV4": "192.0.2.10,198.51.100.7",
            "IPV6": "2001:db8::10",
            "SubnetMask": "255.255.255.0,255.255.240.0",
            "Gateway": "192.0.2.1",
            "DNSServer": "192.0.2.53,::1",
        }
    ]


def test_without_ip_names_and_hardware_addresses_are_known(tmp_path):
    """From the kernel's own files."""
    for name, address, kind in (
        ("lo", "00:00:00:00:00:00", "772"),
        ("eth0", "02:00:00:00:00:09", "1"),
        ("tun0", "", "65534"),
    ):
        directory = tmp_path / "sys/class/net" / name
        directory.mkdir(parents=True)
        (directory / "address").write_text(address + "\n")
        (directory / "type").write_text(kind + "\n")
    assert network.interfaces(Words(), tmp_path) == [
        {"Name": "eth0", "MacAddress": "02:00:00:00:00:09"},
        {"Name": "tun0"},
    ]


@pytest.mark.parametrize("text", ["{", "{}", "7"])
def test_an_ip_that_says_nonsense_is_no_network(text):
    """ValueError, which leaves the type out."""
    with pytest.raises(ValueError):
        network.parse(text, "[]", "")


def processors(text, *places):
    """A cpuinfo of processors at (socket, core)."""
    return "\n".join(text.format(n=n, socket=socket, core=core) for n, (socket, core) in enumerate(places))


@pytest.mark.parametrize(
    ("cpuinfo", "limit", "row"),
    [
        (
            processors(EPYC, (0, 0), (0, 1), (0, 0), (0, 1), (1, 0), (1, 1), (1, 0), (1, 1)),
            None,
            {
                "CPUModel": "AMD EPYC 7B13",
                "CPUs": "8",
                "CPUCores": "4",
                "CPUSockets": "2",
                "CPUSpeedMHz": "2450",
                "CPUHyperThreadEnabled": "true",
            },
        ),
        (
            processors(EPYC, (0, 0)).replace("AMD EPYC 7B13", "Intel(R) Xeon(R) CPU @ 2.20GHz"),
            3_500_000,
            {
                "CPUModel": "Intel(R) Xeon(R) CPU @ 2.20GHz",
                "CPUs": "1",
                "CPUCores": "1",
                "CPUSockets": "1",
                "CPUSpeedMHz": "2200",
                "CPUHyperThreadEnabled": "false",
            },
        ),
        (
            processors(ARM, (0, 0), (0, 0)) + "\nHardware\t: Board\n",
            1_500_000,
            {
                "CPUModel": "Board",
                "CPUs": "2",
                "CPUCores": "2",
                "CPUSockets": "1",
                "CPUSpeedMHz": "1500",
                "CPUHyperThreadEnabled": "false",
            },
        ),
        (
            processors(ARM, (0, 0)),
            None,
            {"CPUs": "1", "CPUCores": "1", "CPUSockets": "1", "CPUHyperThreadEnabled": "false"},
        ),
    ],
)
def test_processors_are_counted(cpuinfo, limit, row):
    """Threads, cores and sockets; a speed that does not change; what is not said is left out."""
    (found,) = processor.parse(cpuinfo, limit_khz=limit)
    assert found == row
    told([found], core.DETAILED_INFORMATION)


@pytest.mark.parametrize("text", ["", S390, "processor\t: many\n"])
def test_a_kernel_that_counts_otherwise_says_nothing(text):
    """No row rather than a wrong one."""
    assert processor.parse(text) == []


def test_units_are_services():
    """With what they need and who needs them; what runs once, and what does not exist, is left out."""
    rows = services.parse(recording.read("debian-12.systemctl-show.all").stdout)
    told(rows, core.SERVICE)
    by_name = {row["Name"]: row for row in rows}

    assert by_name["broken.service"] == {
        "Name": "broken.service",
        "DisplayName": "Fails",
        "ServiceType": "simple",
        "Status": "Failed",
        "StartType": "static",
    }
    journal = by_name["systemd-journald.service"]
    assert (journal["Status"], journal["ServiceType"]) == ("Running", "notify")
    assert journal["DependentServices"] == "systemd-journal-flush.service"
    assert by_name["systemd-update-utmp-runlevel.service"]["StartType"] == "masked"
    assert "for-once.service" not in by_name
    assert services.parse("") == []


def test_other_inits_have_scripts(tmp_path):
    """By name, those that can be started."""
    directory = tmp_path / "etc/init.d"
    directory.mkdir(parents=True)
    for name, mode in (("sshd", 0o755), ("README", 0o644)):
        (directory / name).write_text("")
        (directory / name).chmod(mode)
    assert services.services(Words(), tmp_path) == [{"Name": "sshd", "ServiceType": "script"}]
    assert services.services(Words(), tmp_path / "nowhere") == []


def test_what_cannot_be_found_out_is_left_out(tmp_path):
    """And the rest is collected: the server keeps what it has of the type."""
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").write_text("ID=debian\nVERSION_ID=12\n")
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin/apt-get").write_text("")
    (tmp_path / "var/lib/dpkg").mkdir(parents=True)
    (tmp_path / "var/lib/dpkg/status").write_text("")

    found, complete = collecting.collect(Words(ip="nonsense"), [], tmp_path)

    assert (set(found), complete) == ({core.COMPONENT}, True)


def test_an_item_is_cut_to_what_the_server_takes():
    """Summaries go first; where that is not enough, rows; values are cut; what fits stays whole."""
    small = [{"Name": "a", "Summary": "s" * 5000}]
    assert collecting.of(core.APPLICATION, "1.1", small).rows == [{"Name": "a", "Summary": "s" * 4096}]
    wide = [{"Name": f"p{n}", "Summary": "s" * 400, "URL": "u"} for n in range(3000)]
    assert collecting.of(core.APPLICATION, "1.1", wide).rows[0] == {"Name": "p0", "URL": "u"}
    huge = collecting.of(core.APPLICATION, "1.1", [{"Name": f"{n:04}" + "n" * 1000} for n in range(3000)])
    assert 0 < len(core.canonical(huge.rows)) <= core.MAX_BYTES
    assert huge.rows[0]["Name"].startswith("0000")
    many = collecting.of(core.APPLICATION, "1.1", [{"Name": str(n)} for n in range(12_000)])
    assert len(many.rows) == 10_000


def test_things_found_in_another_order_are_the_same():
    """The hash says so."""
    rows = [{"Name": "a"}, {"Name": "b"}]
    assert collecting.of(core.SERVICE, "1.0", rows) == collecting.of(core.SERVICE, "1.0", rows[::-1])
