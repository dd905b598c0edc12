# SPDX-License-Identifier: Apache-2.0
"""zypper keeps the contract of providers, on a booted node."""

from __future__ import annotations

import pytest

from contract.rpm import RpmContract
from patchwright.agent.providers.zypper import Zypper


class TestZypper(RpmContract):
    """zypper 1.14, as SUSE Linux Enterprise 15 has it."""

    @pytest.fixture
    def world(self, rpm_world_of):
        """Nodes of the zypper kind."""
        return rpm_world_of("zypper", Zypper)
