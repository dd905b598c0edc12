# SPDX-License-Identifier: Apache-2.0
"""Members that several operations have in common: Tags, Filters, ClientToken."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from patchwright.server.infra import ClientToken
from patchwright.server.tags import LIMIT
from patchwright.server.wire import Caller, Pager, access_denied, validation


def tags_of(request: Mapping[str, Any]) -> dict[str, str]:
    """The Tags of a request. A key given twice is refused."""
    given = request.get("Tags", [])
    tags = {tag["Key"]: tag["Value"] for tag in given}
    if len(tags) != len(given):
        raise validation("A tag key is given twice.")
    return tags


def first_tags_of(request: Mapping[str, Any]) -> dict[str, str]:
    """The Tags that a new resource is to have. Only AddTagsToResource declares TooManyTagsError; a creation is not valid."""
    tags = tags_of(request)
    if len(tags) > LIMIT:
        raise validation(f"A resource can have at most {LIMIT} tags, not {len(tags)}.")
    return tags


def filters_of(
    filters: Iterable[Mapping[str, Any]], *, key: str = "Key", values: str = "Values"
) -> list[tuple[str, list[str]]]:
    """Filters as (key, values), whatever the operation calls their members. Some models require neither: then they are empty."""
    return [(item.get(key, ""), list(item.get(values, []))) for item in filters]


def token_of(caller: Caller, request: Mapping[str, Any], *, member: str = "ClientToken") -> ClientToken | None:
    """What makes the request the same again, if it carries a token: every member but the token counts."""
    token = request.get(member)
    if not token:
        return None
    rest = {name: value for name, value in request.items() if name != member}
    digest = hashlib.sha256(json.dumps(rest, sort_keys=True, default=bytes.hex).encode()).hexdigest()
    return ClientToken(caller.target, token, digest)


def require_self(caller: Caller, instance_id: str) -> None:
    """Refuse a node that speaks of another than itself. Users may speak of any; whether it exists is another question."""
    if caller.kind == "node" and caller.instance_id != instance_id:
        raise access_denied(f"{caller.principal} is not authorized to perform {caller.target} on {instance_id}.")


def paged(
    pager: Pager, caller: Caller, request: Mapping[str, Any], member: str, rows: Sequence[Any], *, page: int = 100
) -> dict[str, Any]:
    """The page of *rows*, all there are and few, that the request asks for, as *member* of the answer."""
    start = pager.cursor(caller, request) or 0
    end = start + min(request.get("MaxResults", page), page)
    answer: dict[str, Any] = {member: list(rows[start:end])}
    if end < len(rows):
        answer["NextToken"] = pager.token(caller, request, end)
    return answer
