# SPDX-License-Identifier: Apache-2.0
"""`patchwright activation`: permission for machines to become managed nodes."""

from __future__ import annotations

import click

from patchwright.cli.client import Client
from patchwright.cli.output import print_json, screen
from patchwright.cli.pairs import PAIR, api_tags
from patchwright.cli.program import connected, json_option


@click.command("create")
@click.option("--limit", type=click.IntRange(1, 1000), default=1, help="How many machines may enrol with it.")
@click.option("--name", help="The name of the nodes that enrol with it.")
@click.option("--description", help="What it is for.")
@click.option(
    "--tag", "tags", multiple=True, type=PAIR, metavar="KEY=VALUE", help="A tag of each such node; repeatable."
)
@click.option("--role", default="patchwright-node", help="The role of such nodes, a label for now.")
@json_option
@connected
def create_activation(
    client: Client,
    *,
    limit: int,
    tags: tuple[tuple[str, str], ...],
    as_json: bool,
    role: str,
    name: str | None,
    description: str | None,
) -> None:
    """
    Make an activation, good for a day, and print what to run on the machine.

    The code is shown this once.
    """
    request = {
        "IamRole": role,
        "RegistrationLimit": limit,
        "DefaultInstanceName": name,
        "Description": description,
        "Tags": api_tags(tags),
    }
    answer = client.call("CreateActivation", {key: value for key, value in request.items() if value})
    if as_json:
        print_json(answer)
        return
    shown = screen()
    shown.fact("activation", answer["ActivationId"])
    shown.fact("code", answer["ActivationCode"])
    shown.line("")
    shown.line("On the machine, as root:")
    shown.line(
        f"  patchwright agent enroll --server {client.endpoint_url}"
        f" --activation-id {answer['ActivationId']} --activation-code {answer['ActivationCode']}"
    )
    shown.line("  patchwright agent run")
