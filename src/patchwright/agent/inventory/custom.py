# SPDX-License-Identifier: Apache-2.0
"""
Custom inventory: JSON files that people or programs leave on the node, in the form AWS's agent reads.

    {"SchemaVersion": "1.0", "TypeName": "Custom:RackInformation", "Content": {"Rack": "17"}}

Content is one row, or a list of them. A file that makes no sense is passed over, and the log says why; its content is never
in the log.
"""

from __future__ import annotations

import json
import os
import re
import stat
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from patchwright.agent import log
from patchwright.core.inventory import (
    CUSTOM_PREFIX,
    MAX_ATTRIBUTES,
    MAX_BYTES,
    MAX_NAME,
    MAX_ROWS,
    MAX_TYPE_NAME,
    MAX_VALUE,
    Row,
)

MAX_FILES = 50
AWS_PLACE = "/var/lib/amazon/ssm/{instance_id}/inventory/custom"
_TYPE_NAME = re.compile(f"{CUSTOM_PREFIX}.{{1,{MAX_TYPE_NAME - len(CUSTOM_PREFIX)}}}\\Z")
_VERSION = re.compile(r"[0-9]{1,6}\.[0-9]{1,6}\Z")


class Custom(NamedTuple):
    """What a file says."""

    type_name: str
    version: str
    rows: List[Row]


def read(directories: Sequence[Path]) -> Tuple[Dict[str, Custom], bool]:
    """
    What the files `*.json` in *directories* say, by type, and whether all of them could be read.

    Of several that speak of one type the first counts.
    """
    found: Dict[str, Custom] = {}
    complete = True
    for path in [path for directory in directories for path in sorted(directory.glob("*.json"))[:MAX_FILES]]:
        one = _read(path)
        if one is None:
            complete = False
        elif one.type_name in found:
            log.warning(f"custom inventory: {path} is passed over: another file speaks of {one.type_name}")
        else:
            found[one.type_name] = one
    return found, complete


def _read(path: Path) -> Optional[Custom]:
    try:
        return parse(_text(path))
    except (OSError, ValueError, RecursionError) as error:
        log.warning(f"custom inventory: {path} is passed over: {error}")
        return None


def parse(text: str) -> Custom:
    """What the text of a file says. Raises ValueError with the reason."""
    try:
        data = json.loads(text)
    except ValueError as error:
        raise ValueError(f"it is no JSON: {error}") from None
    if not isinstance(data, dict):
        raise ValueError("it is no JSON object")
    type_name, version, content = data.get("TypeName"), data.get("SchemaVersion"), data.get("Content")
    if not isinstance(type_name, str) or not _TYPE_NAME.match(type_name) or not type_name.isprintable():
        raise ValueError(f"TypeName has to be {CUSTOM_PREFIX} and a name, {MAX_TYPE_NAME} characters in all")
    if not isinstance(version, str) or not _VERSION.match(version):
        raise ValueError("SchemaVersion has to be a text such as 1.0")
    rows = content if isinstance(content, list) else [content]
    if len(rows) > MAX_ROWS:
        raise ValueError(f"Content has more than {MAX_ROWS} rows")
    return Custom(type_name, version, [_row(row) for row in rows])


def _row(row: Any) -> Row:
    if not isinstance(row, dict) or len(row) > MAX_ATTRIBUTES:
        raise ValueError(f"Content has to be an object, or a list of objects, of {MAX_ATTRIBUTES} members at most")
    made = {}
    for name, value in row.items():
        if not 0 < len(name) <= MAX_NAME or not name.isprintable():
            raise ValueError(f"the name of a member of Content has 1 to {MAX_NAME} printable characters")
        text = json.dumps(value) if isinstance(value, (bool, int, float)) else value
        if not isinstance(text, str):
            raise ValueError(f"the member {name!r} of Content has to be a text")
        made[name] = "".join(mark for mark in text[:MAX_VALUE] if mark != "\0" and not "\ud800" <= mark <= "\udfff")
    return made


def _text(path: Path) -> str:
    """The text of a plain file. Raises OSError, ValueError."""
    descriptor = os.open(str(path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe would be waited for
    with open(descriptor, "rb") as file:  # noqa: PTH123 - by its descriptor
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("it is no plain file")
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES} bytes")
    return data.decode("utf-8")
