# SPDX-License-Identifier: Apache-2.0
"""More of what happens to a node behind the agent's back: to dpkg's database, and to the system around it."""

from __future__ import annotations

from .mutations import MUTATIONS, World, choose, mutation

STATUS = "/var/lib/dpkg/status"


# --------------------------------------------------------------------------------------------------------- package database


def _database(world: World, edit: str, what: str) -> str | None:
    """Run a piece of Python on the text of dpkg's status file, with `text` to be changed and `rng` seeded."""
    if not world.sound or "database" in world.damages:
        return None
    world.keep("/var/lib/dpkg", "database")
    seed = world.rng.randrange(10**6)
    script = f"import random\nrng = random.Random({seed})\npath = {STATUS!r}\ntext = open(path).read()\n{edit}\nopen(path, 'w').write(text)\n"
    world.node.run(["python3", "-c", script])
    return what


@mutation
def the_database_is_cut_anywhere(world: World) -> str | None:
    return _database(world, "text = text[: rng.randrange(len(text) // 4, len(text))]", "status cut at some byte")


@mutation
def the_database_is_cut_between_packages(world: World) -> str | None:
    edit = "parts = text.split('\\n\\n')\ntext = '\\n\\n'.join(parts[: rng.randrange(1, len(parts) - 1)]) + '\\n\\n'"
    return _database(world, edit, "status cut between two packages")


@mutation
def the_database_is_emptied(world: World) -> str | None:
    return _database(world, "text = ''", "status is empty")


@mutation
def a_package_vanishes_from_the_database(world: World) -> str | None:
    name = choose(world)
    if name is None:
        return None
    edit = f"text = '\\n\\n'.join(part for part in text.split('\\n\\n') if not part.startswith('Package: {name}\\n'))"
    return _database(world, edit, f"the stanza of {name} deleted from status")


@mutation
def the_database_is_deleted(world: World) -> str | None:
    return _move(world, f"rm {STATUS}", "there is no status file")


@mutation
def the_database_is_a_directory(world: World) -> str | None:
    return _move(world, f"rm {STATUS}; mkdir {STATUS}", "status cannot be read: it is a directory")


@mutation
def the_old_database_is_put_back(world: World) -> str | None:
    if not world.sound or "database" in world.damages:
        return None
    world.keep("/var/lib/dpkg", "database")
    world.sh(f"cp {STATUS}-old {STATUS}")
    return "status-old copied over status"


@mutation
def garbage_is_written_into_the_database(world: World) -> str | None:
    edit = (
        "parts = text.split('\\n')\nparts.insert(rng.randrange(len(parts)), '%$&/ garbage')\ntext = '\\n'.join(parts)"
    )
    return _database(world, edit, "a line of garbage in status")


@mutation
def zeros_are_written_into_the_database(world: World) -> str | None:
    edit = "at = rng.randrange(len(text))\ntext = text[:at] + '\\0' * 4096 + text[at + 4096 :]"
    return _database(world, edit, "4 KB of zeros in status")


@mutation
def a_state_in_the_database_is_no_state(world: World) -> str | None:
    edit = "text = text.replace('install ok installed', 'install ok istalled', 1)"
    return _database(world, edit, "an unknown state in status")


@mutation
def a_version_in_the_database_is_lost(world: World) -> str | None:
    name = choose(world)
    if name is None:
        return None
    edit = (
        "parts = text.split('\\n\\n')\n"
        f"at = next(at for at, part in enumerate(parts) if part.startswith('Package: {name}\\n'))\n"
        "parts[at] = '\\n'.join(line for line in parts[at].split('\\n') if not line.startswith('Version:'))\n"
        "text = '\\n\\n'.join(parts)"
    )
    return _database(world, edit, f"the version of {name} deleted from status")


@mutation
def a_package_is_marked_for_reinstallation(world: World) -> str | None:
    name = choose(world)
    if name is None:
        return None
    old, new = "Status: install ok installed", "Status: install reinstreq installed"
    edit = f"text = text.replace('Package: {name}\\n{old}', 'Package: {name}\\n{new}')"
    return _database(world, edit, f"{name} has to be installed again, status says")


@mutation
def dpkg_was_interrupted(world: World) -> str | None:
    name = choose(world)
    if name is None:
        return None
    edit = (
        f"part = next(part for part in text.split('\\n\\n') if part.startswith('Package: {name}\\n'))\n"
        "part = part.replace(' ok installed', rng.choice([' reinstreq half-installed', ' ok unpacked', ' ok half-configured']))\n"
        "open('/var/lib/dpkg/updates/0001', 'w').write(part + '\\n')"
    )
    return _database(world, edit, f"dpkg died at {name}: updates/0001 is not merged")


@mutation
def garbage_is_left_in_the_updates(world: World) -> str | None:
    return _database(world, "open('/var/lib/dpkg/updates/0001', 'w').write('garbage')", "updates/0001 is garbage")


@mutation
def the_available_file_is_gone(world: World) -> str | None:
    if not world.sound:
        return None
    world.sh("rm -f /var/lib/dpkg/available")
    return "there is no available file"


def _move(world: World, script: str, what: str) -> str | None:
    if not world.sound or "database" in world.damages:
        return None
    world.keep("/var/lib/dpkg", "database")
    world.sh(script)
    return what


# ----------------------------------------------------------------------------------------------------- the system around it


def _release(world: World, text: str, what: str) -> str | None:
    if "os-release" in world.damages:
        return None
    world.sh("mv /usr/lib/os-release /root/kept-os-release; rm -f /etc/os-release")
    if text:
        world.node.write("/usr/lib/os-release", text)
    back = "mv /root/kept-os-release /usr/lib/os-release; ln -s ../usr/lib/os-release /etc/os-release"
    world.damages["os-release"] = lambda: world.sh(back) and None
    return what


@mutation
def os_release_names_another_version(world: World) -> str | None:
    return _release(world, 'ID=debian\nVERSION_ID="13"\nVERSION_CODENAME=trixie\n', "os-release says Debian 13")


@mutation
def os_release_names_ubuntu(world: World) -> str | None:
    return _release(world, 'ID=ubuntu\nID_LIKE=debian\nVERSION_ID="22.04"\n', "os-release says Ubuntu 22.04")


@mutation
def os_release_names_a_stranger(world: World) -> str | None:
    return _release(world, "ID=strange\nVERSION_ID=1\n", "os-release says ID=strange")


@mutation
def os_release_is_gone(world: World) -> str | None:
    return _release(world, "", "there is no os-release")


@mutation
def the_node_restarts(world: World) -> str | None:
    if "os-release" in world.damages:  # what boots the node here wants to see one
        return None
    world.node.reboot()
    return "the node was rebooted"


KINDS = sorted(MUTATIONS)  # of both modules
