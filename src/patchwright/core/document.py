# SPDX-License-Identifier: Apache-2.0
"""
Command documents of schemas 1.2, 2.0 and 2.2: read, and their steps made ready with parameters (spec §5.9).

A document is data from an author; parameters are data from a caller: neither is ever handed to a shell by this module.
What a step that cannot be run as it is written comes to is decided when its turn comes, as amazon-ssm-agent does: the
document as a whole is read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Sequence, Tuple

from patchwright.core.actions import SCRIPTS, platforms_of
from patchwright.core.errors import InvalidParameters, MalformedDocument
from patchwright.core.parameter import ENVIRONMENT, Parameter, Values, as_text, read, value
from patchwright.core.pattern import Effort

SCHEMA_VERSIONS = ("1.2", "2.0", "2.2")
DOCUMENT_LIMIT_BYTES = 64 * 1024
STEPS_LIMIT = 50
DEPTH_LIMIT = 64
EXIT, SUCCESS_AND_EXIT = "exit", "successAndExit"
VARIABLE_PREFIX = "SSM_"
_REFERENCE = re.compile(r"\{\{\s*([A-Za-z0-9_]+)\s*\}\}")
_STORED = re.compile(r"\{\{\s*ssm(-secure)?:")  # a reference to the Parameter Store
_STEP_NAME = re.compile(r"[A-Za-z0-9_]{1,128}\Z")
_PLUGIN_NAME = re.compile(r"[A-Za-z0-9_:.-]{1,120}\Z")


@dataclass(frozen=True)
class Step:
    """
    One entry of mainSteps, or of a runtimeConfig's properties.

    *platform* is what its precondition wants platformType to be, *alike* the two texts that are to be the same once
    parameters are filled in; empty where there is none. *fault* says why its precondition is none: the step fails.
    *on_failure*, *on_success* ("exit", "successAndExit") and *finally_step* steer what comes after (`core.flow`).
    """

    name: str
    action: str
    inputs: Mapping[str, Any]
    platform: str = ""
    alike: Tuple[str, ...] = ()
    on_failure: str = ""
    on_success: str = ""
    finally_step: bool = False
    fault: str = ""


@dataclass(frozen=True)
class Document:
    """A command document that has been read and found sound."""

    schema_version: str
    description: str
    parameters: Mapping[str, Parameter]
    steps: Tuple[Step, ...]


class Ruling(NamedTuple):
    """Whether a step is run: *status* is empty, or else `Skipped` or `Failed`, which it comes to without being run."""

    status: str = ""
    why: str = ""


def parse(content: Mapping[str, Any], *, versions: Sequence[str] = SCHEMA_VERSIONS) -> Document:
    """
    Read a document's content (already decoded from JSON or YAML), whose schema version is one of *versions*.

    Raises:
        MalformedDocument: It has another schema, no steps or too many, a step twice, is nested too deep, or has a member of
            the wrong type.
    """
    content = _object(content, "the document")
    _check_depth(content)
    schema = content.get("schemaVersion")
    if not isinstance(schema, str) or schema not in versions:
        raise MalformedDocument("schemaVersion {!r} is not served; use {}".format(schema, " or ".join(versions)))
    declared = _members(content, "parameters")
    parameters = {name: read(name, _object(entry, name)) for name, entry in declared.items()}
    steps = tuple(_plugins(content) if schema == "1.2" else _main_steps(content, schema))
    if len(steps) > STEPS_LIMIT:
        raise MalformedDocument(f"the document has {len(steps)} steps; it may have {STEPS_LIMIT}")
    names = [step.name for step in steps]
    if len(set(names)) != len(names):
        raise MalformedDocument("two steps have the same name")
    return Document(schema, str(content.get("description") or ""), parameters, steps)


def bind(document: Document, given: Mapping[str, Sequence[str]], *, checked: bool = False) -> Dict[str, Any]:
    """
    The values of every parameter, defaults filled in.

    Args:
        given: As in SendCommand: every value is a list of strings; a map is a string of JSON.
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
            values[name] = value(parameter, list(given[name]), effort)
        elif parameter.default is not None:
            values[name] = parameter.default
        else:
            raise InvalidParameters(f"the parameter {name} is required")
    return values


