# SPDX-License-Identifier: Apache-2.0
"""
What people, packages and accidents do to a node behind the agent's back.

Each mutation is a function of a `World` that answers in words what it did, or None where it is not possible now. What breaks
something leaves its repair in `World.damages`; later steps may take it, or break something else first.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from farm import DebRepo, Farm, Node
from farm.debfile import Deb
from farm.debrepo import KEYRING, package

NAMES = ("alpha", "beta", "gamma", "delta", "epsilon", "phased")
SOURCES = "/etc/apt/sources.list"
PREFERENCES = "/etc/apt/preferences.d/behind"
APT_CONF = "/etc/apt/apt.conf.d/99behind"
HARMLESS = frozenset({"os-release", "preferences", "configuration", "architecture", "lists", "other archive"})


@dataclass
class World:
    """
    One node, its archive, and what is wrong with them at present.

    Attributes:
        shelf: What the archive holds: version by suite ("", "-security", "-updates") and name.
        damages: By name, what ends the damage. One of a name at a time.
    """

    farm: Farm
    node: Node
    repo: DebRepo
    rng: random.Random
    directory: Path
    shelf: dict[tuple[str, str], str] = field(default_factory=dict)
    damages: dict[str, Callable[[], None]] = field(default_factory=dict)
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(2))

    @property
    def sound(self) -> bool:
        """Whether apt and dpkg can work."""
        return HARMLESS.issuperset(self.damages)

    def put(self, suffix: str, name: str, version: str, **more: str) -> None:
        """Put a package into a suite of the archive."""
        {"": self.repo.release, "-security": self.repo.security, "-updates": self.repo.updates}[suffix](
            name, version, **more
        )
        self.shelf[suffix, name] = version

    def installed(self) -> dict[str, tuple[str, str]]:
        """The made-up packages that are installed, by name: version and dpkg's abbreviation."""
        rows = {key.partition(".")[0]: row for key, row in self.node.installed().items() if row[1][1] not in "nc"}
        return {name: rows[name] for name in NAMES if name in rows}

    def sh(self, script: str, *arguments: str, check: bool = True) -> str:
        """Run a shell script in the node; its output."""
        return self.node.run(["sh", "-ec", script, "sh", *arguments], check=check).stdout

    def deb(self, deb: Deb) -> str:
        """Copy a package into the node; its path there."""
        source = self.directory / deb.filename
        source.write_bytes(deb.content)
        self.node.push(source, f"/root/{deb.filename}", mode=0o644)
        return f"/root/{deb.filename}"

    def keep(self, path: str, damage: str) -> None:
        """Keep a file or directory as it is now; repairing *damage* puts it back."""
        self.sh('rm -rf "/root/kept-$2"; cp -a "$1" "/root/kept-$2"', path, damage)
        back = 'rm -rf "$1"; cp -a "/root/kept-$2" "$1"'
        self.damages[damage] = lambda: self.sh(back, path, damage) and None

    def added(self, path: str, text: str, damage: str) -> None:
        """Write a file that was not there; repairing *damage* deletes it."""
        self.node.write(path, text)
        self.damages[damage] = lambda: self.sh('rm -f "$1"', path) and None


Mutation = Callable[[World], str | None]
MUTATIONS: dict[str, Mutation] = {}


def mutation(function: Mutation) -> Mutation:
    """Add a mutation to the table under its own name, in words."""
    MUTATIONS[function.__name__.replace("_", " ")] = function
    return function


def populate(repo: DebRepo, shelf: dict[tuple[str, str], str]) -> None:
    """The archive a history begins with: every name in the release."""
    with repo.together():
        for name in NAMES:
            shelf["", name] = repo.release(name, "1.0-1").version


def repair(world: World, damage: str) -> str:
    """End one damage."""
    world.damages.pop(damage)()
    return f"{damage} repaired"


# ------------------------------------------------------------------------------------------------------------ the archive


@mutation
def a_security_update_appears(world: World) -> str | None:
    name = world.rng.choice(NAMES[:5])
    version = f"1.0-{next(world.numbers)}+deb12u1"
    world.put("-security", name, version)
    return f"{name} {version} in bookworm-security"


@mutation
def an_update_appears(world: World) -> str | None:
    name = world.rng.choice(NAMES[:5])
    version = f"1.0-{next(world.numbers)}+up1"
    world.put("-updates", name, version)
    return f"{name} {version} in bookworm-updates"


@mutation
def the_release_moves(world: World) -> str | None:
    name = world.rng.choice(NAMES[:5])
    version = f"1.0-{next(world.numbers)}"
    world.put("", name, version)
    return f"{name} {version} in bookworm"


