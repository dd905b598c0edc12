# SPDX-License-Identifier: Apache-2.0
"""`patchwright command tail` and `output`: what the steps of a command print, while they run and afterwards."""

from __future__ import annotations

import base64
import codecs
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import click

from patchwright.cli.client import Client
from patchwright.cli.clock import Clock
from patchwright.cli.nodes import find_nodes
from patchwright.cli.program import DONE, REFUSED, Setup, connected
from patchwright.cli.watching import looked_until
from patchwright.cli.wording import printable

LATE_ROUNDS = 5  # that are waited for output of commands that have ended
_LONGEST_LINE = 64 * 1024  # characters that are kept for the end of a line to come


class Stream(NamedTuple):
    """Where output comes from."""

    instance_id: str
    step: str
    name: str


@click.command("tail")
@click.argument("command")
@click.argument("node", required=False)
@connected
@click.pass_obj
def tail_command(setup: Setup, client: Client, /, *, command: str, node: str | None) -> int:
    """
    What a command prints on all its nodes, or on NODE, as it comes.

    What is there is shown at once; it ends with the command. What goes to stderr on a node goes to standard error here. The exit
    code is 0 if every node ended in Success, else 1.
    """
    only = next(iter(find_nodes(client, [node]))) if node else ""
    tail = Tail(client, command, only, setup.clock)
    try:
        return DONE if tail.follow() else REFUSED
    except KeyboardInterrupt:
        return REFUSED


@click.command("output")
@click.argument("command")
@click.argument("node", required=False)
@click.option("--step", metavar="NAME", help="Which step. Default: the document's only one.")
@click.option("--stderr", "errors", is_flag=True, help="What went to stderr, instead of stdout.")
@connected
def output_command(client: Client, /, *, command: str, node: str | None, step: str | None, errors: bool) -> int:
    """
    All that a step of a command has printed on NODE, as far as it is kept.

    NODE may be left out where the command went to one node. Into a file or a pipe it is written byte for byte.
    """
    instance_id = next(iter(find_nodes(client, [node]))) if node else _only_node(client, command)
    asked = {"CommandId": command, "InstanceId": instance_id, "Stream": "stderr" if errors else "stdout"}
    cut = False
    write = _writer()
    for part in parts(client, {**asked, "StepName": step} if step else asked):
        write(base64.b64decode(part["Body"]))
        cut = bool(part["Truncated"])
    write(b"")
    if cut:
        print("The output was longer: no more of it is kept.", file=sys.stderr)
    return DONE


class Tail:
    """Follows the output of a command on all its nodes, or on the node *only*."""

    def __init__(self, client: Client, command_id: str, only: str, clock: Clock) -> None:
        self._client = client
        self._asked = {"CommandId": command_id, **({"InstanceId": only} if only else {})}
        self._single = bool(only)
        self._clock = clock
        self._offsets: dict[Stream, int] = {}
        self._lines: dict[Stream, Lines] = {}
        self._ended: dict[str, str] = {}  # status by node

    def follow(self) -> bool:
        """Show what comes until the command has ended; whether every node ended in Success. Raises Unreachable, Refused."""
        late = 0

        def look() -> bool | None:
            nonlocal late
            open_streams, running, news = self._round()
            late = 0 if running or news else late + 1
            return True if not running and (not open_streams or late >= LATE_ROUNDS) else None

        looked_until(look, clock=self._clock)
        for stream, lines in self._lines.items():
            self._show(stream, lines.rest())
        return set(self._ended.values()) <= {"Success"}

    def _round(self) -> tuple[bool, bool, bool]:
        """Look at every node once; whether any stream is open, any node runs, and anything was new."""
        open_streams = running = news = False
        for one in self._client.pages("ListOutputs", self._asked, "Invocations"):
            for described in one["Streams"]:
                stream = Stream(one["InstanceId"], described["StepName"], described["Stream"])
                news = self._catch_up(stream, int(described["Size"])) or news
                open_streams = open_streams or not described["Ended"]
            if not one["Ended"]:
                running = True
            elif one["InstanceId"] not in self._ended:
                self._ended[one["InstanceId"]] = one["Status"]
                self._single or print(f"{one['InstanceId']}: {one['StatusDetails']}", file=sys.stderr, flush=True)
        return open_streams, running, news

    def _catch_up(self, stream: Stream, size: int) -> bool:
        offset = self._offsets.get(stream, 0)
        if size <= offset:
            return False
        asked = {
            "CommandId": self._asked["CommandId"],
            "InstanceId": stream.instance_id,
            "StepName": stream.step,
            "Stream": stream.name,
        }
        lines = self._lines.setdefault(stream, Lines())
        for part in parts(self._client, asked, offset):
            self._offsets[stream] = part["NextOffset"]
            for line in lines.of(base64.b64decode(part["Body"])):
                self._show(stream, line)
        return True

    def _show(self, stream: Stream, line: str) -> None:
        if line:
            said = line if self._single else f"{stream.instance_id} | {line}"
            print(printable(said.rstrip("\n")), file=sys.stderr if stream.name == "stderr" else sys.stdout, flush=True)


class Lines:
    """Makes whole lines of bytes that come in pieces. A line that does not end is given out in parts."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._begun = ""

    def of(self, data: bytes) -> list[str]:
        """The lines that end in *data*, each with its end."""
        found = (self._begun + self._decoder.decode(data)).splitlines(keepends=True)
        whole = not found or found[-1].endswith("\n") or len(found[-1]) > _LONGEST_LINE
        self._begun = "" if whole else found.pop()
        return found

    def rest(self) -> str:
        """What has come of a line without its end."""
        rest, self._begun = self._begun + self._decoder.decode(b"", final=True), ""
        return rest


def parts(client: Client, asked: Mapping[str, Any], offset: int = 0) -> Iterator[dict[str, Any]]:
    """The answers to GetOutput from *offset* on, until there is no more of the stream now."""
    while True:
        part = client.call("GetOutput", {**asked, "Offset": offset})
        yield part
        if part["Ended"] or part["NextOffset"] == offset:
            return
        offset = part["NextOffset"]


def _only_node(client: Client, command: str) -> str:
    found = client.call("ListOutputs", {"CommandId": command, "MaxResults": 2})["Invocations"]
    if len(found) != 1:
        msg = f"the command went to {'several nodes' if found else 'no node'}: say which NODE"
        raise click.UsageError(msg)
    return str(found[0]["InstanceId"])


def _writer() -> Callable[[bytes], None]:
    """What writes output: to a terminal without what would steer it, elsewhere as it is."""
    binary = None if sys.stdout.isatty() else getattr(sys.stdout, "buffer", None)
    if binary is not None:

        def raw(data: bytes) -> None:
            binary.write(data)
            binary.flush()

        return raw
    decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def text(data: bytes) -> None:
        sys.stdout.write(printable(decoder.decode(data, final=not data)))

    return text
