# SPDX-License-Identifier: Apache-2.0
"""A signed Debian archive of made-up packages, served over http inside the farm's network."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from email.utils import formatdate
from typing import Any

from .debfile import Content, Deb, build
from .httpd import Server
from .net import Lan
from .openpgp import SigningKey

# Codename → version and the suite name that Debian uses today.
RELEASES = {"bullseye": ("11", "oldoldstable"), "bookworm": ("12", "oldstable"), "trixie": ("13", "stable")}
KEYRING = "/usr/share/keyrings/farm.gpg"  # in every node


class DebRepo:
    """
    Three suites, as Debian has them: CODENAME, CODENAME-security (Label Debian-Security) and CODENAME-updates.

    Every change is published at once; several changes become visible together inside `with repo.together():`.
    A suite holds one version of a package: a newer `security()` of the same name replaces the older one in the index,
    while the older .deb stays in the pool, as in real archives, until `purge()`.

    Attributes:
        requests: Paths asked for so far, oldest first.
        on_request: Called with each path before it is answered, in the server's thread; may change the repository.
    """

    def __init__(self, lan: Lan, *, codename: str = "bookworm", arch: str = "amd64") -> None:
        self.codename = codename
        self.requests: list[str] = []
        self.on_request: Callable[[str], None] | None = None
        self._arch = arch
        self._lan = lan
        self._key = SigningKey("Test Farm archive <farm@invalid>", int(time.time()))
        self._suites: dict[str, dict[tuple[str, str], Deb]] = {s: {} for s in ("", "-security", "-updates")}
        self._pool: dict[str, bytes] = {}
        self._tree: dict[str, bytes] = {}
        self._lock = threading.RLock()
        self._depth = 0
        self._answering = threading.Event()
        self._answering.set()
        self._mode = "online"
        self._server: Server | None = None
        self._port = 0
        self.publish()
        self.online()

    # ------------------------------------------------------------------------------------------------- packages

    def release(self, name: str, version: str, **what: Any) -> Deb:
        """Put a package into the release itself (suite CODENAME). Keywords as for `package`."""
        return self._add("", package(name, version, **what))

    def security(self, name: str, version: str, **what: Any) -> Deb:
        """Put a package into CODENAME-security. Keywords as for `package`."""
        return self._add("-security", package(name, version, **what))

    def updates(self, name: str, version: str, **what: Any) -> Deb:
        """Put a package into CODENAME-updates. Keywords as for `package`."""
        return self._add("-updates", package(name, version, **what))

    def remove(self, name: str) -> None:
        """Take every version of *name* out of every suite and of the pool."""
        with self.together():
            for suite in self._suites.values():
                for key in [key for key in suite if key[0] == name]:
                    del suite[key]
            self.purge()

    def purge(self) -> None:
        """Delete from the pool what no suite names any more: fetching a superseded version answers 404."""
        with self.together():
            kept = {_pool_path(suffix, deb) for suffix, suite in self._suites.items() for deb in suite.values()}
            self._pool = {path: content for path, content in self._pool.items() if path in kept}

    def newest(self, name: str) -> dict[str, str]:
        """Version of *name* by suite suffix: `{"": "1.0-1", "-security": "1.0-1+deb12u1"}`."""
        return {
            suffix: deb.version for suffix, suite in self._suites.items() for deb in suite.values() if deb.name == name
        }

    def _add(self, suffix: str, deb: Deb) -> Deb:
        with self.together():
            self._suites[suffix][deb.name, deb.arch] = deb
            self._pool[_pool_path(suffix, deb)] = deb.content
        return deb

    # ------------------------------------------------------------------------------------------------ publishing

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Publish the changes made inside as one."""
        with self._lock:
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                if self._depth == 0:
                    self.publish()

    def publish(self) -> None:
        """Sign and show the present state; older indexes stay reachable by hash. Called by every change."""
        with self._lock:
            tree = {path: content for path, content in self._tree.items() if "/by-hash/" in path}
            for suffix in self._suites:
                tree.update(self._indexes(suffix, int(time.time())))
            self._tree = {**tree, **self._pool}

    @property
    def state(self) -> str:
        """A digest of what is offered: equal states offer the same packages."""
        with self._lock:
            offered = sorted((suffix, deb.sha256) for suffix, suite in self._suites.items() for deb in suite.values())
        return hashlib.sha256(repr(offered).encode()).hexdigest()

    @property
    def keyring(self) -> bytes:
        """The public key that signs the repository, in binary form."""
        return self._key.public

    def sources(self, *, only_release: bool = False) -> str:
        """The sources.list of a node that uses this repository."""
        suffixes = [""] if only_release else list(self._suites)
        return "".join(
            f"deb [signed-by={KEYRING}] http://{self._lan.address}:{self._port}/{_archive(suffix)}"
            f" {self.codename}{suffix} main\n"
            for suffix in suffixes
        )

    def _indexes(self, suffix: str, now: int) -> dict[str, bytes]:
        dists = f"/{_archive(suffix)}/dists/{self.codename}{suffix}"
        stanzas = [
            f"{deb.control}Filename: {_pool_path(suffix, deb).split('/', 2)[2]}\nSize: {len(deb.content)}\n"
            f"SHA256: {deb.sha256}\n"
            for _, deb in sorted(self._suites[suffix].items())
        ]
        packages = "\n".join(stanzas).encode()
        folder = f"main/binary-{self._arch}"
        files = {f"{folder}/Packages": packages, f"{folder}/Packages.gz": gzip.compress(packages, mtime=0)}
        tree, sums = {}, ""
        for path, content in files.items():
            digest = hashlib.sha256(content).hexdigest()
            sums += f" {digest} {len(content)} {path}\n"
            tree[f"{dists}/{path}"] = tree[f"{dists}/{folder}/by-hash/SHA256/{digest}"] = content
        version, suite = RELEASES[self.codename]
        head = {
            "Origin": "Debian",
            "Label": "Debian-Security" if suffix == "-security" else "Debian",
            "Suite": suite + suffix,
            "Version": version + ("-updates" if suffix == "-updates" else ""),
            "Codename": self.codename + suffix,
            "Date": formatdate(now, usegmt=True),
            **({} if suffix == "" else {"Valid-Until": formatdate(now + 7 * 86400, usegmt=True)}),
            "Acquire-By-Hash": "yes",
            "Architectures": f"all {self._arch}",
            "No-Support-for-Architecture-all": "Packages",
            "Components": "main",
        }
        release = "".join(f"{key}: {value}\n" for key, value in head.items()) + f"SHA256:\n{sums}"
        tree[f"{dists}/InRelease"] = self._key.clearsign(release, now).encode()
        return tree

    # --------------------------------------------------------------------------------------------------- serving

    def online(self) -> None:
        """Answer again; the address stays the same."""
        self._mode = "online"
        self._answering.set()
        if self._server is None:
            listener = self._lan.listen(self._port)
            self._port = listener.getsockname()[1]
            self._server = Server(listener, self.answer)

    def offline(self, how: str = "refuse") -> None:
        """
        Stop answering.

        Args:
            how: `refuse` closes the port, `error` answers 503, `hang` accepts and stays silent until `online()`.
        """
        if how not in {"refuse", "error", "hang"}:
            raise ValueError(how)
        self._mode = how
        if how == "hang":
            self._answering.clear()
        if how == "refuse" and self._server is not None:
            self._server.end()
            self._server = None

    def close(self) -> None:
        """Stop for good."""
        self._answering.set()
        self.offline()

    def answer(self, path: str) -> tuple[int, bytes]:
        """What the http server says to a GET of *path*: status and body."""
        self.requests.append(path)
        if self.on_request is not None:
            self.on_request(path)
        self._answering.wait()
        if self._mode != "online":
            return 503, b""
        content = self._tree.get(path)
        return (200, content) if content is not None else (404, b"")


