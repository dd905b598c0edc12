# SPDX-License-Identifier: Apache-2.0
"""Which object of a bucket a URL means: `https://bucket.s3.REGION.amazonaws.com/key` and its like are the server's buckets here."""

from __future__ import annotations

import re

_URL = re.compile(r"https?://([^/?#]+)(/[^?#]*)")
_PATH_STYLE = re.compile(r"s3[.-]?[a-z0-9.-]*\.amazonaws\.com(\.cn)?\Z")
_HOSTED = re.compile(r"([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])\.s3[.-]?[a-z0-9.-]*\.amazonaws\.com(\.cn)?\Z")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")


def in_bucket(url: str) -> str:
    """`s3://bucket/key` of a URL at Amazon's host names; any other URL as it is."""
    parts = _URL.match(url)
    if parts is None:
        return url
    hosted = _HOSTED.match(parts.group(1))
    if hosted:
        return f"s3://{hosted.group(1)}{_plain(parts.group(2))}"
    return "s3:/" + _plain(parts.group(2)) if _PATH_STYLE.match(parts.group(1)) else url


def _plain(path: str) -> str:
    """*path* without its escapes."""
    data = path.encode("utf-8", "surrogatepass")
    return _ESCAPE.sub(lambda found: bytes([int(found.group(1), 16)]), data).decode("utf-8", "replace")
