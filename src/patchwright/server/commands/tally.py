# SPDX-License-Identifier: Apache-2.0
"""
How the invocations of a command stand, counted as they move (docs/adr/0031). Pure.

Whoever moves an invocation says what that changes; nobody counts rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from patchwright.core.invocation import ERRORS, FINAL, Detail, aggregate_counts
from patchwright.server.commands.rate_control import Tally

WAITING, UNDER_WAY, BEGUN = "waiting", "under_way", "begun"
ENDS: Mapping[Detail, str] = {  # the columns of what has ended
    Detail.SUCCESS: "success",
    Detail.FAILED: "failed",
    Detail.EXECUTION_TIMED_OUT: "execution_timed_out",
    Detail.DELIVERY_TIMED_OUT: "delivery_timed_out",
    Detail.CANCELLED: "cancelled",
    Detail.UNDELIVERABLE: "undeliverable",
    Detail.TERMINATED: "terminated",
    Detail.INVALID_PLATFORM: "invalid_platform",
    Detail.ACCESS_DENIED: "access_denied",
}
COLUMNS = (WAITING, UNDER_WAY, BEGUN, *ENDS.values())


@dataclass(frozen=True)
class Standing:
    """
    A command's counts, and how far it is.

    *most_under_way* 0: none of them may ever begin, since more would have waited than may. *begun* of those that have not
    ended are past Pending. *ending* is what those that wait end in; None: they wait for their turn. *spread_after* is the
    last node that was looked at while its targets are resolved; None: they all are. What would not have ended by *end_by*
    is not begun; None: everything is. A node has *begin_within* seconds from its turn on to begin, and *end_within* to end;
    None: its time runs from the sending.
    """

    most_under_way: int
    most_errors: int
    waiting: int
    under_way: int
    begun: int
    ended: Mapping[Detail, int]
    cancelling: bool
    ending: Detail | None
    spread_after: str | None
    end_by: float | None
    begin_within: float | None
    end_within: float | None

    @property
    def tally(self) -> Tally:
        """What rate control asks about them."""
        return Tally(self.waiting, self.under_way, self.errors)

    @property
    def errors(self) -> int:
        """How many ended in an error."""
        return sum(self.ended[detail] for detail in ERRORS)

    @property
    def completed(self) -> int:
        """How many have ended, however."""
        return sum(self.ended.values())

    @property
    def detail(self) -> Detail:
        """What it all adds up to; as long as targets are looked for the command has not begun."""
        if self.spread_after is not None:
            return Detail.PENDING
        if not self.most_under_way:
            return Detail.LIMIT_EXCEEDED
        counts = {
            **self.ended,
            Detail.PENDING: self.waiting + self.under_way - self.begun,
            Detail.IN_PROGRESS: self.begun,
        }
        return aggregate_counts(counts, max_errors=self.most_errors, cancelling=self.cancelling)


def moved(before: Detail | None, after: Detail, *, released: bool, number: int = 1) -> Counter[str]:
    """
    What changes when *number* invocations go from one detail to another; *before* None: they are new.

    *released* says whether they were: by that those that have not ended wait, or are under way.
    """
    changes = Counter[str]()
    if before is not None:
        changes.subtract(dict.fromkeys(_columns(before, released=released), number))
    changes.update(dict.fromkeys(_columns(after, released=released), number))
    return changes


def let_go(number: int) -> Counter[str]:
    """What changes when *number* invocations that waited are released."""
    return Counter({WAITING: -number, UNDER_WAY: number})


def _columns(detail: Detail, *, released: bool) -> list[str]:
    if detail in FINAL:
        return [ENDS[detail]]
    found = [UNDER_WAY if released else WAITING]
    return found if detail is Detail.PENDING else [*found, BEGUN]
