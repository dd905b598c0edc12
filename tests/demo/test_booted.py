# SPDX-License-Identifier: Apache-2.0
"""A twin of a machine that runs systemd, whose root directory is an overlay itself: a node of the farm."""

from __future__ import annotations

import json

import pytest
from demo.twin import PROJECT

from farm.fixtures import debrepo, farm, new_node

__all__ = ["debrepo", "farm", "new_node"]

STORY = """
import json, sys
sys.path.insert(0, "/opt")
from demo import kernel, place, proof, twin
own, before = place.Place(), proof.Before()
before.watch(proof.package_database, proof.services)
layers = twin.survey()
twins = own.folder / "twins"
twins.mkdir()
in_memory = twin.make_room(twins, layers)
one = twin.Twin(twins / "one", layers, hidden=own.base)
ended = one.run(["/bin/sh", "-c", "apt-get -y dist-upgrade 2>&1; systemctl is-system-running; dpkg-query -W foo"])
if in_memory:
    kernel.unmount(twins)
own.close()
print(json.dumps([ended.output, [[one.same, one.text] for one in before.compare()], sorted(proof.services().members)]))
"""


@pytest.mark.farm
def test_a_booted_machine_has_a_twin_and_its_services_go_on(debrepo, new_node):
    """The update is installed in the twin; its script reaches no systemd; the machine keeps its version and processes."""
    debrepo.release("foo", "1.0-1")
    debrepo.security("foo", "1.0-1+deb12u1", postinst="systemctl restart systemd-logind || echo nobody to ask")
    node = new_node("deb12", debrepo, outstanding=["foo"])
    for file in sorted((PROJECT / "demo").glob("*.py")):
        node.write(f"/opt/demo/{file.name}", file.read_text())
    node.write("/opt/story.py", STORY)
    output, findings, services = json.loads(node.run(["python3", "/opt/story.py"]).lines[-1])

    assert "nobody to ask" in output
    assert output.splitlines()[-2:] == ["offline", "foo\t1.0-1+deb12u1"]
    assert [same for same, _ in findings] == [True, True, True], findings
    assert "systemd-logind.service" in services
    assert node.installed()["foo.all"] == ("1.0-1", "ii")
