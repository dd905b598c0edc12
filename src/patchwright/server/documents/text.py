# SPDX-License-Identifier: Apache-2.0
"""
The text of a document: JSON or YAML to values and back, bounded (pure).

What comes out is what JSON can say, whatever the text was: YAML is read by the rules of YAML 1.2, so that `yes` and
`2026-11-20` are texts. No aliases that multiply, no tags that make objects, no member twice, no nesting without end.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, ClassVar

import yaml

from patchwright.server.documents.model import InvalidContent

_DEEPEST = 64
_LARGEST = 1_000_000  # characters, with every alias written out and every value counted as `_EACH` more
_EACH = 8
_CONTROL = re.compile("[\x00\ud800-\udfff]")  # what no database and no UTF-8 text takes
_FUNCTION = re.compile(r"[A-Z][A-Za-z]{1,40}\Z")
_OTHER_LINE_ENDS = re.compile("[\x85\u2028\u2029]")
_TAG = "tag:yaml.org,2002:"
_SCALARS: Sequence[tuple[str, str, str]] = (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", "~nN"),
    ("int", r"[-+]?(0|[1-9][0-9]*)", "-+0123456789"),
    ("float", r"[-+]?(0|[1-9][0-9]*)(\.[0-9]+([eE][-+]?[0-9]+)?|[eE][-+]?[0-9]+)", "-+0123456789"),
)


def read(text: str, form: str, *, intrinsics: bool = False) -> Any:
    """
    The values in *text*, which is written in *form* (JSON or YAML).

    With *intrinsics*, YAML may hold CloudFormation's short forms: `!Ref x` is read as `{"Ref": "x"}`.

    Raises:
        InvalidContent: It cannot be read, or goes beyond the bounds.
    """
    value = _from_json(text) if form == "JSON" else _from_yaml(text, intrinsics=intrinsics)
    _check(value)
    return value


def write(value: Any, form: str) -> str:
    """*value* as text in *form* (JSON or YAML), members in their order."""
    if form == "JSON":
        return json.dumps(value, indent=2, ensure_ascii=False)
    return str(yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False))


def _from_json(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        msg = f"The content is not well-formed JSON: {error.msg} in line {error.lineno}, column {error.colno}."
        raise InvalidContent(msg) from None
    except RecursionError:
        raise InvalidContent(_TOO_DEEP) from None
    except ValueError:  # digits without end
        msg = "The content holds a number that is too long."
        raise InvalidContent(msg) from None


def _from_yaml(text: str, *, intrinsics: bool) -> Any:
    try:
        return yaml.load(text, Loader=_IntrinsicLoader if intrinsics else _Loader)  # noqa: S506 - a SafeLoader, narrowed
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        msg = f"The content is not well-formed YAML: {error.problem or error.context}{where}."
        raise InvalidContent(msg) from None
    except yaml.YAMLError as error:
        msg = f"The content is not well-formed YAML: {error}."
        raise InvalidContent(msg[:500]) from None
    except RecursionError:
        raise InvalidContent(_TOO_DEEP) from None
    except ValueError:
        msg = "The content holds a value that cannot be read, such as a number that is too long."
        raise InvalidContent(msg) from None


_TOO_DEEP = f"The content is nested deeper than {_DEEPEST} levels."
_TOO_MUCH = "The content's aliases add up to more than a document may hold."


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        msg = f"The content gives the member {twice[:80]!r} twice."
        raise InvalidContent(msg)
    return found


def _no_number(name: str) -> Any:
    msg = f"The content holds {name}, which is no number in JSON."
    raise InvalidContent(msg)


def _check(value: Any, depth: int = 0) -> None:
    """Refuse what JSON or a database could not hold."""
    if depth > _DEEPEST:
        raise InvalidContent(_TOO_DEEP)
    if isinstance(value, str):
        if _CONTROL.search(value):
            msg = "The content holds a character that is no text: U+0000 or half of a surrogate pair."
            raise InvalidContent(msg)
    elif isinstance(value, float):
        if not math.isfinite(value):
            msg = "The content holds a number that is too large."
            raise InvalidContent(msg)
    elif isinstance(value, list):
        for item in value:
            _check(item, depth + 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            _check(key, depth)
            _check(item, depth + 1)


# ---------------------------------------------------------------------------------------------------------------- YAML


class _Loader(yaml.SafeLoader):
    """SafeLoader, narrowed to what JSON can say, and bounded."""

    yaml_implicit_resolvers: dict[Any, Any] = {}  # noqa: RUF012 - PyYAML's own attribute, of the class
    yaml_constructors: ClassVar[dict[str | None, Any]] = {}

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._sizes: dict[int, int] = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        """As PyYAML does, but not for ever: nesting is bounded, and so is what aliases add up to."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise InvalidContent(_TOO_DEEP)
        alias = self.check_event(yaml.AliasEvent)
        node = super().compose_node(parent, index)
        self._depth -= 1
        if not alias:
            own = len(node.value) if isinstance(node, yaml.ScalarNode) else 0
            self._sizes[id(node)] = _EACH + own + sum(self._sizes[id(part)] for part in _parts(node))
        if self._sizes.get(id(node), _LARGEST) >= _LARGEST:  # unknown: an alias for what it stands in
            raise InvalidContent(_TOO_MUCH)
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        """Keys are texts, each once."""
        own = [key.value for key, _ in node.value if key.tag != _TAG + "merge"]
        if any(not isinstance(key, str) for key in own):
            problem = "a key that is a list or an object"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        if len(set(own)) != len(own):
            twice = next(key for number, key in enumerate(own) if key in own[:number])
            problem = f"the member {twice[:80]!r} is given twice"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        self.flatten_mapping(node)
        return {key.value: self.construct_object(value, deep=True) for key, value in node.value}

    def construct_number(self, node: Any) -> float | int:
        """A number as JSON has it."""
        text = self.construct_scalar(node)
        if re.fullmatch(_SCALARS[2][1], text):
            return int(text)
        if re.fullmatch(_SCALARS[3][1], text):
            return float(text)
        problem = f"{text[:80]!r} is no number"
        raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)

    def construct_truth(self, node: Any) -> bool:
        """True or false."""
        text = self.construct_scalar(node).lower()
        if text not in {"true", "false"}:
            problem = f"{text[:80]!r} is neither true nor false"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        return bool(text == "true")


