# SPDX-License-Identifier: Apache-2.0
"""From where a request comes: the peer's address, or what proxies that are trusted say of it."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_HOPS = 32  # a longer way than this is made up


class Proxies:
    """
    The proxies in *networks*, which are believed what they say in `X-Forwarded-For`; nobody else is.

    The header is read from its end, where the nearest proxy wrote, as far as trusted proxies wrote it: the first address
    that is not of a trusted proxy is the client's.
    """

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        self._networks = tuple(networks)
        self._trusted = lru_cache(maxsize=4096)(self._is_trusted)

    def source(self, scope: Mapping[str, Any], headers: Mapping[bytes, bytes]) -> str:
        """The client's address; empty where there is none, as for a socket in the file system."""
        nearest: str = (scope.get("client") or ("",))[0]
        if not self._networks or not self._trusted(nearest):
            return nearest
        for hop in reversed(headers.get(b"x-forwarded-for", b"").decode("latin-1").split(",")[-_HOPS:]):
            said = _address(hop)
            if said is None:
                return nearest
            nearest = said
            if not self._trusted(nearest):
                return nearest
        return nearest

    def secure(self, scope: Mapping[str, Any], headers: Mapping[bytes, bytes]) -> bool:
        """Whether the client spoke TLS, to us or to a trusted proxy: what the nearest says in `X-Forwarded-Proto`."""
        if scope.get("scheme") in {"https", "wss"}:
            return True
        said = headers.get(b"x-forwarded-proto", b"").rpartition(b",")[2].strip().lower()
        return said == b"https" and self.trusts((scope.get("client") or ("",))[0])

    def trusts(self, address: str) -> bool:
        """Whether *address* is a trusted proxy's."""
        return bool(self._networks) and self._trusted(address)

    def _is_trusted(self, text: str) -> bool:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return False
        return any(address in network for network in self._networks)


@lru_cache(maxsize=4096)
def _address(text: str) -> str | None:
    """The address in one part of the header; some proxies add the port. None: it is none."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ipaddress.ip_address(text)) if len(text) <= 45 else None
    except ValueError:
        return None