def package(
    name: str,
    version: str,
    *,
    arch: str = "all",
    depends: str = "",
    section: str = "misc",
    priority: str = "optional",
    files: Mapping[str, Content] | None = None,
    conffiles: Mapping[str, Content] | None = None,
    preinst: str = "",
    postinst: str = "",
    prerm: str = "",
    postrm: str = "",
    fields: Mapping[str, str] | None = None,
) -> Deb:
    """
    A made-up package; scripts are shell commands, the rest as for `debfile.build`.

    `postinst="exit 1"` fails to configure, `preinst="exit 1"` fails to unpack, `postinst="sleep 5"` is slow; a service
    is a unit file in *files* and a postinst that starts it.
    """
    scripts = {"preinst": preinst, "postinst": postinst, "prerm": prerm, "postrm": postrm}
    return build(
        name,
        version,
        arch=arch,
        section=section,
        priority=priority,
        files=files,
        conffiles=conffiles,
        scripts={script: body for script, body in scripts.items() if body},
        fields={"Depends": depends, **(fields or {})},
    )


def _archive(suffix: str) -> str:
    return "debian-security" if suffix == "-security" else "debian"


def _pool_path(suffix: str, deb: Deb) -> str:
    return f"/{_archive(suffix)}/pool/main/{deb.name[0]}/{deb.name}/{deb.filename}"