def interpolate(text: Any, values: Values) -> Any:
    """
    *text* with every `{{ name }}` replaced, in strings at any depth.

    A reference that is the whole string becomes the parameter's value with its type; inside a string lists, maps and
    numbers are written as JSON writes them. Unknown references stay as they are.
    Values are inserted once: what they contain is not looked at again.
    """
    if isinstance(text, str):
        whole = _REFERENCE.fullmatch(text)
        if whole and whole.group(1) in values:
            return values[whole.group(1)]
        return _REFERENCE.sub(lambda match: as_text(values.get(match.group(1)), match.group(0)), text)
    if isinstance(text, list):
        return [interpolate(item, values) for item in text]
    if isinstance(text, dict):
        return {key: interpolate(item, values) for key, item in text.items()}
    return text


def prepared(document: Document, values: Values) -> Tuple[Step, ...]:
    """
    The steps with *values* in their inputs, from which `onFailure`, `onSuccess` and `finallyStep` are read anew.

    A parameter that becomes an environment variable (`environment`) stays as it is in a script's commands.
    """
    commands = {name: found for name, found in values.items() if not _is_variable(document, name)}
    made = []
    for step in document.steps:
        inputs = interpolate(dict(step.inputs), values)
        if step.action in SCRIPTS and "runCommand" in inputs:
            inputs["runCommand"] = interpolate(step.inputs["runCommand"], commands)
        made.append(replace(step, inputs=inputs, **_modifiers(inputs)))
    return tuple(made)


def environment(document: Document, values: Values) -> Dict[str, str]:
    """The environment variables of scripts: `SSM_name` for every parameter of interpolationType ENV_VAR."""
    return {
        VARIABLE_PREFIX + name: as_text(found, "") for name, found in values.items() if _is_variable(document, name)
    }


def ruling(document: Document, step: Step, platform: str, values: Values) -> Ruling:
    """
    Whether *step* is run on *platform* (Linux, MacOS, Windows) with these *values* of the parameters.

    It is skipped where its precondition does not hold or, in schema 2.2, where its action is not for this platform; a
    precondition that is none, and such an action in an older document, are its failure.
    """
    here = platform in platforms_of(step.action, schema=document.schema_version)
    if not here and document.schema_version == "2.2":
        return Ruling("Skipped", f"action {step.action} is not for {platform}")
    if not may_run_on(step, platform):
        return Ruling("Skipped", f"the step is for {step.platform}")
    texts = [as_text(interpolate(operand, values), "") for operand in step.alike]
    if len(set(texts)) > 1:
        return Ruling("Skipped", "the precondition of the step does not hold here")
    if step.fault:
        return Ruling("Failed", step.fault)
    return Ruling() if here else Ruling("Failed", f"action {step.action} is not for {platform}")


def may_run_on(step: Step, platform: str) -> bool:
    """Whether the step's precondition can hold on *platform*, whatever the parameters are."""
    return step.platform == "" or step.platform.lower() == platform.lower()


def _main_steps(content: Mapping[str, Any], schema: str) -> Iterator[Step]:
    steps = content.get("mainSteps")
    if not isinstance(steps, list) or not steps:
        raise MalformedDocument("mainSteps is no list of at least one step")
    for entry in steps:
        step = _step(_object(entry, "a step"))
        if schema != "2.2" and entry.get("precondition"):
            step = replace(step, platform="", alike=(), fault="preconditions came with schema version 2.2")
        yield step


