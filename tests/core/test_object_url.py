# SPDX-License-Identifier: Apache-2.0
"""Which object of a bucket a URL means."""

from __future__ import annotations

import pytest

from patchwright.core.object_url import in_bucket


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://s3.amazonaws.com/bucket/dir/key.sh", "s3://bucket/dir/key.sh"),
        ("https://s3.eu-west-1.amazonaws.com/bucket/key", "s3://bucket/key"),
        ("https://s3-eu-west-1.amazonaws.com/bucket/key", "s3://bucket/key"),
        ("https://bucket.s3.amazonaws.com/dir/key", "s3://bucket/dir/key"),
        ("https://my.bucket.s3.eu-west-1.amazonaws.com/key", "s3://my.bucket/key"),
        ("https://store.example.com/bucket/key", "https://store.example.com/bucket/key"),
        ("https://s3.amazonaws.com/bucket/a%20b%2Fc?versionId=1", "s3://bucket/a b/c"),
        ("https://s3.amazonaws.com", "https://s3.amazonaws.com"),
        ("s3://bucket/key", "s3://bucket/key"),
        ("https://s3.amazonaws.com.example.com/bucket/key", "https://s3.amazonaws.com.example.com/bucket/key"),
        ("https://[x/bucket/key", "https://[x/bucket/key"),
    ],
)
def test_amazons_buckets_are_the_servers(url, place):
    """What is said to be there is asked of the server; another host is asked itself."""
    assert in_bucket(url) == place
