# SPDX-License-Identifier: Apache-2.0
"""Use cases of the tags room, as units of work that callers compose into their own transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from patchwright.server.accounts import Scope
from patchwright.server.infra import UnitOfWork
from patchwright.server.tags import policy_store, store
from patchwright.server.tags.model import MANAGED_INSTANCE, PATCH_GROUP_KEYS, Tags, check

NODES_WITH = (
    "SELECT resource_id FROM tag WHERE account = $1 AND region = $2 AND resource_type = 'ManagedInstance' AND key"
)
"""
The beginning of a subquery for the nodes that carry a key: it goes on with what `key` is to be, and perhaps `value`. $1 and
$2 are account and region.
"""


def of(scope: Scope, resource_type: str, resource_id: str) -> UnitOfWork[Tags]:
    """The tags of a resource, in order of key; empty if it has none."""
    return (yield from store.of(scope, resource_type, resource_id))


def of_each(scope: Scope, resource_type: str, resource_ids: Sequence[str]) -> UnitOfWork[dict[str, Tags]]:
    """The tags of several resources, by their ids; every id is there."""
    return (yield from store.of_each(scope, resource_type, resource_ids))


def of_all(scope: Scope, resources: Collection[tuple[str, str]]) -> UnitOfWork[dict[tuple[str, str], Tags]]:
    """The tags of a few resources, by type and id; every one is there."""
    return (yield from store.of_all(scope, resources))


def add(scope: Scope, resource_type: str, resource_id: str, tags: Mapping[str, str]) -> UnitOfWork[None]:
    """Set tags, replacing the values of keys that are there. Errors: InvalidTag, TooManyTags; then nothing is set."""
    present = yield from store.of(scope, resource_type, resource_id)
    check({**present, **tags})
    yield from store.put(scope, resource_type, resource_id, tags)


def remove(scope: Scope, resource_type: str, resource_id: str, keys: Sequence[str]) -> UnitOfWork[None]:
    """Remove the tags with these keys; keys that are not there are passed over."""
    yield from store.remove(scope, resource_type, resource_id, keys)


def forget(scope: Scope, resource_type: str, resource_id: str) -> UnitOfWork[None]:
    """Remove every tag and every policy of a resource that is going away."""
    yield from store.forget(scope, resource_type, resource_id)
    yield from policy_store.forget(scope, resource_type, resource_id)


def tagged(scope: Scope, resource_type: str, key: str, values: Sequence[str]) -> UnitOfWork[list[str]]:
    """The resources that carry *key* with one of *values* (none given: with any value), in order of id."""
    return (yield from store.tagged(scope, resource_type, key, values))


def carriers(
    scope: Scope, resource_type: str, keys: Sequence[str], values: Sequence[str] = (), *, after: str, limit: int
) -> UnitOfWork[list[str]]:
    """Up to *limit* ids after *after*, in order, of resources with one of these keys, and one of these values if any are given."""
    return (yield from store.carriers(scope, resource_type, keys, values, after=after, limit=limit))


def in_patch_group(scope: Scope, group: str, *, after: str, limit: int) -> UnitOfWork[list[str]]:
    """Up to *limit* ids of nodes of a patch group that come after *after*, in order (spec §3.4)."""
    return (
        yield from store.in_patch_group(
            scope, group, resource_type=MANAGED_INSTANCE, keys=PATCH_GROUP_KEYS, after=after, limit=limit
        )
    )