def _plugins(content: Mapping[str, Any]) -> Iterator[Step]:
    """The steps of a runtimeConfig: one for each entry of a plugin's properties, the first of them named as the plugin."""
    plugins = content.get("runtimeConfig")
    if not isinstance(plugins, dict) or not plugins:
        raise MalformedDocument("runtimeConfig is no object with at least one plugin")
    for name, plugin in plugins.items():
        if not _PLUGIN_NAME.match(name):
            raise MalformedDocument(f"{name[:80]!r} is no name of a plugin")
        properties = _object(plugin, name).get("properties")
        entries = properties if isinstance(properties, list) and properties else [properties or {}]
        for number, entry in enumerate(entries, 1):
            inputs = _object(entry, f"an entry of the properties of {name}")
            modifiers = {} if isinstance(properties, list) else _modifiers(inputs)
            yield Step(name if number == 1 else f"{name}.{number}", name, inputs, **modifiers)


def _step(entry: Mapping[str, Any]) -> Step:
    name, action = entry.get("name"), entry.get("action")
    if not isinstance(name, str) or not _STEP_NAME.match(name):
        raise MalformedDocument(f"{name!r} is no name for a step")
    if not isinstance(action, str) or not action:
        raise MalformedDocument(f"the step {name} has no action")
    platform, alike, fault = _condition(name, _members(entry, "precondition"))
    inputs = _members(entry, "inputs")
    return Step(name, action, inputs, platform, alike, fault=fault, **_modifiers(inputs))


def _modifiers(inputs: Mapping[str, Any]) -> Dict[str, Any]:
    """What a step's inputs say of the steps after it; other values than these mean nothing."""
    on_failure, on_success = inputs.get("onFailure"), inputs.get("onSuccess")
    return {
        "on_failure": on_failure if on_failure in (EXIT, SUCCESS_AND_EXIT) else "",
        "on_success": on_success if on_success == EXIT else "",
        "finally_step": inputs.get("finallyStep") in (True, "true"),
    }


def _condition(name: str, precondition: Mapping[str, Any]) -> Tuple[str, Tuple[str, ...], str]:
    """The platform that a precondition asks for, or the two texts that it compares, or why it is none."""
    for operator, operands in precondition.items():
        if not isinstance(operands, list) or not all(isinstance(one, str) for one in operands):
            raise MalformedDocument(f"{operator[:80]} in the precondition of step {name} is no list of texts")
    platform, alike, fault = "", (), ""
    for operator, operands in precondition.items():
        if operator != "StringEquals":
            fault = f"the precondition has the unknown operator {operator[:80]}"
        elif len(operands) != 2 or operands[0] == operands[1]:
            fault = "the precondition compares other than two different texts"
        elif any(_STORED.search(operand) for operand in operands):
            fault = "the precondition names a parameter of the Parameter Store"
        elif "platformType" in operands:
            other = operands[1] if operands[0] == "platformType" else operands[0]
            if _REFERENCE.search(other):
                fault = "the precondition compares platformType with a parameter"
            else:
                platform = other
        elif any(_REFERENCE.search(operand) for operand in operands):
            alike = tuple(operands)
        else:
            fault = "the precondition names neither platformType nor a parameter"
    return platform, alike, fault


def _is_variable(document: Document, name: str) -> bool:
    return name in document.parameters and document.parameters[name].interpolation == ENVIRONMENT


def _check_depth(content: Mapping[str, Any]) -> None:
    level: List[Any] = [content]
    for _ in range(DEPTH_LIMIT):
        level = [
            part
            for each in level
            for part in (each.values() if isinstance(each, dict) else each)
            if isinstance(part, (dict, list))
        ]
        if not level:
            return
    raise MalformedDocument(f"the document is nested deeper than {DEPTH_LIMIT} levels")


def _members(content: Mapping[str, Any], name: str) -> Dict[str, Any]:
    """An object that may be left out, or be written without anything in it: then YAML has no value."""
    found = content.get(name)
    return {} if found is None else _object(found, name)


def _object(found: Any, what: str) -> Dict[str, Any]:
    if not isinstance(found, dict):
        raise MalformedDocument(f"{what} is no object")
    return found
