# SPDX-License-Identifier: Apache-2.0
"""The reference pages name what the code serves, and nothing else."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from architecture import operations_page
from patchwright.agent.config import PATHS, TABLE, Settings
from patchwright.core.compliance import Doubt
from patchwright.server import gateway
from patchwright.server.config import SETTINGS, Quotas

ROOT = Path(__file__).parents[2]


def documented(text: str) -> set[str]:
    """The operations that the page has a row for as served, as targets."""
    sections = dict(re.findall(r"^## (.*?)$(.*?)(?=^## |\Z)", text, re.M | re.S))
    found = set(re.findall(r"`(\w+\.\w+)`", sections["For agents"]))
    for title, body in sections.items():
        prefix = re.search(r"\(`(\w+)`", title)
        if prefix:
            found |= {f"{prefix[1]}.{name}" for name in re.findall(r"^\| ([A-Z]\w+) \|(?! refused| \d)", body, re.M)}
    return found


def test_the_page_of_operations_is_what_the_code_serves():
    """Written anew, docs/reference/operations.md would be the same."""
    assert operations_page.PAGE.read_text() == operations_page.page(), operations_page.__doc__


def test_every_operation_of_the_model_is_in_one_group():
    """A newer model's operations are not forgotten: they are served or refused for a reason. The agents' have a table of their own."""
    agents = {target.partition(".")[2] for target in gateway.operations(MagicMock())}
    grouped = [name for group in operations_page.words()["groups"] for name in group["operations"]]

    assert len(grouped) == len(set(grouped))
    assert set(grouped) == operations_page.modelled() - agents


def test_every_served_operation_says_how_it_differs():
    """With an entry in operations.toml, be it empty; and no other operation has one."""
    told, answered = operations_page.words(), operations_page.for_clients()
    assert set(told["notes"]) == answered
    assert not set(told["refused"]) & answered


def test_every_operation_is_documented_and_no_other():
    """docs/reference/operations.md has a row for each target that the edges serve."""
    assert documented(operations_page.PAGE.read_text()) == operations_page.served()


def test_a_missing_operation_would_be_found():
    """The page without one of its rows does not pass."""
    text = operations_page.PAGE.read_text().replace("| GetVerdict |", "| |")
    assert operations_page.served() - documented(text) == {"Patchwright.GetVerdict"}


@pytest.mark.parametrize("doubt", Doubt, ids=lambda doubt: doubt.value)
def test_every_doubt_is_documented(doubt):
    """docs/reference/verdict.md has a row for each."""
    assert f"\n| `{doubt.value}` | " in (ROOT / "docs" / "reference" / "verdict.md").read_text()


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_setting_is_documented(setting):
    """docs/reference/settings.md has a row for each setting of the server, with its variable, flag and default."""
    rows = (ROOT / "docs" / "reference" / "settings.md").read_text().splitlines()
    flag = f"`{setting.flag}`" if setting.flag else ""
    default = f"`{setting.default}`" if setting.default else ""
    assert f"| `{setting.variable}` | {flag} | {default} | {setting.help} |" in rows


@pytest.mark.parametrize("one", fields(Quotas), ids=lambda one: one.name)
def test_every_quota_is_documented(one):
    """docs/reference/settings.md has a row for each quota, with its variable and default."""
    rows = (ROOT / "docs" / "reference" / "settings.md").read_text().splitlines()
    assert f"| `PATCHWRIGHT_QUOTA_{one.name.upper()}` | {one.default} | {one.metadata['help']} |" in rows


@pytest.mark.parametrize("name", PATHS)
def test_every_path_that_the_agent_is_told_is_documented(name):
    """With its variable and default."""
    rows = (ROOT / "docs" / "reference" / "agent-settings.md").read_text().splitlines()
    default = getattr(Settings(), name)
    wanted = f"| `{name}` | `PATCHWRIGHT_AGENT_{name.upper()}` | `{default}` | an absolute path | {PATHS[name]} |"
    assert wanted in rows


@pytest.mark.parametrize("name", TABLE)
def test_every_setting_of_the_agent_is_documented(name):
    """docs/reference/agent-settings.md has a row for each, with its variable, default and bounds."""
    rows = (ROOT / "docs" / "reference" / "agent-settings.md").read_text().splitlines()
    row, default = TABLE[name], getattr(Settings(), name)
    wanted = (
        f"| `{name}` | `PATCHWRIGHT_AGENT_{name.upper()}` | {default} | {row.minimum} to {row.maximum} | {row.help} |"
    )
    assert wanted in rows
