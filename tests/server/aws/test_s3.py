# SPDX-License-Identifier: Apache-2.0
"""As much of S3 as agents need (spec agent-protocol §10): written and read is one's own, and nothing else."""

from __future__ import annotations

import asyncio
import datetime
import hashlib
import re
from dataclasses import replace
from unittest import mock

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from patchwright.server import app
from patchwright.server.infra import DirectoryBlobs
from server.gateway.house import House, build, configure
from server.outputs.printing import STEP, Printer
from server.wire.client import call

PREFIX = "logs/2026"
BUCKET = "outputs"


class Unsigned(S3SigV4Auth):
    """Signs all but the body, as clients do that have TLS."""

    def payload(self, request):
        """What stands for the body."""
        return "UNSIGNED-PAYLOAD"


class Shop:
    """S3 as agents and users speak it to a house."""

    def __init__(self, house):
        self.house = house

    async def ask(
        self,
        method,
        path,
        key,
        body=b"",
        *,
        host="patchwright.test:8473",
        region="us-east-1",
        signer=S3SigV4Auth,
        sent=None,
        **more,
    ):
        """Sign for S3 and call, with *sent* in the place of what was signed; *more* are headers, hyphens as underscores."""
        given = {name.replace("_", "-"): value for name, value in more.items()}
        request = AWSRequest(method=method, url=f"https://{host}{path}", headers=given, data=body)
        moment = datetime.datetime.fromtimestamp(self.house.clock.now(), datetime.UTC).replace(tzinfo=None)
        credentials = Credentials(key.access_key_id, key.secret)
        with mock.patch("botocore.auth.get_current_datetime", return_value=moment):
            signer(credentials, "s3", region).add_auth(request)
        headers = {name.lower(): str(value) for name, value in request.headers.items()}
        place, _, query = path.partition("?")
        self.house.clock.time += 1  # the next request has another signature
        body = body if sent is None else sent
        headers = {"host": host, "content-length": str(len(body)), **headers}
        return await call(self.house.wired.application, headers, body, method=method, path=place, query=query)


@pytest.fixture
def shop(house):
    """The shop of the house."""
    return Shop(house)


@pytest.fixture
async def printer(house):
    """A command whose output goes to a bucket."""
    return await Printer(house).begin(OutputS3BucketName=BUCKET, OutputS3KeyPrefix=PREFIX)


def key_of(printer, stream="stdout"):
    """Where Amazon's agent puts a stream."""
    return f"{PREFIX}/{printer.command}/{printer.node.instance_id}/awsrunShellScript/{STEP}/{stream}"


async def test_an_agent_writes_the_output_of_its_own_command(house, shop, printer):
    """HEAD, ?encryption and PUT as Amazon's agent sends them; then people see it, and the bucket gets it."""
    head = await shop.ask("HEAD", f"/{BUCKET}", printer.node)
    assert (head.status, head.headers["x-amz-bucket-region"], head.body) == (200, "us-east-1", b"")
    encryption = await shop.ask("GET", f"/{BUCKET}?encryption", printer.node)
    assert encryption.status == 404
    assert b"<Code>ServerSideEncryptionConfigurationNotFoundError</Code>" in encryption.body

    text = b"all of it\n" * 60_000
    more = {"x_amz_acl": "bucket-owner-full-control", "Content_Type": "text/plain"}
    put = await shop.ask("PUT", f"/{BUCKET}/{key_of(printer)}", printer.node, text, **more)
    assert (put.status, put.headers["etag"]) == (200, f'"{hashlib.md5(text, usedforsecurity=False).hexdigest()}"')
    again = await shop.ask("PUT", f"/{BUCKET}/{key_of(printer)}", printer.node, text, **more)
    assert again.status == 200

    assert await printer.whole() == text
    assert await house.wired.tender.tend() >= 1
    found = house.wired.tender._buckets._inner._root / BUCKET / key_of(printer)
    assert found.read_bytes() == text
    for who in (printer.node, house.root):
        got = await shop.ask("GET", f"/{BUCKET}/{key_of(printer)}", who)
        assert (got.status, got.body) == (200, text)
    part = await shop.ask("GET", f"/{BUCKET}/{key_of(printer)}", house.root, Range="bytes=4-7")
    assert (part.status, part.body, part.headers["content-range"]) == (206, text[4:8], f"bytes 4-7/{len(text)}")
    late = await shop.ask("GET", f"/{BUCKET}/{key_of(printer)}", house.root, Range=f"bytes={len(text)}-")
    assert late.status == 416
    head = await shop.ask("HEAD", f"/{BUCKET}/{key_of(printer)}", house.root)
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(text)))


