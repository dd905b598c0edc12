# SPDX-License-Identifier: Apache-2.0
"""Calendar feeds: operations of our own, and what their links lead to (docs/adr/0038)."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

import structlog

from patchwright.server.accounts import recall, root_of
from patchwright.server.aws.authority import Warden, owner_of
from patchwright.server.aws.members import tags_of
from patchwright.server.aws.services import Services
from patchwright.server.infra import InfraError
from patchwright.server.windows import Feed, Feeds
from patchwright.server.wire import Bounds, Caller, Handler, Pager, Rate, Rates, fold_headers

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PATH = "/calendar/"
ACTION = "patchwright:GetCalendar"

_ENDS = ".ics"
_PAGE = 50
_AGE = 300  # seconds for which programs need not ask again
_EACH = Rate(1, 30)  # readings of one feed, whoever has its link: a large one takes a tenth of a second to make
_TAG_DIGITS = 32
_LONGEST = 1024  # characters of If-None-Match that are looked at

_log = structlog.get_logger("patchwright.calendar")


def operations(services: Services) -> Mapping[str, Handler]:
    """The operations served here, by target."""
    own = FeedOperations(services.feeds, services.pager, services.url)
    return {
        "Patchwright.CreateCalendarFeed": own.create_calendar_feed,
        "Patchwright.DeleteCalendarFeed": own.delete_calendar_feed,
        "Patchwright.ListCalendarFeeds": own.list_calendar_feeds,
    }


class FeedOperations:
    """One method per operation. Links begin with *url*."""

    def __init__(self, feeds: Feeds, pager: Pager, url: str) -> None:
        self._feeds = feeds
        self._pager = pager
        self._begins = url + PATH

    async def create_calendar_feed(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """CreateCalendarFeed: the link is shown this once."""
        wanted = Feed(
            caller.scope,
            "",
            request["Name"],
            request.get("WindowId", ""),
            tuple(sorted(tags_of(request).items())),
            request.get("Days", Feed.days),
            owner_of(caller),
        )
        made, secret = await self._feeds.create(wanted)
        return {"CalendarFeed": _shown(made), "Url": f"{self._begins}{secret}{_ENDS}"}

    async def list_calendar_feeds(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """ListCalendarFeeds: in order of id, without their links."""
        limit = request.get("MaxResults", _PAGE)
        after = self._pager.cursor(caller, request) or ""
        found = await self._feeds.page(caller.scope, after=after, limit=limit)
        answer: dict[str, Any] = {"CalendarFeeds": [_shown(one) for one in found]}
        if len(found) == limit:
            answer["NextToken"] = self._pager.token(caller, request, found[-1].id)
        return answer

    async def delete_calendar_feed(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """DeleteCalendarFeed: its link leads nowhere from now on."""
        await self._feeds.delete(caller.scope, request["FeedId"])
        return {}


class CalendarDownloads:
    """
    `GET /calendar/SECRET.ics`, plain ASGI: the calendar, as long as the one who made the feed may see it.

    *bounds* say how often an address may ask, `_EACH` how often a feed is read. The secret is in no log line and in no answer.
    """

    def __init__(self, feeds: Feeds, warden: Warden, bounds: Bounds, monotonic: Callable[[], float]) -> None:
        self._feeds = feeds
        self._warden = warden
        self._proxies = bounds.proxies
        self._rates = Rates(bounds.strangers, monotonic)
        self._each = Rates(_EACH, monotonic)

    def serves(self, path: str) -> bool:
        """Whether *path* is one of a link."""
        return path.startswith(PATH)

    async def __call__(self, scope: Mapping[str, Any], send: Send) -> None:
        """Answer a GET or HEAD: 403 where its maker may not see it, 404 for a link of no feed, 429 for too many requests."""
        headers = fold_headers(scope["headers"])
        source = self._proxies.source(scope, headers)
        status, more, body = 503, dict[str, str](), b"The calendar cannot be read now; try again.\n"
        wait = self._rates.take(source)
        if wait > 0:
            status, more, body = _too_many(wait)
        else:
            try:
                secure = self._proxies.secure(scope, headers)
                status, more, body = await self._answer(scope["path"], headers, source, secure=secure)
            except InfraError as error:
                _log.warning("a calendar cannot be read", error=str(error))
        said = {
            "content-type": "text/plain; charset=utf-8",
            "cache-control": "no-store",
            "referrer-policy": "no-referrer",
            "x-content-type-options": "nosniff",
            "x-robots-tag": "noindex",
            **more,
        }
        if status != 304:
            said["content-length"] = str(len(body))
        sent = [(name.encode(), value.encode()) for name, value in said.items()]
        await send({"type": "http.response.start", "status": status, "headers": sent})
        shown = scope["method"] != "HEAD" and status != 304
        await send({"type": "http.response.body", "body": body if shown else b""})

    async def _answer(
        self, path: str, headers: Mapping[bytes, bytes], source: str, *, secure: bool
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body."""
        secret = path.removeprefix(PATH)
        feed = await self._feeds.find(secret.removesuffix(_ENDS)) if secret.endswith(_ENDS) else None
        if feed is None:
            return 404, {}, b"There is no such calendar.\n"
        if (wait := self._each.take(feed.id)) > 0:
            return _too_many(wait)
        if not await self._warden.may(feed.owner, feed.scope, ACTION, source_ip=source, secure=secure):
            _log.info("calendar refused", feed=feed.id, account=feed.scope.account, source=source)
            return 403, {}, b"Whoever made this calendar's link may not see the calendar any more.\n"
        text = await self._feeds.calendar(feed)
        tag = f'"{hashlib.sha256(text).hexdigest()[:_TAG_DIGITS]}"'
        about = {
            "content-type": "text/calendar; charset=utf-8",
            "cache-control": f"private, max-age={_AGE}",
            "content-disposition": 'inline; filename="maintenance-windows.ics"',
            "etag": tag,
        }
        asked = headers.get(b"if-none-match", b"")[:_LONGEST].decode("latin-1")
        known = {one.strip().removeprefix("W/") for one in asked.split(",")}
        return (304, about, b"") if known & {tag, "*"} else (200, about, text)


def _too_many(wait: float) -> tuple[int, dict[str, str], bytes]:
    return 429, {"retry-after": str(math.ceil(wait))}, b"Too many requests.\n"


def _shown(feed: Feed) -> dict[str, Any]:
    owner = recall(feed.owner) if feed.owner else root_of(feed.scope.account)
    return {
        "FeedId": feed.id,
        "Name": feed.name,
        "WindowId": feed.window_id or None,
        "Tags": [{"Key": key, "Value": value} for key, value in feed.tags],
        "Days": feed.days,
        "Owner": owner.arn,
        "CreatedAt": feed.created_at,
    }