@mutation
def a_security_update_needs_a_new_package(world: World) -> str | None:
    number = next(world.numbers)
    with world.repo.together():
        world.repo.security(f"new{number}", "1.0-1")
        world.put("-security", "alpha", f"1.0-{number}+deb12u1", depends=f"new{number}")
    return f"alpha 1.0-{number}+deb12u1 in bookworm-security needs new{number}"


@mutation
def a_security_update_cannot_be_installed(world: World) -> str | None:
    number = next(world.numbers)
    world.put("-security", "beta", f"1.0-{number}+deb12u1", depends="nowhere-to-be-had")
    return f"beta 1.0-{number}+deb12u1 in bookworm-security needs what is not there"


@mutation
def an_update_is_phased_in(world: World) -> str | None:
    version = f"1.0-{next(world.numbers)}+deb12u1"
    share = world.rng.choice(["0", "100"])
    world.put("-security", "phased", version, fields={"Phased-Update-Percentage": share})  # type: ignore[arg-type]
    return f"phased {version} in bookworm-security for {share} % of machines"


@mutation
def a_security_update_has_another_architecture(world: World) -> str | None:
    name = world.rng.choice(NAMES[:5])
    version = f"1.0-{next(world.numbers)}+deb12u1"
    arch = world.sh("dpkg --print-architecture").strip()
    with world.repo.together():
        _take_out(world, name)
        world.put("-security", name, version, arch=arch)
    return f"{name} {version} for {arch} in bookworm-security"


@mutation
def a_version_is_withdrawn(world: World) -> str | None:
    choices = sorted(place for place in world.shelf if place[0])
    if not choices:
        return None
    suffix, name = world.rng.choice(choices)
    others = {place: version for place, version in world.shelf.items() if place[1] == name and place[0] != suffix}
    version = world.shelf[suffix, name]
    with world.repo.together():
        _take_out(world, name)
        for (other, _), kept in sorted(others.items()):
            world.put(other, name, kept)
    return f"{name} {version} withdrawn from bookworm{suffix}"


@mutation
def a_package_leaves_the_archive(world: World) -> str | None:
    names = sorted({name for _, name in world.shelf})
    if len(names) < 4:
        return None
    name = world.rng.choice(names)
    _take_out(world, name)
    return f"{name} withdrawn everywhere"


@mutation
def the_archive_answers_503(world: World) -> str | None:
    if "archive" in world.damages:
        return None
    world.repo.offline("error")
    world.damages["archive"] = world.repo.online
    return "the archive answers 503"


@mutation
def the_archive_is_gone(world: World) -> str | None:
    if "archive" in world.damages:
        return None
    world.repo.offline("refuse")
    world.damages["archive"] = world.repo.online
    return "the archive refuses connections"


@mutation
def the_archive_is_signed_by_a_stranger(world: World) -> str | None:
    if "key" in world.damages:
        return None
    world.keep(KEYRING, "key")
    stranger = world.directory / "stranger.gpg"
    stranger.write_bytes(world.farm.debrepo().keyring)
    world.node.push(stranger, KEYRING, mode=0o644)
    world.repo.publish()
    return "the keyring holds another key"


@mutation
def another_archive_takes_its_place(world: World) -> str | None:
    if {"sources", "other archive", "key"} & world.damages.keys():
        return None
    other = world.farm.debrepo()
    with other.together():
        for name in world.rng.sample(NAMES[:5], 3):
            other.release(name, "1.0-1")
            if world.rng.random() < 0.6:
                other.security(name, f"1.0-{next(world.numbers)}+deb12u1")
    world.keep(SOURCES, "other archive")
    key = world.directory / "other.gpg"
    key.write_bytes(other.keyring)
    world.node.push(key, "/usr/share/keyrings/other.gpg", mode=0o644)
    world.node.write(SOURCES, other.sources().replace(KEYRING, "/usr/share/keyrings/other.gpg"))
    offered = [f"{name} {version}" for name in NAMES for _, version in sorted(other.newest(name).items())]
    return f"sources.list names another archive, which has {', '.join(offered)}"


def _take_out(world: World, name: str) -> None:
    world.repo.remove(name)
    for suffix in ("", "-security", "-updates"):
        world.shelf.pop((suffix, name), None)


# ---------------------------------------------------------------------------------------------------------- sources and apt


def _sources(world: World, script: str, what: str) -> str | None:
    if {"sources", "other archive"} & world.damages.keys():
        return None
    world.keep(SOURCES, "sources")
    world.sh(script, SOURCES)
    return what


@mutation
def sources_are_emptied(world: World) -> str | None:
    return _sources(world, ': >"$1"', "sources.list is empty")


@mutation
def sources_are_deleted(world: World) -> str | None:
    return _sources(world, 'rm "$1"', "there is no sources.list")


