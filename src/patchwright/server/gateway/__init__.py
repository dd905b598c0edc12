# SPDX-License-Identifier: Apache-2.0
"""
What agents call: enrolment, presence, long poll, replies, the patch exchange; and the agent's own download.

The door. `operations` is the table for the wire's endpoint.
"""

from __future__ import annotations

from collections.abc import Mapping

from patchwright.server.gateway.downloads import Downloads
from patchwright.server.gateway.exchange import Exchange
from patchwright.server.gateway.messages import Messages
from patchwright.server.gateway.outputs import Outputs
from patchwright.server.gateway.sweeping import SWEEP_SECONDS, sweep
from patchwright.server.wire import Handler

__all__ = ["PARKED", "SWEEP_SECONDS", "Downloads", "Exchange", "Messages", "Outputs", "operations", "program", "sweep"]


# Their handlers wait until there is something to say, so they end when the agent that asked is gone.
PARKED = frozenset({"EC2WindowsMessageDeliveryService.GetMessages"})


def program(downloads: Downloads) -> Mapping[str, Handler]:
    """What an agent asks of the program that it is, by target."""
    return {"Patchwright.DescribeAgent": downloads.describe_agent}


def operations(messages: Messages, exchange: Exchange, outputs: Outputs) -> Mapping[str, Handler]:
    """The operations that agents call, by target."""
    return {
        "AmazonSSM.UpdateInstanceInformation": messages.update_instance_information,
        "EC2WindowsMessageDeliveryService.AcknowledgeMessage": messages.acknowledge_message,
        "EC2WindowsMessageDeliveryService.FailMessage": messages.fail_message,
        "EC2WindowsMessageDeliveryService.GetMessages": messages.get_messages,
        "EC2WindowsMessageDeliveryService.SendReply": messages.send_reply,
        "Patchwright.BeginOperation": exchange.begin_operation,
        "Patchwright.Enroll": messages.enroll,
        "Patchwright.PutBodies": exchange.put_bodies,
        "Patchwright.PutFacts": exchange.put_facts,
        "Patchwright.PutOutput": outputs.put_output,
        "Patchwright.PutOverrides": exchange.put_overrides,
        "Patchwright.PutResolution": exchange.put_resolution,
    }
