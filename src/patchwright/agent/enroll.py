# SPDX-License-Identifier: Apache-2.0
"""Enrolment: an activation becomes an identity, once, whatever gets lost on the way (design D6)."""

from __future__ import annotations

import secrets
from typing import NamedTuple

from patchwright.agent import node
from patchwright.agent.client import Client
from patchwright.agent.clock import Clock
from patchwright.agent.config import Identity, NotEnrolled, Settings, load_identity, save_identity
from patchwright.agent.disk import Damaged, Disk, read_json
from patchwright.agent.transport import Server
from patchwright.core.errors import MalformedMessage, PatchwrightError

TOKEN_NAME = "enrollment.json"  # noqa: S105 - a file name
_MEMBERS = ("InstanceId", "Secret", "Region", "Account")


class AlreadyEnrolled(PatchwrightError):
    """The state directory holds an identity; it takes --force to replace it."""


class Activation(NamedTuple):
    """What an operator was given by CreateActivation. The code is not in the representation."""

    id: str
    code: str

    def __repr__(self) -> str:
        return f"Activation({self.id})"


def enroll(
    disk: Disk, server: Server, activation: Activation, *, settings: Settings, clock: Clock, force: bool = False
) -> Identity:
    """
    Enrol this node with *server* and store its identity.

    The token that names this attempt is stored before it is sent: where the answer is lost, running the same again gives the
    same node and does not use up a second registration.

    Raises:
        AlreadyEnrolled: There is an identity and not *force*.
        Refused: The server does not take the activation.
        ServerUnavailable: No answer; run the same again.
    """
    try:
        present = load_identity(disk.root)
    except NotEnrolled:
        pass
    else:
        if not force:
            raise AlreadyEnrolled(
                f"this node is enrolled already, as {present.instance_id} at {present.server}; --force replaces that"
            )
    client = Client(server, None, settings=settings, clock=clock)
    request = {
        "ActivationId": activation.id,
        "ActivationCode": activation.code,
        "EnrollmentToken": _token(disk, server, activation),
        "MachineId": node.machine_id(),
        **node.describe(client.local_address()),
    }
    answer = client.call("Enroll", {name: value for name, value in request.items() if value})
    client.close()
    values = [answer.get(name) for name in _MEMBERS]
    if not all(isinstance(value, str) and value for value in values):
        raise MalformedMessage("the answer to Enroll lacks one of {}".format(", ".join(_MEMBERS)))
    instance_id, secret, region, account = (str(value) for value in values)
    identity = Identity(instance_id, secret, region, account, server.url, server.pin, server.ca, server.insecure_http)
    save_identity(disk, identity)
    disk.remove(disk.root / TOKEN_NAME)
    return identity


def _token(disk: Disk, server: Server, activation: Activation) -> str:
    """The token of an attempt that got no answer, or a new one, stored."""
    path = disk.root / TOKEN_NAME
    try:
        stored = read_json(path)
    except (FileNotFoundError, Damaged):
        stored = {}
    if stored.get("server") == server.url and stored.get("activation") == activation.id:
        return str(stored["token"])
    token = secrets.token_hex(24)
    disk.write_json(path, {"server": server.url, "activation": activation.id, "token": token})
    return token
