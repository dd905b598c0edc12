# SPDX-License-Identifier: Apache-2.0
"""Maintenance windows as resources, what is executed of them, and the room's errors (spec §4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from functools import lru_cache
from typing import Any

from patchwright.core.errors import PatchwrightError
from patchwright.server.accounts import Scope
from patchwright.server.commands import Permitted, Request, Target
from patchwright.server.infra import UnitOfWork
from patchwright.server.windows.schedule import YEARS, Schedule, compile_schedule

# Which of the nodes that a command reaches its owner may reach now (None: all of them); raises where that one may not send it.
Rights = Callable[[Scope, str, Request, float], UnitOfWork[Permitted | None]]
HOUR = 3600.0
KEPT_SECONDS = 30 * 24 * HOUR  # what was executed, after it has ended (spec §4.5)
NO_TASKS = "No tasks to execute."
SOME_FAILED = "One or more tasks in the orchestration failed."
RUN_COMMAND = "RUN_COMMAND"
LAMBDA = "LAMBDA"


class WindowsError(PatchwrightError):
    """The root of this room's errors."""


class UnknownWindow(WindowsError):
    """No maintenance window, or nothing in it, with this id."""


class InvalidWindow(WindowsError):
    """A window, target or task that contradicts itself."""


class UnknownFeed(WindowsError):
    """No calendar feed with this id."""


class TargetInUse(WindowsError):
    """A target that a task still names."""


class TooMany(WindowsError):
    """As many windows, targets or tasks as there may be."""


class WindowBusy(WindowsError):
    """A window that cannot be opened now, since an execution of it has not ended."""


class Status(str, Enum):
    """How an execution, a task of it, or an invocation of that stands (spec §4.5)."""

    PENDING = "PENDING"
    IN_PROGRESS = "IN_PROGRESS"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    TIMED_OUT = "TIMED_OUT"
    CANCELLING = "CANCELLING"
    CANCELLED = "CANCELLED"
    SKIPPED_OVERLAPPING = "SKIPPED_OVERLAPPING"

    @property
    def final(self) -> bool:
        """Whether nothing follows."""
        return self not in {Status.PENDING, Status.IN_PROGRESS, Status.CANCELLING}


@dataclass(frozen=True)
class Window:
    """
    A maintenance window. Dates are as given, empty where absent; *duration* and *cutoff* are hours; other times epoch seconds.

    *scheduled_from* is when the schedule was last set; *next_at* is its next firing, None where there is none any more.
    """

    scope: Scope
    id: str
    name: str
    schedule: str
    duration: int
    cutoff: int
    allow_unassociated_targets: bool
    description: str = ""
    zone: str = ""
    schedule_offset: int = 0
    start_date: str = ""
    end_date: str = ""
    enabled: bool = True
    created_at: float = 0.0
    modified_at: float = 0.0
    scheduled_from: float = 0.0
    next_at: float | None = None

    def compiled(self) -> Schedule:
        """Its schedule. Errors: MalformedSchedule, InvalidWindow."""
        return _compiled(
            self.schedule, self.zone, self.schedule_offset, self.scheduled_from, (self.start_date, self.end_date)
        )

    def first(self) -> float | None:
        """The first time it opens since its schedule was set: a rate without start date at once."""
        return self.compiled().next(self.scheduled_from - 1e-3)


@dataclass(frozen=True)
class WindowTarget:
    """A registration of targets with a window."""

    scope: Scope
    window_id: str
    id: str
    resource_type: str
    targets: tuple[Target, ...]
    owner_information: str = ""
    name: str = ""
    description: str = ""
    created_at: float = 0.0


@dataclass(frozen=True)
class WindowTask:
    """
    A task of a window. *invocation* is TaskInvocationParameters: one member, that of its type; *extra* what is kept only to be shown: TaskParameters, LoggingInfo, AlarmConfiguration.
    *owner* is who registered it or changed it last, as `accounts.remember` has it; empty: root. It runs with that one's rights.
    """

    scope: Scope
    window_id: str
    id: str
    type: str
    arn: str
    priority: int = 1
    targets: tuple[Target, ...] = ()
    service_role: str = ""
    invocation: Mapping[str, Any] = field(default_factory=dict)
    max_concurrency: str = ""
    max_errors: str = ""
    name: str = ""
    description: str = ""
    cutoff_behavior: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)
    created_at: float = 0.0
    owner: str = ""


@dataclass(frozen=True)
class Feed:
    """
    A link to the calendar of windows: of one, *window_id*, or of every one where that is empty; of those with all *tags*.

    *days* is how far ahead it goes. *owner* is who made it, as `accounts.remember` has it; empty: root. It is read with that
    one's rights.
    """

    scope: Scope
    id: str
    name: str
    window_id: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    days: int = 90
    owner: str = ""
    created_at: float = 0.0


@dataclass(frozen=True)
class Execution:
    """A window that opened, or should have. No task starts at *cutoff_at* or later; the window closes at *ends_at*."""

    scope: Scope
    id: str
    window_id: str
    scheduled_at: float
    cutoff_at: float
    ends_at: float
    status: Status
    details: str
    started_at: float
    ended_at: float | None = None


@dataclass(frozen=True)
class TaskExecution:
    """A task as it was when the window opened, and how it went."""

    scope: Scope
    execution_id: str
    id: str
    task: WindowTask
    position: int
    status: Status = Status.PENDING
    details: str = ""
    started_at: float | None = None
    ended_at: float | None = None


@dataclass(frozen=True)
class Invocation:
    """One registration of targets for one task: carried out by one command, whose id it names once it is sent."""

    scope: Scope
    execution_id: str
    task_execution_id: str
    id: str
    position: int
    window_target_id: str
    targets: tuple[Target, ...]
    owner_information: str = ""
    command_id: str = ""
    parameters: str = ""
    status: Status = Status.PENDING
    details: str = ""
    started_at: float | None = None
    ended_at: float | None = None


def moment(text: str) -> float | None:
    """A StartDate or EndDate as epoch seconds; None where it is empty; UTC where it names no offset. Errors: InvalidWindow."""
    if not text:
        return None
    try:
        read = datetime.fromisoformat(text)
        if read.year not in YEARS:
            raise ValueError(text)
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        msg = f"{text[:64]!r} is no date: write 2026-11-20T00:00:00Z or 2026-11-20T00:00:00+01:00."
        raise InvalidWindow(msg) from None


@lru_cache(maxsize=1024)
def _compiled(schedule: str, zone: str, offset: int, since: float, dates: tuple[str, str]) -> Schedule:
    start, end = moment(dates[0]), moment(dates[1])
    if start is not None and end is not None and end <= start:
        msg = "EndDate must be later than StartDate."
        raise InvalidWindow(msg)
    return compile_schedule(schedule, zone=zone, offset_days=offset, created=since, start=start, end=end)
