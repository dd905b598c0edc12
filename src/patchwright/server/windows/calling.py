# SPDX-License-Identifier: Apache-2.0
"""
What a task of type LAMBDA calls: the subscription that its function names, with a signed webhook (spec §4.1).

Once for each registration of targets it names, and once where it names none. Units of work.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from typing import Any

from patchwright.server import events
from patchwright.server.accounts import Scope
from patchwright.server.infra import UnitOfWork
from patchwright.server.windows.model import Execution, InvalidWindow, Invocation, Status, TaskExecution
from patchwright.server.windows.resolving import matches
from patchwright.server.windows.running import words_of

MOST_NODES = 10_000  # named in one call
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


def call(execution: Execution, task: TaskExecution, invocation: Invocation, *, now: float) -> UnitOfWork[str]:
    """
    Call the function of an invocation, no later than the window closes; returns the JSON of what it is told.

    Errors: InvalidWindow, UnknownSubscription.
    """
    scope, settings = task.scope, task.task.invocation.get("Lambda", {})
    name = function_of(scope, task.task.arn)
    nodes = (yield from matches(scope, invocation.targets)) if invocation.targets else []
    if len(nodes) > MOST_NODES:
        msg = f"The task reaches {len(nodes)} nodes; a function is told of {MOST_NODES} at most."
        raise InvalidWindow(msg)
    body = {
        "functionArn": task.task.arn,
        "qualifier": settings.get("Qualifier", ""),
        "clientContext": settings.get("ClientContext", ""),
        "windowId": execution.window_id,
        "windowExecutionId": execution.id,
        "windowTaskId": task.task.id,
        "windowTargetId": invocation.window_target_id,
        "ownerInformation": invocation.owner_information,
        "instanceIds": nodes,
        "payload": _payload(settings, _words(execution, task, invocation, nodes)),
    }
    yield from events.call(scope, name, body, now=now, until=execution.ends_at, id=invocation.id)
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
