# SPDX-License-Identifier: Apache-2.0
"""
Events: what happened, told in the transaction in which it happened, and sent to whom it concerns (spec §7.7, §5.8).

The door. `emit` and `emit_all` are units of work for the rooms in which things happen.
"""

from __future__ import annotations

from patchwright.server.events.emitting import emit, emit_all, number_waiting
from patchwright.server.events.model import (
    COMMAND,
    COMMAND_INVOCATION,
    COMPLIANCE,
    DETAIL_TYPES,
    PARAMETER,
    WINDOW,
    WINDOW_EXECUTION,
    WINDOW_TARGET,
    WINDOW_TASK,
    WINDOW_TASK_EXECUTION,
    WINDOW_TASK_INVOCATION,
    Event,
    InvalidTopic,
    iso_millis,
    managed_arn,
    node_arn,
    window_arn,
)
from patchwright.server.events.notifying import call, notify, outcome, require_topic, topic_of

__all__ = [
    "COMMAND",
    "COMMAND_INVOCATION",
    "COMPLIANCE",
    "DETAIL_TYPES",
    "PARAMETER",
    "WINDOW",
    "WINDOW_EXECUTION",
    "WINDOW_TARGET",
    "WINDOW_TASK",
    "WINDOW_TASK_EXECUTION",
    "WINDOW_TASK_INVOCATION",
    "Event",
    "InvalidTopic",
    "call",
    "emit",
    "emit_all",
    "iso_millis",
    "managed_arn",
    "node_arn",
    "notify",
    "number_waiting",
    "outcome",
    "require_topic",
    "topic_of",
    "window_arn",
]
