# SPDX-License-Identifier: Apache-2.0
"""
A node with Amazon's agent in a house of this process, as far as it signs and asks.

    node = await Amazon.registered(house)
    await node.asymmetric("RequestManagedInstanceRoleToken", {…})   # signed with its own key, its body in chunks
    await node.refresh()
    await node.call("AmazonSSM.UpdateInstanceInformation", {…})     # within its session
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from farm import amazon_wire
from farm.amazon_wire import KeyPair, Session
from server.gateway.house import House
from server.wire.client import Answer

HOST = "patchwright.test:8473"
FINGERPRINT = "250c05bb-529c-4167-8796-2a47d7d7366f"


@cache
def _made(number: int) -> KeyPair:
    return KeyPair.fresh()


def keys() -> Iterator[KeyPair]:
    """Different keys; they take long to make, so the same ones in every test."""
    number = 0
    while True:
        yield _made(number)
        number += 1


@dataclass
class Amazon:
    """One node."""

    house: House
    instance_id: str
    key: KeyPair
    region: str = "us-east-1"
    fingerprint: str = FINGERPRINT
    session: Session | None = None

    @classmethod
    async def registered(
        cls, house: House, *, key: KeyPair | None = None, region: str = "us-east-1", **made: Any
    ) -> Amazon:
        """A new one; *made* are members of CreateActivation."""
        key = key or next(keys())
        activation = await house.ask("AmazonSSM.CreateActivation", {"IamRole": "node", **made}, region=region)
        answer = await register(house, activation, key)
        assert answer.status == 200, answer.body
        return cls(house, answer.json["InstanceId"], key, region)

    async def asymmetric(self, operation: str, members: Mapping[str, Any], **changed: Any) -> Answer:
        """A call signed with the node's key; *changed*: `key`, `instance_id`, `region`, `body`."""
        body = changed.pop("body", None)
        given = {"instance_id": self.instance_id, "key": self.key, "region": self.region, "now": self.house.clock.now()}
        headers, sent = amazon_wire.asymmetric_request(HOST, operation, members, **{**given, **changed})
        content = sent if body is None else body
        return await self.house.knock(headers, [content[:7], content[7:]])

    async def token(self, **changed: Any) -> Answer:
        """RequestManagedInstanceRoleToken."""
        fingerprint = changed.pop("fingerprint", self.fingerprint)
        return await self.asymmetric("RequestManagedInstanceRoleToken", {"Fingerprint": fingerprint}, **changed)

    async def refresh(self, **changed: Any) -> Session:
        """A new session, which is kept."""
        answer = await self.token(**changed)
        assert answer.status == 200, (answer.body, self.house.lines)
        said = answer.json
        self.session = Session(
            said["AccessKeyId"],
            said["SecretAccessKey"],
            said["SessionToken"],
            said["TokenExpirationDate"],
            said["UpdateKeyPair"],
        )
        return self.session

    async def rotate(self, fresh: KeyPair, **changed: Any) -> Answer:
        """UpdateManagedInstancePublicKey; what the node signs with stays as it is."""
        members = {"NewPublicKey": fresh.public, "NewPublicKeyType": "Rsa"}
        return await self.asymmetric("UpdateManagedInstancePublicKey", members, **changed)

    async def call(
        self, target: str, members: Mapping[str, Any], *, session: Session | None = None, **changed: Any
    ) -> Answer:
        """A call within a session, that of the node unless another is given."""
        session = session or self.session or await self.refresh()
        given = {"session": session, "region": self.region, "now": self.house.clock.now(), **changed}
        headers, sent = amazon_wire.session_request(HOST, target, members, **given)
        return await self.house.knock(headers, sent)

    async def ask(self, target: str, members: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a call that is to succeed."""
        answer = await self.call(target, members)
        assert answer.status == 200, (target, answer.body, self.house.lines)
        return answer.json

    def with_key(self, key: KeyPair) -> Amazon:
        """The same node with another key and no session."""
        return replace(self, key=key, session=None)


async def register(house: House, activation: Mapping[str, str], key: KeyPair, **changed: Any) -> Answer:
    """RegisterManagedInstance."""
    members = {
        "ActivationCode": activation["ActivationCode"],
        "ActivationId": activation["ActivationId"],
        "Fingerprint": FINGERPRINT,
        "PublicKey": key.public,
        "PublicKeyType": "Rsa",
        **changed,
    }
    return await house.knock(*amazon_wire.registration_request(HOST, members))
