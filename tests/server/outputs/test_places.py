# SPDX-License-Identifier: Apache-2.0
"""Where outputs are in full: in the bucket that a command names (spec §5.6), or behind a link; and for how long."""

from __future__ import annotations

import hashlib
from urllib.parse import urlsplit

import pytest

from patchwright.server.infra import DirectoryBlobs, sql
from patchwright.server.outputs import COLLECT_SECONDS
from server.outputs.printing import STEP, Printer
from server.wire.client import call

DAY = 86_400
PLUGIN = "awsrunShellScript"  # as AWS's patch documents have it


@pytest.fixture
async def printer(house):
    """A command under way whose output goes to a bucket."""
    await house.wired.database.write(_retire)  # what other tests left behind
    return await Printer(house).begin(OutputS3BucketName="outputs", OutputS3KeyPrefix="a/b")


def _retire():
    yield sql("UPDATE output SET write_at = NULL, ended = 1, began_at = 9e9")


def objects(house, printer):
    """What is in the bucket, by key, of this command."""
    root = house.wired.tender._buckets._inner._root / "outputs"
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and printer.command in str(path)
    }


async def address(house, printer, member="StandardOutputUrl"):
    """What GetCommandInvocation says."""
    asked = {"CommandId": printer.command, "InstanceId": printer.node.instance_id}
    return (await house.ask("AmazonSSM.GetCommandInvocation", asked))[member]


async def fetched(house, url, *, method="GET"):
    """What is behind a link."""
    parts = urlsplit(url)
    headers = {"host": parts.netloc}
    return await call(house.wired.application, headers, b"", method=method, path=parts.path, query=parts.query)


async def test_output_is_written_to_its_bucket_when_it_has_ended(house, printer):
    """By the server, whole, where the URLs point; nothing before the end, and each once."""
    await printer.put(b"half ", 0)
    assert await house.wired.tender.tend() == 0
    await printer.put(b"whole\n", 5, Last=True)
    await printer.put(b"oops\n", 0, Stream="stderr", Last=True)
    assert await house.wired.tender.tend() == 2
    assert await house.wired.tender.tend() == 0

    key = f"a/b/{printer.command}/{printer.node.instance_id}/{PLUGIN}/{STEP}"
    assert objects(house, printer) == {f"{key}/stderr": b"oops\n", f"{key}/stdout": b"half whole\n"}
    for member, stream in (("StandardOutputUrl", "stdout"), ("StandardErrorUrl", "stderr")):
        assert (await address(house, printer, member)).endswith(f"/outputs/{key}/{stream}")
    listed = {one["Stream"]: (one["Key"], one["Attempts"], "WrittenAt" in one) for one in await printer.streams()}
    assert listed == {"stdout": (f"{key}/stdout", 1, True), "stderr": (f"{key}/stderr", 1, True)}
    await printer.end()
    asked = {"CommandId": printer.command, "Details": True}
    (one,) = (await house.ask("AmazonSSM.ListCommandInvocations", asked))["CommandInvocations"]
    assert one["StandardOutputUrl"].endswith("/stdout")
    assert one["CommandPlugins"][0]["StandardErrorUrl"].endswith("/stderr")


async def test_a_bucket_that_cannot_be_written_is_tried_again_for_a_day(house, printer, monkeypatch):
    """Each time later, with the reason to be seen; then it is given up. Nothing of the output is lost by that."""
    tender, buckets = house.wired.tender, house.wired.tender._buckets._inner
    root = buckets._root
    monkeypatch.setattr(buckets, "_root", house.wired.tender._blobs._root / "file" / "x")
    house.wired.tender._blobs._root.mkdir(parents=True, exist_ok=True)
    (house.wired.tender._blobs._root / "file").write_bytes(b"")
    await printer.put(b"text", 0, Last=True)
    assert await tender.tend() == 0
    (one,) = await printer.streams()
    assert (one["Attempts"], "Reason" in one, "WrittenAt" in one) == (1, True, False)
    assert await tender.tend() == 0
    assert (await printer.streams())[0]["Attempts"] == 1  # not due yet

    house.clock.time += 3600
    monkeypatch.setattr(buckets, "_root", root)
    assert await tender.tend() == 1
    (one,) = await printer.streams()
    assert (one["Attempts"], "Reason" in one, "WrittenAt" in one) == (2, False, True)

    monkeypatch.setattr(buckets, "_root", house.wired.tender._blobs._root / "file" / "x")
    await printer.put(b"text", 0, Stream="stderr", Last=True)
    for _ in range(30):
        await tender.tend()
        house.clock.time += 3601
    assert await printer.whole(Stream="stderr", StepName=STEP) == b"text"
    tries = (await printer.streams())[1]["Attempts"]
    house.clock.time += 3601
    await tender.tend()
    assert 20 < tries == (await printer.streams())[1]["Attempts"]


