# SPDX-License-Identifier: Apache-2.0
"""Users of a house, with policies of their own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from patchwright.server.accounts import USER
from patchwright.server.wire import Credential
from server.gateway.house import House


def statement(*actions: str, resource: Any = "*", effect: str = "Allow", **conditions: Any) -> dict[str, Any]:
    """A statement."""
    found = {"Effect": effect, "Action": list(actions), "Resource": resource}
    return {**found, "Condition": conditions} if conditions else found


def document(*statements: Mapping[str, Any]) -> str:
    """A policy of *statements*."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


async def new_user(
    house: House, name: str, *statements: Mapping[str, Any], tags: Mapping[str, str] | None = None
) -> Credential:
    """A user of the house's account who may do what *statements* say, and a key of that user."""
    access = house.wired.access
    made = await access.identities.create(house.account, USER, name, tags=tags)
    if statements:
        await grant(house, name, *statements)
    key, _ = await access.keys.create(house.account, name)
    return Credential(key.id, key.secret, house.account, made.arn)


async def grant(house: House, name: str, *statements: Mapping[str, Any]) -> None:
    """Let a user do this from now on, and nothing else."""
    await house.wired.access.attachments.put(house.account, USER, name, policy="own", document=document(*statements))
