# SPDX-License-Identifier: Apache-2.0
"""Words of the form NAME=VALUE, as every command takes them."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from patchwright.cli.pairs import PAIR, api_tags, tag_targets


@pytest.fixture
def said():
    """Runs a command with options of such words; answers what it was given, or what it said of them."""
    given = []

    @click.command()
    @click.option("--tag", "tags", multiple=True, type=PAIR, metavar="KEY=VALUE")
    def command(tags):
        given.append(tags)

    def run(*words):
        result = CliRunner().invoke(command, [part for word in words for part in ("--tag", word)])
        return given.pop() if result.exit_code == 0 else result.output

    return run


def test_the_first_equals_sign_divides_them(said):
    """Values may be empty or have more of them."""
    pairs = said("env=dev,test", "note=a=b", "empty=")
    assert pairs == (("env", "dev,test"), ("note", "a=b"), ("empty", ""))
    assert api_tags(pairs)[1] == {"Key": "note", "Value": "a=b"}
    assert tag_targets(pairs[:1]) == [{"Key": "tag:env", "Values": ["dev", "test"]}]


@pytest.mark.parametrize("word", ["env", "=dev", ""])
def test_a_word_without_a_name_is_refused_in_the_options_own_words(said, word):
    """So that one sees what it takes."""
    assert f"KEY=VALUE is wanted, not {word!r}" in said(word)
