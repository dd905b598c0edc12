# SPDX-License-Identifier: Apache-2.0
"""Which documents are listed, who they are shared with, and what was said about them."""

from __future__ import annotations

import pytest

from patchwright.server.accounts import Scope
from patchwright.server.documents import (
    RefusedOperation,
    TooManyShares,
    UnknownDocument,
    UnknownVersion,
    listing,
    owned,
)
from patchwright.server.documents.listing import BATCH
from server.documents.shelf import Shelf, content

OWNED = sorted(owned.NAMES)
EVERYWHERE = [name for name in OWNED if "MacOS" in owned.found(name).version.reading.platform_types]
SESSION = '{"schemaVersion": "1.0", "description": "Änderung", "sessionType": "Port"}'


# ------------------------------------------------------------------------------------------------------------- listing


async def test_the_products_come_first_then_ones_own_then_others(shelf, neighbour):
    """Each in order of name, whatever the size of a page."""
    for name in ("c", "a.1", "B"):
        await shelf.create(name * 3)
    for name in ("yyy", "xxx", "zzz"):
        await neighbour.create(name)
        await neighbour.share(name, shelf.scope.account)

    expected = [*OWNED, "BBB", "a.1a.1a.1", "ccc", *(neighbour.arn(name) for name in ("xxx", "yyy", "zzz"))]
    for limit in (1, 2, 3, 6, 7, 50):
        assert await shelf.names(limit=limit) == expected
    assert await neighbour.names() == [*OWNED, "xxx", "yyy", "zzz"]


async def test_more_documents_than_are_read_at_once_are_all_listed(shelf):
    """And a filter that few of them pass finds those few."""
    for number in range(BATCH + 5):
        await shelf.create(f"doc-{number:04}")

    names = [f"doc-{number:04}" for number in range(BATCH + 5)]
    assert await shelf.names("Self") == names
    last = (names[-1], names[0])
    assert await shelf.names(conditions=(lambda found: found.document.name in last,)) == [names[0], names[-1]]
    assert await shelf.names(prefixes=(last,)) == [names[0], names[-1]]


async def test_tags_are_followed_to_the_last_document(shelf):
    """However many carry them, and however few of those are wanted."""
    for number in range(BATCH + 5):
        kind, content = ("Session", SESSION) if number == BATCH + 2 else ("Command", "")
        more = {"content": content} if content else {}
        await shelf.create(f"doc-{number:04}", kind=kind, own_tags={"team": "web", "n": str(number)}, **more)

    every = [f"doc-{number:04}" for number in range(BATCH + 5)]
    assert await shelf.names(tags=(("team", ("web", "db")),)) == every
    assert await shelf.names(tags=(("team", ()),), types=(("Session",),)) == [every[BATCH + 2]]
    assert await shelf.names(tags=(("n", ("7", str(BATCH + 1))),)) == [every[7], every[BATCH + 1]]


async def test_everything_that_is_wanted_has_to_hold(shelf):
    """The values of each condition are alternatives; what the default version says counts."""
    await shelf.create("command-1", own_tags={"team": "web", "stage": "prod"}, target_type="/")
    await shelf.create("command-2", own_tags={"team": "db"}, display_name="The BIG one")
    await shelf.create("session-1", kind="Session", content=SESSION, target_type="/AWS::EC2::Instance")
    await shelf.update("session-1", content=SESSION.replace("Port", "Standard_Stream"), target_type="/none")

    for wanted, expected in (
        ({"prefixes": (("comm", "x"),)}, ["command-1", "command-2"]),
        ({"prefixes": (("comm", "x"), ("command-2",))}, ["command-2"]),
        ({"prefixes": (("AWS-",),)}, OWNED),
        ({"prefixes": (("ommand", "%", "_ommand", "Command"),)}, []),
        ({"types": (("Session", "Policy"),)}, ["session-1"]),
        ({"types": (("Session", "Policy"), ("Command",))}, []),
        ({"conditions": (listing.runs_on(["MacOS", "Plan9"]),)}, [*EVERYWHERE, "session-1"]),
        ({"conditions": (listing.targets(["/", "/AWS::EC2::Instance"]),)}, ["command-1", "session-1"]),
        ({"conditions": (listing.targets(["/none"]),)}, []),
        ({"conditions": (listing.mentions(["big", "ÄNDER"]),)}, ["command-2", "session-1"]),
        ({"conditions": (listing.mentions(["number 1"]),)}, ["command-1", "command-2"]),
        ({"tags": (("team", ("web", "ops")),)}, ["command-1"]),
        ({"tags": (("team", ()),)}, ["command-1", "command-2"]),
        ({"tags": (("team", ("web",)), ("stage", ("test",)))}, []),
        ({"tags": (("team", ("web",)), ("stage", ()))}, ["command-1"]),
        ({"tags": (("team", ()),), "types": (("Command",),), "prefixes": (("command-2",),)}, ["command-2"]),
    ):
        assert await shelf.names(**wanted) == expected, wanted


