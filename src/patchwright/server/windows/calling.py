# SPDX-License-Identifier: Apache-2.0
"""
What a task of type LAMBDA calls: the subscription that its function names, with a signed webhook (spec §4.1).

Once for each node that it reaches, and once where it names no targets. Units of work.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from patchwright.server import events
from patchwright.server.accounts import Scope
from patchwright.server.commands import Target
from patchwright.server.infra import UnitOfWork
from patchwright.server.windows.model import Execution, InvalidWindow, Invocation, Status, TaskExecution
from patchwright.server.windows.resolving import matches
from patchwright.server.windows.running import words_of

MOST_NODES = 10_000  # that one task calls for
LAST_CALL_SECONDS = 900.0  # for which a call is tried that is made when the window is nearly over
DEEPEST = 100  # levels of a payload; what is deeper nobody could go through

_TOO_LATE = "The window closed before the call arrived: is the subscription enabled?"
_FUNCTION = re.compile(r"arn:aws[a-z-]*:lambda:([a-z0-9-]+):([0-9]{12}):function:([A-Za-z0-9_-]{1,256})(?::[^:]+)?\Z")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,256}\Z")


def function_of(scope: Scope, arn: str) -> str:
    """The subscription that stands for a function, by its name or ARN. Raises InvalidWindow for another account's or region's."""
    found = _FUNCTION.match(arn)
    if found is not None and (found[2], found[1]) == scope:
        return found[3]
    if _NAME.match(arn):
        return arn
    msg = f"{arn[:256]!r} is no function of account {scope.account} in {scope.region}."
    raise InvalidWindow(msg)


def for_each_node(planned: Sequence[Invocation], fresh_ids: Iterator[str]) -> UnitOfWork[list[Invocation]]:
    """*planned*, one for each registration of targets, as one for each node that it reaches now. Errors: InvalidWindow."""
    found: list[Invocation] = []
    for one in planned:
        if not one.targets:
            found.append(one)
            continue
        nodes = yield from matches(one.scope, one.targets)
        if len(found) + len(nodes) > MOST_NODES:
            msg = f"The task reaches more than {MOST_NODES} nodes, which is all that it may call for."
            raise InvalidWindow(msg)
        found += [replace(one, id=next(fresh_ids), targets=(Target("InstanceIds", (node,)),)) for node in nodes]
    return [replace(one, position=position) for position, one in enumerate(found)]


def call(execution: Execution, task: TaskExecution, invocation: Invocation, *, now: float) -> UnitOfWork[str]:
    """
    Call the function of an invocation; returns the JSON of what it is told.

    It is tried as long as the window is open, or for `LAST_CALL_SECONDS` where that is longer.

    Errors: InvalidWindow, UnknownSubscription.
    """
    scope, settings = task.scope, task.task.invocation.get("Lambda", {})
    name = function_of(scope, task.task.arn)
    nodes = [node for target in invocation.targets for node in target.values]
    words = _words(execution, task, invocation, nodes)
    body = {
        "functionArn": task.task.arn,
        "qualifier": settings.get("Qualifier", ""),
        "clientContext": _filled(settings.get("ClientContext", ""), words),
        "windowId": execution.window_id,
        "windowExecutionId": execution.id,
        "windowTaskId": task.task.id,
        "windowTargetId": invocation.window_target_id,
        "ownerInformation": invocation.owner_information,
        "instanceIds": nodes,
        "payload": _payload(settings, words),
    }
    until = max(execution.ends_at, now + LAST_CALL_SECONDS)
    yield from events.call(scope, name, body, now=now, until=until, id=invocation.id)
    return json.dumps(body, sort_keys=True)


def look(task: TaskExecution, invocation: Invocation, *, now: float) -> UnitOfWork[tuple[Status, str]]:
    """How a call stands, and why. It does not stand open longer than it is tried, whatever became of the subscription."""
    found = yield from events.outcome(task.scope, function_of(task.scope, task.task.arn), invocation.id)
    if found is None:
        return Status.FAILED, "The subscription was deleted before the call arrived."
    if found.state == events.PENDING and now < found.until:
        return Status.IN_PROGRESS, found.reason
    if found.state == events.PENDING:
        yield from withdraw(task, invocation, reason=_TOO_LATE, now=now)
        return Status.FAILED, found.reason or _TOO_LATE
    return (Status.SUCCESS, "") if found.state == events.DELIVERED else (Status.FAILED, found.reason)


def withdraw(task: TaskExecution, invocation: Invocation, *, reason: str, now: float) -> UnitOfWork[None]:
    """Make no further attempt; one that is under way may still arrive."""
    name = function_of(task.scope, task.task.arn)
    yield from events.withdraw(task.scope, name, invocation.id, reason=reason, now=now)


def _words(execution: Execution, task: TaskExecution, invocation: Invocation, nodes: list[str]) -> Mapping[str, str]:
    named = ",".join(nodes)
    return {**words_of(execution, task, invocation), "{{TARGET_ID}}": named, "{{RESOURCE_ID}}": named}


def _payload(settings: Mapping[str, Any], words: Mapping[str, str]) -> Any:
    """
    What the task gives its function: JSON where it is that, and not nested too deep, else text.

    Words are filled in within texts alone.
    """
    text = base64.b64decode(settings.get("Payload", "")).decode("utf-8", "replace")
    try:
        return _filled(json.loads(text), words) if text else None
    except (ValueError, RecursionError):
        return _filled(text, words)


def _filled(value: Any, words: Mapping[str, str], depth: int = 0) -> Any:
    """Raises ValueError for what is nested too deep."""
    if depth > DEEPEST:
        msg = f"it is nested more than {DEEPEST} levels deep"
        raise ValueError(msg)
    if isinstance(value, str):
        for word, meaning in words.items():
            value = value.replace(word, meaning)
        return value
    if isinstance(value, list):
        return [_filled(one, words, depth + 1) for one in value]
    if isinstance(value, dict):
        return {name: _filled(one, words, depth + 1) for name, one in value.items()}
    return value