@mutation
def the_security_archive_is_disabled(world: World) -> str | None:
    return _sources(world, "sed -i 's/^deb .*-security main/# &/' \"$1\"", "bookworm-security is commented out")


@mutation
def the_release_is_disabled(world: World) -> str | None:
    return _sources(world, "sed -i '1s/^/# /' \"$1\"", "bookworm is commented out")


@mutation
def sources_are_malformed(world: World) -> str | None:
    return _sources(world, 'echo "deb nonsense" >>"$1"', "sources.list has a malformed line")


@mutation
def sources_name_a_suite_that_is_not_there(world: World) -> str | None:
    return _sources(world, "sed -i '$s/bookworm/nosuch/' \"$1\"", "sources.list names a suite that does not exist")


@mutation
def sources_are_rewritten_as_deb822(world: World) -> str | None:
    if {"sources", "other archive", "key"} & world.damages.keys():
        return None
    address = world.sh('sed -n "1s/.*\\(http[^ ]*\\)debian .*/\\1/p" "$1"', SOURCES).strip()
    enabled = world.rng.choice(["yes", "no"])
    text = "".join(
        f"Types: deb\nURIs: {address}debian{path}\nSuites: bookworm{suffix}\nComponents: main\nSigned-By: {KEYRING}\n"
        f"Enabled: {enabled if suffix == '-security' else 'yes'}\n\n"
        for path, suffix in (("", ""), ("-security", "-security"), ("", "-updates"))
    )
    world.keep(SOURCES, "sources")
    world.sh(': >"$1"', SOURCES)
    world.node.write("/etc/apt/sources.list.d/debian.sources", text)
    back = world.damages["sources"]

    def undo() -> None:
        back()
        world.sh("rm /etc/apt/sources.list.d/debian.sources")

    world.damages["sources"] = undo
    return f"the sources are in deb822 form, bookworm-security Enabled: {enabled}"


@mutation
def the_lists_are_deleted(world: World) -> str | None:
    world.sh("rm -rf /var/lib/apt/lists/*")
    return "/var/lib/apt/lists is empty"


@mutation
def one_list_is_deleted(world: World) -> str | None:
    kind = world.rng.choice(["Packages", "InRelease"])
    world.sh(f"rm -f /var/lib/apt/lists/*security*{kind}*")
    return f"the {kind} of bookworm-security is gone from /var/lib/apt/lists"


@mutation
def one_list_is_emptied(world: World) -> str | None:
    world.sh("for file in /var/lib/apt/lists/*security*Packages*; do test ! -e $file || : >$file; done")
    return "the Packages of bookworm-security in /var/lib/apt/lists is empty"


@mutation
def preferences_pin(world: World) -> str | None:
    if "preferences" in world.damages:
        return None
    name = world.rng.choice([*NAMES[:5], "*", "/^[abg]/", "src:beta"])
    pin = world.rng.choice(
        ["release l=Debian-Security", "release n=bookworm", "release a=oldstable-updates", "version 1.0-*", 'origin ""']
    )
    priority = world.rng.choice([-1, 1, 100, 500, 990, 1001])
    world.added(PREFERENCES, f"Package: {name}\nPin: {pin}\nPin-Priority: {priority}\n", "preferences")
    return f"preferences: {name}, {pin}, {priority}"


@mutation
def preferences_are_malformed(world: World) -> str | None:
    if "malformed preferences" in world.damages:
        return None
    world.added(PREFERENCES + "-bad", "Package: *\nPin-Priority: many\n", "malformed preferences")
    return "a preferences file is malformed"


@mutation
def a_default_release_is_set(world: World) -> str | None:
    if "configuration" in world.damages:
        return None
    release = world.rng.choice(["bookworm", "bookworm-updates", "bookworm-security"])
    world.added(APT_CONF, f'APT::Default-Release "{release}";\n', "configuration")
    return f"APT::Default-Release {release}"


@mutation
def the_configuration_is_malformed(world: World) -> str | None:
    if "malformed configuration" in world.damages:
        return None
    world.added(APT_CONF + "bad", "APT { nonsense\n", "malformed configuration")
    return "a configuration file of apt is malformed"


@mutation
def an_architecture_is_added(world: World) -> str | None:
    if "architecture" in world.damages or not world.sound:
        return None
    arch = world.rng.choice(["i386", "arm64"])
    world.sh(f"dpkg --add-architecture {arch}")
    world.damages["architecture"] = lambda: world.sh(f"dpkg --remove-architecture {arch}") and None
    return f"the architecture {arch} is added"


# ------------------------------------------------------------------------------------------------------------- the packages


