# SPDX-License-Identifier: Apache-2.0
"""
Objects of buckets, for nodes and users.

Whoever asks gets no more of a bucket than what is his: nodes write the outputs of their own commands, and read those and the
files that a command of theirs names; users read the outputs of their account's commands. What else is in a bucket, nobody
learns here.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from patchwright.server import commands, outputs, patching
from patchwright.server.accounts import Scope
from patchwright.server.aws.authority import Access, Rule, may_read_objects
from patchwright.server.aws.authority.rules import Demand, Request
from patchwright.server.aws.s3.taking import Charge, take_whole
from patchwright.server.commands import Command, UnknownInvocation
from patchwright.server.infra import Bucket, BucketOwners, BucketRefused, Buckets, Clock, Database, ObjectMissing
from patchwright.server.outputs import STREAMS, Output, Place, Stream, place_of
from patchwright.server.wire import ApiError, Caller, Handler

_LEVELS = 5  # of a key below its prefix: command, node, plugin, step, stream
_COMMAND = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
_ACCOUNT = "accountid="  # how a level of a key begins that a resource data sync has written
_LISTED = 1_000  # objects in a page of a listing
_LARGEST_FILE = 64 * 1024 * 1024
_DENIED = "Access Denied"


def _bucket(_caller: Caller, request: Request) -> Sequence[Demand]:
    return [Demand(f"arn:aws:s3:::{request['Bucket']}")]


def _object(_caller: Caller, request: Request) -> Sequence[Demand]:
    return [Demand(f"arn:aws:s3:::{request['Bucket']}/{request['Key']}")]


RULES: Mapping[str, Rule] = {
    "s3.AbortMultipartUpload": Rule("s3:PutObject", Access.WRITE, _object),
    "s3.CompleteMultipartUpload": Rule("s3:PutObject", Access.WRITE, _object),
    "s3.CreateMultipartUpload": Rule("s3:PutObject", Access.WRITE, _object),
    "s3.GetEncryptionConfiguration": Rule("s3:GetEncryptionConfiguration", Access.READ, _bucket),
    "s3.GetObject": Rule("s3:GetObject", Access.READ, _object),
    "s3.HeadBucket": Rule("s3:ListBucket", Access.LIST, _bucket),
    "s3.ListObjects": Rule("s3:ListBucket", Access.LIST, _bucket),
    "s3.PutObject": Rule("s3:PutObject", Access.WRITE, _object),
    "s3.UploadPart": Rule("s3:PutObject", Access.WRITE, _object),
}


def owned(owners: BucketOwners, served: Mapping[str, Handler]) -> dict[str, Handler]:
    """*served*, each handler for whose caller's account the bucket is; whether there is one, others do not learn."""

    def behind(handler: Handler) -> Handler:
        async def asked(caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
            if not owners.has(caller.account, request["Bucket"]):
                raise ApiError("AccessDenied", _DENIED, status=403)
            return await handler(caller, request)

        return asked

    return {target: behind(handler) for target, handler in served.items()}


class Objects:
    """
    One method per operation. What is sent are bytes under `Body`, what is answered a `Content`, which is to be closed; *charge*
    counts what a node sends.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        sent: commands.Service,
        printed: outputs.Service,
        buckets: Buckets,
        charge: Charge,
    ) -> None:
        self._database = database
        self._clock = clock
        self._sent = sent
        self._printed = printed
        self._buckets = buckets
        self._charge = charge

    def operations(self) -> Mapping[str, Handler]:
        """The operations served here, by target."""
        return {
            "s3.GetEncryptionConfiguration": self.get_encryption_configuration,
            "s3.GetObject": self.get_object,
            "s3.HeadBucket": self.head_bucket,
            "s3.ListObjects": self.list_objects,
            "s3.PutObject": self.put_object,
        }

    async def head_bucket(self, caller: Caller, _request: dict[str, Any]) -> dict[str, Any]:
        """HeadBucket: any name of a bucket of the account is one here; its region is the caller's."""
        return {"Region": caller.region}

    async def get_encryption_configuration(self, _caller: Caller, _request: dict[str, Any]) -> dict[str, Any]:
        """GetBucketEncryption: there is none to be told."""
        raise ApiError(
            "ServerSideEncryptionConfigurationNotFoundError",
            "The server side encryption configuration was not found",
            status=404,
        )

    async def put_object(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """PutObject: the output of a step of a command of the node that signed."""
        body: bytes = request["Body"]
        stream = await self.own(caller, request)
        self._charge(stream.instance_id, len(body))

        async def had() -> bytes:
            return body

        await take_whole(self._printed, caller.scope, stream, [had])
        return {"ETag": await asyncio.to_thread(_etag, body)}

    async def get_object(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """GetObject: an output, or a file that a command of the node that signed names."""
        bucket, key = request["Bucket"], request["Key"]
        output = await self._printed.object_of(caller.account, bucket, key)
        if output is not None and _may_read(caller, output):
            kept = await self._printed.open(output.scope, output.stream)
            return {"Content": kept, "Kind": "text/plain; charset=utf-8"}
        if caller.instance_id is None or not await self._may_fetch(caller.scope, caller.instance_id, bucket, key):
            raise ApiError("AccessDenied", _DENIED, status=403)
        try:
            found = await self._buckets.open(
                Bucket(bucket, caller.region, account=caller.account), key, limit=_LARGEST_FILE
            )
        except ObjectMissing:
            raise ApiError("NoSuchKey", "The specified key does not exist.", status=404) from None
        except BucketRefused as error:
            raise ApiError("InvalidRequest", str(error)) from None
        return {"Content": found, "Kind": "application/octet-stream"}

    async def list_objects(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """
        ListObjects and ListObjectsV2: the objects of a folder that a command of the node that signed names, or that is none.

        Who may fetch them sees them: a page of a thousand names may show fewer.
        """
        bucket, folder = request["Bucket"], request["Prefix"]
        command = None
        if caller.instance_id is not None and (not folder or folder.endswith("/")):
            command = await self._fetching(caller.scope, caller.instance_id, bucket, folder)
        if command is None:
            raise ApiError("AccessDenied", _DENIED, status=403)
        limit, where = min(request["MaxKeys"], _LISTED), Bucket(bucket, caller.region, account=caller.account)
        try:
            found = await self._buckets.listed(where, folder, after=request["After"], limit=limit) if limit else []
        except ObjectMissing:
            raise ApiError("NoSuchBucket", "The specified bucket does not exist", status=404) from None
        except BucketRefused as error:
            raise ApiError("InvalidRequest", str(error)) from None
        shown = [one for one in found if not await self._of_others(caller.scope, one.key)]
        arns = [f"arn:aws:s3:::{bucket}/{one.key}" for one in shown]
        readable = await self._database.read(may_read_objects, caller.scope, command.owner, arns, self._clock.now())
        shown = [one for one, arn in zip(shown, arns, strict=True) if arn in readable]
        return {"Objects": shown, "More": found[-1].key if found and len(found) == limit else "", "MaxKeys": limit}

    async def _may_fetch(self, scope: Scope, instance_id: str, bucket: str, key: str) -> bool:
        """Whether a command waits for that file on the node, in the name of somebody who may read it."""
        if await self._of_others(scope, key):
            return False
        command = await self._fetching(scope, instance_id, bucket, key)
        if command is None:
            return False
        arn = f"arn:aws:s3:::{bucket}/{key}"
        return bool(await self._database.read(may_read_objects, scope, command.owner, [arn], self._clock.now()))

    async def _fetching(self, scope: Scope, instance_id: str, bucket: str, key: str) -> Command | None:
        """The command that waits on the node for a file, or for a folder that is it or has it."""
        url = f"s3://{bucket}/{key}"
        command_id = await self._database.read(patching.may_fetch, scope, instance_id, url)
        command_id = command_id or await self._database.read(commands.fetched_by, scope, instance_id, url)
        return (await self._sent.invocation(scope, command_id, instance_id))[0] if command_id else None

    async def _of_others(self, scope: Scope, key: str) -> bool:
        """
        Whether the server has written an object for another account, which its key tells: some buckets are several accounts',
        what is written there of nodes is not.
        """
        levels = key.split("/")
        if any(one.startswith(_ACCOUNT) and one != f"{_ACCOUNT}{scope.account}" for one in levels):
            return True
        place = levels[-_LEVELS:]
        if len(place) < _LEVELS or not _COMMAND.match(place[0]) or place[-1] not in STREAMS:
            return False
        try:
            await self._sent.invocation(scope, place[0], place[1])
        except UnknownInvocation:
            return True
        return False

    async def own(self, caller: Caller, request: Mapping[str, Any]) -> Stream:
        """Which output of the node that signed a request is about. Raises ApiError (AccessDenied)."""
        stream = await self._stream(caller, Place(request["Bucket"], "", request["Key"]))
        if stream is None:
            raise ApiError("AccessDenied", _DENIED, status=403)
        return stream

    async def _stream(self, caller: Caller, place: Place) -> Stream | None:
        """Which output of the node that signed belongs there."""
        levels = place.key.split("/")[-_LEVELS:]
        if len(levels) < _LEVELS or levels[1] != caller.instance_id or levels[-1] not in STREAMS:
            return None
        try:
            command, invocation = await self._sent.invocation(caller.scope, levels[0], levels[1])
        except UnknownInvocation:
            return None
        for step in commands.step_names(command):
            stream = Stream(command.id, invocation.instance_id, step, levels[-1])
            found = place_of(command, stream)
            if (found.bucket, found.key) == (place.bucket, place.key):
                return stream
        return None


def _etag(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


def _may_read(caller: Caller, output: Output) -> bool:
    """Whether an output is in the region that the request is for, and a node's own if a node asks."""
    return output.scope == caller.scope and caller.instance_id in {None, output.stream.instance_id}
