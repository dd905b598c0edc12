# SPDX-License-Identifier: Apache-2.0
"""
The action `aws:runDocument`: the steps of another document as one step (spec §5.9).

Resumable: which document it is, and how far its steps have come, stands in the journal with the step that runs it; each of
them is as resumable or as opaque as it is anywhere.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List

from patchwright.agent.actions import download
from patchwright.agent.actions.asking import Cancelled
from patchwright.agent.actions.model import Context, Course, Outcome, StepState, place_of
from patchwright.agent.client import Refused
from patchwright.core import flow, run_document
from patchwright.core.document import DOCUMENT_LIMIT_BYTES
from patchwright.core.errors import MalformedDocument
from patchwright.core.run_document import MAX_DEPTH

READ_BYTES = 64 * 1024


def run(step: StepState, context: Context) -> Outcome:
    """Run the document that documentType and documentPath name, with documentParameters, and answer what it came to."""
    if step.get("depth", 0) >= MAX_DEPTH:
        return Outcome(flow.FAILED, 1, "", f"documents run one another at most {MAX_DEPTH} deep")
    try:
        if not step["run"]:
            step["run"] = {"steps": _planned(step, context)}
            context.save()
    except Cancelled as cancelled:
        return cancelled.outcome
    except Refused as refusal:
        return Outcome(flow.FAILED, 1, "", f"the server does not give the document: {refusal}")
    except MalformedDocument as error:
        return Outcome(flow.FAILED, 1, "", f"the document cannot be run: {error}")
    except OSError as error:
        return Outcome(flow.FAILED, 1, "", f"the document cannot be read: {error}")
    status = _walk(step["run"]["steps"], context)
    return _outcome(status, step["run"]["steps"], context)


def _planned(step: StepState, context: Context) -> List[StepState]:
    """The steps of the document, not begun. Raises MalformedDocument, Refused, Cancelled, OSError."""
    wanted = run_document.read(step["inputs"])
    if wanted.kind == run_document.SSM_DOCUMENT:
        content = download.document(context, wanted.path)
    else:
        content = _read(context.downloads / wanted.path)
    planned = _course(context).plan_steps({"DocumentContent": content, "Parameters": wanted.parameters})
    for child in planned:
        child["depth"] = step.get("depth", 0) + 1
        child["place"] = run_document.place(place_of(step), child["name"])
        child["told"] = bool(step.get("told")) or wanted.kind == run_document.LOCAL_PATH
    return planned


def _walk(steps: List[StepState], context: Context) -> str:
    """Run *steps* to the end, from where the journal has them; answers what they came to."""
    course = _course(context)
    now = course.following(steps)
    while not isinstance(now, flow.Done):
        child = steps[now.position]
        if isinstance(now, flow.Skip):
            course.settle(child, Outcome(now.status, 0, now.why))
        elif child["status"] != flow.IN_PROGRESS and context.desk.cancelled():
            course.settle(child, Outcome(flow.CANCELLED, flow.KILLED_CODE, "", "cancelled before this step began"))
        else:
            _run_child(child, now.position + 1, steps, context)
        context.save()
        now = course.following(steps)
    return now.status


def _run_child(child: StepState, number: int, steps: List[StepState], context: Context) -> None:
    if child["status"] != flow.IN_PROGRESS:
        child["status"] = flow.IN_PROGRESS
        context.save()
    directory = _directory(context, number, child)
    inner = Context(context.desk, context.command_id, directory, context.save, lambda: _follow(steps, context))
    _course(context).run_step(child, inner)
    if not (directory / inner.stdout.name).exists() and not (directory / inner.stderr.name).exists():
        inner.tell(child["stdout"], child["stderr"])
    _follow(steps, context)
    child.update(stdout="", stderr="")  # the step that runs it has them now, and the journal need not


def _follow(steps: List[StepState], context: Context) -> None:
    """Bring the step's own output up to what its steps have written, and look what is meanwhile to be done."""
    for stream in (context.stdout, context.stderr):
        have = stream.stat().st_size if stream.exists() else 0
        at = 0
        for number, child in enumerate(steps, 1):
            source = _directory(context, number, child) / stream.name
            size = source.stat().st_size if source.exists() else 0
            if have < at + size:
                have += _append(source, have - at, stream)
            at += size
    context.meanwhile()


def _append(source: Path, offset: int, target: Path) -> int:
    added = 0
    with source.open("rb") as read, target.open("ab") as write:
        read.seek(offset)
        for part in iter(lambda: read.read(READ_BYTES), b""):
            write.write(part)
            added += len(part)
    return added


def _outcome(status: str, steps: List[StepState], context: Context) -> Outcome:
    """What the step comes to. Its code steers nothing: 168 and 169 of a child are the child's own affair."""
    heard = context.heard()
    lines = ["{}: {}".format(child["name"], child["status"]) for child in steps]
    if status == flow.SUCCESS:
        return heard._replace(status=status, code=0)
    code = next((child["code"] for child in steps if child["status"] == status), 1)
    steering = (0, flow.SUCCEED_CODE, flow.FAIL_CODE, flow.REBOOT_CODE)
    error = "\n".join(part for part in (heard.stderr.rstrip("\n"), *lines) if part)
    return heard._replace(status=status, code=1 if code in steering else code, stderr=error)


def _course(context: Context) -> Course:
    assert context.course is not None  # noqa: S101 - steps.run_step gives it
    return context.course


def _directory(context: Context, number: int, child: StepState) -> Path:
    return context.directory / "{}.{}".format(number, child["name"].replace(":", "."))


def _read(path: Path) -> Dict[str, Any]:
    """The document in a file. Raises MalformedDocument, OSError."""
    if path.is_dir():
        found = sorted(path.glob("*.json"))
        if len(found) != 1:
            raise MalformedDocument(f"{path} is a directory with {len(found)} files *.json; name the document")
        path = found[0]
    with path.open("rb") as file:
        data = file.read(DOCUMENT_LIMIT_BYTES + 1)
    if len(data) > DOCUMENT_LIMIT_BYTES:
        raise MalformedDocument(f"{path} has more than {DOCUMENT_LIMIT_BYTES} bytes")
    try:
        content = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise MalformedDocument(
            f"{path} is no JSON; a document in YAML is run once the server keeps it: SSMDocument"
        ) from None
    if not isinstance(content, dict):
        raise MalformedDocument(f"{path} is no document")
    return content
