# SPDX-License-Identifier: Apache-2.0
"""What a documented answer has and another lacks, member by member, by the model's own types."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

from botocore.loaders import Loader
from botocore.model import ListShape, MapShape, ServiceModel, Shape, StructureShape

MODEL = ServiceModel(Loader().load_service_model("ssm", "service-2"), "ssm")


def operation(command: str) -> str:
    """The operation that a command of the CLI calls."""
    plain = command.replace("-", "").lower()
    return next(name for name in MODEL.operation_names if name.lower() == plain)


def answer(command: str) -> Shape | None:
    """The shape of a command's answer."""
    found: Shape | None = MODEL.operation_model(operation(command)).output_shape
    return found


def lacking(documented: Any, given: Any, shape: Shape | None) -> list[str]:
    """
    Paths such as `Patches[].Title` that *documented* has and *given* lacks, and `X: number instead of text`.

    The elements of a list are looked at together: what any of them has counts. Keys of maps are data, not members. Whether
    there is a further page depends on how much there is, so `NextToken` does not count.
    """
    return sorted(set(_compare([documented], [given], shape, "")) - {"NextToken"})


def _compare(documented: list[Any], given: list[Any], shape: Shape | None, path: str) -> Iterator[str]:
    wanted, found = {_kind(one, shape) for one in documented}, {_kind(one, shape) for one in given}
    if shape is not None and shape.type_name == "timestamp":
        wanted = {"time"}  # one page has a date that is none
    if not found <= wanted:
        yield f"{path}: {' or '.join(sorted(found - wanted))} instead of {' or '.join(sorted(wanted))}"
    elif wanted == {"list"}:
        inner = shape.member if isinstance(shape, ListShape) else None
        yield from _elements(_flat(documented), _flat(given), inner, path + "[]")
    elif wanted == {"object"} and isinstance(shape, MapShape):
        values = [[value for one in side for value in one.values()] for side in (documented, given)]
        yield from _elements(*values, shape.value, path + "{}")
    elif wanted == {"object"}:
        members = shape.members if isinstance(shape, StructureShape) else {}
        for name in dict.fromkeys(name for one in documented for name in one):
            if shape is not None and name not in members:
                yield f"{path}.{name}: not in the model".lstrip(".")
                continue
            values = [[one[name] for one in side if name in one] for side in (documented, given)]
            yield from _elements(*values, members.get(name), f"{path}.{name}".lstrip("."))


def _elements(documented: list[Any], given: list[Any], shape: Shape | None, path: str) -> Iterator[str]:
    if documented and not given:
        yield path
    elif documented:
        yield from _compare(documented, given, shape, path)


def _flat(lists: list[list[Any]]) -> list[Any]:
    return [element for one in lists for element in one]


def _kind(value: Any, shape: Shape | None) -> str:
    if shape is not None and shape.type_name == "timestamp":
        return "time" if _is_time(value) else f"no time: {value!r}"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    return {str: "text", list: "list", dict: "object", type(None): "null"}[type(value)]


def _is_time(value: Any) -> bool:
    if isinstance(value, (int, float)):
        return True
    try:
        datetime.datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return False
    return True
