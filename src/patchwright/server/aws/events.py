# SPDX-License-Identifier: Apache-2.0
"""Operations of our own on events: what happened, and where it is sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from patchwright.server import events
from patchwright.server.aws.services import Services
from patchwright.server.events import Delivery, Event, Search, Subscription, Subscriptions, Wish
from patchwright.server.wire import Caller, Handler, Pager

_PAGE = 50


def operations(services: Services) -> Mapping[str, Handler]:
    """The operations served here, by target."""
    own = EventOperations(services.subscriptions, services.pager)
    return {
        "Patchwright.DeleteSubscription": own.delete_subscription,
        "Patchwright.GetSubscription": own.get_subscription,
        "Patchwright.ListDeliveries": own.list_deliveries,
        "Patchwright.ListEvents": own.list_events,
        "Patchwright.ListSubscriptions": own.list_subscriptions,
        "Patchwright.PutSubscription": own.put_subscription,
        "Patchwright.RedeliverEvents": own.redeliver_events,
    }


class EventOperations:
    """One method per operation."""

    def __init__(self, service: Subscriptions, pager: Pager) -> None:
        self._service = service
        self._pager = pager

    async def put_subscription(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """PutSubscription: as a whole; a secret that is made is shown this once."""
        wish = Wish(
            name=request["Name"],
            url=request["Url"],
            pattern=request.get("Pattern", ""),
            description=request.get("Description", ""),
            enabled=request.get("Enabled", True),
            secret=request.get("Secret", ""),
        )
        stored, secret = await self._service.put(caller.scope, wish)
        return {"Subscription": _subscription(stored), "Secret": secret or None}

    async def get_subscription(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """GetSubscription: with how much was delivered to it, waits for it, and was given up."""
        found, counts = await self._service.get(caller.scope, request["Name"])
        states = (events.PENDING, events.DELIVERED, events.DEAD)
        return {"Subscription": _subscription(found), "Deliveries": {state: counts.get(state, 0) for state in states}}

    async def list_subscriptions(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """ListSubscriptions: in order of name."""
        limit = request.get("MaxResults", _PAGE)
        after = self._pager.cursor(caller, request) or ""
        found = await self._service.page(caller.scope, after=after, limit=limit)
        answer: dict[str, Any] = {"Subscriptions": [_subscription(one) for one in found]}
        if len(found) == limit:
            answer["NextToken"] = self._pager.token(caller, request, found[-1].name)
        return answer

    async def delete_subscription(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """DeleteSubscription: what waits for it is not sent any more."""
        await self._service.delete(caller.scope, request["Name"])
        return {}

    async def list_deliveries(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """ListDeliveries: newest first, of one state or of all."""
        limit, cursor = request.get("MaxResults", _PAGE), self._pager.cursor(caller, request)
        found = await self._service.deliveries(
            caller.scope,
            request["Name"],
            state=request.get("State", ""),
            before=(cursor[0], cursor[1]) if cursor else None,
            limit=limit,
        )
        answer: dict[str, Any] = {"Deliveries": [_delivery(one) for one in found]}
        if len(found) == limit:
            answer["NextToken"] = self._pager.token(caller, request, (found[-1].created_at, found[-1].id))
        return answer

    async def redeliver_events(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """RedeliverEvents: one event or message, or everything that was given up."""
        return {"Count": await self._service.redeliver(caller.scope, request["Name"], request.get("EventId", ""))}

    async def list_events(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """ListEvents: what happened in the account and region, newest first; a page may be short."""
        search = Search(
            subject=request.get("Subject", ""),
            detail_type=request.get("DetailType", ""),
            pattern=request.get("Pattern", ""),
            since=request.get("StartTime", 0.0),
            until=request.get("EndTime", Search.until),
        )
        before = self._pager.cursor(caller, request)
        found, more = await self._service.events(
            caller.scope, search, before=before, limit=request.get("MaxResults", _PAGE)
        )
        answer: dict[str, Any] = {"Events": [_event(one) for one in found]}
        if more is not None:
            answer["NextToken"] = self._pager.token(caller, request, more)
        return answer


def _event(event: Event) -> dict[str, Any]:
    return {
        "Id": event.id,
        "Sequence": event.sequence,
        "Time": event.at,
        "DetailType": event.detail_type,
        "Subject": event.subject or None,
        "Event": event.text,
    }


def _subscription(found: Subscription) -> dict[str, Any]:
    scope = found.scope
    return {
        "Name": found.name,
        "Description": found.description or None,
        "Url": found.url,
        "Pattern": found.pattern or None,
        "Enabled": found.enabled,
        "TopicArn": f"arn:aws:sns:{scope.region}:{scope.account}:{found.name}",
        "CreatedAt": found.created_at,
        "ModifiedAt": found.modified_at,
    }


def _delivery(found: Delivery) -> dict[str, Any]:
    pending = found.state == events.PENDING
    return {
        "EventId": found.id,
        "Kind": found.kind,
        "State": found.state,
        "Attempts": found.attempts,
        "CreatedAt": found.created_at,
        "NextAttemptAt": found.due_at if pending else None,
        "GivenUpAfter": found.until if pending else None,
        "StatusCode": found.code or None,
        "Reason": found.reason or None,
        "EndedAt": found.ended_at,
    }
