# SPDX-License-Identifier: Apache-2.0
"""
State Manager as amazon-ssm-agent asks for it every ten minutes (spec agent-protocol §10).

There are no associations yet. An agent that is told so stays quiet; one that is refused fills its log.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from patchwright.server.wire import ApiError, Caller, Handler


def associations() -> Mapping[str, Handler]:
    """The operations of associations that agents call, by target."""
    return {
        "AmazonSSM.ListInstanceAssociations": list_instance_associations,
        "AmazonSSM.UpdateInstanceAssociationStatus": update_instance_association_status,
    }


async def list_instance_associations(_caller: Caller, _request: dict[str, Any]) -> dict[str, Any]:
    """ListInstanceAssociations: what the node is to carry out by itself; nothing yet."""
    return {"Associations": []}


async def update_instance_association_status(_caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    """UpdateInstanceAssociationStatus: how it went. There is none that it could be about."""
    raise ApiError("AssociationDoesNotExist", f"There is no association {request['AssociationId']}.")
