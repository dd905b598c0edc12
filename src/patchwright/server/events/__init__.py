# SPDX-License-Identifier: Apache-2.0
"""
Events: what happened, told in the transaction in which it happened, and sent to whom it concerns (spec §7.7, §5.8).

The door. `emit`, `emit_all` and `emit_of_each` are units of work for the rooms in which things happen.
"""

from __future__ import annotations

from patchwright.server.events.courier import KEPT_SECONDS, STEP_SECONDS, TIDY_SECONDS, Courier, tidy
from patchwright.server.events.emitting import emit, emit_all, emit_of_each, number_waiting
from patchwright.server.events.feed import Feed, Part
from patchwright.server.events.model import (
    COMMAND,
    COMMAND_INVOCATION,
    COMPLIANCE,
    DEAD,
    DELIVERED,
    DETAIL_TYPES,
    PARAMETER,
    PARAMETER_POLICY,
    PENDING,
    WINDOW,
    WINDOW_EXECUTION,
    WINDOW_TARGET,
    WINDOW_TASK,
    WINDOW_TASK_EXECUTION,
    WINDOW_TASK_INVOCATION,
    Delivery,
    Event,
    InvalidSubscription,
    InvalidTopic,
    Subscription,
    TooManySubscriptions,
    UnknownEvent,
    UnknownSubscription,
    derived_id,
    ids_in_time,
    iso_millis,
    managed_arn,
    node_arn,
    window_arn,
)
from patchwright.server.events.news import News, open_news
from patchwright.server.events.notifying import call, notify, outcome, require_topic, topic_of, withdraw
from patchwright.server.events.pattern import InvalidPattern, compiled
from patchwright.server.events.sending import Postman
from patchwright.server.events.subscriptions import Search, Subscriptions, Wish

__all__ = [
    "COMMAND",
    "COMMAND_INVOCATION",
    "COMPLIANCE",
    "DEAD",
    "DELIVERED",
    "DETAIL_TYPES",
    "KEPT_SECONDS",
    "PARAMETER",
    "PARAMETER_POLICY",
    "PENDING",
    "STEP_SECONDS",
    "TIDY_SECONDS",
    "WINDOW",
    "WINDOW_EXECUTION",
    "WINDOW_TARGET",
    "WINDOW_TASK",
    "WINDOW_TASK_EXECUTION",
    "WINDOW_TASK_INVOCATION",
    "Courier",
    "Delivery",
    "Event",
    "Feed",
    "InvalidPattern",
    "InvalidSubscription",
    "InvalidTopic",
    "News",
    "Part",
    "Postman",
    "Search",
    "Subscription",
    "Subscriptions",
    "TooManySubscriptions",
    "UnknownEvent",
    "UnknownSubscription",
    "Wish",
    "call",
    "compiled",
    "derived_id",
    "emit",
    "emit_all",
    "emit_of_each",
    "ids_in_time",
    "iso_millis",
    "managed_arn",
    "node_arn",
    "notify",
    "number_waiting",
    "open_news",
    "outcome",
    "require_topic",
    "tidy",
    "topic_of",
    "window_arn",
    "withdraw",
]
