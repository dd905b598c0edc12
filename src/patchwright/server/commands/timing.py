# SPDX-License-Identifier: Apache-2.0
"""How long a document may take on a node (spec §5.3), and on which nodes it can run."""

from __future__ import annotations

import re
from typing import Any

from patchwright.core import actions, document
from patchwright.core.document import Document
from patchwright.core.parameter import Values

STEP_SECONDS = 3600  # of a step that says nothing, or nothing that may be said
_LEAST, _MOST = 5, 172_800
_WHOLE = re.compile(r"[0-9]{1,9}\Z")
_PLATFORMS = ("Linux", "MacOS", "Windows")


def execution_seconds(parsed: Document, values: Values) -> int:
    """
    The time that the steps have together, on the platform on which that is longest: they run one after the other.

    *values* are those of the parameters.
    """
    steps = document.prepared(parsed, values)
    return max(
        sum(step_seconds(step.inputs.get("timeoutSeconds")) for step in steps if document.may_run_on(step, platform))
        for platform in _PLATFORMS
    )


def platforms(parsed: Document) -> frozenset[str]:
    """The platforms on which at least one step of a document runs."""
    return frozenset(
        platform
        for step in parsed.steps
        for platform in actions.platforms_of(step.action, schema=parsed.schema_version)
        if document.may_run_on(step, platform)
    )


def step_seconds(given: Any) -> int:
    """The time of one step: what its `timeoutSeconds` says, if the node takes that for a time."""
    if isinstance(given, bool):
        return STEP_SECONDS
    if isinstance(given, str) and _WHOLE.match(given.strip()):
        given = int(given)
    return given if isinstance(given, int) and _LEAST <= given <= _MOST else STEP_SECONDS
