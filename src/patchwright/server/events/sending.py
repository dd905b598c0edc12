# SPDX-License-Identifier: Apache-2.0
"""
POST to addresses that users name, which are not to lead where the users themselves could not go.

A name is looked up once, and the connection goes to an address that was looked at: what a name means cannot change in
between. Loopback, link-local, private and other addresses that are not of the public network are refused unless a setting
names their network. Redirects are not followed, and nothing of an answer but its status is used.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ipaddress
import os
import re
import socket
import ssl
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from patchwright import __version__
from patchwright.server.config import Network
from patchwright.server.events.model import InvalidSubscription

SECONDS = 10.0  # for everything: looking up, connecting, sending, the answer's head
LONGEST_URL = 2048

_LOOKUPS = 32  # at a time: one that takes long must not keep the others waiting
_LONGEST_HEAD = 16 * 1024
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: [^\r\n]*)?\r?\n")
_RETRY_AFTER = re.compile(rb"\r?\nretry-after: *([0-9]{1,6}) *\r?\n", re.IGNORECASE)
_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}\Z")
_TARGET = re.compile(r"[\x21-\x7e]*\Z")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Answer(NamedTuple):
    """
    How an attempt went. *code* is the status, 0 where there was none; *reason* says why it failed, empty: it did not.

    *retry_after* is for how many seconds the receiver wants to be left alone; 0: it did not say.
    """

    code: int
    reason: str
    retry_after: int = 0


class Postman:
    """Sends. *networks* are those that may be reached although they are not public; there HTTP without TLS will do."""

    def __init__(self, networks: Sequence[Network] = (), *, context: ssl.SSLContext | None = None) -> None:
        self._networks = tuple(networks)
        self._given = context
        self._lookups = ThreadPoolExecutor(_LOOKUPS, thread_name_prefix="lookup")

    @functools.cached_property
    def _context(self) -> ssl.SSLContext:
        return self._given or ssl.create_default_context()  # reads all of the system's certificates: when first needed

    def check(self, url: str) -> None:
        """Raise InvalidSubscription unless *url* can be sent to. What its name means is looked at when something is sent."""
        parts = _split(url)
        host = parts.hostname or ""
        with contextlib.suppress(ValueError):
            if not self._may_reach(ipaddress.ip_address(host)):
                raise InvalidSubscription(_refused(host))
        if parts.scheme == "http" and not self._networks:
            msg = "A webhook's URL begins with https://. PATCHWRIGHT_WEBHOOK_NETWORKS names networks where http:// will do."
            raise InvalidSubscription(msg)

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send *body*, as JSON; whatever happens is told by the answer."""
        try:
            async with asyncio.timeout(SECONDS):
                return await self._post(_split(url), body, headers)
        except TimeoutError:
            return Answer(0, f"There was no answer within {SECONDS:g} seconds.")
        except InvalidSubscription as error:
            return Answer(0, str(error))
        except ssl.SSLError as error:
            return Answer(
                0, f"TLS failed: {getattr(error, 'verify_message', '') or error.reason or 'no reason given'}."
            )
        except asyncio.IncompleteReadError:
            return Answer(0, "The connection ended before there was an answer.")
        except asyncio.LimitOverrunError:
            return Answer(0, "The head of the answer is too long.")
        except OSError as error:  # its own text has the address that was looked up
            return Answer(
                0, f"The connection failed: {os.strerror(error.errno) if error.errno else type(error).__name__}."
            )

    async def _post(self, parts: SplitResult, body: bytes, headers: Mapping[str, str]) -> Answer:
        host, tls = parts.hostname or "", parts.scheme == "https"
        port = parts.port or (443 if tls else 80)
        address = await self._address(host, port, tls=tls)
        reader, writer = await asyncio.open_connection(
            str(address),
            port,
            limit=_LONGEST_HEAD,
            ssl=self._context if tls else None,
            server_hostname=host if tls else None,
        )
        try:
            writer.write(_request(parts, body, headers))
            await writer.drain()
            return _answer(await reader.readuntil(b"\r\n\r\n"))
        finally:
            writer.transport.abort()  # an answer's body is not read, and nobody waits for a goodbye

    async def _address(self, host: str, port: int, *, tls: bool) -> Address:
        """The address to connect to. Raises InvalidSubscription where there is none that may be reached."""
        ask = functools.partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        try:
            found = await asyncio.get_running_loop().run_in_executor(self._lookups, ask)
        except (OSError, UnicodeError):
            msg = f"The name {host} cannot be looked up."
            raise InvalidSubscription(msg) from None
        addresses = [ipaddress.ip_address(str(one[4][0]).partition("%")[0]) for one in found]
        allowed = [one for one in addresses if self._may_reach(one)]
        if not allowed:
            raise InvalidSubscription(_refused(host))
        if not tls and not self._named(allowed[0]):
            msg = "A webhook's URL begins with https://: http:// will do only in networks of PATCHWRIGHT_WEBHOOK_NETWORKS."
            raise InvalidSubscription(msg)
        return allowed[0]

    def _may_reach(self, address: Address) -> bool:
        return self._named(address) or is_public(address)

    def _named(self, address: Address) -> bool:
        return any(address in network for network in self._networks)


def is_public(address: Address) -> bool:
    """Whether *address*, and that which it stands for, is one of the public network."""
    if any(address in network for network in _NOT_PUBLIC):
        return False
    if isinstance(address, ipaddress.IPv6Address):
        inner = _inner(address)
        if inner is not None:
            return False  # what would be reached is another address than the one that is seen
    return address.is_global and not address.is_multicast and not address.is_reserved


def _inner(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 address leads to, if it does."""
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)


def _refused(host: str) -> str:
    return (
        f"{host} is no address of the public network. PATCHWRIGHT_WEBHOOK_NETWORKS names networks that webhooks may"
        " reach all the same."
    )


def _split(url: str) -> SplitResult:
    msg = "A webhook's URL is https://HOST/PATH or https://HOST:PORT/PATH, with no user and no fragment."
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise InvalidSubscription(msg) from None
    host = parts.hostname or ""
    wrong = (
        len(url) > LONGEST_URL
        or not _TARGET.match(url)
        or parts.scheme not in {"http", "https"}
        or not (_HOST.match(host) or _is_ipv6(host))
        or "@" in parts.netloc
        or "#" in url
        or port == 0
    )
    if wrong:
        raise InvalidSubscription(msg)
    return parts


def _is_ipv6(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).version == 6 and "%" not in host
    except ValueError:
        return False


def _request(parts: SplitResult, body: bytes, headers: Mapping[str, str]) -> bytes:
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    lines = [
        f"POST {target} HTTP/1.1",
        f"host: {parts.netloc}",
        f"user-agent: patchwright/{__version__}",
        "accept: */*",
        "connection: close",
        "content-type: application/json",
        f"content-length: {len(body)}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join(lines).encode("ascii") + b"\r\n\r\n" + body


def _answer(head: bytes) -> Answer:
    found = _STATUS.match(head)
    if found is None:
        return Answer(0, "The answer is no HTTP.")
    code = int(found[1])
    if 200 <= code < 300:
        return Answer(code, "")
    waited = _RETRY_AFTER.search(head)
    return Answer(code, f"The receiver answered {code}.", int(waited[1]) if waited else 0)


_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# What Python takes for global: site-local addresses, and those of documentation.
_NOT_PUBLIC = tuple(map(ipaddress.ip_network, ("fec0::/10", "3fff::/20")))
