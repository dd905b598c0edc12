# SPDX-License-Identifier: Apache-2.0
"""Service settings: a default until somebody sets them (spec §1.19)."""

from __future__ import annotations

import pytest

from patchwright.server import settings
from patchwright.server.accounts import Scope
from patchwright.server.settings import UnknownSetting, UnsuitableValue
from patchwright.server.settings.model import DEFINITIONS
from server.clocks import FakeClock

NOW = 1_795_147_200.0
TIER = "/ssm/parameter-store/default-parameter-tier"
ROOT = "arn:aws:iam::000000000001:root"


@pytest.fixture
def service(shared_database):
    """The room's service."""
    return settings.Service(shared_database, FakeClock(NOW))


async def test_a_setting_has_its_default_until_it_is_set_and_after_it_is_reset(service, shared_database, scope):
    """Who set it, and when, is kept as long as it is set."""
    before = await service.get(scope, TIER)
    await service.update(scope, TIER, "Advanced", principal=ROOT)
    during = await service.get(scope, TIER)
    assert await shared_database.read(settings.value, scope, TIER) == "Advanced"
    after = await service.reset(scope, TIER)

    assert (before.value, before.customized, before.modified_at) == ("Standard", False, 0.0)
    assert (during.value, during.customized, during.modified_at, during.modified_by) == ("Advanced", True, NOW, ROOT)
    assert after == before == await service.get(scope, TIER)


async def test_a_setting_that_is_set_to_its_default_is_set(service, scope):
    """Should the default change one day, this does not."""
    await service.update(scope, TIER, "Standard", principal=ROOT)

    assert (await service.get(scope, TIER)).customized


async def test_a_setting_is_of_one_account_and_region(service, scope):
    """The neighbours keep their defaults."""
    await service.update(scope, TIER, "Advanced", principal=ROOT)

    for where in (Scope(scope.account, "eu-west-1"), Scope("9" + scope.account[1:], scope.region)):
        assert (await service.get(where, TIER)).value == "Standard"


async def test_a_setting_is_named_by_its_id_or_its_arn(service, scope):
    """An ARN of somebody else names nothing."""
    arn = f"arn:aws:ssm:{scope.region}:{scope.account}:servicesetting{TIER}"
    await service.update(scope, arn, "Advanced", principal=ROOT)

    assert (await service.get(scope, TIER)) == (await service.get(scope, arn))
    for wrong in (
        arn.replace(scope.account, "999999999999"),
        arn.replace(scope.region, "eu-west-1"),
        arn + "x",
        TIER[1:],
        "/ssm/unknown",
        "",
        "arn:aws:ssm",
    ):
        with pytest.raises(UnknownSetting):
            await service.get(scope, wrong)
        with pytest.raises(UnknownSetting):
            await service.update(scope, wrong, "Standard", principal=ROOT)
        with pytest.raises(UnknownSetting):
            await service.reset(scope, wrong)


@pytest.mark.parametrize("setting_id", sorted(DEFINITIONS))
async def test_a_setting_takes_what_it_can_be_and_nothing_else(service, scope, setting_id):
    """Its default among it; a refused value changes nothing."""
    definition = DEFINITIONS[setting_id]
    for value in {definition.default, *definition.values}:
        await service.update(scope, setting_id, value, principal=ROOT)
    kept = await service.get(scope, setting_id)

    for wrong in ("", "no such value!", "x" * 4096):
        with pytest.raises(UnsuitableValue):
            await service.update(scope, setting_id, wrong, principal=ROOT)
    assert await service.get(scope, setting_id) == kept
