# SPDX-License-Identifier: Apache-2.0
"""The one line by which a machine becomes a node: install.sh, as a stranger would run it."""

from __future__ import annotations

import json

import pytest

from .station import until

pytestmark = [pytest.mark.farm, pytest.mark.e2e]

FETCH = "import sys, urllib.request; sys.stdout.write(urllib.request.urlopen(sys.argv[1]).read().decode())"


def test_install_sh_makes_a_node_that_comes_back(station, debrepo, new_node):
    """It fetches the agent, enrols, and leaves an enabled service that is still there after a restart."""
    node = new_node("deb12", debrepo)
    activation = station.client().create_activation(IamRole="node", DefaultInstanceName="fresh")
    words = f"--activation-id {activation['ActivationId']} --activation-code {activation['ActivationCode']}"
    url = f"http://{station.lan}"
    script = node.run(["/usr/bin/python3", "-c", FETCH, f"{url}/agent/install.sh"]).stdout
    node.write("/root/install.sh", script.replace(f"server='{station.url}'", f"server='{url}'"))
    done = node.run(["sh", "-c", f"sh /root/install.sh {words} --insecure-http"])
    assert "The agent runs as patchwright-agent.service" in done.stdout

    (known,) = station.client().describe_instance_information()["InstanceInformationList"]
    assert known["Name"] == "fresh"
    station.ids[node.name] = known["InstanceId"]
    assert station.patch(node, "Scan")["Status"] == "Success"
    again = node.run(["sh", "/root/install.sh"]).stdout
    assert "its identity stays" in again
    node.reboot()
    until(
        lambda: "active" == node.run(["systemctl", "is-active", "patchwright-agent"], check=False).stdout.strip(),
        what="the service is back",
    )
    assert station.patch(node, "Scan")["Status"] == "Success"
    assert json.loads(node.read("/var/lib/patchwright-agent/identity.json"))["instance_id"] == known["InstanceId"]
