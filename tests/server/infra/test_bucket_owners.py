# SPDX-License-Identifier: Apache-2.0
"""For whom a bucket is."""

from __future__ import annotations

import pytest

from patchwright.server.infra import Bucket, BucketOwners, BucketRefused, OwnedBuckets, open_buckets
from server.clocks import FakeClock

FIRST, SECOND, THIRD = "000000000001", "000000000002", "000000000003"
NAMED = {
    "logs": frozenset({SECOND}),
    "lists": frozenset({SECOND, THIRD}),
    "scripts": frozenset({"*"}),
    f"given-{SECOND}": frozenset({THIRD}),
}


@pytest.mark.parametrize(
    ("bucket", "accounts"),
    [
        ("anything", {FIRST}),
        ("logs", {SECOND}),
        ("lists", {SECOND, THIRD}),
        ("scripts", {FIRST, SECOND, THIRD}),
        (f"outputs-{SECOND}", {SECOND}),
        (f"outputs-{FIRST}", {FIRST}),
        (f"given-{SECOND}", {THIRD}),
        (f"outputs-{SECOND}-more", {FIRST}),
        (f"outputs-1{SECOND}", {FIRST}),
        (f"{SECOND}", {FIRST}),
        ("outputs-00000000000\u0662", {FIRST}),
        ("blobs", set()),
        ("", {FIRST}),
    ],
)
def test_a_bucket_is_for_those_it_is_named_for_else_by_its_name_else_the_first_account_s(bucket, accounts):
    """What is reserved is nobody's, not even where it is named; and nobody at all has none."""
    owners = BucketOwners({**NAMED, "blobs": frozenset({"*"})}, first=FIRST, reserved="blobs")

    assert {one for one in (FIRST, SECOND, THIRD) if owners.has(one, bucket)} == accounts
    assert not owners.has("", bucket) or bucket == "scripts"


async def test_another_account_s_bucket_is_neither_read_nor_written_nor_tried(tmp_path):
    """Nothing of it is touched; for its own account all of that works."""
    buckets = OwnedBuckets(open_buckets(tmp_path, None, FakeClock()), BucketOwners({}, first=FIRST))
    own, theirs, nobodys = (Bucket("logs", "us-east-1", account=one) for one in (FIRST, SECOND, ""))
    for bucket in (theirs, nobodys):
        for work in (
            buckets.put(bucket, "key", b"x"),
            buckets.get(bucket, "key", limit=10),
            buckets.probe(bucket, "prefix"),
        ):
            with pytest.raises(BucketRefused, match="Access Denied"):
                await work
    assert not (tmp_path / "logs").exists()

    await buckets.probe(own, "prefix")
    await buckets.put(own, "key", b"x")
    assert await buckets.get(own, "key", limit=10) == b"x"