async def test_versions_are_listed_newest_first(shelf):
    """Page by page."""
    await shelf.create()
    for number in range(2, 7):
        await shelf.update(number=number)

    assert await shelf.numbers() == [6, 5, 4, 3, 2, 1]
    _, page = await shelf.service.versions(shelf.scope, "Doc", before=4, limit=2)
    assert [(version.number, version.content) for version in page] == [(3, ""), (2, "")]
    with pytest.raises(UnknownDocument):
        await shelf.numbers("Other")


# ------------------------------------------------------------------------------------------------------------- sharing


@pytest.mark.parametrize(
    ("shared", "selected", "listed"),
    [
        ("$DEFAULT", {"": 2, "$DEFAULT": 2, "$LATEST": 2, "2": 2, "1": None, "3": None}, [2]),
        ("$LATEST", {"": 3, "$DEFAULT": 3, "$LATEST": 3, "3": 3, "2": None}, [3]),
        ("$ALL", {"": 2, "$DEFAULT": 2, "$LATEST": 3, "1": 1, "4": None}, [3, 2, 1]),
    ],
)
async def test_a_shared_document_shows_the_versions_that_are_shared(shelf, neighbour, shared, selected, listed):
    """Under its ARN, as long as it is shared; by its name alone it is nobody else's."""
    await shelf.create(version_name="v1")
    await shelf.update(number=2, version_name="v2")
    await shelf.update(number=3, version_name="v3")
    await shelf.service.set_default(shelf.scope, "Doc", "2")
    arn = shelf.arn("Doc")
    with pytest.raises(UnknownDocument):
        await neighbour.get(arn)
    await shelf.share("Doc", neighbour.scope.account, version=shared)

    for version, number in selected.items():
        if number is None:
            with pytest.raises(UnknownVersion):
                await neighbour.get(arn, version=version)
        else:
            found = await neighbour.get(arn, version=version)
            assert (found.version.number, found.version.content) == (number, content(number))
            assert (found.document.reference, found.document.owner) == (arn, shelf.scope.account)
    assert await neighbour.numbers(arn) == listed
    assert await neighbour.names("Private") == [arn]
    for reference in ("Doc", arn.replace("us-east-1", "eu-west-1")):
        with pytest.raises(UnknownDocument):
            await neighbour.get(reference)
    if shared != "$ALL":
        with pytest.raises(UnknownVersion):
            await neighbour.get(arn, version_name="v1")
    await shelf.share("Doc", remove=[neighbour.scope.account])
    for call in (neighbour.get(arn), neighbour.numbers(arn)):
        with pytest.raises(UnknownDocument):
            await call
    assert await neighbour.names("Private") == []


async def test_whoever_it_is_shared_with_may_not_change_it(shelf, neighbour):
    """Nor see its tags, reviews or with whom else it is shared."""
    await shelf.create(own_tags={"secret": "1"})
    await shelf.share("Doc", neighbour.scope.account, version="$ALL")
    arn, service, scope = shelf.arn("Doc"), neighbour.service, neighbour.scope

    found = await service.describe(scope, arn)
    assert (found.tags, found.reviews) == ({}, ())
    for call in (
        neighbour.update(arn),
        service.delete(scope, arn),
        service.set_default(scope, arn, "1"),
        service.share(scope, arn, add=[], remove=["all"]),
        service.shares(scope, arn, after="", limit=5),
        service.review(scope, arn, "1", action="SendForReview", comment="", reviewer="me"),
        service.reviews(scope, arn, "1", before=9, limit=5),
    ):
        with pytest.raises(UnknownDocument):
            await call
    await shelf.update()
    assert await neighbour.numbers(arn) == [2, 1]


async def test_a_public_document_is_everybodys_to_read(shelf, neighbour):
    """It is listed where Public is asked for; shared with one as well, that one sees what both give."""
    await shelf.create()
    await shelf.update()
    await shelf.share("Doc", "all")
    arn = shelf.arn("Doc")

    assert arn in await neighbour.names("Public")
    assert arn not in await neighbour.names()
    assert "Doc" in await shelf.names("Public")
    assert await neighbour.numbers(arn) == [1]
    await shelf.share("Doc", neighbour.scope.account, version="$LATEST")
    assert await neighbour.numbers(arn) == [2, 1]
    elsewhere = Shelf(shelf.database, Scope(neighbour.scope.account, "eu-west-1"))
    assert arn not in await elsewhere.names("Public")


async def test_shares_are_listed_changed_and_ended(shelf):
    """Removing wins over adding; sharing again shares another version."""
    await shelf.create()
    await shelf.share("Doc", "000000000009", "000000000007")
    await shelf.share("Doc", "all")
    await shelf.share("Doc", "000000000007", "000000000008", version="$ALL", remove=["000000000008", "000000000001"])
    await shelf.share("Doc", remove=["all"])

    shares = await shelf.service.shares(shelf.scope, "Doc", after="", limit=10)
    assert shares == [("000000000007", "$ALL"), ("000000000009", "$DEFAULT")]
    assert await shelf.service.shares(shelf.scope, "Doc", after="000000000007", limit=1) == shares[1:]
    with pytest.raises(RefusedOperation, match="Must unshare document first before delete"):
        await shelf.service.delete(shelf.scope, "Doc")
    await shelf.share("Doc", remove=["000000000007", "000000000009"])
    await shelf.service.delete(shelf.scope, "Doc")