def choose(world: World, *, held: bool | None = None) -> str | None:
    """A package that is installed and in order, held or not as asked; None where there is none."""
    if not world.sound:
        return None
    rows = world.installed()
    names = [name for name, row in rows.items() if row[1][1] == "i" and (held is None or (row[1][0] == "h") == held)]
    return world.rng.choice(names) if names else None


def _apt(world: World, *words: str) -> str:
    """What apt-get ended with; it may fail for what an earlier step did."""
    done = world.node.run(["apt-get", "-y", *words], check=False)
    return "" if done.code == 0 else f" (apt-get ended with {done.code})"


@mutation
def a_package_is_installed(world: World) -> str | None:
    if not world.sound:
        return None
    absent = sorted(set(NAMES) - world.installed().keys())
    if not absent:
        return None
    name = world.rng.choice(absent)
    _apt(world, "update")
    return f"apt-get install {name}{_apt(world, 'install', name)}"


@mutation
def an_old_package_is_installed(world: World) -> str | None:
    if not world.sound:
        return None
    name = world.rng.choice(NAMES)
    path = world.deb(package(name, "0.8-1"))
    done = world.node.run(["dpkg", "--force-downgrade", "-i", path], check=False)
    return f"dpkg -i {name} 0.8-1" + ("" if done.code == 0 else f" (dpkg ended with {done.code})")


@mutation
def a_newer_package_is_installed_by_hand(world: World) -> str | None:
    name = choose(world)
    if name is None:
        return None
    path = world.deb(package(name, "2.0-1"))
    world.node.run(["dpkg", "-i", path])
    return f"dpkg -i {name} 2.0-1, newer than any offered"


@mutation
def a_package_is_removed(world: World) -> str | None:
    name = choose(world, held=False)
    return None if name is None else f"apt-get remove {name}{_apt(world, 'remove', name)}"


@mutation
def a_package_is_purged(world: World) -> str | None:
    name = choose(world, held=False)
    return None if name is None else f"apt-get purge {name}{_apt(world, 'purge', name)}"


@mutation
def a_package_is_upgraded(world: World) -> str | None:
    name = choose(world)
    if name is None:
        return None
    _apt(world, "update")
    return f"apt-get install --only-upgrade {name}{_apt(world, 'install', '--only-upgrade', name)}"


@mutation
def everything_is_upgraded(world: World) -> str | None:
    if not world.sound:
        return None
    _apt(world, "update")
    return f"apt-get dist-upgrade{_apt(world, 'dist-upgrade')}"


@mutation
def a_package_is_downgraded(world: World) -> str | None:
    name = choose(world)
    if name is None or ("", name) not in world.shelf:
        return None
    version = world.shelf["", name]
    _apt(world, "update")
    words = ("install", "--allow-downgrades", "--allow-change-held-packages", f"{name}={version}")
    return f"apt-get install {name}={version}{_apt(world, *words)}"


@mutation
def a_package_is_held(world: World) -> str | None:
    name = choose(world, held=False)
    if name is None:
        return None
    world.sh(f"apt-mark hold {name}")
    return f"apt-mark hold {name}"


@mutation
def a_hold_is_lifted(world: World) -> str | None:
    name = choose(world, held=True)
    if name is None:
        return None
    world.sh(f"apt-mark unhold {name}")
    return f"apt-mark unhold {name}"


def _half(world: World, what: str, version: str, argv: list[str], **scripts: str) -> str | None:
    if not world.sound or "half" in world.damages:
        return None
    name = world.rng.choice(NAMES[:5])
    path = world.deb(package(name, version, **scripts))
    world.node.run([*argv, "--force-downgrade", path], check=False)
    world.damages["half"] = lambda: world.node.run(["dpkg", "-i", world.deb(package(name, version))]) and None
    return f"{name} {version} {what}"


@mutation
def a_package_fails_to_configure(world: World) -> str | None:
    return _half(world, "left half-configured by its postinst", "1.0-1", ["dpkg", "-i"], postinst="exit 1")


@mutation
def a_foreign_package_fails_to_configure(world: World) -> str | None:
    if not world.sound or "stranger" in world.damages:
        return None
    path = world.deb(package("stranger", "1.0-1", postinst="exit 1"))
    world.node.run(["dpkg", "-i", path], check=False)
    world.damages["stranger"] = lambda: world.node.run(["dpkg", "--purge", "stranger"]) and None
    return "stranger 1.0-1, of no archive, left half-configured"


@mutation
def a_package_is_only_unpacked(world: World) -> str | None:
    return _half(world, "unpacked and not configured", "1.5-1", ["dpkg", "--unpack"])


@mutation
def a_package_fails_to_unpack(world: World) -> str | None:
    return _half(world, "not unpacked: its preinst failed", "1.6-1", ["dpkg", "-i"], preinst="exit 1")
