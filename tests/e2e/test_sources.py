# SPDX-License-Identifier: Apache-2.0
"""A baseline's own repositories on real nodes: used for one operation, whatever cuts it off, and nothing is left to restore."""

from __future__ import annotations

import contextlib

import pytest

from .station import STATE_DIR, lines, until

pytestmark = [pytest.mark.farm, pytest.mark.e2e]

SLOW = "echo begin >>/var/log/slow; until test -e /go; do sleep 0.05; done; echo end >>/var/log/slow"
# Everything that apt is told on this node and all that it keeps of the node's own repositories: contents, modes, times.
OWN = """
cd / && find etc/apt var/lib/apt/lists -printf '%p %m %U %G %T@ %l\\n' | sort
find etc/apt var/lib/apt/lists var/cache/apt -type f ! -name lock -exec sha256sum {} + | sort
"""

# apt fetches as a user of its own (the farm's nodes are told not to): it gets to where it is to write, and sees nothing else.
SANDBOX = f"""
cd {STATE_DIR}-sources/* && as="setpriv --reuid=_apt --regid=nogroup --clear-groups"
options="-oAPT::Sandbox::User=_apt -oDir::Etc::sourcelist=/dev/null -oDir::Etc::sourceparts=$PWD/sources.list.d"
told=$(apt-get update $options -oDir::State::lists=$PWD/lists -oDir::Cache::pkgcache= -oDir::Cache::srcpkgcache= 2>&1)
echo "$told"
! echo "$told" | grep -q -e unsandboxed -e ^E: && ! $as ls .. && ! $as cat sources.list.d/00.list
"""


def own(node):
    """What apt's configuration and its lists on the node are, byte by byte."""
    return node.run(["sh", "-c", OWN]).stdout.splitlines()


@pytest.fixture
def mirror(farm):
    """Another archive, which the nodes' own configuration does not name."""
    with contextlib.closing(farm.debrepo()) as repo:
        repo.security("slow", "1.0-1+deb12u9", postinst=SLOW, depends="helper")
        repo.release("helper", "3.0-1")
        yield repo


@pytest.fixture
def node(station, debrepo, mirror, new_node, tmp_path):
    """A managed node whose own archive has an update of quick; the mirror has one of slow, that needs a helper."""
    debrepo.release("slow", "1.0-1")
    debrepo.release("quick", "1.0-1")
    debrepo.security("quick", "1.0-1+deb12u1")
    node = new_node("deb12", debrepo, outstanding=["quick"], installed=["slow"])
    key = tmp_path / "mirror.gpg"
    key.write_bytes(mirror.keyring)
    node.push(key, "/usr/share/keyrings/mirror.gpg")
    station.enrol(node, tags={"Patch Group": "mirrored"})
    return node


def baseline(station, *texts, products=("Debian12",)):
    """A baseline for the group, with *texts* as its sources; returns its id."""
    client = station.client()
    created = client.create_patch_baseline(
        Name="mirrored",
        OperatingSystem="DEBIAN",
        ApprovalRules={
            "PatchRules": [
                {"PatchFilterGroup": {"PatchFilters": [{"Key": "PRODUCT", "Values": ["*"]}]}, "ApproveAfterDays": 0}
            ]
        },
        Sources=[
            {"Name": f"mirror-{at}", "Products": list(products), "Configuration": text} for at, text in enumerate(texts)
        ],
    )
    client.register_patch_baseline_for_patch_group(BaselineId=created["BaselineId"], PatchGroup="mirrored")
    return created["BaselineId"]


def sources(mirror):
    """The mirror, a source a suite, with its own key."""
    return [line.replace("farm.gpg", "mirror.gpg") for line in mirror.sources().splitlines()]


def test_scan_and_install_use_them_and_nothing_of_the_node_is_rewritten(station, debrepo, mirror, node):
    """What is missing is what they offer; power is cut in mid-install; the rest comes from them too, and none is the node's."""
    assert station.patch(node, "Scan")["Status"] == "Success"
    before = own(node)
    assert station.live(node)["Patches"]["quick.all"]["State"] == "Missing"
    identity = baseline(station, *sources(mirror))
    assert station.live(node)["Doubts"] == ["OTHER_SOURCES"]

    done = station.patch(node, "Scan")
    assert done["Status"] == "Success", done["StandardErrorContent"]
    assert station.with_state(node, "Missing").keys() == {"slow.all"}
    live = station.live(node)
    assert (live["Standing"], live["Doubts"]) == ("NON_COMPLIANT", [])
    assert own(node) == before
    node.run(["sh", "-c", SANDBOX])

    asked = len(debrepo.requests)
    command = station.send(node, "Install")
    until(lambda: lines(node, "/var/log/slow"), what="the installation is in its script")
    assert own(node) == before
    node.crash()
    node.start()
    assert own(node) == before
    node.write("/go", "")
    done = station.wait(node, command)
    assert done["Status"] == "Success", done["StandardErrorContent"]
    assert "mirror-0, mirror-1, mirror-2" in done["StandardOutputContent"]
    installed = node.installed()
    assert installed["slow.all"] == ("1.0-1+deb12u9", "ii")
    assert installed["helper.all"] == ("3.0-1", "ii")
    assert installed["quick.all"] == ("1.0-1", "ii")
    assert lines(node, "/var/log/slow")[-1] == "end"
    assert station.states(node, "slow.all") == {"slow.all": "InstalledPendingReboot"}
    assert own(node) == before
    assert debrepo.requests[asked:] == []

    station.client().update_patch_baseline(BaselineId=identity, Sources=[])
    live = station.live(node)
    assert live["Patches"]["quick.all"]["State"] == "Missing", "as the node's own said when they were last asked"
    done = station.patch(node, "Install", reboot="RebootIfNeeded")
    assert done["Status"] == "Success", done["StandardErrorContent"]
    assert node.installed()["quick.all"] == ("1.0-1+deb12u1", "ii")
    assert (station.live(node)["Standing"], station.live(node)["Doubts"]) == ("COMPLIANT", [])


def test_sources_that_are_not_to_be_used_fail_and_say_why(station, mirror, node):
    """One that apt could not read, one that does not answer, one that starts programs: Failed, and nothing is changed."""
    assert station.patch(node, "Scan")["Status"] == "Success"
    reported, before = station.patches(node), own(node)
    identity = baseline(station, "[main]\nname=ours\nbaseurl=http://u:hush@ours.example/")
    done = station.patch(node, "Scan")
    assert done["Status"] == "Failed"
    assert "the source 'mirror-0' of the baseline has the line" in done["StandardErrorContent"]

    for text, why in (
        ("deb ssh://-oProxyCommand=touch%20/pwned/ stable main", "begins with none of"),
        (sources(mirror)[0].replace("/debian", "/nowhere"), "does not have a Release file"),
        ("deb http://u:hush@127.0.0.9:9/debian bookworm main", "127.0.0.9:9"),
    ):
        station.client().update_patch_baseline(
            BaselineId=identity, Sources=[{"Name": "mirror", "Products": ["*"], "Configuration": text}]
        )
        done = station.patch(node, "Install")
        assert done["Status"] == "Failed"
        assert why in done["StandardErrorContent"]
        assert "hush" not in done["StandardErrorContent"]
    assert station.patches(node) == reported
    assert own(node) == before
    assert "hush" not in (station.directory / "server.log").read_text()
