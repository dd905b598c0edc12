# SPDX-License-Identifier: Apache-2.0
"""zypper keeps the contract of providers, on a booted node."""

from __future__ import annotations

import pytest

from contract.provider import Made
from contract.rpm import RpmContract
from patchwright.agent.providers.zypper import Zypper
from patchwright.core.plan import Action, Plan


class TestZypper(RpmContract):
    """zypper 1.14, as SUSE Linux Enterprise 15 has it."""

    @pytest.fixture
    def world(self, rpm_world_of):
        """Nodes of the zypper kind."""
        return rpm_world_of("zypper", Zypper)

    def test_a_plan_that_names_a_removal_removes_nothing(self, rpm_world_of):
        """zypper takes `-name` and `!name` for one, and `name*` for many: none of them reaches it."""
        node = rpm_world_of("zypper", Zypper)(Made("foo"), Made("bar"))
        good = node.plan(node.intent("foo")).actions
        bad = tuple(Action(name, "noarch", "", "1.0-2", wanted=True) for name in ("-bar", "!bar", "ba*"))
        outcome = node.provider.install(Plan(node.provider.manager, "s-1", (*bad, *good)), lambda line: None)

        assert sorted(outcome.failures) == ["!bar.noarch", "-bar.noarch", "ba*.noarch"]
        assert {name: node.versions()[node.key(name)] for name in ("foo", "bar")} == {"foo": "1.0-2", "bar": "1.0-1"}
