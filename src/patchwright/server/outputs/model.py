# SPDX-License-Identifier: Apache-2.0
"""Streams of output, their pieces, and where they are written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from patchwright.core import document
from patchwright.core.actions import PATCH, PATCH_CHECK, SHELL_SCRIPT
from patchwright.core.errors import PatchwrightError
from patchwright.server.accounts import Scope
from patchwright.server.commands import Command
from patchwright.server.infra import joined

STDOUT, STDERR = STREAMS = ("stdout", "stderr")
PIECE_BYTES = 256 * 1024  # that are taken, and shown, at once
_OLD_SCHEMA = "1.2"
_SCRIPTS_THERE = frozenset({PATCH, PATCH_CHECK})  # in AWS, and on nodes with Amazon's agent


class OutputsError(PatchwrightError):
    """The root of this room's errors."""


class UnknownOutput(OutputsError):
    """There is no such output in this account and region."""


class Stream(NamedTuple):
    """What a step of a command prints on a node: *name* is `stdout` or `stderr`."""

    command_id: str
    instance_id: str
    step: str
    name: str


class Place(NamedTuple):
    """An object in a bucket; all empty: none."""

    bucket: str = ""
    region: str = ""
    key: str = ""


NOWHERE = Place()


@dataclass(frozen=True)
class Output:
    """
    A stream as it is kept.

    *size* bytes are there. *ended*: nothing more comes. *cut*: more was printed than is kept. Times are epoch seconds: when
    its first bytes and its last ones came, when it is to be written to its *place* (None: not yet, or not any more), and
    when that was done. *reason* says why the last of *attempts* to do so failed.
    """

    scope: Scope
    stream: Stream
    size: int
    ended: bool
    cut: bool
    began_at: float
    heard_at: float
    place: Place = NOWHERE
    write_at: float | None = None
    attempts: int = 0
    written_at: float | None = None
    reason: str = ""


class Taken(NamedTuple):
    """How far a stream is kept, and whether no more of it is."""

    size: int
    full: bool


class Part(NamedTuple):
    """Bytes of a stream, the first of which is at *position*. *ended*: they are its last, and *cut* more than these were printed."""

    position: int
    data: bytes
    ended: bool
    cut: bool = False


def cut_mark(size: int) -> bytes:
    """What stands at the end of an output of which only the first *size* bytes are kept."""
    return f"\n--output truncated: more than {size} bytes were printed--\n".encode()


def place_of(command: Command, stream: Stream) -> Place:
    """Where a stream is to be written when it has ended (spec §5.6); none where the command names no bucket."""
    request = command.request
    if not request.output_bucket:
        return NOWHERE
    action = next(one.action for one in document.parse(command.content).steps if one.name == stream.step)
    plugin = (SHELL_SCRIPT if action in _SCRIPTS_THERE else action).replace(":", "")
    name = stream.step
    if command.content.get("schemaVersion") == _OLD_SCHEMA:  # its steps have no names of their own: they are counted
        _, _, number = name.partition(".")
        name = f"{int(number or 1) - 1}.{plugin}"
    levels = [stream.command_id, stream.instance_id, plugin, name, stream.name]
    region = request.output_region or command.scope.region
    return Place(request.output_bucket, region, joined(request.output_prefix, "/".join(levels)))
