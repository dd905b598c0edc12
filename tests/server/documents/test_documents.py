# SPDX-License-Identifier: Apache-2.0
"""Documents and their versions: made, changed, found, removed (spec §6.1)."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from patchwright.server import documents, tags
from patchwright.server.documents import (
    Attachment,
    InvalidContent,
    NameTaken,
    ReadOnlyDocument,
    RefusedOperation,
    ReservedName,
    SameContent,
    TooManyDocuments,
    TooManyVersions,
    UnknownDocument,
    UnknownVersion,
    VersionNameTaken,
)
from patchwright.server.infra import sql
from server.documents.shelf import AUTHOR, content

OWNED = "AWS-RunPatchBaseline"
TABLES = ("document", "document_version", "document_share", "document_review", "tag")


async def rows(shelf):
    """How many rows of each table the account has."""

    def read():
        found = {}
        for table in TABLES:
            counted = yield sql(f"SELECT COUNT(*) FROM {table} WHERE account = $1", shelf.scope.account)
            found[table] = counted[0][0]
        return found

    return await shelf.database.read(read)


async def test_a_new_document_is_its_first_version(shelf):
    """Which is the default; hash and reading come from the content."""
    made = await shelf.create(
        version_name="v1", display_name="Ours", target_type="/", own_tags={"a": "1"}, requires=[{"Name": "Other"}]
    )

    found = await shelf.service.describe(shelf.scope, "Doc")
    assert found == made
    assert (found.document.default_version, found.document.latest_version) == (1, 1)
    assert found.version.hash == hashlib.sha256(content().encode()).hexdigest()
    assert (found.version.content, found.version.reading.description) == (content(), "Number 1")
    assert (found.version.version_name, found.version.display_name, found.version.target_type) == ("v1", "Ours", "/")
    assert (found.version.author, found.version.created_at) == (AUTHOR, shelf.clock.time)
    assert (found.tags, found.document.requires) == ({"a": "1"}, ({"Name": "Other"},))


async def test_a_long_text_is_read_beside_the_event_loop(shelf):
    """YAML takes its time; what comes of it is the same."""
    steps = "".join(
        f"- {{name: step{number}, action: 'aws:runShellScript', inputs: {{runCommand: [{', '.join(['echo'] * 60)}]}}}}\n"
        for number in range(50)
    )
    made = await shelf.create(content=f"schemaVersion: '2.2'\nmainSteps:\n{steps}", format="YAML")

    assert len(made.version.content) > 8 * 1024
    assert made.version.reading.platform_types == ("Linux", "MacOS")


async def test_a_name_is_given_once_and_some_never(shelf, neighbour):
    """In another account or region it is another document."""
    await shelf.create()
    for name in ("aws-x", "AWSEC2-x", "amazonx", "Amzn.x", "AWSConfigRemediation-x", "awssupport", OWNED):
        with pytest.raises(ReservedName):
            await shelf.create(name)
    with pytest.raises(NameTaken):
        await shelf.create()
    await neighbour.create()
    await shelf.create("my-aws")

    assert await shelf.names("Self") == ["Doc", "my-aws"]
    assert await neighbour.names("Self") == ["Doc"]


async def test_nothing_is_left_of_a_document_that_was_refused(shelf):
    """Whatever it was refused for."""
    refused = (
        ({"content": "{"}, InvalidContent),
        ({"own_tags": {"aws:x": "1"}}, tags.InvalidTag),
        ({"own_tags": {str(number): "" for number in range(51)}}, tags.TooManyTags),
        ({"attachments": (Attachment("", "AttachmentReference", "No/1/file"),)}, InvalidContent),
    )
    for members, error in refused:
        with pytest.raises(error):
            await shelf.create(**members)

    assert set((await rows(shelf)).values()) == {0}


async def test_there_may_be_so_many_documents_and_versions(shelf):
    """Beyond that one has to go first."""
    small = shelf.limited(documents=2, document_versions=2)
    await small.create("one")
    await small.create("two")
    with pytest.raises(TooManyDocuments):
        await small.create("three")
    await small.update("one", 2)
    with pytest.raises(TooManyVersions):
        await small.update("one", 3)
    await small.service.delete(small.scope, "one", version="2")
    await small.update("one", 3)

    assert await small.numbers("one") == [3, 1]


async def test_a_new_version_is_not_the_default_until_it_is_made_it(shelf):
    """Display name and target type stay unless they are given; the version name does not."""
    await shelf.create(version_name="v1", display_name="Ours", target_type="/")
    second = await shelf.update(number=2, display_name="New")
    third = await shelf.update(number=3, based_on="2", version_name="v3", target_type="/AWS::EC2::Instance")

    assert (second.version.number, second.version.version_name, second.version.target_type) == (2, "", "/")
    assert (third.version.display_name, third.document.default_version, third.document.latest_version) == ("New", 1, 3)
    assert (await shelf.get()).version.number == 1
    await shelf.service.set_default(shelf.scope, "Doc", "2")
    assert (await shelf.get()).version == second.version
    assert (await shelf.get(version="$LATEST")).version == third.version
    assert (await shelf.get(version_name="v3")).version == third.version


async def test_a_version_is_selected_by_number_selector_or_name(shelf):
    """Which must not contradict each other."""
    await shelf.create(version_name="first")
    await shelf.update(version_name="second")

    for version, name, number in (
        ("", "", 1),
        ("$DEFAULT", "", 1),
        ("$LATEST", "", 2),
        ("1", "", 1),
        ("2", "", 2),
        ("", "second", 2),
        ("2", "second", 2),
        ("$LATEST", "second", 2),
        ("$DEFAULT", "first", 1),
    ):
        assert (await shelf.get(version=version, version_name=name)).version.number == number
    for version, name in (
        ("3", ""),
        ("0", ""),
        ("9" * 30, ""),
        ("x$LATEST", ""),
        ("", "third"),
        ("1", "second"),
        ("$DEFAULT", "second"),
    ):
        with pytest.raises(UnknownVersion):
            await shelf.get(version=version, version_name=name)


async def test_an_update_follows_the_latest_version(shelf):
    """Whoever names another has not seen it."""
    await shelf.create()
    await shelf.update(number=2, based_on="$LATEST")
    for based_on in ("1", "$DEFAULT", "3", "x"):
        with pytest.raises(UnknownVersion):
            await shelf.update(number=3, based_on=based_on)
    await shelf.service.set_default(shelf.scope, "Doc", "2")
    await shelf.update(number=3, based_on="$DEFAULT")

    assert await shelf.numbers() == [3, 2, 1]


async def test_what_says_the_same_or_has_the_same_name_is_no_new_version(shelf):
    """Compared with the latest; an older content may come again."""
    await shelf.create(version_name="v1")
    with pytest.raises(SameContent):
        await shelf.update(number=1, version_name="v2")
    with pytest.raises(VersionNameTaken):
        await shelf.update(number=2, version_name="v1")
    await shelf.update(number=2)
    await shelf.update(number=1)

    assert await shelf.numbers() == [3, 2, 1]


async def test_updates_at_the_same_time_get_numbers_of_their_own(shelf):
    """None is lost, and the same name is given once."""
    await shelf.create()
    done = await asyncio.gather(
        *(shelf.update(number=number, version_name="new") for number in range(2, 8)), return_exceptions=True
    )
    await asyncio.gather(*(shelf.update(number=number) for number in range(8, 14)))

    assert sum(isinstance(one, VersionNameTaken) for one in done) == 5
    assert await shelf.numbers() == list(range(8, 0, -1))


async def test_the_same_name_at_the_same_time_is_given_once(shelf):
    """The others are told that it is taken."""
    done = await asyncio.gather(*(shelf.create() for _ in range(5)), return_exceptions=True)

    assert sum(isinstance(one, NameTaken) for one in done) == 4
    assert (await rows(shelf))["document_version"] == 1


async def test_a_version_can_go_and_its_number_does_not_come_again(shelf):
    """The default stays; with the last one gone the one before is the latest."""
    await shelf.create()
    await shelf.update(number=2)
    await shelf.update(number=3, version_name="v3")
    delete = shelf.service.delete
    with pytest.raises(RefusedOperation, match="Default version"):
        await delete(shelf.scope, "Doc", version="1")
    for version in ("9", "$NONE"):
        with pytest.raises(UnknownVersion):
            await delete(shelf.scope, "Doc", version=version)
    await delete(shelf.scope, "Doc", version_name="v3")
    with pytest.raises(UnknownVersion):
        await delete(shelf.scope, "Doc", version="3")

    assert (await shelf.get(version="$LATEST")).version.number == 2
    assert (await shelf.update(number=4)).version.number == 4
    assert await shelf.numbers() == [4, 2, 1]


async def test_a_document_goes_with_everything_that_is_its_own(shelf):
    """Versions, tags, reviews; and then it is unknown, and its name free."""
    await shelf.create(own_tags={"a": "1"})
    await shelf.update()
    await shelf.service.review(shelf.scope, "Doc", "1", action="SendForReview", comment="", reviewer="me")
    await shelf.service.delete(shelf.scope, "Doc")

    assert set((await rows(shelf)).values()) == {0}
    for call in (shelf.get(), shelf.update(), shelf.service.delete(shelf.scope, "Doc")):
        with pytest.raises(UnknownDocument, match="Doc"):
            await call
    assert (await shelf.create()).tags == {}


async def test_a_configuration_schema_goes_by_force_only(shelf):
    """Configurations may depend on it (the model's word)."""
    await shelf.create(kind="ApplicationConfigurationSchema", content="{}")
    with pytest.raises(RefusedOperation, match="Force"):
        await shelf.service.delete(shelf.scope, "Doc")
    await shelf.service.delete(shelf.scope, "Doc", force=True)

    assert await shelf.names("Self") == []


async def test_an_update_is_examined_as_what_the_document_is(shelf):
    """The type stays."""
    await shelf.create(kind="Session", content='{"schemaVersion": "1.0", "sessionType": "Port"}')
    with pytest.raises(documents.InvalidSchemaVersion):
        await shelf.update()

    assert await shelf.numbers() == [1]


async def test_the_products_documents_are_read_and_not_changed(shelf):
    """By name and by the ARN without an account."""
    for reference in (OWNED, f"arn:aws:ssm:us-east-1::document/{OWNED}"):
        for version in ("", "$DEFAULT", "$LATEST", "1"):
            found = await shelf.get(reference, version=version)
            assert (found.document.owner, found.document.reference) == ("Amazon", OWNED)
            assert found.version.hash == hashlib.sha256(found.version.content.encode()).hexdigest()
            assert found.version.reading.platform_types == ("Linux",)
        with pytest.raises(UnknownVersion):
            await shelf.get(reference, version="2")
    service, scope = shelf.service, shelf.scope
    for call in (
        shelf.update(OWNED),
        service.delete(scope, OWNED, force=True),
        service.set_default(scope, OWNED, "1"),
        shelf.share(OWNED, "all"),
        service.shares(scope, OWNED, after="", limit=1),
        service.review(scope, OWNED, "1", action="Approve", comment="", reviewer="me"),
    ):
        with pytest.raises(ReadOnlyDocument):
            await call
    assert await shelf.numbers(OWNED) == [1]


@pytest.mark.parametrize(
    "reference",
    [
        "Other",
        "AWS-RunAnything",
        "arn:aws:ssm:us-east-1::document/Doc",
        "arn:aws:ssm:eu-west-1:{account}:document/Doc",
        "arn:aws:ssm:us-east-1:999999999999:document/Doc",
        "arn:aws:ssm:us-east-1:{account}:document/Doc/1",
        "arn:aws:s3:us-east-1:{account}:document/Doc",
        "arn:aws:ssm:us-east-1:{account}:parameter/Doc",
        "../Doc",
        "Doc:1",
        "doc",
    ],
)
async def test_what_is_no_document_here_is_unknown(shelf, reference):
    """Names are told apart by case; an ARN names this region."""
    await shelf.create()

    with pytest.raises(UnknownDocument):
        await shelf.get(reference.format(account=shelf.scope.account))
    assert (await shelf.get(shelf.arn("Doc"))).document.reference == "Doc"


async def test_attachments_are_kept_by_name(shelf):
    """As given, from a package's manifest, or from another document's version."""
    manifest = (
        '{"schemaVersion": "2.0", "version": "1", "packages": {"debian": {}}, "files": {"a.zip": {}, "b.zip": {}}}'
    )
    await shelf.create("Pack", kind="Package", content=manifest, attachments=(Attachment("", "SourceUrl", "s3://b/p"),))
    given = (
        Attachment("script.py", "S3FileUrl", "s3://b/k/original.py"),
        Attachment("", "S3FileUrl", "https://b.example/k/other.py"),
        Attachment("", "SourceUrl", "s3://b/prefix"),
        Attachment("", "AttachmentReference", "Pack/1/a.zip"),
        Attachment("c.zip", "AttachmentReference", f"{shelf.arn('Pack')}/$LATEST/b.zip"),
    )
    found = await shelf.create(attachments=given)

    assert [one.name for one in found.version.attachments] == ["script.py", "other.py", "", "a.zip", "c.zip"]
    assert (await shelf.update()).version.attachments == ()
    for value in ("Pack/1/no.zip", "Pack/2/a.zip", "Pack/a.zip", "No/1/a.zip", "a.zip", f"{OWNED}/1/a.zip"):
        with pytest.raises(InvalidContent):
            await shelf.update(number=3, attachments=(Attachment("", "AttachmentReference", value),))
    for value in ("file:///etc/passwd", "http://x/y", "x"):
        with pytest.raises(InvalidContent):
            await shelf.update(number=3, attachments=(Attachment("", "SourceUrl", value),))
    with pytest.raises(InvalidContent, match="same name"):
        await shelf.update(number=3, attachments=(given[0], given[0]))
