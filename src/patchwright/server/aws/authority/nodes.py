# SPDX-License-Identifier: Apache-2.0
"""What agents call, and operations of our own: what each is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from patchwright.server import parameters, tags
from patchwright.server.accounts import Scope
from patchwright.server.aws.authority.rules import PARAMETER, Access, Demand, Request, Rule, node, whole, window
from patchwright.server.infra import UnitOfWork
from patchwright.server.wire import Caller

NODE_ACCESS = ("patchwright:NodeAccess", "allow")  # the tag of a secret that nodes may read
_EVERY = whole("patchwright")


def withheld(scope: Scope, demands: Sequence[Demand]) -> UnitOfWork[Demand | None]:
    """
    The first of *demands* that is a secret which nodes may not read; None: there is none. A unit of work that only reads.

    AWS's policy for nodes lets every one of them read every secret of the account. Here whoever takes over a node has the
    secrets that were meant for nodes, and no others.
    """
    key, value = NODE_ACCESS
    for demand in demands:
        if demand.kind == PARAMETER and (yield from parameters.is_secret(scope, demand.name)):
            labels = yield from tags.of(scope, PARAMETER, demand.name)
            if labels.get(key) != value:
                return demand
    return None


def _own(caller: Caller, _request: Request) -> Sequence[Demand]:
    """About the node that signed."""
    return [node(caller.scope, caller.instance_id or "")]


def _destination(caller: Caller, request: Request) -> Sequence[Demand]:
    return [node(caller.scope, request["Destination"])]


def _named(caller: Caller, request: Request) -> Sequence[Demand]:
    return [node(caller.scope, request["InstanceId"])]


def _named_or_all(caller: Caller, request: Request) -> Sequence[Demand]:
    return _named(caller, request) if "InstanceId" in request else _EVERY(caller, request)


def _window(caller: Caller, request: Request) -> Sequence[Demand]:
    return [window(caller.scope, request["WindowId"])]


RULES: Mapping[str, Rule] = {
    "EC2WindowsMessageDeliveryService.AcknowledgeMessage": Rule("ec2messages:AcknowledgeMessage", Access.WRITE, _own),
    "EC2WindowsMessageDeliveryService.FailMessage": Rule("ec2messages:FailMessage", Access.WRITE, _own),
    "EC2WindowsMessageDeliveryService.GetMessages": Rule("ec2messages:GetMessages", Access.WRITE, _destination),
    "EC2WindowsMessageDeliveryService.SendReply": Rule("ec2messages:SendReply", Access.WRITE, _own),
    "Patchwright.BeginOperation": Rule("patchwright:BeginOperation", Access.WRITE, _own),
    "Patchwright.CreateAccount": Rule("patchwright:CreateAccount", Access.PERMISSIONS, _EVERY),
    "Patchwright.CreateCalendarFeed": Rule("patchwright:CreateCalendarFeed", Access.WRITE, _EVERY),
    "Patchwright.DeleteCalendarFeed": Rule("patchwright:DeleteCalendarFeed", Access.WRITE, _EVERY),
    "Patchwright.DeleteSubscription": Rule("patchwright:DeleteSubscription", Access.WRITE, _EVERY),
    "Patchwright.DisableAccount": Rule("patchwright:DisableAccount", Access.PERMISSIONS, _EVERY),
    "Patchwright.EnableAccount": Rule("patchwright:EnableAccount", Access.PERMISSIONS, _EVERY),
    # A machine that has nothing yet but an activation's code, which is checked.
    "Patchwright.Enroll": Rule("patchwright:Enroll", Access.WRITE, _EVERY, free=True),
    "Patchwright.ExportAuditTrail": Rule("patchwright:ExportAuditTrail", Access.READ, _EVERY),
    "Patchwright.ExportPatchReport": Rule("patchwright:ExportPatchReport", Access.WRITE, _named_or_all),
    "Patchwright.DescribeAgent": Rule("patchwright:DescribeAgent", Access.READ, _own),
    "Patchwright.GetOutput": Rule("patchwright:GetOutput", Access.READ, _named),
    "Patchwright.GetPatchCheck": Rule("patchwright:GetPatchCheck", Access.READ, _own),
    "Patchwright.GetPatchReport": Rule("patchwright:GetPatchReport", Access.READ, _named_or_all),
    "Patchwright.GetSubscription": Rule("patchwright:GetSubscription", Access.READ, _EVERY),
    "Patchwright.GetVerdict": Rule("patchwright:GetVerdict", Access.READ, _named),
    "Patchwright.ListAccounts": Rule("patchwright:ListAccounts", Access.LIST, _EVERY),
    "Patchwright.ListAuditEntries": Rule("patchwright:ListAuditEntries", Access.LIST, _EVERY),
    "Patchwright.ListCalendarFeeds": Rule("patchwright:ListCalendarFeeds", Access.LIST, _EVERY),
    "Patchwright.ListDeliveries": Rule("patchwright:ListDeliveries", Access.LIST, _EVERY),
    "Patchwright.ListEvents": Rule("patchwright:ListEvents", Access.LIST, _EVERY),
    "Patchwright.ListOutputs": Rule("patchwright:ListOutputs", Access.LIST, _named_or_all),
    "Patchwright.ListSubscriptions": Rule("patchwright:ListSubscriptions", Access.LIST, _EVERY),
    "Patchwright.PutBodies": Rule("patchwright:PutBodies", Access.WRITE, _own),
    "Patchwright.PutFacts": Rule("patchwright:PutFacts", Access.WRITE, _own),
    "Patchwright.PutOutput": Rule("patchwright:PutOutput", Access.WRITE, _own),
    "Patchwright.PutOverrides": Rule("patchwright:PutOverrides", Access.WRITE, _own),
    "Patchwright.PutResolution": Rule("patchwright:PutResolution", Access.WRITE, _own),
    "Patchwright.PutSubscription": Rule("patchwright:PutSubscription", Access.WRITE, _EVERY),
    "Patchwright.RedeliverEvents": Rule("patchwright:RedeliverEvents", Access.WRITE, _EVERY),
    "ssmmessages.CreateControlChannel": Rule("ssmmessages:CreateControlChannel", Access.WRITE, _own),
    "Patchwright.DescribeSchedule": Rule("patchwright:DescribeSchedule", Access.READ, _EVERY),
    "Patchwright.GetCalendar": Rule("patchwright:GetCalendar", Access.LIST, _EVERY),
    "Patchwright.GetForecast": Rule("patchwright:GetForecast", Access.READ, _window),
    "Patchwright.RunMaintenanceWindow": Rule("patchwright:RunMaintenanceWindow", Access.WRITE, _window),
    "Patchwright.VerifyAuditTrail": Rule("patchwright:VerifyAuditTrail", Access.READ, _EVERY),
}