async def test_what_is_large_comes_in_parts(house, shop, printer):
    """Out of order, one of them twice; nothing is an output before it is complete, and no part of another upload is taken."""
    path = f"/{BUCKET}/{key_of(printer)}"
    begun = await shop.ask("POST", f"{path}?uploads", printer.node)
    upload = re.search(rb"<InitiateMultipartUploadResult>.*<UploadId>(\w+)</UploadId>", begun.body)[1].decode()
    bodies = {number: bytes([96 + number]) * 300_000 for number in (1, 2, 3)}
    etags = {}
    for number in (2, 3, 1, 2):
        part = f"{path}?partNumber={number}&uploadId={upload}"
        etags[number] = (await shop.ask("PUT", part, printer.node, bodies[number])).headers["etag"]
    assert await printer.streams() == []

    def whole(tags):
        rows = "".join(
            f"<Part><ETag>{tag}</ETag><PartNumber>{number}</PartNumber></Part>" for number, tag in tags.items()
        )
        return f"<CompleteMultipartUpload>{rows}</CompleteMultipartUpload>".encode()

    other = await shop.ask("POST", f"/{BUCKET}/{key_of(printer, 'stderr')}?uploads", printer.node)
    other_id = re.search(rb"<UploadId>(\w+)</UploadId>", other.body)[1].decode()
    stolen = await shop.ask(
        "POST", f"/{BUCKET}/{key_of(printer, 'stderr')}?uploadId={other_id}", printer.node, whole(etags)
    )
    assert (stolen.status, b"<Code>InvalidPart</Code>" in stolen.body) == (400, True)
    for text in (b"", b"<Part></Part>", whole({1: '"' + "0" * 64 + "-" + "0" * 64 + '"'})):
        assert (await shop.ask("POST", f"{path}?uploadId={upload}", printer.node, text)).status == 400
    assert (await shop.ask("POST", f"{path}?uploadId=none", printer.node, whole(etags))).status == 404
    assert await printer.streams() == []

    done = await shop.ask("POST", f"{path}?uploadId={upload}", printer.node, whole(etags))
    assert (done.status, b"<CompleteMultipartUploadResult>" in done.body) == (200, True)
    assert await printer.whole() == b"".join(bodies[number] for number in (1, 2, 3))
    assert (await shop.ask("DELETE", f"{path}?uploadId={upload}", printer.node)).status == 204


async def test_a_node_fetches_the_files_that_its_operation_names(house, shop):
    """Lists of patches in buckets: while the operation waits for them, and no other file."""
    root = house.wired.tender._buckets._inner._root
    (root / BUCKET).mkdir(parents=True, exist_ok=True)
    for name in ("list.yaml", "other.yaml"):
        (root / BUCKET / name).write_bytes(b"patches: []\n")
    listed = {"InstallOverrideList": [f"s3://{BUCKET}/list.yaml"]}
    printer = await Printer(house).begin(operation="Install", Parameters=listed)
    path = f"/{BUCKET}/list.yaml"
    assert (await shop.ask("GET", path, printer.node)).status == 403
    await house.begin(printer.node, printer.command)
    found = await shop.ask("GET", path, printer.node)
    assert (found.status, found.body) == (200, b"patches: []\n")
    for where, who in ((path, house.root), (f"/{BUCKET}/other.yaml", printer.node)):
        assert (await shop.ask("GET", where, who)).status == 403
    (root / BUCKET / "list.yaml").unlink()
    gone = await shop.ask("GET", path, printer.node)
    assert (gone.status, b"<Code>NoSuchKey</Code>" in gone.body) == (404, True)


