# SPDX-License-Identifier: Apache-2.0
"""The predefined baselines: which there are, and what they decide."""

from __future__ import annotations

import re

import pytest

from core.made import TODAY, deb, notice, rpm
from patchwright.core.baseline import ComplianceLevel, Filter, decide
from patchwright.core.predefined import PREDEFINED, default_of
from patchwright.core.system import OperatingSystem

DEFAULTS = {
    "WINDOWS": "AWS-DefaultPatchBaseline",
    "AMAZON_LINUX": "AWS-AmazonLinuxDefaultPatchBaseline",
    "AMAZON_LINUX_2": "AWS-AmazonLinux2DefaultPatchBaseline",
    "AMAZON_LINUX_2022": "AWS-AmazonLinux2022DefaultPatchBaseline",
    "AMAZON_LINUX_2023": "AWS-AmazonLinux2023DefaultPatchBaseline",
    "UBUNTU": "AWS-UbuntuDefaultPatchBaseline",
    "REDHAT_ENTERPRISE_LINUX": "AWS-RedHatDefaultPatchBaseline",
    "SUSE": "AWS-SuseDefaultPatchBaseline",
    "CENTOS": "AWS-CentOSDefaultPatchBaseline",
    "ORACLE_LINUX": "AWS-OracleLinuxDefaultPatchBaseline",
    "DEBIAN": "AWS-DebianDefaultPatchBaseline",
    "MACOS": "AWS-MacOSDefaultPatchBaseline",
    "RASPBIAN": "AWS-RaspbianDefaultPatchBaseline",
    "ROCKY_LINUX": "AWS-RockyLinuxDefaultPatchBaseline",
    "ALMA_LINUX": "AWS-AlmaLinuxDefaultPatchBaseline",
}


def test_every_operating_system_has_its_default():
    """Fifteen of the seventeen are defaults; the other two are Windows'."""
    assert {system.value: default_of(system).name for system in OperatingSystem} == DEFAULTS
    assert len(PREDEFINED) == 17
    assert {item.name for item in PREDEFINED} - set(DEFAULTS.values()) == {
        "AWS-WindowsPredefinedPatchBaseline-OS",
        "AWS-WindowsPredefinedPatchBaseline-OS-Applications",
    }


@pytest.mark.parametrize("item", PREDEFINED, ids=lambda item: item.name)
def test_a_predefined_baseline_looks_as_the_api_wants_it(item):
    """An id of its own, any product, no lists, and no level above UNSPECIFIED."""
    assert re.fullmatch(r"pb-[0-9a-f]{17}", item.id)
    assert sum(other.id == item.id for other in PREDEFINED) == 1
    assert re.fullmatch(r"Default Patch Baseline for .+ Provided by AWS\.", item.description)
    assert item.baseline.global_filters == (Filter("PRODUCT", ("*",)),)
    assert not item.baseline.approved
    assert not item.baseline.rejected
    assert {rule.level for rule in item.baseline.rules} == {ComplianceLevel.UNSPECIFIED}


OLD = {"updated": "2026-11-13"}
NEW = {"updated": "2026-11-14"}


@pytest.mark.parametrize(
    ("system", "patch", "verdict"),
    [
        ("DEBIAN", deb(priority="optional"), "APPROVED"),
        ("DEBIAN", deb(priority="required"), "APPROVED"),
        ("DEBIAN", deb(security=False), "NOT_APPROVED"),
        ("DEBIAN", deb(priority="source"), "NOT_APPROVED"),
        ("UBUNTU", deb(priority="extra"), "APPROVED"),
        ("RASPBIAN", deb(priority="standard"), "APPROVED"),
        ("ROCKY_LINUX", rpm(notices=(notice(severity="Critical", **OLD),)), "APPROVED"),
        ("ROCKY_LINUX", rpm(notices=(notice(severity="Critical", **NEW),)), "PENDING"),
        ("ROCKY_LINUX", rpm(notices=(notice(severity="Moderate", **OLD),)), "NOT_APPROVED"),
        ("ROCKY_LINUX", rpm(notices=(notice(classification="Bugfix", severity="", **OLD),)), "APPROVED"),
        ("ROCKY_LINUX", rpm(notices=(notice(classification="Enhancement", **OLD),)), "NOT_APPROVED"),
        ("ROCKY_LINUX", rpm(), "NOT_APPROVED"),
        ("ORACLE_LINUX", rpm(notices=(notice(severity="Moderate", **OLD),)), "APPROVED"),
        ("ORACLE_LINUX", rpm(notices=(notice(severity="Critical", **OLD),)), "NOT_APPROVED"),
        ("CENTOS", rpm(), "APPROVED"),
        ("CENTOS", rpm(build_time=1_795_000_000), "PENDING"),
        ("AMAZON_LINUX_2023", rpm(notices=(notice(severity="Medium", **OLD),)), "NOT_APPROVED"),
    ],
)
def test_a_default_decides_as_aws_describes_it(system, patch, verdict):
    """Security archives at once on apt; on rpm the severe and the bugfixes after seven days; CentOS everything."""
    assert decide(default_of(OperatingSystem(system)).baseline, patch, TODAY).verdict.value == verdict
