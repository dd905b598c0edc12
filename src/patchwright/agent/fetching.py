# SPDX-License-Identifier: Apache-2.0
"""
Fetching files that a command names: `https://…` from wherever they are, `s3://bucket/key` through the server.

A URL may hold a signature in its query: messages show it without.
"""

from __future__ import annotations

import http.client
import re
import urllib.error
import urllib.request
from typing import Any, List, NamedTuple, Optional, Tuple
from urllib.parse import quote, unquote, urlsplit

from patchwright.agent.client import Backoff, Client, Refused, ServerUnavailable
from patchwright.agent.clock import Clock
from patchwright.agent.errors import AgentError
from patchwright.core.errors import PatchwrightError

ATTEMPTS = 4
SECONDS = 60.0
PAUSE_SECONDS = 4.0  # the longest between two attempts
REDIRECTS = 5
_OBJECT = "s3://"
_LISTING_BYTES = 8 * 1024 * 1024
_ENTRY = re.compile(r"<Contents>(.*?)</Contents>", re.DOTALL)
_KEY, _SIZE = re.compile(r"<Key>([^<]*)</Key>"), re.compile(r"<Size>([0-9]{1,18})</Size>")
_NEXT = re.compile(r"<NextMarker>([^<]+)</NextMarker>")
AGAIN = (408, 425, 429, 500, 502, 503, 504)


class FetchFailed(AgentError):
    """A file cannot be fetched. The message says which and why; *missing*: there is none."""

    def __init__(self, message: str, *, missing: bool = False) -> None:
        super().__init__(message)
        self.missing = missing


class Listed(NamedTuple):
    """A file below a folder: its path from there, and how many bytes it has."""

    path: str
    size: int


class _Later(PatchwrightError):
    """It may come when it is asked for again."""


def fetch(client: Client, url: str, *, limit: int, clock: Clock, plain: bool = False) -> bytes:
    """
    The bytes at *url*, at most *limit*; asked for a few times where that may help. `http://…` is fetched where it may be *plain*.

    The server itself is known by its pin or authority, every other one by the system's authorities.

    Raises FetchFailed.
    """
    backoff = Backoff(clock, cap=PAUSE_SECONDS)
    data, failure = _attempt(client, url, limit, plain)
    for _ in range(ATTEMPTS - 1):
        if not failure:
            break
        backoff.pause()
        data, failure = _attempt(client, url, limit, plain)
    if failure:
        raise FetchFailed(f"{_shown(url)} cannot be fetched: {failure}")
    if len(data) > limit:
        raise FetchFailed(f"{_shown(url)} has more than {limit} bytes")
    return data


def _attempt(client: Client, url: str, limit: int, plain: bool) -> Tuple[bytes, str]:
    """What is there, or why it cannot be had now. Raises FetchFailed where asking again would not help."""
    try:
        return _once(client, url, limit, plain), ""
    except (_Later, ServerUnavailable) as error:
        return b"", str(error) or type(error).__name__
    except Refused as refusal:
        raise FetchFailed(f"{_shown(url)} cannot be fetched: {refusal}", missing=refusal.code == "404") from None


def listed(client: Client, folder: str, *, most: int, clock: Clock) -> List[Listed]:
    """
    The files below a folder of a bucket, `s3://bucket/folder/`, *most* at most, in the order of their keys.

    Raises FetchFailed, also where a path leads out of the folder.
    """
    bucket, _, prefix = folder[len(_OBJECT) :].partition("/")
    found: List[Listed] = []
    marker, more = "", True
    while more:
        begins = f"marker={quote(marker, safe='~')}&" if marker else ""
        query = f"encoding-type=url&{begins}prefix={quote(prefix, safe='~')}"
        page = fetch(client, f"{_OBJECT}{bucket}?{query}", limit=_LISTING_BYTES, clock=clock).decode("utf-8", "replace")
        for entry in _ENTRY.findall(page):
            key, size = _KEY.search(entry), _SIZE.search(entry)
            path = unquote(key.group(1))[len(prefix) :] if key else ""
            if path.endswith("/"):  # what some programs put there for the folder itself
                continue
            if any(level in ("", ".", "..") or "\0" in level for level in path.split("/")):
                raise FetchFailed(f"{folder} has an object whose key leads nowhere: {path[:200]!r}")
            found.append(Listed(path, int(size.group(1)) if size else 0))
        if len(found) > most:
            raise FetchFailed(f"{folder} has more than {most} files")
        following = _NEXT.search(page)
        more = following is not None and unquote(following.group(1)) > marker
        marker = unquote(following.group(1)) if following else ""
    return found


def fetch_text(client: Client, url: str, *, limit: int, clock: Clock) -> str:
    """The same as text. Raises FetchFailed."""
    try:
        return fetch(client, url, limit=limit, clock=clock).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise FetchFailed("the file is no text in UTF-8") from None


def _once(client: Client, url: str, limit: int, plain: bool) -> bytes:
    if url.startswith(_OBJECT):
        bucket, slash, key = url[len(_OBJECT) :].partition("/")
        return client.download(
            f"/{bucket}" + quote(slash + key, safe="/~"), service="s3"
        )  # a query may follow a bucket
    parts = urlsplit(url)
    if plain and parts.scheme == "http":
        return _from_the_web(url, limit, urllib.request.build_opener())
    if parts.scheme != "https":
        raise FetchFailed(f"a file is fetched from https://… or s3://…, not from {parts.scheme[:20]}://")
    if client.peer.secure and parts.netloc == client.peer.host_header:
        return client.download(parts.path + (f"?{parts.query}" if parts.query else ""))
    return _from_the_web(url, limit, urllib.request.build_opener(_OnlySecure()))


def _from_the_web(url: str, limit: int, opener: urllib.request.OpenerDirector) -> bytes:
    try:
        with opener.open(url, timeout=SECONDS) as answer:
            data: bytes = answer.read(limit + 1)
            return data
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in AGAIN:
            raise _Later(f"the server there answered {error.code}") from None
        raise FetchFailed(f"{_shown(url)} cannot be fetched: the server there answered {error.code}") from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise _Later(str(getattr(error, "reason", "") or error) or type(error).__name__) from None


class _OnlySecure(urllib.request.HTTPRedirectHandler):
    """Follows nobody from https:// to something else."""

    max_redirections = REDIRECTS

    def redirect_request(self, *args: Any, **kwargs: Any) -> Optional[urllib.request.Request]:
        """The request to follow with; raises FetchFailed for one that is not for https://."""
        following = super().redirect_request(*args, **kwargs)
        if following is not None and urlsplit(following.full_url).scheme != "https":
            raise FetchFailed(f"{_shown(args[0].full_url)} leads away from https://")
        return following


def _shown(url: str) -> str:
    return urlsplit(url)._replace(query="", fragment="").geturl()
