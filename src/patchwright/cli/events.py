# SPDX-License-Identifier: Apache-2.0
"""`patchwright events` and `patchwright subscription`: what happens, and to whom it is told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import islice
from typing import Any

import click

from patchwright.cli import event_stream
from patchwright.cli.client import Client
from patchwright.cli.output import print_json, screen
from patchwright.cli.program import DONE, Setup, connected, json_option
from patchwright.cli.wording import one_line, since

_STATES = ("Pending", "Delivered", "Dead")
_LEFT_OUT = frozenset({"resource-type", "resource-id", "parameters"})  # of a detail, in a line
_pattern_option = click.option("--pattern", metavar="JSON", help="Only events that this pattern matches.")


@click.command("tail")
@_pattern_option
@click.option("--after", metavar="N", help="Begin with what came after event N; 0: with the oldest that is kept.")
@json_option
@connected
@click.pass_obj
def tail_events(setup: Setup, client: Client, /, *, pattern: str | None, after: str | None, as_json: bool) -> int:
    """
    Events as they happen, until Ctrl-C.

    With --json each is a line, the envelope that webhooks carry.
    """
    shown = screen()
    try:
        for told in event_stream.follow(client, setup.clock, pattern=pattern or "", after=after or ""):
            if told.event is None:
                click.echo("(events before the next were removed before they were read)", err=True)
            elif as_json:
                print(json.dumps(told.event), flush=True)
            else:
                shown.line(_line(told.event))
    except KeyboardInterrupt:
        return DONE
    return DONE


@click.command("list")
@click.option("--subject", metavar="ID", help="Only events about this node, window, command or parameter.")
@click.option("--type", "detail_type", metavar="TEXT", help="Only events of this detail-type.")
@_pattern_option
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="How many at most.")
@json_option
@connected
def list_events(
    client: Client, *, subject: str | None, detail_type: str | None, pattern: str | None, limit: int, as_json: bool
) -> None:
    """What happened in the last 14 days, newest first."""
    asked = {"Subject": subject, "DetailType": detail_type, "Pattern": pattern}
    request = {name: value for name, value in asked.items() if value}
    found = list(islice(client.pages("ListEvents", request, "Events"), limit))
    if as_json:
        print_json({"Events": found})
        return
    shown = screen()
    for one in found:
        shown.line(_line(json.loads(one["Event"])))
    if not found:
        shown.line("No events.")


@click.command("create")
@click.argument("name")
@click.argument("url")
@_pattern_option
@click.option("--description", metavar="TEXT", help="What it is for.")
@click.option("--disabled", is_flag=True, help="Send nothing yet.")
@json_option
@connected
def create_subscription(
    client: Client,
    /,
    *,
    name: str,
    url: str,
    pattern: str | None,
    description: str | None,
    disabled: bool,
    as_json: bool,
) -> None:
    """
    Send events to URL, under NAME; one of this name is replaced, and keeps its secret.

    The secret that deliveries are signed with is printed this once. Without a pattern it gets only what commands are told to
    notify it of.
    """
    asked = {"Pattern": pattern, "Description": description}
    request = {"Name": name, "Url": url, "Enabled": not disabled, **{key: one for key, one in asked.items() if one}}
    answer = client.call("PutSubscription", request)
    if as_json:
        print_json(answer)
        return
    shown = screen()
    shown.fact("topic", answer["Subscription"]["TopicArn"])
    if "Secret" in answer:
        shown.line("")
        shown.line("The secret, shown this once:")
        shown.line(f"  {answer['Secret']}")


@click.command("list")
@json_option
@connected
def list_subscriptions(client: Client, *, as_json: bool) -> None:
    """Every subscription of the region."""
    found = list(client.pages("ListSubscriptions", {}, "Subscriptions"))
    if as_json:
        print_json({"Subscriptions": found})
        return
    rows = [
        [one["Name"], one["Url"], "on" if one["Enabled"] else "off", one.get("Pattern", ""), one.get("Description", "")]
        for one in found
    ]
    screen().table(["NAME", "URL", "", "PATTERN", "DESCRIPTION"], rows)


@click.command("show")
@click.argument("name")
@json_option
@connected
def show_subscription(client: Client, *, name: str, as_json: bool) -> None:
    """One subscription, and how much was delivered to it, waits, and was given up."""
    answer = client.call("GetSubscription", {"Name": name})
    if as_json:
        print_json(answer)
        return
    shown, found = screen(), answer["Subscription"]
    shown.heading(f"Subscription {found['Name']}{'' if found['Enabled'] else ' (off)'}")
    shown.fact("url", found["Url"])
    shown.fact("pattern", found.get("Pattern") or "none: only what is addressed to it")
    shown.fact("topic", found["TopicArn"])
    if found.get("Description"):
        shown.fact("description", one_line(found["Description"]))
    for state in _STATES:
        shown.fact(state.lower(), str(answer["Deliveries"][state]))


@click.command("delete")
@click.argument("name")
@connected
def delete_subscription(client: Client, *, name: str) -> None:
    """Remove a subscription; what waits for it is not sent any more."""
    client.call("DeleteSubscription", {"Name": name})


@click.command("deliveries")
@click.argument("name")
@click.option("--state", type=click.Choice(_STATES), help="Only those in this state.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="How many at most.")
@json_option
@connected
@click.pass_obj
def list_deliveries(
    setup: Setup, client: Client, /, *, name: str, state: str | None, limit: int, as_json: bool
) -> None:
    """What was sent to a subscription, newest first, and why it failed."""
    request = {"Name": name, **({"State": state} if state else {})}
    found = list(islice(client.pages("ListDeliveries", request, "Deliveries"), limit))
    if as_json:
        print_json({"Deliveries": found})
        return
    now = setup.clock.now()
    rows = [
        [one["EventId"], one["State"], str(one["Attempts"]), since(one["CreatedAt"], now), one.get("Reason", "")]
        for one in found
    ]
    screen().table(["EVENT", "STATE", "ATTEMPTS", "MADE", "REASON"], rows)


@click.command("redeliver")
@click.argument("name")
@click.argument("event", required=False)
@json_option
@connected
def redeliver(client: Client, *, name: str, event: str | None, as_json: bool) -> None:
    """Send EVENT again, or everything that was given up."""
    answer = client.call("RedeliverEvents", {"Name": name, **({"EventId": event} if event else {})})
    if as_json:
        print_json(answer)
    else:
        count = answer["Count"]
        screen().line(f"{count} deliver{'y' if count == 1 else 'ies'} to {name} will be made again")


def _line(event: Mapping[str, Any]) -> str:
    """An event as people read it."""
    detail = event["detail"]
    words = [f"{name}={_value(value)}" for name, value in detail.items() if name not in _LEFT_OUT and value != ""]
    kind = event["detail-type"].removesuffix(" Notification")
    about = ", ".join(arn.rpartition(":")[2] for arn in event["resources"][:1])
    return one_line(f"{event['time']}  {kind}  {about}  {' '.join(words)}")


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
