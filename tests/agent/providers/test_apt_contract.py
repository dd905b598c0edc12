# SPDX-License-Identifier: Apache-2.0
"""apt keeps the contract of providers, in every release whose apt differs."""

from __future__ import annotations

import pytest

from contract.provider import ProviderContract


class TestApt(ProviderContract):
    """On Debian 12 roots that are not booted."""

    @pytest.fixture
    def world(self, apt_world):
        """Nodes of the apt kind."""
        return apt_world


@pytest.mark.slow
class TestAptOfDebian11(ProviderContract):
    """apt 2.2, the oldest that is still looked after."""

    @pytest.fixture
    def world(self, apt_world_of):
        """Nodes of the apt kind."""
        return apt_world_of("deb11", "bullseye")


@pytest.mark.slow
class TestAptOfDebian13(ProviderContract):
    """apt 3.0, with another solver and other words."""

    @pytest.fixture
    def world(self, apt_world_of):
        """Nodes of the apt kind."""
        return apt_world_of("deb13", "trixie")
