# SPDX-License-Identifier: Apache-2.0
"""The tests that docs/howto/write-a-node-test.md shows are run as they stand there, and are as short as it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs/howto/write-a-node-test.md"
EXAMPLES = {
    match.group(1): block
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    if (match := re.search(r"^def (test_\w+)", block, re.MULTILINE))
}


def _run(name: str, **fixtures: object) -> None:
    variables: dict[str, object] = {"pytest": pytest}  # imported once, by the first example
    exec(compile(EXAMPLES[name], str(PAGE), "exec"), variables)  # noqa: S102 - a page of this repository
    variables[name](**fixtures)  # type: ignore[operator]


def test_the_page_shows_three_tests_the_first_in_ten_lines():
    """A newcomer writes ten lines, not counting blank ones."""
    assert len(EXAMPLES) == 3
    assert len([line for line in next(iter(EXAMPLES.values())).splitlines() if line.strip()]) <= 10


@pytest.mark.farm
def test_the_first_example_runs(debrepo, new_node):
    """With nothing but the farm's fixtures."""
    _run("test_a_security_update_is_installed", debrepo=debrepo, new_node=new_node)


@pytest.mark.farm
def test_the_example_for_rpm_systems_runs(rpmrepo, new_node):
    """With the same fixtures and another repository."""
    _run("test_a_critical_update_is_installed", rpmrepo=rpmrepo, new_node=new_node)


@pytest.mark.farm
@pytest.mark.e2e
def test_the_second_example_runs(station, debrepo, new_node):
    """With a server and an agent."""
    name = "test_an_update_is_missing_until_it_is_installed"
    _run(name, station=station, debrepo=debrepo, new_node=new_node)