def _parts(node: Any) -> list[Any]:
    """The nodes right below *node*."""
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _intrinsic(loader: _Loader, suffix: str, node: Any) -> Mapping[str, Any]:
    """CloudFormation's short form of a function, in full."""
    value: Any
    if not _FUNCTION.match(suffix):
        return loader.construct_undefined(node)
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
        if suffix == "GetAtt":
            value = value.split(".", 1)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    return {suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}": value}


class _IntrinsicLoader(_Loader):
    """With CloudFormation's short forms."""

    yaml_multi_constructors: ClassVar[dict[str | None, Any]] = {}


class _Dumper(yaml.SafeDumper):
    """SafeDumper that quotes what `_Loader` would read as something else than text."""

    yaml_implicit_resolvers = {first: list(known) for first, known in yaml.SafeDumper.yaml_implicit_resolvers.items()}  # noqa: RUF012 - PyYAML's own attribute

    def ignore_aliases(self, data: Any) -> bool:
        """Everything is written out."""
        return True

    def represent_str(self, data: str) -> Any:
        """Line ends that only some take for such are escaped: inside single quotes they would become spaces."""
        return self.represent_scalar(_TAG + "str", data, style='"' if _OTHER_LINE_ENDS.search(data) else None)


def _set_up() -> None:
    for name, pattern, first in _SCALARS:
        compiled = re.compile(rf"(?:{pattern})\Z")
        letters = [*first, ""] if name == "null" else list(first)
        _Loader.add_implicit_resolver(_TAG + name, compiled, letters)
        _Dumper.add_implicit_resolver(_TAG + name, compiled, letters)
    _Loader.add_implicit_resolver(_TAG + "merge", re.compile(r"<<\Z"), ["<"])
    constructors: dict[str | None, Any] = {
        _TAG + "null": lambda _loader, _node: None,
        _TAG + "bool": _Loader.construct_truth,
        _TAG + "int": _Loader.construct_number,
        _TAG + "float": _Loader.construct_number,
        _TAG + "str": lambda loader, node: loader.construct_scalar(node),
        _TAG + "seq": lambda loader, node: loader.construct_sequence(node, deep=True),
        _TAG + "map": lambda loader, node: loader.construct_mapping(node, deep=True),
        None: yaml.SafeLoader.construct_undefined,
    }
    _Loader.yaml_constructors.update(constructors)
    _Dumper.add_representer(str, _Dumper.represent_str)
    _IntrinsicLoader.yaml_multi_constructors["!"] = _intrinsic


_set_up()
