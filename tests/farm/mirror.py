# SPDX-License-Identifier: Apache-2.0
"""The genuine package archive, for nodes without a way out: the test process fetches what a node asks for."""

from __future__ import annotations

import hashlib
import os
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import quote

from . import machine
from .commands import host
from .httpd import Server
from .net import Lan

SECONDS = 60


class Mirror:
    """
    Answers for the archives of the machine's own apt configuration, http or https, as `/0/…`, `/1/…`.

    Files that never change (the pool, indexes by hash) are kept in *cache*. Signatures are the archive's own: the nodes
    verify them with the keys of their distribution.
    """

    def __init__(self, lan: Lan, codename: str, *, cache: Path) -> None:
        self.codename = codename
        self._sources = machine.sources(codename)
        self._cache = cache
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler(_proxies()))
        cache.mkdir(parents=True, exist_ok=True)
        listener = lan.listen()
        self._address = "{}:{}".format(*listener.getsockname())
        self._server = Server(listener, self.answer)

    @property
    def state(self) -> str:
        """One for the life of the mirror: what the archive publishes meanwhile is not watched."""
        return self._address

    def sources(self, *, only_release: bool = False) -> str:
        """The sources.list of a node that uses it."""
        return "".join(
            f"deb http://{self._address}/{number} {source.suite} {' '.join(source.components)}\n"
            for number, source in enumerate(self._sources)
            if source.suite == self.codename or not only_release
        )

    def close(self) -> None:
        """Stop answering."""
        self._server.end()

    def answer(self, path: str) -> tuple[int, bytes]:
        """Fetch what a node asked for; trouble on the way is 502."""
        _, number, rest = path.split("/", 2)
        url = f"{self._sources[int(number)].uri.rstrip('/')}/{quote(rest)}"
        kept = self._cache / hashlib.sha256(url.encode()).hexdigest()
        lasting = "/by-hash/" in path or rest.startswith("pool/")
        if lasting and kept.is_file():
            return 200, kept.read_bytes()
        try:
            with self._opener.open(url, timeout=SECONDS) as response:
                body = response.read()
        except urllib.error.HTTPError as error:
            error.close()
            return error.code, b""
        except OSError:
            return 502, b""
        if lasting:
            part = kept.with_suffix(f".{os.getpid()}.part")
            part.write_bytes(body)
            part.rename(kept)
        return 200, body


def _proxies() -> dict[str, str]:
    """The proxies apt uses, else those of the environment."""
    found = dict(urllib.request.getproxies())
    for scheme in ("http", "https"):
        answer = host(["apt-config", "shell", "proxy", f"Acquire::{scheme}::Proxy"]).stdout.strip()
        proxy = answer.partition("=")[2].strip("'")
        if proxy:
            found[scheme] = proxy
    return found
