# SPDX-License-Identifier: Apache-2.0
"""Reading os-release into the words of the API."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import botocore
import pytest

from patchwright.core.system import Family, OperatingSystem, identify

RELEASES = [
    ("debian", "12", "Debian GNU/Linux", OperatingSystem.DEBIAN, "Debian12"),
    ("debian", "", "Debian GNU/Linux", OperatingSystem.DEBIAN, "Debian"),
    ("ubuntu", "22.04", "Ubuntu", OperatingSystem.UBUNTU, "Ubuntu22.04"),
    ("raspbian", "11", "Raspbian GNU/Linux", OperatingSystem.RASPBIAN, "RaspberryPiOS11"),
    ("rhel", "8.6", "Red Hat Enterprise Linux", OperatingSystem.REDHAT_ENTERPRISE_LINUX, "RedhatEnterpriseLinux8.6"),
    ("rhel", "9", "Red Hat Enterprise Linux", OperatingSystem.REDHAT_ENTERPRISE_LINUX, "RedhatEnterpriseLinux9"),
    ("rocky", "9.4", "Rocky Linux", OperatingSystem.ROCKY_LINUX, "RockyLinux9.4"),
    ("almalinux", "8.10", "AlmaLinux", OperatingSystem.ALMA_LINUX, "AlmaLinux8.10"),
    ("ol", "8.9", "Oracle Linux Server", OperatingSystem.ORACLE_LINUX, "OracleLinux8.9"),
    ("centos", "7", "CentOS Linux", OperatingSystem.CENTOS, "CentOS7"),
    ("centos", "8", "CentOS Stream", OperatingSystem.CENTOS, "CentOS8-Stream"),
    ("sles", "15.5", "SLES", OperatingSystem.SUSE, "Suse15.5"),
    ("amzn", "2", "Amazon Linux", OperatingSystem.AMAZON_LINUX_2, "AmazonLinux2"),
    ("amzn", "2022", "Amazon Linux", OperatingSystem.AMAZON_LINUX_2022, "AmazonLinux2022"),
    ("amzn", "2023", "Amazon Linux", OperatingSystem.AMAZON_LINUX_2023, "AmazonLinux2023"),
    ("amzn", "2018.03", "Amazon Linux AMI", OperatingSystem.AMAZON_LINUX, "AmazonLinux2018.03"),
]


@pytest.mark.parametrize(("name", "version", "platform", "system", "product"), RELEASES)
def test_an_os_release_names_system_and_product(name, version, platform, system, product):
    """The product is what PRODUCT filters compare with; platform name and version stay as the file has them."""
    found = identify({"ID": name, "VERSION_ID": version, "NAME": platform})

    assert found is not None
    assert (found.operating_system, found.product) == (system, product)
    assert (found.platform_name, found.platform_version) == (platform, version)


def test_a_system_without_a_name_is_called_by_its_id():
    """NAME may be absent, as VERSION_ID may."""
    found = identify({"ID": "debian"})

    assert found is not None
    assert (found.platform_name, found.product, found.platform_version) == ("debian", "Debian", "")


@pytest.mark.parametrize("name", ["arch", "", "Debian"])
def test_a_system_no_baseline_covers_is_none(name):
    """Nothing is guessed, not even from another spelling."""
    assert identify({"ID": name, "VERSION_ID": "1"}) is None


def test_an_empty_file_is_none():
    """No assignment, no system."""
    assert identify({}) is None


@pytest.mark.parametrize(
    ("system", "family"),
    [
        (OperatingSystem.DEBIAN, Family.APT),
        (OperatingSystem.UBUNTU, Family.APT),
        (OperatingSystem.RASPBIAN, Family.APT),
        (OperatingSystem.SUSE, Family.ZYPP),
        (OperatingSystem.MACOS, Family.MACOS),
        (OperatingSystem.WINDOWS, Family.WINDOWS),
        (OperatingSystem.AMAZON_LINUX, Family.RPM),
        (OperatingSystem.CENTOS, Family.RPM),
    ],
)
def test_every_system_has_its_family(system, family):
    """What is not named otherwise selects as rpm systems do."""
    assert system.family is family


def test_the_values_are_those_of_the_api_in_its_order():
    """Compared with the service model itself."""
    model = next(Path(botocore.__file__).parent.glob("data/ssm/2014-11-06/service-2.json*"))

    text = gzip.decompress(model.read_bytes()) if model.suffix == ".gz" else model.read_bytes()

    assert [system.value for system in OperatingSystem] == json.loads(text)["shapes"]["OperatingSystem"]["enum"]