async def test_buckets_are_found_by_host_where_a_domain_is_set(house, shared_url, master_key, tmp_path, printer):
    """As Amazon's agent addresses them; a host of another domain is none of ours."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "master.key").write_bytes(master_key.read_bytes())
    named = await build(tmp_path / "other", shared_url, house.account, clock=house.clock, service_domain="pw.example")
    shop = Shop(named)
    host = f"{BUCKET}.s3.us-east-1.pw.example"
    put = await shop.ask("PUT", f"/{key_of(printer)}", printer.node, b"x", host=host)
    assert put.status == 200
    got = await shop.ask("GET", f"/{key_of(printer)}", printer.node, host=f"{host}:8473")
    assert (got.status, got.body) == (200, b"x")
    by_path = await shop.ask("GET", f"/{BUCKET}/{key_of(printer)}", printer.node, host="s3.us-east-1.pw.example")
    assert (by_path.status, by_path.body) == (200, b"x")
    other = await shop.ask("GET", f"/{key_of(printer)}", printer.node, host=f"{BUCKET}.s3.us-east-1.example.com")
    assert other.status == 403
    await named.close()


async def test_nobody_writes_anything_else(house, shop, printer):
    """Another node, another bucket, prefix, step, stream or command; no user, and no other way."""
    other = await Printer(house).begin()
    own = f"/{BUCKET}/{key_of(printer)}"
    paths = {
        own: other.node,
        f"/elsewhere/{key_of(printer)}": printer.node,
        f"/{BUCKET}/{key_of(printer)[len(PREFIX) + 1 :]}": printer.node,
        own.replace(STEP, "Other"): printer.node,
        own.replace("stdout", "stdin"): printer.node,
        own.replace(printer.command, other.command): printer.node,
        f"/{BUCKET}/{other.command}/{other.node.instance_id}/awsrunShellScript/{STEP}/stdout": other.node,
        f"/{BUCKET}/{PREFIX}/../../x": printer.node,
    }
    for path, who in paths.items():
        answer = await shop.ask("PUT", path, who, b"x")
        assert (answer.status, b"<Code>AccessDenied</Code>" in answer.body) == (403, True), path
    assert (await shop.ask("PUT", own, house.root, b"x")).status == 403
    for path in (f"{own}?uploads", f"{own}?uploadId=1"):
        assert (await shop.ask("POST", path, other.node)).status == 403
    for method, path in (("POST", own), ("DELETE", own), ("GET", f"/{BUCKET}?versions"), ("GET", "/")):
        assert (await shop.ask(method, path, printer.node)).status == 501, (method, path)
    assert await printer.streams() == []


async def test_nobody_reads_anything_else(house, shop, printer):
    """What is in a bucket and no output of the account is not told apart from what is not there."""
    await printer.put(b"secret", 0, Last=True)
    await house.wired.tender.tend()
    other = await Printer(house).begin()
    root = house.wired.tender._buckets._inner._root
    (root / BUCKET / "else").write_bytes(b"of somebody else")
    path = f"/{BUCKET}/{key_of(printer)}"
    assert (await shop.ask("GET", path, printer.node)).body == b"secret"
    for where, who in ((path, other.node), (f"/{BUCKET}/else", house.root), (f"/{BUCKET}/nothing", printer.node)):
        answer = await shop.ask("GET", where, who)
        assert (answer.status, b"secret" in answer.body) == (403, False)
    assert (await shop.ask("GET", path, house.root, region="eu-west-1")).status == 403


async def test_where_a_bucket_is_anybody_learns(house, shared_url, master_key, tmp_path):
    """Amazon's agent asks by a HEAD that it does not sign; told nothing, it asks Amazon."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "master.key").write_bytes(master_key.read_bytes())
    known = await build(
        tmp_path / "other", shared_url, house.account, clock=house.clock, service_domain="patch.example.com"
    )

    async def head(host, path="/"):
        answer = await call(known.wired.application, {"host": host}, b"", method="HEAD", path=path)
        return answer.status, answer.headers.get("x-amz-bucket-region"), answer.body

    assert await head(f"{BUCKET}.s3.eu-north-1.patch.example.com") == (403, "eu-north-1", b"")
    assert await head(f"{BUCKET}.S3.eu-north-1.patch.example.com:8473") == (403, "eu-north-1", b"")
    for host in ("s3.eu-north-1.patch.example.com", f"{BUCKET}.s3.eu-north-1.other.example.com", "patch.example.com"):
        assert (await head(host))[1] is None
    assert (await head(f"{BUCKET}.s3.eu-north-1.patch.example.com", "/key"))[1] is None
    await known.close()


async def test_what_is_not_signed_so_is_refused_in_the_words_of_s3(house, shop, printer):
    """A wrong secret, a key that is unknown, a body that was changed, a body that is too large."""
    path = f"/{BUCKET}/{key_of(printer)}"
    wrong = type(printer.node)(**{**_fields(printer.node), "secret": "wrong"})
    unknown = type(printer.node)(**{**_fields(printer.node), "access_key_id": "mi-00000000000000000"})
    assert b"<Code>SignatureDoesNotMatch</Code>" in (await shop.ask("GET", path, wrong)).body
    answer = await shop.ask("GET", path, unknown)
    assert (answer.status, b"<Code>InvalidAccessKeyId</Code>" in answer.body) == (403, True)
    changed = await shop.ask("PUT", path, printer.node, b"x", sent=b"y")
    assert (changed.status, b"<Code>SignatureDoesNotMatch</Code>" in changed.body) == (403, True)
    assert await printer.streams() == []


