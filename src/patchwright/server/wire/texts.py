# SPDX-License-Identifier: Apache-2.0
"""Values that are sent as text: in a path, a query, a header, a form."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from .moments import read_text
from .shapes import moment_form
from .validation import FRACTIONS, INTEGERS

_INTEGER = re.compile(r"[-+]?\d{1,20}", re.ASCII)
_FRACTION = re.compile(r"[-+]?(\d{1,40}(\.\d{0,40})?|\.\d{1,40})([eE][-+]?\d{1,3})?", re.ASCII)
_BOOLEANS = {"true": True, "false": False}


def scalar(shape: Mapping[str, Any], reference: Mapping[str, Any], text: str, *, default: str) -> Any:
    """
    The plain value that *text* tells of a simple *shape*; *text* itself where it tells none, for validation to refuse.

    *default* is the form of moments where neither the shape nor what refers to it names one.
    """
    kind = shape["type"]
    if kind in INTEGERS:
        return int(text) if _INTEGER.fullmatch(text) else text
    if kind in FRACTIONS:
        return float(text) if _FRACTION.fullmatch(text) and math.isfinite(float(text)) else text
    if kind == "boolean":
        return _BOOLEANS.get(text, text)
    if kind == "timestamp":
        return read_text(text, moment_form(shape, reference, default))
    return text
