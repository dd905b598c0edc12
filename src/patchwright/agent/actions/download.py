# SPDX-License-Identifier: Apache-2.0
"""The action `aws:downloadContent`: fetch a file, or a folder of a bucket, to the node (spec §5.9)."""

from __future__ import annotations

import contextlib
import json
import os
import re
from pathlib import Path
from typing import Any, Dict, Mapping, NamedTuple
from urllib.parse import unquote, urlsplit

from patchwright.agent import fetching
from patchwright.agent.actions.asking import Cancelled, ask
from patchwright.agent.actions.model import Context, Outcome, StepState
from patchwright.agent.client import Refused
from patchwright.agent.errors import AgentError
from patchwright.core.errors import InvalidParameters
from patchwright.core.flow import FAILED, SUCCESS
from patchwright.core.object_url import in_bucket
from patchwright.core.run_document import named

LIMIT_BYTES = 64 * 1024 * 1024
FOLDER_BYTES, FOLDER_FILES = 256 * 1024 * 1024, 1_000
MODE = 0o700  # a script may be what was fetched


class Content(NamedTuple):
    """What was fetched, and what it is called where it is put into a directory."""

    name: str
    data: bytes


def run(step: StepState, context: Context) -> Outcome:
    """Fetch what sourceType and sourceInfo name to destinationPath. Resumable: it is fetched again."""
    inputs = step["inputs"]
    try:
        kind, info = str(inputs.get("sourceType") or ""), _info(inputs.get("sourceInfo"))
        text = _brought(kind, info, str(inputs.get("destinationPath") or ""), context)
    except Cancelled as cancelled:
        return cancelled.outcome
    except Refused as refusal:
        return Outcome(FAILED, 1, "", f"the server refused it: {refusal}")
    except (AgentError, InvalidParameters) as error:
        return Outcome(FAILED, 1, "", str(error))
    except OSError as error:
        return Outcome(FAILED, 1, "", f"the content cannot be written: {error}")
    context.tell(text)
    return Outcome(SUCCESS, 0, text)


def _brought(kind: str, info: Mapping[str, Any], destination: str, context: Context) -> str:
    """Put what is named to where it goes; returns what is said of it."""
    folder = in_bucket(_text(info, "path")) if kind == "S3" else ""
    if not folder.endswith("/"):
        try:
            content = _fetched(kind, info, context)
        except fetching.FetchFailed as failed:
            if not (folder and failed.missing):
                raise
            text = _folder(f"{folder}/", destination, context)
            if not text:
                raise
            return text
        target = _target(destination, content.name, context)
        _put(target, content.data)
        return f"Content downloaded to {target}: {len(content.data)} bytes\n"
    text = _folder(folder, destination, context)
    if not text:
        raise InvalidParameters(f"there is nothing below {folder}")
    return text


def _folder(folder: str, destination: str, context: Context) -> str:
    """Fetch all that is below *folder* into a directory; returns what is said of it, nothing where there is nothing."""
    desk, clock = context.desk, context.desk.bench.clock
    found = fetching.listed(desk.client, folder, most=FOLDER_FILES, clock=clock)
    if sum(one.size for one in found) > FOLDER_BYTES:
        raise InvalidParameters(f"{folder} has more than {FOLDER_BYTES} bytes")
    place, total = context.downloads / destination, 0
    for one in found:
        if desk.cancelled():
            raise Cancelled("the command was cancelled while its content was fetched")
        data = fetching.fetch(desk.client, folder + one.path, limit=LIMIT_BYTES, clock=clock)
        _put(place / one.path, data)
        total += len(data)
        context.meanwhile()
    return f"Content downloaded to {place}: {len(found)} files, {total} bytes\n" if found else ""


def document(context: Context, path: str) -> Dict[str, Any]:
    """The content of the server's document *path*, `name` or `name:version`. Raises Refused, Cancelled, InvalidParameters."""
    name, version = named(path)
    members = {"Name": name, "DocumentFormat": "JSON", **({"DocumentVersion": version} if version else {})}
    answer = ask(context, "GetDocument", members)
    if answer.get("DocumentType", "Command") != "Command":
        raise InvalidParameters("{} is of type {}, not Command".format(path[:200], answer.get("DocumentType")))
    try:
        content = json.loads(answer["Content"])
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidParameters(f"the content of {path[:200]} cannot be read: {error!r}"[:500]) from None
    if not isinstance(content, dict):
        raise InvalidParameters(f"the content of {path[:200]} is no document")
    return content


def _info(given: Any) -> Mapping[str, Any]:
    """sourceInfo: an object, or one written in JSON. Raises InvalidParameters."""
    try:
        found = json.loads(given) if isinstance(given, str) else given
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise InvalidParameters("the sourceInfo of the step is no object")
    return found


def _fetched(kind: str, info: Mapping[str, Any], context: Context) -> Content:
    if kind == "SSMDocument":
        name = _text(info, "name")
        content = document(context, name)
        return Content(re.sub(r"[^A-Za-z0-9_.-]", "_", name.split(":")[0]) + ".json", json.dumps(content).encode())
    if kind not in ("HTTP", "S3"):
        raise InvalidParameters(
            f"content from {kind[:40] or 'nowhere'} is not fetched by this agent; it can be served over HTTPS: use HTTP"
        )
    url = _text(info, "url" if kind == "HTTP" else "path")
    if kind == "HTTP" and info.get("authMethod") not in (None, "", "None"):
        raise InvalidParameters("this agent signs in nowhere to fetch content: authMethod is None")
    plain = kind == "HTTP" and info.get("allowInsecureDownload") in (True, "true")
    desk = context.desk
    where = in_bucket(url) if kind == "S3" else url
    data = fetching.fetch(desk.client, where, limit=LIMIT_BYTES, clock=desk.bench.clock, plain=plain)
    return Content(os.path.basename(unquote(urlsplit(url).path)) or "content", data)  # noqa: PTH119 - of a URL


def _target(given: str, name: str, context: Context) -> Path:
    """Where the content goes: a file, or into a directory that there is or whose path ends with a slash."""
    place = context.downloads / given  # an absolute path stands for itself
    return place / name if not given or given.endswith("/") or place.is_dir() else place


def _put(target: Path, data: bytes) -> None:
    """
    Write *target* so that it is there whole or not at all.

    It may be in a directory where all may write: what lies there under the name of the new file is not written to.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name[:200]}.part")
    with contextlib.suppress(FileNotFoundError):
        beside.unlink()
    with os.fdopen(os.open(str(beside), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, MODE), "wb") as file:
        os.fchmod(file.fileno(), MODE)
        file.write(data)
    beside.replace(target)


def _text(info: Mapping[str, Any], name: str) -> str:
    value = info.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidParameters(f"the sourceInfo of the step has no {name}")
    return value
