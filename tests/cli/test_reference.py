# SPDX-License-Identifier: Apache-2.0
"""docs/reference/cli.md has an entry for every word and every option, and for none that is not there."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import click
import pytest

from cli.test_program import every_command
from patchwright.agent.__main__ import _parser as agent_parser
from patchwright.cli.config import SETTINGS
from patchwright.cli.program import patchwright
from patchwright.server.config import SETTINGS as SERVER_SETTINGS

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"
SHARED = {setting.flag for setting in SETTINGS}
HIDDEN = "child"  # the agent's word for itself


def sections() -> dict[str, str]:
    """The text below each heading that names a command."""
    parts = re.split(r"^#+ `(patchwright[a-z -]*)`$", PAGE.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def documented(text: str) -> set[str]:
    """The options that a section's list names."""
    lines = [line for line in text.splitlines() if line.startswith("* `--")]
    return {option for line in lines for option in re.findall(r"`(--[a-z-]+)`", line.partition(": ")[0])}


def commands() -> dict[str, set[str]]:
    """By its words, the options of every command that there is."""
    found = {"patchwright": {"--version", "--help"}}
    for words, command in every_command().items():
        options = {
            name for item in command.params if isinstance(item, click.Option) for name in item.opts if name[:2] == "--"
        }
        found[" ".join(("patchwright", *words))] = options - SHARED
    found["patchwright server"] = {setting.flag for setting in SERVER_SETTINGS if setting.flag}
    (agent,) = (action for action in agent_parser()._actions if isinstance(action, argparse._SubParsersAction))
    for name, parser in agent.choices.items():
        if name != HIDDEN:
            options = {
                option
                for action in parser._actions
                if action.help != argparse.SUPPRESS
                for option in action.option_strings
            }
            found[f"patchwright agent {name}"] = options - {"-h", "--help"}
    return found


def test_every_command_has_a_section_and_no_other():
    """A heading for each command, in both directions."""
    assert commands().keys() == sections().keys()


@pytest.mark.parametrize("command", sorted(commands()))
def test_every_option_has_an_entry_and_no_other(command):
    """An option that is added, renamed or dropped changes the page too."""
    assert commands()[command] == documented(sections()[command])


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_setting_has_a_row_with_its_variables(setting):
    """The table of the connection's options names every variable, in order."""
    row = f"| `{setting.flag}` {setting.metavar} | {', '.join(f'`{name}`' for name in setting.variables)} |"

    assert row in PAGE.read_text()


def test_the_shared_options_are_those_of_the_program():
    """What may stand in front of a command is what may stand after one that asks the server."""
    front = {item.opts[0] for item in patchwright.params} - {"--version"}

    assert SHARED == front
