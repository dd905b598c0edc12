# SPDX-License-Identifier: Apache-2.0
"""
Command documents: read, check parameters, interpolate (spec §5.9).

Schema 2.2 is what this version runs. A document is data from an author; parameters are data from a caller: neither is ever
handed to a shell by this module.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from patchwright.core.errors import InvalidParameters, MalformedDocument
from patchwright.core.pattern import Effort, Pattern, TooMuchEffort, UnusablePattern

SCHEMA_VERSION = "2.2"
DOCUMENT_LIMIT_BYTES = 64 * 1024
PATTERN_LIMIT = 2048  # characters of an allowedPattern
PATTERN_TEXT_LIMIT = 4096  # characters of a value that is matched against a document's allowedPattern
_REFERENCE = re.compile(r"\{\{\s*([A-Za-z0-9_]+)\s*\}\}")
_STEP_NAME = re.compile(r"[A-Za-z0-9_]{1,128}\Z")
_PLATFORMS = ("Linux", "MacOS", "Windows")
_TYPES = ("String", "StringList", "Boolean", "Integer", "MapList", "StringMap")

Bounds = Tuple[Optional[int], Optional[int]]


@dataclass(frozen=True)
class Parameter:
    """
    One declared parameter. *default* is None where the caller must give a value.

    *items* are the fewest and the most items of a list, *chars* the fewest and the most characters of a value; None: any.
    """

    name: str
    type: str
    default: Any = None
    allowed_values: Tuple[str, ...] = ()
    allowed_pattern: str = ""
    items: Bounds = (None, None)
    chars: Bounds = (None, None)


@dataclass(frozen=True)
class Step:
    """
    One entry of mainSteps.

    *platform* is its precondition on platformType, *alike* the two texts that are to be the same once parameters are
    filled in; empty where there is none.
    """

    name: str
    action: str
    inputs: Mapping[str, Any]
    platform: str = ""
    alike: Tuple[str, ...] = ()


@dataclass(frozen=True)
class Document:
    """A command document that has been read and found sound."""

    schema_version: str
    description: str
    parameters: Mapping[str, Parameter]
    steps: Tuple[Step, ...]


def parse(content: Mapping[str, Any], *, versions: Sequence[str] = (SCHEMA_VERSION,)) -> Document:
    """
    Read a document's content (already decoded from JSON or YAML), whose schema version is one of *versions*.

    Raises:
        MalformedDocument: It has another schema, no steps, a step twice, or a member of the wrong type.
    """
    content = _object(content, "the document")
    schema = content.get("schemaVersion")
    if not isinstance(schema, str) or schema not in versions:
        raise MalformedDocument("schemaVersion {!r} is not served; use {}".format(schema, " or ".join(versions)))
    declared = _members(content, "parameters")
    parameters = {name: _parameter(name, _object(entry, name)) for name, entry in declared.items()}
    steps = content.get("mainSteps")
    if not isinstance(steps, list) or not steps:
        raise MalformedDocument("mainSteps is no list of at least one step")
    read = tuple(_step(_object(entry, "a step")) for entry in steps)
    names = [step.name for step in read]
    if len(set(names)) != len(names):
        raise MalformedDocument("two steps have the same name")
    return Document(schema, str(content.get("description") or ""), parameters, read)


def bind(document: Document, given: Mapping[str, Sequence[str]], *, checked: bool = False) -> Dict[str, Any]:
    """
    The values of every parameter, defaults filled in.

    Args:
        given: As in SendCommand: every value is a list of strings.
        checked: They were found to fit their patterns before: do not look again, which takes its time.

    Raises:
        InvalidParameters: An unknown name, a missing required one, or a value that is not allowed.
    """
    unknown = sorted(set(given) - set(document.parameters))
    if unknown:
        raise InvalidParameters("the document has no parameter {}".format(", ".join(unknown)))
    values: Dict[str, Any] = {}
    effort = None if checked else Effort()
    for name, parameter in document.parameters.items():
        if name in given:
            values[name] = _value(parameter, list(given[name]), effort)
        elif parameter.default is not None:
            values[name] = parameter.default
        else:
            raise InvalidParameters(f"the parameter {name} is required")
    return values


def interpolate(value: Any, values: Mapping[str, Any]) -> Any:
    """
    *value* with every `{{ name }}` replaced, in strings at any depth.

    A reference that is the whole string becomes the parameter's value with its type; inside a string a list is joined by
    spaces, and other values are written as JSON writes them. Unknown references stay as they are.
    Values are inserted once: what they contain is not looked at again.
    """
    if isinstance(value, str):
        whole = _REFERENCE.fullmatch(value.strip())
        if whole and whole.group(1) in values:
            return values[whole.group(1)]
        return _REFERENCE.sub(lambda match: _as_text(values.get(match.group(1)), match.group(0)), value)
    if isinstance(value, list):
        return [interpolate(item, values) for item in value]
    if isinstance(value, dict):
        return {key: interpolate(item, values) for key, item in value.items()}
    return value


def runs_on(step: Step, platform: str, values: Mapping[str, Any]) -> bool:
    """Whether the step's precondition holds on *platform* (Linux, MacOS, Windows) with these *values* of the parameters."""
    operands = [platform if operand == "platformType" else interpolate(operand, values) for operand in step.alike]
    texts = [_as_text(operand, "") for operand in operands]
    return may_run_on(step, platform) and len(set(texts)) <= 1


