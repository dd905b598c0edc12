# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the windows room: a whole server, with a clock that stands until it is moved."""

from __future__ import annotations

import pytest

from server.gateway.house import build
from server.windows.stage import Stage


@pytest.fixture
async def house(database_url, tmp_path):
    """A house with a database of its own: the job looks at the windows of every account."""
    made = await build(tmp_path, database_url, "000000000001")
    yield made
    await made.close()


@pytest.fixture
def stage(house):
    """A stage on a house."""
    return Stage(house)


@pytest.fixture
async def node(house):
    """A node of the group web."""
    return await house.enrol(tags={"Patch Group": "web"})
