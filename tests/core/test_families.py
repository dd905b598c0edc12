# SPDX-License-Identifier: Apache-2.0
"""The values that rules may ask for, by operating system (spec §2.1)."""

from __future__ import annotations

import pytest

from patchwright.core.families import properties, rule_keys, without_notices
from patchwright.core.system import OperatingSystem


@pytest.mark.parametrize(
    ("system", "keys"),
    [
        (OperatingSystem.DEBIAN, ["PRODUCT", "PRIORITY", "SECTION"]),
        (OperatingSystem.SUSE, ["PRODUCT", "CLASSIFICATION", "SEVERITY"]),
        (OperatingSystem.ORACLE_LINUX, ["PRODUCT", "CLASSIFICATION", "SEVERITY"]),
        (OperatingSystem.MACOS, ["PRODUCT", "CLASSIFICATION"]),
    ],
)
def test_rules_have_the_keys_of_their_system(system, keys):
    """Those that make sense there."""
    assert list(rule_keys(system)) == keys


def test_severities_are_those_of_the_publisher():
    """Amazon writes Medium, Oracle and SUSE Moderate, the others either; None is Amazon Linux 2022's and 2023's."""
    assert "Medium" in properties(OperatingSystem.AMAZON_LINUX_2)["SEVERITY"]
    assert properties(OperatingSystem.AMAZON_LINUX_2023)["SEVERITY"][-1] == "None"
    assert properties(OperatingSystem.ORACLE_LINUX)["SEVERITY"] == properties(OperatingSystem.SUSE)["SEVERITY"]
    assert {"Medium", "Moderate"} <= {*properties(OperatingSystem.ROCKY_LINUX)["SEVERITY"]}


@pytest.mark.parametrize("system", OperatingSystem)
def test_every_system_has_products_each_once(system):
    """And no value twice under any key."""
    for values in properties(system).values():
        assert values
        assert len(set(values)) == len(values)


def test_without_notices_three_systems_have_nothing():
    """Red Hat, Rocky and Alma; on apt there are none anyway."""
    nothing = {system.name for system in OperatingSystem if without_notices(system) == "nothing"}

    assert nothing == {"REDHAT_ENTERPRISE_LINUX", "ROCKY_LINUX", "ALMA_LINUX"}
    assert without_notices(OperatingSystem.DEBIAN) == ""
