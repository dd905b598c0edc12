# SPDX-License-Identifier: Apache-2.0
"""Tags of every resource type (spec §1.19)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from patchwright.server import tags
from patchwright.server.accounts import Scope
from patchwright.server.aws.members import tags_of
from patchwright.server.aws.services import Services
from patchwright.server.aws.ssm.resources import require
from patchwright.server.infra import Database, UnitOfWork
from patchwright.server.wire import Caller, Handler


def operations(services: Services) -> Mapping[str, Handler]:
    """The operations served here, by target."""
    tagged = TagOperations(services.database)
    return {
        "AmazonSSM.AddTagsToResource": tagged.add_tags_to_resource,
        "AmazonSSM.ListTagsForResource": tagged.list_tags_for_resource,
        "AmazonSSM.RemoveTagsFromResource": tagged.remove_tags_from_resource,
    }


class TagOperations:
    """One method per operation."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add_tags_to_resource(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """AddTagsToResource: overwrites by key."""
        await self._database.write(_add, caller.scope, *_resource(request), tags_of(request))
        return {}

    async def remove_tags_from_resource(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """RemoveTagsFromResource: keys that are not there are passed over."""
        await self._database.write(_remove, caller.scope, *_resource(request), request["TagKeys"])
        return {}

    async def list_tags_for_resource(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """ListTagsForResource, in order of key."""
        found = await self._database.read(_list, caller.scope, *_resource(request))
        return {"TagList": [{"Key": key, "Value": value} for key, value in found.items()]}


def _resource(request: Mapping[str, Any]) -> tuple[str, str]:
    return request["ResourceType"], request["ResourceId"]


def _add(scope: Scope, kind: str, name: str, given: Mapping[str, str]) -> UnitOfWork[None]:
    known = yield from require(scope, kind, name)
    yield from tags.add(scope, kind, known, given)


def _remove(scope: Scope, kind: str, name: str, keys: Sequence[str]) -> UnitOfWork[None]:
    known = yield from require(scope, kind, name)
    yield from tags.remove(scope, kind, known, keys)


def _list(scope: Scope, kind: str, name: str) -> UnitOfWork[tags.Tags]:
    known = yield from require(scope, kind, name)
    return (yield from tags.of(scope, kind, known))
