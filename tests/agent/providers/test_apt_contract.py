# SPDX-License-Identifier: Apache-2.0
"""apt keeps the contract of providers, in every release whose apt differs."""

from __future__ import annotations

import pytest

from contract.provider import Made, ProviderContract, keys
from patchwright.core.plan import Intent, Resolution, Wanted


class AptContract(ProviderContract):
    """What only dpkg has: packages that are unpacked and not configured."""

    def test_unfinished_configuration_is_an_action(self, world):
        """A wanted package that only lacks its configuration gives an action without a new version, and is configured."""
        node = world(Made("foo"), Made("bar"))
        node.break_off("foo")
        intent = Intent((Wanted("foo", node.arch, "1.0-2", "1.0-2"),))
        plan = node.plan(intent)

        assert keys(Resolution(plan.actions, {})) == {node.key("foo"): ("1.0-2", "1.0-2", True)}
        assert node.provider.install(plan, lambda line: None).failures == {}
        assert {p.state for p in node.provider.read().packages.packages if p.name == "foo"} == {"installed"}


class TestApt(AptContract):
    """On Debian 12 roots that are not booted."""

    @pytest.fixture
    def world(self, apt_world):
        """Nodes of the apt kind."""
        return apt_world


@pytest.mark.slow
class TestAptOfDebian11(AptContract):
    """apt 2.2, the oldest that is still looked after."""

    @pytest.fixture
    def world(self, apt_world_of):
        """Nodes of the apt kind."""
        return apt_world_of("deb11", "bullseye")


@pytest.mark.slow
class TestAptOfDebian13(AptContract):
    """apt 3.0, with another solver and other words."""

    @pytest.fixture
    def world(self, apt_world_of):
        """Nodes of the apt kind."""
        return apt_world_of("deb13", "trixie")
