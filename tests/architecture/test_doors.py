# SPDX-License-Identifier: Apache-2.0
"""Nobody enters another room of the server but through its door."""

from __future__ import annotations

from pathlib import Path

import pytest

from architecture.tree import PACKAGE, SRC, Import, Module, imports, modules, plant

SERVER = f"{PACKAGE}.server"


def trespasses(src: Path) -> list[str]:
    """
    Imports that reach into another room.

    A room is a package directly below the server. Its door is its `__init__.py`: another room may import the room and
    the names the door binds, not a module inside. Tests may look behind doors.
    """
    known = modules(src)
    names = {module.name for module in known}
    doors = {module.name: _bound(module) for module in known if module.is_door}
    found = []
    for module in known:
        for item in imports(module):
            room = _room(item.module)
            if room is None and item.module == SERVER and f"{SERVER}.{item.name}" in doors:
                continue  # `from patchwright.server import nodes`: the room itself
            if room is None or _room(module.name) == room or room not in doors:
                continue
            if item.module != room or _is_hidden(item, names, doors[room]):
                found.append(f"{module.name}:{item.line} enters {room} through {item.module} {item.name}".rstrip())
    return found


def leaking_doors(src: Path) -> list[str]:
    """Doors that pass on something of their room's `store`: SQL stays inside."""
    return [
        f"{module.name}:{item.line} passes on {item.module} {item.name}".rstrip()
        for module in modules(src)
        if module.is_door and _room(module.name) == module.name
        for item in imports(module)
        if item.module.startswith(f"{module.name}.store") or (item.module == module.name and item.name == "store")
    ]


def _room(name: str) -> str | None:
    parts = name.split(".")
    return ".".join(parts[:3]) if name.startswith(SERVER + ".") and len(parts) >= 3 else None


def _bound(door: Module) -> set[str]:
    return {item.name for item in imports(door) if item.name}


def _is_hidden(item: Import, names: set[str], bound: set[str]) -> bool:
    return f"{item.module}.{item.name}" in names and item.name not in bound


def test_rooms_are_entered_through_their_doors():
    """No module of the server imports from inside another room."""
    assert trespasses(SRC) == []


def test_doors_keep_the_store_inside():
    """No door passes on its room's store."""
    assert leaking_doors(SRC) == []


@pytest.mark.parametrize(
    "line",
    [
        "from patchwright.server.nodes.store import Rows",
        "from patchwright.server.nodes import store",
        "import patchwright.server.nodes.store",
        "from ..nodes.store import Rows",
        "def late():\n    from patchwright.server.nodes import store",
    ],
)
def test_a_trespass_is_found(tmp_path, line):
    """Every way of importing another room's inside is seen, those inside functions too."""
    plant(tmp_path, {"patchwright/server/nodes/store.py": "Rows = 1", "patchwright/server/patching/service.py": line})

    assert [text.partition(" ")[0].partition(":")[0] for text in trespasses(tmp_path)] == [
        "patchwright.server.patching.service"
    ]


def test_the_door_and_ones_own_room_are_open(tmp_path):
    """What the door binds may be imported by others, and a room's own modules know each other."""
    plant(
        tmp_path,
        {
            "patchwright/server/nodes/store.py": "Rows = 1",
            "patchwright/server/nodes/service.py": "from patchwright.server.nodes.store import Rows",
            "patchwright/server/nodes/__init__.py": "from .service import Rows as Service",
            "patchwright/server/patching/service.py": (
                "from patchwright.server import nodes\nfrom patchwright.server.nodes import Service"
            ),
        },
    )

    assert trespasses(tmp_path) == []


def test_a_leaking_door_is_found(tmp_path):
    """A door that hands out its store is seen."""
    plant(
        tmp_path,
        {
            "patchwright/server/nodes/store.py": "Rows = 1",
            "patchwright/server/nodes/__init__.py": "from .store import Rows",
        },
    )

    assert len(leaking_doors(tmp_path)) == 1
