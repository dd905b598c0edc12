# SPDX-License-Identifier: Apache-2.0
"""Rpm repositories of made-up packages with notices and modules, served over http inside the farm's network."""

from __future__ import annotations

import hashlib
import platform
import time
from collections.abc import Sequence
from typing import Any

from .net import Lan
from .repodata import Advisory, Module, repodata
from .rpmfile import Rpm, build
from .served import Served

ARCH = platform.machine()  # what rpm calls this machine's architecture
ASK_FOR_REBOOT = "mkdir -p /run/farm; touch /run/farm/reboot"


class RpmRepo(Served):
    """
    Some repositories of one distribution: by default `base`, what was released, and `updates`.

    Every change is published at once; several changes become visible together inside `with repo.together():`.
    Older versions stay, as in most real repositories, until `remove` or `purge`.

    Attributes:
        names: The identifiers of the repositories, the release's own first.
        expiry: How long dnf believes what it has fetched (`metadata_expire`: `1`, `6h`, `never`), for nodes made after it
            is set; empty: dnf's own two days.
    """

    def __init__(self, lan: Lan, *, names: Sequence[str] = ("base", "updates")) -> None:
        super().__init__(lan)
        self.names = tuple(names)
        self.expiry = ""
        self._packages: dict[str, dict[str, Rpm]] = {name: {} for name in names}
        self._advisories: dict[str, dict[str, Advisory]] = {name: {} for name in names}
        self._modules: dict[str, list[Module]] = {name: [] for name in names}
        self._released: dict[str, Rpm] = {}
        self._numbers = 0
        self._revision = int(time.time())
        self.publish()
        self.online()

    # ------------------------------------------------------------------------------------------------- packages

    def release(self, name: str, evr: str, *, repository: str = "", **what: Any) -> Rpm:
        """Put a package into the release: nodes have it installed before anything is outstanding. Keywords: `package`."""
        rpm = self.add(package(name, evr, **what), repository=repository or self.names[0])
        self._released[rpm.name] = self._released[f"{rpm.name}-{rpm.evr}"] = rpm
        return rpm

    def update(self, name: str, evr: str, *, repository: str = "", **what: Any) -> Rpm:
        """Put a package into the updates, without a notice. Keywords as for `package`."""
        return self.add(package(name, evr, **what), repository=repository or self.names[-1])

    def security(self, name: str, evr: str, *, repository: str = "", **what: Any) -> Rpm:
        """
        Put a package into the updates with a security notice of its own, `FARM-SA-2024:N`.

        Keywords as for `package`, and severity, issued, updated, cves, bugzillas, reboot, restart, relogin, title, type,
        id and module as for `Advisory`.
        """
        about = {key: what.pop(key) for key in tuple(what) if key in Advisory.__dataclass_fields__}
        with self.together():
            label = {"module": about["module"]} if "module" in about else {}
            rpm = self.update(name, evr, repository=repository, **what, **label)
            self._numbers += 1
            self.advisory(about.pop("id", f"FARM-SA-2024:{self._numbers}"), [rpm], repository=repository, **about)
        return rpm

    def advisory(self, id: str, packages: Sequence[Rpm], *, repository: str = "", **about: Any) -> Advisory:  # noqa: A002
        """Publish a notice of packages, or replace the one of that id. Keywords as for `Advisory`."""
        advisory = Advisory(id, tuple(packages), **about)
        with self.together():
            self._advisories[repository or self.names[-1]][id] = advisory
        return advisory

    def module(self, name: str, stream: str, packages: Sequence[Rpm], *, repository: str = "", **about: Any) -> Module:
        """Publish a stream of a module, whose *packages* are its own. Keywords as for `Module`."""
        module = Module(name, stream, tuple(packages), **about)
        with self.together():
            self._modules[repository or self.names[-1]].append(module)
        return module

    def kernel(
        self, evr: str, *, name: str = "kernel", is_released: bool = False, reboot: bool = True, **about: Any
    ) -> Rpm:
        """
        Put an install-only kernel into the updates with its notice, or into the release: NAME-core with its vmlinuz and
        NAME, which needs it. (The kernel that runs is the host's.) On SUSE it is one package: `name="kernel-default"`.

        Returns:
            The package NAME.
        """
        version = evr.rpartition(":")[2]
        is_suse = name == "kernel-default"
        core = name if is_suse else f"{name}-core"
        marks = ["installonlypkg(kernel)", f"kernel-uname-r = {version}"]
        marks += ["multiversion(kernel)", "installhint(reboot-needed)"] if is_suse else []
        files = {f"/boot/vmlinuz-{version}.{ARCH}": f"kernel {evr}\n", f"/lib/modules/{version}.{ARCH}/modules.dep": ""}
        put = self.release if is_released else self.update
        with self.together():
            rpms = [put(core, evr, arch=ARCH, provides=marks, files=files)]
            if not is_suse:
                rpms.append(
                    put(name, evr, arch=ARCH, requires=[f"{core} = {evr}"], provides=["installonlypkg(kernel)"])
                )
            if not is_released:
                self._numbers += 1
                self.advisory(about.pop("id", f"FARM-SA-2024:{self._numbers}"), rpms, reboot=reboot, **about)
        return rpms[-1]

    def add(self, rpm: Rpm, *, repository: str) -> Rpm:
        """Put a package into the repository of that name."""
        with self.together():
            self._packages[repository][rpm.filename] = rpm
        return rpm

    def remove(self, name: str, evr: str = "") -> None:
        """Take a package, or only one version of it, out of every repository; notices stay."""
        with self.together():
            for packages in self._packages.values():
                for key in [key for key, rpm in packages.items() if rpm.name == name and evr in ("", rpm.evr)]:
                    del packages[key]

    def released(self, name: str) -> Rpm:
        """The package of the release by that name, or by `NAME-EVR` where there are several."""
        if name not in self._released:
            raise ValueError(f"{name} is not in the release: {sorted(self._released)}")
        return self._released[name]

    def versions(self, name: str) -> set[str]:
        """Every version of *name* that some repository offers."""
        return {rpm.evr for packages in self._packages.values() for rpm in packages.values() if rpm.name == name}

    # ------------------------------------------------------------------------------------------------ publishing

    def publish(self) -> None:
        """Show the present state, under a new revision."""
        with self._lock:
            self._revision += 1
            tree = {}
            for name in self.names:
                packages = self._packages[name]
                metadata = repodata(
                    packages.values(),
                    list(self._advisories[name].values()),
                    self._modules[name],
                    revision=self._revision,
                )
                tree.update({f"/{name}/repodata/{file}": content for file, content in metadata.items()})
                tree.update({f"/{name}/Packages/{file}": rpm.content for file, rpm in packages.items()})
            self._tree = tree

    @property
    def state(self) -> str:
        """A digest of what is offered and of where."""
        with self._lock:
            return hashlib.sha256(repr((self.address, sorted(self._tree))).encode()).hexdigest()

    def paths(self) -> list[str]:
        """Every path that is answered now."""
        with self._lock:
            return sorted(self._tree)

    def url(self, name: str) -> str:
        """Where nodes find that repository."""
        return f"http://{self.address}/{name}"


def package(
    name: str,
    evr: str,
    *,
    pre: str = "",
    post: str = "",
    preun: str = "",
    postun: str = "",
    **what: Any,
) -> Rpm:
    """
    A made-up package; scripts are shell commands, the rest as for `rpmfile.build`.

    `post="exit 1"` fails after the new files are there, `pre="exit 1"` keeps them out, `post="sleep 5"` is slow.
    """
    scripts = {"pre": pre, "post": post, "preun": preun, "postun": postun}
    return build(name, evr, scripts={script: body for script, body in scripts.items() if body}, **what)
