# SPDX-License-Identifier: Apache-2.0
"""
The examples that the AWS CLI documents, run by the AWS CLI: accepted, and the documented members come back.

docs/reference/conformance.md lists the examples that are left out, and the members that are documented and not here.
"""

from __future__ import annotations

import contextlib
import io
import os
import random
import re
from fnmatch import fnmatchcase

import pytest
from awscli.clidriver import create_clidriver

from clients.cli.examples import PAGES, pages
from clients.cli.replay import EVERY, LEFT_OUT, REPLAYED, SCENES, documented_gaps, replay

# All of them where everything is run, else every fourth, by the seed.
_chance = random.Random(f"examples {os.environ.get('PATCHWRIGHT_SEED', '20261120')}")
DRAWN = REPLAYED if os.environ.get("PATCHWRIGHT_FULL") else _chance.sample(REPLAYED, len(REPLAYED) // 4)


@pytest.fixture(scope="module")
def driver():
    """One AWS CLI for all examples: making one takes longer than most commands."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_ENDPOINT_URL"):
            patch.delenv(name, raising=False)
        yield create_clidriver()


@pytest.mark.parametrize("example", DRAWN, ids=lambda example: example.name.replace(" ", "-"))
def test_an_example_is_accepted_and_answered_as_documented(example, stage, driver, monkeypatch):
    """The command as the page has it, with ids that exist here; its answer has the documented members and types."""

    def run(words):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = driver.main(words)
        return status, out.getvalue(), err.getvalue()

    replay(example, stage, run, monkeypatch)


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
    lines = [line for name in pages() for line in (PAGES / f"{name}.rst").read_text().splitlines()]
    assert len(EVERY) == len([line for line in lines if re.match(r"\s*(\$ )?aws ", line)])