async def test_what_a_node_never_ends_is_ended_when_its_command_is_over(house, printer):
    """A step that is quiet for long is left alone; of a node that is gone what is there is written."""
    await printer.put(b"begun", 0)
    house.clock.time += 700
    await house.wired.tender.tend()
    assert not (await printer.streams())[0]["Ended"]
    await house.ask("AmazonSSM.DeregisterManagedInstance", {"InstanceId": printer.node.instance_id})
    house.clock.time += 700
    assert await house.wired.tender.tend() == 1
    assert list(objects(house, printer).values()) == [b"begun"]


async def test_a_link_downloads_what_an_answer_does_not_show(house):
    """For a day, to whoever has it, as text and nothing else; none where the answer shows everything."""
    short = await Printer(house).begin()
    await short.end("all there is")
    assert await address(house, short) == ""

    printer = await Printer(house).begin()
    text = b"<script>long</script>\n" * 5_000
    await printer.put(text, 0, Last=True)
    await printer.end("cut")
    link = await address(house, printer)
    found = await fetched(house, link)
    assert (found.status, found.body) == (200, text)
    assert found.headers["content-type"] == "text/plain; charset=utf-8"
    assert (found.headers["x-content-type-options"], found.headers["content-security-policy"]) == ("nosniff", "sandbox")
    assert (await fetched(house, link, method="HEAD")).body == b""
    assert await address(house, printer, "StandardErrorUrl") == ""

    assert (await fetched(house, link[:-1] + ("0" if link[-1] != "0" else "1"))).status == 403
    assert (await fetched(house, link.replace("/outputs/", "/outputs/x"))).status == 403
    house.clock.time += DAY
    assert (await fetched(house, link)).status == 403


async def test_outputs_are_kept_as_long_as_commands(house):
    """Thirty days; then their rows go, and a day later the blobs that nobody else's output names."""
    tender, blobs = house.wired.tender, house.wired.tender._blobs
    first = await Printer(house).begin()
    shared, alone = bytes(20_000), b"a" * 20_000
    await first.put(shared, 0)
    await first.put(alone, len(shared), Last=True)
    house.clock.time += 20 * DAY
    second = await Printer(house).begin()
    await second.put(shared, 0, Last=True)
    house.clock.time += 11 * DAY
    assert await tender.collect() >= 1

    assert [one["Stream"] for one in await first.streams()] == []
    assert await second.whole() == shared
    for _ in range(256):  # a shard at a time
        await tender.collect()
    assert await blobs.get(hashlib.sha256(shared).hexdigest()) == shared
    assert not blobs._path(hashlib.sha256(alone).hexdigest()).exists()
    assert COLLECT_SECONDS * 256 < 2 * DAY


async def test_a_blob_that_is_put_again_is_not_collected(tmp_path):
    """Its row may not be written yet: whoever collects looks at its time once more."""
    blobs = DirectoryBlobs(tmp_path)
    digest = await blobs.put(b"again")
    shard, now = int(digest[:2], 16), blobs._path(digest).stat().st_mtime
    assert await blobs.old(shard, older_than=now - 1) == []
    assert await blobs.old(shard, older_than=now + 1) == [digest]
    assert await blobs.old((shard + 1) % 256, older_than=now + 1) == []
    assert await blobs.remove([digest, "0" * 64], older_than=now - 1) == 0
    assert await blobs.remove([digest, "0" * 64], older_than=now + 1) == 1
