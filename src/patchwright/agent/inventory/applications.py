# SPDX-License-Identifier: Apache-2.0
"""What is installed, as dpkg and rpm know it: AWS:Application, and AWS:AWSComponent made of it."""

from __future__ import annotations

import time
from typing import Dict, List

from patchwright import __version__
from patchwright.agent.node import AGENT_NAME
from patchwright.agent.shell import Shell
from patchwright.core.inventory import MAX_ROWS, Row
from patchwright.core.package import Manager

TIMEOUT_SECONDS = 300.0
# One line a package; what may hold anything stands last. The first line of a description is all that counts.
_DPKG = {
    "Name": "${Package}",
    "ApplicationType": "${Section}",
    "Publisher": "${Maintainer}",
    "Version": "${Version}",
    "InstalledTime": "${db-fsys:Last-Modified}",
    "Architecture": "${Architecture}",
    "URL": "${Homepage}",
    "PackageId": "${source:Package}_${source:Version}",
    "Summary": "${binary:Summary}",
}
_RPM = {
    "Name": "%{NAME}",
    "ApplicationType": "%{GROUP}",
    "Publisher": "%{VENDOR}",
    "Version": "%{VERSION}",
    "Release": "%{RELEASE}",
    "Epoch": "%{EPOCHNUM}",
    "InstalledTime": "%{INSTALLTIME}",
    "Architecture": "%{ARCH}",
    "URL": "%{URL}",
    "PackageId": "%{SOURCERPM}",
    "Summary": "%{SUMMARY}",
}
DPKG_FORMAT = "${db:Status-Status}\\t" + "\\t".join(_DPKG.values()) + "\\n"
RPM_FORMAT = "\\t".join(_RPM.values()) + "\\n"
_NOTHING = ("", "(none)", "(unknown)")
_KEYS = "gpg-pubkey"  # which rpm keeps as if they were packages
# AWS's own programs, by the names of their packages.
_COMPONENTS = (
    "amazon-cloudwatch-agent",
    "amazon-ecr-credential-helper",
    "amazon-efs-utils",
    "amazon-ssm-agent",
    "aws-cfn-bootstrap",
    "aws-cli",
    "awscli",
    "ec2-hibinit-agent",
    "ec2-instance-connect",
    "ec2-net-utils",
    "ec2-utils",
)


def installed(shell: Shell, manager: Manager) -> List[Row]:
    """Every installed package. Raises CommandError."""
    if manager is Manager.APT:
        words = ["dpkg-query", "--show", f"--showformat={DPKG_FORMAT}"]
        return parse_dpkg(shell.run(words, timeout=TIMEOUT_SECONDS).stdout)
    return parse_rpm(shell.run(["rpm", "-qa", "--queryformat", RPM_FORMAT], timeout=TIMEOUT_SECONDS).stdout)


def parse_dpkg(text: str) -> List[Row]:
    """What `dpkg-query --showformat=DPKG_FORMAT` prints; packages that are not wholly installed are left out."""
    rows: List[Row] = []
    for line in text.splitlines():
        status, *fields = line.split("\t", len(_DPKG))
        if status == "installed" and len(fields) == len(_DPKG) and len(rows) < MAX_ROWS:
            rows.append(_row(dict(zip(_DPKG, fields))))
    return rows


def parse_rpm(text: str) -> List[Row]:
    """What `rpm -qa --queryformat RPM_FORMAT` prints; keys, and what goes on over a line's end, are left out."""
    rows: List[Row] = []
    for line in text.splitlines():
        fields = line.split("\t", len(_RPM) - 1)
        if len(fields) == len(_RPM) and fields[0] != _KEYS and len(rows) < MAX_ROWS:
            rows.append(_row(dict(zip(_RPM, fields))))
    return rows


def components(applications: List[Row]) -> List[Row]:
    """This agent, and which of AWS's programs are installed."""
    agent = {
        "Name": AGENT_NAME,
        "ApplicationType": "Agent",
        "Publisher": "Patchwright",
        "Version": __version__,
    }
    kept = ("Name", "ApplicationType", "Publisher", "Version", "InstalledTime", "Architecture", "URL")
    others = [row for row in applications if row["Name"] in _COMPONENTS]
    return [agent, *({name: row[name] for name in kept if name in row} for row in others)]


def _row(fields: Dict[str, str]) -> Row:
    moment = fields.get("InstalledTime", "")
    fields["InstalledTime"] = iso(float(moment)) if moment.isdigit() else ""
    return {name: value.strip() for name, value in fields.items() if value.strip() not in _NOTHING}


def iso(moment: float) -> str:
    """`2026-11-20T04:21:54Z`."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))
