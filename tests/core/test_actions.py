# SPDX-License-Identifier: Apache-2.0
"""Which actions there are, where, and who runs them (spec §5.9)."""

from __future__ import annotations

import pytest

from patchwright.agent.node import AGENT_NAME
from patchwright.core import actions
from patchwright.server.gateway.registration import AMAZON_AGENT


@pytest.mark.parametrize(
    ("action", "schema", "platforms"),
    [
        ("aws:runShellScript", "2.2", ("Linux", "MacOS")),
        ("aws:runShellScript", "1.2", ("Linux", "MacOS")),
        ("aws:runPowerShellScript", "2.2", ("Windows", "Linux", "MacOS")),
        ("aws:runPowerShellScript", "2.0", ("Windows",)),
        ("aws:psModule", "2.2", ("Windows",)),
        ("aws:runDocument", "2.2", ("Windows", "Linux", "MacOS")),
        ("patchwright:patch", "2.2", ("Linux",)),
        ("my:own", "2.2", ("Windows", "Linux", "MacOS")),
    ],
)
def test_an_action_is_for_some_platforms(action, schema, platforms):
    """Before schema 2.2 PowerShell was on Windows only; what nobody knows may be anywhere, and is not known."""
    assert actions.platforms_of(action, schema=schema) == platforms
    assert actions.is_known(action) is (action != "my:own")


def test_agents_run_what_they_run():
    """Ours what it serves; Amazon's that, since steps of ours become scripts there, and what needs nothing of the server's."""
    assert (AGENT_NAME, AMAZON_AGENT) == (actions.OUR_AGENT, actions.AMAZONS_AGENT)
    for action in actions.SERVED:
        assert all(actions.is_served(action, agent) for agent in ("", actions.OUR_AGENT, actions.AMAZONS_AGENT))
    assert actions.is_served("aws:runDockerAction", actions.AMAZONS_AGENT)
    assert actions.is_served("aws:runDockerAction")
    assert not actions.is_served("aws:runDockerAction", actions.OUR_AGENT)
    assert not actions.is_served("aws:configurePackage")
