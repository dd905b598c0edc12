# SPDX-License-Identifier: Apache-2.0
"""Which operating system a node runs, in the words of the API: read from os-release, never guessed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Mapping, Optional


class Family(Enum):
    """How a baseline selects patches (spec §2.5): the package manager's kind of metadata decides."""

    APT = "apt"
    RPM = "rpm"
    ZYPP = "zypp"
    MACOS = "macos"
    WINDOWS = "windows"


class OperatingSystem(str, Enum):
    """The OperatingSystem values of the API (botocore `ssm`), in the model's order."""

    WINDOWS = "WINDOWS"
    AMAZON_LINUX = "AMAZON_LINUX"
    AMAZON_LINUX_2 = "AMAZON_LINUX_2"
    AMAZON_LINUX_2022 = "AMAZON_LINUX_2022"
    UBUNTU = "UBUNTU"
    REDHAT_ENTERPRISE_LINUX = "REDHAT_ENTERPRISE_LINUX"
    SUSE = "SUSE"
    CENTOS = "CENTOS"
    ORACLE_LINUX = "ORACLE_LINUX"
    DEBIAN = "DEBIAN"
    MACOS = "MACOS"
    RASPBIAN = "RASPBIAN"
    ROCKY_LINUX = "ROCKY_LINUX"
    ALMA_LINUX = "ALMA_LINUX"
    AMAZON_LINUX_2023 = "AMAZON_LINUX_2023"

    @property
    def family(self) -> Family:
        """The selection rules that apply."""
        return _FAMILIES.get(self, Family.RPM)


_FAMILIES = {
    OperatingSystem.DEBIAN: Family.APT,
    OperatingSystem.UBUNTU: Family.APT,
    OperatingSystem.RASPBIAN: Family.APT,
    OperatingSystem.SUSE: Family.ZYPP,
    OperatingSystem.MACOS: Family.MACOS,
    OperatingSystem.WINDOWS: Family.WINDOWS,
}

# os-release ID -> (value of the API, how the product's name starts, how many parts of the version it keeps)
_BY_ID = {
    "debian": (OperatingSystem.DEBIAN, "Debian", 1),
    "ubuntu": (OperatingSystem.UBUNTU, "Ubuntu", 2),
    "raspbian": (OperatingSystem.RASPBIAN, "RaspberryPiOS", 1),
    "rhel": (OperatingSystem.REDHAT_ENTERPRISE_LINUX, "RedhatEnterpriseLinux", 2),
    "rocky": (OperatingSystem.ROCKY_LINUX, "RockyLinux", 2),
    "almalinux": (OperatingSystem.ALMA_LINUX, "AlmaLinux", 2),
    "ol": (OperatingSystem.ORACLE_LINUX, "OracleLinux", 2),
    "centos": (OperatingSystem.CENTOS, "CentOS", 2),
    "sles": (OperatingSystem.SUSE, "Suse", 2),
}
_AMAZON = {
    "2": OperatingSystem.AMAZON_LINUX_2,
    "2022": OperatingSystem.AMAZON_LINUX_2022,
    "2023": OperatingSystem.AMAZON_LINUX_2023,
}


@dataclass(frozen=True)
class System:
    """An operating system as baselines see it. *product* is what PRODUCT filters compare with, such as `Debian12`."""

    operating_system: OperatingSystem
    product: str
    platform_name: str
    platform_version: str


def identify(os_release: Mapping[str, str]) -> Optional[System]:
    """
    The system that an os-release file describes; None where no baseline can cover it.

    Args:
        os_release: The file's assignments, unquoted. A rolling release without VERSION_ID (Debian testing) has no product
            number: its product is the bare name, which `*` matches and a numbered product does not.
    """
    name, version = os_release.get("ID", ""), os_release.get("VERSION_ID", "")
    platform = os_release.get("NAME", name)
    if name == "amzn":
        system = _AMAZON.get(version, OperatingSystem.AMAZON_LINUX)
        return System(system, f"AmazonLinux{version}", platform, version)
    if name not in _BY_ID:
        return None
    system, prefix, parts = _BY_ID[name]
    number = ".".join(version.split(".")[:parts])
    stream = "-Stream" if name == "centos" and "stream" in platform.lower() else ""
    return System(system, prefix + number + stream, platform, version)


# What agents call a platform starts so, in lower case -> os-release ID.
_PLATFORMS = {
    "debian": "debian",
    "ubuntu": "ubuntu",
    "raspbian": "raspbian",
    "red hat": "rhel",
    "rocky": "rocky",
    "alma": "almalinux",
    "oracle": "ol",
    "centos": "centos",
    "sles": "sles",
    "suse": "sles",
    "amazon": "amzn",
}
_WINDOWS_SERVER = re.compile(r"windows server ([0-9]{4})( r2)?")


def of_platform(name: str, version: str) -> Optional[System]:
    """The system of the platform name and version that an agent reports of its machine; None where no baseline can cover it."""
    lower = name.lower()
    if "windows" in lower:
        found = _WINDOWS_SERVER.search(lower)
        year = found.group(1) + (found.group(2) or "").strip().upper() if found else ""
        return System(OperatingSystem.WINDOWS, f"WindowsServer{year}" if year else "Windows", name, version)
    if lower.startswith(("macos", "mac os")):
        return System(OperatingSystem.MACOS, f"MacOS{version}", name, version)
    known = next((known for start, known in _PLATFORMS.items() if lower.startswith(start)), "")
    return identify({"ID": known, "VERSION_ID": version, "NAME": name})
