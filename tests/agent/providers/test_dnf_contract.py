# SPDX-License-Identifier: Apache-2.0
"""dnf 4 and dnf 5 keep the contract of providers, on booted nodes."""

from __future__ import annotations

import pytest

from contract.rpm import ModularContract
from patchwright.agent.providers.dnf import Dnf


class TestDnf4(ModularContract):
    """What RHEL 8 and 9 and their kin have, and Amazon Linux 2023."""

    @pytest.fixture
    def world(self, rpm_world_of):
        """Nodes with dnf 4."""
        return rpm_world_of("dnf4", Dnf)


class TestDnf5(ModularContract):
    """What Fedora has since 41 and RHEL's successors will have."""

    @pytest.fixture
    def world(self, rpm_world_of):
        """Nodes with dnf 5."""
        return rpm_world_of("dnf5", Dnf)
