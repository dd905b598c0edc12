# SPDX-License-Identifier: Apache-2.0
"""The parameters that a command document declares, and the values that they take (spec §5.9)."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Dict, List, Mapping, Optional, Tuple

from patchwright.core.errors import InvalidParameters, MalformedDocument
from patchwright.core.pattern import Effort, Pattern, TooMuchEffort, UnusablePattern

PATTERN_LIMIT = 2048  # characters of an allowedPattern
PATTERN_TEXT_LIMIT = 4096  # characters of a value that is matched against a document's allowedPattern
ENVIRONMENT = "ENV_VAR"  # interpolationType of a parameter that scripts get as an environment variable
STRING, STRING_LIST, BOOLEAN, INTEGER = "String", "StringList", "Boolean", "Integer"
MAP_LIST, STRING_MAP = "MapList", "StringMap"
_TYPES = (STRING, STRING_LIST, BOOLEAN, INTEGER, MAP_LIST, STRING_MAP)
_INTERPOLATIONS = ("", "RAW", ENVIRONMENT)
_MAP_DEPTH = 16

Bounds = Tuple[Optional[int], Optional[int]]
Values = Mapping[str, Any]


@dataclass(frozen=True)
class Parameter:
    """
    One declared parameter. *default* is None where the caller must give a value.

    *items* are the fewest and the most items of a list, *chars* the fewest and the most characters of a value; None: any.
    *interpolation* is `ENVIRONMENT` where scripts get the value as a variable and not in their text.
    """

    name: str
    type: str
    default: Any = None
    allowed_values: Tuple[str, ...] = ()
    allowed_pattern: str = ""
    items: Bounds = (None, None)
    chars: Bounds = (None, None)
    interpolation: str = ""


def read(name: str, entry: Mapping[str, Any]) -> Parameter:
    """A declaration. Raises MalformedDocument."""
    kind = entry.get("type")
    if kind not in _TYPES:
        raise MalformedDocument(f"the parameter {name} has the unknown type {kind!r}")
    pattern = str(entry.get("allowedPattern") or "")
    if len(pattern) > PATTERN_LIMIT:
        raise MalformedDocument(f"the allowedPattern of {name} has more than {PATTERN_LIMIT} characters")
    try:
        _compiled(pattern)
    except UnusablePattern as error:
        raise MalformedDocument(f"the allowedPattern of {name} is not served: {error}") from None
    allowed = entry.get("allowedValues") or []
    if not isinstance(allowed, list):
        raise MalformedDocument(f"the allowedValues of {name} are no list")
    return Parameter(
        name,
        kind,
        entry.get("default"),
        tuple(as_text(item, "") for item in allowed),
        pattern,
        (_bound(name, entry, "minItems"), _bound(name, entry, "maxItems")),
        (_bound(name, entry, "minChars"), _bound(name, entry, "maxChars")),
        _interpolation(name, kind, entry),
    )


def value(parameter: Parameter, given: List[str], effort: Optional[Effort]) -> Any:
    """
    The value that *given*, a list of strings as in SendCommand, means for the parameter: a string, a list of strings, an
    object or a list of objects. *effort* is what may be spent on its pattern, None: it fits.

    Raises InvalidParameters.
    """
    for item in given:
        if not isinstance(item, str):
            raise InvalidParameters(f"the parameter {parameter.name} takes strings")
        _check_allowed(parameter, item)
        if effort is not None and parameter.allowed_pattern:
            _check_pattern(parameter, item, effort)
    if parameter.type in (STRING_LIST, MAP_LIST):
        _check_bounds(parameter.items, len(given), f"the parameter {parameter.name}", "items")
        return given if parameter.type == STRING_LIST else [_map(parameter, item) for item in given]
    if len(given) != 1:
        raise InvalidParameters(f"the parameter {parameter.name} takes exactly one value")
    return _map(parameter, given[0]) if parameter.type == STRING_MAP else given[0]


def given(found: Any) -> List[str]:
    """The list of strings that `value` takes, of a value as it is delivered to nodes (agent-protocol §8.1)."""
    items = found if isinstance(found, list) else [found]
    return [as_text(item, "") for item in items]


def as_text(found: Any, unknown: str) -> str:
    """A value inside a text: a string as it is, anything else as JSON writes it, and *unknown* for None."""
    if found is None:
        return unknown
    if isinstance(found, str):
        return found
    return json.dumps(found, separators=(",", ":"), sort_keys=True, ensure_ascii=False)


def _map(parameter: Parameter, item: str) -> Dict[str, Any]:
    complaint = f"the parameter {parameter.name} takes objects written in JSON, not {item[:80]!r}"
    try:
        found = json.loads(item)
    except (ValueError, RecursionError):
        raise InvalidParameters(complaint) from None
    if not isinstance(found, dict) or _deeper_than(found, _MAP_DEPTH):
        raise InvalidParameters(complaint)
    return found


def _deeper_than(found: Any, levels: int) -> bool:
    if not isinstance(found, (dict, list)):
        return False
    parts = found.values() if isinstance(found, dict) else found
    return levels == 0 or any(_deeper_than(part, levels - 1) for part in parts)


def _check_bounds(bounds: Bounds, number: int, what: str, of: str) -> None:
    least, most = bounds
    if least is not None and number < least:
        raise InvalidParameters(f"{what} takes at least {least} {of}, not {number}")
    if most is not None and number > most:
        raise InvalidParameters(f"{what} takes at most {most} {of}, not {number}")


def _check_allowed(parameter: Parameter, item: str) -> None:
    _check_bounds(parameter.chars, len(item), f"a value of the parameter {parameter.name}", "characters")
    if parameter.allowed_values and item not in parameter.allowed_values:
        raise InvalidParameters(
            "the parameter {} allows {}, not {!r}".format(
                parameter.name, ", ".join(parameter.allowed_values), item[:80]
            )
        )
    if parameter.type == INTEGER and not re.fullmatch(r"-?[0-9]{1,18}", item):
        raise InvalidParameters(f"the parameter {parameter.name} takes a whole number, not {item[:80]!r}")
    if parameter.type == BOOLEAN and item.lower() not in ("true", "false"):
        raise InvalidParameters(f"the parameter {parameter.name} takes true or false, not {item[:80]!r}")


def _check_pattern(parameter: Parameter, item: str, effort: Effort) -> None:
    pattern = parameter.allowed_pattern
    complaint = f"the parameter {parameter.name} must match {pattern}, which {item[:80]!r} does not"
    if len(item) > PATTERN_TEXT_LIMIT:
        raise InvalidParameters(complaint)
    try:
        found = _compiled(pattern).found_in(item, effort)
    except TooMuchEffort:
        raise InvalidParameters(f"to see whether {item[:80]!r} matches {pattern} takes too long") from None
    if not found:
        raise InvalidParameters(complaint)


@lru_cache(maxsize=64)
def _compiled(pattern: str) -> Pattern:
    """An allowedPattern, its last `$` being the end of the text alone: Python's would let a line end pass."""
    return Pattern(pattern[:-1] + r"\Z" if pattern.endswith("$") and not pattern.endswith("\\$") else pattern)


def _bound(name: str, entry: Mapping[str, Any], member: str) -> Optional[int]:
    """A number of items or characters; some write it in quotes."""
    found = entry.get(member)
    if isinstance(found, str) and re.match(r"[0-9]{1,9}\Z", found):
        return int(found)
    if found is None or (isinstance(found, int) and not isinstance(found, bool) and found >= 0):
        return found
    raise MalformedDocument(f"the {member} of {name} is no number")


def _interpolation(name: str, kind: str, entry: Mapping[str, Any]) -> str:
    found = entry.get("interpolationType") or ""
    if found not in _INTERPOLATIONS or (found == ENVIRONMENT and kind != STRING):
        raise MalformedDocument(f"the interpolationType of {name} is none, or not one for parameters of type {kind}")
    return str(found)
