# SPDX-License-Identifier: Apache-2.0
"""`{{ssm:NAME}}` and `{{ssm:NAME:VERSION}}`: values from the Parameter Store, filled in when a command is sent (spec §5.9)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from patchwright.core.document import Document
from patchwright.server import documents, parameters
from patchwright.server.accounts import Scope
from patchwright.server.commands.model import Permitted, UnresolvedParameter
from patchwright.server.infra import UnitOfWork
from patchwright.server.parameters import Plain

_REFERENCE = re.compile(r"\{\{\s*ssm:([^{}\s]{1,2048})\s*\}\}")
_MOST = 50  # different references of one command
_GROWN = 4  # times LIMIT_BYTES: what document and parameters may come to with everything filled in
_CONTENT = ("parameters", "mainSteps", "runtimeConfig")  # the members of a document in which they are filled in

Given = Mapping[str, Sequence[str]]


def resolve(
    scope: Scope,
    content: Mapping[str, Any],
    parsed: Document,
    given: Given,
    *,
    permitted: Permitted | None,
    now: float,
) -> UnitOfWork[tuple[Mapping[str, Any], Given]]:
    """
    *content* and the parameters *given* with every reference filled in; what is filled in is not looked at again.

    A StringList that is a whole value of a parameter of type StringList becomes as many values; anywhere else its values are
    joined by commas. Errors: UnresolvedParameter where there is none, it is a secret, or who sends may not read it; TooLarge.
    """
    body = {name: content[name] for name in _CONTENT if name in content}
    asked = sorted(_asked(body) | _asked(given))
    if not asked:
        return content, given
    if len(asked) > _MOST:
        msg = f"A command may refer to {_MOST} parameters, not to {len(asked)}."
        raise UnresolvedParameter(msg)
    if permitted is not None:
        readable = yield from permitted.parameters(scope, asked)
        if denied := [name for name in asked if name not in readable]:
            msg = f"Who sends this command may not read the parameter {denied[0][:256]} (ssm:GetParameters)."
            raise UnresolvedParameter(msg)
    found: dict[str, Plain] = {}
    for name in asked:
        try:
            found[name] = yield from parameters.plain(scope, name, now=now)
        except (parameters.ParametersError, ValueError) as error:
            msg = f"{{{{ssm:{name[:256]}}}}} cannot be filled in: {error}"
            raise UnresolvedParameter(msg) from None
    filled = {**content, **_filled(body, found)}
    values = {name: _values(parsed, name, texts, found) for name, texts in given.items()}
    if len(json.dumps([filled, values])) > _GROWN * documents.LIMIT_BYTES:
        msg = f"Document and parameters may have {_GROWN * documents.LIMIT_BYTES} bytes with all references filled in."
        raise documents.TooLarge(msg)
    return filled, values


def _asked(value: Any) -> set[str]:
    """The names that are referred to anywhere in *value*."""
    if isinstance(value, str):
        return set(_REFERENCE.findall(value)) if "ssm:" in value else set()
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, Sequence) else ()
    return set().union(*map(_asked, parts))


def _filled(value: Any, found: Mapping[str, Plain]) -> Any:
    if isinstance(value, str):
        return _REFERENCE.sub(lambda match: found[match.group(1)].text, value) if "ssm:" in value else value
    if isinstance(value, Mapping):
        # A precondition holds no reference: it is an error when the step is run.
        return {key: one if key == "precondition" else _filled(one, found) for key, one in value.items()}
    return [_filled(one, found) for one in value] if isinstance(value, list | tuple) else value


def _values(parsed: Document, name: str, texts: Sequence[str], found: Mapping[str, Plain]) -> list[str]:
    declared = parsed.parameters.get(name)
    listed = declared is not None and declared.type == "StringList"
    values: list[str] = []
    for text in texts:
        whole = _REFERENCE.fullmatch(text.strip())
        one = found[whole.group(1)] if whole else None
        if listed and one is not None and one.items is not None:
            values += one.items
        else:
            values.append(_filled(text, found))
    return values
