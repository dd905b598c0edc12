# SPDX-License-Identifier: Apache-2.0
"""`patchwright window feed`: links with which calendar programs read when windows open."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from patchwright.cli.client import Client
from patchwright.cli.output import print_json, screen
from patchwright.cli.pairs import PAIR, api_tags
from patchwright.cli.program import LazyGroup, connected, json_option
from patchwright.cli.windows import find_window
from patchwright.cli.wording import moment


@click.group(
    cls=LazyGroup,
    lazy={
        "create": ("patchwright.cli.feeds:create_feed", "Make a link, and print it this once."),
        "list": ("patchwright.cli.feeds:list_feeds", "Every link, and whose it is."),
        "delete": ("patchwright.cli.feeds:delete_feed", "End a link."),
    },
)
def feed() -> None:
    """Links to the calendar, for programs that cannot sign in."""


@click.command("create")
@click.argument("name", metavar="NAME")
@click.option("--window", metavar="WINDOW", help="Only this window, by its id or name. Default: every one.")
@click.option(
    "--tag", "tags", multiple=True, type=PAIR, metavar="KEY=VALUE", help="Only windows with this tag; repeatable."
)
@click.option("--days", type=click.IntRange(1, 366), default=90, show_default=True, help="How far ahead.")
@json_option
@connected
def create_feed(
    client: Client, *, name: str, window: str | None, tags: tuple[Any, ...], days: int, as_json: bool
) -> None:
    """
    Make a link that a calendar program subscribes to, and print it.

    Whoever has the link sees what you may see of the calendar, as long as you may. It is shown this once.
    """
    asked: dict[str, Any] = {"Name": name, "Days": days}
    if window:
        asked["WindowId"] = find_window(client, window)
    if tags:
        asked["Tags"] = api_tags(tags)
    made = client.call("CreateCalendarFeed", asked)
    if as_json:
        print_json(made)
        return
    print(made["Url"])
    click.echo(f"`patchwright window feed delete {made['CalendarFeed']['FeedId']}` ends it.", err=True)


@click.command("list")
@json_option
@connected
def list_feeds(client: Client, *, as_json: bool) -> None:
    """Every link of the region: what it shows, and in whose name. The links themselves are kept nowhere."""
    found = list(client.pages("ListCalendarFeeds", {}, "CalendarFeeds"))
    if as_json:
        print_json({"CalendarFeeds": found})
        return
    shown = screen()
    rows = [[one["FeedId"], one["Name"], _of(one), one["Owner"], moment(one["CreatedAt"])] for one in found]
    if rows:
        shown.table(["FEED", "NAME", "OF", "MADE BY", "MADE"], rows)
    else:
        shown.line("There is no calendar feed. `patchwright window feed create` makes one.")


@click.command("delete")
@click.argument("which", metavar="FEED")
@connected
def delete_feed(client: Client, *, which: str) -> None:
    """End a link: it leads nowhere from now on. FEED is the id that `list` shows."""
    client.call("DeleteCalendarFeed", {"FeedId": which})


def _of(found: Mapping[str, Any]) -> str:
    labels = ", ".join(f"{tag['Key']}={tag['Value']}" for tag in found.get("Tags", []))
    return " ".join(part for part in (found.get("WindowId", "every window" if not labels else ""), labels) if part)
