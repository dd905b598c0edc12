# SPDX-License-Identifier: Apache-2.0
"""Units of work that put and delete inventory (spec §7.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from patchwright.core.inventory import CUSTOM_PREFIX
from patchwright.server import nodes
from patchwright.server.accounts import Scope
from patchwright.server.infra import ClientToken, UnitOfWork, earlier_result, keep_result
from patchwright.server.inventory import store
from patchwright.server.inventory.model import (
    MAX_VERSIONS,
    ContentMismatch,
    CustomType,
    Deletion,
    Given,
    InvalidOption,
    Item,
    Packed,
    TooManyTypes,
    TotalTooLarge,
    UnknownType,
    grown,
    order_of,
)


def put(
    scope: Scope,
    instance_id: str,
    items: Sequence[Given],
    packed: Mapping[str, Packed],
    *,
    node_bytes: int,
    custom_limit: int,
    now: float,
) -> UnitOfWork[list[str]]:
    """
    Put *items*, each in the place of what the node had of its type; *packed* are their contents by type.

    Answers the types that were ignored: custom ones whose version is disabled. Errors: UnknownNode, ContentMismatch,
    MalformedContent, TooManyTypes, TotalTooLarge.
    """
    yield from nodes.require(scope, instance_id)
    before = yield from store.items_of(scope, instance_id)
    ignored = yield from _take_custom(scope, items, custom_limit)
    fresh = [_item(instance_id, one, packed, before) for one in items if one.type_name not in ignored]
    _check_room([*fresh], before, node_bytes)
    yield from store.put_contents(scope, {packed[one.type_name] for one in items if one.type_name in packed}, now=now)
    yield from store.put_items(scope, fresh, now=now)
    replaced = [before[one.type_name].digest for one in fresh if one.type_name in before]
    unused = [packed[name].digest for name in ignored if name in packed]
    yield from store.drop_unused(scope, [*replaced, *unused])
    return sorted(ignored)


def forget(scope: Scope, instance_id: str) -> UnitOfWork[None]:
    """Remove all that a node reported, and the contents that were its own; a unit of work for whoever takes the node away."""
    yield from store.forget(scope, instance_id)


def _item(instance_id: str, given: Given, packed: Mapping[str, Packed], before: Mapping[str, Item]) -> Item:
    """What is bound now: what came, or what was kept under the hash that came. Raises ContentMismatch."""
    content, kept = packed.get(given.type_name), before.get(given.type_name)
    if content is not None:
        return Item(
            instance_id,
            given.type_name,
            given.version,
            given.capture_time,
            given.content_hash,
            content.digest,
            given.context,
            content.size,
        )
    if kept is None or kept.content_hash != given.content_hash:
        raise ContentMismatch(given.type_name)
    return kept._replace(capture_time=given.capture_time)


def _check_room(fresh: Sequence[Item], before: Mapping[str, Item], node_bytes: int) -> None:
    sizes = {name: item.size for name, item in before.items()}
    had = sum(sizes.values())
    sizes.update((item.type_name, item.size) for item in fresh)
    total = sum(sizes.values())
    if total > max(node_bytes, had):
        msg = f"The node's inventory would hold {total} bytes; a node may have {node_bytes}."
        raise TotalTooLarge(msg)


def _take_custom(scope: Scope, items: Sequence[Given], limit: int) -> UnitOfWork[set[str]]:
    """Learn the custom types of *items*; answers those that are to be ignored. Errors: MalformedContent, TooManyTypes."""
    given = [one for one in items if one.type_name.startswith(CUSTOM_PREFIX) and one.content is not None]
    if not given:
        return set()
    known: dict[str, dict[str, CustomType]] = {}
    for custom in (yield from store.custom_types(scope)):
        known.setdefault(custom.type_name, {})[custom.version] = custom
    ignored = set()
    for one in given:
        versions = known.setdefault(one.type_name, {})
        disabled = [order_of(version) for version, custom in versions.items() if custom.disabled]
        if disabled and order_of(one.version) <= max(disabled):
            ignored.add(one.type_name)
            continue
        present = versions.get(one.version)
        made = grown(present, one)
        if len(known) > limit and not versions:
            msg = (
                f"There are {limit} custom inventory types, which is all there may be: delete one with DeleteInventory."
            )
            raise TooManyTypes(msg)
        if present is None and len(versions) >= MAX_VERSIONS:
            msg = f"{one.type_name} has {MAX_VERSIONS} schema versions, which is all it may have: delete it with DeleteSchema."
            raise TooManyTypes(msg)
        if present != made:
            versions[one.version] = made
            yield from store.put_type(scope, made)
    return ignored


def delete(
    scope: Scope, rehearsed: Deletion, *, option: str, dry_run: bool, token: ClientToken | None
) -> UnitOfWork[Deletion]:
    """
    Delete every item of a custom type, and the type as *option* says; nothing in a dry run. Answers what was there.

    *rehearsed* says which type, under which id, and when. Errors: TokenReused, UnknownType, InvalidOption.
    """
    earlier = yield from earlier_result(*scope, token)
    if earlier is not None:
        found = (yield from store.find_deletion(scope, earlier)) if earlier else None
        return found or replace((yield from _counted(scope, rehearsed)), id="")
    counted = yield from _counted(scope, rehearsed)
    versions = yield from store.custom_types(scope, [rehearsed.type_name])
    if option == "DisableSchema" and all(one.disabled for one in versions):
        msg = f"{rehearsed.type_name} is disabled already."
        raise InvalidOption(msg)
    yield from keep_result(*scope, token, "" if dry_run else rehearsed.id, now=rehearsed.deleted_at)
    if dry_run:
        return replace(counted, id="")
    yield from store.delete_items(scope, rehearsed.type_name)
    if option == "DeleteSchema":
        yield from store.delete_type(scope, rehearsed.type_name)
    elif option == "DisableSchema":
        yield from store.disable_type(scope, rehearsed.type_name)
    yield from store.put_deletion(scope, counted)
    return counted


def _counted(scope: Scope, rehearsed: Deletion) -> UnitOfWork[Deletion]:
    name = rehearsed.type_name
    if not name.startswith(CUSTOM_PREFIX) or not (yield from store.custom_types(scope, [name])):
        msg = f"There is no custom inventory type {name}; others cannot be deleted."
        raise UnknownType(msg)
    return replace(rehearsed, counts=(yield from store.counts_of(scope, name)))
