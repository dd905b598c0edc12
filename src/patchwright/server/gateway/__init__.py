# SPDX-License-Identifier: Apache-2.0
"""
What agents call: enrolment, presence, long poll, replies, the patch exchange; and the agent's own download.

The door. `operations` is the table for the wire's endpoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from patchwright.server.gateway.associations import associations
from patchwright.server.gateway.door import FRAME_LIMIT, ChannelDoor, Channels
from patchwright.server.gateway.downloads import Downloads
from patchwright.server.gateway.exchange import Exchange
from patchwright.server.gateway.messages import Messages
from patchwright.server.gateway.outputs import Outputs
from patchwright.server.gateway.registration import Registration
from patchwright.server.gateway.rendering import InnerDocuments, Rendering
from patchwright.server.gateway.sweeping import SWEEP_SECONDS, sweep
from patchwright.server.gateway.switchboard import LOOK_SECONDS, Switchboard
from patchwright.server.wire import Handler

__all__ = [
    "FRAME_LIMIT",
    "LOOK_SECONDS",
    "PARKED",
    "SWEEP_SECONDS",
    "ChannelDoor",
    "Channels",
    "Downloads",
    "Edges",
    "Exchange",
    "InnerDocuments",
    "Messages",
    "Outputs",
    "Registration",
    "Rendering",
    "Switchboard",
    "operations",
    "sweep",
]


# Their handlers wait until there is something to say, so they end when the agent that asked is gone.
PARKED = frozenset({"EC2WindowsMessageDeliveryService.GetMessages"})


@dataclass(frozen=True)
class Edges:
    """What agents talk to."""

    messages: Messages
    exchange: Exchange
    outputs: Outputs
    registration: Registration
    channels: Channels
    downloads: Downloads


def operations(edges: Edges) -> Mapping[str, Handler]:
    """The operations that agents call, by target."""
    messages, exchange, registration = edges.messages, edges.exchange, edges.registration
    return {
        **associations(),
        "AmazonSSM.RegisterManagedInstance": registration.register_managed_instance,
        "AmazonSSM.RequestManagedInstanceRoleToken": registration.request_managed_instance_role_token,
        "AmazonSSM.UpdateInstanceInformation": messages.update_instance_information,
        "AmazonSSM.UpdateManagedInstancePublicKey": registration.update_managed_instance_public_key,
        "EC2WindowsMessageDeliveryService.AcknowledgeMessage": messages.acknowledge_message,
        "EC2WindowsMessageDeliveryService.FailMessage": messages.fail_message,
        "EC2WindowsMessageDeliveryService.GetMessages": messages.get_messages,
        "EC2WindowsMessageDeliveryService.SendReply": messages.send_reply,
        "Patchwright.BeginOperation": exchange.begin_operation,
        "Patchwright.DescribeAgent": edges.downloads.describe_agent,
        "Patchwright.Enroll": registration.enroll,
        "Patchwright.GetPatchCheck": exchange.get_patch_check,
        "Patchwright.PutBodies": exchange.put_bodies,
        "Patchwright.PutFacts": exchange.put_facts,
        "Patchwright.PutOutput": edges.outputs.put_output,
        "Patchwright.PutOverrides": exchange.put_overrides,
        "Patchwright.PutResolution": exchange.put_resolution,
        "ssmmessages.CreateControlChannel": edges.channels.create_control_channel,
    }