def may_run_on(step: Step, platform: str) -> bool:
    """Whether the step's precondition can hold on *platform*, whatever the parameters are."""
    return step.platform in ("", platform)


def _value(parameter: Parameter, given: List[str], effort: Optional[Effort]) -> Any:
    for item in given:
        if not isinstance(item, str):
            raise InvalidParameters(f"the parameter {parameter.name} takes strings")
        _check_allowed(parameter, item)
        if effort is not None and parameter.allowed_pattern:
            _check_pattern(parameter, item, effort)
    if parameter.type == "StringList":
        _check_bounds(parameter.items, len(given), f"the parameter {parameter.name}", "items")
        return given
    if parameter.type in ("MapList", "StringMap"):
        raise InvalidParameters(f"parameters of type {parameter.type} are not served yet")
    if len(given) != 1:
        raise InvalidParameters(f"the parameter {parameter.name} takes exactly one value")
    return given[0]


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
    if parameter.type == "Integer" and not re.fullmatch(r"-?[0-9]{1,18}", item):
        raise InvalidParameters(f"the parameter {parameter.name} takes a whole number, not {item[:80]!r}")
    if parameter.type == "Boolean" and item.lower() not in ("true", "false"):
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


def _parameter(name: str, entry: Mapping[str, Any]) -> Parameter:
    kind = entry.get("type")
    if kind not in _TYPES:
        raise MalformedDocument(f"the parameter {name} has the unknown type {kind!r}")
    pattern = str(entry.get("allowedPattern", ""))
    if len(pattern) > PATTERN_LIMIT:
        raise MalformedDocument(f"the allowedPattern of {name} has more than {PATTERN_LIMIT} characters")
    try:
        _compiled(pattern)
    except UnusablePattern as error:
        raise MalformedDocument(f"the allowedPattern of {name} is not served: {error}") from None
    allowed = entry.get("allowedValues", [])
    if not isinstance(allowed, list):
        raise MalformedDocument(f"the allowedValues of {name} are no list")
    return Parameter(
        name,
        kind,
        entry.get("default"),
        tuple(str(item) for item in allowed),
        pattern,
        (_bound(name, entry, "minItems"), _bound(name, entry, "maxItems")),
        (_bound(name, entry, "minChars"), _bound(name, entry, "maxChars")),
    )


def _bound(name: str, entry: Mapping[str, Any], member: str) -> Optional[int]:
    """A number of items or characters; some write it in quotes."""
    value = entry.get(member)
    if isinstance(value, str) and re.match(r"[0-9]{1,9}\Z", value):
        return int(value)
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    raise MalformedDocument(f"the {member} of {name} is no number")


def _step(entry: Mapping[str, Any]) -> Step:
    name, action = entry.get("name"), entry.get("action")
    if not isinstance(name, str) or not _STEP_NAME.match(name):
        raise MalformedDocument(f"{name!r} is no name for a step")
    if not isinstance(action, str) or not action:
        raise MalformedDocument(f"the step {name} has no action")
    precondition = _members(entry, "precondition")
    platform, alike = _condition(name, precondition)
    return Step(name, action, _members(entry, "inputs"), platform, alike)


def _condition(name: str, precondition: Mapping[str, Any]) -> Tuple[str, Tuple[str, ...]]:
    """The platform that a precondition asks for, or else the two texts that it compares (spec §5.9)."""
    if not precondition:
        return "", ()
    operands: Any = precondition.get("StringEquals")
    pair = isinstance(operands, list) and len(operands) == 2 and all(isinstance(one, str) for one in operands)
    if list(precondition) == ["StringEquals"] and pair:
        other = [operand for operand in operands if operand != "platformType"]
        if len(other) == 1 and other[0] in _PLATFORMS:
            return str(other[0]), ()
        if any(_REFERENCE.search(operand) for operand in operands):
            return "", tuple(operands)
    raise MalformedDocument(f"the precondition of step {name} is no StringEquals on platformType or a parameter")


def _members(content: Mapping[str, Any], name: str) -> Dict[str, Any]:
    """An object that may be left out, or be written without anything in it: then YAML has no value."""
    value = content.get(name)
    return {} if value is None else _object(value, name)


def _object(value: Any, what: str) -> Dict[str, Any]:
    if not isinstance(value, dict):
        raise MalformedDocument(f"{what} is no object")
    return value


def _as_text(value: Any, unknown: str) -> str:
    if value is None:
        return unknown
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return json.dumps(value)
    return " ".join(str(item) for item in value) if isinstance(value, list) else str(value)
