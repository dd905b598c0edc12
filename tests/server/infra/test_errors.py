# SPDX-License-Identifier: Apache-2.0
"""The tree of errors is as drawn on top of its module."""

from __future__ import annotations

import inspect
import re

from patchwright.core.errors import PatchwrightError
from patchwright.server.infra import errors


def test_the_drawing_shows_every_class_under_its_parent() -> None:
    """Indentation in the drawing is inheritance in the code."""
    drawn: dict[str, str] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"    ([ │├└─]*)([A-Z]\w+)", line)
        if found:
            depth = len(found.group(1)) // 4
            path[depth:] = [found.group(2)]
            drawn[found.group(2)] = path[depth - 1] if depth else ""
    coded = {
        name: item.__mro__[1].__name__
        for name, item in inspect.getmembers(errors, inspect.isclass)
        if issubclass(item, PatchwrightError) and item is not PatchwrightError
    }

    assert drawn == {"PatchwrightError": "", **coded}