async def test_a_large_part_that_is_listed_often_fills_no_memory(house, shop, printer):
    """A thousand times the same part: no more of it is had than is kept, each when it is its turn."""
    path = f"/{BUCKET}/{key_of(printer)}"
    begun = await shop.ask("POST", f"{path}?uploads", printer.node)
    upload = re.search(rb"<UploadId>(\w+)</UploadId>", begun.body)[1].decode()
    part = await shop.ask("PUT", f"{path}?partNumber=1&uploadId={upload}", printer.node, b"x" * 10_000_000)
    rows = (f"<Part><ETag>{part.headers['etag']}</ETag><PartNumber>{one}</PartNumber></Part>" for one in range(1, 1001))
    had = []
    get = DirectoryBlobs.get

    async def counted(blobs, digest):
        had.append(digest)
        return await get(blobs, digest)

    with mock.patch.object(DirectoryBlobs, "get", counted):
        await shop.ask("POST", f"{path}?uploadId={upload}", printer.node, "".join(rows).encode())
    assert len(had) <= 7  # of which 64 MiB are kept
    (stdout,) = await printer.streams()
    assert (stdout["Ended"], stdout["Truncated"], stdout["Size"]) == (True, True, 64 * 1024 * 1024)


async def test_what_is_sent_as_objects_counts_as_what_is_sent_in_pieces(
    house, shared_url, master_key, tmp_path, printer
):
    """A node has so much kept in a day, whichever way it sends it: nobody fills the disk with parts that come to nothing."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "master.key").write_bytes(master_key.read_bytes())
    config = configure(tmp_path / "other", shared_url, house.account)
    config = replace(config, quotas=replace(config.quotas, output_bytes_per_day=25_000))
    small = House(await app.build(config, clock=house.clock, strict=True), house.clock, house.account)
    shop, path = Shop(small), f"/{BUCKET}/{key_of(printer)}"
    begun = await shop.ask("POST", f"{path}?uploads", printer.node)
    upload = re.search(rb"<UploadId>(\w+)</UploadId>", begun.body)[1].decode()
    part = f"{path}?partNumber=1&uploadId={upload}"
    answers = [await shop.ask("PUT", part, printer.node, bytes([one]) * 10_000) for one in range(4)]
    assert [one.status for one in answers] == [200, 200, 503, 503]
    assert b"<Code>SlowDown</Code>" in answers[-1].body
    assert (await shop.ask("PUT", path, printer.node, b"x" * 10_000)).status == 503
    await small.close()


async def test_nobody_unproved_makes_the_server_take_in_an_object(house, shop, printer):
    """Who only knows a node's key id, or sends more at once than memory is meant for, is refused before a byte is read."""
    path = f"/{BUCKET}/{key_of(printer)}"
    wrong = type(printer.node)(**{**_fields(printer.node), "secret": "wrong"})
    with mock.patch("patchwright.server.aws.s3.front.read_body", side_effect=AssertionError("the body was read")):
        answer = await shop.ask("PUT", path, wrong, b"x")
        assert (answer.status, b"<Code>SignatureDoesNotMatch</Code>" in answer.body) == (403, True)

    going_on, begun = asyncio.Event(), []

    async def slowly(*_args, **_options):
        begun.append(1)
        await going_on.wait()
        return b"y"

    with mock.patch("patchwright.server.aws.s3.front.read_body", slowly):
        chunked = {"transfer_encoding": "chunked"}  # as long as it likes
        tasks = [asyncio.create_task(shop.ask("PUT", path, printer.node, b"y", **chunked)) for _ in range(3)]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        assert [(one.result().status, len(begun)) for one in done] == [(503, 2)]
        going_on.set()
        answers = await asyncio.gather(*tasks)
    assert sorted(one.status for one in answers) == [200, 200, 503]
    assert (await shop.ask("PUT", path, printer.node, b"y")).status == 200


async def test_a_question_with_too_many_parts_is_answered(shop, printer):
    """It is no question of ours, and nothing fails."""
    answer = await shop.ask("GET", f"/{BUCKET}?" + "&".join(f"a{one}=1" for one in range(20)), printer.node)
    assert (answer.status, b"<Code>InvalidURI</Code>" in answer.body) == (400, True)


async def test_what_is_not_signed_comes_over_tls(shop, printer):
    """A body without a digest could be changed on its way."""
    path = f"/{BUCKET}/{key_of(printer)}"
    with mock.patch("patchwright.server.wire.proxies.Proxies.secure", return_value=False):
        answer = await shop.ask("PUT", path, printer.node, b"x", signer=Unsigned)
    assert (answer.status, b"<Code>SignatureDoesNotMatch</Code>" in answer.body) == (403, True)
    assert await printer.streams() == []
    with mock.patch("patchwright.server.wire.proxies.Proxies.secure", return_value=True):
        assert (await shop.ask("PUT", path, printer.node, b"x", signer=Unsigned)).status == 200


def _fields(credential):
    return {name: getattr(credential, name) for name in credential.__dataclass_fields__}
