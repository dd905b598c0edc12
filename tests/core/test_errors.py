# SPDX-License-Identifier: Apache-2.0
"""The tree of errors: as drawn, so derived."""

from __future__ import annotations

import inspect
import re

import patchwright.core.errors as errors_module
from patchwright.core.errors import DigestMismatch, MalformedFacts, PatchwrightError, PlanRefused


def drawn() -> dict[str, str]:
    """By name of error, the name it hangs from in the drawing."""
    parents: dict[str, str] = {}
    above: list[str] = []
    for line in (errors_module.__doc__ or "").splitlines():
        match = re.match(r"    (?P<stem>[│├└─ ]*)(?P<name>[A-Z][A-Za-z]+)\b", line)
        if match:
            depth = len(match["stem"]) // 4
            above[depth:] = [match["name"]]
            parents[match["name"]] = above[depth - 1] if depth else "Exception"
    return parents


def test_the_drawing_on_top_is_the_tree():
    """Every class is in the drawing, below the class it is derived from, and nothing else is."""
    classes = {
        name: item.__bases__[0].__name__
        for name, item in vars(errors_module).items()
        if inspect.isclass(item) and issubclass(item, Exception)
    }

    assert drawn() == classes


def test_every_error_has_one_root():
    """One `except PatchwrightError` catches all that is raised on purpose."""
    classes = [item for item in vars(errors_module).values() if inspect.isclass(item) and issubclass(item, Exception)]

    assert all(issubclass(item, PatchwrightError) for item in classes)


def test_a_digest_mismatch_names_both_digests():
    """What was claimed and what it is; it is also a case of malformed facts."""
    error = DigestMismatch("set1:aa", "set1:bb")

    assert (error.claimed, error.actual) == ("set1:aa", "set1:bb")
    assert str(error) == "the body sent as set1:aa has the digest set1:bb"
    assert isinstance(error, MalformedFacts)


def test_a_refused_plan_lists_every_violation():
    """The message joins them; the list stays apart."""
    error = PlanRefused(["a is blocked", "b appears twice"])

    assert str(error) == "a is blocked; b appears twice"
    assert error.violations == ("a is blocked", "b appears twice")