async def test_sharing_has_its_limits(shelf):
    """Accounts of one document, and documents for everybody; what is refused changes nothing."""
    small = shelf.limited(document_shares=2, public_documents=1)
    for name in ("one", "two"):
        await small.create(name)
    await small.share("one", "all")
    await small.share("one", "000000000001")
    for name, recipient in (("one", "000000000002"), ("two", "all")):
        with pytest.raises(TooManyShares):
            await small.share(name, recipient)
    await small.share("one", "000000000002", remove=["000000000001"])
    await small.share("one", "all")

    assert [one.recipient for one in await small.service.shares(small.scope, "one", after="", limit=9)] == [
        "000000000002",
        "all",
    ]
    assert await small.service.shares(small.scope, "two", after="", limit=9) == []


async def test_a_document_is_shared_with_everybody_or_with_some(shelf):
    """In one request; who is both removed and added is removed."""
    await shelf.create()
    for add, remove in ((["all", "000000000001"], []), ([], ["all", "000000000001"])):
        with pytest.raises(TooManyShares, match="either be all or a group"):
            await shelf.share("Doc", *add, remove=remove)
    await shelf.share("Doc", "all", remove=["all"])

    assert await shelf.service.shares(shelf.scope, "Doc", after="", limit=9) == []


async def test_another_account_makes_the_same_name_its_own(shelf, neighbour):
    """Both exist, each by its own name or ARN."""
    await shelf.create()
    await neighbour.create(number=5)
    await shelf.share("Doc", neighbour.scope.account)

    assert (await neighbour.get()).version.reading.description == "Number 5"
    assert (await neighbour.get(shelf.arn("Doc"))).version.reading.description == "Number 1"
    assert await neighbour.names("Self", "Private") == ["Doc", shelf.arn("Doc")]


# ------------------------------------------------------------------------------------------------------------- reviews


async def step(shelf, action, version="$LATEST", comment=""):
    """One step of a review."""
    shelf.clock.time += 1
    await shelf.service.review(shelf.scope, "Doc", version, action=action, comment=comment, reviewer="me")


async def test_a_version_is_sent_for_review_and_approved(shelf):
    """Everything that was said is kept, newest first."""
    await shelf.create()
    await step(shelf, "SendForReview", comment="please")
    assert (await shelf.service.describe(shelf.scope, "Doc")).pending_version == 1
    await step(shelf, "UpdateReview", comment="please do")
    await step(shelf, "Approve")

    found, said = await shelf.service.reviews(shelf.scope, "Doc", "1", before=99, limit=9)
    assert [(one.status, one.comment, one.reviewer) for one in said] == [
        ("APPROVED", "", "me"),
        ("PENDING", "please do", "me"),
    ]
    assert said[1].updated_at == said[1].created_at + 1
    assert found.version.review_status == "APPROVED"
    described = await shelf.service.describe(shelf.scope, "Doc")
    assert (described.approved_version, described.pending_version, described.reviews) == (1, 0, tuple(said))
    _, page = await shelf.service.reviews(shelf.scope, "Doc", "1", before=said[0].number, limit=1)
    assert page == said[1:]


async def test_one_version_is_approved_and_one_under_review(shelf):
    """With a new approval the one before is rejected (the model's word)."""
    await shelf.create()
    await step(shelf, "SendForReview")
    await step(shelf, "Approve")
    await shelf.update()
    await step(shelf, "SendForReview", "2")
    await shelf.update(number=3)
    with pytest.raises(RefusedOperation, match="Version 2"):
        await step(shelf, "SendForReview", "3")
    await step(shelf, "Approve", "2")

    _, versions = await shelf.service.versions(shelf.scope, "Doc", before=99, limit=9)
    assert [version.review_status for version in versions] == ["NOT_REVIEWED", "APPROVED", "REJECTED"]


@pytest.mark.parametrize("action", ["UpdateReview", "Approve", "Reject"])
async def test_what_is_not_under_review_cannot_be_judged(shelf, action):
    """Nor twice; what was rejected may be sent again."""
    await shelf.create()
    with pytest.raises(RefusedOperation):
        await step(shelf, action)
    await step(shelf, "SendForReview")
    with pytest.raises(RefusedOperation):
        await step(shelf, "SendForReview")
    await step(shelf, "Reject")
    with pytest.raises(RefusedOperation):
        await step(shelf, action)
    await step(shelf, "SendForReview")
    await step(shelf, "Approve")
    with pytest.raises(RefusedOperation):
        await step(shelf, "SendForReview")
    with pytest.raises(UnknownVersion):
        await step(shelf, action, "7")
