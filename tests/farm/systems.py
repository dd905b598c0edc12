# SPDX-License-Identifier: Apache-2.0
"""What rpm distributions say of themselves: their os-release, and how their package manager is set up."""

from __future__ import annotations

from collections.abc import Mapping

from .rpmrepo import RpmRepo

# id → name, ID_LIKE, platform prefix, more fields.
SYSTEMS: Mapping[str, tuple[str, str, str]] = {
    "rhel": ("Red Hat Enterprise Linux", "fedora", "el"),
    "rocky": ("Rocky Linux", "rhel centos fedora", "el"),
    "almalinux": ("AlmaLinux", "rhel centos fedora", "el"),
    "centos": ("CentOS Linux", "rhel fedora", "el"),
    "ol": ("Oracle Linux Server", "fedora", "el"),
    "amzn": ("Amazon Linux", "centos rhel fedora", "al"),
    "fedora": ("Fedora Linux", "", "f"),
    "sles": ("SLES", "suse", ""),
    "opensuse-leap": ("openSUSE Leap", "suse opensuse", ""),
}
ALIASES = {"alma": "almalinux", "oracle": "ol", "leap": "opensuse-leap"}
MINOR = {"7": "7.9", "8": "8.10", "9": "9.4", "15": "15.5"}  # where a system has them and none is named
WITHOUT_MINOR = ("amzn", "centos", "fedora")
DNF = (
    "[main]\ngpgcheck=0\ninstallonly_limit=3\nclean_requirements_on_remove=True\nbest=True\nskip_if_unavailable=False\n"
)
SUSE_KERNELS = "multiversion = provides:multiversion(kernel)\nmultiversion.kernels = latest,latest-1,running\n"


def os_release(system: str) -> str:
    """
    The /etc/os-release of *system*: `rocky 9`, `alma 8.10`, `rhel 9`, `centos 7`, `ol 8`, `amzn 2`, `amzn 2023`, `sles 15.5`.

    Raises:
        ValueError: It is none of `SYSTEMS`.
    """
    word, _, version = system.partition(" ")
    name = ALIASES.get(word, word)
    if name not in SYSTEMS or not version:
        raise ValueError(f"{system!r} is no system with a version; known: {', '.join(SYSTEMS)}")
    title, like, platform = SYSTEMS[name]
    version = version if name in WITHOUT_MINOR else MINOR.get(version, version)
    fields = {
        "NAME": title,
        "VERSION": version,
        "ID": name,
        "ID_LIKE": like,
        "VERSION_ID": version,
        "PLATFORM_ID": f"platform:{platform}{version.partition('.')[0]}" if platform else "",
        "PRETTY_NAME": f"{title} {version}",
    }
    return "".join(f'{key}="{value}"\n' for key, value in fields.items() if value)


def files(system: str, repo: RpmRepo | None) -> dict[str, str]:
    """What a node of *system* has below /etc that asks *repo*, by path. Both package managers' files: one reads its own."""
    release = os_release(system)
    major = system.partition(" ")[2].partition(".")[0]
    title = dict(line.split("=", 1) for line in release.splitlines())["PRETTY_NAME"].strip('"')
    own = {
        "/etc/os-release": release,
        "/usr/lib/os-release": release,
        "/etc/system-release": f"{title}\n",
        "/etc/dnf/dnf.conf": DNF,
        "/etc/dnf/vars/releasever": f"{major}\n",
        "/etc/dnf/plugins/local.conf": "[main]\nenabled=0\n",  # Debian turns it on; it complains in every call
        "/etc/zypp/zypp.conf": "[main]\nsolver.onlyRequires = true\n" + SUSE_KERNELS,
    }
    for name in repo.names if repo else ():
        assert repo is not None
        section = f"[{name}]\nname=Farm {name}\nbaseurl={repo.url(name)}\nenabled=1\ngpgcheck=0\n"
        expiry = f"metadata_expire={repo.expiry}\n" if repo.expiry else ""
        own[f"/etc/yum.repos.d/{name}.repo"] = section + expiry
        own[f"/etc/zypp/repos.d/{name}.repo"] = section + "repo_gpgcheck=0\nautorefresh=1\ntype=rpm-md\n"
    return own
