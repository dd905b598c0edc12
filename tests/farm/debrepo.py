# SPDX-License-Identifier: Apache-2.0
"""A signed Debian archive of made-up packages, served over http inside the farm's network."""

from __future__ import annotations

import gzip
import hashlib
import time
from collections.abc import Mapping
from email.utils import formatdate
from typing import Any

from .debfile import Content, Deb, build, noise
from .net import Lan
from .openpgp import SigningKey
from .served import Served

# Codename → version and the suite name that Debian uses today.
RELEASES = {"bullseye": ("11", "oldoldstable"), "bookworm": ("12", "oldstable"), "trixie": ("13", "stable")}
KEYRING = "/usr/share/keyrings/farm.gpg"  # in every node
DAY = 86_400
FAULTS = ("signature", "tampered", "expired", "early")
ASK_FOR_REBOOT = 'touch /run/reboot-required; echo "$DPKG_MAINTSCRIPT_PACKAGE" >>/run/reboot-required.pkgs'


class DebRepo(Served):
    """
    Three suites, as Debian has them: CODENAME, CODENAME-security (Label Debian-Security) and CODENAME-updates.

    Every change is published at once; several changes become visible together inside `with repo.together():`.
    A suite holds one version of a package: a newer `security()` of the same name replaces the older one in the index,
    while the older .deb stays in the pool, as in real archives, until `purge()`.
    """

    def __init__(self, lan: Lan, *, codename: str = "bookworm", arch: str = "amd64") -> None:
        super().__init__(lan)
        self.codename = codename
        self._arch = arch
        self._key = SigningKey("Test Farm archive <farm@invalid>", int(time.time()))
        self._fault = ""
        self._suites: dict[str, dict[tuple[str, str], Deb]] = {s: {} for s in ("", "-security", "-updates")}
        self._pool: dict[str, bytes] = {}
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

    def kernel(self, release: str, version: str, *, flavour: str = "amd64", suite: str = "-security") -> Deb:
        """
        Put a kernel into a suite: `linux-image-RELEASE-FLAVOUR` with its /boot/vmlinuz, and the meta package
        `linux-image-FLAVOUR` that depends on it, so that an update brings the new kernel beside the old one.

        Like Ubuntu's, the image asks for a reboot in /run/reboot-required. (The kernel that runs is the host's.)

        Args:
            release: As in `uname -r`, without the flavour: `6.1.0-50`.
            version: Of both packages: `6.1.176-1`.
            suite: `""`, `-security` or `-updates`.

        Returns:
            The meta package.
        """
        image = f"linux-image-{release}-{flavour}"
        vmlinuz = {f"/boot/vmlinuz-{release}-{flavour}": f"kernel {version}\n"}
        with self.together():
            what: dict[str, Any] = {"arch": self._arch, "section": "kernel"}
            self._add(suite, package(image, version, files=vmlinuz, postinst=ASK_FOR_REBOOT, **what))
            return self._add(
                suite, package(f"linux-image-{flavour}", version, depends=f"{image} (= {version})", **what)
            )

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

    def publish(self) -> None:
        """Sign and show the present state; older indexes stay reachable by hash. Called by every change."""
        with self._lock:
            tree = {path: content for path, content in self._tree.items() if "/by-hash/" in path}
            for suffix in self._suites:
                tree.update(self._indexes(suffix, int(time.time())))
            self._tree = {**tree, **self._pool}

    def spoil(self, fault: str) -> None:
        """
        Publish what apt must not believe, until `mend`.

        Args:
            fault: `signature` by a key that no node knows; `tampered`: changed after it was signed; `expired`: Valid-Until
                has passed (-security and -updates; the release has none, as in Debian); `early`: dated in three days.
        """
        if fault not in FAULTS:
            raise ValueError(f"{fault!r} is none of {FAULTS}")
        self._fault = fault
        self.publish()

    def mend(self) -> None:
        """Publish honestly again."""
        self._fault = ""
        self.publish()

    @property
    def release_state(self) -> str:
        """A digest of what the release itself offers, without the updates and wherever it is served."""
        with self._lock:
            return hashlib.sha256(repr(sorted(deb.sha256 for deb in self._suites[""].values())).encode()).hexdigest()

    @property
    def state(self) -> str:
        """A digest of what is offered: equal states offer the same packages."""
        with self._lock:
            offered = sorted((suffix, deb.sha256) for suffix, suite in self._suites.items() for deb in suite.values())
        return hashlib.sha256(repr(offered).encode()).hexdigest()

    def lists(self) -> dict[str, bytes]:
        """What `apt-get update` would put into /var/lib/apt/lists now, by file name."""
        with self._lock:
            found = {}
            for suffix in self._suites:
                dists = f"/{_archive(suffix)}/dists/{self.codename}{suffix}"
                for path in (f"{dists}/InRelease", f"{dists}/main/binary-{self._arch}/Packages"):
                    if self._tree[path]:
                        found[f"{self._lan.address}:{self._port}{path}".replace("/", "_")] = self._tree[path]
            return found

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
        date = now + {"expired": -30, "early": 3}.get(self._fault, 0) * DAY
        head = {
            "Origin": "Debian",
            "Label": "Debian-Security" if suffix == "-security" else "Debian",
            "Suite": suite + suffix,
            "Version": version + ("-updates" if suffix == "-updates" else ""),
            "Codename": self.codename + suffix,
            "Date": formatdate(date, usegmt=True),
            **({} if suffix == "" else {"Valid-Until": formatdate(date + 7 * DAY, usegmt=True)}),
            "Acquire-By-Hash": "yes",
            "Architectures": f"all {self._arch}",
            "No-Support-for-Architecture-all": "Packages",
            "Components": "main",
        }
        release = "".join(f"{key}: {value}\n" for key, value in head.items()) + f"SHA256:\n{sums}"
        key = SigningKey("A stranger <nobody@invalid>", now) if self._fault == "signature" else self._key
        signed = key.clearsign(release, now)
        if self._fault == "tampered":
            signed = signed.replace("Origin: Debian", "Origin: Debiam", 1)
        tree[f"{dists}/InRelease"] = signed.encode()
        return tree


def package(
    name: str,
    version: str,
    *,
    arch: str = "all",
    depends: str = "",
    conflicts: str = "",
    breaks: str = "",
    replaces: str = "",
    provides: str = "",
    phased: int | None = None,
    size: int = 0,
    download: int = 0,
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

    Args:
        phased: Percentage of machines that are offered the update so far; at 0 no booted node is.
        size: Bytes it needs on the disk when installed and hardly any to download: zeros.
        download: Bytes it needs for the download and again when installed: noise.
    """
    files = dict(files or {})
    if size:
        files[f"/usr/share/{name}/zeros"] = bytes(size)
    if download:
        files[f"/usr/share/{name}/noise"] = noise(download, f"{name} {version}")
    relations = {"Conflicts": conflicts, "Breaks": breaks, "Replaces": replaces, "Provides": provides}
    if phased is not None:
        relations["Phased-Update-Percentage"] = str(phased)
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
        fields={"Depends": depends, **relations, **(fields or {})},
    )


def _archive(suffix: str) -> str:
    return "debian-security" if suffix == "-security" else "debian"


def _pool_path(suffix: str, deb: Deb) -> str:
    return f"/{_archive(suffix)}/pool/main/{deb.name[0]}/{deb.name}/{deb.filename}"
