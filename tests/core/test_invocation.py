# SPDX-License-Identifier: Apache-2.0
"""The life of an invocation, and what invocations add up to."""

from __future__ import annotations

import pytest

from patchwright.core.errors import ImpossibleTransition
from patchwright.core.invocation import ERRORS, FINAL, TRANSITIONS, UNREACHED, Detail, advance, aggregate

PENDING, RUNNING, SUCCESS, FAILED = Detail.PENDING, Detail.IN_PROGRESS, Detail.SUCCESS, Detail.FAILED
CANCELLED, TERMINATED, TIMED_OUT = Detail.CANCELLED, Detail.TERMINATED, Detail.EXECUTION_TIMED_OUT
LATE, GONE, BARRED, MISFIT = (
    Detail.DELIVERY_TIMED_OUT,
    Detail.UNDELIVERABLE,
    Detail.ACCESS_DENIED,
    Detail.INVALID_PLATFORM,
)
STATUSES = {"Pending", "InProgress", "Delayed", "Success", "Cancelled", "Failed", "TimedOut", "Cancelling"}


@pytest.mark.parametrize(
    ("detail", "status"),
    [
        ("Pending", "Pending"),
        ("Delayed", "Delayed"),
        ("InProgress", "InProgress"),
        ("Cancelling", "Cancelling"),
        ("Success", "Success"),
        ("Failed", "Failed"),
        ("Cancelled", "Cancelled"),
        ("ExecutionTimedOut", "TimedOut"),
        ("DeliveryTimedOut", "TimedOut"),
        ("Undeliverable", "Failed"),
        ("Terminated", "Cancelled"),
        ("InvalidPlatform", "Failed"),
        ("AccessDenied", "Failed"),
        ("Incomplete", "Failed"),
        ("NoInstancesInTag", "Success"),
        ("LimitExceeded", "Failed"),
    ],
)
def test_every_detail_has_a_status_of_the_api(detail, status):
    """The table of spec §5.2."""
    assert Detail(detail).status == status
    assert status in STATUSES


def test_four_details_are_under_way_and_all_others_final():
    """A terminal state has no way out."""
    assert {detail for detail in Detail if not detail.final} == {
        PENDING,
        RUNNING,
        Detail.DELAYED,
        Detail.CANCELLING,
    }
    assert frozenset(Detail) - set(TRANSITIONS) == FINAL


def test_only_failures_and_execution_timeouts_count_as_errors():
    """What never reached the node counts neither to MaxErrors nor as reached."""
    assert {FAILED, TIMED_OUT} == ERRORS
    assert {GONE, BARRED, MISFIT} == UNREACHED


@pytest.mark.parametrize("current", Detail)
@pytest.mark.parametrize("wanted", Detail)
def test_an_invocation_advances_along_the_table_or_not_at_all(current, wanted):
    """A repeated report changes nothing; whatever is not in the table is refused by name."""
    if wanted is current or wanted in TRANSITIONS.get(current, ()):
        assert advance(current, wanted) is wanted
    else:
        with pytest.raises(ImpossibleTransition, match=f"{wanted.value} cannot follow {current.value}"):
            advance(current, wanted)


def test_an_invocation_under_way_never_falls_back():
    """Neither to Pending nor from running to not yet sent."""
    assert all(PENDING not in following for following in TRANSITIONS.values())
    assert not {Detail.DELAYED, TERMINATED, MISFIT, BARRED} & TRANSITIONS[RUNNING]
    assert RUNNING not in TRANSITIONS[Detail.CANCELLING]


@pytest.mark.parametrize(
    ("details", "max_errors", "cancelling", "expected"),
    [
        ([], 0, False, Detail.NO_INSTANCES_IN_TAG),
        ([PENDING, PENDING], 0, False, PENDING),
        ([PENDING, RUNNING], 0, False, RUNNING),
        ([PENDING, Detail.DELAYED], 0, False, RUNNING),
        ([PENDING, SUCCESS], 0, False, RUNNING),
        ([FAILED, RUNNING], 0, False, RUNNING),
        ([PENDING, SUCCESS], 0, True, Detail.CANCELLING),
        ([Detail.CANCELLING], 0, True, Detail.CANCELLING),
        ([SUCCESS, CANCELLED], 0, True, CANCELLED),
        ([SUCCESS, SUCCESS], 0, True, SUCCESS),
        ([SUCCESS, FAILED], 0, True, FAILED),
        ([SUCCESS, SUCCESS], 0, False, SUCCESS),
        ([SUCCESS, CANCELLED], 0, False, Detail.INCOMPLETE),
        ([LATE, LATE], 0, False, LATE),
        ([LATE, SUCCESS], 0, False, Detail.INCOMPLETE),
        ([GONE] * 4 + [SUCCESS], 0, False, SUCCESS),
        ([GONE] * 5, 0, False, FAILED),
        ([MISFIT] * 2, 0, False, FAILED),
        ([BARRED] * 2, 0, False, BARRED),
        ([BARRED, GONE], 5, False, FAILED),
        ([GONE, CANCELLED], 0, False, Detail.INCOMPLETE),
        ([FAILED] + [TERMINATED] * 9, 0, False, FAILED),
        ([FAILED, TIMED_OUT, SUCCESS], 1, False, FAILED),
        ([FAILED, TIMED_OUT, SUCCESS], 2, False, Detail.INCOMPLETE),
        ([FAILED] * 5 + [SUCCESS] * 45, 5, False, Detail.INCOMPLETE),
        ([FAILED] * 6 + [SUCCESS] * 44, 5, False, FAILED),
    ],
)
def test_a_command_is_what_its_invocations_add_up_to(details, max_errors, cancelling, expected):
    """The rules of spec §5.2: unreached nodes do not spoil a success, errors above the limit fail it."""
    assert aggregate(details, max_errors=max_errors, cancelling=cancelling) is expected
