# SPDX-License-Identifier: Apache-2.0
"""`patchwright account`: the accounts of an installation, for the root of its first one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from patchwright.cli.client import Client
from patchwright.cli.output import print_json, screen
from patchwright.cli.program import connected, json_option


@click.command("create")
@click.argument("name")
@json_option
@connected
def create_account(client: Client, *, name: str, as_json: bool) -> None:
    """
    Make an account called NAME, and print its root's access key.

    The secret is shown this once.
    """
    answer = client.call("CreateAccount", {"Name": name})
    if as_json:
        print_json(answer)
        return
    key, shown = answer["AccessKey"], screen()
    shown.fact("account", answer["Account"]["AccountId"])
    shown.line("")
    shown.line("A profile for its root; the secret is shown this once:")
    shown.line(f"  [{name}]")
    shown.line(f"  aws_access_key_id = {key['AccessKeyId']}")
    shown.line(f"  aws_secret_access_key = {key['SecretAccessKey']}")


@click.command("list")
@json_option
@connected
def list_accounts(client: Client, *, as_json: bool) -> None:
    """Every account of the installation."""
    found = list(client.pages("ListAccounts", {}, "Accounts"))
    if as_json:
        print_json({"Accounts": found})
        return
    rows = [(one["AccountId"], one["Name"], one["State"], _day(one["CreatedAt"])) for one in found]
    screen().table(("account", "name", "state", "created"), rows)


@click.command("disable")
@click.argument("account")
@json_option
@connected
def disable_account(client: Client, *, account: str, as_json: bool) -> None:
    """Refuse what the keys, sessions and nodes of ACCOUNT sign. Nothing of it is deleted."""
    _show(client.call("DisableAccount", {"AccountId": account}), as_json=as_json)


@click.command("enable")
@click.argument("account")
@json_option
@connected
def enable_account(client: Client, *, account: str, as_json: bool) -> None:
    """Let a disabled ACCOUNT go on."""
    _show(client.call("EnableAccount", {"AccountId": account}), as_json=as_json)


def _show(answer: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(answer)
    else:
        screen().line(f"{answer['Account']['AccountId']} is {answer['Account']['State']}")


def _day(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d")
