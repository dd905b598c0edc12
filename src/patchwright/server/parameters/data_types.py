# SPDX-License-Identifier: Apache-2.0
"""Data types of a String's value, and what each holds."""

from __future__ import annotations

import re
from collections.abc import Mapping

from patchwright.server.parameters.errors import InvalidParameter

# What is no more than a name is any text. Whether an image exists is not asked: there is nobody here to ask.
_HOLDS: Mapping[str, re.Pattern[str] | None] = {
    "text": None,
    "aws:ec2:image": re.compile(r"ami-([0-9a-f]{8}|[0-9a-f]{17})\Z"),
    "aws:ssm:integration": None,
}


def check(data_type: str, value: str) -> None:
    """Raise InvalidParameter where there is no such data type, or the value is none of it."""
    if data_type not in _HOLDS:
        msg = f"The following data type is not supported: {data_type} (Data type names are all lowercase.)"
        raise InvalidParameter(msg)
    form = _HOLDS[data_type]
    if form is not None and not form.match(value):
        msg = f"The value doesn't have the form that the data type {data_type} requires."
        raise InvalidParameter(msg)
