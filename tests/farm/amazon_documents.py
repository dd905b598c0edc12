# SPDX-License-Identifier: Apache-2.0
"""Documents as Amazon's agent, played, takes them apart (docs/reference/spec/agent-protocol.md §8)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

EXIT_SUCCESS, EXIT_FAILURE = 168, 169
_SCHEMAS = frozenset({"1.0", "1.2", "2.0", "2.0.1", "2.0.2", "2.0.3", "2.2"})
_REFERENCE = re.compile(r"\{\{\s*([A-Za-z0-9_]+)\s*\}\}")
_COUNTED = ("SuccessAndReboot", "Failed", "TimedOut", "Cancelled")


class CannotRead(Exception):
    """A document that the agent makes nothing of."""


class Values:
    """What the parameters of *document* stand for: what was *given*, or else their defaults."""

    def __init__(self, document: Mapping[str, Any], given: Mapping[str, Any]) -> None:
        declared = document.get("parameters") or {}
        self._known = {name: one.get("default") for name, one in declared.items()} | dict(given)

    def filled(self, value: Any) -> Any:
        """*value* with what `{{ name }}` stands for in its place; a list that stands alone brings all its lines."""
        if isinstance(value, list):
            return [line for one in value for line in _lines(self.filled(one))]
        text = str(value)
        whole = _REFERENCE.fullmatch(text.strip())
        if whole and whole[1] in self._known:
            return self._known[whole[1]]
        return _REFERENCE.sub(lambda found: str(self._known.get(found[1], found[0])), text)


def steps(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The plugins of a document; of schema 1.2 each is called after itself. Raises CannotRead."""
    if document.get("schemaVersion") not in _SCHEMAS:
        raise CannotRead(f"unsupported schema version {document.get('schemaVersion')}")
    if document["schemaVersion"].startswith("1."):
        return [
            {"name": name, "action": name, "inputs": (config.get("properties") or [{}])[0], "precondition": {}}
            for name, config in document["runtimeConfig"].items()
        ]
    return [{"inputs": {}, "precondition": {}, **step} for step in document["mainSteps"]]


def applies(step: Mapping[str, Any], values: Values) -> bool:
    """Whether the step's precondition holds on Linux."""
    operands = step["precondition"].get("StringEquals", [])
    left, *rest = ["Linux" if one == "platformType" else values.filled(one) for one in operands] or [""]
    return all(one == left for one in rest)


def ends(step: Mapping[str, Any], result: Mapping[str, Any]) -> bool:
    """Whether nothing but a finallyStep follows."""
    inputs = step["inputs"]
    if result["code"] in (EXIT_SUCCESS, EXIT_FAILURE):
        return True
    failed = result["code"] != 0 and result["status"] != "SuccessAndReboot"
    if failed:
        return inputs.get("onFailure") in ("exit", "successAndExit")
    return result["status"] == "Success" and inputs.get("onSuccess") == "exit"


def aggregate(results: Iterable[Mapping[str, Any]]) -> str:
    """The status of a document with these *results*."""
    found = {one["status"] for one in results}
    return next((status for status in _COUNTED if status in found), "Success")


def _lines(value: Any) -> Sequence[str]:
    return value if isinstance(value, list) else [str(value)]
