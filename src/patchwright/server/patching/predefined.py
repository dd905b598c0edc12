# SPDX-License-Identifier: Apache-2.0
"""
The 17 predefined baselines (spec §2.3): read-only, the same in every account, addressed by ARN.

Names, rules and, for all but two, ids are those of AWS's us-east-1; the owner's account id is the same in every region here.
"""

from __future__ import annotations

from collections.abc import Sequence

from patchwright.core.baseline import ApprovalRule, Baseline, Filter
from patchwright.core.system import OperatingSystem
from patchwright.server.patching.model import Definition, PatchBaseline

OWNER = "075727635805"
_CREATED_AT = 1763596800.0  # 2025-11-20T00:00:00Z
_WEEK = 7


def _rule(*filters: tuple[str, Sequence[str]], days: int = _WEEK, non_security: bool = False) -> ApprovalRule:
    return ApprovalRule(
        filters=tuple(Filter(key, tuple(values)) for key, values in filters),
        approve_after_days=days,
        enable_non_security=non_security,
    )


def _advised(*severities: str) -> tuple[ApprovalRule, ...]:
    return (
        _rule(("CLASSIFICATION", ["Security"]), ("SEVERITY", severities)),
        _rule(("CLASSIFICATION", ["Bugfix"])),
    )


def _by_priority(days: int) -> tuple[ApprovalRule, ...]:
    return (_rule(("PRIORITY", ["Required", "Important", "Standard", "Optional", "Extra"]), days=days),)


_WINDOWS_OS = _rule(
    ("PATCH_SET", ["OS"]),
    ("CLASSIFICATION", ["CriticalUpdates", "SecurityUpdates"]),
    ("MSRC_SEVERITY", ["Critical", "Important"]),
)
_WINDOWS_APPLICATIONS = _rule(("PATCH_SET", ["APPLICATION"]))

# operating system, name, id, rules
_TABLE: tuple[tuple[OperatingSystem, str, str, tuple[ApprovalRule, ...]], ...] = (
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


def arn(region: str, baseline_id: str) -> str:
    """The ARN of the predefined baseline with this bare id."""
    return f"arn:aws:ssm:{region}:{OWNER}:patchbaseline/{baseline_id}"


def all_of(region: str) -> tuple[PatchBaseline, ...]:
    """Every predefined baseline, in the order of the table."""
    return tuple(_build(region, *row) for row in _TABLE)


def find(region: str, bare_id: str) -> PatchBaseline | None:
    """The predefined baseline with this bare id, or None."""
    return next((_build(region, *row) for row in _TABLE if row[2] == bare_id), None)


def default_of(region: str, operating_system: OperatingSystem) -> PatchBaseline:
    """The one that is the default until an account registers its own: the first of its operating system."""
    return next(_build(region, *row) for row in _TABLE if row[0] is operating_system)


def _build(
    region: str, operating_system: OperatingSystem, name: str, bare_id: str, rules: tuple[ApprovalRule, ...]
) -> PatchBaseline:
    definition = Definition(
        name=f"AWS-{name}",
        baseline=Baseline(operating_system, global_filters=(Filter("PRODUCT", ("*",)),), rules=rules),
        description=f"Default Patch Baseline for {_LABELS[operating_system]} Provided by AWS.",
    )
    return PatchBaseline(arn(region, bare_id), 1, definition, _CREATED_AT, _CREATED_AT, predefined=True)
