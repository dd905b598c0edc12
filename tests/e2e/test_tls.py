# SPDX-License-Identifier: Apache-2.0
"""A server with a certificate that it signed itself: nodes believe its pin or the certificate, and nothing less."""

from __future__ import annotations

import hashlib
import ssl

import pytest

from farm.commands import CommandFailed
from patchwright.server.wire import Certificate

from .station import STATE_DIR, Station, there

pytestmark = [pytest.mark.farm, pytest.mark.e2e]


@pytest.fixture
def station(farm, tmp_path):
    """A server that has started, with TLS."""
    (tmp_path / "tls").mkdir()
    certificate = Certificate.self_made(tmp_path / "tls", host=farm.lan_address, public_url="")
    made = Station(tmp_path, farm, certificate=certificate)
    made.start()
    yield made
    made.close()


@pytest.mark.parametrize("trust", ["pin", "ca"])
def test_a_node_that_knows_the_certificate_is_scanned(station, debrepo, new_node, trust):
    """Enrolled with --pin, as the server printed it, or with --ca, it takes commands over TLS."""
    debrepo.release("foo", "1.0-1")
    debrepo.security("foo", "1.0-1+deb12u1")
    node = new_node("deb12", debrepo, outstanding=["foo"])
    if trust == "pin":
        words = ["--pin", next(line["pin"] for line in station.log() if line.get("pin"))]
        assert words[1] == f"sha256:{_digest(station.certificate.chain.read_text())}"
    else:
        node.push(station.certificate.chain, "/etc/server.crt", mode=0o644)
        words = ["--ca", "/etc/server.crt"]
    station.enrol(node, trust=words)
    assert station.patch(node, "Scan")["Status"] == "Success"
    assert station.states(node, "foo.all") == {"foo.all": "Missing"}


@pytest.mark.parametrize("words", [[], ["--pin", "sha256:" + "0" * 64]], ids=["no pin", "another pin"])
def test_a_server_that_nobody_vouches_for_is_refused(station, new_node, words):
    """Enrolment ends with an error that speaks of the certificate, no identity, and no use of the activation."""
    node = new_node("deb12")
    with pytest.raises(CommandFailed) as refused:
        station.enrol(node, trust=words)
    assert "certificate" in str(refused.value)
    assert not there(node, f"{STATE_DIR}/identity.json")
    assert station.client().describe_instance_information()["InstanceInformationList"] == []


def _digest(pem: str) -> str:
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
