# SPDX-License-Identifier: Apache-2.0
"""
Maintenance windows: when they open, for which targets, and what they do then.

The door. `Service` keeps windows, targets and tasks; `Executions` shows what was executed; `tend` is the job that
executes, `recount` the one that mends what a wrong clock did.
"""

from __future__ import annotations

from patchwright.server.commands import Target
from patchwright.server.windows.calendar import entries as calendar_entries
from patchwright.server.windows.calendar import icalendar
from patchwright.server.windows.describing import describe, described
from patchwright.server.windows.executions import RECOUNT_SECONDS, TEND_SECONDS, Executions, recount, tend
from patchwright.server.windows.feeds import Feeds
from patchwright.server.windows.fields import MalformedSchedule
from patchwright.server.windows.forecast import Foretold, Outlook, Verdict
from patchwright.server.windows.forecasting import MUST_FIT, Forecast, Forecasts, needs
from patchwright.server.windows.forecasting import counts as forecast_counts
from patchwright.server.windows.model import (
    LAMBDA,
    Execution,
    Feed,
    InvalidWindow,
    Invocation,
    Rights,
    Status,
    TargetInUse,
    TaskExecution,
    TooMany,
    UnknownFeed,
    UnknownWindow,
    Window,
    WindowBusy,
    WindowTarget,
    WindowTask,
    moment,
)
from patchwright.server.windows.schedule import compile_schedule
from patchwright.server.windows.service import Service, require

__all__ = [
    "LAMBDA",
    "MUST_FIT",
    "RECOUNT_SECONDS",
    "TEND_SECONDS",
    "Execution",
    "Executions",
    "Feed",
    "Feeds",
    "Forecast",
    "Forecasts",
    "Foretold",
    "InvalidWindow",
    "Invocation",
    "MalformedSchedule",
    "Outlook",
    "Rights",
    "Service",
    "Status",
    "Target",
    "TargetInUse",
    "TaskExecution",
    "TooMany",
    "UnknownFeed",
    "UnknownWindow",
    "Verdict",
    "Window",
    "WindowBusy",
    "WindowTarget",
    "WindowTask",
    "calendar_entries",
    "compile_schedule",
    "describe",
    "described",
    "forecast_counts",
    "icalendar",
    "moment",
    "needs",
    "recount",
    "require",
    "tend",
]
