# SPDX-License-Identifier: Apache-2.0
"""`patchwright report`: what spreadsheets and auditors read. The server makes the rows; here they are put together."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import click

from patchwright.cli.client import Client
from patchwright.cli.nodes import find_nodes
from patchwright.cli.output import screen
from patchwright.cli.program import connected


@click.command("patches")
@click.option(
    "--instance-id", "node", metavar="NODE", help="This node alone, by id or name, with a row for each patch."
)
@click.option("--output", type=click.Path(dir_okay=False), help="Write to this file, whole or not at all.")
@click.option("--bucket", help="Let the server write it to this bucket, and print where.")
@click.option("--prefix", help="What the key in the bucket begins with.")
@connected
def report_patches(
    client: Client, *, node: str | None, output: str | None, bucket: str | None, prefix: str | None
) -> None:
    """
    Patch compliance as CSV: a row for each node, or one node with its patches.

    It tells what the last operation of each node reported. Cells that a spreadsheet would take for formulas are written
    behind an apostrophe.
    """
    if (output and bucket) or (prefix and not bucket):
        msg = "--output and --bucket are two places; --prefix goes with --bucket"
        raise click.UsageError(msg)
    request: dict[str, str] = {}
    if node is not None:
        (request["InstanceId"],) = find_nodes(client, [node])
    if bucket:
        answer = client.call(
            "ExportPatchReport", {**request, "BucketName": bucket, **({"Prefix": prefix} if prefix else {})}
        )
        screen().line(f"{answer['BucketName']}/{answer['Key']}: {answer['Bytes']} bytes")
        return
    with opened(output) as write:
        for text in _pages(client, request):
            write(text)


def _pages(client: Client, request: Mapping[str, str]) -> Iterator[str]:
    token = None
    while token != "":
        answer = client.call("GetPatchReport", {**request, "NextToken": token} if token else request)
        yield answer["Report"]
        token = answer.get("NextToken", "")


@contextlib.contextmanager
def opened(output: str | None) -> Iterator[Callable[[str], object]]:
    """Standard output as UTF-8, or a new file that takes the place of the old one when all of it is written."""
    if output is None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8", newline="")
        yield sys.stdout.write
        return
    path = Path(output).resolve()
    if path.exists() and not path.is_file():  # a pipe or a device: nothing may take its place
        with path.open("w", encoding="utf-8", newline="") as stream:
            yield stream.write
        return
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with part.open("w", encoding="utf-8", newline="") as stream:
            yield stream.write
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
