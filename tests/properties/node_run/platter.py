# SPDX-License-Identifier: Apache-2.0
"""
What of the state directory is on the disk for good.

A file's content counts once it was synced, a name once its directory was. When the power goes, every other difference may have
reached the disk or not.
"""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

DIRECTORY = None


class Platter:
    """The durable side of the directory *root*, which is empty and durable itself."""

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._names: dict[str, dict[str, bytes | None]] = {self._root: {}}
        self._contents: dict[str, bytes] = {}

    def written(self, path: Path, data: bytes) -> None:
        """A file was written and synced under that name; the name itself counts once the directory is synced."""
        self._contents[str(path)] = data

    def synced(self, directory: Path) -> None:
        """The names in a directory are durable."""
        place = str(directory)
        with os.scandir(place) as entries:
            self._names[place] = {
                entry.name: DIRECTORY if entry.is_dir(follow_symlinks=False) else self._content(entry.path)
                for entry in entries
            }

    def cut(self, source: random.Random) -> None:
        """The power goes: what was not synced is as it was before, or as it is now, each name for itself."""
        self._restore(self._root, source)

    def _content(self, path: str) -> bytes:
        found = self._contents.get(path)
        return Path(path).read_bytes() if found is None else found

    def _restore(self, place: str, source: random.Random) -> None:
        durable = self._names.get(place, {})
        present = set(os.listdir(place))
        for name in sorted(present - durable.keys()):
            if source.random() < 0.5:
                self._lose(f"{place}/{name}")
        for name in sorted(durable.keys() - present):
            if source.random() < 0.5:
                self._bring_back(f"{place}/{name}", durable[name])
        for name in sorted(os.listdir(place)):
            path = f"{place}/{name}"
            if os.path.isdir(path):
                self._restore(path, source)
            else:
                content = durable.get(name)
                if content is not None and source.random() < 0.5 and self._content(path) != content:
                    Path(path).write_bytes(content)
        self._names[place] = {
            name: DIRECTORY if os.path.isdir(f"{place}/{name}") else Path(f"{place}/{name}").read_bytes()
            for name in os.listdir(place)
        }
        self._contents = {path: data for path, data in self._contents.items() if not path.startswith(place + "/")}

    def _lose(self, path: str) -> None:
        if os.path.isdir(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)

    def _bring_back(self, path: str, content: bytes | None) -> None:
        if content is not None:
            Path(path).write_bytes(content)
            return
        os.mkdir(path)
        for name, inner in self._names.get(path, {}).items():
            self._bring_back(f"{path}/{name}", inner)
