# SPDX-License-Identifier: Apache-2.0
"""Pseudo parameters of maintenance window tasks, such as `{{WINDOW_ID}}` (spec §4.7)."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Any

from patchwright.server.windows.model import RUN_COMMAND, InvalidWindow, WindowTask

_WORD = re.compile(r"\{\{([A-Z][A-Z_]*)\}\}")
_OF_THE_TARGET = frozenset({"TARGET_ID", "RESOURCE_ID"})
_NAMES = _OF_THE_TARGET | {
    "WINDOW_ID",
    "WINDOW_TASK_ID",
    "WINDOW_TARGET_ID",
    "WINDOW_EXECUTION_ID",
    "TASK_EXECUTION_ID",
    "INVOCATION_ID",
    "TARGET_TYPE",
}


def check(task: WindowTask) -> None:
    """Raise InvalidWindow where *task* names one that does not exist, or that its type has not."""
    for text in _texts(task.invocation):
        for name in _WORD.findall(text):
            if name not in _NAMES:
                msg = f"There is no pseudo parameter {{{{{name[:64]}}}}}; there are {', '.join(sorted(_NAMES))}."
                raise InvalidWindow(msg)
            if task.type == RUN_COMMAND and name in _OF_THE_TARGET:
                msg = f"{{{{{name}}}}} is not for tasks of type {RUN_COMMAND}: their target is the node that runs them."
                raise InvalidWindow(msg)


def _texts(given: Any, member: str = "") -> Iterator[str]:
    """Every text in TaskInvocationParameters; the payload, which is kept as base64, as it was given."""
    if isinstance(given, str):
        yield base64.b64decode(given).decode("utf-8", "replace") if member == "Payload" else given
    elif isinstance(given, dict):
        for key, value in given.items():
            yield from _texts(value, key)
    elif isinstance(given, list):
        for value in given:
            yield from _texts(value)
