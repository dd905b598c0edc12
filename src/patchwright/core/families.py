# SPDX-License-Identifier: Apache-2.0
"""
What rules of each operating system may ask for: filter keys and the values that AWS lists for them (spec §1.19, §2.1).

A value that is not listed is no error: it matches what a vendor writes, or nothing.
"""

from __future__ import annotations

from typing import Dict, Mapping, Tuple

from patchwright.core.baseline import NEEDING_NOTICES
from patchwright.core.system import Family, OperatingSystem

Values = Mapping[str, Tuple[str, ...]]

_CLASSES = ("Security", "Bugfix", "Enhancement", "Recommended", "Newpackage")
_PRIORITIES = ("Required", "Important", "Standard", "Optional", "Extra")
_MEDIUM = ("Critical", "Important", "Medium", "Low")
_MODERATE = ("Critical", "Important", "Moderate", "Low")
_BOTH = ("Critical", "Important", "Medium", "Moderate", "Low")  # the two are one word (spec §2.1)

_SEVERITIES: Dict[OperatingSystem, Tuple[str, ...]] = {
    OperatingSystem.AMAZON_LINUX: _MEDIUM,
    OperatingSystem.AMAZON_LINUX_2: _MEDIUM,
    OperatingSystem.AMAZON_LINUX_2022: (*_MEDIUM, "None"),
    OperatingSystem.AMAZON_LINUX_2023: (*_MEDIUM, "None"),
    OperatingSystem.ORACLE_LINUX: _MODERATE,
    OperatingSystem.SUSE: _MODERATE,
}


def _minors(prefix: str, first: int, last: int) -> Tuple[str, ...]:
    return tuple(f"{prefix}{number}" for number in range(first, last + 1))


def _months(prefix: str, first: int, last: int, *months: str) -> Tuple[str, ...]:
    return tuple(f"{prefix}{year}.{month}" for year in range(first, last + 1) for month in months)


_PRODUCTS: Dict[OperatingSystem, Tuple[str, ...]] = {
    OperatingSystem.AMAZON_LINUX: (*_months("AmazonLinux", 2012, 2017, "03", "09"), "AmazonLinux2018.03"),
    OperatingSystem.AMAZON_LINUX_2: ("AmazonLinux2", "AmazonLinux2.0"),
    OperatingSystem.AMAZON_LINUX_2022: ("AmazonLinux2022",),
    OperatingSystem.AMAZON_LINUX_2023: ("AmazonLinux2023",),
    OperatingSystem.REDHAT_ENTERPRISE_LINUX: (
        *_minors("RedhatEnterpriseLinux6.", 5, 10),
        *_minors("RedhatEnterpriseLinux7.", 0, 9),
        "RedhatEnterpriseLinux8",
        *_minors("RedhatEnterpriseLinux8.", 0, 10),
        "RedhatEnterpriseLinux9",
        *_minors("RedhatEnterpriseLinux9.", 0, 7),
    ),
    OperatingSystem.CENTOS: (
        *_minors("CentOS6.", 5, 10),
        "CentOS7",
        *_minors("CentOS7.", 0, 9),
        "CentOS8",
        *_minors("CentOS8.", 0, 5),
        "CentOS8-Stream",
        "CentOS9-Stream",
    ),
    OperatingSystem.ORACLE_LINUX: (
        *_minors("OracleLinux7.", 0, 9),
        *_minors("OracleLinux8.", 0, 10),
        *_minors("OracleLinux9.", 0, 7),
    ),
    OperatingSystem.ROCKY_LINUX: (*_minors("RockyLinux8.", 4, 10), *_minors("RockyLinux9.", 0, 7)),
    OperatingSystem.ALMA_LINUX: (*_minors("AlmaLinux8.", 3, 10), *_minors("AlmaLinux9.", 0, 7)),
    OperatingSystem.SUSE: (*_minors("Suse12.", 0, 9), *_minors("Suse15.", 0, 7)),
    OperatingSystem.DEBIAN: _minors("Debian", 8, 13),
    OperatingSystem.RASPBIAN: _minors("RaspberryPiOS", 9, 12),
    OperatingSystem.UBUNTU: _months("Ubuntu", 14, 24, "04", "10"),
    OperatingSystem.MACOS: (
        *_minors("MacOS10.14.", 0, 6),
        *_minors("MacOS10.15.", 0, 7),
        *_minors("MacOS", 11, 13),
    ),
    OperatingSystem.WINDOWS: (
        *("WindowsServer2008", "WindowsServer2008R2", "WindowsServer2012", "WindowsServer2012R2"),
        *("WindowsServer2016", "WindowsServer2019", "WindowsServer2022"),
    ),
}

_WINDOWS: Values = {
    "PRODUCT": _PRODUCTS[OperatingSystem.WINDOWS],
    "PRODUCT_FAMILY": ("Windows",),
    "CLASSIFICATION": (
        *("CriticalUpdates", "DefinitionUpdates", "Drivers", "FeaturePacks", "SecurityUpdates", "ServicePacks"),
        *("Tools", "UpdateRollups", "Updates", "Upgrades"),
    ),
    "MSRC_SEVERITY": ("Critical", "Important", "Low", "Moderate", "Unspecified"),
}
_MACOS_CLASSES = ("softwareupdate", "installer", "brew", "brewcask")
_SUSE_CLASSES = ("Security", "Recommended", "Optional", "Feature", "Document", "Yast")


def properties(system: OperatingSystem) -> Values:
    """By filter key, the values that rules of *system* may ask for; `*`, which matches anything, is not listed."""
    family, products = system.family, _PRODUCTS[system]
    if family is Family.WINDOWS:
        return _WINDOWS
    if family is Family.MACOS:
        return {"PRODUCT": products, "CLASSIFICATION": _MACOS_CLASSES}
    if family is Family.APT:
        return {"PRODUCT": products, "PRIORITY": _PRIORITIES}
    classes = _SUSE_CLASSES if family is Family.ZYPP else _CLASSES
    return {"PRODUCT": products, "CLASSIFICATION": classes, "SEVERITY": _SEVERITIES.get(system, _BOTH)}


def rule_keys(system: OperatingSystem) -> Tuple[str, ...]:
    """The filter keys that make sense in rules of *system*; SECTION and PATCH_SET have values that nobody lists."""
    more = {Family.APT: ("SECTION",), Family.WINDOWS: ("PATCH_SET", "PATCH_ID")}
    return (*properties(system), *more.get(system.family, ()))


def without_notices(system: OperatingSystem) -> str:
    """What a node whose repositories publish no notices can be given, in words (spec §2.5)."""
    if system.family is not Family.RPM:
        return ""
    return "nothing" if system in NEEDING_NOTICES else "non-security alone, by build time"
