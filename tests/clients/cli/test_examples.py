# SPDX-License-Identifier: Apache-2.0
"""
The examples that the AWS CLI documents, run by the AWS CLI: accepted, and the documented members come back.

docs/reference/conformance.md lists the examples that are left out, and the members that are documented and not here.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
from fnmatch import fnmatchcase

import pytest
from awscli.clidriver import create_clidriver

from clients import page, place
from clients.cli.examples import Example, examples, pages
from clients.cli.members import answer, lacking
from clients.cli.scenes import SCENES as OWN_SCENES
from clients.cli.scenes import Stage
from clients.cli.windows import WINDOW_SCENES
from server.aws.served import Account, new_region

SCENES = {**OWN_SCENES, **WINDOW_SCENES}
LEFT_OUT = [pattern for (pattern,) in page.rows("Examples left out")]
EVERY = [example for name in pages() for example in examples(name)]
REPLAYED = [example for example in EVERY if not any(fnmatchcase(example.name, pattern) for pattern in LEFT_OUT)]


@pytest.fixture(scope="module")
def driver():
    """One AWS CLI for all examples: making one takes longer than most commands."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_ENDPOINT_URL"):
            patch.delenv(name, raising=False)
        yield create_clidriver()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server for all examples; each has a region of its own."""
    with place.listening(tmp_path_factory.mktemp("server")) as found:
        yield found


@pytest.fixture
def stage(server, tmp_path, monkeypatch):
    """A region for one example, and an empty folder to be in."""
    found = Stage(Account(server, new_region()), tmp_path)
    monkeypatch.chdir(tmp_path)
    for name, value in place.environment(server, found.account.region).items():
        monkeypatch.setenv(name, value)
    return found


def aws(driver, words):
    """The exit status of a command and what it wrote."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = driver.main(words)
    return status, out.getvalue(), err.getvalue()


def scene_of(example: Example):
    """The example's own scene, or its page's."""
    return SCENES.get(example.name) or SCENES[example.page]


def documented_gaps():
    """What conformance.md says is lacking, by example."""
    found: dict[str, set[str]] = {}
    for names, member in page.rows("Documented members that are not here"):
        for name in names.split(", "):
            found.setdefault(name.strip("` "), set()).update(part.strip("` ") for part in member.split(", "))
    return found


@pytest.mark.parametrize("example", REPLAYED, ids=lambda example: example.name.replace(" ", "-"))
def test_an_example_is_accepted_and_answered_as_documented(example, stage, driver, monkeypatch):
    """The command as the page has it, with ids that exist here; its answer has the documented members and types."""
    for name, text in example.files.items():
        (stage.folder / name).write_text(text)
    names = scene_of(example)(stage)
    if stage.signer is not None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", stage.signer.access_key_id)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", stage.signer.secret)
    words = list(example.words[1:])
    for theirs, ours in names.items():
        words = [word.replace(theirs, ours) for word in words]

    status, out, err = aws(driver, words)

    assert status == 0, err
    if example.output is not None:
        assert not isinstance(example.output, str), example.output
        shape = None if "--query" in words else answer(example.operation)
        gaps = documented_gaps().get(example.name, set())
        assert set(lacking(example.output, json.loads(out or "{}"), shape)) == gaps


def test_every_page_is_replayed_or_left_out_with_a_reason():
    """No example is forgotten, no reason is stale, no scene is for nothing."""
    without = [example.name for example in REPLAYED if example.name not in SCENES and example.page not in SCENES]
    stale = [pattern for pattern in LEFT_OUT if not any(fnmatchcase(example.name, pattern) for example in EVERY)]
    names = {example.name for example in REPLAYED} | {example.page for example in REPLAYED}

    assert without == []
    assert stale == []
    assert sorted(set(SCENES) - names) == []
    assert sorted(set(documented_gaps()) - {example.name for example in REPLAYED}) == []


def test_every_command_of_the_pages_is_found():
    """As many commands as the pages have lines that begin one: the reader of the pages overlooks nothing."""
    from clients.cli.examples import PAGES

    lines = [line for name in pages() for line in (PAGES / f"{name}.rst").read_text().splitlines()]
    assert len(EVERY) == len([line for line in lines if re.match(r"\s*(\$ )?aws ", line)])
