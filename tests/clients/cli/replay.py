# SPDX-License-Identifier: Apache-2.0
"""Which examples are replayed, and how one is: its scene, its command with ids of ours, its answer compared."""

from __future__ import annotations

import json
from collections.abc import Callable
from fnmatch import fnmatchcase

import pytest

from clients import page
from clients.cli.examples import Example, examples, pages
from clients.cli.members import answer, lacking
from clients.cli.scenes import SCENES as OWN_SCENES
from clients.cli.scenes import Names, Stage
from clients.cli.windows import WINDOW_SCENES

SCENES = {**OWN_SCENES, **WINDOW_SCENES}
LEFT_OUT = [pattern for (pattern,) in page.rows("Examples left out")]
EVERY = [example for name in pages() for example in examples(name)]
REPLAYED = [example for example in EVERY if not any(fnmatchcase(example.name, pattern) for pattern in LEFT_OUT)]

Run = Callable[[list[str]], tuple[int, str, str]]


def scene_of(example: Example) -> Callable[[Stage], Names]:
    """The example's own scene, or its page's."""
    return SCENES.get(example.name) or SCENES[example.page]


def documented_gaps() -> dict[str, set[str]]:
    """What conformance.md says is lacking, by example."""
    found: dict[str, set[str]] = {}
    for names, member in page.rows("Documented members that are not here"):
        for name in names.split(", "):
            found.setdefault(name.strip("` "), set()).update(part.strip("` ") for part in member.split(", "))
    return found


def replay(example: Example, stage: Stage, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the example's command with *run*, which takes words and gives status, output and errors."""
    for name, text in example.files.items():
        (stage.folder / name).write_text(text)
    names = scene_of(example)(stage)
    if stage.signer is not None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", stage.signer.access_key_id)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", stage.signer.secret)
    words = list(example.words[1:])
    for theirs, ours in names.items():
        words = [word.replace(theirs, ours) for word in words]

    status, out, err = run(words)

    assert status == 0, err
    if example.output is not None:
        assert not isinstance(example.output, str), example.output
        shape = None if "--query" in words else answer(example.operation)
        found = set(lacking(example.output, json.loads(out or "{}"), shape))
        expected = documented_gaps().get(example.name, set())
        assert found == expected, (found, expected)
