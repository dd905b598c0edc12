# SPDX-License-Identifier: Apache-2.0
"""Buckets: directories of this machine, and an S3-compatible service (moto's)."""

from __future__ import annotations

import http.server
import os
import threading
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from patchwright.server.infra import S3, Bucket, BucketRefused, ObjectMissing, joined, open_buckets
from server.aws.served import WallClock
from server.clocks import FakeClock

HERE = Bucket("some-bucket", "us-east-1")
CREDENTIALS = {"aws_access_key_id": "AKIAX", "aws_secret_access_key": "made-up-secret", "region_name": "us-east-1"}
ESCAPES = [
    "../up",
    "a/../../up",
    "/etc/passwd",
    "a//b",
    "a/./b",
    "a/",
    "",
    ".",
    "..",
    "nul\0",
    "line\nbreak",
    "x" * 1025,
]


@pytest.fixture(scope="module")
def service():
    """An S3-compatible service."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def objects(service):
    """The service, as somebody else sees it."""
    return boto3.client("s3", endpoint_url=service, **CREDENTIALS)


@pytest.fixture(params=["directory", "service"])
def buckets(request, tmp_path):
    """Each kind of buckets, with a bucket in it."""
    if request.param == "directory":
        return open_buckets(tmp_path / "buckets", None, FakeClock())
    request.getfixturevalue("objects").create_bucket(Bucket=HERE.name)
    return open_buckets(tmp_path, S3(request.getfixturevalue("service"), "AKIAX", "made-up-secret"), WallClock())


@pytest.fixture
def read(buckets, request, tmp_path):
    """The bytes of an object, and every key of the bucket."""
    if "directory" in request.node.callspec.id:
        root = tmp_path / "buckets" / HERE.name
        return lambda key: (root / key).read_bytes(), lambda: sorted(
            str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()
        )
    objects = request.getfixturevalue("objects")
    return (
        lambda key: objects.get_object(Bucket=HERE.name, Key=key)["Body"].read(),
        lambda: sorted(one["Key"] for one in objects.list_objects_v2(Bucket=HERE.name).get("Contents", [])),
    )


KEYS = ["AWS:Application/accountid=1/mi-1.json", "plain", "with space/ünï/☃+&=?#%41.json", "a~b/(c)'d'"]


async def test_objects_are_written_and_replaced(buckets, read):
    """Whatever their keys are made of."""
    get, listed = read
    for key in KEYS:
        await buckets.put(HERE, key, b"first")
        await buckets.put(HERE, key, b"second" * 1000)
        assert get(key) == b"second" * 1000
    await buckets.put(HERE, "empty", b"")
    assert get("empty") == b""
    assert set(KEYS) <= set(listed())


async def test_objects_are_read(buckets):
    """Up to a size; what is not there is told apart from what cannot be had."""
    for key in KEYS:
        await buckets.put(HERE, key, b"text" * 50_000)
        assert await buckets.get(HERE, key, limit=200_000) == b"text" * 50_000
        with pytest.raises(BucketRefused, match="larger than 199999 bytes"):
            await buckets.get(HERE, key, limit=199_999)
    for key in ("nothing", "plain/below", "with space"):
        with pytest.raises(ObjectMissing):
            await buckets.get(HERE, key, limit=10)
    with pytest.raises(ObjectMissing):
        await buckets.get(Bucket("no-such-bucket", "us-east-1"), "plain", limit=10)
    with pytest.raises(BucketRefused):
        await buckets.get(HERE, "../plain", limit=10)


@pytest.mark.parametrize("prefix", ["", "inventory", "a/b/"])
async def test_a_probe_leaves_nothing_behind(buckets, read, prefix):
    """Though it has written."""
    await buckets.put(HERE, "there", b"x")
    before = read[1]()

    await buckets.probe(HERE, prefix)

    assert read[1]() == before


@pytest.mark.parametrize("key", ESCAPES)
async def test_no_key_leads_out_of_its_bucket(buckets, tmp_path, key):
    """Neither of a directory nor of a path at the service."""
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(BucketRefused):
        await buckets.put(HERE, key, b"x")
    if key:
        with pytest.raises(BucketRefused):
            await buckets.probe(HERE, key.rstrip("/") + "/..")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "name", ["", "ab", "..", "a/b", "../x", "UPPER", "-ab", "a..b", "x" * 64, "b\n", "ab\0c", "é" * 5]
)
async def test_names_that_no_bucket_has_are_refused(buckets, name):
    """With the same rules for both kinds."""
    with pytest.raises(BucketRefused, match="name"):
        await buckets.put(Bucket(name, "us-east-1"), "key", b"x")


@pytest.mark.parametrize("region", ["", "us east", "us\r\nX-Evil: 1", "x" * 65])
async def test_regions_that_cannot_be_are_refused(buckets, region):
    """They go into a header."""
    with pytest.raises(BucketRefused):
        await buckets.put(Bucket("some-bucket", region), "key", b"x")


async def test_a_directory_that_cannot_be_written_to_is_told(tmp_path):
    """A file where a directory should be, a name too long for a file, a key to encrypt with."""
    buckets = open_buckets(tmp_path, None, FakeClock())
    (tmp_path / HERE.name).write_text("in the way")
    with pytest.raises(BucketRefused, match="the file cannot be written: "):
        await buckets.probe(HERE, "")
    with pytest.raises(BucketRefused, match="255 bytes"):
        await buckets.put(Bucket("other", "us-east-1"), "x" * 256, b"x")
    with pytest.raises(BucketRefused, match="encrypt"):
        await buckets.put(Bucket("other", "us-east-1", "arn:aws:kms:us-east-1:1:key/x"), "x", b"x")
    assert sorted(path.name for path in tmp_path.rglob("*")) == [HERE.name]


async def test_a_file_is_never_seen_half_written(tmp_path, monkeypatch):
    """A write that fails leaves the object as it was, and no draft."""
    buckets = open_buckets(tmp_path, None, FakeClock())
    await buckets.put(HERE, "one", b"whole")

    def fail(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(BucketRefused, match="No space left"):
        await buckets.put(HERE, "one", b"other")

    assert [path.read_bytes() for path in Path(tmp_path).rglob("*") if path.is_file()] == [b"whole"]


async def test_what_the_service_refuses_is_told_by_its_code(service, tmp_path):
    """Without the secret."""
    buckets = open_buckets(tmp_path, S3(service, "AKIAX", "made-up-secret"), WallClock())

    with pytest.raises(BucketRefused, match="NoSuchBucket") as refused:
        await buckets.probe(Bucket("never-made", "us-east-1"), "x")

    assert "made-up-secret" not in repr((refused.value, S3(service, "AKIAX", "made-up-secret")))


async def test_objects_are_encrypted_with_the_key_that_is_named(service, objects, tmp_path):
    """The service is told which."""
    objects.create_bucket(Bucket="encrypted")
    buckets = open_buckets(tmp_path, S3(service, "AKIAX", "made-up-secret"), WallClock())
    arn = "arn:aws:kms:us-east-1:000000000001:key/1234"

    await buckets.put(Bucket("encrypted", "us-east-1", arn), "one", b"x")

    head = objects.head_object(Bucket="encrypted", Key="one")
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", arn)


async def test_an_object_is_read_in_pieces_from_anywhere(buckets):
    """And whoever asks for it and reads nothing leaves nothing behind: the next one is read all the same."""
    data = bytes(range(256)) * 3000
    await buckets.put(HERE, "large", data)
    for begin, end in ((0, len(data)), (300_000, 300_001), (5, len(data) - 5), (0, 0)):
        content = await buckets.open(HERE, "large", limit=len(data))
        assert content.size == len(data)
        pieces = [piece async for piece in content.read(begin, end)]
        content.close()
        assert b"".join(pieces) == data[begin:end]
        assert max(map(len, pieces), default=0) <= 256 * 1024
    (await buckets.open(HERE, "large", limit=len(data))).close()
    with pytest.raises(BucketRefused, match="larger"):
        await buckets.open(HERE, "large", limit=len(data) - 1)
    with pytest.raises(ObjectMissing):
        await buckets.open(HERE, "none", limit=10)
    assert await buckets.get(HERE, "large", limit=len(data)) == data


async def test_the_objects_of_a_folder_are_listed_in_order_page_by_page(buckets):
    """In the order of the bytes of their keys, as S3 has it: `a-b` comes before `a/b`. Nothing beside the folder, nothing twice."""
    keys = ["dir/a/b", "dir/a-b", "dir/a/c/d", "dir/b", "dir/ü & <x>.sh", "dir/z z+z%41", "dir/a.b", "dirt/x", "other"]
    for key in keys:
        await buckets.put(HERE, key, key.encode())
    expected = sorted((key for key in keys if key.startswith("dir/")), key=str.encode)
    for limit in (1, 2, 3, 100):
        found, after = [], ""
        while page := await buckets.listed(HERE, "dir/", after=after, limit=limit):
            assert len(page) <= limit
            found, after = found + page, page[-1].key
        assert [one.key for one in found] == expected
        assert [one.size for one in found] == [len(key.encode()) for key in expected]
    assert {one.key for one in await buckets.listed(HERE, "", after="", limit=100)} >= set(keys)
    assert await buckets.listed(HERE, "nowhere/", after="", limit=10) == []
    assert await buckets.listed(HERE, "dir/b/", after="", limit=10) == []
    for folder in ("../", "a//", "/"):
        with pytest.raises(BucketRefused):
            await buckets.listed(HERE, folder, after="", limit=10)


async def test_a_link_to_a_folder_is_not_followed(tmp_path):
    """It may lead in a circle, or out of the bucket; what is being written is not listed either."""
    buckets = open_buckets(tmp_path, None, FakeClock())
    await buckets.put(HERE, "dir/file", b"x")
    (tmp_path / HERE.name / "dir" / "circle").symlink_to(tmp_path / HERE.name / "dir")
    (tmp_path / HERE.name / "dir" / ("." + "0f" * 16)).write_bytes(b"half")
    assert [one.key for one in await buckets.listed(HERE, "", after="", limit=10)] == ["dir/file"]


async def test_an_object_that_the_service_does_not_send_whole_is_refused():
    """A connection that ends in the middle: what came is not taken for all of it, and the connection is not used again."""
    with Moody([200, 200]) as moody:
        moody.sends = (b"part", 10)
        buckets = moody.buckets(FakeClock())
        content = await buckets.open(HERE, "key", limit=100)
        assert content.size == 10
        with pytest.raises(BucketRefused, match="before its end"):
            await content.whole()
        assert not buckets._idle
        moody.sends = (b"whole", 5)
        assert await buckets.get(HERE, "key", limit=100) == b"whole"
        assert len(buckets._idle) == 1


class Moody:
    """A service that answers each request with the next of *statuses*, 0: hangs up; and notes what it was asked."""

    def __init__(self, statuses):
        self.asked = []
        self.sends = (b"", 0)  # the body of an object, and how long it is said to be
        moody = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_PUT(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                moody.asked.append((self.path, dict(self.headers)))
                status = statuses.pop(0)
                if not status:
                    self.close_connection = True
                    return
                body = b"<Error><Code>AccessDenied</Code></Error>" if status == 403 else b""
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                moody.asked.append((self.path, dict(self.headers)))
                body, said = moody.sends
                self.send_response(statuses.pop(0))
                self.send_header("Content-Length", str(said))
                self.end_headers()
                self.wfile.write(body)
                self.close_connection = len(body) < said

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def buckets(self, clock):
        """Buckets there."""
        url = f"http://127.0.0.1:{self.server.server_port}"
        return open_buckets(Path("/"), S3(url, "AKIAX", "made-up-secret"), clock)


async def test_what_may_pass_is_tried_again_with_growing_pauses():
    """A busy service, one that hangs up, one that has too much to do; each time signed anew."""
    clock = FakeClock()
    with Moody([503, 0, 429, 200]) as moody:
        await moody.buckets(clock).put(HERE, "key", b"x")

    assert len(moody.asked) == 4
    assert len(clock.slept) == 3
    assert max(clock.slept) <= 2.0


async def test_what_does_not_pass_is_given_up(tmp_path):
    """After four attempts; a refusal is not asked again; nobody there is nobody there."""
    clock = FakeClock()
    with Moody([500] * 4 + [403]) as moody:
        with pytest.raises(BucketRefused, match="500"):
            await moody.buckets(clock).put(HERE, "key", b"x")
        with pytest.raises(BucketRefused, match="AccessDenied"):
            await moody.buckets(clock).put(HERE, "key", b"x")
    assert len(moody.asked) == 5
    with pytest.raises(BucketRefused, match="cannot be reached"):
        await moody.buckets(clock).put(HERE, "key", b"x")


async def test_a_connection_serves_one_object_after_the_other():
    """Which spares a handshake for each."""
    with Moody([200] * 5) as moody:
        buckets = moody.buckets(FakeClock())
        for number in range(5):
            await buckets.put(HERE, f"key-{number}", b"x")
        assert len(buckets._idle) == 1


@pytest.mark.parametrize(("prefix", "whole"), [("", "k"), ("/", "k"), ("p", "p/k"), ("p/", "p/k"), ("p/q", "p/q/k")])
def test_a_key_stands_under_its_prefix(prefix, whole):
    """Which may be empty, or end with a slash."""
    assert joined(prefix, "k") == whole
