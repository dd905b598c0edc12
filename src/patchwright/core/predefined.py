# SPDX-License-Identifier: Apache-2.0
"""
The 17 predefined baselines (spec §2.3): what decides when an account has registered nothing of its own.

Names and rules are AWS's. Ids are those of AWS's us-east-1, for all but the two further Windows ones.
"""

from __future__ import annotations

from typing import NamedTuple, Sequence, Tuple

from patchwright.core.baseline import ApprovalRule, Baseline, Filter
from patchwright.core.system import OperatingSystem

_WEEK = 7


class Predefined(NamedTuple):
    """A predefined baseline. *id* is the bare id."""

    id: str
    name: str
    description: str
    baseline: Baseline


def _rule(*filters: Tuple[str, Sequence[str]], days: int = _WEEK, non_security: bool = False) -> ApprovalRule:
    return ApprovalRule(
        filters=tuple(Filter(key, tuple(values)) for key, values in filters),
        approve_after_days=days,
        enable_non_security=non_security,
    )


def _advised(*severities: str) -> Tuple[ApprovalRule, ...]:
    return (
        _rule(("CLASSIFICATION", ["Security"]), ("SEVERITY", severities)),
        _rule(("CLASSIFICATION", ["Bugfix"])),
    )


def _by_priority(days: int) -> Tuple[ApprovalRule, ...]:
    return (_rule(("PRIORITY", ["Required", "Important", "Standard", "Optional", "Extra"]), days=days),)


_WINDOWS_OS = _rule(
    ("PATCH_SET", ["OS"]),
    ("CLASSIFICATION", ["CriticalUpdates", "SecurityUpdates"]),
    ("MSRC_SEVERITY", ["Critical", "Important"]),
)
_WINDOWS_APPLICATIONS = _rule(("PATCH_SET", ["APPLICATION"]))

# operating system, name, id, rules
_TABLE: Tuple[Tuple[OperatingSystem, str, str, Tuple[ApprovalRule, ...]], ...] = (
    (
        OperatingSystem.AMAZON_LINUX,
        "AmazonLinuxDefaultPatchBaseline",
        "pb-0c10e657807c7a700",
        _advised("Critical", "Important"),
    ),
    (
        OperatingSystem.AMAZON_LINUX_2,
        "AmazonLinux2DefaultPatchBaseline",
        "pb-0be8c61cde3be63f3",
        _advised("Critical", "Important"),
    ),
    (
        OperatingSystem.AMAZON_LINUX_2022,
        "AmazonLinux2022DefaultPatchBaseline",
        "pb-0028ca011460d5eaf",
        _advised("Critical", "Important"),
    ),
    (
        OperatingSystem.AMAZON_LINUX_2023,
        "AmazonLinux2023DefaultPatchBaseline",
        "pb-05c9c9bf778d4c4d0",
        _advised("Critical", "Important"),
    ),
    (
        OperatingSystem.ALMA_LINUX,
        "AlmaLinuxDefaultPatchBaseline",
        "pb-0cb0c4966f86b059b",
        _advised("Critical", "Important"),
    ),
    (
        OperatingSystem.ROCKY_LINUX,
        "RockyLinuxDefaultPatchBaseline",
        "pb-03ec98bc512aa3ac0",
        _advised("Critical", "Important"),
    ),
    (
        OperatingSystem.REDHAT_ENTERPRISE_LINUX,
        "RedHatDefaultPatchBaseline",
        "pb-0cbb3a633de00f07c",
        _advised("Critical", "Important"),
    ),
    (OperatingSystem.CENTOS, "CentOSDefaultPatchBaseline", "pb-03e3f588eec25344c", (_rule(non_security=True),)),
    (
        OperatingSystem.ORACLE_LINUX,
        "OracleLinuxDefaultPatchBaseline",
        "pb-06bff38e95fe85c02",
        _advised("Important", "Moderate"),
    ),
    (
        OperatingSystem.SUSE,
        "SuseDefaultPatchBaseline",
        "pb-07d8884178197b66b",
        (_rule(("CLASSIFICATION", ["Security"]), ("SEVERITY", ["Critical", "Important"])),),
    ),
    (OperatingSystem.DEBIAN, "DebianDefaultPatchBaseline", "pb-09a5f8eb62bde80b1", _by_priority(0)),
    (OperatingSystem.UBUNTU, "UbuntuDefaultPatchBaseline", "pb-0c7e89f711c3095f4", _by_priority(_WEEK)),
    (OperatingSystem.RASPBIAN, "RaspbianDefaultPatchBaseline", "pb-0ec16280999c5c75e", _by_priority(0)),
    (
        OperatingSystem.MACOS,
        "MacOSDefaultPatchBaseline",
        "pb-0ee4f94581368c0d4",
        (_rule(("CLASSIFICATION", ["*"])),),
    ),
    (OperatingSystem.WINDOWS, "DefaultPatchBaseline", "pb-09ca3fb51f0412ec3", (_WINDOWS_OS,)),
    (OperatingSystem.WINDOWS, "WindowsPredefinedPatchBaseline-OS", "pb-0a7c3f5d1e9b24680", (_WINDOWS_OS,)),
    (
        OperatingSystem.WINDOWS,
        "WindowsPredefinedPatchBaseline-OS-Applications",
        "pb-0b8d4a6e2fac35791",
        (_WINDOWS_OS, _WINDOWS_APPLICATIONS),
    ),
)

_LABELS = {
    OperatingSystem.AMAZON_LINUX: "Amazon Linux",
    OperatingSystem.AMAZON_LINUX_2: "Amazon Linux 2",
    OperatingSystem.AMAZON_LINUX_2022: "Amazon Linux 2022",
    OperatingSystem.AMAZON_LINUX_2023: "Amazon Linux 2023",
    OperatingSystem.ALMA_LINUX: "Alma Linux",
    OperatingSystem.ROCKY_LINUX: "Rocky Linux",
    OperatingSystem.REDHAT_ENTERPRISE_LINUX: "Red Hat Enterprise Linux",
    OperatingSystem.CENTOS: "CentOS",
    OperatingSystem.ORACLE_LINUX: "Oracle Linux",
    OperatingSystem.SUSE: "SUSE Linux Enterprise Server",
    OperatingSystem.DEBIAN: "Debian",
    OperatingSystem.UBUNTU: "Ubuntu",
    OperatingSystem.RASPBIAN: "Raspberry Pi OS",
    OperatingSystem.MACOS: "macOS",
    OperatingSystem.WINDOWS: "Windows",
}


PREDEFINED: Tuple[Predefined, ...] = tuple(
    Predefined(
        bare_id,
        "AWS-" + name,
        f"Default Patch Baseline for {_LABELS[system]} Provided by AWS.",
        Baseline(system, global_filters=(Filter("PRODUCT", ("*",)),), rules=rules),
    )
    for system, name, bare_id, rules in _TABLE
)


def default_of(operating_system: OperatingSystem) -> Predefined:
    """The one in force until an account registers its own: the first of its operating system."""
    return next(item for item in PREDEFINED if item.baseline.operating_system is operating_system)
