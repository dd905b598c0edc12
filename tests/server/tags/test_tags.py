# SPDX-License-Identifier: Apache-2.0
"""Tags of any resource (spec §1.19, §3.4)."""

from __future__ import annotations

import pytest

from patchwright.server import tags
from patchwright.server.accounts import Scope

NODE = tags.MANAGED_INSTANCE


@pytest.fixture
def carried(shared_database, scope):
    """The tags that a resource carries."""

    async def read(name, where=scope, kind=NODE):
        return await shared_database.read(tags.of, where, kind, name)

    return read


@pytest.fixture
def add(shared_database, scope):
    """Set tags of a resource."""

    async def write(name, given, where=scope, kind=NODE):
        await shared_database.write(tags.add, where, kind, name, given)

    return write


async def test_tags_are_set_by_key_and_read_in_order(add, carried):
    """A value that is given again replaces the old one; the others stay."""
    await add("mi-1", {"b": "1", "a": "2", "": ""})
    await add("mi-1", {"b": "3"})

    assert list((await carried("mi-1")).items()) == [("", ""), ("a", "2"), ("b", "3")]


async def test_keys_are_told_apart_by_case_and_values_by_every_character(add, carried):
    """AWS says the same of its own."""
    given = {"Team": "web", "team": "db", "TEAM": " ", "ключ": "значение", "emoji": "🦊"}
    await add("mi-1", given)

    assert await carried("mi-1") == given


async def test_a_resource_is_its_type_and_its_id_in_one_account_and_region(add, carried, scope):
    """The same id elsewhere, or of another type, is another resource."""
    others = [
        (scope, tags.PATCH_BASELINE),
        (Scope(scope.account, "eu-west-1"), NODE),
        (Scope("9" + scope.account[1:], scope.region), NODE),
    ]
    await add("mi-1", {"a": "1"})

    for where, kind in others:
        assert await carried("mi-1", where, kind) == {}
        await add("mi-1", {"a": "2"}, where, kind)
    assert await carried("mi-1") == {"a": "1"}


@pytest.mark.parametrize("key", ["aws:", "aws:created-by", "AWS:x", "Aws:Name"])
async def test_keys_of_aws_are_reserved(add, carried, key):
    """They are refused with all that came with them."""
    with pytest.raises(tags.InvalidTag):
        await add("mi-1", {"fine": "1", key: "x"})

    assert await carried("mi-1") == {}


async def test_fifty_tags_are_the_limit(add, carried):
    """One more is refused; new values of old keys are not."""
    await add("mi-1", {f"key-{number}": "1" for number in range(50)})

    with pytest.raises(tags.TooManyTags):
        await add("mi-1", {"key-0": "2", "one-more": "1"})
    await add("mi-1", {"key-0": "3"})

    found = await carried("mi-1")
    assert (len(found), found["key-0"]) == (50, "3")
    with pytest.raises(tags.TooManyTags):
        await add("mi-2", {f"key-{number}": "1" for number in range(51)})


async def test_removing_passes_over_what_is_not_there(shared_database, scope, add, carried):
    """Twice is as good as once."""
    await add("mi-1", {"a": "1", "b": "2"})

    for _ in range(2):
        await shared_database.write(tags.remove, scope, NODE, "mi-1", ["a", "never", "a"])
    await shared_database.write(tags.remove, scope, NODE, "mi-1", [])

    assert await carried("mi-1") == {"b": "2"}


async def test_a_resource_that_goes_takes_its_tags_along(shared_database, scope, add, carried):
    """Those of others stay."""
    await add("mi-1", {"a": "1"})
    await add("mi-2", {"a": "1"})

    await shared_database.write(tags.forget, scope, NODE, "mi-1")

    assert (await carried("mi-1"), await carried("mi-2")) == ({}, {"a": "1"})


async def test_resources_are_found_by_key_and_value(shared_database, scope, add):
    """Values are alternatives; none given means any value. In order of id."""
    for name, value in (("mi-3", "web"), ("mi-1", "db"), ("mi-2", "web"), ("mi-4", "")):
        await add(name, {"role": value})

    async def find(*values):
        return await shared_database.read(tags.tagged, scope, NODE, "role", values)

    assert await find("web") == ["mi-2", "mi-3"]
    assert await find("web", "db", "other") == ["mi-1", "mi-2", "mi-3"]
    assert await find() == ["mi-1", "mi-2", "mi-3", "mi-4"]
    assert await find("WEB") == []


async def test_the_tags_of_many_are_read_at_once(shared_database, scope, add):
    """Every id that was asked for is there."""
    await add("mi-2", {"b": "1", "a": "2"})

    found = await shared_database.read(tags.of_each, scope, NODE, ["mi-1", "mi-2"])

    assert found == {"mi-1": {}, "mi-2": {"a": "2", "b": "1"}}
    assert await shared_database.read(tags.of_each, scope, NODE, []) == {}


@pytest.mark.parametrize(
    ("given", "group"),
    [
        ({"Patch Group": "web"}, "web"),
        ({"PatchGroup": "web"}, "web"),
        ({"PatchGroup": "db", "Patch Group": "web"}, "web"),
        ({"Patch Group": "", "PatchGroup": "db"}, "db"),
        ({"patch group": "web", "patchgroup": "web", "PATCH GROUP": "web"}, ""),
        ({}, ""),
    ],
)
def test_the_patch_group_is_one_of_two_tags(given, group):
    """Case counts, and the one with the space wins (spec §3.4)."""
    assert tags.patch_group(given) == group


async def test_resources_of_several_types_are_read_together(shared_database, scope, add):
    """Those that are called alike are told apart, and who has none is there all the same; another region's are not."""
    await add("mi-1", {"a": "node"})
    await add("mi-1", {"a": "document"}, kind=tags.DOCUMENT)
    await add("scan", {"a": "node's name"})
    await add("scan", {"a": "elsewhere"}, where=Scope(scope.account, "xx-elsewhere-1"), kind=tags.DOCUMENT)
    asked = [(NODE, "mi-1"), (tags.DOCUMENT, "scan"), (tags.DOCUMENT, "mi-1")]

    found = await shared_database.read(tags.of_all, scope, asked)
    few = await shared_database.read(tags.of_all, scope, asked[:2])

    assert found == {asked[0]: {"a": "node"}, asked[1]: {}, asked[2]: {"a": "document"}}
    assert few == {asked[0]: {"a": "node"}, asked[1]: {}}
    assert await shared_database.read(tags.of_all, scope, []) == {}
